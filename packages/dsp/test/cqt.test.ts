import { grad, stopGradient } from '@dawnchorus/autograd';
import { compile, type Device, openDevice, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type Cqt, type CqtOptions, createCqt } from '../src/cqt.ts';
import { relativeError } from './golden.ts';

const methods = ['gemm', 'fft'] as const;
const tolerances = { gemm: 3e-5, fft: 5e-5 };
const teacher: CqtOptions = { sampleRate: 24000, hopLength: 320, fMin: 32.7, bins: 336, binsPerOctave: 48 };
// Two octaves of short filters (the longest has 1034 taps), for tests that need many transforms.
const small: CqtOptions = { sampleRate: 8000, hopLength: 96, fMin: 130.1, bins: 24, binsPerOctave: 12 };

let device: Device;
const open = new Map<string, Cqt>();

test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => {
  for (const cqt of open.values()) cqt.dispose();
  device.close();
});

function cqtOf(options: CqtOptions): Cqt {
  const key = JSON.stringify(options);
  if (!open.has(key)) open.set(key, createCqt(device, options));
  return open.get(key)!;
}

async function transform(options: CqtOptions, ...clips: ArrayLike<number>[]): Promise<Float32Array> {
  const flat = Float32Array.from(clips.flatMap((clip) => Array.from(clip)));
  using x = tensor(flat, { shape: [clips.length, clips[0].length], device });
  using y = cqtOf(options).transform(x);
  return (await y.data()) as Float32Array;
}

const tone = (samples: number, frequency: number, sampleRate: number) =>
  Float64Array.from({ length: samples }, (_, i) => Math.sin((2 * Math.PI * frequency * i) / sampleRate));

