import { gradcheck } from '@dawnchorus/autograd';
import { compile, type Device, openDevice, sum, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { deemphasis, lfilter, preemphasis } from '../src/filters.ts';
import { kWeighting, loudness } from '../src/loudness.ts';
import { golden, relativeError } from './golden.ts';

const expected = golden('features');
const others = golden('librosa_features');
const signal = golden('spectral').get('x') as Float32Array;
let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

const numbers = async (x: Tensor) => (await x.data()) as Float32Array;
const make = (x: ArrayLike<number>, shape = [1, x.length]) => tensor(Float32Array.from(x), { shape, device });

function reference(x: ArrayLike<number>, b: readonly number[], a: readonly number[]): number[] {
  const y: number[] = [];
  for (let n = 0; n < x.length; n++) {
    let total = 0;
    b.forEach((value, k) => {
      total += value * (x[n - k] ?? 0);
    });
    a.forEach((value, k) => {
      if (k > 0) total -= value * (y[n - k] ?? 0);
    });
    y.push(total / a[0]);
  }
  return y;
}

/** The coefficients of a product of polynomials. */
const multiplied = (factors: readonly (readonly number[])[]): number[] =>
  factors.reduce<number[]>(
    (own, other) =>
      Array.from({ length: own.length + other.length - 1 }, (_, i) =>
        other.reduce((total, value, k) => total + value * (own[i - k] ?? 0), 0),
      ),
    [1],
  );

test('filters of any order and length agree with their definition', async () => {
  const pole = fc.record({ radius: fc.double({ min: 0, max: 0.97, noNaN: true }), angle: fc.nat(100) });
  const cases = fc.record({
    poles: fc.array(pole, { maxLength: 3 }),
    b: fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 5 }),
    gain: fc.constantFrom(1, 2, -0.5),
    samples: fc.oneof(fc.integer({ min: 1, max: 140 }), fc.integer({ min: 4000, max: 9000 })),
    rows: fc.integer({ min: 1, max: 3 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ poles, b, gain, samples, rows }) => {
      // Pairs of conjugate poles.
      const a = multiplied(
        poles.map(({ radius, angle }) => [1, -2 * radius * Math.cos((Math.PI * angle) / 100), radius * radius]),
      ).map((value) => value * gain);
      const x = Float32Array.from({ length: rows * samples }, (_, i) => Math.sin(1.3 * i * i));
      using input = make(x, [rows, samples]);
      const got = await numbers(lfilter(input, { b, a }));
      const wanted = Array.from({ length: rows }, (_, r) =>
        reference(x.subarray(r * samples, (r + 1) * samples), b, a),
      ).flat();
      assert.ok(relativeError(got, wanted) < 1e-4, `${relativeError(got, wanted)}`);
    }),
    { numRuns: 30 },
  );
});

test('slow poles lose nothing over a long clip', async () => {
  // Two poles at 0.9995, the decay of a high-pass of 4 Hz at 48 kHz, over 4 s.
  const a = [1, -2 * 0.9995, 0.9995 ** 2];
  const x = Float32Array.from({ length: 200_000 }, (_, i) => Math.sin(1.3 * i * i) + 0.2);
  using input = make(x);
  const got = await numbers(lfilter(input, { b: [1, -2, 1], a }));
  assert.ok(relativeError(got, reference(x, [1, -2, 1], a)) < 1e-6);
});

/** The sections of a Butterworth filter, by the bilinear transform of its poles; cut in halves of the sample rate. */
function butterworth(order: number, cut: number, zero: 1 | -1): { b: number[]; a: number[] }[] {
  const width = Math.tan((Math.PI * cut) / 2);
  return Array.from({ length: Math.ceil(order / 2) }, (_, k) => {
    const angle = (Math.PI * (2 * k + order + 1)) / (2 * order);
    const [x, y] = [width * Math.cos(angle), width * Math.sin(angle)];
    if (2 * k + 1 === order) {
      const pole = (1 - width) / (1 + width);
      const gain = (1 + zero * pole) / 2;
      return { b: [gain, -zero * gain], a: [1, -pole] };
    }
    const length = (1 - x) ** 2 + y * y;
    const [re, energy] = [(1 - x * x - y * y) / length, ((1 + x) ** 2 + y * y) / length];
    const gain = (1 + zero * 2 * re + energy) / 4;
    return { b: [gain, -2 * zero * gain, gain], a: [1, -2 * re, energy] };
  });
}

