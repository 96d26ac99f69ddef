import { gradcheck } from '@dawnchorus/autograd';
import { compile, concat, type Device, openDevice, sum, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { chromaFilterbank, chromaStft } from '../src/chroma.ts';
import { dctMatrix } from '../src/dct.ts';
import { deltas } from '../src/deltas.ts';
import { kaldiFbank, kaldiMelFilterbank, kaldiMfcc } from '../src/kaldi.ts';
import { amplitudeToDb, logMel, melFilterbank, melSpectrogram } from '../src/mel.ts';
import { type MfccOptions, mfcc, mfccWithDeltas } from '../src/mfcc.ts';
import { stftConventions } from '../src/stft.ts';
import { makeWindow } from '../src/windows.ts';
import { golden, relativeError } from './golden.ts';

const expected = golden('features');
const banks = golden('filterbanks');
const signal = golden('spectral').get('x') as Float32Array;
const { librosa, torchaudio } = stftConventions;
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const clip = () => tensor(signal, { shape: [1, 24000], device });
/** Some columns of a row-major matrix. */
const columns = (x: ArrayLike<number>, width: number, step: number, first = Math.ceil(width / step)) =>
  Float64Array.from(
    { length: (x.length / width) * first },
    (_, i) => x[Math.floor(i / first) * width + (i % first) * step],
  );
/** A golden array [frames, ceps] as [ceps, frames]. */
const turned = (name: string, width: number) => {
  const x = expected.get(name)!;
  const rows = x.length / width;
  return Float64Array.from(x, (_, i) => x[(i % rows) * width + Math.floor(i / rows)]);
};
const numbers = async (x: Tensor) => (await x.data()) as Float32Array;

for (const [name, window] of [
  ['bartlett', 'bartlett'],
  ['blackmanharris', 'blackmanharris'],
  ['flattop', 'flattop'],
  ['hann', 'hann'],
  ['kaiser8', { kaiser: 8 }],
] as const) {
  test(`${name} windows of several lengths agree with scipy's`, () => {
    for (const [key, wanted] of banks) {
      const [kind, own, length, period] = key.split(/[/_]/);
      if (kind !== 'win' || own !== name) continue;
      const made = makeWindow(window, Number(length), { periodic: period === 'periodic' });
      assert.ok(relativeError(made, wanted) < 1e-12, key);
    }
  });
}

test("Kaldi's window, cosines, lifter and bank agree with torchaudio", async () => {
  assert.ok(relativeError(makeWindow('povey', 600, { periodic: false }), banks.get('kaldi/povey_600')!) < 1e-6);
  const bank = kaldiMelFilterbank({ sampleRate: 24000, nFft: 1024, nMels: 23 });
  assert.ok(relativeError(columns(bank, 513, 1, 512), banks.get('mel/kaldi_24000_1024_23')!) < 1e-6);
  const dct = dctMatrix(13, 23, 'ortho', 'torchaudio');
  const wanted = banks.get('kaldi/dct_23_13')!;
  assert.ok(
    relativeError(
      dct,
      Float64Array.from(dct, (_, i) => wanted[(i % 23) * 13 + Math.floor(i / 23)]),
    ) < 1e-6,
  );
});

test('cosine matrices agree with torchaudio, ortho and plain', () => {
  for (const [norm, size] of [
    ['ortho', 128],
    [null, 64],
  ] as const) {
    const wanted = banks.get(`dct/${norm ?? 'none'}_13_${size}`)!;
    const made = dctMatrix(13, size, norm, 'torchaudio');
    // torchaudio's stand the other way round.
    assert.ok(
      relativeError(
        made,
        [...made].map((_, i) => wanted[(i % size) * 13 + Math.floor(i / size)]),
      ) < 1e-6,
    );
  }
});

test('a whole orthonormal cosine matrix has unit rows at right angles', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), (n) => {
      const m = dctMatrix(n, n);
      for (let a = 0; a < n; a++) {
        for (let b = 0; b < n; b++) {
          let dot = 0;
          for (let i = 0; i < n; i++) dot += m[a * n + i] * m[b * n + i];
          assert.ok(Math.abs(dot - (a === b ? 1 : 0)) < 1e-5);
        }
      }
    }),
  );
});

