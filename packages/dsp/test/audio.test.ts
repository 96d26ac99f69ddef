import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkAudio, decodeAudio, memorySource, probeAudio, readAudio } from '../src/audio/index.ts';
import { resample } from '../src/resample.ts';

type Excerpts = Record<string, { frames: number; excerpts: { start: number; count: number; offset: number }[] }>;

const folder = new URL('golden/audio/', import.meta.url);
const pathOf = (name: string) => fileURLToPath(new URL(name, folder));
const reference: Excerpts = JSON.parse(readFileSync(new URL('reference.json', folder), 'utf8'));
const referenceBytes = readFileSync(new URL('reference.f32', folder));
const referenceSamples = new Float32Array(
  referenceBytes.buffer.slice(referenceBytes.byteOffset, referenceBytes.byteOffset + referenceBytes.length),
);

/** Decibels of `expected` over its difference from `got`. */
function signalToNoise(expected: Float32Array, got: Float32Array): number {
  assert.is(got.length, expected.length);
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < expected.length; i++) {
    signal += expected[i] ** 2;
    noise += (expected[i] - got[i]) ** 2;
  }
  return noise === 0 ? Number.POSITIVE_INFINITY : 10 * Math.log10(signal / noise);
}

const files = [
  { name: 'chirp.flac', format: 'flac', sampleRate: 16000, frames: 48123, decibels: 200 },
  { name: 'chirp.mp3', format: 'mp3', sampleRate: 16000, frames: 48123, decibels: 100 },
  { name: 'bare.mp3', format: 'mp3', sampleRate: 16000, frames: 49536, decibels: 90 },
  { name: 'chirp.ogg', format: 'ogg-vorbis', sampleRate: 16000, frames: 48123, decibels: 100 },
  { name: 'chirp.opus', format: 'ogg-opus', sampleRate: 48000, frames: 144369, decibels: 85 },
];

for (const { name, format, sampleRate, frames, decibels } of files) {
  const path = pathOf(name);

  test(`${name}: probe and check tell what the file holds`, async () => {
    const expected = { path, format, sampleRate, channels: 2, frames, duration: frames / sampleRate };
    assert.equal(await probeAudio(path), expected);
    assert.equal(await checkAudio(path), expected);
  });

  test(`${name}: the samples agree with ffmpeg's at the start, in the middle and at the end`, async () => {
    const { samples, sampleRate: rate } = await readAudio(path);
    assert.is(rate, sampleRate);
    assert.is(samples.length, reference[name].frames);
    for (const { start, count, offset } of reference[name].excerpts) {
      const expected = referenceSamples.subarray(offset, offset + count);
      const got = signalToNoise(expected, samples.subarray(start, start + count));
      assert.ok(got > decibels, `${got} dB from sample ${start} on`);
    }
  });

  test(`${name}: a part is the same as that part of the whole, at any rate`, async () => {
    for (const rate of [sampleRate, 24000, 22050]) {
      const whole = (await readAudio(path, { sampleRate: rate })).samples;
      for (const [start, duration] of [
        [0, 0.5],
        [0.13337, 1],
        [1.0004, 0.25],
        [1.7, 1],
        [2.2, 0.7],
        [2.9, 1],
        [0.5, 9],
      ]) {
        const { samples } = await readAudio(path, { start, duration, sampleRate: rate });
        const first = Math.round(start * rate);
        const expected = whole.subarray(first, first + Math.round(duration * rate));
        const got = signalToNoise(expected, samples);
        assert.ok(got > 100, `${got} dB for ${duration} s from ${start} s at ${rate} Hz`);
      }
    }
  });

  test(`${name}: resampled reading is reading and then resampling`, async () => {
    const { samples } = await readAudio(path);
    for (const quality of ['hann6', 'kaiser64'] as const) {
      const resampled = await readAudio(path, { sampleRate: 24000, quality });
      assert.is(resampled.sampleRate, 24000);
      assert.equal(resampled.samples, resample(samples, sampleRate, 24000, { quality }));
    }
  });

  test(`${name}: bytes in memory decode as the file does`, async () => {
    const options = { start: 1, duration: 0.5 };
    const fromMemory = await decodeAudio(memorySource(readFileSync(path), name), options);
    assert.equal(fromMemory, await readAudio(path, options));
  });
}

test('a part must begin inside the file and have a length', async () => {
  const path = pathOf('chirp.flac');
  for (const [options, message] of [
    [{ start: 4 }, /start is 4 s but the audio is only 3\.0/],
    [{ start: -1 }, /start must be 0 seconds or more/],
    [{ duration: 0 }, /duration must be more than 0/],
    [{ sampleRate: 0.5 }, /target rate must be a positive whole number/],
  ] as const) {
    const error = await readAudio(path, options).then(
      () => null,
      (reason) => reason,
    );
    assert.instance(error, RangeError);
    assert.match(error.message, message);
  }
});

test.run();