test('high orders with poles near 1 are what their sections make one after another', async () => {
  const x = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(1.3 * i * i) + 0.2);
  using input = make(x);
  using one = make([2]);
  for (const zero of [-1, 1] as const) {
    for (const [order, cut] of [
      [4, 0.005],
      [5, 0.01],
      [6, 0.05],
      [8, 0.05],
    ]) {
      const sections = butterworth(order, cut, zero);
      const [b, a] = (['b', 'a'] as const).map((name) => multiplied(sections.map((section) => section[name])));
      const wanted = sections.reduce<ArrayLike<number>>((y, section) => reference(y, section.b, section.a), x);
      const error = relativeError(await numbers(lfilter(input, { b, a })), wanted);
      assert.ok(error < 2e-6, `order ${order} at ${cut}: ${error}`);
      assert.ok(relativeError(await numbers(lfilter(one, { b, a })), [2 * b[0]]) < 1e-6);
    }
  }
});

test('poles on the unit circle add up as sums do, and beyond it as long as f32 holds it', async () => {
  const x = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(1.3 * i * i) + 0.2);
  using input = make(x);
  let sums: number[] = [...x];
  for (let times = 0; times < 3; times++) {
    let total = 0;
    sums = sums.map((value) => (total += value));
  }
  assert.ok(relativeError(await numbers(lfilter(input, { b: [1], a: [1, -3, 3, -1] })), sums) < 2e-6);
  const growing = { b: [1], a: [1, -1.1] };
  using short = make(x.subarray(0, 500));
  const wanted = reference(x.subarray(0, 500), growing.b, growing.a);
  assert.ok(relativeError(await numbers(lfilter(short, growing)), wanted) < 1e-5);
  assert.throws(() => lfilter(input, growing), /f32 cannot hold what filter b \[1\], a \[1,-1.1\] makes/);
});

test("emphasis agrees with librosa's, and undoes itself in both conventions", async () => {
  using x = make(signal);
  const convention = 'librosa';
  assert.ok(
    relativeError((await numbers(preemphasis(x, { convention }))).slice(0, 2000), others.get('preemphasis')!) < 1e-6,
  );
  assert.ok(
    relativeError((await numbers(deemphasis(x, { convention }))).slice(0, 2000), others.get('deemphasis')!) < 1e-5,
  );
  for (const own of ['librosa', 'torchaudio'] as const) {
    const options = { convention: own, coefficient: 0.9 };
    const back = await numbers(deemphasis(preemphasis(x, options), options));
    assert.ok(relativeError(back, signal) < 1e-5);
  }
  using one = make([2]);
  assert.equal([...(await numbers(preemphasis(one, { convention: 'torchaudio' })))], [2]);
});

test('K-weighting agrees with torchaudio', async () => {
  using x = make(signal);
  const weighted = await numbers(kWeighting(x, { sampleRate: 24000 }));
  assert.ok(relativeError(weighted.slice(0, 2000), expected.get('loudness/after_kweight')!) < 1e-4);
});

test('loudness agrees with torchaudio, in stereo and where blocks are gated, too', async () => {
  const four = Float32Array.from({ length: 96000 }, (_, i) => signal[i % 24000]);
  using x = make([...four, ...four.map((value) => value * 0.1)], [2, 1, 96000]);
  const got = await numbers(loudness(x, { sampleRate: 24000 }));
  const wanted = expected.get('loudness/LKFS_x4s_and_-20dB')!;
  assert.ok(Math.abs(got[0] - wanted[0]) < 1e-3 && Math.abs(got[1] - wanted[1]) < 1e-3, `${got} ${wanted}`);
  const left = [...signal];
  const right = left.map((_, i) => signal[(i + 24000 - 777) % 24000] * Math.fround(0.3));
  const parts = [left, right].map((own) => [1, 0.001, 0.2].flatMap((gain) => own.map((value) => value * gain)));
  using two = make(parts.flat(), [1, 2, 72000]);
  const stereo = await numbers(loudness(two, { sampleRate: 24000 }));
  assert.ok(
    Math.abs(stereo[0] - others.get('loudness_stereo')![0]) < 1e-2,
    `${stereo} ${others.get('loudness_stereo')}`,
  );
});

/** A sine of a level in dB of full scale, in some channels. */
const tone = (sampleRate: number, hz: number, seconds: number, decibels: number) =>
  Float32Array.from(
    { length: sampleRate * seconds },
    (_, i) => 10 ** (decibels / 20) * Math.sin((2 * Math.PI * hz * i) / sampleRate),
  );

