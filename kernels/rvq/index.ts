import { ownKernel } from '../contract.ts';
import {
  residualCodesBroadcast as broadcastSource,
  codebookEntries as entriesSource,
  codebookPrepare as prepareSource,
  codebookSums as sumsSource,
  residualCodesTiled as tiledSource,
} from '../generated/wgsl.ts';
import { broadcastProduct, rowConstants, rowNearest } from '../lib/index.ts';
import { broadcastConstants, usualHanding } from '../matmul/index.ts';

/** Codebooks that one dispatch of `codebookPrepare` takes. */
export const BOOKS_AT_ONCE = 4;

/** Entries as the search reads them, and half their squared lengths. Grid: (padded / 64, books). */
export const codebookPrepare = ownKernel({
  name: 'codebook_prepare',
  source: prepareSource,
  bindings: { book0: 'read', book1: 'read', book2: 'read', book3: 'read', entries: 'readWrite', halves: 'readWrite' },
  parameters: {
    codes: 'u32',
    dimension: 'u32',
    padded: 'u32',
    firstStage: 'u32',
    offset0: 'u32',
    offset1: 'u32',
    offset2: 'u32',
    offset3: 'u32',
  },
  constants: {},
});

const search = {
  bindings: { x: 'read', entries: 'read', halves: 'read', codes: 'readWrite', residual: 'readWrite' },
  parameters: { rows: 'u32', dimension: 'u32', padded: 'u32', stages: 'u32', kept: 'u32', xOffset: 'u32' },
} as const;

/** Rows a workgroup of `residualCodesTiled`, and codes a thread. */
export const TILED = { rows: 16, codesPerThread: 4 };

/** Nearest entries, stage by stage, and what they leave over; for GPUs. Grid: rows / TILED.rows. */
export const residualCodesTiled = ownKernel({
  ...search,
  name: 'residual_codes_tiled',
  source: tiledSource,
  constants: rowConstants,
  rows: rowNearest,
});

/** Rows a thread of `residualCodesBroadcast`, and what the number of codes that it is given is a multiple of. */
export const BROADCAST = { rowsPerThread: 8, codes: 32 };

/** The same for CPU drivers with subgroups. Grid: rows / (SUBGROUP * BROADCAST.rowsPerThread). */
export const residualCodesBroadcast = ownKernel({
  ...search,
  name: 'residual_codes_broadcast',
  source: `${broadcastProduct}\n${broadcastSource}`,
  directives: ['enable subgroups;'],
  constants: broadcastConstants(usualHanding),
});

/** Running averages of the rows that chose each entry, and their number. Grid: codes. */
export const codebookSums = ownKernel({
  name: 'codebook_sums',
  source: sumsSource,
  bindings: {
    x: 'read',
    codes: 'read',
    oldAverages: 'read',
    oldSizes: 'read',
    averages: 'readWrite',
    sizes: 'readWrite',
  },
  parameters: {
    rows: 'u32',
    dimension: 'u32',
    decay: 'f32',
    share: 'f32',
    codes: 'u32',
    xOffset: 'u32',
    codesOffset: 'u32',
    averagesOffset: 'u32',
    sizesOffset: 'u32',
  },
  constants: {},
});

/** Entries from running averages and sizes, and new ones for those that are hardly used. Grid: codes. */
export const codebookEntries = ownKernel({
  name: 'codebook_entries',
  source: entriesSource,
  bindings: {
    x: 'read',
    picks: 'read',
    sizes: 'read',
    averages: 'readWrite',
    entries: 'readWrite',
    newSizes: 'readWrite',
  },
  parameters: {
    dimension: 'u32',
    codes: 'u32',
    epsilon: 'f32',
    threshold: 'f32',
    xOffset: 'u32',
    picksOffset: 'u32',
    rows: 'u32',
  },
  constants: {},
});
