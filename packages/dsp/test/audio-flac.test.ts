import { decodeAudio, encodeFlac, memorySource } from '@dawnchorus/dsp';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/seed.ts';

// Without zeros below zero, which bytes tell from zero.
const rounded = (samples: Float32Array) =>
  Float32Array.from(samples, (value) => Math.max(-32768, Math.min(32767, Math.round(value * 32768))) / 32768 + 0);

async function check(samples: Float32Array): Promise<number> {
  const bytes = encodeFlac(samples, 24000);
  const decoded = await decodeAudio(memorySource(bytes));
  assert.is(decoded.sampleRate, 24000);
  assert.equal(decoded.samples, rounded(samples));
  return bytes.length;
}

/** Noise of a generator that repeats. */
function noise(count: number, level: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return level * (state / 2 ** 31 - 1);
  });
}

test('what FLAC holds is read back to the bit: tones, noise, clipping, silence, odd lengths', async () => {
  const tone = Float32Array.from({ length: 24000 }, (_, i) => 0.5 * Math.sin(i / 20) + 0.2 * Math.sin(i / 3));
  const size = await check(tone);
  assert.ok(size < 0.6 * 2 * tone.length, `a tone takes ${size} bytes`);
  await check(noise(9000, 1.2));
  await check(noise(4097, 0.001));
  await check(new Float32Array(5000));
  await check(Float32Array.from({ length: 300 }, (_, i) => (i % 2 ? 1 : -1)));
  // Numbers of frames beyond one byte.
  await check(new Float32Array(4096 * 130).fill(0.25));
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 16, max: 5000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      async (count, level) => {
        await check(noise(count, level));
      },
    ),
    { numRuns: 8 },
  );
});

test('the shortest files are read back, too', async () => {
  for (let count = 1; count <= 200; count++) await check(noise(count, count % 2 ? 0.5 : 0.001));
  for (let count = 1; count <= 200; count++) await check(noise(count, count % 2 ? 0.001 : 0.5));
  for (const count of [8, 18, 42]) await check(noise(4096 + count, 0.5));
});

test('channels keep apart', async () => {
  const [left, right] = [noise(5000, 0.5), noise(5000, 0.25).map((value) => -value)];
  const { samples } = await decodeAudio(memorySource(encodeFlac([left, right], 48000)));
  const mean = rounded(left).map((value, i) => (value + rounded(right)[i]) / 2);
  assert.ok(samples.every((value, i) => Math.abs(value - mean[i]) < 1e-6));
});

test('what FLAC cannot hold is refused', () => {
  assert.throws(() => encodeFlac([], 24000), /encodeFlac: expected 1 to 8 channels, got 0/);
  assert.throws(() => encodeFlac(Float32Array.of(0, Number.NaN), 24000), /sample 1 of channel 0 is NaN/);
  assert.throws(() => encodeFlac(Float32Array.of(0), 0.5), /the sample rate is 0.5/);
});

test.run();