test("the standard's own tones: -23 LUFS in both channels, -26 in one, torchaudio 0.04 under it", async () => {
  const x = tone(48000, 997, 3, -23);
  using mono = make(x, [1, 1, x.length]);
  using stereo = make([...x, ...x], [1, 2, x.length]);
  const itu = { sampleRate: 48000, convention: 'itu' } as const;
  assert.ok(Math.abs((await numbers(loudness(mono, itu)))[0] + 26.01) < 0.01);
  assert.ok(Math.abs((await numbers(loudness(stereo, itu)))[0] + 23) < 0.02);
  const own = (await numbers(loudness(mono, { sampleRate: 48000 })))[0];
  assert.ok(Math.abs(own - expected.get('loudness/LKFS_997Hz_-23dBFSpeak_mono48k')![0]) < 2e-3, `${own}`);
  // EBU Tech 3341: 10 s at -36, 60 at -23, 10 at -36 dBFS are -23 LUFS; here a third of each.
  const parts = [3, 20, 3].map((seconds, i) => tone(16000, 1000, seconds, i === 1 ? -23 : -36));
  const whole = parts.flatMap((part) => [...part]);
  using gated = make([...whole, ...whole], [1, 2, whole.length]);
  assert.ok(Math.abs((await numbers(loudness(gated, { ...itu, sampleRate: 16000 })))[0] + 23) < 0.1);
  using other = make(tone(44100, 997, 3, -23), [1, 1, 3 * 44100]);
  assert.ok(Math.abs((await numbers(loudness(other, { ...itu, sampleRate: 44100 })))[0] + 26.01) < 0.01);
});

test('surround channels count half as much again', async () => {
  const x = tone(8000, 500, 1, -30);
  const silent = new Float32Array(8000);
  const channels = (which: number) => Array.from({ length: 5 }, (_, c) => [...(c === which ? x : silent)]).flat();
  using all = make([0, 2, 3, 4].flatMap(channels), [4, 5, 8000]);
  const [left, centre, ...surround] = await numbers(loudness(all, { sampleRate: 8000 }));
  assert.ok(Math.abs(left - centre) < 1e-4);
  for (const own of surround) assert.ok(Math.abs(own - left - 10 * Math.log10(1.41)) < 1e-3);
});

test('ten times the amplitude is 20 LU more; silence is -Infinity, NaN is NaN', async () => {
  const x = tone(8000, 500, 1, -30);
  const broken = Float32Array.from(x, (value, i) => (i === 5 ? Number.NaN : value));
  using all = make([...x, ...x.map((value) => 10 * value), ...new Float32Array(8000), ...broken], [4, 1, 8000]);
  const [soft, loud, silent, spoilt] = await numbers(loudness(all, { sampleRate: 8000, convention: 'itu' }));
  assert.ok(Math.abs(loud - soft - 20) < 1e-3);
  assert.is(silent, Number.NEGATIVE_INFINITY);
  assert.ok(Number.isNaN(spoilt));
});

test('filters and loudness are differentiable and compile', async () => {
  const x = make(Float32Array.from({ length: 150 }, (_, i) => Math.sin(i * i)));
  await gradcheck((input) => sum(lfilter(input, { b: [1, 0.5], a: [1, -0.6, 0.3] }).square()), [x]);
  await gradcheck((input) => sum(lfilter(input, { b: [1], a: [1, -2.6, 2.4, -0.76] }).square()), [x]);
  for (const convention of ['librosa', 'torchaudio'] as const) {
    await gradcheck((input) => sum(preemphasis(input, { convention }).square()), [x]);
    await gradcheck((input) => sum(deemphasis(input, { convention, coefficient: 0.5 }).square()), [x]);
  }
  using long = make(signal, [1, 1, 24000]);
  const compiled = compile((input: Tensor) => loudness(input, { sampleRate: 24000 }));
  using got = compiled(long);
  assert.ok(Math.abs((await numbers(got))[0] - (await numbers(loudness(long, { sampleRate: 24000 })))[0]) < 1e-4);
  compiled.dispose();
});

test('misuse is named', () => {
  using x = make(new Float32Array(100), [1, 1, 100]);
  using many = make(new Float32Array(6000), [1, 6, 1000]);
  using empty = make([], [1, 0]);
  assert.throws(() => lfilter(empty, { b: [1], a: [1] }), /not empty/);
  assert.throws(() => lfilter(x, { b: [1], a: [0] }), /a\[0\] not 0/);
  assert.throws(() => lfilter(x, { b: [Number.NaN], a: [1] }), /expected finite numbers/);
  assert.throws(() => loudness(x, { sampleRate: 8000 }), /100 samples is shorter than a block of 400 ms, 3200/);
  assert.throws(() => loudness(many, { sampleRate: 8000 }), /6 channels; the standard weighs up to 5/);
  assert.throws(() => loudness(x, { sampleRate: 100 }), /shorter|over 3364 Hz/);
  assert.throws(() => preemphasis(make([1]), { convention: 'librosa' }), /needs two samples/);
  assert.throws(() => preemphasis(x, { convention: 'torchaudio', coefficient: 2 }), /coefficient is 2/);
});

test.run();
