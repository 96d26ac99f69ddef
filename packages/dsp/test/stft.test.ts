import { gradcheck } from '@dawnchorus/autograd';
import { compile, type Device, mul, openDevice, sum, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { melSpectrogram } from '../src/mel.ts';
import { type StftOptions, spectrogram, stft, stftConventions } from '../src/stft.ts';
import { makeWindow, type Window } from '../src/windows.ts';
import { golden, relativeError } from './golden.ts';

const expected = golden('spectral');
const { librosa, torchaudio } = stftConventions;
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const shapes: [string, Window][] = [
  ['hann', 'hann'],
  ['hamming', 'hamming'],
  ['blackman', 'blackman'],
  ['kaiser8', { kaiser: 8 }],
];
for (const [name, window] of shapes) {
  test(`${name} windows agree with scipy's`, () => {
    for (const length of [16, 17]) {
      for (const kind of ['periodic', 'symmetric']) {
        const made = makeWindow(window, length, { periodic: kind === 'periodic' });
        assert.ok(relativeError(made, expected.get(`win/${name}_${length}_${kind}`)!) < 1e-12);
      }
    }
  });
}

test('windows of one sample are 1, of none an error', () => {
  assert.equal(makeWindow('hann', 1), Float64Array.of(1));
  assert.throws(() => makeWindow('hann', 0), /length is 0/);
});

for (const [name, options] of [
  ['torch_center_reflect', { nFft: 1024, hopLength: 256, ...torchaudio }],
  ['torch_nocenter', { nFft: 1024, hopLength: 256, ...torchaudio, center: false }],
  ['torch_win400_nfft512_center_const', { nFft: 512, winLength: 400, hopLength: 160, ...librosa }],
  ['librosa_default_1024_256', { nFft: 1024, hopLength: 256, ...librosa }],
] as [string, StftOptions][]) {
  test(`stft agrees with ${name}`, async () => {
    const x = expected.get('x') as Float32Array;
    using input = tensor(x, { shape: [1, x.length], device });
    const y = stft(input, options);
    const frames = options.center
      ? Math.floor(x.length / options.hopLength) + 1
      : Math.floor((x.length - options.nFft) / options.hopLength) + 1;
    assert.equal(y.shape, [1, options.nFft / 2 + 1, frames, 2]);
    const got = (await y.sliceAxis(2, 0, 12).data()) as Float32Array;
    assert.ok(relativeError(got, expected.get(`stft/${name}`)!) < 1e-5);
  });
}

/** One frame of the transform by its definition, in f64. */
function reference(x: Float64Array, nFft: number, window: Float64Array): number[] {
  const out: number[] = [];
  for (let f = 0; f <= nFft >> 1; f++) {
    let re = 0;
    let im = 0;
    for (let n = 0; n < nFft; n++) {
      re += x[n] * window[n] * Math.cos((2 * Math.PI * f * n) / nFft);
      im -= x[n] * window[n] * Math.sin((2 * Math.PI * f * n) / nFft);
    }
    out.push(re, im);
  }
  return out;
}

test('stft agrees with the definition for any sizes, paddings and scales', async () => {
  const cases = fc.record({
    nFft: fc.integer({ min: 2, max: 40 }),
    hopLength: fc.integer({ min: 1, max: 30 }),
    extra: fc.integer({ min: 0, max: 60 }),
    shorter: fc.integer({ min: 0, max: 20 }),
    center: fc.boolean(),
    padMode: fc.constantFrom('constant', 'reflect' as const),
    normalized: fc.constantFrom(false, 'window', 'frameLength' as const),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ nFft, extra, shorter, ...rest }) => {
      const winLength = Math.max(1, nFft - shorter);
      const options = { ...rest, nFft, winLength, window: 'hamming' } as StftOptions;
      const samples = nFft + extra;
      const x = Float64Array.from({ length: samples }, (_, i) => Math.fround(Math.sin(1.3 * i * i)));
      const half = rest.center ? nFft >> 1 : 0;
      const at = (i: number) => {
        if (rest.padMode === 'constant') return x[i] ?? 0;
        const mirrored = Math.abs(i);
        return x[mirrored < samples ? mirrored : 2 * (samples - 1) - mirrored];
      };
      const window = new Float64Array(nFft);
      const inner = makeWindow('hamming', winLength);
      window.set(inner, (nFft - winLength) >> 1);
      const energy = inner.reduce((total, weight) => total + weight * weight, 0);
      const scale = rest.normalized === 'window' ? energy : rest.normalized === 'frameLength' ? nFft : 1;
      using input = tensor(Float32Array.from(x), { shape: [1, samples], device });
      const y = stft(input, options);
      const frames = Math.floor((samples + 2 * half - nFft) / rest.hopLength) + 1;
      assert.equal(y.shape, [1, (nFft >> 1) + 1, frames, 2]);
      const got = (await y.permute([0, 2, 1, 3]).data()) as Float32Array;
      const wanted = Array.from({ length: frames }, (_, t) => {
        const frame = Float64Array.from({ length: nFft }, (_, n) => at(t * rest.hopLength + n - half));
        return reference(frame, nFft, window).map((value) => value / Math.sqrt(scale));
      }).flat();
      assert.ok(relativeError(got, wanted) < 1e-5);
    }),
    { numRuns: 40 },
  );
});

