import { gradcheck } from '@dawnchorus/autograd';
import { compile, type Device, openDevice, sum, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type ResampleQuality, resample as resampleArray, resampledLength } from '../src/resample.ts';
import { resample } from '../src/resample-tensor.ts';
import { golden, relativeError } from './golden.ts';

const torchaudio = golden('resample');
const others = golden('librosa_features');
const signal = golden('spectral').get('x') as Float32Array;
const qualities: ResampleQuality[] = ['hann6', 'kaiser64'];
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const numbers = async (x: Tensor) => (await x.data()) as Float32Array;
const make = (x: ArrayLike<number>, shape: number[] = [x.length]) => tensor(Float32Array.from(x), { shape, device });

test('every ratio agrees with torchaudio', async () => {
  let count = 0;
  for (const [name, wanted] of [...torchaudio, ...others]) {
    const [, from, to, quality] = /^(?:resample_)?(\d+)_(\d+)[/_](?:torchaudio_)?(hann6|kaiser64)$/.exec(name) ?? [];
    if (!from) continue;
    count++;
    using x = make(torchaudio.get(`${from}_${to}/x`) ?? signal.slice(0, 1500));
    const y = resample(x, Number(from), Number(to), { quality: quality as ResampleQuality });
    assert.equal(y.shape, [wanted.length]);
    // They were made by torchaudio's functional form, which rounds times to f32 as `kaiser64` does. `hann6` rounds as its
    // Resample does, which is more than 1e-5 away with the 441 phases of 8000 to 11025 Hz. See the next test.
    const tolerance = name.startsWith('resample_8000_11025') ? 1.6e-5 : 1e-5;
    assert.ok(relativeError(await numbers(y), wanted) < (quality === 'kaiser64' ? 2e-6 : tolerance), name);
  }
  assert.is(count, 12);
});

/** A signal converted by weights of f64, its times rounded to f32 after each step where `round` does that. */
function converted(x: ArrayLike<number>, from: number, to: number, quality: ResampleQuality, round = (v: number) => v) {
  const [crossings, rolloff, beta] = quality === 'hann6' ? [6, 0.99, 0] : [64, 0.9475937167399596, 14.769656459379492];
  const base = Math.min(from, to) * rolloff;
  const width = Math.ceil((crossings * from) / base);
  const bessel = (v: number) => {
    let [sum, term] = [1, 1];
    for (let k = 1; term > 1e-17 * sum; k++) sum += term *= (v / 2 / k) ** 2;
    return sum;
  };
  return Array.from({ length: resampledLength(x.length, from, to) }, (_, i) => {
    const [phase, block] = [i % to, Math.floor(i / to) * from];
    let sum = 0;
    for (let n = -width; n < width + from; n++) {
      const delay = round(round(-phase / to) + round(n / from));
      const time = Math.max(-crossings, Math.min(crossings, round(delay * round(base))));
      const angle = round(time * Math.PI);
      const taper = beta
        ? bessel(beta * Math.sqrt(1 - (time / crossings) ** 2)) / bessel(beta)
        : Math.cos(angle / crossings / 2) ** 2;
      sum += ((x[block + n] ?? 0) * (angle === 0 ? 1 : Math.sin(angle) / angle) * taper * base) / from;
    }
    return sum;
  });
}

test("where torchaudio's rounding counts, kaiser64 rounds times as its functional form does", async () => {
  const x = signal.slice(0, 1500);
  const wanted = others.get('resample_8000_11025_kaiser64')!;
  assert.ok(relativeError(converted(x, 320, 441, 'kaiser64', Math.fround), wanted) < 2e-6);
  assert.ok(relativeError(converted(x, 320, 441, 'kaiser64'), wanted) > 1e-5);
  using input = make(x);
  assert.ok(relativeError(await numbers(resample(input, 8000, 11025)), wanted) < 2e-6);
});

const cases = fc.record({
  from: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constantFrom(8000, 11025, 16000, 22050, 24000, 44100, 48000)),
  to: fc.oneof(fc.integer({ min: 1, max: 60 }), fc.constantFrom(8000, 11025, 16000, 22050, 24000, 44100, 48000)),
  quality: fc.constantFrom(...qualities),
  rows: fc.integer({ min: 1, max: 3 }),
  samples: fc.oneof(fc.integer({ min: 1, max: 20 }), fc.integer({ min: 200, max: 3000 })),
});

