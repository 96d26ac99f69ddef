import { fetch, ownKernel } from '../contract.ts';
import {
  argReduce as argReduceSource,
  reduceColumnsShared as columnsSharedSource,
  reduceColumns as columnsSource,
  reduceRows as rowsSource,
} from '../generated/wgsl.ts';
import { rowCombine, rowConstants } from '../lib/index.ts';

const constants = {
  Scalar: 'alias Scalar = f32;',
  InputElement: 'alias InputElement = f32;',
  OutElement: 'alias OutElement = f32;',
  initial: 'fn initial(first: Scalar) -> Scalar { return 0.0; }',
  load: 'fn load(x: Scalar) -> Scalar { return x; }',
  combine: 'fn combine(a: Scalar, b: Scalar) -> Scalar { return a + b; }',
  finish: 'fn finish(x: Scalar, scale: f32) -> Scalar { return x * scale; }',
};

/** Last axis of [rows, length]. Grid: (chunks, rows / ROWS). */
export const reduceRows = ownKernel({
  name: 'reduce_rows',
  source: rowsSource,
  bindings: { input: 'read', out: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', chunk: 'u32', offset: 'u32', scale: 'f32' },
  constants: {
    ...rowConstants,
    ...constants,
    combineSubgroup: 'fn combineSubgroup(value: Scalar) -> Scalar { return value; }',
  },
  hooks: { fetch },
  rows: rowCombine,
});

/** Middle axis of [outer, length, inner], one thread a column and chunk. */
export const reduceColumns = ownKernel({
  name: 'reduce_columns',
  source: columnsSource,
  bindings: { input: 'read', out: 'readWrite' },
  parameters: {
    outer: 'u32',
    length: 'u32',
    inner: 'u32',
    chunk: 'u32',
    chunks: 'u32',
    offset: 'u32',
    scale: 'f32',
  },
  constants,
  hooks: { fetch },
});

/** The same, COLUMNS columns a workgroup and LANES threads each. */
export const reduceColumnsShared = ownKernel({
  ...reduceColumns,
  name: 'reduce_columns_shared',
  source: columnsSharedSource,
  constants: { COLUMNS: 'const COLUMNS = 16u;', LANES: 'const LANES = 16u;', ...constants },
});

/** Index of the extreme element along the middle axis of [outer, length, inner]. */
export const argReduce = ownKernel({
  name: 'arg_reduce',
  source: argReduceSource,
  bindings: { input: 'read', out: 'readWrite' },
  parameters: { outer: 'u32', length: 'u32', inner: 'u32', offset: 'u32' },
  constants: {
    Scalar: 'alias Scalar = f32;',
    InputElement: 'alias InputElement = f32;',
    better: 'fn better(candidate: Scalar, best: Scalar) -> bool { return candidate > best; }',
  },
});
