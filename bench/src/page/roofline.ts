import type { DevicePeak } from '@dawnchorus/tensor';
import { bytesOf, flopsOf } from '../result.ts';
import type { PageEntry } from './index.ts';
import { colours, line, rate, short, svg, text, WIDTH } from './svg.ts';

/** Positions on a logarithmic axis, with its powers of ten. */
function logAxis(values: readonly number[], from: number, to: number) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  const at = (value: number) => from + ((Math.log10(value) - low) / (high - low)) * (to - from);
  return { at, powers: Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)), least: 10 ** low };
}

interface Point {
  name: string;
  label: string | undefined;
  intensity: number;
  gflops: number;
  half: boolean;
  forward: boolean;
  /** Of a smaller batch than another of its shape. */
  small: boolean;
}

/** Ours. Of shapes at several batches the largest alone is labelled. */
function pointsOf(entries: readonly PageEntry[]): Point[] {
  const ours = entries.filter(({ result, work }) => result.engine === 'dawnchorus' && work.flops > 0);
  const batchOf = (name: string) => Number(name.match(/_b(\d+)$/)?.[1] ?? 0);
  const shapeOf = (name: string) => name.replace(/_b\d+$/, '');
  const largest = new Map<string, number>();
  for (const { result } of ours) {
    const shape = shapeOf(result.case);
    largest.set(shape, Math.max(batchOf(result.case), largest.get(shape) ?? 0));
  }
  return ours.map(({ result, work }) => {
    const forward = result.pass === 'forward';
    const small = batchOf(result.case) < largest.get(shapeOf(result.case))!;
    const half = result.dtype === 'f16';
    return {
      name: `${result.case} ${result.dtype} ${result.pass}`,
      label: forward && !small ? `${shapeOf(result.case).replace(/^mert\d*m?_/, '')}${half ? ' f16' : ''}` : undefined,
      intensity: flopsOf(work, result.pass) / bytesOf(work, result.pass),
      gflops: flopsOf(work, result.pass) / result.medianMs / 1e6,
      half,
      forward,
      small,
    };
  });
}

