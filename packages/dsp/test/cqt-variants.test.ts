/** What the constant-Q transform has beside MERT's target: other lengths and edges, the multirate method, the way back. */
import { grad } from '@dawnchorus/autograd';
import { compile, type Device, openDevice, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CqtOptions, createCqt } from '../src/cqt.ts';
import { cqChromaFilterbank, cqToChroma } from '../src/cqt-chroma.ts';
import { relativeError } from './golden.ts';

const small: CqtOptions = { sampleRate: 8000, hopLength: 96, fMin: 130.1, bins: 24, binsPerOctave: 12 };
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

function noise(samples: number, seed = 1): Float32Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32 - 0.5;
  };
  return Float32Array.from({ length: samples }, () => uniform() + uniform() + uniform());
}

const input = (x: Float32Array, clips = 1) => tensor(x, { shape: [clips, x.length / clips], device });

/** The definition in f64: complex coefficients [bins, frames, 2], the signal being x(n) for every n. */
function reference(x: (n: number) => number, samples: number, options: CqtOptions): number[] {
  const { sampleRate, hopLength, fMin, bins, binsPerOctave, gamma = 0, filterScale = 1 } = options;
  const quality = 1 / (2 ** (1 / binsPerOctave) - 1);
  const out: number[] = [];
  for (let k = 0; k < bins; k++) {
    const frequency = fMin * 2 ** (k / binsPerOctave);
    const length = Math.ceil((filterScale * quality * sampleRate) / (frequency + gamma * quality));
    for (let t = 0; t <= Math.floor(samples / hopLength); t++) {
      let [re, im] = [0, 0];
      for (let i = 0; i < length; i++) {
        const n = i - Math.ceil(length / 2);
        const weight = x(t * hopLength + n) * (1 - Math.cos((2 * Math.PI * i) / length));
        re += weight * Math.cos((2 * Math.PI * frequency * n) / sampleRate);
        im -= weight * Math.sin((2 * Math.PI * frequency * n) / sampleRate);
      }
      out.push(re / Math.sqrt(length), im / Math.sqrt(length));
    }
  }
  return out;
}

test('any gamma, filter scale and edge agree with the definition, by every method', async () => {
  const settings = fc.record({
    sampleRate: fc.constantFrom(8000, 11025, 22050),
    hopLength: fc.constantFrom(32, 64, 90, 127, 160),
    fMin: fc.double({ min: 150, max: 900, noNaN: true }),
    bins: fc.integer({ min: 1, max: 30 }),
    binsPerOctave: fc.integer({ min: 2, max: 16 }),
    gamma: fc.constantFrom(0, 3, 20),
    filterScale: fc.constantFrom(0.5, 1, 1.3),
    padMode: fc.constantFrom('constant' as const, 'reflect' as const),
  });
  await fc.assert(
    fc.asyncProperty(settings, fc.integer({ min: 1, max: 1500 }), fc.nat(), async (options, samples, seed) => {
      fc.pre(options.fMin * 2 ** ((options.bins - 1) / options.binsPerOctave) <= options.sampleRate / 2.5);
      const x = noise(samples, seed);
      const first = createCqt(device, options);
      const tooShort = options.padMode === 'reflect' && samples <= Math.ceil(first.lengths[0] / 2);
      first.dispose();
      fc.pre(!tooShort);
      const mirrored = (n: number) => x[n < 0 ? -n : n >= samples ? 2 * (samples - 1) - n : n];
      const zeros = (n: number) => x[n] ?? 0;
      const want = reference(options.padMode === 'reflect' ? mirrored : zeros, samples, options);
      for (const method of ['fft', 'gemm', 'multirate'] as const) {
        const cqt = createCqt(device, { ...options, method, output: 'complex' });
        using y = cqt.transform(input(x));
        assert.equal(y.shape, [1, options.bins, cqt.frames(samples), 2]);
        const error = relativeError((await y.data()) as Float32Array, want);
        assert.ok(error < (method === 'multirate' ? 3e-3 : 5e-5), `${method}: ${error}`);
        cqt.dispose();
      }
    }),
    { numRuns: 25 },
  );
});

test('any hop: where one Fourier transform cannot hold the filters, products do', async () => {
  const options: CqtOptions = { ...small, hopLength: 1 };
  const cqt = createCqt(device, options);
  assert.is(cqt.method, 'gemm');
  const x = noise(40);
  const want = reference((n) => x[n] ?? 0, 40, options);
  const magnitude = Float64Array.from({ length: want.length / 2 }, (_, i) => Math.hypot(want[2 * i], want[2 * i + 1]));
  assert.ok(relativeError((await cqt.transform(input(x)).data()) as Float32Array, magnitude) < 3e-5);
  cqt.dispose();
  const usual = createCqt(device, small);
  assert.is(usual.method, 'fft');
  usual.dispose();
});

