import { gradcheck } from '@dawnchorus/autograd';
import { compile, concat, type Device, openDevice, sum, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deltas } from '../src/deltas.ts';
import { griffinLim, istft } from '../src/istft.ts';
import { rms, zeroCrossingRate } from '../src/level.ts';
import { onsetStrength, tempo, tempogram } from '../src/rhythm.ts';
import {
  spectralBandwidth,
  spectralCentroid,
  spectralContrast,
  spectralFlatness,
  spectralRms,
  spectralRolloff,
} from '../src/spectral.ts';
import { type StftOptions, spectrogram, stft, stftConventions } from '../src/stft.ts';
import { estimateTuning } from '../src/tuning.ts';
import type { Window } from '../src/windows.ts';
import { golden, relativeError } from './golden.ts';

const expected = golden('librosa_features');
const signal = golden('spectral').get('x') as Float32Array;
const { librosa, torchaudio } = stftConventions;
const sampleRate = 24000;
const cut = { nFft: 1024, hopLength: 320, ...librosa };
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const clip = (x: ArrayLike<number> = signal) => tensor(Float32Array.from(x), { shape: [1, x.length], device });
const numbers = async (x: Tensor) => (await x.data()) as Float32Array;
const columns = (x: ArrayLike<number>, width: number, step: number) =>
  Array.from(x).filter((_, i) => (i % width) % step === 0);

const ofSpectra: [string, (spectra: Tensor) => Tensor, number][] = [
  ['centroid', (s) => spectralCentroid(s, { sampleRate }), 1e-5],
  ['bandwidth', (s) => spectralBandwidth(s, { sampleRate }), 1e-5],
  ['bandwidth_p3', (s) => spectralBandwidth(s, { sampleRate, p: 3 }), 1e-5],
  ['rolloff', (s) => spectralRolloff(s, { sampleRate }), 1e-6],
  ['rolloff_50', (s) => spectralRolloff(s, { sampleRate, percent: 0.5 }), 1e-6],
  ['flatness', (s) => spectralFlatness(s), 1e-4],
  ['contrast', (s) => spectralContrast(s, { sampleRate }), 1e-4],
  [
    'contrast_linear',
    (s) => spectralContrast(s, { sampleRate, linear: true, fMin: 300, bands: 4, quantile: 0.1 }),
    1e-4,
  ],
  ['rms_spectral', (s) => spectralRms(s), 1e-5],
];

for (const [name, fn, tolerance] of ofSpectra) {
  test(`${name} agrees with librosa, alone, in a batch and compiled`, async () => {
    using x = clip();
    using both = concat([x.mul(0.3).add(0.01), x], 0);
    const wanted = expected.get(name)!;
    const got = await numbers(fn(spectrogram(x, { ...cut, power: 1 })));
    assert.ok(relativeError(got, wanted) < tolerance, `${relativeError(got, wanted)}`);
    const batched = await numbers(fn(spectrogram(both, { ...cut, power: 1 })));
    assert.ok(relativeError(batched.slice(got.length), wanted) < tolerance);
    const compiled = compile((input: Tensor) => fn(spectrogram(input, { ...cut, power: 1 })));
    using replayed = compiled(x);
    assert.ok(relativeError(await numbers(replayed), wanted) < tolerance);
    compiled.dispose();
  });
}

test('rms and zero crossings of samples agree with librosa', async () => {
  using x = clip();
  const frames = { frameLength: 1000, hopLength: 320, center: true };
  assert.ok(relativeError(await numbers(rms(x, { ...frames, padMode: 'constant' })), expected.get('rms')!) < 1e-5);
  const crossings = await numbers(zeroCrossingRate(x, { ...frames, padMode: 'replicate' }));
  assert.ok(relativeError(crossings, expected.get('zero_crossings')!) < 1e-6);
});

test('onset strength agrees with librosa, plain and as SuperFlux has it', async () => {
  using x = clip();
  const options = { sampleRate, nFft: 1024, hopLength: 320 };
  assert.ok(relativeError(await numbers(onsetStrength(x, options)), expected.get('onset')!) < 1e-4);
  const other = onsetStrength(x, { ...options, lag: 2, maxSize: 3, detrend: true });
  assert.ok(relativeError(await numbers(other), expected.get('onset_superflux')!) < 1e-4);
});

