import { ticks } from '../training/curves.ts';
import { type Item, LINE, type Pixels, type Scene } from './scene.ts';

/** Colours from dark to light, evenly spaced: matplotlib's magma. */
const magma = ['000004', '180f3d', '440f76', '721f81', '9e2f7f', 'cd4071', 'f1605d', 'fd9668', 'feca8d', 'fcfdbf'].map(
  (text) => [0, 2, 4].map((at) => Number.parseInt(text.slice(at, at + 2), 16)),
);

/** The colour of a value from 0 to 1. */
export function colorAt(value: number): number[] {
  const place = Math.min(1, Math.max(0, value || 0)) * (magma.length - 1);
  const index = Math.min(magma.length - 2, Math.floor(place));
  return magma[index].map((low, i) => Math.round(low + (magma[index + 1][i] - low) * (place - index)));
}

/** A mark beside or under a heat map: `at` counts rows from the lowest, or seconds. */
export interface Mark {
  at: number;
  text: string;
}

/** A table of numbers over time as a picture. */
export interface Heatmap {
  title: string;
  /** [rows, columns]; the first row is the lowest. */
  values: ArrayLike<number>;
  rows: number;
  columns: number;
  /** What the darkest and the lightest colour stand for. */
  range: [low: number, high: number];
  unit: string;
  /** Marks of rows, from below. */
  marks: readonly Mark[];
  /** Seconds of the first column, and between neighbouring ones. */
  start: number;
  step: number;
}

const PLOT = { width: 1000, height: 384 };
const LEFT = 90;
const TOP = 40;
const RIGHT = 150;
const BOTTOM = 60;

/** The rows or columns [first, end) that a pixel shows, at least one. */
function shareOf(pixel: number, pixels: number, count: number): [first: number, end: number] {
  const first = Math.min(count - 1, Math.floor((pixel * count) / pixels));
  return [first, Math.max(first + 1, Math.min(count, Math.floor(((pixel + 1) * count) / pixels)))];
}

/** Each pixel is the largest of the numbers that it covers: what is thin stays to be seen. */
function pixelsOf({ values, rows, columns, range: [low, high] }: Heatmap, width: number, height: number): Pixels {
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const [firstRow, endRow] = shareOf(height - 1 - y, height, rows);
    for (let x = 0; x < width; x++) {
      const [firstColumn, endColumn] = shareOf(x, width, columns);
      let largest = Number.NEGATIVE_INFINITY;
      for (let row = firstRow; row < endRow; row++) {
        for (let column = firstColumn; column < endColumn; column++) {
          largest = Math.max(largest, values[row * columns + column]);
        }
      }
      rgb.set(colorAt((largest - low) / (high - low || 1)), 3 * (y * width + x));
    }
  }
  return { width, height, rgb };
}

/** A heat map with its axes and the scale of its colours. */
export function drawHeatmap(heatmap: Heatmap): Scene {
  const { title, rows, columns, range, unit, marks, start, step } = heatmap;
  if (rows < 1 || columns < 1)
    throw new RangeError(`a picture of [${rows}, ${columns}] numbers: there is nothing to draw`);
  const { width, height } = PLOT;
  const items: Item[] = [
    { kind: 'text', x: LEFT, y: TOP / 2, text: title },
    { kind: 'image', x: LEFT, y: TOP, image: pixelsOf(heatmap, width, height) },
  ];
  for (const { at, text } of marks) {
    const y = TOP + height - ((at + 0.5) / rows) * height;
    if (y < TOP || y > TOP + height) continue;
    items.push({ kind: 'rect', x: LEFT - 6, y: y - 1, width: 6, height: 2, color: '#222222' });
    items.push({ kind: 'text', x: LEFT - 12, y, text, anchor: 'end' });
  }
  const seconds = columns * step;
  for (const at of ticks(start, start + seconds)) {
    const x = LEFT + ((at - start) / seconds) * width;
    items.push({ kind: 'rect', x: x - 1, y: TOP + height, width: 2, height: 6, color: '#222222' });
    items.push({ kind: 'text', x, y: TOP + height + 18, text: String(at), anchor: 'middle' });
  }
  items.push({ kind: 'text', x: LEFT + width / 2, y: TOP + height + 18 + LINE, text: 'seconds', anchor: 'middle' });
  const bar = new Uint8Array(3 * 24 * height);
  for (let y = 0; y < height; y++) {
    const color = colorAt(1 - y / (height - 1));
    for (let x = 0; x < 24; x++) bar.set(color, 3 * (24 * y + x));
  }
  const barLeft = LEFT + width + 24;
  items.push({ kind: 'image', x: barLeft, y: TOP, image: { width: 24, height, rgb: bar } });
  items.push({ kind: 'text', x: barLeft + 24, y: TOP / 2, text: unit, anchor: 'end' });
  const [low, high] = range;
  for (const value of ticks(low, high)) {
    const y = TOP + height - ((value - low) / (high - low)) * height;
    items.push({ kind: 'rect', x: barLeft + 24, y: y - 1, width: 6, height: 2, color: '#222222' });
    items.push({ kind: 'text', x: barLeft + 36, y, text: String(value) });
  }
  return { width: LEFT + width + RIGHT, height: TOP + height + BOTTOM, items };
}
