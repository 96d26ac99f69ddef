/** Options that are missing, misspelt or none of those there are. */
import { type Device, openDevice, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as dsp from '../src/index.ts';
import { relativeError } from './golden.ts';

let device: Device;
let x: Tensor;
const samples = Float32Array.from({ length: 600 }, (_, i) => Math.sin(1.3 * i * i));
test.before(async () => {
  device = await openDevice({ log: () => {} });
  x = tensor(samples, { shape: [1, 600], device });
});
test.after(() => device.close());

const { librosa } = dsp.stftConventions;
const cut = { nFft: 64, hopLength: 16, ...librosa };
const mel = { ...cut, sampleRate: 8000, nMels: 8, scale: 'htk', norm: null } as const;
const chroma = { ...cut, sampleRate: 8000 };

/** Calls, as JavaScript makes them, with what they are told. */
const refuse = (use: (wrong: never) => unknown, wrong: unknown, message: RegExp) =>
  assert.throws(() => use(wrong as never), message);

test('conventions of spectra are said', () => {
  for (const [name, value, expected] of [
    ['normalized', undefined, /stft: normalized is undefined; expected false, 'window' or 'frameLength'/],
    ['normalized', true, /normalized is true/],
    ['normalized', 'foo', /normalized is 'foo'/],
    ['center', undefined, /stft: center is undefined; expected true or false/],
    ['padMode', undefined, /stft: padMode is undefined; expected 'constant', 'reflect' or 'replicate'/],
    ['padMode', 'circular', /padMode is 'circular'/],
    ['hop_length', 16, /there is no 'hop_length'/],
  ] as const) {
    const wrong = { ...cut, [name]: value };
    refuse((options) => dsp.stft(x, options), wrong, expected);
    refuse((options) => dsp.spectrogram(x, options), wrong, expected);
    refuse((options) => dsp.istft(dsp.stft(x, cut), options), wrong, expected);
    refuse((options) => dsp.melSpectrogram(x, options), { ...mel, [name]: value }, expected);
    refuse((options) => dsp.logMel(x, options), { ...mel, [name]: value }, expected);
    refuse((options) => dsp.chromaStft(x, options), { ...chroma, [name]: value }, expected);
  }
  const frames = { frameLength: 64, hopLength: 16, center: true, padMode: 'constant' };
  for (const use of [dsp.rms, dsp.zeroCrossingRate]) {
    refuse((options) => use(x, options), { ...frames, padMode: undefined }, /padMode is undefined/);
    refuse((options) => use(x, options), { ...frames, center: undefined }, /center is undefined/);
    refuse((options) => use(x, options), { ...frames, hop: 1 }, /there is no 'hop'/);
  }
});

test('windows and inverse transforms know their options', () => {
  refuse((options) => dsp.makeWindow('hann', 8, options), { sym: true }, /makeWindow: .*there is no 'sym'/);
  const cqt = dsp.createCqt(device, {
    ...{ sampleRate: 8000, hopLength: 64, fMin: 500, bins: 12, binsPerOctave: 12 },
    output: 'complex',
  });
  const coefficients = cqt.transform(x);
  refuse((options) => cqt.inverse(coefficients, options), { steps: 4 }, /cqt: inverse: .*there is no 'steps'/);
  cqt.dispose();
});

test('one object may say the settings of several functions', async () => {
  const all = { ...mel, ...chroma, nMels: 8, nChroma: 12, power: 1 } as const;
  const pairs: [Tensor, Tensor][] = [
    [dsp.stft(x, all), dsp.stft(x, cut)],
    [dsp.spectrogram(x, all), dsp.spectrogram(x, { ...cut, power: 1 })],
    [dsp.melSpectrogram(x, all), dsp.melSpectrogram(x, { ...mel, power: 1 })],
  ];
  for (const [given, plain] of pairs) assert.equal(await given.data(), await plain.data());
});

test('any positive power', async () => {
  const numbers = async (y: Tensor) => (await y.data()) as Float32Array;
  const magnitudes = await numbers(dsp.spectrogram(x, { ...cut, power: 1 }));
  const cubes = await numbers(dsp.spectrogram(x, { ...cut, power: 3 }));
  assert.ok(
    relativeError(
      cubes,
      magnitudes.map((value) => value ** 3),
    ) < 1e-5,
  );
  const [heard, again] = [1, 3].map((power) =>
    dsp.griffinLim(dsp.spectrogram(x, { ...cut, power }), { ...cut, power, iterations: 2 }),
  );
  assert.ok(relativeError(await numbers(again), await numbers(heard)) < 1e-3);
  for (const power of [0, -1, Number.NaN]) {
    refuse((options) => dsp.spectrogram(x, options), { ...cut, power }, /spectrogram: power is (0|-1|NaN); expected/);
  }
  refuse((power) => dsp.melSpectrogram(x, { ...mel, power }), 0, /power is 0; expected a positive number/);
  refuse(
    (power) => dsp.griffinLim(dsp.spectrogram(x, cut), { ...cut, power }),
    undefined,
    /griffinLim: power is undef/,
  );
});

test('scales, norms and notes', () => {
  const bank = { sampleRate: 8000, nFft: 64, nMels: 8, scale: 'htk', norm: null };
  refuse(dsp.melFilterbank, { ...bank, norm: undefined }, /norm is undefined; expected 'slaney' or null/);
  refuse(dsp.melFilterbank, { ...bank, norm: 'l1' }, /norm is 'l1'/);
  refuse(dsp.melFilterbank, { ...bank, scale: undefined }, /scale is undefined; expected 'htk' or 'slaney'/);
  refuse(dsp.melFilterbank, { ...bank, scale: 'foo' }, /scale is 'foo'/);
  refuse(dsp.melFilterbank, { ...bank, n_mels: 8 }, /there is no 'n_mels'/);
  refuse((scale) => dsp.melToHz(100, scale), 'Slaney', /melToHz: scale is 'Slaney'/);
  refuse((scale) => dsp.hzToMel(100, scale), undefined, /hzToMel: scale is undefined/);
  refuse((options) => dsp.amplitudeToDb(x, options), { of: 'db' }, /of is 'db'; expected 'power' or 'amplitude'/);
  refuse((options) => dsp.amplitudeToDb(x, options), { of: 'power', maximumOf: 'foo' }, /maximumOf is 'foo'/);
  refuse((norm) => dsp.dctMatrix(2, 4, norm), 'foo', /norm is 'foo'; expected 'ortho' or null/);
  const bands = dsp.melSpectrogram(x, mel);
  refuse((options) => dsp.cepstra(bands, options), { nMfcc: 4, norm: 'foo' }, /norm is 'foo'/);
  refuse((options) => dsp.chromaStft(x, options), { ...chroma, startAt: 'D' }, /startAt is 'D'; expected 'C' or 'A'/);
  refuse((options) => dsp.chromaStft(x, options), { ...chroma, norm: 'l2' }, /norm is 'l2'/);
  const rate = { sampleRate: 8000, nFft: 64 };
  refuse((options) => dsp.mfcc(x, options), { ...rate, preset: 'torchaudio', lifter: 2 }, /there is no 'lifter'/);
  refuse((options) => dsp.mfcc(x, options), { ...rate, preset: 'librosa', dctType: 3 }, /there is no 'dctType'/);
  refuse((options) => dsp.mfcc(x, options), { ...rate, preset: 'kaldi' }, /there is no 'nFft'/);
});

test('resampling and encoding', () => {
  for (const sound of [x, samples]) {
    const use = (options: never) => dsp.resample(sound as Tensor, 8000, 4000, options);
    refuse(use, 'hann6', /resample: the options are { quality }, not hann6: write { quality: hann6 }/);
    refuse(use, { qualty: 'hann6' }, /there is no 'qualty'/);
  }
  for (const format of ['int24', 'float64', 'uint8']) {
    refuse(
      (options) => dsp.encodeWav(samples, 8000, options),
      { format },
      /format is '.*'; expected 'pcm16' or 'float32'/,
    );
  }
  refuse((options) => dsp.encodeFlac(samples, 8000, options), { bitsPerSample: 24 }, /16 bits.*no 'bitsPerSample'/);
});

test('phases are drawn by a seed that is said', () => {
  const spectra = dsp.spectrogram(x, cut);
  refuse(
    (init) => dsp.griffinLim(spectra, { ...cut, power: 2, init }),
    'random',
    /griffinLim: init is "random"; expected/,
  );
  refuse((init) => dsp.griffinLim(spectra, { ...cut, power: 2, init }), {}, /'zeros' or { seed } with a whole number/);
});

test('filters of constant-Q transforms that no memory holds are refused', () => {
  const cqt = { sampleRate: 24000, hopLength: 320, fMin: 1e-6, bins: 12, binsPerOctave: 12 };
  assert.throws(() => dsp.createCqt(device, cqt), /createCqt: the filters have \d+ taps together.*higher fMin/);
  assert.throws(
    () => dsp.cqtLengths({ ...cqt, normalization: 'librosa' }),
    /cqtLengths: the longest filter has \d+ samples/,
  );
  assert.throws(() => dsp.createCqt(device, { ...cqt, fmin: 32 } as never), /there is no 'fmin'/);
});

test('what is not a number stays so in counts of zero crossings', async () => {
  const broken = samples.slice();
  broken[300] = Number.NaN;
  const options = { frameLength: 64, hopLength: 64, center: false, padMode: 'constant' } as const;
  const count = (of: Float32Array) => dsp.zeroCrossingRate(tensor(of, { shape: [1, 600], device }), options).data();
  const [whole, own] = [await count(samples), await count(broken)];
  // As text, in which NaN is NaN.
  assert.is(own.join(), whole.map((value, frame) => (frame === 4 ? Number.NaN : value)).join());
});

test.run();