const clicks = () =>
  clip(
    Float32Array.from({ length: 6 * 22050 }, (_, i) => {
      const t = i / 22050;
      return Math.exp(-40 * (t % 0.47)) * Math.sin(2 * Math.PI * 880 * t);
    }),
  );

test('the tempo of clicks agrees with librosa: their tempogram and its best lag', async () => {
  using x = clicks();
  const onsets = onsetStrength(x, { sampleRate: 22050 });
  assert.ok(relativeError(await numbers(onsets), expected.get('clicks_onset')!) < 1e-3);
  const lags = await numbers(tempogram(onsets, { winLength: 101 }));
  assert.ok(relativeError(columns(lags, 259, 16), expected.get('clicks_tempogram')!) < 1e-3);
  const one = await numbers(tempo(onsets, { sampleRate: 22050 }));
  assert.ok(relativeError(one, expected.get('clicks_tempo')!) < 1e-5);
  assert.ok(Math.abs(one[0] - 60 / 0.47) < 4);
  const many = await numbers(tempo(onsets, { sampleRate: 22050, aggregate: false }));
  assert.ok(relativeError(columns(many, 259, 16), expected.get('clicks_tempo_frames')!) < 1e-5);
});

test('a tempogram is the autocorrelation of windowed onsets, which run out to zero at the ends', async () => {
  const [frames, winLength] = [13, 8];
  const onsets = Float64Array.from({ length: frames }, (_, t) => Math.fround(2 + Math.sin(t * t)));
  const at = (t: number) => {
    if (t < 0) return (onsets[0] * (4 + t)) / 4;
    return t < frames ? onsets[t] : (onsets[frames - 1] * (3 - (t - frames))) / 4;
  };
  const wanted = Array.from({ length: winLength * frames }, (_, i) => {
    const [lag, t] = [Math.floor(i / frames), i % frames];
    const weighted = (n: number) => at(t - 4 + n) * (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / winLength));
    let total = 0;
    for (let n = lag; n < winLength; n++) total += weighted(n) * weighted(n - lag);
    return total;
  });
  using x = clip(onsets);
  assert.ok(relativeError(await numbers(tempogram(x, { winLength, norm: null })), wanted) < 1e-5);
});

test('faint peaks do not tune, though they be more', async () => {
  const notes = [
    ...[0, 10, 20].map((k) => ({ pitch: k + 0.2, gain: 1 })),
    ...[5, 15].map((k) => ({ pitch: k + 0.4, gain: 1 })),
    ...[3, 7, 12, 18].map((k) => ({ pitch: k - 0.3, gain: 0.3 })),
  ];
  const x = Float32Array.from({ length: 32000 }, (_, i) =>
    notes.reduce(
      (sum, { pitch, gain }) => sum + gain * Math.sin((2 * Math.PI * 440 * 2 ** (pitch / 12) * i) / 16000),
      0,
    ),
  );
  using input = clip(x);
  const options = { ...cut, center: false, nFft: 16384, hopLength: 4096, sampleRate: 16000, resolution: 0.1 };
  assert.ok(Math.abs((await estimateTuning(input, options)) - 0.2) < 0.11);
});

test('tuning agrees with librosa, and silence is in tune', async () => {
  const notes = Float32Array.from({ length: 32000 }, (_, i) => {
    let total = 0;
    for (let k = 0; k < 24; k += 5)
      total += Math.sin((2 * Math.PI * 440 * 2 ** ((k + 0.23) / 12) * i) / 16000) / (k + 1);
    return total;
  });
  using x = clip(notes);
  const options = { ...cut, nFft: 4096, hopLength: 512, sampleRate: 16000 };
  assert.ok(Math.abs((await estimateTuning(x, options)) - expected.get('tuning')![0]) < 1e-6);
  using own = clip();
  // By librosa's defaults, said or not.
  const said = { ...cut, nFft: 2048, hopLength: 512, sampleRate };
  for (const each of [said, { sampleRate }]) {
    assert.ok(Math.abs((await estimateTuning(own, each)) - 0.01) < 1e-6);
  }
  using silent = clip(new Float32Array(4000));
  assert.is(await estimateTuning(silent, options), 0);
});