test('mel and chroma banks agree with torchaudio and librosa', () => {
  const bank = { sampleRate: 24000, nFft: 1024, nMels: 80 };
  const slaney = melFilterbank({ ...bank, scale: 'slaney', norm: 'slaney', binFrequencies: 'torchaudio' });
  const wanted = banks.get('mel/torchaudio_slaney_24000_1024_80')!;
  const turnedSlaney = Float64Array.from(wanted, (_, i) => slaney[(i % 80) * 513 + Math.floor(i / 80) * 8]);
  assert.ok(relativeError(turnedSlaney, wanted) < 1e-5);
  const htk = melFilterbank({ ...bank, scale: 'htk', norm: null });
  assert.ok(relativeError(columns(htk, 513, 8), banks.get('mel/librosa_htk_none_24000_1024_80')!) < 1e-6);
  const chroma = { sampleRate: 24000, nFft: 2048 };
  assert.ok(relativeError(chromaFilterbank(chroma), banks.get('chroma/librosa_24000_2048_12')!) < 1e-6);
  const fine = chromaFilterbank({ ...chroma, nChroma: 264 });
  assert.ok(relativeError(columns(fine, 1025, 8), banks.get('chroma/librosa_24000_2048_264')!) < 1e-6);
});

test('bins of odd rates lie where each library has them', () => {
  const bank = { sampleRate: 11, nFft: 4, nMels: 1, fMin: 0, fMax: 5, scale: 'htk', norm: null } as const;
  const peak = (5 / 2) * 1; // the middle of the triangle is near; the bins are at 0, 2.5, 5 or 0, 2.75, 5.5
  const [exact, whole] = [melFilterbank(bank), melFilterbank({ ...bank, binFrequencies: 'torchaudio' })];
  const mel = (hz: number) => 2595 * Math.log10(1 + hz / 700);
  const centre = 700 * (10 ** (mel(5) / 2 / 2595) - 1);
  assert.ok(Math.abs(whole[1] - Math.min(peak / centre, (5 - peak) / (5 - centre))) < 1e-6);
  assert.ok(Math.abs(exact[1] - (5 - 2.75) / (5 - centre)) < 1e-6);
});

const mel = { sampleRate: 24000, nFft: 1024, hopLength: 320, nMels: 128 };
for (const [name, options] of [
  ['mel/librosa_htk_none', { ...mel, ...librosa, scale: 'htk', norm: null }],
  ['mel/torchaudio_slaney_slaney', { ...mel, ...torchaudio, scale: 'slaney', norm: 'slaney' }],
] as const) {
  test(`the spectrogram ${name} agrees`, async () => {
    using x = clip();
    const got = await numbers(melSpectrogram(x, options));
    assert.ok(relativeError(columns(got, 76, 4), expected.get(name)!) < 1e-4);
  });
}

test("the 229 bands of MERT's first variant agree", async () => {
  using x = clip();
  const bands = { sampleRate: 24000, nFft: 2048, hopLength: 320, nMels: 229, fMin: 32.7, scale: 'htk', norm: null };
  const convention = { ...torchaudio, padMode: 'constant', normalized: 'window' } as const;
  const got = await numbers(logMel(x, { ...bands, ...convention, offset: 1e-5 } as Parameters<typeof logMel>[1]));
  assert.ok(relativeError(columns(got, 76, 4), expected.get('mel/229_logmel_teacher')!) < 1e-4);
});

const spectrum = { sampleRate: 24000, nFft: 1024, hopLength: 320 };
for (const [name, options] of [
  ['mfcc/librosa_20', { preset: 'librosa', ...spectrum }],
  ['mfcc/librosa_13_lifter22', { preset: 'librosa', ...spectrum, nMfcc: 13, lifter: 22 }],
  ['mfcc/torchaudio_40', { preset: 'torchaudio', ...spectrum }],
  ['mfcc/torchaudio_13_logmels', { preset: 'torchaudio', ...spectrum, nMels: 64, nMfcc: 13, logMels: true }],
  ['mfcc/kaldi_hubert_10ms', { preset: 'kaldi', sampleRate: 24000 }],
  ['mfcc/kaldi_75Hz', { preset: 'kaldi', sampleRate: 24000, frameShift: 1000 / 75 }],
] as [string, MfccOptions][]) {
  test(`${name} agrees, alone and in a batch`, async () => {
    using x = clip();
    using batch = concat([x.mul(0.01), x], 0);
    const wanted = options.preset === 'kaldi' ? turned(name, 13) : expected.get(name)!;
    const got = await numbers(mfcc(x, options));
    assert.ok(relativeError(got, wanted) < 1e-4);
    const second = (await numbers(mfcc(batch, options))).slice(got.length);
    assert.ok(relativeError(second, wanted) < 1e-4);
  });
}

