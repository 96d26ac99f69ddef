/** Where hidden states go: arrays in files, tables, or memory. */
import { openReplacement, type Replacement } from '@dawnchorus/formats';
import type { Window } from './windows.ts';

/** How frames become one vector, if they do. */
export type Pool = 'none' | 'mean' | 'max';

/** Takes the hidden states of one recording, a window at a time, in order. */
export interface Sink {
  /**
   * Takes a window.
   *
   * @param states - of the layers that are wanted, each [frames of the window, dim].
   */
  write(window: Window, states: readonly Float32Array[]): Promise<void>;
  /** All windows were given. */
  finish(): Promise<void>;
  /** There will be no more; what was written is removed. */
  abort(): Promise<void>;
}

/** What an array is written with: `createNpy`, `createSafetensors`, or memory. */
export interface ArrayTarget {
  write(first: number, data: Float32Array): Promise<void>;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

/** Frames of a window that are kept, of one layer. */
export const keptFrames = ({ firstFrame, from, to }: Window, state: Float32Array, dim: number): Float32Array =>
  state.subarray((from - firstFrame) * dim, (to - firstFrame) * dim);

/** All frames: [layers, frames, dim]. */
export function frameSink(target: ArrayTarget, frames: number, dim: number): Sink {
  return {
    async write(window, states) {
      for (const [layer, state] of states.entries()) {
        await target.write((layer * frames + window.from) * dim, keptFrames(window, state, dim));
      }
    },
    finish: () => target.finish(),
    abort: () => target.abort(),
  };
}

/** A vector a layer: [layers, dim], given to `done`. Sums are kept in double precision. */
export function poolSink(
  pool: Exclude<Pool, 'none'>,
  layers: number,
  dim: number,
  done: (pooled: Float32Array[]) => Promise<void>,
  abort: () => Promise<void> = async () => {},
): Sink {
  const sums = Array.from({ length: layers }, () =>
    new Float64Array(dim).fill(pool === 'max' ? Number.NEGATIVE_INFINITY : 0),
  );
  let frames = 0;
  return {
    async write(window, states) {
      frames += window.to - window.from;
      for (const [layer, state] of states.entries()) {
        const sum = sums[layer];
        const kept = keptFrames(window, state, dim);
        for (let i = 0; i < kept.length; i++) {
          const at = i % dim;
          if (pool === 'mean') sum[at] += kept[i];
          else if (kept[i] > sum[at]) sum[at] = kept[i];
        }
      }
    },
    finish: () =>
      done(sums.map((sum) => Float32Array.from(sum, (value) => (pool === 'mean' ? value / frames : value)))),
    abort,
  };
}

/** An array in memory. */
export function memoryTarget(count: number): ArrayTarget & { data: Float32Array } {
  const data = new Float32Array(count);
  return {
    data,
    write: async (first, values) => data.set(values, first),
    finish: async () => {},
    abort: async () => {},
  };
}

/** Rows of a table that go together. */
export interface TableRows {
  path: string[];
  layer: number[];
  /** Left out where frames are pooled. */
  frame?: number[];
  seconds?: number[];
  embedding: Float32Array[];
}

/** A table of embeddings, one parquet file, written group by group. */
export interface Table {
  append(rows: TableRows): Promise<void>;
  finish(): Promise<void>;
  abort(): Promise<void>;
}

const leaf = { repetition_type: 'REQUIRED' } as const;

/**
 * Begins a parquet file with the columns `path` (text), `layer` (-1 for the mean of all), `frame` and `seconds` (unless
 * pooled), and `embedding`, a list of floats.
 *
 * @throws as `openReplacement` does.
 */
export async function createTable(path: string, pooled: boolean): Promise<Table> {
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
  const file: Replacement = await openReplacement(path, { what: 'parquet file' });
  const bytes = new ByteWriter();
  const own = pooled
    ? []
    : ([
        { name: 'frame', type: 'INT32', ...leaf },
        { name: 'seconds', type: 'DOUBLE', ...leaf },
      ] as const);
  const writer = new ParquetWriter({
    writer: bytes,
    // Floats do not shrink.
    codec: 'UNCOMPRESSED',
    statistics: false,
    schema: [
      { name: 'root', num_children: 3 + own.length },
      { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', ...leaf },
      { name: 'layer', type: 'INT32', ...leaf },
      ...own,
      { name: 'embedding', num_children: 1, converted_type: 'LIST', ...leaf },
      { name: 'list', num_children: 1, repetition_type: 'REPEATED' },
      { name: 'element', type: 'FLOAT', ...leaf },
    ],
  });
  let written = 0;
  const flush = async () => {
    const piece = bytes.getBytes().slice();
    bytes.index = 0;
    await file.write(written, piece);
    written += piece.length;
  };
  return {
    async append({ path: paths, layer, frame, seconds, embedding }) {
      if (paths.length === 0) return;
      await writer.write({
        columnData: [
          { name: 'path', data: paths },
          { name: 'layer', data: layer },
          ...(pooled
            ? []
            : [
                { name: 'frame', data: frame ?? [] },
                { name: 'seconds', data: seconds ?? [] },
              ]),
          { name: 'embedding', data: embedding.map((one) => Array.from(one)) },
        ],
        rowGroupSize: paths.length,
      });
      await flush();
    },
    async finish() {
      await writer.finish();
      await flush();
      await file.finish();
    },
    abort: () => file.abort(),
  };
}

/** Frames as rows of a table. */
export function tableSink(
  table: Table,
  path: string,
  layers: readonly number[],
  dim: number,
  secondsOf: (frame: number) => number,
): Sink {
  return {
    async write(window, states) {
      const rows = { path: [] as string[], layer: [] as number[], frame: [] as number[], seconds: [] as number[] };
      const embedding: Float32Array[] = [];
      for (const [i, state] of states.entries()) {
        const kept = keptFrames(window, state, dim);
        for (let frame = window.from; frame < window.to; frame++) {
          rows.path.push(path);
          rows.layer.push(layers[i]);
          rows.frame.push(frame);
          rows.seconds.push(secondsOf(frame));
          embedding.push(kept.subarray((frame - window.from) * dim, (frame - window.from + 1) * dim));
        }
      }
      await table.append({ ...rows, embedding });
    },
    finish: async () => {},
    abort: async () => {},
  };
}