test('second derivatives and padded ends of deltas agree with librosa', async () => {
  using own = tensor(expected.get('mfcc') as Float32Array, { shape: [1, 5, 76], device });
  const second = await numbers(deltas(own, { convention: 'librosa', order: 2 }));
  assert.ok(relativeError(second, expected.get('delta_order2')!) < 1e-4);
  const padded = await numbers(deltas(own, { convention: 'librosa', width: 5, padMode: 'replicate' }));
  assert.ok(relativeError(padded, expected.get('delta_nearest')!) < 1e-5);
});

test('istft gives the clip back, as torch.istft does', async () => {
  using x = clip();
  const options: StftOptions = { nFft: 1024, hopLength: 256, ...torchaudio };
  const back = await numbers(istft(stft(x, options), { ...options, length: 24000 }));
  assert.ok(relativeError(back, golden('spectral').get('x')!) < 1e-6);
});

test('istft inverts stft for any sizes, windows, paddings and scales', async () => {
  const cases = fc.record({
    nFft: fc.integer({ min: 4, max: 48 }),
    part: fc.integer({ min: 2, max: 5 }),
    extra: fc.integer({ min: 0, max: 60 }),
    padMode: fc.constantFrom<StftOptions['padMode']>('constant', 'reflect', 'replicate'),
    normalized: fc.constantFrom<StftOptions['normalized']>(false, 'window', 'frameLength'),
    window: fc.constantFrom<Window>('hann', 'hamming', 'blackman', { kaiser: 6 }),
    clips: fc.integer({ min: 1, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ nFft, part, extra, clips, ...rest }) => {
      const options: StftOptions = {
        nFft,
        hopLength: Math.max(1, Math.floor(nFft / (part + 1))),
        center: true,
        ...rest,
      };
      const samples = nFft + extra;
      const values = Float32Array.from({ length: clips * samples }, (_, i) => Math.sin(1.3 * i * i));
      using x = tensor(values, { shape: [clips, samples], device });
      const spectra = stft(x, options);
      const back = istft(spectra, { ...options, length: samples });
      assert.equal(back.shape, [clips, samples]);
      // What lies after the last frame's centre is covered by the tail of its window, which may be almost nothing.
      const sure = (spectra.shape[2] - 1) * options.hopLength;
      const own = await numbers(back);
      for (let c = 0; c < clips; c++) {
        const from = c * samples;
        assert.ok(relativeError(own.slice(from, from + sure), values.slice(from, from + sure)) < 1e-4);
      }
    }),
    { numRuns: 40 },
  );
});

test('istft keeps the same samples whatever the scale of the window', async () => {
  // Sample 997 stands where the last window is about to end.
  using x = clip(signal.slice(0, 800));
  for (const normalized of [false, 'window', 'frameLength'] as const) {
    const options: StftOptions = { nFft: 400, hopLength: 133, ...torchaudio, normalized };
    const y = await numbers(istft(stft(x, options), { ...options, length: 1010 }));
    assert.is(
      y.findLastIndex((value) => value !== 0),
      997,
      `${normalized}`,
    );
  }
});

test('istft without centring, cut and extended', async () => {
  using x = clip(signal.slice(0, 200));
  const options: StftOptions = { nFft: 32, hopLength: 8, ...librosa, center: false };
  const spectra = stft(x, options);
  const whole = await numbers(istft(spectra, options));
  assert.is(whole.length, 200);
  assert.is(whole[0], 0); // The Hann window is zero there.
  assert.ok(relativeError(whole.slice(1, 190), signal.slice(1, 190)) < 1e-3);
  assert.equal(await numbers(istft(spectra, { ...options, length: 50 })), whole.slice(0, 50));
  const long = await numbers(istft(spectra, { ...options, length: 210 }));
  assert.equal(
    long,
    Float32Array.from({ length: 210 }, (_, i) => whole[i] ?? 0),
  );
});