test('clips in any batch, view and ratio give what f64 gives', async () => {
  await fc.assert(
    fc.asyncProperty(cases, async ({ from, to, quality, rows, samples }) => {
      // Ratios between whole numbers of hertz may lengthen a clip a thousandfold.
      fc.pre(resampledLength(samples, from, to) < 30_000);
      const wide = Float32Array.from({ length: 2 * rows * (samples + 3) }, (_, i) => Math.sin(1.3 * i * i));
      using all = make(wide, [rows, samples + 3, 2]);
      const x = all.sliceAxis(1, 3).select(2, 1); // strided, from an offset
      const got = await numbers(resample(x, from, to, { quality }));
      const wanted = Array.from({ length: rows }, (_, r) => {
        const row = Float32Array.from({ length: samples }, (_, i) => wide[2 * (r * (samples + 3) + 3 + i) + 1]);
        return [...resampleArray(row, from, to, { quality })];
      }).flat();
      assert.is(got.length, wanted.length);
      const largest = Math.max(1, ...wanted.map(Math.abs));
      assert.ok(got.every((value, i) => Math.abs(value - wanted[i]) < 2e-6 * largest));
    }),
    { numRuns: 60 },
  );
});

test('the gradient is the transpose: <y, R x> = <R^T y, x>', async () => {
  for (const [from, to] of [
    [3, 2],
    [2, 3],
    [7, 4],
    [1, 4],
    [5, 1],
    [13, 12],
  ]) {
    for (const quality of qualities) {
      const x = make(
        Float32Array.from({ length: 40 }, (_, i) => Math.sin(i * i)),
        [2, 20],
      );
      // A square, so that the gradient of the gradient is asked for, too.
      await gradcheck((input) => sum(resample(input, from, to, { quality }).square()), [x]);
    }
  }
});

test('compiled between neighbours it is the same', async () => {
  using x = make(signal.slice(0, 4000), [2, 2000]);
  const fn = (input: Tensor) => resample(input.mul(2), 16000, 24000).add(1);
  const compiled = compile(fn, { verify: 'always' });
  using got = compiled(x);
  assert.ok(relativeError(await numbers(got), await numbers(fn(x))) < 1e-6);
  compiled.dispose();
});

test('there and back leaves what is under both limits', async () => {
  const x = Float32Array.from({ length: 9600 }, (_, i) => Math.sin(0.2 * i) + 0.5 * Math.cos(0.71 * i));
  using input = make(x);
  const back = await numbers(resample(resample(input, 16000, 44100), 44100, 16000));
  assert.ok(relativeError(back.slice(500, 9000), x.slice(500, 9000)) < 1e-3); // -60 dB
});

test('a tone over the new limit disappears, and hann6 lets more of it through', async () => {
  using x = make(Float32Array.from({ length: 22050 }, (_, i) => Math.sin((2 * Math.PI * 12300 * i) / 44100)));
  const level = async (quality: ResampleQuality) =>
    Math.max(...(await numbers(resample(x, 44100, 24000, { quality }))).subarray(2000, 10000).map(Math.abs));
  assert.ok((await level('kaiser64')) < 1e-2);
  assert.ok((await level('hann6')) > 5e-2);
});

test('empty clips stay empty, one sample is enough, NaN stays in its clip', async () => {
  using none = make([], [2, 0]);
  assert.equal(resample(none, 8000, 24000).shape, [2, 0]);
  using one = make([1]);
  assert.equal(resample(one, 24000, 8000).shape, [1]);
  assert.ok((await numbers(resample(one, 8000, 24000))).every(Number.isFinite));
  using two = make(
    Float32Array.from({ length: 600 }, (_, i) => (i === 10 ? Number.NaN : 1)),
    [2, 300],
  );
  const got = await numbers(resample(two, 16000, 24000));
  assert.ok(Number.isNaN(got[15]));
  assert.ok(got.slice(450).every(Number.isFinite));
});

test('equal rates give the clip itself', () => {
  using x = make([1, 2, 3]);
  assert.is(resample(x, 44100, 44100), x);
});

test('misuse is named', () => {
  using x = make([1, 2, 3]);
  for (const bad of [0, -1, 0.5, Number.NaN, 7e9 + 0.5]) {
    assert.throws(() => resample(x, 8000, bad), /target rate must be a positive whole number/);
  }
  assert.throws(() => resample(x.cast('i32'), 8000, 4000), /x is i32\[3\]; expected f32/);
  assert.throws(() => resample(x, 8000, 4000, { quality: 'best' as never }), /quality must be 'hann6' or 'kaiser64'/);
});

test.run();