test('frames that begin at multiples of the hop agree with the definition, by every method', async () => {
  // 1034 taps lie in a width of 2048: frame t is centred on sample 96 t + 1024.
  for (const samples of [2048, 2143, 2144, 3000]) {
    const x = noise(samples, 6);
    const frames = Math.floor((samples - 2048) / 96) + 1;
    const want = reference((n) => x[n + 1024] ?? 0, (frames - 1) * 96, small);
    for (const method of ['fft', 'gemm', 'multirate'] as const) {
      const cqt = createCqt(device, { ...small, method, output: 'complex', center: false });
      assert.is(cqt.frames(samples), frames);
      const got = (await cqt.transform(input(x)).data()) as Float32Array;
      assert.ok(relativeError(got, want) < (method === 'multirate' ? 1e-3 : 5e-5), method);
      cqt.dispose();
    }
  }
  const within = createCqt(device, { ...small, center: false });
  assert.throws(
    () => within.transform(input(noise(2047))),
    /2047 samples is shorter than the width of the filters, 2048/,
  );
  assert.is(within.frames(2047), 0);
  within.dispose();
});

test('the fast method has the phases of f64 to its own rounding', async () => {
  // Half a sample of an odd filter, and half a step of the spectrum, are phases of their own: a mistake in either is small
  // beside the loudest bin, and large beside what rounding leaves.
  const options: CqtOptions = { ...small, output: 'complex' };
  const x = noise(1200, 4);
  const want = reference((n) => x[n] ?? 0, 1200, options);
  const cqt = createCqt(device, { ...options, method: 'fft' });
  const got = (await cqt.transform(input(x)).data()) as Float32Array;
  cqt.dispose();
  assert.ok(relativeError(got, want) < 1.5e-5, String(relativeError(got, want)));
});

test('phases have length 1, and silence has angle 0', async () => {
  for (const method of ['fft', 'gemm', 'multirate'] as const) {
    const cqt = createCqt(device, { ...small, method, output: 'phase' });
    const silent = await cqt.transform(input(new Float32Array(500))).data();
    assert.ok(silent.every((value, i) => value === 1 - (i % 2)));
    const loud = await cqt.transform(input(noise(500).map((value) => value * 1e-25))).data();
    for (let i = 0; i < loud.length; i += 2) assert.ok(Math.abs(Math.hypot(loud[i], loud[i + 1]) - 1) < 1e-5);
    cqt.dispose();
  }
});

test('the multirate method has gradients, and may be compiled', async () => {
  const cqt = createCqt(device, { ...small, method: 'multirate' });
  const exact = createCqt(device, { ...small, method: 'gemm' });
  const x = input(noise(2 * 1500), 2);
  const [got] = grad(() => cqt.transform(x).square().sum(), [x]);
  const [want] = grad(() => exact.transform(x).square().sum(), [x]);
  assert.ok(relativeError((await got.data()) as Float32Array, (await want.data()) as Float32Array) < 1e-3);
  const compiled = compile((signal: Tensor) => cqt.transform(signal));
  const eager = (await cqt.transform(x).data()) as Float32Array;
  assert.ok(relativeError((await compiled(x).data()) as Float32Array, eager) < 1e-6);
  compiled.dispose();
  cqt.dispose();
  exact.dispose();
});

/** Sines well within the bins, which fade in and out: what a transform can give back. */
const music = (samples: number) =>
  Float32Array.from({ length: samples }, (_, i) => {
    const fade = Math.sin((Math.PI * (i + 0.5)) / samples) ** 2;
    return fade * (Math.sin(0.21 * i) + 0.5 * Math.sin(0.31 * i + 1) + 0.3 * Math.sin(0.43 * i));
  });

for (const normalization of ['librosa', 'convolutional', 'wrap'] as const) {
  test(`the inverse gives a signal within the bins back: ${normalization}`, async () => {
    const options: CqtOptions = { ...small, hopLength: 32, fMin: 200, bins: 36, normalization, output: 'complex' };
    const cqt = createCqt(device, options);
    const samples = 3201;
    const x = new Float32Array([...music(samples), ...music(samples).map((value) => -2 * value)]);
    const coefficients = cqt.transform(input(x, 2));
    const back = cqt.inverse(coefficients, { samples });
    assert.equal(back.shape, [2, samples]);
    assert.ok(relativeError((await back.data()) as Float32Array, x) < 1e-2);
    // More steps come nearer, and one is not far.
    const errorAfter = async (iterations: number) =>
      relativeError((await cqt.inverse(coefficients, { samples, iterations }).data()) as Float32Array, x);
    assert.ok((await errorAfter(1)) < 0.3);
    assert.ok((await errorAfter(24)) < (await errorAfter(4)));
    assert.equal(cqt.inverse(coefficients, { iterations: 1 }).shape, [2, 3200]);
    cqt.dispose();
  });
}