test("HuBERT's 39 features and Kaldi's bank agree with torchaudio", async () => {
  using x = clip();
  const features = mfccWithDeltas(x, { preset: 'kaldi', sampleRate: 24000 });
  assert.equal(features.shape, [1, 39, 98]);
  assert.ok(relativeError(await numbers(features), turned('mfcc/hubert39', 39)) < 1e-4);
  const bank = kaldiFbank(x, { sampleRate: 24000, nMels: 80 });
  assert.equal(bank.shape, [1, 98, 80]);
  const some = (await numbers(bank)).filter((_, i) => Math.floor(i / 80) % 3 === 0);
  assert.ok(relativeError(some, expected.get('fbank/kaldi_80')!) < 1e-4);
});

test("Kaldi's energy, mirrored edges and magnitudes are those of f64", async () => {
  const x = Float32Array.from({ length: 90 }, (_, i) => 100 * Math.sin(0.3 * i) + i);
  using input = tensor(x, { shape: [1, 90], device });
  const options = { sampleRate: 1000, frameLength: 20, frameShift: 10, nMels: 4, useEnergy: true } as const;
  const energy = await numbers(kaldiFbank(input, options).sliceAxis(2, 0, 1));
  const at = (t: number, n: number) => x[t * 10 + n];
  const wanted = Array.from({ length: 8 }, (_, t) => {
    const frame = Array.from({ length: 20 }, (_, n) => at(t, n));
    const centre = frame.reduce((a, b) => a + b) / 20;
    return Math.log(frame.reduce((total, value) => total + (value - centre) ** 2, 0));
  });
  assert.ok(relativeError(energy, wanted) < 1e-6);
  const cepstra = await numbers(kaldiMfcc(input, { ...options, nMfcc: 3 }).sliceAxis(2, 0, 1));
  assert.ok(relativeError(cepstra, wanted) < 1e-6);
  const mirrored = kaldiFbank(input, { ...options, snipEdges: false });
  assert.equal(mirrored.shape, [1, 9, 5]);
  const left = Array.from({ length: 20 }, (_, n) => x[n < 5 ? 4 - n : n - 5]);
  const centre = left.reduce((a, b) => a + b) / 20;
  const own = Math.log(left.reduce((total, value) => total + (value - centre) ** 2, 0));
  assert.ok(Math.abs((await numbers(mirrored))[0] - own) < 1e-5);
  const [power, magnitude] = [true, false].map((usePower) => kaldiFbank(input, { ...options, nMels: 1, usePower }));
  assert.not.equal(await numbers(power), await numbers(magnitude));
});

test("Kaldi's pre-emphasis takes a frame's first sample from itself", async () => {
  // Povey's window is 0 there, and would hide it.
  const x = Float32Array.from({ length: 16 }, (_, i) => 100 * Math.cos(0.4 * i) + 3 * i);
  using input = tensor(x, { shape: [1, 16], device });
  const options = {
    sampleRate: 1000,
    frameLength: 16,
    nMels: 3,
    window: 'rectangular',
    removeDcOffset: false,
  } as const;
  const emphasised = Array.from(x, (value, i) => value - 0.97 * x[Math.max(0, i - 1)]);
  const power = Array.from({ length: 9 }, (_, k) => {
    let [re, im] = [0, 0];
    for (const [i, value] of emphasised.entries()) {
      re += value * Math.cos((2 * Math.PI * i * k) / 16);
      im += value * Math.sin((2 * Math.PI * i * k) / 16);
    }
    return re ** 2 + im ** 2;
  });
  const bank = kaldiMelFilterbank({ sampleRate: 1000, nFft: 16, nMels: 3 });
  const wanted = [0, 1, 2].map((m) => Math.log(power.reduce((sum, own, k) => sum + bank[m * 9 + k] * own, 0)));
  assert.ok(relativeError(await numbers(kaldiFbank(input, options)), wanted) < 1e-5);
});

test("deltas agree with librosa's polynomials", async () => {
  using own = tensor(expected.get('mfcc/librosa_20') as Float32Array, { shape: [1, 20, 76], device });
  const got = await numbers(deltas(own, { convention: 'librosa' }));
  assert.ok(relativeError(got, expected.get('delta/librosa_w9')!) < 1e-5);
});

