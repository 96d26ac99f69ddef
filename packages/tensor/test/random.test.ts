import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dropout, normal, ones, type Tensor, uniform } from '../src/index.ts';
import './device.ts';
import { philox } from './reference/random.ts';

test('the reference gives the known answers of Random123', () => {
  const ones = 0xffffffff;
  const hex = (words: readonly number[]) => words.map((word) => word.toString(16).padStart(8, '0')).join(' ');
  assert.is(hex(philox([0, 0, 0, 0], [0, 0])), '6627e8d5 e169c58d bc57ac4c 9b00dbd8');
  assert.is(hex(philox([ones, ones, ones, ones], [ones, ones])), '408f276d 41c83b0e a20bc7c6 6d5451fd');
  // The digits of pi.
  const pi = philox([0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0]);
  assert.is(hex(pi), 'd16cfe09 94fdcceb 5001e420 24126ea1');
});

test('the kernel draws the known answer', async () => {
  const draws = await read(uniform([4], { seed: 0, stream: 0 }));
  const expected = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8].map((word) => (word >>> 8) / 2 ** 24);
  assert.equal([...draws], expected);
});

function moments(values: ArrayLike<number>): number[] {
  const list = Array.from(values);
  const mean = list.reduce((a, b) => a + b, 0) / list.length;
  const central = (power: number) => list.reduce((a, b) => a + (b - mean) ** power, 0) / list.length;
  const variance = central(2);
  return [mean, variance, central(3) / variance ** 1.5, central(4) / variance ** 2];
}

/** Five standard errors of each moment's estimate. */
function assertMoments(values: ArrayLike<number>, expected: number[], errors: number[]): void {
  moments(values).forEach((value, i) => {
    const allowed = (5 * errors[i]) / Math.sqrt(values.length);
    assert.ok(
      Math.abs(value - expected[i]) < allowed,
      `moment ${i + 1} is ${value}, expected ${expected[i]} +- ${allowed}`,
    );
  });
}

const COUNT = 200_000;

const read = async (x: Tensor) => (await x.data()) as Float32Array;

test('normal draws have the moments of a normal distribution', async () => {
  const draws = await read(normal([COUNT], { seed: 5, stream: 1 }));
  assertMoments(draws, [0, 1, 0, 3], [1, Math.SQRT2, Math.sqrt(6), Math.sqrt(24)]);
  const shifted = await read(normal([COUNT], { seed: 5, stream: 1, mean: 3, std: 2 }));
  assertMoments(shifted, [3, 4, 0, 3], [2, 4 * Math.SQRT2, Math.sqrt(6), Math.sqrt(24)]);
});

test('uniform draws have the moments of a uniform distribution', async () => {
  const draws = await read(uniform([COUNT], { seed: 6, stream: 1, low: -1, high: 3 }));
  assertMoments(draws, [1, 16 / 12, 0, 1.8], [1.2, 1.3, 2, 2]);
  assert.ok(draws.every((u) => u >= -1 && u < 3));
});

test('uniform draws stay below the upper bound, also where f32 is coarse', async () => {
  // Between 1e6 and 1e6 + 1 there are 16 numbers: every 32nd draw rounds up to the bound itself.
  const draws = await read(uniform([5000], { seed: 7, stream: 0, low: 1e6, high: 1e6 + 1 }));
  assert.ok(
    draws.every((u) => u >= 1e6 && u < 1e6 + 1),
    `largest ${draws.reduce((a, b) => Math.max(a, b))}`,
  );
  assertMoments(
    draws.map((u) => u - 1e6),
    [0.5, 1 / 12, 0, 1.8],
    [0.6, 0.2, 2, 2],
  );
});

test('the same key draws the same numbers, another key others, whatever the shape', async () => {
  const first = await read(uniform([3, 5], { seed: 9, stream: 2 }));
  assert.equal(await read(uniform([15], { seed: 9, stream: 2 })), first);
  assert.equal((await read(uniform([40], { seed: 9, stream: 2 }))).slice(0, 15), first);
  for (const key of [
    { seed: 10, stream: 2 },
    { seed: 9, stream: 3 },
    { seed: 9 + 2 ** 32, stream: 2 },
  ]) {
    const other = await read(uniform([15], key));
    assert.ok(other.every((u, i) => u !== first[i]));
  }
});

test('dropout keeps the mean, and drops as often as it says', async () => {
  const x = ones([COUNT]);
  for (const p of [0.1, 0.5]) {
    const y = await read(dropout(x, { p, seed: 3, stream: 0 }));
    const dropped = y.reduce((count, value) => count + Number(value === 0), 0) / COUNT;
    assert.ok(Math.abs(dropped - p) < 5 * Math.sqrt((p * (1 - p)) / COUNT), `dropped ${dropped} of ${p}`);
    assert.ok(y.every((value) => value === 0 || Math.abs(value - 1 / (1 - p)) < 1e-6));
  }
  assert.is(dropout(x, { p: 0, seed: 3, stream: 0 }), x);
  x.dispose();
});

test.run();
