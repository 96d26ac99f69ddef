import { gridStart, ownKernel } from '../contract.ts';
import {
  attentionMatrix,
  attentionMatrixKeys,
  attentionMatrixParts,
  attentionMatrixQueries,
  attentionParams,
  attentionScores,
  attentionScoresBroadcast,
  attentionSoftmax,
  attentionStatistics,
  attentionSums,
  attentionSumsBroadcast,
  attentionTiled,
  attentionTiledKeys,
  attentionTiledQueries,
  attentionTiles,
  attentionTilesGradient,
  attentionWeights,
  draws,
} from '../generated/wgsl.ts';
import { broadcastProduct, registerProduct } from '../lib/index.ts';
import { broadcastConstants, usualHanding } from '../matmul/index.ts';

const strides = <const T extends string>(name: T) =>
  ({
    [`${name}Offset`]: 'u32',
    [`${name}Batch`]: 'u32',
    [`${name}Head`]: 'u32',
    [`${name}Row`]: 'u32',
    [`${name}Column`]: 'u32',
  }) as { readonly [K in `${T}${'Offset' | 'Batch' | 'Head' | 'Row' | 'Column'}`]: 'u32' };

/** Those of every kernel of attention: see attention_params.wgsl. */
const parameters = {
  heads: 'u32',
  queries: 'u32',
  keys: 'u32',
  pairs: 'u32',
  first: 'u32',
  size: 'u32',
  chunks: 'u32',
  scale: 'f32',
  dropped: 'f32',
  kept: 'f32',
  ...strides('q'),
  ...strides('k'),
  ...strides('v'),
  ...strides('g'),
  visibleOffset: 'u32',
  visibleBatch: 'u32',
  visibleKey: 'u32',
  seedLow: 'u32',
  seedHigh: 'u32',
  streamLow: 'u32',
  streamHigh: 'u32',
  stepOffset: 'u32',
  ...gridStart,
} as const;

const constants = {
  SIZE: 'const SIZE = 64u;',
  MASKED: 'const MASKED = true;',
  CAUSAL: 'const CAUSAL = false;',
  DROPS: 'const DROPS = true;',
  STEPPED: 'const STEPPED = true;',
  Element: 'alias Element = f32;',
};

const source = (own: string) => [draws, attentionParams, own].join('\n');

/**
 * `alias Stored` and functions `readQ(row, chunk)`, …: four neighbours of a row, zeros past its end. `wide` where they lie
 * together in memory, at multiples of four elements; offsets and strides then count fours.
 */
export function readers(names: string, wide: boolean): string {
  const body = (name: string) =>
    wide
      ? `return vec4<f32>(${name}[row + chunk]);`
      : `let d = vec4<u32>(4u * chunk) + vec4<u32>(0u, 1u, 2u, 3u);
  let at = row + min(d, vec4<u32>(SIZE - 1u)) * params.${name === 'y' ? 'q' : name}Column;
  let x = vec4<f32>(f32(${name}[at.x]), f32(${name}[at.y]), f32(${name}[at.z]), f32(${name}[at.w]));
  return select(vec4<f32>(), x, d < vec4<u32>(SIZE));`;
  const read = (name: string) =>
    `fn read${name.toUpperCase()}(row: u32, chunk: u32) -> vec4<f32> {\n  ${body(name)}\n}`;
  return [`alias Stored = ${wide ? 'vec4<Element>' : 'Element'};`, ...[...names].map(read)].join('\n');
}

/** Functions `writeOut(at, chunk, value)`, …: the reverse of `readers`, for dense outputs. `at` counts elements. */
export function writers(names: readonly string[], wide: boolean): string {
  const body = (name: string) =>
    wide
      ? `${name}[at / 4u + chunk] = Stored(value);`
      : `for (var j = 0u; j < min(4u, SIZE - 4u * chunk); j++) { ${name}[at + 4u * chunk + j] = Element(value[j]); }`;
  return names
    .map((name) => {
      const title = name[0].toUpperCase() + name.slice(1);
      return `fn write${title}(at: u32, chunk: u32, value: vec4<f32>) {\n  ${body(name)}\n}`;
    })
    .join('\n');
}

/** What both gradients read. */
const gradientInputs = { q: 'read', k: 'read', v: 'read', g: 'read', visible: 'read', statistics: 'read' } as const;

/** Scores, or weights and their slopes, of some heads; one thread 8 x 8. Grid: (keys / 64, queries / 64, pairs). */
export const scores = ownKernel({
  name: 'attention_scores',
  source: source([attentionWeights, registerProduct, attentionScores].join('\n')),
  bindings: { ...gradientInputs, weights: 'readWrite', slopes: 'readWrite' },
  parameters,
  constants: { ...constants, GRADIENT: 'const GRADIENT = true;' },
});

/** As `scores`, 8 x COLUMNS a thread, at most 32, of subgroups by themselves. Grid: (keys / COLUMNS, queries / (8 SUBGROUP), pairs). */
export const scoresBroadcast = ownKernel({
  ...scores,
  name: 'attention_scores_broadcast',
  source: source([attentionWeights, broadcastProduct, attentionScoresBroadcast].join('\n')),
  directives: ['enable subgroups;'],
  constants: { ...scores.constants, ...broadcastConstants(usualHanding, { products: 2 }) },
});

