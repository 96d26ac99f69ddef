import type { RowReduction } from '../contract.ts';
import {
  broadcastProduct as broadcastSource,
  productSide,
  registerProduct as registerSource,
  registerSums,
} from '../generated/wgsl.ts';

/** 8 x 8 sums a thread; see register_product.wgsl. */
export const registerProduct = [registerSums, productSide, registerSource].join('\n');

/** 8 x COLUMNS sums a thread, of subgroups; see broadcast_product.wgsl. */
export const broadcastProduct = [productSide, broadcastSource].join('\n');

/** Constants of kernels whose threads share rows: LANES threads a row, ROWS rows a workgroup, by subgroups or not. */
export const rowConstants = {
  LANES: 'const LANES = 64u;',
  ROWS: 'const ROWS = 1u;',
  SUBGROUPS: 'const SUBGROUPS = false;',
};

/** The same with KEPT elements of a row in the registers of each of its threads, or none. */
export const keptConstants = { ...rowConstants, KEPT: 'const KEPT = 0u;' };

/** Whether a piece is stored at once, and how. */
const wideOutput = (isWide: boolean) =>
  `const WIDE_OUTPUT = ${isWide};\nfn storePiece(at: u32, piece: vec4<f32>) {${isWide ? ' out[at / 4u] = OutElement(piece); ' : ''}}`;

/** Constants of kernels that take rows in pieces of ELEMENTS neighbours, 1 or 4 (fetch_pieces.wgsl, emit_pieces.wgsl). */
export const pieceConstants = {
  ELEMENTS: 'const ELEMENTS = 1u;',
  WIDE_INPUT: 'const WIDE_INPUT = false;',
  WIDE_OUTPUT: wideOutput(false),
};

/** Rows of a multiple of four that begin at one: memory gives and takes four at once. Where nothing is joined, see there. */
const wide = (type: string) => ({
  ELEMENTS: 'const ELEMENTS = 4u;',
  WIDE_INPUT: 'const WIDE_INPUT = true;',
  WIDE_OUTPUT: wideOutput(true),
  OutElement: `alias OutElement = vec4<${type}>;`,
  // Not called, but compiled.
  emit: 'fn emit(at: u32, value: f32) { out[at / 4u] = OutElement(vec4<f32>(value)); }',
});

/** The same of kernels that fetch. */
export const widePieces = (type: string) => ({
  ...wide(type),
  InputElement: `alias InputElement = vec4<${type}>;`,
  fetch: 'fn fetch(at: u32) -> Scalar { return Scalar(input[(params.offset + at) / 4u].x); }',
});

/** The same of kernels that read by themselves. */
export const wideElements = (type: string) => ({ ...wide(type), Element: `alias Element = vec4<${type}>;` });

/** Sums of f32, or of vectors of it. */
export const rowSum = (value: 'f32' | 'vec2<f32>' | 'vec4<f32>' = 'f32'): RowReduction => ({
  value,
  combine: 'return a + b;',
  subgroup: 'return subgroupAdd(value);',
});

/**
 * A softmax's maximum x and y, the sum of exp(. - x), over what was seen so far. Threads that saw nothing hold the least
 * number and 0. The maximum is never NaN; the sum is where an element was. Nothing is subtracted from an equal infinity.
 */
export const rowSoftmax: RowReduction = {
  value: 'vec2<f32>',
  combine: `
  let best = select(a.x, b.x, b.x > a.x);
  let scales = select(exp(vec2<f32>(a.x, b.x) - best), vec2<f32>(1.0), vec2<f32>(a.x, b.x) == vec2<f32>(best));
  return vec2<f32>(best, a.y * scales.x + b.y * scales.y);`,
  subgroup: `
  let best = subgroupMax(value.x);
  return vec2<f32>(best, subgroupAdd(value.y * select(exp(value.x - best), 1.0, value.x == best)));`,
};

/**
 * The same with a weighted sum beside it: (x, y, the sum of w (. - x), the sum of w), for smoothed labels. Where nothing
 * was seen the third is 0, whatever the distance.
 */
export const rowSmoothedSoftmax: RowReduction = {
  value: 'vec4<f32>',
  combine: `
  let best = select(a.x, b.x, b.x > a.x);
  let equal = vec2<f32>(a.x, b.x) == vec2<f32>(best);
  let shifts = select(vec2<f32>(a.x, b.x) - best, vec2<f32>(), equal);
  let scales = select(exp(shifts), vec2<f32>(1.0), equal);
  let moved = vec2<f32>(a.z, b.z) + select(vec2<f32>(), vec2<f32>(a.w, b.w) * shifts, vec2<f32>(a.w, b.w) > vec2<f32>());
  return vec4<f32>(best, a.y * scales.x + b.y * scales.y, moved.x + moved.y, a.w + b.w);`,
  subgroup: `
  let best = subgroupMax(value.x);
  let shift = select(value.x - best, 0.0, value.x == best);
  let moved = value.z + select(0.0, value.w * shift, value.w > 0.0);
  let sums = subgroupAdd(vec3<f32>(value.y * select(exp(shift), 1.0, shift == 0.0), moved, value.w));
  return vec4<f32>(best, sums);`,
};

/** The nearest of codes: its score as bits that are in the order of the numbers, and its number, the lower on ties. */
export const rowNearest: RowReduction = {
  value: 'vec2<u32>',
  combine: 'return select(a, b, b.x < a.x || (b.x == a.x && b.y < a.y));',
  subgroup: `
  let best = subgroupMin(value.x);
  return vec2<u32>(best, subgroupMin(select(0xffffffffu, value.y, value.x == best)));`,
};

/** By the `combine` in front of a kernel, of its `Scalar`; over subgroups by its `combineSubgroup`. */
export const rowCombine: RowReduction = {
  value: 'Scalar',
  combine: 'return combine(a, b);',
  subgroup: 'return combineSubgroup(value);',
};

export { rowReduce, rowReduceSubgroups } from '../generated/wgsl.ts';
