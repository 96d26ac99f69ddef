/**
 * The constant-Q transform against nnAudio, librosa and an independent one in f64, over all settings that they were run
 * with; and that what is slightly another transform would not pass.
 */
import { type Device, openDevice, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CqtOptions, createCqt } from '../src/cqt.ts';
import { golden, relativeError } from './golden.ts';

const methods = ['gemm', 'fft', 'multirate'] as const;
/** Largest error over largest value. */
const tolerances = { gemm: 3e-5, fft: 5e-5, multirate: 5e-5 };
const teacher: CqtOptions = { sampleRate: 24000, hopLength: 320, fMin: 32.7, bins: 336, binsPerOctave: 48 };
const small: CqtOptions = { sampleRate: 22050, hopLength: 512, fMin: 32.7, bins: 84, binsPerOctave: 12 };
const expected = golden('cqt');
const other = golden('cqt_small');

let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

async function transform(options: CqtOptions, x: ArrayLike<number>): Promise<Float32Array> {
  const cqt = createCqt(device, options);
  using input = tensor(Float32Array.from(x), { shape: [1, x.length], device });
  using y = cqt.transform(input);
  const values = (await y.data()) as Float32Array;
  cqt.dispose();
  return values;
}

/** ‖a - b‖ / ‖b‖. */
function relativeNorm(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let [error, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    error += (a[i] - b[i]) ** 2;
    norm += b[i] ** 2;
  }
  return Math.sqrt(error / norm);
}

const magnitudes = (pairs: ArrayLike<number>) =>
  Float64Array.from({ length: pairs.length / 2 }, (_, i) => Math.hypot(pairs[2 * i], pairs[2 * i + 1]));

/** Whether the loudest bin of each frame is within a tenth of the loudest to the other, too. */
function hearSame(magnitude: ArrayLike<number>, other: ArrayLike<number>, bins: number): boolean {
  const frames = magnitude.length / bins;
  const column = (values: ArrayLike<number>, t: number) =>
    Array.from({ length: bins }, (_, k) => values[k * frames + t]);
  return Array.from({ length: frames }, (_, t) => t).every((t) => {
    const [own, their] = [column(magnitude, t), column(other, t)];
    return their[own.indexOf(Math.max(...own))] > 0.9 * Math.max(...their);
  });
}

for (const method of methods) {
  for (const name of ['a440', 'chord', 'impulse', 'chirp', 'noise', 'gated', 'noise_short']) {
    test(`${method}: ${name} agrees with an f64 CQT1992v2`, async () => {
      const magnitude = await transform({ ...teacher, method }, expected.get(`${name}/x`)!);
      const want = expected.get(`${name}/mag_exact`)!;
      assert.ok(relativeError(magnitude, want) < tolerances[method]);
      assert.ok(relativeNorm(magnitude, want) < 2e-5);
    });
  }

  test(`${method}: complex coefficients and their angles agree with nnAudio's`, async () => {
    const x = expected.get('noise_short/x')!;
    const want = expected.get('noise_short/complex_nnaudio')!;
    assert.ok(relativeError(await transform({ ...teacher, method, output: 'complex' }, x), want) < tolerances[method]);
    const phase = await transform({ ...teacher, method, output: 'phase' }, x);
    const size = magnitudes(want);
    const largest = Math.max(...size);
    for (let i = 0; i < size.length; i++) {
      // The angle of a coefficient that is all error says nothing.
      if (size[i] < 0.05 * largest) continue;
      for (const part of [0, 1]) assert.ok(Math.abs(phase[2 * i + part] - want[2 * i + part] / size[i]) < 1e-3);
    }
  });

  test(`${method}: 84 bins, 12 to the octave, at 22.05 kHz agree with nnAudio's`, async () => {
    const magnitude = await transform({ ...small, method }, other.get('x')!);
    assert.ok(relativeError(magnitude, other.get('nnaudio_cqt1992v2_84')!) < tolerances[method]);
  });

  for (const normalization of ['librosa', 'convolutional', 'wrap'] as const) {
    test(`${method}: normalisation ${normalization} agrees with nnAudio's`, async () => {
      const magnitude = await transform({ ...small, method, normalization }, other.get('x')!);
      const frames = magnitude.length / 84;
      const want = other.get(`nnaudio_norm_${normalization}`)!;
      const first = want.map((_, i) => magnitude[Math.floor(i / 8) * frames + (i % 8)]);
      assert.ok(relativeError(first, want) < tolerances[method]);
    });
  }
}

test('librosa hears the same, though its filters are not the same', async () => {
  const magnitude = await transform(small, other.get('x')!);
  const librosa = magnitudes(other.get('librosa_cqt_84')!);
  assert.ok(hearSame(magnitude, librosa, 84));
  assert.ok(relativeNorm(magnitude, librosa) < 4e-2);
  assert.ok(hearSame(magnitude, other.get('nnaudio_cqt2010v2_84')!, 84));
});

test('with gamma it is the variable-Q transform', async () => {
  const bandwidths = 24.7 / 0.108;
  const gamma = bandwidths * (2 ** (1 / 12) - 1);
  const want = magnitudes(other.get('librosa_vqt_gammaNone')!);
  const magnitude = await transform({ ...small, gamma }, other.get('x')!);
  assert.ok(hearSame(magnitude, want, 84));
  assert.ok(relativeNorm(magnitude, want) < 6e-2);
  assert.ok(relativeNorm(await transform(small, other.get('x')!), want) > 0.3);
});

// What is not the teacher's target must not look like it: each of these is one mistake away.
const quality = 1 / (2 ** (1 / 48) - 1);
const librosaQuality = (2 ** (2 / 48) + 1) / (2 ** (2 / 48) - 1);
const mistakes: Record<string, [Partial<CqtOptions>, string]> = {
  "librosa's Q": [{ filterScale: librosaQuality / quality }, 'chord'],
  'the exact frequency of C1': [{ fMin: 440 * 2 ** (-45 / 12) }, 'chirp'],
  'mirrored edges': [{ padMode: 'reflect', fMin: 65.4, bins: 288 }, 'chord'],
  'another normalisation': [{ normalization: 'convolutional' }, 'chord'],
  'variable Q': [{ gamma: 0.1 }, 'chord'],
  'a hop of 321': [{ hopLength: 321 }, 'chirp'],
  '49 bins to the octave': [{ binsPerOctave: 49 }, 'chirp'],
};
for (const [what, [change, name]] of Object.entries(mistakes)) {
  test(`${what} would be noticed`, async () => {
    const magnitude = await transform({ ...teacher, ...change }, expected.get(`${name}/x`)!);
    const want = expected.get(`${name}/mag_exact`)!;
    const bins = change.bins ?? 336;
    const frames = Math.min(magnitude.length / bins, 76);
    // The same bins and frames of both.
    const cut = (values: ArrayLike<number>, own: number, from: number) =>
      Array.from({ length: bins * frames }, (_, i) => values[(from + Math.floor(i / frames)) * own + (i % frames)]);
    const got = cut(magnitude, magnitude.length / bins, 0);
    assert.ok(relativeError(got, cut(want, 76, 336 - bins)) > 10 * tolerances.fft);
  });
}

test('the wrong sign of the imaginary part would be noticed', async () => {
  const want = expected.get('noise_short/complex_nnaudio')!;
  const got = await transform({ ...teacher, output: 'complex' }, expected.get('noise_short/x')!);
  const conjugated = got.map((value, i) => (i % 2 === 0 ? value : -value));
  assert.ok(relativeError(conjugated, want) > 0.1);
});

test.run();
