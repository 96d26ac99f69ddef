/** Features on disk, read by clip and layer; what was read is kept while there is room. */
import { totalmem } from 'node:os';
import { openNpy } from '@dawnchorus/formats';

/** What a part of the cache holds. */
export interface PartIndex {
  /** Clips, the first of their rows, and the rows of each of their windows. */
  clips: { id: string; row: number; rows: number[] }[];
  skipped: { id: string; reason: string }[];
  rows: number;
}

/** Where the rows of a clip are. */
export interface ClipRows {
  part: number;
  row: number;
  /** Of each window. */
  rows: readonly number[];
}

/** Bytes that are kept of what was read: a quarter of the machine's memory at most. */
const KEPT_BYTES = Math.min(4 * 2 ** 30, totalmem() / 4);

/** The features of a task’s clips: [layers, rows, dimension]. */
export class FeatureTable {
  readonly layers: number;
  readonly dimension: number;
  readonly clips = new Map<string, ClipRows>();
  readonly skipped: { id: string; reason: string }[] = [];
  readonly #parts: readonly { path: string; index: PartIndex }[];
  readonly #kept = new Map<string, Float32Array>();
  #bytes = 0;

  constructor(parts: readonly { path: string; index: PartIndex }[], layers: number, dimension: number) {
    this.#parts = parts;
    this.layers = layers;
    this.dimension = dimension;
    for (const [part, { index }] of parts.entries()) {
      for (const { id, row, rows } of index.clips) this.clips.set(id, { part, row, rows });
      this.skipped.push(...index.skipped);
    }
  }

  /** One layer of a part: [rows, dimension]. */
  async #layer(part: number, layer: number): Promise<Float32Array> {
    const key = `${part} ${layer}`;
    const kept = this.#kept.get(key);
    if (kept) {
      this.#kept.delete(key);
      this.#kept.set(key, kept);
      return kept;
    }
    const file = await openNpy(this.#parts[part].path);
    try {
      const { data } = await file.read({ rows: [layer, layer + 1] });
      const own = data as Float32Array;
      this.#kept.set(key, own);
      this.#bytes += own.byteLength;
      for (const [old, { byteLength }] of this.#kept) {
        if (this.#bytes <= KEPT_BYTES) break;
        this.#kept.delete(old);
        this.#bytes -= byteLength;
      }
      return own;
    } finally {
      await file.close();
    }
  }

  /**
   * Rows of a clip, its windows one after another, in some layers.
   *
   * @returns [count, layers, dimension]
   */
  async read(id: string, layers: readonly number[], first: number, count: number): Promise<Float32Array> {
    const clip = this.clips.get(id);
    if (!clip) throw new Error(`there are no features of ${id}`);
    const { dimension } = this;
    const out = new Float32Array(count * layers.length * dimension);
    for (const [k, layer] of layers.entries()) {
      const own = await this.#layer(clip.part, layer);
      for (let i = 0; i < count; i++) {
        const from = (clip.row + first + i) * dimension;
        out.set(own.subarray(from, from + dimension), (i * layers.length + k) * dimension);
      }
    }
    return out;
  }
}
