import { type NDArray, sizeOf, toHalf } from './array.ts';

type Words = readonly [number, number, number, number];

/** Philox4x32-10 with 64-bit products in BigInt, straight from Salmon et al. (2011), section 3.3 and table 2. */
export function philox(counter: Words, key: readonly [number, number]): Words {
  let [c0, c1, c2, c3] = counter.map(BigInt);
  let [k0, k1] = key.map(BigInt);
  const mask = 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const product0 = 0xd2511f53n * c0;
    const product1 = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(product1 >> 32n) ^ c1 ^ k0, product1 & mask, (product0 >> 32n) ^ c3 ^ k1, product0 & mask];
    k0 = (k0 + 0x9e3779b9n) & mask;
    k1 = (k1 + 0xbb67ae85n) & mask;
  }
  return [Number(c0), Number(c1), Number(c2), Number(c3)];
}

interface Key {
  seed: number;
  stream: number;
}

const low = (value: number) => value >>> 0;
const high = (value: number) => Math.floor(value / 2 ** 32) >>> 0;

/** Draws in [0, 1) of 24 bits: element i is word i % 4 of block i / 4. */
export function unitDraws(count: number, { seed, stream }: Key): Float64Array {
  const draws = new Float64Array(count);
  for (let block = 0; block * 4 < count; block++) {
    const words = philox([block, 0, low(stream), high(stream)], [low(seed), high(seed)]);
    for (let j = 0; j < 4 && block * 4 + j < count; j++) draws[block * 4 + j] = (words[j] >>> 8) / 2 ** 24;
  }
  return draws;
}

type Draw = Key & { shape: readonly number[]; dtype?: 'f32' | 'f16' };

export function uniform({ low: from, high: to, ...draw }: Draw & { low: number; high: number }): NDArray {
  const { dtype = 'f32' } = draw;
  const data = unitDraws(sizeOf(draw.shape), draw).map((u) => from + u * (to - from));
  // What a half would round up to the upper bound goes to the lower one.
  return { dtype, shape: draw.shape, data: data.map((x) => (dtype === 'f16' && toHalf(x) >= to ? from : x)) };
}

/** Box and Muller over pairs of draws. */
export function normal({ mean, std, ...draw }: Draw & { mean: number; std: number }): NDArray {
  const size = sizeOf(draw.shape);
  const u = unitDraws(Math.ceil(size / 4) * 4, draw);
  const data = new Float64Array(size);
  for (let i = 0; i < size; i++) {
    const pair = i - (i % 2);
    const radius = Math.sqrt(-2 * Math.log(1 - u[pair]));
    const angle = 2 * Math.PI * u[pair + 1];
    data[i] = mean + std * radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle));
  }
  return { dtype: draw.dtype ?? 'f32', shape: draw.shape, data };
}

export function dropout(x: NDArray, { p, ...key }: Key & { p: number }): NDArray {
  const u = unitDraws(x.data.length, key);
  return { ...x, data: x.data.map((value, i) => (u[i] >= Math.fround(p) ? value / (1 - p) : 0)) };
}