test('Griffin-Lim agrees with librosa and torchaudio from the same phases', async () => {
  using x = clip();
  const own = { ...cut, power: 1, iterations: 8, length: 24000 } as const;
  const magnitude = spectrogram(x, { ...cut, power: 1 });
  const inner = (y: Float32Array) => y.slice(1000, 23000);
  const fast = await numbers(griffinLim(magnitude, own));
  assert.ok(relativeError(inner(fast), inner(expected.get('griffinlim_librosa') as Float32Array)) < 3e-4);
  const plain = await numbers(griffinLim(magnitude, { ...own, momentum: 0 }));
  assert.ok(relativeError(inner(plain), inner(expected.get('griffinlim_plain') as Float32Array)) < 3e-4);
  const options = { nFft: 1024, hopLength: 256, ...torchaudio };
  const energy = spectrogram(x, options);
  const other = await numbers(griffinLim(energy, { ...options, power: 2, iterations: 8 }));
  const wanted = expected.get('griffinlim_torchaudio') as Float32Array;
  assert.is(other.length, wanted.length);
  assert.ok(relativeError(inner(other), inner(wanted)) < 3e-4);
});

test('Griffin-Lim comes nearer with every iteration, and a seed names the draw', async () => {
  using x = clip(signal.slice(0, 8000));
  const options = { nFft: 512, hopLength: 128, ...librosa };
  const magnitude = spectrogram(x, { ...options, power: 1 });
  const wanted = await numbers(magnitude);
  const draw = (iterations: number, seed = 3) =>
    griffinLim(magnitude, { ...options, power: 1, iterations, init: { seed }, length: 8000 });
  const errors: number[] = [];
  for (const iterations of [0, 4, 32]) {
    const again = await numbers(spectrogram(draw(iterations), { ...options, power: 1 }));
    errors.push(Math.hypot(...again.map((value, i) => value - wanted[i])));
  }
  assert.ok(errors[1] < 0.8 * errors[0] && errors[2] < 0.8 * errors[1], errors.join());
  assert.equal(await numbers(draw(2)), await numbers(draw(2)));
  assert.not.equal(await numbers(draw(2)), await numbers(draw(2, 4)));
});

test('the centroid and the rolloff of a tone are its frequency; flatness tells noise from tones', async () => {
  const hz = 32 * (sampleRate / 1024);
  using tone = clip(Float32Array.from({ length: 4096 }, (_, i) => Math.sin((2 * Math.PI * hz * i) / sampleRate)));
  using noise = clip(Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i * i * 12.9898 + (i % 7) * i)));
  const inner = { ...cut, center: false, power: 1 } as const;
  const spectra = spectrogram(tone, inner);
  const near = (x: Float32Array, wanted: number, most: number) => x.every((value) => Math.abs(value - wanted) <= most);
  assert.ok(near(await numbers(spectralCentroid(spectra, { sampleRate })), hz, 1));
  assert.ok(near(await numbers(spectralRolloff(spectra, { sampleRate })), hz, sampleRate / 1024));
  assert.ok((await numbers(spectralFlatness(spectra))).every((value) => value < 1e-5));
  assert.ok((await numbers(spectralFlatness(spectrogram(noise, inner)))).every((value) => value > 0.3));
});

test('silence gives numbers and NaN stays NaN', async () => {
  using silent = clip(new Float32Array(4096));
  const spectra = spectrogram(silent, { ...cut, power: 1 });
  for (const [name, fn] of ofSpectra) {
    const wanted = name === 'flatness' ? 1 : 0;
    assert.ok(
      (await numbers(fn(spectra))).every((value) => Math.abs(value - wanted) <= 1e-4 * wanted),
      name,
    );
  }
  const onsets = onsetStrength(silent, { sampleRate });
  assert.ok((await numbers(onsets)).every((value) => value === 0));
  assert.ok((await numbers(tempogram(onsets, { winLength: 16 }))).every((value) => value === 0));
  assert.ok(Math.abs((await numbers(tempo(onsets, { sampleRate })))[0] - 120) < 5);
  using broken = clip(Float32Array.from({ length: 4096 }, (_, i) => (i === 50 ? Number.NaN : Math.sin(i))));
  const spoilt = spectrogram(broken, { ...cut, power: 1 });
  for (const [name, fn] of ofSpectra) assert.ok(Number.isNaN((await numbers(fn(spoilt)))[0]), name);
});

