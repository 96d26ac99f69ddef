import { ownKernel } from '../contract.ts';
import {
  sortBlocks as blocksSource,
  mergeRuns as mergeSource,
  searchSorted as searchSource,
} from '../generated/wgsl.ts';

const keyOf = 'fn keyOf(x: Element) -> u32 { return bitcast<u32>(f32(x)); }';

/** Sorts short runs of neighbours; one thread a run. */
export const sortBlocks = ownKernel({
  name: 'sort_blocks',
  source: blocksSource,
  bindings: { x: 'read', keys: 'readWrite', indices: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', inner: 'u32', offset: 'u32', descending: 'u32' },
  constants: { Element: 'alias Element = f32;', BLOCK: 'const BLOCK = 16u;', LAST: 'const LAST = false;', keyOf },
});

/** Merges neighbouring sorted runs; one thread for ITEMS elements of the result. */
export const mergeRuns = ownKernel({
  name: 'merge_runs',
  source: mergeSource,
  bindings: { keys: 'read', indices: 'read', outKeys: 'readWrite', outIndices: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', inner: 'u32', width: 'u32' },
  constants: { ITEMS: 'const ITEMS = 8u;', LAST: 'const LAST = false;' },
});

/** Binary search of values in sorted rows. */
export const searchSorted = ownKernel({
  name: 'search_sorted',
  source: searchSource,
  bindings: { sorted: 'read', values: 'read', out: 'readWrite' },
  parameters: {
    rows: 'u32',
    length: 'u32',
    count: 'u32',
    single: 'u32',
    sortedOffset: 'u32',
    valuesOffset: 'u32',
  },
  constants: { Element: 'alias Element = f32;', RIGHT: 'const RIGHT = false;', keyOf },
});
