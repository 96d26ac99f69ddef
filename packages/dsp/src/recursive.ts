import { add, cachedTable, matmul, pad, reshape, sliceAxis, type Tensor } from '@dawnchorus/tensor';

/** Samples that one product of matrices goes through. */
const BLOCK = 64;
/**
 * Binary places of the numbers that a state is worked out in: the powers of many poles near 1 cancel each other by far more
 * digits than f64 has.
 */
const PLACES = 1024n;
const ONE = 1n << PLACES;
/** Poles slower than this, in samples, count as such when a state is chosen. */
const HORIZON = 2 ** 14;

/** A matrix of numbers in f64, row by row. */
type Matrix = readonly (readonly number[])[];

const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const transposed = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]));
const identity = (size: number): Matrix =>
  Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => (i === j ? 1 : 0)));

function fixed(value: number): bigint {
  let [whole, places] = [value, 0n];
  for (; !Number.isInteger(whole); whole *= 2) places++;
  return (BigInt(whole) << PLACES) >> places;
}
/** Half of the places are left to the number, so that it overflows as little as it loses digits. */
const float = (x: bigint): number => Number(x >> (PLACES / 2n)) / 2 ** Number(PLACES / 2n);
const times = (x: bigint, y: bigint): bigint => (x * y) >> PLACES;
const over = (x: bigint, y: bigint): bigint => (x << PLACES) / y;

/** The coefficients of z^-k times rate^k: poles and zeros come nearer to 0. */
function damped(coefficients: readonly number[], rate: number, size: number): bigint[] {
  let power = ONE;
  return Array.from({ length: size }, (_, k) => {
    if (k > 0) power = times(power, fixed(rate));
    return times(fixed(coefficients[k] ?? 0), power);
  });
}

/**
 * The polynomials of order 0 to that of a whose reflection coefficients it has (Levinson's recursion backwards), or
 * undefined where a pole does not lie within the unit circle (Schur and Cohn's test).
 */
function stepDown(a: readonly bigint[]): { polynomials: bigint[][]; reflections: bigint[] } | undefined {
  const polynomials = [[...a]];
  const reflections: bigint[] = [];
  for (let order = a.length - 1; order > 0; order--) {
    const own = polynomials[0];
    const k = own[order];
    const rest = ONE - times(k, k);
    if (rest <= 0n) return undefined;
    polynomials.unshift(own.slice(0, order).map((value, i) => over(value - times(k, own[order - i]), rest)));
    reflections.unshift(k);
  }
  return { polynomials, reflections };
}

/** z[n] = A z[n - 1] + B x[n], y[n] = C z[n]. */
interface StateSpace {
  readonly a: Matrix;
  readonly b: Matrix;
  readonly c: Matrix;
}

/**
 * The filter of coefficients b and a (a[0] = 1) with a state of which white noise makes every part equally large and no two
 * alike: that of the normalised lattice (Gray and Markel, 1975), the backward prediction errors over their deviations. No
 * step makes it longer, and rounding in f32 costs no more than the filter itself would make of noise, also with many poles
 * near 1, where the last outputs as a state would lose all digits. Poles that are not within the unit circle are brought
 * there for it, and the state grows by as much as they were moved.
 */
function stateSpace(b: readonly number[], a: readonly number[]): StateSpace {
  const size = Math.max(b.length, a.length - 1);
  let rate = 1 - 1 / HORIZON;
  let lattice = stepDown(damped(a, rate, size + 1));
  while (!lattice) {
    rate = Math.max(1 - 2 * (1 - rate), rate / 2);
    lattice = stepDown(damped(a, rate, size + 1));
  }
  const { polynomials, reflections } = lattice;
  const k = [1, ...reflections.map(float)];
  const cosine = [1, ...reflections.map((value) => Math.sqrt(float(ONE - times(value, value))))];
  /** What the stages from `low` to under `high` let through. */
  const through = (low: number, high: number) => cosine.slice(low, high).reduce((total, value) => total * value, 1);
  // What the backward errors, from the longest down, give to the output.
  const taps = damped(b, rate, size);
  for (let i = size - 1; i >= 0; i--) {
    for (let j = 0; j < i; j++) taps[j] -= times(taps[i], polynomials[i][i - j]);
  }
  return {
    a: k.slice(0, size).map((own, i) =>
      Array.from({ length: size }, (_, j) => {
        if (j < i - 1) return 0;
        return (j === i - 1 ? cosine[i] : -own * k[j + 1] * through(i + 1, j + 1)) / rate;
      }),
    ),
    b: k.slice(0, size).map((own, i) => [own * through(i + 1, size + 1)]),
    c: [taps.map((value, i) => float(value) / through(i + 1, size + 1))],
  };
}

