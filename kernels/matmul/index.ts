import { emit, gridStart, ownKernel, prepare } from '../contract.ts';
import {
  matmulBroadcast as broadcastSource,
  matrixProduct,
  matmulOperands as operandsSource,
  matmulProduct as productSource,
  matmulRegister as registerSource,
  matmulSumSplits as sumSplitsSource,
  tileProduct,
} from '../generated/wgsl.ts';
import { broadcastProduct, registerProduct } from '../lib/index.ts';

const bindings = { a: 'read', b: 'read', out: 'readWrite' } as const;
/** Strides in elements; a batch index is split as (outer, inner) so that attention heads need no copy. */
const operands = {
  m: 'u32',
  n: 'u32',
  k: 'u32',
  batchInner: 'u32',
  aOffset: 'u32',
  bOffset: 'u32',
  aRow: 'u32',
  aColumn: 'u32',
  bRow: 'u32',
  bColumn: 'u32',
  aBatchOuter: 'u32',
  aBatchInner: 'u32',
  bBatchOuter: 'u32',
  bBatchInner: 'u32',
} as const;

/** 8 x 8 outputs a thread, no workgroup memory. Grid: (n / 64, m / 64, batch). */
export const matmulRegister = ownKernel({
  name: 'matmul_register',
  source: `${registerProduct}\n${operandsSource}\n${registerSource}`,
  bindings,
  parameters: { ...operands, ...gridStart },
  constants: {
    AElement: 'alias AElement = f32;',
    BElement: 'alias BElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
});

/** How the threads of a subgroup, of so many, hand columns round: how many at a time, a multiple of these, and of how many terms. */
export interface BroadcastLayout {
  readonly subgroup: number;
  readonly columns: 16 | 32 | 64;
  readonly terms: 1 | 2;
}

/** `length`: the terms of a sum, where their number is known; `products`: of how many products the sums are kept at a time. */
export function broadcastConstants(
  { subgroup, columns, terms }: BroadcastLayout,
  { length, products = 1 }: { length?: number; products?: number } = {},
) {
  const rest = length === undefined ? terms > 1 : length % terms !== 0;
  return {
    SUBGROUP: `const SUBGROUP = ${subgroup}u; const COLUMNS = ${columns}u; const PRODUCTS = ${products}u;`,
    TERMS: `const TERMS = ${terms}u; const REST = ${rest};`,
  };
}

/** What a kernel has unless it is said. */
export const usualHanding: BroadcastLayout = { subgroup: 8, columns: 32, terms: 2 };

/** 8 x COLUMNS outputs a thread, of subgroups by themselves. Grid: (n / COLUMNS, m / (8 SUBGROUP), batch). */
export const matmulBroadcast = ownKernel({
  name: 'matmul_broadcast',
  source: `${broadcastProduct}\n${operandsSource}\n${broadcastSource}`,
  directives: ['enable subgroups;'],
  bindings,
  parameters: { ...operands, ...gridStart },
  constants: {
    ...broadcastConstants(usualHanding),
    AElement: 'alias AElement = f32;',
    BElement: 'alias BElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
});

/** `fn fourOfA(at, step, valid) -> vec4<f32>`: the first `valid` (from 1) of four elements `step` apart, then zeros. */
export function fourByElements(name: 'A' | 'B'): string {
  const array = name.toLowerCase();
  const element = (i: number) => (i === 0 ? `f32(${array}[at])` : `f32(${array}[at + min(${i}u, valid - 1u) * step])`);
  return (
    `fn fourOf${name}(at: u32, step: u32, valid: u32) -> vec4<f32> {\n` +
    `  let four = vec4<f32>(${[0, 1, 2, 3].map(element).join(', ')});\n` +
    '  return select(vec4<f32>(), four, vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(valid));\n}'
  );
}

/** The same where four neighbours are always there together, at a multiple of four, and the array is one of vectors. */
export function fourByVector(name: 'A' | 'B'): string {
  return `fn fourOf${name}(at: u32, step: u32, valid: u32) -> vec4<f32> { return vec4<f32>(${name.toLowerCase()}[at / 4u]); }`;
}

/** What `matmulProduct` expects behind it. */
const wide = (count: number, type: string, read: string) => `const WIDE = ${count}u;
alias Wide = ${type};
fn wideOfA(at: u32, step: u32, valid: u32) -> Wide { return ${read}A(at, step, valid); }
fn wideOfB(at: u32, step: u32, valid: u32) -> Wide { return ${read}B(at, step, valid); }
`;

/** How a product is cut into tiles: a workgroup's outputs, a thread's, and k at a time. */
export interface Tiling {
  readonly m: number;
  readonly n: number;
  readonly rows: number;
  readonly columns: number;
  readonly step: number;
  /** Of the step, what is written out in one turn of the loop. */
  readonly turn?: number;
}

/** The constants that say so to a kernel. */
export const tileConstants = ({ m, n, rows, columns, step, turn = 2 }: Tiling) =>
  `const TILE_M = ${m}u; const TILE_N = ${n}u; const ROWS = ${rows}u; const COLUMNS = ${columns}u; ` +
  `const STEP = ${step}u; const TURN = ${turn}u;`;

/**
 * Tiles through workgroup memory, 8 x 8 outputs a thread. Grid: (n / TILE_N, m / TILE_M, batches x
 * splits); `chunk` is what a split sums of k, and the output then has the splits as its first axis.
 */
export const matmulTiled = ownKernel({
  name: 'matmul_tiled',
  source: `${tileProduct}\n${productSource}\n${wide(4, 'vec4<f32>', 'fourOf')}`,
  bindings,
  parameters: { ...operands, chunk: 'u32', batches: 'u32', ...gridStart },
  constants: {
    TILE: tileConstants({ m: 64, n: 64, rows: 8, columns: 8, step: 16 }),
    A_ALONG_K: 'const A_ALONG_K = true;',
    B_ALONG_K: 'const B_ALONG_K = false;',
    AElement: 'alias AElement = f32;',
    BElement: 'alias BElement = f32;',
    fourOfA: fourByElements('A'),
    fourOfB: fourByElements('B'),
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
});

/** `fn eightOfA(at, step, valid) -> Eight`: as fourOfA, of eight. */
export function eightByElements(name: 'A' | 'B'): string {
  const array = name.toLowerCase();
  const four = (first: number) =>
    [0, 1, 2, 3].map((i) => `f32(${array}[at + min(${first + i}u, valid - 1u) * step])`).join(', ');
  const places = (first: number) => [0, 1, 2, 3].map((i) => `${first + i}u`).join(', ');
  const masked = (first: number) =>
    `select(vec4<f32>(), vec4<f32>(${four(first)}), vec4<u32>(${places(first)}) < vec4<u32>(valid))`;
  return `fn eightOf${name}(at: u32, step: u32, valid: u32) -> Eight {\n  return eightOf(${masked(0)}, ${masked(4)});\n}`;
}

/** The same where eight neighbours are always there together, at a multiple of eight, and the array is one of vectors. */
export function eightByVector(name: 'A' | 'B'): string {
  return `fn eightOf${name}(at: u32, step: u32, valid: u32) -> Eight { return Eight(${name.toLowerCase()}[at / 8u], vec4<u32>()); }`;
}

/** The same of f32, two vectors of four together. */
export function eightByFours(name: 'A' | 'B'): string {
  const array = name.toLowerCase();
  return (
    `fn eightOf${name}(at: u32, step: u32, valid: u32) -> Eight ` +
    `{ return eightOf(${array}[at / 4u], ${array}[at / 4u + 1u]); }`
  );
}

/** `fn loadLeft(at)` or `fn loadRight(at)`: a fragment of a tile, whose rows are rows of it or columns. */
export function fragmentLoader(which: 'Left' | 'Right', rowMajor: boolean): string {
  const order = rowMajor ? 'row_major' : 'col_major';
  const stride = which === 'Left' ? 'A_STRIDE' : 'B_STRIDE';
  return `fn load${which}(at: u32) -> ${which} { return subgroupMatrixLoad<${which}, ${order}>(&tiles, at, ${stride}); }`;
}

/** How a product is cut into tiles for matrix units: a workgroup's outputs, a subgroup's part of them, and k at a time. */
export interface MatrixTiling {
  readonly m: number;
  readonly n: number;
  readonly partM: number;
  readonly partN: number;
  readonly step: number;
}

/** The constants that say so to a kernel. */
export const matrixTileConstants = ({ m, n, partM, partN, step }: MatrixTiling) =>
  `const TILE_M = ${m}u; const TILE_N = ${n}u; const PART_M = ${partM}u; const PART_N = ${partN}u; const STEP = ${step}u;`;

/** What kernels that use matrix units ask for. */
export const matrixDirectives = [
  'enable f16;',
  'enable subgroups;',
  'enable chromium_experimental_subgroup_matrix;',
  // Which subgroup a thread is of follows from its number, which the compiler cannot know.
  'diagnostic(off, chromium.subgroup_matrix_uniformity);',
];

/**
 * Tiles by matrix units, by subgroups that must all be of one size. Grid: (n / TILE_N, m / TILE_M,
 * batches x splits).
 */
export const matmulMatrix = ownKernel({
  name: 'matmul_matrix',
  source: `${matrixProduct}\n${productSource}\n${wide(8, 'Eight', 'eightOf')}`,
  directives: matrixDirectives,
  bindings,
  parameters: { ...operands, chunk: 'u32', batches: 'u32', ...gridStart },
  constants: {
    UNIT: 'const UNIT_M = 16u; const UNIT_N = 16u; const UNIT_K = 16u;',
    SUBGROUP: 'const SUBGROUP = 32u;',
    TILE: matrixTileConstants({ m: 64, n: 64, partM: 32, partN: 32, step: 32 }),
    PARTS: 'const PARTS = 1u;',
    A_ALONG_K: 'const A_ALONG_K = true;',
    B_ALONG_K: 'const B_ALONG_K = false;',
    AElement: 'alias AElement = f32;',
    BElement: 'alias BElement = f32;',
    eightOfA: eightByElements('A'),
    eightOfB: eightByElements('B'),
    loadLeft: fragmentLoader('Left', true),
    loadRight: fragmentLoader('Right', true),
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
});

/** Sums what the splits of a product made. Grid: size / 256. */
export const matmulSumSplits = ownKernel({
  name: 'matmul_sum_splits',
  source: sumSplitsSource,
  bindings: { partial: 'read', out: 'readWrite' },
  parameters: { size: 'u32', splits: 'u32' },
  constants: { OutElement: 'alias OutElement = f32;' },
  hooks: { emit, prepare },
});