/** Approximately normal noise that is the same every time. */
function noise(samples: number, seed = 1): Float64Array {
  let state = seed >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  return Float64Array.from(
    { length: samples },
    () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

for (const method of methods) {
  test(`${method}: a sine at a bin's frequency gives sqrt(length) / 2 there`, async () => {
    const { frequencies, lengths } = cqtOf({ ...teacher, method });
    const samples = 53120;
    const frames = samples / 320 + 1;
    const bins = [0, 47, 191, 335];
    const tones = bins.map((k) => tone(samples, frequencies[k], 24000));
    // So far apart that the tones do not reach each other's bins.
    const chord = tones[0].map((_, i) => tones.reduce((sum, each) => sum + each[i], 0));
    const magnitude = await transform({ ...teacher, method }, chord);
    for (const k of bins) {
      const middle = magnitude[k * frames + (frames - 1) / 2];
      assert.ok(Math.abs(middle / (Math.sqrt(lengths[k]) / 2) - 1) < 1e-3);
    }
  });

  test(`${method}: an impulse on a frame's centre gives 2 / sqrt(length) in every bin of even length`, async () => {
    const { lengths } = cqtOf({ ...teacher, method });
    const samples = 53120;
    const frames = samples / 320 + 1;
    const middle = (frames - 1) / 2;
    const impulse = new Float64Array(samples);
    impulse[middle * 320] = 1;
    const magnitude = await transform({ ...teacher, method }, impulse);
    for (let k = 0; k < 336; k++) {
      // The window of an odd length peaks half a sample before the centre.
      const window = (1 + Math.cos((Math.PI * (lengths[k] % 2)) / lengths[k])) / 2;
      assert.ok(Math.abs(magnitude[k * frames + middle] / ((2 * window) / Math.sqrt(lengths[k])) - 1) < 1e-4);
    }
  });

  test(`${method}: white noise has mean magnitude sqrt(1.5 pi / 4) and deviation 0.567 in every bin`, async () => {
    const samples = 160000;
    const frames = Math.floor(samples / 96) + 1;
    const magnitude = await transform({ ...small, method }, noise(samples));
    const inner = magnitude.filter((_, i) => i % frames >= 8 && i % frames < frames - 8);
    const mean = inner.reduce((sum, value) => sum + value, 0) / inner.length;
    const variance = inner.reduce((sum, value) => sum + (value - mean) ** 2, 0) / inner.length;
    assert.ok(Math.abs(mean / Math.sqrt((1.5 * Math.PI) / 4) - 1) < 0.02);
    assert.ok(Math.abs(Math.sqrt(variance) / 0.567 - 1) < 0.03);
  });

  test(`${method}: clips of a batch do not touch each other`, async () => {
    const clips = [noise(2000, 1), new Float64Array(2000), noise(2000, 2)];
    const together = await transform({ ...small, method }, ...clips);
    const rows = await Promise.all(clips.map((clip) => transform({ ...small, method }, clip)));
    const frames = Math.floor(2000 / 96) + 1;
    for (let row = 0; row < 3; row++) {
      const part = together.subarray(row * 24 * frames, (row + 1) * 24 * frames);
      assert.ok(relativeError(part, rows[row]) < 1e-5);
    }
  });

  test(`${method}: complex coefficients are linear in the signal`, async () => {
    const complex: CqtOptions = { ...small, method, output: 'complex' };
    const [a, b] = [noise(3000, 3), noise(3000, 4)];
    const [ya, yb] = [await transform(complex, a), await transform(complex, b)];
    const mixed = await transform(
      complex,
      a.map((value, i) => 2 * value - 0.5 * b[i]),
    );
    assert.ok(
      relativeError(
        mixed,
        ya.map((value, i) => 2 * value - 0.5 * yb[i]),
      ) < 1e-5,
    );
  });

  test(`${method}: a shift by one hop shifts the frames by one`, async () => {
    const x = noise(4000, 5);
    const frames = Math.floor(4000 / 96) + 1;
    const at = await transform({ ...small, method }, x);
    const later = await transform({ ...small, method }, [...new Float64Array(96), ...x.subarray(0, 4000 - 96)]);
    // Filters reach 517 samples, so the last six frames see what was cut off.
    for (let k = 0; k < 24; k++) {
      const expected = at.subarray(k * frames, (k + 1) * frames - 7);
      assert.ok(relativeError(later.subarray(k * frames + 1, (k + 1) * frames - 6), expected) < 1e-5);
    }
  });

  test(`${method}: a silent clip gives zeros`, async () => {
    const magnitude = await transform({ ...small, method }, new Float64Array(1000));
    assert.ok(magnitude.every((value) => value === 0));
  });

  test(`${method}: a clip is what it is alone, however loud or damaged its neighbours are`, async () => {
    // Long enough for several segments: those of one clip share transforms, too.
    const [loud, quiet] = [noise(60_000, 8), noise(60_000, 9).map((value) => value * 1e-7)];
    const damaged = noise(60_000, 10);
    damaged[123] = Number.NaN;
    const endless = noise(60_000, 11).fill(Number.POSITIVE_INFINITY, 50_000, 50_001);
    const clips = [loud, quiet, damaged, quiet, new Float64Array(60_000), loud, endless, loud];
    const all = await transform({ ...small, method }, ...clips);
    const size = all.length / clips.length;
    const of = (clip: number) => all.subarray(clip * size, (clip + 1) * size);
    const [loudAlone, quietAlone] = [
      await transform({ ...small, method }, loud),
      await transform({ ...small, method }, quiet),
    ];
    for (const clip of [1, 3]) assert.ok(relativeError(of(clip), quietAlone) < 2e-6, `clip ${clip}`);
    for (const clip of [0, 5, 7]) assert.ok(relativeError(of(clip), loudAlone) < 2e-6, `clip ${clip}`);
    for (const clip of [2, 6]) assert.ok(of(clip).some(Number.isNaN), `clip ${clip}`);
    assert.ok(of(4).every((value) => value === 0));
  });

  test(`${method}: a strided view counts as the clip it shows`, async () => {
    const x = noise(2000, 6);
    using wide = tensor(Float32Array.from(x), { shape: [1000, 2], device });
    using view = wide.transpose();
    using y = cqtOf({ ...small, method }).transform(view);
    const even = x.filter((_, i) => i % 2 === 0);
    const odd = x.filter((_, i) => i % 2 === 1);
    assert.ok(relativeError((await y.data()) as Float32Array, await transform({ ...small, method }, even, odd)) < 1e-6);
  });

  test(`${method}: normalisations differ by the factor of each bin's length`, async () => {
    const x = noise(500, 7);
    const { lengths } = cqtOf({ ...small, method });
    const frames = Math.floor(500 / 96) + 1;
    const librosa = await transform({ ...small, method }, x);
    const plain = await transform({ ...small, method, normalization: 'convolutional' }, x);
    const wrap = await transform({ ...small, method, normalization: 'wrap' }, x);
    const scaled = plain.map((value, i) => value * Math.sqrt(lengths[Math.floor(i / frames)]));
    assert.ok(relativeError(scaled, librosa) < 1e-5);
    assert.ok(
      relativeError(
        wrap,
        plain.map((value) => 2 * value),
      ) < 1e-6,
    );
  });

  test(`${method}: x of the wrong rank, size or dtype is refused`, () => {
    const cqt = cqtOf({ ...small, method });
    const refuse = (x: Tensor, message: RegExp) => assert.throws(() => cqt.transform(x), message);
    refuse(tensor(new Float32Array(10), { device }), /x is \[10\]; expected \[batch, samples\]/);
    refuse(tensor(new Float32Array(0), { shape: [0, 10], device }), /at least one clip/);
    refuse(tensor(new Float32Array(0), { shape: [2, 0], device }), /at least one sample/);
    refuse(tensor(new Int32Array(4), { shape: [1, 4], device }), /use .cast\('f32'\)/);
  });
}

/** The definition in plain f64 loops. */
function reference(x: ArrayLike<number>, { sampleRate, hopLength, fMin, bins, binsPerOctave }: CqtOptions): number[] {
  const out: number[] = [];
  for (let k = 0; k < bins; k++) {
    const frequency = fMin * 2 ** (k / binsPerOctave);
    const length = Math.ceil(sampleRate / frequency / (2 ** (1 / binsPerOctave) - 1));
    for (let t = 0; t <= Math.floor(x.length / hopLength); t++) {
      let re = 0;
      let im = 0;
      for (let i = 0; i < length; i++) {
        const n = i - Math.ceil(length / 2);
        const sample = x[t * hopLength + n] ?? 0;
        const weight = 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / length);
        re += sample * weight * Math.cos((2 * Math.PI * frequency * n) / sampleRate);
        im -= sample * weight * Math.sin((2 * Math.PI * frequency * n) / sampleRate);
      }
      out.push((Math.hypot(re, im) * 2) / Math.sqrt(length));
    }
  }
  return out;
}

test('both methods agree with the definition for any settings and any length', async () => {
  const settings = fc.record({
    sampleRate: fc.constantFrom(8000, 11025, 24000),
    hopLength: fc.integer({ min: 8, max: 200 }),
    fMin: fc.double({ min: 100, max: 1500, noNaN: true }),
    bins: fc.integer({ min: 1, max: 12 }),
    binsPerOctave: fc.integer({ min: 1, max: 24 }),
  });
  await fc.assert(
    fc.asyncProperty(settings, fc.integer({ min: 1, max: 1500 }), fc.nat(), async (options, samples, seed) => {
      fc.pre(options.fMin * 2 ** ((options.bins - 1) / options.binsPerOctave) <= options.sampleRate / 2);
      const x = Float32Array.from(noise(samples, seed));
      const expected = reference(x, options);
      for (const method of methods) {
        const cqt = createCqt(device, { ...options, method });
        using input = tensor(x, { shape: [1, samples], device });
        using y = cqt.transform(input);
        assert.equal(y.shape, [1, options.bins, Math.floor(samples / options.hopLength) + 1]);
        assert.ok(relativeError((await y.data()) as Float32Array, expected) < tolerances[method]);
        cqt.dispose();
      }
    }),
    { numRuns: 40 },
  );
});

for (const method of methods) {
  for (const output of ['magnitude', 'complex', 'phase'] as const) {
    test(`${method}: a compiled function with a ${output} transform in it equals the eager one`, async () => {
      const cqt = createCqt(device, { ...small, method, output });
      const spectra = (x: Tensor) => cqt.transform(x.mul(0.5)).mul(2);
      const compiled = compile(spectra, { verify: 'always' });
      for (const samples of [700, 9000, 700]) {
        using x = tensor(Float32Array.from(noise(3 * samples)), { shape: [3, samples], device });
        using eager = spectra(x);
        for (let call = 0; call < 2; call++) {
          using out = compiled(x);
          assert.equal(out.shape, eager.shape);
          assert.ok(relativeError((await out.data()) as Float32Array, (await eager.data()) as Float32Array) < 1e-6);
        }
      }
      assert.is(compiled.traces, 2);
      assert.match(compiled.explain(), method === 'fft' ? /\bcqt\b/ : /\bmatmul\b/);
      cqt.dispose();
      using x = tensor(new Float32Array(700), { shape: [1, 700], device });
      assert.throws(() => compiled(x), /after dispose/);
      compiled.dispose();
    });
  }
}

test('fft: profiles name it, and gradients refuse it', async () => {
  const cqt = cqtOf(small);
  const x = tensor(Float32Array.from(noise(900)), { shape: [1, 900], device });
  const { rows } = await device.profile(() => cqt.transform(x).dispose());
  assert.ok(rows.some((row) => row.operation === 'cqt'));
  assert.throws(() => grad(() => cqt.transform(x).sum(), [x]), /grad: cqt has no gradient.*stopGradient/);
  const [gradient] = grad(() => cqt.transform(stopGradient(x)).sum().add(x.sum()), [x]);
  assert.ok((await gradient.data()).every((value) => value === 1));
});

test('gemm: the gradient of the magnitudes is that of the definition', async () => {
  const options: CqtOptions = { ...small, fMin: 500, bins: 5 };
  const cqt = createCqt(device, { ...options, method: 'gemm' });
  const x = Float64Array.from(noise(400));
  using input = tensor(Float32Array.from(x), { shape: [1, 400], device });
  const [gradient] = grad(() => cqt.transform(input).square().sum(), [input]);
  const got = await gradient.data();
  const loss = (signal: ArrayLike<number>) => reference(signal, options).reduce((sum, value) => sum + value * value, 0);
  const largest = Math.max(...Array.from(got as Float32Array, Math.abs));
  for (const at of [0, 7, 96, 200, 399]) {
    const moved = (by: number) => loss(x.map((value, i) => (i === at ? value + by : value)));
    assert.ok(Math.abs(got[at] - (moved(1e-3) - moved(-1e-3)) / 2e-3) < 1e-4 * largest);
  }
  cqt.dispose();
});

test('fft: a hop with a large prime in it', async () => {
  const options: CqtOptions = { ...small, hopLength: 134 };
  const x = noise(3000, 11);
  assert.ok(relativeError(await transform(options, x), reference(Float32Array.from(x), options)) < tolerances.fft);
});

test('gemm: more clips than a grid is deep', async () => {
  const clips = device.limits.maxComputeWorkgroupsPerDimension + 3;
  const options: CqtOptions = { ...small, method: 'gemm', fMin: 2000, bins: 1, binsPerOctave: 1 };
  const cqt = createCqt(device, options);
  const x = Float32Array.from({ length: clips }, (_, i) => i % 251);
  using input = tensor(x, { shape: [clips, 1], device });
  using y = cqt.transform(input);
  const got = (await y.data()) as Float32Array;
  assert.is(got.length, clips);
  const [unit] = reference([1], options);
  assert.ok(
    relativeError(
      got,
      x.map((value) => value * unit),
    ) < 1e-6,
  );
  cqt.dispose();
});

test('fft: long clips go in segments that join without a seam', async () => {
  const options: CqtOptions = { ...small, hopLength: 7, bins: 3 };
  const x = noise(16000, 8);
  const expected = await transform(
    { ...options, method: 'gemm' },
    x,
    x.map((value) => -value),
    noise(16000, 9),
  );
  const got = await transform(
    options,
    x,
    x.map((value) => -value),
    noise(16000, 9),
  );
  assert.ok(relativeError(got, expected) < tolerances.fft);
});

test('fft: filters that are too long for the hop are refused', () => {
  assert.throws(
    () => createCqt(device, { ...teacher, hopLength: 32, method: 'fft' }),
    /50460 samples, over 1024 hops of 32; .* use method 'gemm'/,
  );
});

test('a top bin above half the sample rate is refused', () => {
  assert.throws(() => createCqt(device, { ...teacher, bins: 480 }), /top bin lies at .* use at most 409 bins/);
});

test('a disposed transform is refused', () => {
  const cqt = createCqt(device, small);
  cqt.dispose();
  cqt.dispose();
  assert.throws(() => cqt.transform(tensor([[1]], { device })), /after dispose/);
});

test.run();
