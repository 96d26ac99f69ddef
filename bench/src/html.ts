import type { DevicePeak } from '@dawnchorus/tensor';
import { type EngineName, engineNames } from './engines/engine.ts';
import { bytesOf, flopsOf, type Result } from './result.ts';
import type { Group, Work } from './work.ts';

export interface PageEntry {
  result: Result;
  work: Work;
  group: Group;
}

const colours: Record<EngineName, string> = {
  dawnchorus: '#d9480f',
  'tfjs-webgpu': '#1971c2',
  'jax-js-webgpu': '#2f9e44',
  torch: '#868e96',
};

const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign);
const short = (value: number) => String(Number(value.toPrecision(3)));
const text = (x: number, y: number, words: string, attributes = '') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(words)}</text>`;
const line = (x1: number, y1: number, x2: number, y2: number, attributes: string) =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${attributes}/>`;

/** Positions on a logarithmic axis, with its powers of ten. */
function logAxis(values: readonly number[], from: number, to: number) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const at = (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  return { at, powers: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)), least: 10 ** low };
}

const WIDTH = 960;
const BAR = 15;

/** One group for each case and pass, one bar for each engine, as long as the logarithm of its time. */
function bars(entries: readonly PageEntry[]): string {
  const groups = new Map<string, Result[]>();
  for (const { result } of entries) {
    const key = `${result.case} ${result.pass}`;
    groups.set(key, [...(groups.get(key) ?? []), result]);
  }
  const axis = logAxis(
    entries.map(({ result }) => result.medianMs),
    190,
    WIDTH - 210,
  );
  const parts: string[] = [];
  let y = 24;
  for (const [key, results] of groups) {
    const ours = results.find(({ engine }) => engine === 'dawnchorus')?.medianMs;
    parts.push(text(180, y + (BAR * results.length) / 2 + 4, key, 'text-anchor="end" class="name"'));
    for (const { engine, medianMs, minMs, maxMs } of results) {
      const end = Math.max(axis.at(medianMs), axis.at(axis.least) + 2);
      const times = engine === 'dawnchorus' || ours === undefined ? '' : `, ${short(medianMs / ours)} x ours`;
      parts.push(
        `<rect x="190" y="${y}" width="${(end - 190).toFixed(1)}" height="${BAR - 3}" rx="2" fill="${colours[engine]}">` +
          `<title>${engine}: ${short(minMs)} to ${short(maxMs)} ms</title></rect>`,
        text(end + 6, y + BAR - 5, `${short(medianMs)} ms${times}`, 'class="value"'),
      );
      y += BAR;
    }
    y += 10;
  }
  const grid = axis.powers.map(
    (power) =>
      line(axis.at(power), 18, axis.at(power), y - 6, 'class="grid"') +
      text(axis.at(power), 12, `${short(power)} ms`, 'text-anchor="middle" class="value"'),
  );
  return `<svg viewBox="0 0 ${WIDTH} ${y}">${grid.join('')}${parts.join('')}</svg>`;
}

