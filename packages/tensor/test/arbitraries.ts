import fc from 'fast-check';
import { type DType, expand, permute, sliceAxis, type Tensor, tensor } from '../src/index.ts';
import { build, eachIndex, flatIndex, isWhole, type NDArray, sizeOf, store } from './reference/array.ts';
import { seed } from './seed.ts';

/** So many draws as the environment asks for. */
export const runs = {
  numRuns: Number(process.env.FAST_CHECK_RUNS ?? process.env.USUAL_RUNS ?? 25),
  seed,
  includeErrorInReport: true,
};

/** Uniform numbers in [0, 1) from a seed: mulberry32. Draws made this way need no shrinking, only their shapes do. */
export type Random = () => number;

export function randomFrom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

export const integer = (random: Random, from: number, to: number) => from + Math.floor(random() * (to - from + 1));
export const pick = <T>(random: Random, from: readonly T[]): T => from[Math.floor(random() * from.length)];

/** Empty, one, primes, and one over powers of two that tiles are made of. */
export const extents = [0, 1, 1, 2, 3, 5, 7, 13, 33, 65];
const LARGEST = 1500;

/** Extents cut down until at most `largest` elements are left. */
function bounded(shape: readonly number[], largest: number): number[] {
  let size = 1;
  return shape.map((extent) => {
    const kept = Math.min(extent, Math.floor(largest / size));
    if (kept > 0) size *= kept;
    return kept;
  });
}

export function shapes({ minRank = 0, maxRank = 5, largest = LARGEST, empty = true } = {}): fc.Arbitrary<number[]> {
  const extent = fc.constantFrom(...(empty ? extents : extents.filter((value) => value > 0)));
  return fc.array(extent, { minLength: minRank, maxLength: maxRank }).map((shape) => bounded(shape, largest));
}

/**
 * A shape and a source of random numbers, turned into whatever a test needs. A counterexample is reported as the shape and
 * the seed that it came from.
 */
export function drawn<T extends object>(
  options: Parameters<typeof shapes>[0],
  make: (shape: number[], random: Random) => T,
): fc.Arbitrary<T> {
  return fc.record({ shape: shapes(options), seed: fc.nat() }).map(({ shape, seed }) => {
    const name = { value: () => `drawn from shape [${shape}] and seed ${seed}` };
    return Object.defineProperty(make(shape, randomFrom(seed)), fc.toStringMethod, name);
  });
}

/** Part of a shape that broadcasts back to it: fewer leading axes, some extents 1. */
export function broadcastPart(shape: readonly number[], random: Random): number[] {
  return shape.slice(random() < 0.3 ? integer(random, 0, shape.length) : 0).map((e) => (random() < 0.25 ? 1 : e));
}

/** Draws one element; ranges are chosen per operation. */
export type Domain = (random: Random) => number;

/** Away from zero where a fraction becomes a whole number, so that domains without zero stay so. */
export function toDtype(value: number, dtype: DType): number {
  if (!isWhole(dtype)) return store(value, dtype);
  if (dtype === 'bool') return Number(value > 0);
  const whole = Math.sign(value) * Math.ceil(Math.abs(value));
  return store(dtype === 'u32' ? Math.abs(whole) : whole, dtype);
}

export const between =
  (low: number, high: number): Domain =>
  (random) =>
    low + random() * (high - low);

export function arrayOf(shape: readonly number[], random: Random, domain = between(-2, 2), dtype: DType = 'f32') {
  return build(shape, dtype, () => toDtype(domain(random), dtype));
}

/** Ways to hold the same values in memory. */
export const presentations = ['dense', 'transposed', 'sliced', 'strided', 'expanded'] as const;
export type Presentation = (typeof presentations)[number];

/** Stands where a view must not look. */
const GARBAGE: Record<DType, number> = { f32: 1e30, f16: 6e4, i32: 1_234_567, u32: 1_234_567, bool: 1 };

export function upload({ data, shape, dtype }: NDArray): Tensor {
  const values = !isWhole(dtype) ? Float32Array : dtype === 'i32' ? Int32Array : Uint32Array;
  return tensor(values.from(data), { shape, dtype });
}

/** Garbage with the values at `place(index)`. */
function embed(x: NDArray, shape: readonly number[], place: (index: readonly number[]) => number[]): Tensor {
  const data = new Float64Array(sizeOf(shape)).fill(GARBAGE[x.dtype]);
  eachIndex(x.shape, (index, flat) => {
    data[flatIndex(shape, place(index))] = x.data[flat];
  });
  return upload({ dtype: x.dtype, shape, data });
}

/**
 * A tensor in the given presentation, and the values that it holds: those of x, except that an expanded tensor repeats
 * the first element along one axis. Where the rank is too low for a presentation the tensor is dense.
 */
export function present(x: NDArray, presentation: Presentation, axis = 0): { values: NDArray; tensor: Tensor } {
  const { shape } = x;
  const rank = shape.length;
  const last = rank - 1;
  if (rank === 0 || presentation === 'dense') return { values: x, tensor: upload(x) };
  if (presentation === 'transposed') {
    const reversed = [...shape].reverse();
    const axes = shape.map((_, d) => last - d);
    return {
      values: x,
      tensor: permute(
        embed(x, reversed, (index) => [...index].reverse()),
        axes,
      ),
    };
  }
  if (presentation === 'sliced') {
    // Padded on the first and the last axis, so that there is an offset and a gap between rows.
    const padded = shape.map((extent, d) => extent + (d === 0 ? 3 : 0) + (d === last ? 2 : 0));
    const whole = embed(x, padded, (index) => index.map((i, d) => i + (d === 0 ? 2 : 0) + (d === last ? 1 : 0)));
    const first = sliceAxis(whole, 0, rank === 1 ? 3 : 2, shape[0] + (rank === 1 ? 3 : 2));
    return { values: x, tensor: rank === 1 ? first : sliceAxis(first, last, 1, shape[last] + 1) };
  }
  if (presentation === 'strided') {
    // Rows stay twice as far apart as their length, so that kernels may walk them as one.
    const doubled = shape.map((extent, d) => (d === last ? extent * 2 : extent));
    const whole = embed(x, doubled, (index) => index.map((i, d) => (d === last ? i * 2 + 1 : i)));
    return { values: x, tensor: sliceAxis(whole, last, 1, shape[last] * 2, 2) };
  }
  // One slice of a whole tensor repeats, so that the other strides stay those of the whole.
  const along = axis % rank;
  if (sizeOf(shape) === 0) return { values: x, tensor: upload(x) };
  const first = (index: readonly number[]) => index.map((i, d) => (d === along ? 0 : i));
  const values = build(shape, x.dtype, (index) => x.data[flatIndex(shape, first(index))]);
  return { values, tensor: expand(sliceAxis(embed(values, shape, first), along, 0, 1), shape) };
}
