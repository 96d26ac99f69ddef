import { add, cachedTable, matmul, pad, reshape, sliceAxis, type Tensor } from '@dawnchorus/tensor';

/** Samples that one product of matrices goes through. */
const BLOCK = 64;
/** The state's covariance is summed over 2 to this power of samples. */
const DOUBLINGS = 14;

/** A matrix of numbers in f64, row by row. */
type Matrix = readonly (readonly number[])[];

const product = (a: Matrix, b: Matrix): Matrix =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, k) => sum + value * b[k][j], 0)));
const transposed = (a: Matrix): Matrix => a[0].map((_, j) => a.map((row) => row[j]));
const identity = (size: number): Matrix =>
  Array.from({ length: size }, (_, i) => Array.from({ length: size }, (_, j) => (i === j ? 1 : 0)));

/** The lower triangle whose product with its transpose is a; what rounding made negative counts as next to nothing. */
function cholesky(a: Matrix): Matrix {
  const l = a.map((row) => row.map(() => 0));
  for (let i = 0; i < a.length; i++) {
    for (let j = 0; j <= i; j++) {
      let rest = a[i][j];
      for (let k = 0; k < j; k++) rest -= l[i][k] * l[j][k];
      l[i][j] = i === j ? Math.sqrt(Math.max(rest, 1e-15 * a[i][i])) : rest / l[j][j];
    }
  }
  return l;
}

/** The inverse of a lower triangle times b. */
function solveLower(l: Matrix, b: Matrix): Matrix {
  const x: number[][] = [];
  for (const [i, row] of l.entries()) {
    x.push(b[i].map((value, j) => (value - x.reduce((sum, own, k) => sum + row[k] * own[j], 0)) / row[i]));
  }
  return x;
}

/** z[n] = A z[n - 1] + B x[n], y[n] = C z[n]. */
interface StateSpace {
  readonly a: Matrix;
  readonly b: Matrix;
  readonly c: Matrix;
}

/**
 * The filter of coefficients b and a (a[0] = 1) with a state of which white noise makes every part equally large and no two
 * alike (the input-normal form, Mullis and Roberts, 1976): no step makes it longer, and rounding in f32 costs no more than the
 * filter itself would make of noise, also with poles near 1, where the last outputs as a state would lose three digits.
 */
function stateSpace(b: readonly number[], a: readonly number[]): StateSpace {
  const size = Math.max(b.length, a.length - 1);
  const companion = Array.from({ length: size }, (_, i) =>
    Array.from({ length: size }, (_, j) => (i === 0 ? -(a[j + 1] ?? 0) : i === j + 1 ? 1 : 0)),
  );
  let covariance = identity(size).map((row, i) => row.map((value) => (i === 0 ? value : 0)));
  let power: Matrix = companion;
  for (let i = 0; i < DOUBLINGS; i++) {
    const more = product(product(power, covariance), transposed(power));
    const next = covariance.map((row, r) => row.map((value, c) => value + more[r][c]));
    // Of an unstable filter it grows without bounds; what there is serves as well as any.
    if (!next.flat().every((value) => Math.abs(value) < 1e100)) break;
    covariance = next;
    power = product(power, power);
  }
  const l = cholesky(covariance);
  const start = Array.from({ length: size }, (_, i) => [i === 0 ? 1 : 0]);
  return {
    a: solveLower(l, product(companion, l)),
    b: solveLower(l, start),
    c: product([Array.from({ length: size }, (_, i) => b[i] ?? 0)], l),
  };
}

function table(x: Tensor, key: string, columns: number, make: () => Matrix): Tensor {
  return reshape(
    cachedTable(x.device, key, () => Float32Array.from(make().flat())),
    [-1, columns],
  );
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
 */
export function recursive(x: Tensor, b: readonly number[], a: readonly number[]): Tensor {
  const key = `iir ${b} / ${a}`;
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