test('deltas of polynomials are their derivatives', async () => {
  const cases = fc.record({
    half: fc.integer({ min: 1, max: 5 }),
    extra: fc.integer({ min: 0, max: 12 }),
    slope: fc.integer({ min: -5, max: 5 }),
    bend: fc.integer({ min: -3, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ half, extra, slope, bend }) => {
      const width = 2 * half + 1;
      const frames = width + extra;
      const values = Float32Array.from({ length: frames }, (_, t) => 3 + slope * t);
      using line = tensor(values, { shape: [1, frames], device });
      const close = (x: ArrayLike<number>, wanted: number) =>
        Array.from(x).every((value) => Math.abs(value - wanted) < 1e-3);
      assert.ok(close(await numbers(deltas(line, { convention: 'librosa', width })), slope));
      const plain = await numbers(deltas(line, { convention: 'torchaudio', width }));
      assert.ok(close(plain.slice(half, frames - half), slope));
      if (half > 1) {
        using curve = tensor(
          values.map((value, t) => value + bend * t * t),
          { shape: [frames], device },
        );
        const second = await numbers(deltas(curve, { convention: 'librosa', width, order: 2 }));
        assert.ok(close(second, 2 * bend));
      }
    }),
    { numRuns: 25 },
  );
});

test('chroma agrees with librosa: 12 and 264 classes, and in short windows', async () => {
  using x = clip();
  const options = { sampleRate: 24000, nFft: 2048, hopLength: 320, ...librosa };
  const twelve = chromaStft(x, options);
  assert.ok(relativeError(await numbers(twelve), expected.get('chroma/stft_12_tuning0')!) < 1e-4);
  const fine = await numbers(chromaStft(x, { ...options, nChroma: 264 }));
  assert.ok(relativeError(columns(fine, 76, 4), expected.get('chroma/stft_264_tuning0')!) < 1e-4);
  const marble = { ...options, nFft: 512, winLength: 60, nChroma: 264 };
  const short = await numbers(chromaStft(x.sliceAxis(1, 0, 74 * 320 + 60), marble));
  assert.ok(relativeError(columns(short, 75, 1, 20), expected.get('chroma/marble_264')!) < 1e-4);
});

test('a tone rises by a class a semitone, and A is the tenth from C', async () => {
  const options = { sampleRate: 16000, nFft: 4096, hopLength: 4096, ...librosa, center: false };
  for (let semitone = 0; semitone < 12; semitone++) {
    const hz = 440 * 2 ** (semitone / 12);
    using x = tensor(
      Float32Array.from({ length: 4096 }, (_, i) => Math.sin((2 * Math.PI * hz * i) / 16000)),
      { shape: [1, 4096], device },
    );
    const fromC = await numbers(chromaStft(x, options));
    const fromA = await numbers(chromaStft(x, { ...options, startAt: 'A', norm: 1 }));
    assert.is(fromC.indexOf(Math.max(...fromC)), (9 + semitone) % 12);
    assert.is(fromA.indexOf(Math.max(...fromA)), semitone);
    assert.ok(Math.abs(fromA.reduce((a, b) => a + b) - 1) < 1e-5);
  }
});

test('silence gives numbers: chroma zero, cepstra of the floor', async () => {
  using x = tensor(new Float32Array(4096), { shape: [1, 4096], device });
  const chroma = await numbers(chromaStft(x, { sampleRate: 16000, nFft: 1024, hopLength: 512, ...librosa }));
  assert.ok(chroma.every((value) => value === 0));
  for (const preset of ['librosa', 'torchaudio', 'kaldi'] as const) {
    assert.ok((await numbers(mfccWithDeltas(x, { preset, sampleRate: 4000, fMax: 1900 }))).every(Number.isFinite));
  }
});

test('NaN stays in the clip that holds it', async () => {
  const two = new Float32Array(4096).fill(0.5);
  two[100] = Number.NaN;
  using x = tensor(two, { shape: [2, 2048], device });
  for (const preset of ['librosa', 'torchaudio', 'kaldi'] as const) {
    const got = await numbers(mfcc(x, { preset, sampleRate: 8000 }));
    assert.ok(got.slice(0, got.length / 2).some(Number.isNaN));
    assert.ok(got.slice(got.length / 2).every(Number.isFinite));
  }
});

test('gradients reach the samples through cepstra, deltas and chroma', async () => {
  const x = tensor(
    Float32Array.from({ length: 120 }, (_, i) => Math.sin(i * i)),
    { shape: [1, 120], device },
  );
  const short = { sampleRate: 800, nFft: 16, hopLength: 8, nMels: 4, nMfcc: 3, topDb: null } as const;
  await gradcheck((input) => sum(mfccWithDeltas(input, { preset: 'torchaudio', ...short, logMels: true })), [x]);
  const kaldi = { preset: 'kaldi', sampleRate: 1000, frameLength: 16, frameShift: 8, nMels: 3, nMfcc: 2 } as const;
  await gradcheck((input) => sum(mfccWithDeltas(input, kaldi)), [x]);
  const chroma = { sampleRate: 800, nFft: 16, hopLength: 8, nChroma: 4, norm: 2, ...librosa } as const;
  await gradcheck((input) => sum(chromaStft(input, chroma)), [x]);
});

