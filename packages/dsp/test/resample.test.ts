import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  denseResampleKernel,
  type ResampleQuality,
  resample,
  resampledLength,
  resampleKernel,
  resampleRange,
  resampleSupport,
} from '../src/resample.ts';
import '../../tensor/test/seed.ts';

const golden = readTensors(new URL('golden/resample.safetensors', import.meta.url));
const qualities: ResampleQuality[] = ['hann6', 'kaiser64'];
const rates = fc.constantFrom(8000, 11025, 16000, 22050, 24000, 32000, 44100, 48000);
const signal = fc
  .array(fc.float({ min: -1, max: 1, noNaN: true }), { maxLength: 700 })
  .map((x) => Float32Array.from(x));

function readTensors(url: URL): Map<string, Float32Array> {
  const bytes = readFileSync(url);
  const headerBytes = Number(bytes.readBigUInt64LE(0));
  const header: Record<string, { data_offsets: [number, number] }> = JSON.parse(
    bytes.subarray(8, 8 + headerBytes).toString(),
  );
  const tensors = new Map<string, Float32Array>();
  for (const [name, { data_offsets }] of Object.entries(header)) {
    if (!data_offsets) continue;
    const [start, end] = data_offsets.map((offset) => 8 + headerBytes + offset);
    tensors.set(name, new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + end)));
  }
  return tensors;
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  assert.is(a.length, b.length);
  return a.reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i])), 0);
}

for (const [from, to] of [
  [44100, 24000],
  [16000, 24000],
  [24000, 16000],
]) {
  for (const quality of qualities) {
    test(`resample ${from} to ${to} Hz agrees with torchaudio, ${quality}`, () => {
      const x = golden.get(`${from}_${to}/x`)!;
      const expected = golden.get(`${from}_${to}/torchaudio_${quality}`)!;
      assert.ok(largestDifference(resample(x, from, to, { quality }), expected) < 1e-5);
    });
  }
}

test('kaiser64 rounds its times as torchaudio.functional.resample does, which shows near half the rate', () => {
  const x = Float32Array.from({ length: 600 }, (_, i) => Math.sin(0.0026 * i * i));
  const y = resample(x, 22050, 24000);
  const places = [416, 436, 451, 561, 574, 576, 579, 591, 596, 604];
  const expected = [
    0.3268002, 0.5931382, 0.2866403, -0.4276683, 0.4930228, -0.6695954, 0.5779729, 0.0646869, 0.533123, 0.2723488,
  ];
  assert.ok(
    largestDifference(
      Float32Array.from(places, (k) => y[k]),
      Float32Array.from(expected),
    ) < 2e-6,
  );
});

test("the dense kernel is that of torchaudio's Resample, which computes the phases in single precision", () => {
  const dense = denseResampleKernel(resampleKernel(44100, 24000, 'hann6'));
  assert.ok(largestDifference(dense, golden.get('kernel/44100_24000_hann6')!) < 1e-9);
});

test('the dense kernel as a strided convolution gives what resample gives', () => {
  const x = golden.get('16000_24000/x')!.subarray(0, 500);
  const kernel = resampleKernel(16000, 24000);
  const dense = denseResampleKernel(kernel);
  const length = 2 * kernel.width + kernel.from;
  const y = resample(x, 16000, 24000);
  const convolved = y.map((_, k) => {
    const start = Math.floor(k / kernel.to) * kernel.from - kernel.width;
    let sum = 0;
    for (let i = 0; i < length; i++) sum += dense[(k % kernel.to) * length + i] * (x[start + i] ?? 0);
    return sum;
  });
  assert.ok(largestDifference(convolved, y) < 1e-6);
});

test('the length is ceil(n * to / from), also where floating point would round up', () => {
  assert.is(resampledLength(11025, 44100, 24000), 6000);
  fc.assert(
    fc.property(fc.nat(10_000_000), rates, rates, (length, from, to) => {
      const got = BigInt(resampledLength(length, from, to));
      const exact = BigInt(length) * BigInt(to);
      assert.ok(got * BigInt(from) >= exact && (got - 1n) * BigInt(from) < exact);
    }),
  );
});

test('resampling is linear', () => {
  fc.assert(
    fc.property(signal, rates, rates, fc.constantFrom(...qualities), (x, from, to, quality) => {
      const other = x.map((_, i) => Math.sin(i * i));
      const sum = x.map((value, i) => 0.5 * value - 2 * other[i]);
      const a = resample(x, from, to, { quality });
      const b = resample(other, from, to, { quality });
      const combined = a.map((value, i) => 0.5 * value - 2 * b[i]);
      assert.ok(largestDifference(resample(sum, from, to, { quality }), combined) < 1e-5);
    }),
    { numRuns: 40 },
  );
});

test('a range of the result from only its support is that range of the whole, exactly', () => {
  fc.assert(
    fc.property(
      signal,
      rates,
      rates,
      fc.constantFrom(...qualities),
      fc.nat(),
      fc.nat(),
      (x, from, to, quality, a, b) => {
        const whole = resample(x, from, to, { quality });
        if (whole.length === 0 || from === to) return;
        const first = a % whole.length;
        const count = 1 + (b % (whole.length - first));
        const kernel = resampleKernel(from, to, quality);
        const support = resampleSupport(kernel, first, count);
        const low = Math.min(x.length, Math.max(0, support.first));
        const part = x.subarray(low, Math.max(low, support.end));
        assert.equal(resampleRange(part, kernel, low, first, count), whole.slice(first, first + count));
      },
    ),
    { numRuns: 60 },
  );
});

test('a tone keeps its amplitude and phase, and one above the new limit disappears', () => {
  const tone = (frequency: number, rate: number, length: number) =>
    Float32Array.from({ length }, (_, i) => Math.sin((2 * Math.PI * frequency * i) / rate));
  const inner = (x: Float32Array) => x.subarray(2000, 10000);
  const kept = resample(tone(1000, 44100, 22050), 44100, 24000);
  assert.ok(largestDifference(inner(kept), inner(tone(1000, 24000, 12000))) < 1e-5);
  const removed = resample(tone(14000, 44100, 22050), 44100, 24000);
  assert.ok(largestDifference(inner(removed), new Float32Array(8000)) < 1e-5);
});

test('equal rates give a copy; rates must be positive whole numbers', () => {
  const x = Float32Array.of(1, 2, 3);
  const y = resample(x, 8000, 8000);
  assert.equal(y, x);
  assert.is.not(y, x);
  for (const bad of [0, -1, 0.5, Number.NaN])
    assert.throws(() => resample(x, 8000, bad), /target rate.*positive whole/);
});

test.run();
