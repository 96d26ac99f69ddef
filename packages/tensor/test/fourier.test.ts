import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { fftRadices } from '../src/ops/fft.ts';
import { arrayOf, integer, randomFrom, runs, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { device, hasHalf, unlessHalf } from './device.ts';
import { build, eachIndex, flatIndex, type NDArray } from './reference/array.ts';
import { transform } from './reference/fourier.ts';

/** Relative to the largest value of a transform. */
const tolerance = { relative: 1e-6, peak: true };

type Norm = 'backward' | 'ortho' | 'forward';

const scaleOf = (norm: Norm, n: number, inverse: boolean) =>
  norm === 'ortho' ? 1 / Math.sqrt(n) : (norm === 'forward') === inverse ? 1 : 1 / n;

/** One axis cut, or filled up with zeros, then every line along it replaced. x is complex: pairs come last. */
function along(
  x: NDArray,
  axis: number,
  n: number,
  line: (values: Float64Array) => Float64Array,
  extent = n,
): { dtype: 'f32'; shape: number[]; data: Float64Array } {
  const shape = x.shape.map((own, d) => (d === axis ? extent : own));
  const out = build(shape, 'f32', () => 0);
  const lines = shape.map((own, d) => (d >= axis && (d === axis || d === shape.length - 1) ? 1 : own));
  eachIndex(lines, (index) => {
    const place = (i: number, part: number) =>
      index.map((at, d) => (d === axis ? i : d === index.length - 1 ? part : at));
    const values = new Float64Array(2 * n);
    for (let i = 0; i < Math.min(n, x.shape[axis]); i++) {
      for (const part of [0, 1]) values[2 * i + part] = x.data[flatIndex(x.shape, place(i, part))];
    }
    const made = line(values);
    for (let i = 0; i < extent; i++) {
      for (const part of [0, 1]) out.data[flatIndex(shape, place(i, part))] = made[2 * i + part];
    }
  });
  return { dtype: 'f32', shape, data: out.data };
}

/** Real numbers as complex ones. */
const complexOf = (x: NDArray): NDArray => {
  const data = new Float64Array(2 * x.data.length);
  x.data.forEach((value, i) => {
    data[2 * i] = value;
  });
  return { dtype: 'f32', shape: [...x.shape, 2], data };
};

const realOf = ({ shape, data }: NDArray): NDArray => ({
  dtype: 'f32',
  shape: shape.slice(0, -1),
  data: data.filter((_, i) => i % 2 === 0),
});

/** A half spectrum with its conjugates, as irfft takes it. */
function mirrored(bins: Float64Array, n: number): Float64Array {
  const whole = new Float64Array(2 * n);
  for (let k = 0; k < n; k++) {
    const own = 2 * k <= n;
    const from = own ? k : n - k;
    whole[2 * k] = bins[2 * from];
    whole[2 * k + 1] = k === 0 || 2 * k === n ? 0 : (own ? 1 : -1) * bins[2 * from + 1];
  }
  return whole;
}

const draws = fc.record({
  lead: fc.array(fc.integer({ min: 1, max: 3 }), { maxLength: 2 }),
  length: fc.integer({ min: 1, max: 300 }),
  change: fc.integer({ min: -40, max: 40 }),
  norm: fc.constantFrom<Norm>('backward', 'ortho', 'forward'),
  place: fc.nat(),
  seed: fc.nat(),
});

test('radices multiply up to the length', () => {
  assert.equal(fftRadices(320 * 512), [8, 8, 8, 8, 8, 5]);
  assert.equal(fftRadices(48), [8, 2, 3]);
  for (let length = 1; length < 400; length++) {
    assert.is(
      fftRadices(length).reduce((product, radix) => product * radix, 1),
      length,
    );
  }
});

test('fft and ifft along any axis, of any length, in every norm', async () => {
  await fc.assert(
    fc.asyncProperty(draws, fc.boolean(), async ({ lead, length, change, norm, place, seed }, inverse) => {
      const axis = place % (lead.length + 1);
      const shape = [...lead.slice(0, axis), length, ...lead.slice(axis), 2];
      const n = change < -20 ? undefined : Math.max(1, length + change);
      const x = arrayOf(shape, randomFrom(seed));
      const dim = seed % 2 ? axis : axis - (lead.length + 1);
      const out = t.scope(() => (inverse ? t.ifft : t.fft)(upload(x), { n, dim, norm }));
      const points = n ?? length;
      const expected = along(x, axis, points, (values) =>
        transform(values, points, inverse, scaleOf(norm, points, inverse)),
      );
      await assertMatches(
        `${inverse ? 'ifft' : 'fft'} of [${shape}], n ${n}, dim ${dim}, ${norm}`,
        out,
        expected,
        tolerance,
      );
      out.dispose();
    }),
    runs,
  );
});

test('rfft along any axis, of any length, in every norm', async () => {
  await fc.assert(
    fc.asyncProperty(draws, async ({ lead, length, change, norm, place, seed }) => {
      const axis = place % (lead.length + 1);
      const shape = [...lead.slice(0, axis), length, ...lead.slice(axis)];
      const n = change < -20 ? undefined : Math.max(1, length + change);
      const x = arrayOf(shape, randomFrom(seed));
      const out = t.scope(() => t.rfft(upload(x), { n, dim: axis - shape.length, norm }));
      const points = n ?? length;
      const expected = along(
        complexOf(x),
        axis,
        points,
        (values) => transform(values, points, false, scaleOf(norm, points, false)),
        Math.floor(points / 2) + 1,
      );
      await assertMatches(`rfft of [${shape}], n ${n}, axis ${axis}, ${norm}`, out, expected, tolerance);
      out.dispose();
    }),
    runs,
  );
});

test('irfft along any axis, of any length, in every norm, from spectra of no real numbers too', async () => {
  await fc.assert(
    fc.asyncProperty(draws, async ({ lead, length, change, norm, place, seed }) => {
      const axis = place % (lead.length + 1);
      const n = change < -20 && length > 1 ? undefined : Math.max(1, 2 * length + change);
      const shape = [...lead.slice(0, axis), length, ...lead.slice(axis), 2];
      const x = arrayOf(shape, randomFrom(seed));
      const out = t.scope(() => t.irfft(upload(x), { n, dim: axis, norm }));
      const points = n ?? 2 * (length - 1);
      const expected = along(x, axis, points, (values) =>
        transform(mirrored(values, points), points, true, scaleOf(norm, points, true)),
      );
      await assertMatches(`irfft of [${shape}], n ${n}, axis ${axis}, ${norm}`, out, realOf(expected), tolerance);
      out.dispose();
    }),
    runs,
  );
});

test('what was transformed comes back, whatever the length', async () => {
  for (const n of [1, 2, 3, 17, 64, 67, 90, 134, 1000, 1009, 4096, 6561]) {
    const x = arrayOf([2, n], randomFrom(n));
    const pairs = arrayOf([n, 2, 2], randomFrom(n));
    const [real, complex] = t.scope(() => [
      t.irfft(t.rfft(upload(x)), { n }),
      t.ifft(t.fft(upload(pairs), { dim: 0 }), { dim: 0 }),
    ]);
    await assertMatches(`irfft of rfft, ${n}`, real, x, tolerance);
    await assertMatches(`ifft of fft, ${n}`, complex, pairs, tolerance);
    real.dispose();
    complex.dispose();
  }
});

test('long transforms, of powers of two and of large primes, keep their digits', async () => {
  for (const n of [2 ** 17, 3 ** 10, 65_537, 2 * 50_021, 100_003]) {
    const x = arrayOf([n, 2], randomFrom(n));
    const out = t.scope(() => t.fft(upload(x)));
    const got = (await out.data()) as Float32Array;
    out.dispose();
    const peak = got.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const random = randomFrom(1);
    for (const k of [0, 1, n - 1, ...Array.from({ length: 20 }, () => integer(random, 0, n - 1))]) {
      let [re, im] = [0, 0];
      for (let i = 0; i < n; i++) {
        // The product of two numbers under 2^17 is exact.
        const angle = (-2 * Math.PI * ((i * k) % n)) / n;
        re += x.data[2 * i] * Math.cos(angle) - x.data[2 * i + 1] * Math.sin(angle);
        im += x.data[2 * i] * Math.sin(angle) + x.data[2 * i + 1] * Math.cos(angle);
      }
      const error = Math.hypot(got[2 * k] - re, got[2 * k + 1] - im) / peak;
      assert.ok(error < 1e-6, `frequency ${k} of ${n}: error ${error} of the peak`);
    }
  }
});

test("more rows of a prime length than one part of Bluestein's transform holds", async () => {
  const [rows, n] = [40_000, 67];
  const x = arrayOf([3, n, 2], randomFrom(5));
  const few = await t.scope(() => t.fft(upload(x))).data();
  const index = t.tensor(Int32Array.from({ length: rows }, (_, i) => i % 3));
  const many = t.scope(() => t.fft(upload(x).indexSelect(0, index)));
  const data = await many.data();
  let wrong = -1;
  for (let i = 0; i < data.length && wrong < 0; i++) if (data[i] !== few[i % few.length]) wrong = i;
  assert.is(wrong, -1);
  many.dispose();
  index.dispose();
});

test('products of complex numbers, conjugates and magnitudes', async () => {
  const a = t.tensor([
    [1, 2],
    [-3, 0.5],
  ]);
  const b = t.tensor([[[2, -1]], [[0, 1]]]);
  assert.equal(await a.complexMul(b).toArray(), [
    [
      [4, 3],
      [-5.5, 4],
    ],
    [
      [-2, 1],
      [-0.5, -3],
    ],
  ]);
  assert.equal(await a.complexConj().toArray(), [
    [1, -2],
    [-3, -0.5],
  ]);
  assert.equal(
    await t
      .tensor([
        [3, 4],
        [0, 0],
        [-5, 12],
      ])
      .complexAbs()
      .toArray(),
    [5, 0, 13],
  );
});

test('a product of spectra is a circular convolution', async () => {
  const random = randomFrom(7);
  const n = 30;
  const [x, y] = [arrayOf([n], random), arrayOf([n], random)];
  const out = t.scope(() => t.irfft(t.complexMul(t.rfft(upload(x)), t.rfft(upload(y)))));
  const expected = build([n], 'f32', ([i]) => x.data.reduce((sum, own, j) => sum + own * y.data[(i - j + n) % n], 0));
  await assertMatches('convolution', out, expected, tolerance);
  out.dispose();
});

(hasHalf ? test : test.skip)(`halves are transformed in f32${unlessHalf}`, async () => {
  const x = t.tensor([1, 2, 3, 4], { dtype: 'f16' });
  const out = x.rfft();
  assert.is(out.dtype, 'f32');
  assert.equal(await out.toArray(), [
    [10, 0],
    [-2, 2],
    [-2, 0],
  ]);
  assert.is(out.irfft().dtype, 'f32');
  const pairs = t.tensor(
    [
      [1, 2],
      [3, 4],
    ],
    { dtype: 'f16' },
  );
  assert.is(pairs.fft().dtype, 'f32');
  assert.is(pairs.complexMul(pairs).dtype, 'f16');
  assert.is(pairs.complexConj().dtype, 'f16');
  assert.is(pairs.complexAbs().dtype, 'f16');
});

test('a compiled function keeps the tables that it was traced with', async () => {
  const random = randomFrom(9);
  const x = upload(arrayOf([2, 134], random));
  // 134 halves to 67, which goes by Bluestein's transform: four tables.
  const smooth = (x: t.Tensor) => t.irfft(t.rfft(x.mul(2)).mul(0.5), { n: 134 }).add(1);
  const compiled = t.compile(smooth, { verify: 'always' });
  const eager = smooth(x);
  const expected = await eager.data();
  const first = compiled(x);
  assert.equal(await first.data(), expected);
  // So many other lengths that the first tables are forgotten.
  for (let n = 100; n < 140; n++) t.scope(() => void t.fft(t.zeros([n, 2])));
  const again = compiled(x);
  assert.equal(await again.data(), expected);
  compiled.dispose();
  for (const made of [x, eager, first, again]) made.dispose();
});

test('a compiled function may be the first to transform a length', async () => {
  const x = arrayOf([3, 74], randomFrom(3));
  const compiled = t.compile((x: t.Tensor) => t.rfft(x).square().sum({ dim: -1 }));
  const given = upload(x);
  for (let call = 0; call < 3; call++) {
    const out = compiled(given);
    const spectrum = along(complexOf(x), 1, 74, (values) => transform(values, 74, false, 1), 38);
    const expected = build([3, 38], 'f32', (index) => {
      const at = flatIndex([3, 38, 2], [...index, 0]);
      return spectrum.data[at] ** 2 + spectrum.data[at + 1] ** 2;
    });
    await assertMatches('energy', out, expected, { relative: 3e-6, peak: true });
    out.dispose();
  }
  compiled.dispose();
  given.dispose();
});

test('transforms give back what they take', () => {
  const x = t.zeros([4, 134, 2]);
  const all = () =>
    t.scope(() => {
      t.fft(x);
      t.ifft(x, { n: 96 });
      t.rfft(x, { dim: 1 });
      t.irfft(x);
    });
  all();
  const { liveBytes } = device.statistics();
  all();
  assert.is(device.statistics().liveBytes, liveBytes);
  x.dispose();
});

test('no rows make no transforms', () => {
  assert.equal(t.fft(t.zeros([0, 5, 2])).shape, [0, 5, 2]);
  assert.equal(t.rfft(t.zeros([0, 6])).shape, [0, 4, 2]);
  assert.equal(t.irfft(t.zeros([0, 4, 2])).shape, [0, 6]);
  assert.equal(t.rfft(t.zeros([3, 0]), { n: 4 }).shape, [3, 3, 2]);
});

test('misuse is named', () => {
  const pairs = t.zeros([3, 4, 2]);
  const odd = t.zeros([3, 4]);
  assert.throws(() => t.fft(odd), /fft: x is \[3, 4\]; expected complex numbers \[\.\.\., length, 2\].*stack/);
  assert.throws(() => t.fft(t.zeros([2])), /fft: x is \[2\]; expected complex numbers/);
  assert.throws(() => t.irfft(odd), /irfft: x is \[3, 4\]; expected complex numbers/);
  assert.throws(() => t.ifft(pairs, { n: 0 }), /ifft: n is 0 .* expected a whole number from 1/);
  assert.throws(() => t.rfft(odd, { n: 2.5 }), /rfft: n is 2.5/);
  assert.throws(() => t.rfft(t.zeros([3, 0])), /rfft: n is 0/);
  assert.throws(() => t.irfft(t.zeros([3, 1, 2])), /irfft: n is 0/);
  assert.throws(() => t.fft(pairs, { dim: 2 }), /fft: axis 2 does not exist in rank 2/);
  assert.throws(() => t.rfft(odd, { dim: 2 }), /rfft: axis 2 does not exist in rank 2/);
  assert.throws(() => t.fft(pairs, { norm: 'none' as 'ortho' }), /norm is "none"; expected 'backward'/);
  assert.throws(() => t.rfft(t.tensor([1, 2], { dtype: 'i32' })), /rfft: x is i32\[2\]; expected f32 .*cast\('f32'\)/);
  assert.throws(() => t.fft(t.tensor([[true, false]] as unknown as number[][], { dtype: 'bool' })), /fft: x is bool/);
  assert.throws(() => t.complexMul(pairs, odd as never), /complexMul: operand 2 is \[3, 4\]; expected \[\.\.\., 2\]/);
  assert.throws(() => t.complexMul(pairs, t.zeros([5, 2]) as t.Tensor), /do not broadcast/);
  assert.throws(() => t.complexConj(odd), /complexConj: x is \[3, 4\]; expected complex numbers \[\.\.\., 2\]/);
  assert.throws(() => t.complexAbs(t.zeros([3, 2], { dtype: 'i32' })), /complexAbs: x is i32\[3, 2\]; expected floats/);
});

test.run();