test('features are the same compiled', async () => {
  using x = clip();
  for (const fn of [
    (input: Tensor) => mfccWithDeltas(input, { preset: 'kaldi', sampleRate: 24000 }),
    (input: Tensor) => mfccWithDeltas(input, { preset: 'librosa', ...spectrum }),
    (input: Tensor) => chromaStft(input, { ...spectrum, ...librosa, nChroma: 264 }),
  ]) {
    const compiled = compile(fn);
    using got = compiled(x);
    assert.ok(relativeError(await numbers(got), await numbers(fn(x))) < 1e-5);
    compiled.dispose();
  }
});

test('misuse is named', () => {
  using x = tensor(new Float32Array(100), { shape: [1, 100], device });
  using empty = tensor(new Float32Array(0), { shape: [1, 0], device });
  using one = tensor(new Float32Array(1), { shape: [1, 1], device });
  assert.throws(() => kaldiFbank(x, { sampleRate: 16000 }), /a clip of 100 samples is shorter than a frame of 400/);
  assert.throws(() => kaldiFbank(empty, { sampleRate: 16000 }), /x is f32\[1, 0\]; expected f32 \[batch, samples\]/);
  assert.throws(() => kaldiFbank(x, { sampleRate: 60 }), /expected 2 and 1 at least/);
  assert.throws(() => kaldiMfcc(x, { sampleRate: 1000, nMfcc: 24 }), /nMfcc is 24; .* nMels, 23/);
  assert.throws(() => mfcc(one, { preset: 'torchaudio', sampleRate: 16000 }), /1 samples is too short to mirror 200/);
  assert.throws(() => mfcc(empty, { preset: 'librosa', sampleRate: 16000 }), /not empty/);
  assert.throws(() => mfcc(x, { preset: 'htk' } as never), /preset is 'htk'/);
  assert.throws(() => mfcc(x, { preset: 'librosa', sampleRate: 16000, nMfcc: 129 }), /nMfcc is 129/);
  assert.throws(() => deltas(x, { convention: 'librosa', width: 101 }), /100 frames are fewer than the width 101/);
  assert.throws(() => deltas(x, { convention: 'librosa', width: 4 }), /width is 4; expected an odd number/);
  assert.throws(() => deltas(x, {} as never), /convention is 'undefined'/);
  assert.throws(() => chromaFilterbank({ sampleRate: 16000, nFft: 512, nChroma: 0 }), /nChroma is 0/);
  assert.throws(() => dctMatrix(5, 4), /5 rows of 4/);
  assert.throws(() => makeWindow('hanning' as never, 4), /there is no window 'hanning'/);
  assert.throws(() => makeWindow(null as never, 4), /there is no window 'null'/);
  // Settings that no arithmetic would refuse, and make NaN of everything.
  const mel = { sampleRate: Infinity, nFft: 64, nMels: 4, fMax: 8000, scale: 'htk', norm: null } as const;
  assert.throws(() => melFilterbank(mel), /sampleRate is Infinity; expected a positive number/);
  assert.throws(() => melFilterbank({ ...mel, sampleRate: 16000, nFft: 0 }), /nFft is 0; expected a whole number/);
  const cut = { ...stftConventions.librosa, hopLength: 50, ...mel, sampleRate: 16000 };
  assert.throws(() => logMel(x, { ...cut, offset: -1 }), /offset is -1; expected a number from 0/);
  assert.throws(() => amplitudeToDb(x, { of: 'power', topDb: Number.NaN }), /topDb is NaN; expected a number from 0/);
  assert.throws(() => amplitudeToDb(x, { of: 'power', floor: Infinity }), /floor Infinity; .* a positive floor/);
  assert.throws(() => kaldiMfcc(x, { sampleRate: 1000, lifter: Number.NaN }), /lifter is NaN/);
  const chroma = { sampleRate: 16000, nFft: 512, octaveCentre: Number.NaN };
  assert.throws(() => chromaFilterbank(chroma), /octaveCentre NaN.*; expected a positive rate, two numbers/);
});

test.run();