/** Rate over arithmetic intensity; nothing of this adapter can lie above the roof but for caches. */
function roofline(entries: readonly PageEntry[], peak: DevicePeak): string {
  const points = entries
    .filter(({ result, work }) => result.engine === 'dawnchorus' && work.flops > 0)
    .map(({ result, work }) => ({
      result,
      intensity: flopsOf(work, result.pass) / bytesOf(work, result.pass),
      gflops: flopsOf(work, result.pass) / result.medianMs / 1e6,
    }));
  if (points.length === 0) return '<p>No case here counts its arithmetic.</p>';
  const [top, bandwidth] = [peak.flopsPerSecond / 1e9, peak.bytesPerSecond / 1e9];
  const height = 460;
  const ridge = top / bandwidth;
  const x = logAxis([...points.map(({ intensity }) => intensity), ridge], 70, WIDTH - 130);
  const y = logAxis([...points.map(({ gflops }) => gflops), top], height - 50, 20);
  const [left, right] = [x.powers[0], x.powers[x.powers.length - 1]];
  // Where the slope meets the bottom of the picture, or its left side.
  const start = Math.max(left, y.least / bandwidth);
  const parts = [
    ...x.powers.map(
      (power) =>
        line(x.at(power), 20, x.at(power), height - 50, 'class="grid"') +
        text(x.at(power), height - 32, short(power), 'text-anchor="middle" class="value"'),
    ),
    ...y.powers.map(
      (power) =>
        line(70, y.at(power), x.at(right), y.at(power), 'class="grid"') +
        text(62, y.at(power) + 4, short(power), 'text-anchor="end" class="value"'),
    ),
    text((70 + x.at(right)) / 2, height - 10, 'floating-point operations a byte', 'text-anchor="middle"'),
    text(70, 12, 'GFLOP/s'),
    `<polyline points="${[
      [x.at(start), y.at(start * bandwidth)],
      [x.at(ridge), y.at(top)],
      [x.at(right), y.at(top)],
    ]
      .map((point) => point.map((value) => value.toFixed(1)))
      .join(' ')}" class="roof"/>`,
    text(x.at(right) + 6, y.at(top) + 4, `${short(top)} GFLOP/s`, 'class="value"'),
    text(x.at(start) + 8, y.at(start * bandwidth) - 8, `${short(bandwidth)} GB/s`, 'class="value"'),
  ];
  // Labels of the forward passes, pushed apart so that each can be read.
  const taken: { x: number; y: number }[] = [];
  for (const { result, intensity, gflops } of points) {
    const [cx, cy] = [x.at(intensity), y.at(gflops)];
    const filled = result.pass === 'forward' ? colours[result.engine] : 'none';
    const name = `${result.case} ${result.pass}`;
    parts.push(
      `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="5" fill="${filled}" stroke="${colours[result.engine]}" stroke-width="2">` +
        `<title>${name}: ${short(gflops)} GFLOP/s</title></circle>`,
    );
    if (result.pass !== 'forward') continue;
    let ly = cy + 4;
    while (taken.some((other) => Math.abs(other.y - ly) < 12 && Math.abs(other.x - cx) < 90)) ly += 12;
    taken.push({ x: cx, y: ly });
    parts.push(text(cx + 9, ly, result.case, 'class="value"'));
  }
  return `<svg viewBox="0 0 ${WIDTH} ${height}">${parts.join('')}</svg>`;
}

/** A page that needs nothing else. */
export function resultPage(entries: readonly PageEntry[], adapter: string, peak: DevicePeak): string {
  const shown = engineNames.filter((name) => entries.some(({ result }) => result.engine === name));
  const legend = shown.map((name) => {
    const on = entries.find(({ result }) => result.engine === name)?.result.adapter ?? '';
    return `<span><i style="background:${colours[name]}"></i>${name}${name === 'torch' ? ` (${escaped(on)})` : ''}</span>`;
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>dawnchorus bench: ${escaped(adapter)}</title>
<style>
  :root { color-scheme: light dark; font: 14px system-ui, sans-serif; }
  body { max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
  svg { width: 100%; height: auto; font-size: 12px; }
  text { fill: CanvasText; }
  .value { font-size: 11px; opacity: 0.75; }
  .grid { stroke: CanvasText; opacity: 0.15; }
  .roof { fill: none; stroke: CanvasText; stroke-width: 2; }
  p.legend span { margin-right: 1.5rem; }
  i { display: inline-block; width: 0.8em; height: 0.8em; margin-right: 0.4em; border-radius: 2px; }
</style>
<h1>dawnchorus bench</h1>
<p>${escaped(adapter)}, ${new Date().toISOString().slice(0, 10)}. Every result was checked against f64 before it was timed.</p>
<p class="legend">${legend.join('')}</p>
<h2>Time, median</h2>
<p>Shorter is better; the scale is logarithmic. Point at a bar for the least and the most.</p>
${entries.length > 0 ? bars(entries) : '<p>Nothing was timed.</p>'}
<h2>Roofline</h2>
<p>dawnchorus alone. Filled: forward. Hollow: forward and gradients. The roof is what this adapter does at best, measured: copying and
multiply-adds.</p>
${roofline(entries, peak)}
</html>
`;
}