test('the power of a spectrogram is the squared magnitude of the transform', async () => {
  const x = (expected.get('x') as Float32Array).slice(0, 2000);
  using input = tensor(x, { shape: [2, 1000], device });
  const options: StftOptions = { nFft: 64, hopLength: 16, ...librosa };
  const complex = (await stft(input, options).data()) as Float32Array;
  const energy = (await spectrogram(input, options).data()) as Float32Array;
  const magnitude = (await spectrogram(input, { ...options, power: 1 }).data()) as Float32Array;
  const wanted = Float64Array.from(energy, (_, i) => complex[2 * i] ** 2 + complex[2 * i + 1] ** 2);
  assert.ok(relativeError(energy, wanted) < 1e-6);
  assert.ok(relativeError(magnitude, wanted.map(Math.sqrt)) < 1e-6);
});

for (const convention of [librosa, torchaudio]) {
  test(`gradients reach the samples through ${convention.padMode} padding`, async () => {
    const x = tensor(
      Float32Array.from({ length: 24 }, (_, i) => Math.sin(i * i)),
      { shape: [2, 12], device },
    );
    const weights = tensor(
      Float32Array.from({ length: 60 }, (_, i) => Math.cos(3 * i)),
      { shape: [2, 5, 6], device },
    );
    await gradcheck(
      (input) => sum(mul(spectrogram(input, { nFft: 8, hopLength: 2, ...convention }).sliceAxis(2, 0, 6), weights)),
      [x],
    );
  });
}

test('a compiled function makes its own tables, and keeps them when others have taken their place', async () => {
  const options = {
    nFft: 48,
    hopLength: 12,
    sampleRate: 8000,
    nMels: 9,
    scale: 'slaney',
    norm: null,
    ...torchaudio,
  } as const;
  const mel = (x: Tensor) => melSpectrogram(x.mul(2), options).add(1);
  const compiled = compile(mel, { verify: 'always' });
  using x = tensor((expected.get('x') as Float32Array).slice(0, 1200), { shape: [2, 600], device });
  using first = compiled(x);
  const wanted = await first.data();
  using eager = mel(x);
  assert.ok(relativeError(wanted, await eager.data()) < 1e-6);
  for (let nFft = 2; nFft < 40; nFft++) stft(x, { ...torchaudio, hopLength: 10, nFft }).dispose();
  using again = compiled(x);
  assert.equal(await again.data(), wanted);
  compiled.dispose();
});

test('misuse is named', () => {
  const x = tensor(new Float32Array(100), { shape: [1, 100], device });
  const options: StftOptions = { nFft: 64, hopLength: 16, ...librosa };
  assert.throws(() => stft(x.reshape([100]), options), /x is f32\[100\]; expected f32 \[batch, samples\]/);
  assert.throws(() => stft(x, { ...options, hopLength: 0 }), /hopLength is 0/);
  assert.throws(() => stft(x, { ...options, winLength: 65 }), /winLength 65 is over nFft 64/);
  assert.throws(() => stft(x, { ...options, nFft: 128, center: false }), /shorter than nFft 128/);
  assert.throws(() => stft(x, { ...options, nFft: 200, padMode: 'reflect' }), /too short to mirror 100/);
});

test.run();