function mark({ name, gflops, half, forward, small }: Point, x: number, y: number): string {
  const fill = forward ? colours.dawnchorus : 'Canvas';
  const look = `fill="${fill}" stroke="${colours.dawnchorus}" stroke-width="2"${small ? ' opacity="0.35"' : ''}`;
  const title = `<title>${name}: ${rate(gflops, 'FLOP/s')}</title>`;
  if (!half) return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="4.5" ${look}>${title}</circle>`;
  const corners = `${x.toFixed(1)},${(y - 6).toFixed(1)} ${(x + 6).toFixed(1)},${y.toFixed(1)} ${x.toFixed(1)},${(y + 6).toFixed(1)} ${(x - 6).toFixed(1)},${y.toFixed(1)}`;
  return `<polygon points="${corners}" ${look}>${title}</polygon>`;
}

interface Box {
  left: number;
  right: number;
  y: number;
}

/** Labels where nothing else is written: beside their point, else as near above or below as there is room. */
function place(taken: Box[], x: number, y: number, words: string): { x: number; y: number; end: boolean } {
  const width = words.length * 5.9 + 4;
  const free = (box: Box) =>
    taken.every((other) => Math.abs(other.y - box.y) >= 11 || other.right < box.left || other.left > box.right);
  for (let step = 0; ; step++) {
    // 0, 11, -11, 22, … below and above.
    const ly = y + 4 + 11 * (step % 2 === 1 ? (step + 1) / 2 : -step / 2);
    for (const end of [false, true]) {
      if (ly < 26 || ly > BOTTOM - 4) continue;
      const box = end ? { left: x - 10 - width, right: x - 8, y: ly } : { left: x + 8, right: x + 10 + width, y: ly };
      if ((box.right < WIDTH - 20 && box.left > 70 && free(box)) || step > 80) {
        taken.push(box);
        return { x: end ? x - 9 : x + 9, y: ly, end };
      }
    }
  }
}

const HEIGHT = 560;
const BOTTOM = HEIGHT - 50;

/** Rate over arithmetic intensity; nothing of this adapter can lie above its roofs but for caches. */
export function roofline(entries: readonly PageEntry[], peak: DevicePeak): string {
  const points = pointsOf(entries);
  if (points.length === 0) return '<p>No case here counts its arithmetic.</p>';
  const bandwidth = peak.bytesPerSecond / 1e9;
  const roofs = [
    { gflops: peak.flopsPerSecond / 1e9, name: 'f32 multiply-adds', look: 'roof' },
    ...(peak.matrixFlopsPerSecond === undefined
      ? []
      : [{ gflops: peak.matrixFlopsPerSecond / 1e9, name: 'matrix units, f16', look: 'roof dashed' }]),
  ].sort((a, b) => a.gflops - b.gflops);
  const highest = roofs[roofs.length - 1].gflops;
  const x = logAxis([...points.map(({ intensity }) => intensity), highest / bandwidth], 70, WIDTH - 20);
  const y = logAxis([...points.map(({ gflops }) => gflops), ...roofs.map(({ gflops }) => gflops)], BOTTOM, 20);
  const [left, right] = [x.powers[0], x.powers[x.powers.length - 1]];
  // Where the slope meets the bottom of the picture, or its left side.
  const start = Math.max(left, y.least / bandwidth);
  const taken: Box[] = [];
  const parts = [
    ...x.powers.map(
      (power) =>
        line(x.at(power), 20, x.at(power), BOTTOM, 'class="grid"') +
        text(x.at(power), BOTTOM + 17, short(power), 'text-anchor="middle" class="value"'),
    ),
    ...y.powers.map(
      (power) =>
        line(70, y.at(power), x.at(right), y.at(power), 'class="grid"') +
        text(62, y.at(power) + 4, short(power), 'text-anchor="end" class="value"'),
    ),
    text((70 + x.at(right)) / 2, HEIGHT - 10, 'floating-point operations a byte', 'text-anchor="middle"'),
    text(70, 12, 'GFLOP/s'),
    line(x.at(start), y.at(start * bandwidth), x.at(highest / bandwidth), y.at(highest), 'class="roof"'),
    // Below the slope, along it.
    text(
      x.at(start) + 22,
      y.at(start * bandwidth) - 20,
      `copying: ${rate(bandwidth, 'B/s')}`,
      `class="value" transform="rotate(${slopeAngle(x, y, start, bandwidth)} ${(x.at(start) + 22).toFixed(1)} ${(y.at(start * bandwidth) - 20).toFixed(1)})"`,
    ),
  ];
  for (const { gflops, name, look } of roofs) {
    const words = `${name}: ${rate(gflops, 'FLOP/s')}`;
    parts.push(
      line(x.at(gflops / bandwidth), y.at(gflops), x.at(right), y.at(gflops), `class="${look}"`),
      text(x.at(right) - 4, y.at(gflops) - 6, words, 'text-anchor="end" class="value"'),
    );
    taken.push({ left: x.at(right) - words.length * 6, right: x.at(right), y: y.at(gflops) - 6 });
  }
  for (const point of points) {
    const [px, py] = [x.at(point.intensity), y.at(point.gflops)];
    taken.push({ left: px - 6, right: px + 6, y: py + 4 });
  }
  // The labelled ones above the pale ones.
  for (const point of points.toSorted((a, b) => Number(b.small) - Number(a.small))) {
    const [px, py] = [x.at(point.intensity), y.at(point.gflops)];
    parts.push(mark(point, px, py));
    if (point.label === undefined) continue;
    const spot = place(taken, px, py, point.label);
    if (Math.abs(spot.y - py - 4) > 12) {
      parts.push(line(px, py, spot.x, spot.y - 4, 'class="lead"'));
    }
    parts.push(text(spot.x, spot.y, point.label, `class="value" text-anchor="${spot.end ? 'end' : 'start'}"`));
  }
  return svg(HEIGHT, parts);
}

/** Degrees by which text along the slope is turned. */
function slopeAngle(x: { at(v: number): number }, y: { at(v: number): number }, start: number, bandwidth: number) {
  const rise = y.at(10 * start * bandwidth) - y.at(start * bandwidth);
  const run = x.at(10 * start) - x.at(start);
  return ((Math.atan2(rise, run) * 180) / Math.PI).toFixed(1);
}
