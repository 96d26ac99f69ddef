/** Reading in pieces against reading at once, and what is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  AudioError,
  audioFiles,
  decodeAudio,
  encodeWav,
  memorySource,
  openPieces,
  readAudio,
  streamAudio,
} from '../src/audio/index.ts';
import '../../tensor/test/seed.ts';

const folder = mkdtempSync(join(tmpdir(), 'pieces-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const music = fileURLToPath(new URL('../../../data/music', import.meta.url));

const noise = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i * i * 0.001) * 0.9);

async function collect(pieces: AsyncIterable<Float32Array>): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for await (const piece of pieces) all.push(piece.slice());
  return all;
}

const flat = (parts: Float32Array[]) => Float32Array.from(parts.flatMap((part) => [...part]));

async function reasonOf(action: () => Promise<unknown>): Promise<string> {
  try {
    await action();
  } catch (error) {
    assert.instance(error, AudioError);
    return `${(error as AudioError).reason}: ${(error as AudioError).message}`;
  }
  throw new Error('expected an error');
}

test('pieces of any length are the whole to the bit, at any rate, twice', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 3000 }),
      fc.constantFrom(8000, 11025, 24000, 44100, 48000),
      fc.constantFrom(undefined, 24000, 16000),
      fc.constantFrom('hann6' as const, 'kaiser64' as const),
      fc.integer({ min: 1, max: 2000 }),
      async (length, from, to, quality, pieceSamples) => {
        const source = memorySource(encodeWav([noise(length), noise(length)], from, { format: 'float32' }));
        const whole = await decodeAudio(source, { sampleRate: to, quality });
        const audio = await openPieces(source, { sampleRate: to, quality });
        assert.is(audio.samples, whole.samples.length);
        assert.is(audio.sampleRate, to ?? from);
        assert.equal(audio.file, { sampleRate: from, samples: length, channels: 2 });
        for (let time = 0; time < 2; time++) {
          const parts = await collect(audio.pieces(pieceSamples));
          assert.equal(flat(parts), whole.samples);
          assert.ok(parts.slice(0, -1).every((part) => part.length === pieceSamples));
        }
      },
    ),
    { numRuns: 40, seed: 5 },
  );
});

test('so are those of a compressed file', async () => {
  const [path] = await audioFiles(music);
  const whole = await readAudio(path, { sampleRate: 24000 });
  const parts = await streamAudio(path, { sampleRate: 24000 }, (audio) => collect(audio.pieces(50_000)));
  assert.equal(flat(parts), whole.samples);
});

test('files that are cut off or hold NaN are refused as when read at once', async () => {
  const whole = encodeWav(noise(9000), 24000, { format: 'float32' });
  const cut = memorySource(whole.subarray(0, whole.length - 4000), 'cut.wav');
  assert.match(await reasonOf(async () => collect((await openPieces(cut)).pieces(1000))), /^truncated: cut\.wav/);
  const spoilt = whole.slice();
  new DataView(spoilt.buffer).setFloat32(spoilt.length - 4, Number.NaN, true);
  assert.match(
    await reasonOf(async () => collect((await openPieces(memorySource(spoilt, 'nan.wav'))).pieces(1000))),
    /^not-finite: nan\.wav: sample 8999 is NaN/,
  );
});

test('a header of 4 GHz is refused at once, and not resampled', async () => {
  const bytes = encodeWav(noise(100), 24000);
  new DataView(bytes.buffer).setUint32(24, 4_294_967_291, true);
  const path = join(folder, 'fast.wav');
  writeFileSync(path, bytes);
  assert.match(
    await reasonOf(() => readAudio(path, { sampleRate: 24000 })),
    /^unsupported: .*fast\.wav: its header says 4294967291 Hz; expected 1000 to 768000\. The file is damaged/,
  );
  assert.match(await reasonOf(() => streamAudio(path, { sampleRate: 24000 }, async () => 0)), /^unsupported/);
});

test('pieces of no samples make no sense', async () => {
  const audio = await openPieces(memorySource(encodeWav(noise(10), 24000)));
  try {
    await audio.pieces(0).next();
    assert.unreachable();
  } catch (error) {
    assert.match((error as Error).message, /pieces of 0 samples; expected a whole number from 1/);
  }
});

test.run();
