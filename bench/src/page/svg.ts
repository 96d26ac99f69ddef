import type { EngineName } from '../engines/engine.ts';

/** Pieces of SVG text. */
export const WIDTH = 960;

export const colours: Record<EngineName, string> = {
  dawnchorus: '#e8590c',
  dense: '#f59f00',
  'tfjs-webgpu': '#1c7ed6',
  'jax-js-webgpu': '#2f9e44',
  torch: '#868e96',
};

export const escaped = (text: string) =>
  text.replace(/[&<>"]/g, (sign) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[sign] ?? sign);

/** Three digits, never in powers of ten. */
export const short = (value: number) => (value >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(3))));

export const percent = (share: number) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** A rate in G or T a second. */
export const rate = (giga: number, unit: string) =>
  giga >= 1000 ? `${short(giga / 1000)} T${unit}` : `${short(giga)} G${unit}`;

export const text = (x: number, y: number, words: string, attributes = '') =>
  `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" ${attributes}>${escaped(words)}</text>`;

export const line = (x1: number, y1: number, x2: number, y2: number, attributes: string) =>
  `<line x1="${x1.toFixed(1)}" y1="${y1.toFixed(1)}" x2="${x2.toFixed(1)}" y2="${y2.toFixed(1)}" ${attributes}/>`;

export const svg = (height: number, parts: readonly string[]) =>
  `<svg viewBox="0 0 ${WIDTH} ${height.toFixed(0)}">${parts.join('')}</svg>`;