test('one sample is a clip with zeros about it', async () => {
  using one = clip([0.5]);
  assert.ok(
    Math.abs((await numbers(rms(one, { frameLength: 4, hopLength: 2, center: true, padMode: 'constant' })))[0] - 0.25) <
      1e-6,
  );
  assert.equal((await numbers(onsetStrength(one, { sampleRate }))).length, 1);
  const spectra = spectrogram(one, { ...cut, power: 1 });
  for (const [name, fn] of ofSpectra) assert.ok((await numbers(fn(spectra))).every(Number.isFinite), name);
});

test('gradients reach the samples', async () => {
  const x = tensor(
    Float32Array.from({ length: 96 }, (_, i) => Math.sin(i * i) + 0.1),
    { shape: [1, 96], device },
  );
  const options = { nFft: 16, hopLength: 8, ...librosa, power: 1 } as const;
  for (const fn of [
    (s: Tensor) => spectralCentroid(s, { sampleRate: 16 }),
    (s: Tensor) => spectralBandwidth(s, { sampleRate: 16 }),
    (s: Tensor) => spectralFlatness(s),
    (s: Tensor) => spectralContrast(s, { sampleRate: 16, fMin: 2, bands: 1, linear: true }),
    (s: Tensor) => spectralRms(s),
  ]) {
    await gradcheck((input) => sum(fn(spectrogram(input, options))), [x]);
  }
  const frames = { frameLength: 16, hopLength: 8, center: true, padMode: 'constant' } as const;
  await gradcheck((input) => sum(rms(input, frames)), [x]);
  const inverse = { nFft: 16, hopLength: 4, ...torchaudio };
  await gradcheck((input) => sum(istft(stft(input, inverse).mul(2), inverse).sliceAxis(1, 3, 50)), [x]);
  const mel = { sampleRate: 16, nFft: 16, hopLength: 8, nMels: 4 };
  const onsets = (input: Tensor) => tempogram(onsetStrength(input, mel), { winLength: 4, norm: null });
  await gradcheck((input) => sum(onsets(input)), [x]);
});

test('misuse is named', () => {
  using x = clip(new Float32Array(100));
  using empty = clip([]);
  const spectra = spectrogram(x, { ...cut, nFft: 64 });
  assert.throws(() => spectralCentroid(x, { sampleRate }), /expected f32 \[batch, bins, frames\]/);
  assert.throws(() => spectralCentroid(spectra, { sampleRate, nFft: 512 }), /nFft 512 does not make the 33 bins/);
  assert.throws(() => spectralRolloff(spectra, { sampleRate, percent: 1 }), /percent is 1/);
  assert.throws(
    () => spectralContrast(spectra, { sampleRate: 8000 }),
    /begins at 6400 Hz, half the sample rate is 4000/,
  );
  assert.throws(() => spectralContrast(spectra, { sampleRate }), /holds no bin of 375 Hz/);
  assert.throws(() => rms(empty, { frameLength: 4, hopLength: 1, center: true, padMode: 'constant' }), /not empty/);
  assert.throws(
    () => rms(x, { frameLength: 400, hopLength: 1, center: false, padMode: 'constant' }),
    /100 samples is shorter than a frame of 400/,
  );
  assert.throws(() => onsetStrength(empty, { sampleRate }), /not empty/);
  assert.throws(() => onsetStrength(x, { sampleRate, maxSize: 2 }), /maxSize is 2; expected an odd/);
  assert.throws(() => tempo(x, { sampleRate: 10, hopLength: 512 }), /hold 0 frames/);
  assert.throws(() => istft(spectra, { ...cut, nFft: 64 }), /expected f32 \[batch, 33, frames, 2\]/);
  assert.throws(() => griffinLim(spectra, { ...cut, nFft: 64, power: 1, momentum: 1 }), /momentum 1/);
});

test.run();
