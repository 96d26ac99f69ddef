/** One line of a chart. */
export interface Series {
  label: string;
  color: string;
  /** Values at steps 1, 2, …; those that are not finite leave a gap. */
  values: readonly number[];
}

/** A horizontal line to compare with. */
export interface Reference {
  label: string;
  value: number;
}

export interface Panel {
  title: string;
  series: readonly Series[];
  references?: readonly Reference[];
}

const WIDTH = 720;
const HEIGHT = 220;
const LEFT = 62;
const RIGHT = 170;
const TOP = 34;
const BOTTOM = 30;

const escape = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

/** Round numbers between low and high. */
export function ticks(low: number, high: number): number[] {
  const rough = (high - low) / 4 || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((candidate) => candidate >= rough) ?? power * 10;
  const result: number[] = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step)
    result.push(Number(at.toPrecision(12)));
  return result;
}

/** A running mean, so that a noisy curve shows where it goes. */
export function smooth(values: readonly number[], window: number): number[] {
  return values.map((_, i) => {
    const part = values.slice(Math.max(0, i - window + 1), i + 1).filter(Number.isFinite);
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
}

function drawPanel({ title, series, references = [] }: Panel, top: number): string {
  const all = [...series.flatMap(({ values }) => values), ...references.map(({ value }) => value)].filter(
    Number.isFinite,
  );
  const low = Math.min(0, ...all);
  const high = Math.max(...all, low + 1e-9) * 1.04;
  const steps = Math.max(2, ...series.map(({ values }) => values.length));
  const x = (step: number) => LEFT + ((step - 1) / (steps - 1)) * (WIDTH - LEFT - RIGHT);
  const y = (value: number) => top + HEIGHT - BOTTOM - ((value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const parts = [`<text x="${LEFT}" y="${top + 18}" font-weight="bold">${escape(title)}</text>`];
  for (const tick of ticks(low, high)) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(tick).toFixed(1)}" y2="${y(tick).toFixed(1)}" stroke="#ddd"/>`,
    );
    parts.push(`<text x="${LEFT - 6}" y="${(y(tick) + 4).toFixed(1)}" text-anchor="end">${tick}</text>`);
  }
  for (const step of ticks(1, steps).filter((tick) => Number.isInteger(tick) && tick >= 1)) {
    parts.push(`<text x="${x(step).toFixed(1)}" y="${top + HEIGHT - 10}" text-anchor="middle">${step}</text>`);
  }
  const labels: { text: string; color: string; at: number }[] = [];
  for (const { label, value } of references) {
    parts.push(
      `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}" stroke="#888" stroke-dasharray="5 4"/>`,
    );
    labels.push({ text: label, color: '#666', at: y(value) });
  }
  for (const { label, color, values } of series) {
    const points = values
      .map((value, i) => (Number.isFinite(value) ? `${x(i + 1).toFixed(1)},${y(value).toFixed(1)}` : ''))
      .filter(Boolean);
    parts.push(`<polyline points="${points.join(' ')}" fill="none" stroke="${color}" stroke-width="1.6"/>`);
    labels.push({ text: label, color, at: y(values.at(-1) ?? 0) });
  }
  // Labels that would overlap move down.
  labels.sort((a, b) => a.at - b.at);
  let lowest = Number.NEGATIVE_INFINITY;
  for (const { text, color, at } of labels) {
    lowest = Math.max(at, lowest + 14);
    parts.push(`<text x="${WIDTH - RIGHT + 8}" y="${(lowest + 4).toFixed(1)}" fill="${color}">${escape(text)}</text>`);
  }
  return parts.join('\n');
}

/** Panels under one another as a picture in SVG. */
export function drawCurves(panels: readonly Panel[]): string {
  const height = panels.length * HEIGHT;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<title>${escape(panels.map(({ title }) => title).join('; '))}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="white"/>`,
    ...panels.map((panel, i) => drawPanel(panel, i * HEIGHT)),
    '</svg>',
    '',
  ].join('\n');
}
