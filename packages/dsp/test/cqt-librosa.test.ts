/** librosa's constant-Q transforms against librosa, first and last frames included. */
import { gradcheck } from '@dawnchorus/autograd';
import { type Device, openDevice, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hybridCqt, librosaCqt, type PseudoCqtOptions, pseudoCqt } from '../src/cqt-librosa.ts';
import { golden, relativeError } from './golden.ts';

const expected = golden('cqt_small');
const options: PseudoCqtOptions = { sampleRate: 22050 };
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const clip = () => tensor(expected.get('x') as Float32Array, { shape: [1, 22050], device });
const numbers = async (x: Tensor) => (await x.data()) as Float32Array;
test('pseudo', async () => {
  const wanted = expected.get('librosa_pseudo_48_c4')!;
  const high = { ...options, fMin: 440 * 2 ** (-9 / 12), bins: 48 };
  const y = pseudoCqt(clip(), high);
  assert.equal(y.shape, [1, 48, 44]);
  assert.ok(relativeError(await numbers(y), wanted) < 1e-6);
  // Another share of the filters, or the other scale, would be noticed.
  assert.ok(relativeError(await numbers(pseudoCqt(clip(), { ...high, sparsity: 0 })), wanted) > 1e-3);
  assert.ok(relativeError(await numbers(pseudoCqt(clip(), { ...high, scale: false })), wanted) > 1);
});

test('hybrid', async () => {
  const wanted = expected.get('librosa_hybrid_84')!;
  const y = await numbers(hybridCqt(clip(), options));
  // Before its lower bins the rate is halved twice at once, which libsoxr does by another filter first.
  assert.ok(relativeError(y, wanted) < 5e-6);
  // From bin 60 on filters are short, and nothing is resampled.
  assert.ok(relativeError(y.slice(60 * 44), wanted.slice(60 * 44)) < 1e-6);
});

test('the whole transform, phases included', async () => {
  const wanted = expected.get('librosa_cqt_84')!;
  const y = await numbers(librosaCqt(clip(), { ...options, sparsity: 0 }));
  assert.is(y.length, wanted.length);
  assert.ok(relativeError(y, wanted) < 5e-6);
  const unscaled = await numbers(librosaCqt(clip(), { ...options, sparsity: 0, scale: false }));
  const alpha = (2 ** (2 / 12) - 1) / (2 ** (2 / 12) + 1);
  const length = 22050 / alpha / (440 * 2 ** (-45 / 12));
  assert.ok(
    relativeError(
      unscaled.slice(0, 88),
      y.slice(0, 88).map((value) => value * Math.sqrt(length)),
    ) < 1e-4,
  );
});

test('with gamma the variable-Q transform', async () => {
  const wanted = expected.get('librosa_vqt_gammaNone')!;
  assert.ok(relativeError(await numbers(librosaCqt(clip(), { ...options, gamma: null })), wanted) < 5e-6);
  const gamma = (24.7 / 0.108) * ((2 ** (2 / 12) - 1) / (2 ** (2 / 12) + 1));
  assert.ok(relativeError(await numbers(librosaCqt(clip(), { ...options, gamma })), wanted) < 5e-6);
});

test('an early halving of the rate, odd hops, one octave and one bin', async () => {
  for (const change of [
    { bins: 12, hopLength: 512 },
    { bins: 30, hopLength: 300, fMin: 60 },
    { bins: 20, hopLength: 77, fMin: 200 },
    { bins: 1, fMin: 220 },
  ]) {
    const { hopLength = 512 } = change as PseudoCqtOptions;
    const y = librosaCqt(clip(), { ...options, ...change });
    assert.equal([y.shape[1], y.shape[3]], [change.bins, 2]);
    assert.ok(Math.abs(y.shape[2] - (Math.floor(22050 / hopLength) + 1)) <= 1);
    assert.ok((await numbers(y)).every(Number.isFinite));
  }
});

test('gradients, and what is refused', async () => {
  const x = tensor(
    Float32Array.from({ length: 200 }, (_, i) => Math.sin(i * i)),
    { shape: [1, 200], device },
  );
  const tiny = { sampleRate: 1000, fMin: 200, bins: 2, binsPerOctave: 2, hopLength: 64 };
  const transform = (signal: Tensor) => librosaCqt(signal, tiny).square().sum();
  await gradcheck(transform, [x.narrow(1, 0, 40)]);
  assert.throws(() => pseudoCqt(x, { ...options, sparsity: 1 }), /pseudoCqt: sparsity is 1/);
  assert.throws(
    () => librosaCqt(x, { ...options, gamma: -1 }),
    /librosaCqt: gamma is -1 Hz; expected a number from 0, or null/,
  );
  assert.throws(
    () => hybridCqt(x.reshape([200]), options),
    /hybridCqt: x is f32\[200\]; expected f32 \[batch, samples\]/,
  );
  assert.throws(
    () => librosaCqt(x, { ...options, fMin: 34, bins: 101 }),
    /^librosaCqt: the top bin lies at .* where its filter reaches half the sample rate .*; use at most 100 bins/,
  );
  librosaCqt(x, { ...options, fMin: 34, bins: 100 }).dispose();
  assert.throws(() => pseudoCqt(x, { ...options, bins: 999 }), /^pseudoCqt: the top bin lies at/);
  assert.throws(() => hybridCqt(x, { ...options, hopLength: 0 }), /^hybridCqt: hopLength is 0/);
  assert.throws(() => librosaCqt(x, { ...options, fMin: 1e-6 }), /^librosaCqt: the filters have \d+ taps together/);
});

test.run();