/** Softmax of scores, in place; a thread a row. Grid: (queries / 8, 1, pairs). */
export const softmaxOfScores = ownKernel({
  name: 'attention_softmax',
  source: source(attentionSoftmax),
  bindings: { steps: 'read', weights: 'readWrite', logSums: 'readWrite', reciprocals: 'readWrite' },
  parameters,
  constants,
});

/** Sums weighed by what `scores` made; one thread 8 x 8. Grid: (size / 64, rows / 64, pairs). */
export const sums = ownKernel({
  name: 'attention_sums',
  source: source([registerProduct, attentionSums].join('\n')),
  bindings: { weights: 'read', b: 'read', reciprocals: 'read', out: 'readWrite' },
  parameters,
  constants: { ...constants, FORWARD: 'const FORWARD = false;', TRANSPOSED: 'const TRANSPOSED = true;' },
});

/** As `sums`, 8 x COLUMNS a thread, of subgroups by themselves. Grid: (size / COLUMNS, rows / (8 SUBGROUP), pairs). */
export const sumsBroadcast = ownKernel({
  ...sums,
  name: 'attention_sums_broadcast',
  source: source([broadcastProduct, attentionSumsBroadcast].join('\n')),
  directives: ['enable subgroups;'],
  constants: { ...sums.constants, ...broadcastConstants(usualHanding) },
});

/** What the backward passes need of each query. Grid: linear, 64 queries a workgroup. */
export const statistics = ownKernel({
  name: 'attention_statistics',
  source: source(attentionStatistics),
  bindings: { y: 'read', g: 'read', logSums: 'read', steps: 'read', statistics: 'readWrite' },
  parameters,
  constants: { ...constants, read: readers('yg', true) },
});

const byTiles = (...own: string[]) => source([attentionTiles, ...own].join('\n'));

const tiles = {
  ROWS: 'const ROWS = 64u;',
  COLUMNS: 'const COLUMNS = 64u;',
  TALL: 'const TALL = 32u;',
  SPAN: 'const SPAN = 16u;',
};

/** Forward, a tile of queries a workgroup. Grid: (queries / ROWS, 1, pairs). */
export const tiled = ownKernel({
  name: 'attention_tiled',
  source: byTiles(attentionTiled),
  bindings: {
    q: 'read',
    k: 'read',
    v: 'read',
    visible: 'read',
    steps: 'read',
    out: 'readWrite',
    logSums: 'readWrite',
  },
  parameters,
  constants: { ...constants, ...tiles, read: readers('qkv', true), write: writers(['out'], true) },
});

/** Gradient of q, a tile of queries a workgroup. Grid: (queries / ROWS, 1, pairs). */
export const tiledQueries = ownKernel({
  name: 'attention_tiled_queries',
  source: byTiles(attentionTilesGradient, attentionTiledQueries),
  bindings: { ...gradientInputs, out: 'readWrite' },
  parameters,
  constants: { ...constants, ...tiles, read: readers('qkvg', true), write: writers(['out'], true) },
});

/** Gradients of k and v, a tile of keys a workgroup. Grid: (keys / COLUMNS, 1, pairs). */
export const tiledKeys = ownKernel({
  name: 'attention_tiled_keys',
  source: byTiles(attentionTilesGradient, attentionTiledKeys),
  bindings: { ...gradientInputs, dk: 'readWrite', dv: 'readWrite' },
  parameters,
  constants: { ...constants, ...tiles, read: readers('qkvg', true), write: writers(['dk', 'dv'], true) },
});

const byMatrixUnits = (own: string) => source([attentionMatrixParts, own].join('\n'));

const directives = [
  'enable f16;',
  'enable subgroups;',
  'enable chromium_experimental_subgroup_matrix;',
  // Which subgroup a thread is of follows from its number, which the compiler cannot know.
  'diagnostic(off, chromium.subgroup_matrix_uniformity);',
];

const units = {
  UNIT: 'const UNIT_M = 16u; const UNIT_N = 16u; const UNIT_K = 16u;',
  SUBGROUP: 'const SUBGROUP = 32u;',
  ROWS: 'const ROWS = 32u;',
  COLUMNS: 'const COLUMNS = 32u;',
};

/** As `tiled`, of halves, by matrix units and subgroups that must all be of one size. Grid: (queries / ROWS, 1, pairs). */
export const matrix = ownKernel({
  ...tiled,
  name: 'attention_matrix',
  source: byMatrixUnits(attentionMatrix),
  directives,
  constants: { ...constants, ...units, read: readers('qkv', true), write: writers(['out'], true) },
});

/** As `tiledQueries`, by matrix units. */
export const matrixQueries = ownKernel({
  ...tiledQueries,
  name: 'attention_matrix_queries',
  source: byMatrixUnits(attentionMatrixQueries),
  directives,
  constants: { ...constants, ...units, read: readers('qkvg', true), write: writers(['out'], true) },
});

/** As `tiledKeys`, by matrix units. Grid: (keys / ROWS, 1, pairs). */
export const matrixKeys = ownKernel({
  ...tiledKeys,
  name: 'attention_matrix_keys',
  source: byMatrixUnits(attentionMatrixKeys),
  directives,
  constants: { ...constants, ...units, read: readers('qkvg', true), write: writers(['dk', 'dv'], true) },
});