/** A table under a key `filter; part`. @throws RangeError when f32 cannot hold the filter's answer to a sample within the clip. */
function table(x: Tensor, key: string, columns: number, make: () => Matrix): Tensor {
  const rows = cachedTable(x.device, key, () => {
    const values = Float32Array.from(make().flat());
    if (values.every(Number.isFinite)) return values;
    throw new RangeError(
      `lfilter: f32 cannot hold what ${key.split(';')[0]} makes of one sample within the clip; expected poles within the unit circle, or a shorter clip`,
    );
  });
  return reshape(rows, [-1, columns]);
}

/** What the axis of rows [rows, count, size] held one place before, zero at first. */
const before = (x: Tensor) => pad(sliceAxis(x, 1, 0, x.shape[1] - 1), [0, 0, 1, 0]);

function powersOf(m: Matrix, count: number): Matrix[] {
  const powers = [identity(m.length)];
  for (let i = 0; i < count; i++) powers.push(product(m, powers[i]));
  return powers;
}

/**
 * s[k] = M s[k - 1] + u[k] from s = 0, u [rows, count, size]: within blocks by one product, and the states between the
 * blocks by the same again.
 */
function recurrence(u: Tensor, m: Matrix, key: string): Tensor {
  const [rows, count, size] = u.shape;
  if (count === 1) return u;
  const block = Math.min(count, Math.max(2, Math.floor(BLOCK / size)));
  const powers = powersOf(m, block);
  const blocks = Math.ceil(count / block);
  const width = block * size;
  const input = reshape(pad(u, [0, 0, 0, blocks * block - count]), [rows, blocks, width]);
  // [from, to]: what an element gives to those of its block.
  const within = table(u, `${key} within ${block}`, width, () =>
    Array.from({ length: width }, (_, from) =>
      Array.from({ length: width }, (_, to) => {
        const lag = Math.floor(to / size) - Math.floor(from / size);
        return lag < 0 ? 0 : powers[lag][to % size][from % size];
      }),
    ),
  );
  const local = matmul(input, within);
  if (blocks === 1) return sliceAxis(reshape(local, [rows, block, size]), 1, 0, count);
  const ends = sliceAxis(local, 2, width - size);
  const states = before(recurrence(ends, powers[block], `${key} ${block}`));
  const carried = table(u, `${key} carried ${block}`, width, () =>
    Array.from({ length: size }, (_, from) =>
      Array.from({ length: width }, (_, to) => powers[Math.floor(to / size) + 1][to % size][from]),
    ),
  );
  return sliceAxis(reshape(add(local, matmul(states, carried)), [rows, blocks * block, size]), 1, 0, count);
}

/**
 * The filter of coefficients b and a (a[0] = 1) from rest, x [rows, samples]. Blocks of samples go through it at once, each
 * from rest, by one product; the states in which the blocks leave it follow a recurrence between blocks, and what a block
 * gets from its own first state is another product.
 *
 * @throws RangeError when the filter is unstable and the clip long enough for that to leave f32.
 */
export function recursive(x: Tensor, b: readonly number[], a: readonly number[]): Tensor {
  const key = `filter b [${b}], a [${a}];`;
  const [rows, samples] = x.shape;
  const space = stateSpace(b, a);
  const size = space.a.length;
  const powers = powersOf(space.a, BLOCK);
  const outputs = powers.map((power) => product(space.c, power)[0]);
  const blocks = Math.ceil(samples / BLOCK);
  const input = reshape(pad(x, [0, blocks * BLOCK - samples]), [rows, blocks, BLOCK]);
  const within = table(x, `${key} within`, BLOCK, () => {
    const response = outputs.map((row) => product([row], space.b)[0][0]);
    return Array.from({ length: BLOCK }, (_, from) =>
      Array.from({ length: BLOCK }, (_, to) => (to < from ? 0 : response[to - from])),
    );
  });
  const local = matmul(input, within);
  if (blocks === 1) return sliceAxis(reshape(local, [rows, BLOCK]), 1, 0, samples);
  const leaving = table(x, `${key} leaving`, size, () =>
    Array.from({ length: BLOCK }, (_, from) => transposed(product(powers[BLOCK - 1 - from], space.b))[0]),
  );
  const states = before(recurrence(matmul(input, leaving), powers[BLOCK], key));
  const carried = table(x, `${key} carried`, BLOCK, () =>
    Array.from({ length: size }, (_, from) => Array.from({ length: BLOCK }, (_, to) => outputs[to + 1][from])),
  );
  return sliceAxis(reshape(add(local, matmul(states, carried)), [rows, blocks * BLOCK]), 1, 0, samples);
}
