import { gradcheck } from '@dawnchorus/autograd';
import { type Device, openDevice, sum, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { amplitudeToDb, hzToMel, logMel, type MelOptions, melFilterbank, melSpectrogram, melToHz } from '../src/mel.ts';
import { type StftOptions, stftConventions } from '../src/stft.ts';
import { golden, relativeError } from './golden.ts';

const expected = golden('spectral');
const torchaudio = { ...stftConventions.torchaudio, scale: 'htk', norm: null } as const;
const librosa = { ...stftConventions.librosa, scale: 'slaney', norm: 'slaney' } as const;
const rest = { sampleRate: 24000, nFft: 1024, hopLength: 320, nMels: 128 };
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const clip = () => tensor(expected.get('x') as Float32Array, { shape: [1, 24000], device });

function worst(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert.is(a.length, b.length);
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

test('filter banks agree with torchaudio and librosa', () => {
  const bank = { sampleRate: 24000, nFft: 1024, nMels: 80 };
  // torchaudio's lies the other way round, [bins, nMels], and is computed in f32.
  const htk = melFilterbank({ ...bank, scale: 'htk', norm: null });
  const transposed = Float32Array.from(htk, (_, i) => htk[(i % 80) * 513 + Math.floor(i / 80)]);
  assert.ok(relativeError(transposed, expected.get('bank/torchaudio_htk_24000_1024_80')!) < 1e-5);
  const slaney = melFilterbank({ ...bank, scale: 'slaney', norm: 'slaney' });
  assert.ok(relativeError(slaney, expected.get('bank/librosa_24000_1024_80')!) < 1e-6);
});

for (const [name, convention] of [
  ['torchaudio_htk_none', torchaudio],
  ['librosa_default', librosa],
] as const) {
  test(`mel spectrograms agree with ${name}`, async () => {
    using x = clip();
    const mel = melSpectrogram(x, { ...rest, ...convention });
    assert.equal(mel.shape, [1, 128, 76]);
    assert.ok(relativeError((await mel.data()) as Float32Array, expected.get(`mel/${name}`)!) < 1e-4);
  });
}

test("decibels agree with librosa's power_to_db", async () => {
  using x = clip();
  const decibels = amplitudeToDb(melSpectrogram(x, { ...rest, ...librosa }), { of: 'power' });
  assert.ok(worst((await decibels.data()) as Float32Array, expected.get('mel/power_to_db_top80')!) < 1e-2);
});

test("the log mel spectrogram agrees with that of MERT's mel head before and after its normalisation", async () => {
  using x = clip();
  const mel = (await logMel(x, {
    sampleRate: 24000,
    nFft: 2048,
    hopLength: 320,
    nMels: 84,
    fMin: 32.7,
    ...torchaudio,
    padMode: 'constant',
    normalized: 'window',
    offset: 1e-5,
  }).data()) as Float32Array;
  const mean = mel.reduce((total, value) => total + value, 0) / mel.length;
  const deviation = Math.sqrt(mel.reduce((total, value) => total + (value - mean) ** 2, 0) / (mel.length - 1));
  const got = Float32Array.from(mel, (_, i) => (mel[(i % 84) * 76 + Math.floor(i / 84)] - mean) / (deviation + 1e-5));
  assert.ok(worst(got, expected.get('mel/mert_model_mel_pred_84')!) < 1e-3);
});

test('mel and Hz invert each other', () => {
  for (const scale of ['htk', 'slaney'] as const) {
    for (const hz of [0, 60, 999, 1000, 1001, 11000])
      assert.ok(Math.abs(melToHz(hzToMel(hz, scale), scale) - hz) < 1e-8);
  }
});

test('triangles of unit height add up to one between the outer centres', () => {
  const bank = melFilterbank({ sampleRate: 8000, nFft: 4096, nMels: 10, scale: 'htk', norm: null });
  const sums = Array.from({ length: 2049 }, (_, f) => bank.reduce((s, w, i) => (i % 2049 === f ? s + w : s), 0));
  assert.ok(sums.slice(200, 1500).every((value) => Math.abs(value - 1) < 1e-6));
});

test('decibels keep to the floor and to the maximum of the item or of the batch', async () => {
  using x = tensor(
    [
      [1, 1e-12, 1e-3],
      [1e-4, 1e-9, 1e-5],
    ],
    { device },
  );
  const decibels = async (options: Parameters<typeof amplitudeToDb>[1]) =>
    [...(await amplitudeToDb(x, options).data())].map(Math.round);
  assert.equal(await decibels({ of: 'power', topDb: null }), [0, -100, -30, -40, -90, -50]);
  assert.equal(await decibels({ of: 'power', topDb: 45 }), [0, -45, -30, -40, -85, -50]);
  assert.equal(await decibels({ of: 'power', topDb: 45, maximumOf: 'batch' }), [0, -45, -30, -40, -45, -45]);
  assert.equal(await decibels({ of: 'amplitude', topDb: null }), [0, -100, -60, -80, -100, -100]);
  assert.throws(() => amplitudeToDb(x, { of: 'power', floor: 0 }), /floor 0/);
});

test('gradients reach the samples through the mel bank and the logarithm', async () => {
  const x = tensor(
    Float32Array.from({ length: 40 }, (_, i) => Math.sin(i * i)),
    { shape: [1, 40], device },
  );
  const options: StftOptions & MelOptions = { sampleRate: 800, nFft: 16, hopLength: 4, nMels: 3, ...torchaudio };
  await gradcheck((input) => sum(logMel(input, { ...options, offset: 0.1 })), [x]);
});

test('misuse is named', () => {
  const bank: MelOptions = { sampleRate: 24000, nFft: 512, nMels: 20, scale: 'htk', norm: null };
  assert.throws(() => melFilterbank({ ...bank, nMels: 0 }), /nMels is 0/);
  assert.throws(() => melFilterbank({ ...bank, fMax: 13000 }), /expected 0 <= fMin < fMax <= 12000/);
});

test.run();