test('the inverse of silence is silence; what does not fit is refused', async () => {
  const cqt = createCqt(device, { ...small, output: 'complex' });
  const silent = await cqt.inverse(cqt.transform(input(new Float32Array(800)))).data();
  assert.ok(silent.every((value) => value === 0));
  const coefficients = tensor(new Float32Array(24 * 3 * 2), { shape: [1, 24, 3, 2], device });
  scope(() => {
    assert.throws(
      () => cqt.inverse(coefficients.narrow(1, 0, 5)),
      /\[1, 5, 3, 2\]; expected f32 \[batch, 24, frames, 2\]/,
    );
    assert.throws(() => cqt.inverse(coefficients, { samples: 300 }), /300 samples/);
    assert.throws(() => cqt.inverse(coefficients, { samples: 0 }), /0 samples/);
    assert.throws(() => cqt.inverse(coefficients, { iterations: 0 }), /iterations is 0/);
  });
  cqt.dispose();
  assert.throws(() => cqt.inverse(coefficients), /after dispose/);
});

test('settings that there are not, and clips too short to mirror', () => {
  const make = (change: object) => () => createCqt(device, { ...small, ...change } as CqtOptions);
  assert.throws(make({ method: 'direct' }), /method is 'direct'; there are fft, gemm, multirate/);
  assert.throws(make({ output: 'angle' }), /output is 'angle'; there are magnitude, complex, phase/);
  assert.throws(make({ normalization: 'none' }), /normalization is 'none'/);
  assert.throws(make({ padMode: 'circular' }), /padMode is 'circular'; there are constant, reflect/);
  assert.throws(make({ gamma: -1 }), /gamma is -1 Hz; expected a number from 0/);
  assert.throws(make({ filterScale: 0 }), /filterScale is 0/);
  assert.throws(make({ gamma: 1e6 }), /leave the top filter less than 2 samples/);
  const mirrored = createCqt(device, { ...small, padMode: 'reflect' });
  assert.throws(() => mirrored.transform(input(noise(500))), /500 samples is too short to mirror 518 of them/);
  assert.equal(mirrored.transform(input(noise(519))).shape, [1, 24, 6]);
  mirrored.dispose();
});

test('bins fold into pitch classes as in librosa', async () => {
  // By the NumPy of librosa 0.10's filters.cq_to_chroma: which class each bin belongs to.
  const classes = (bins: number, options: Parameters<typeof cqChromaFilterbank>[1]) => {
    const weights = cqChromaFilterbank(bins, options);
    const chroma = weights.length / bins;
    return Array.from({ length: bins }, (_, k) => {
      const own = Array.from({ length: chroma }, (_, c) => weights[c * bins + k]);
      assert.is(
        own.reduce((sum, value) => sum + value, 0),
        1,
      );
      return own.indexOf(1);
    });
  };
  assert.equal(classes(14, { binsPerOctave: 12 }), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0, 1]);
  // Two bins on, the next class is the nearer one.
  assert.equal(classes(8, { binsPerOctave: 48 }), [0, 0, 1, 1, 1, 1, 2, 2]);
  assert.equal(classes(7, { binsPerOctave: 36 }), [0, 0, 1, 1, 1, 2, 2]);
  assert.equal(classes(3, { binsPerOctave: 12, fMin: 440 }), [9, 10, 11]);
  assert.equal(classes(3, { binsPerOctave: 12, fMin: 440, baseC: false }), [0, 1, 2]);
  assert.equal(classes(4, { binsPerOctave: 24, chroma: 24, fMin: 440 }), [18, 19, 20, 21]);
  assert.equal(classes(4, { binsPerOctave: 12, chroma: 6 }), [0, 1, 1, 2]);
  const x = tensor(
    Float32Array.from({ length: 2 * 24 * 3 }, (_, i) => i % 7),
    { shape: [2, 24, 3], device },
  );
  const folded = cqToChroma(x, { binsPerOctave: 12 });
  assert.equal(folded.shape, [2, 12, 3]);
  const [from, to] = [await x.data(), await folded.data()];
  for (let c = 0; c < 12; c++) assert.is(to[c * 3], from[c * 3] + from[(c + 12) * 3]);
  assert.throws(() => cqToChroma(x, { binsPerOctave: 20 }), /20 bins to the octave do not divide into 12 classes/);
  assert.throws(
    () => cqToChroma(x.reshape([48, 3]), { binsPerOctave: 12 }),
    /f32\[48, 3\]; expected f32 \[batch, bins, frames\]/,
  );
  assert.throws(() => cqToChroma(x, { binsPerOctave: 12, fMin: -1 }), /fMin is -1 Hz/);
});

test.run();
