import { entropyOf } from '../entropy.ts';
import { type Item, LINE, type Scene } from './scene.ts';

/** How often each entry of a codebook occurs. */
export interface CodebookUsage {
  counts: ArrayLike<number>;
}

/** What counts tell: entries in use, exp(entropy), and the entropy as a share of its maximum. */
export interface UsageSummary {
  size: number;
  used: number;
  total: number;
  perplexity: number;
  /** 0 to 1; 1 for a codebook of one entry. */
  evenness: number;
}

/** Sums a codebook's use up. */
export function summarise({ counts }: CodebookUsage): UsageSummary {
  let [total, used] = [0, 0];
  for (let i = 0; i < counts.length; i++) {
    total += counts[i];
    if (counts[i] !== 0) used++;
  }
  const entropy = entropyOf(counts);
  const size = counts.length;
  return { size, used, total, perplexity: Math.exp(entropy), evenness: size > 1 ? entropy / Math.log(size) : 1 };
}

/** Counts labels [codebooks, frames] into `usage`, which has a codebook a row. */
export function countLabels(usage: readonly { counts: Float64Array }[], labels: Int32Array): void {
  const frames = labels.length / usage.length;
  for (const [k, { counts }] of usage.entries()) {
    for (let t = 0; t < frames; t++) counts[labels[k * frames + t]]++;
  }
}

const WIDTH = 900;
const LEFT = 30;
const TOP = 50;
const PANEL = 110;
const BARS = 70;

/** A line about a codebook. */
export function usageText(index: number, { size, used, perplexity, evenness }: UsageSummary): string {
  return `codebook ${index}: ${used} of ${size} used, perplexity ${perplexity.toFixed(1)}, entropy ${(100 * evenness).toFixed(0)} %`;
}

/**
 * A chart of how codebooks are used: for each, how often its entries occur, the most frequent first, as a share of the
 * most frequent one; a line says where all would be if they were used alike.
 */
export function drawUsage(title: string, usage: readonly CodebookUsage[]): Scene {
  const items: Item[] = [{ kind: 'text', x: LEFT, y: TOP / 2, text: title }];
  for (const [i, own] of usage.entries()) {
    const summary = summarise(own);
    const top = TOP + i * PANEL;
    const bottom = top + LINE + BARS;
    items.push({ kind: 'text', x: LEFT, y: top + LINE / 2, text: usageText(i, summary) });
    const sorted = Float64Array.from({ length: own.counts.length }, (_, k) => own.counts[k])
      .sort()
      .reverse();
    const most = sorted[0] || 1;
    const width = WIDTH / sorted.length;
    for (const [k, count] of sorted.entries()) {
      if (count === 0) break;
      const height = Math.max(1, (count / most) * BARS);
      items.push({
        kind: 'rect',
        x: LEFT + k * width,
        y: bottom - height,
        width: Math.max(0.5, width - (width > 4 ? 1 : 0)),
        height,
        color: '#3b6ea8',
      });
    }
    items.push({ kind: 'rect', x: LEFT, y: bottom, width: WIDTH, height: 1, color: '#222222' });
    const even = summary.total / summary.size / most;
    if (summary.total > 0) {
      items.push({ kind: 'rect', x: LEFT, y: bottom - even * BARS - 0.5, width: WIDTH, height: 1, color: '#d0543f' });
    }
  }
  return { width: LEFT + WIDTH + LEFT, height: TOP + usage.length * PANEL + 10, items };
}
