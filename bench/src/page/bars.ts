import type { DevicePeak } from '@dawnchorus/tensor';
import { ceilingOf, shareOfPeak } from '../report.ts';
import type { Result } from '../result.ts';
import type { PageEntry } from './index.ts';
import { colours, line, percent, rate, short, svg, text, WIDTH } from './svg.ts';

const NAMES = 250;
const BAR = 15;

const nameOf = (result: Result) => `${result.case}${result.dtype === 'f32' ? '' : ` ${result.dtype}`}`;

function grouped(entries: readonly PageEntry[], key: (result: Result) => string): Map<string, Result[]> {
  const groups = new Map<string, Result[]>();
  for (const { result } of entries) groups.set(key(result), [...(groups.get(key(result)) ?? []), result]);
  return groups;
}

/** What ours reach of the ceiling that bounds them: one bar forward, one with gradients. */
export function shareBars(entries: readonly PageEntry[], peak: DevicePeak): string {
  const ours = entries.filter(({ result }) => result.engine === 'dawnchorus');
  const to = WIDTH - 250;
  const at = (share: number) => NAMES + Math.min(share, 1.1) * ((to - NAMES) / 1.1);
  const parts: string[] = [];
  let y = 24;
  for (const [name, results] of grouped(ours, nameOf)) {
    parts.push(text(NAMES - 10, y + (BAR * results.length) / 2 + 2, name, 'text-anchor="end" class="name"'));
    for (const result of results) {
      const share = shareOfPeak(result, peak);
      const end = Math.max(at(share), NAMES + 1);
      const speed = result.gflops === undefined ? rate(result.gbps ?? 0, 'B/s') : rate(result.gflops, 'FLOP/s');
      const look = result.pass === 'forward' ? '' : ' opacity="0.55"';
      parts.push(
        `<rect x="${NAMES}" y="${y}" width="${(end - NAMES).toFixed(1)}" height="${BAR - 3}" rx="2" fill="${colours.dawnchorus}"${look}>` +
          `<title>${result.pass}: ${short(result.minMs)} to ${short(result.maxMs)} ms, ${result.runs} runs</title></rect>`,
        text(
          end + 6,
          y + BAR - 5,
          `${percent(share)} of ${ceilingOf(result, peak).name}, ${speed}, ${short(result.medianMs)} ms`,
          'class="value"',
        ),
      );
      y += BAR;
    }
    y += 8;
  }
  const grid = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      line(at(share), 18, at(share), y - 4, `class="${share === 1 ? 'roof thin' : 'grid'}"`) +
      text(at(share), 12, percent(share).replace('.0', ''), 'text-anchor="middle" class="value"'),
  );
  return svg(y, [...grid, ...parts]);
}

/** Bars that are longer than this many times ours are cut. */
const LONGEST = 4;

/** Every engine's time as a multiple of ours: a bar beyond the line is slower than ours, one short of it faster. */
export function peerBars(entries: readonly PageEntry[]): string {
  const to = WIDTH - 210;
  const at = (times: number) => NAMES + (Math.min(times, LONGEST) / LONGEST) * (to - NAMES);
  const parts: string[] = [];
  let y = 24;
  for (const [name, results] of grouped(entries, (result) => `${nameOf(result)} ${result.pass}`)) {
    if (results.length < 2) continue;
    const ours = results.find(({ engine }) => engine === 'dawnchorus');
    // Where ours is missing, because it was wrong, the fastest is what the others are measured by.
    const one = ours?.medianMs ?? Math.min(...results.map(({ medianMs }) => medianMs));
    parts.push(text(NAMES - 10, y + (BAR * results.length) / 2 + 2, name, 'text-anchor="end" class="name"'));
    for (const { engine, medianMs, minMs, maxMs, runs } of results) {
      const times = medianMs / one;
      const end = Math.max(at(times), NAMES + 2);
      const cut = times > LONGEST;
      const compared = engine === 'dawnchorus' ? '' : `, ${short(times)}x`;
      parts.push(
        `<rect x="${NAMES}" y="${y}" width="${(end - NAMES).toFixed(1)}" height="${BAR - 3}" rx="2" fill="${colours[engine]}">` +
          `<title>${engine}: ${short(minMs)} to ${short(maxMs)} ms, ${runs} runs</title></rect>`,
        // A gap says that the bar goes on.
        ...(cut
          ? [`<path d="M${end - 14} ${y + BAR - 2} l5 -${BAR - 1}" stroke="Canvas" stroke-width="4" fill="none"/>`]
          : []),
        text(end + 6, y + BAR - 5, `${short(medianMs)} ms${compared}`, 'class="value"'),
      );
      y += BAR;
    }
    y += 8;
  }
  if (parts.length === 0) return '';
  const grid = Array.from({ length: LONGEST + 1 }, (_, times) => times).map(
    (times) =>
      line(at(times), 18, at(times), y - 4, `class="${times === 1 ? 'roof thin' : 'grid'}"`) +
      text(at(times), 12, times === 1 ? 'ours' : `${times}x`, 'text-anchor="middle" class="value"'),
  );
  return svg(y, [...grid, ...parts]);
}
