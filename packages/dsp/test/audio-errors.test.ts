import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { oggChecksum } from '../src/audio/checksum.ts';
import {
  AudioError,
  audioFiles,
  checkAudio,
  encodeFlac,
  encodeWav,
  probeAudio,
  readAudio,
} from '../src/audio/index.ts';

const test = suite<{ folder: string }>('audio errors');
const golden = (name: string) => readFile(fileURLToPath(new URL(`golden/audio/${name}`, import.meta.url)));
const noise = Float32Array.from({ length: 9000 }, (_, i) => Math.sin(i * i) / 2);

test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'audio-'));
});
test.after.each(async (context) => {
  await rm(context.folder, { recursive: true });
});

async function reasonOf(promise: Promise<unknown>, path: string): Promise<string> {
  const error = await promise.then(
    () => null,
    (reason) => reason,
  );
  assert.instance(error, AudioError);
  assert.is(error.path, path);
  assert.ok(error.message.startsWith(`${path}: `), error.message);
  return error.reason;
}

/** The reason that all three ways to look at a file of these bytes give. */
async function expectAll(folder: string, name: string, bytes: Uint8Array | string, reason: string): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  for (const use of [probeAudio, checkAudio, readAudio]) assert.is(await reasonOf(use(path), path), reason, name);
}

test('no bytes, no samples', async ({ folder }) => {
  for (const name of ['a.wav', 'a.flac', 'a.mp3', 'a.ogg', 'a.opus']) await expectAll(folder, name, '', 'empty');
  await expectAll(folder, 'b.wav', encodeWav(new Float32Array(0), 8000), 'empty');
});

test('no audio', async ({ folder }) => {
  const text = 'This is a letter, and no song. '.repeat(4000);
  const random = Uint8Array.from({ length: 200_000 }, (_, i) => (Math.imul(i + 1, 0x9e3779b9) ^ (i * i)) >>> 13);
  for (const name of ['a.wav', 'a.flac', 'a.mp3', 'a.ogg', 'a']) {
    await expectAll(folder, name, text, 'not-audio');
    await expectAll(folder, name, random, 'not-audio');
    await expectAll(folder, name, 'x', 'not-audio');
  }
});

test('audio that is not read', async ({ folder }) => {
  await expectAll(folder, 'a.m4a', `\0\0\0\x20ftypM4A ${'x'.repeat(100)}`, 'unsupported');
  await expectAll(folder, 'a.aiff', `FORM1234AIFF${'x'.repeat(100)}`, 'unsupported');
  const vorbis = await golden('chirp.ogg');
  const opus = await golden('chirp.opus');
  await expectAll(folder, 'chained.ogg', Buffer.concat([vorbis, opus]), 'unsupported');
});

test('a file that is not there, and a folder', async ({ folder }) => {
  const missing = join(folder, 'missing.wav');
  assert.is(await reasonOf(readAudio(missing), missing), 'unreadable');
  assert.is(await reasonOf(probeAudio(folder), folder), 'unreadable');
  assert.is(await reasonOf(audioFiles(missing), missing), 'unreadable');
});

test('files that are cut off, at many places', async ({ folder }) => {
  const wav = encodeWav(noise, 16000);
  const whole = { 'a.wav': wav, 'a.flac': await golden('chirp.flac'), 'a.mp3': await golden('chirp.mp3') };
  const ogg = { 'a.ogg': await golden('chirp.ogg'), 'a.opus': await golden('chirp.opus') };
  for (const [name, bytes] of Object.entries({ ...whole, ...ogg })) {
    const path = join(folder, name);
    for (const part of [0.999, 0.9, 0.6, 0.5003, 0.3]) {
      await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * part)));
      assert.is(await reasonOf(checkAudio(path), path), 'truncated', `check ${name} at ${part}`);
      assert.is(await reasonOf(readAudio(path), path), 'truncated', `read ${name} at ${part}`);
    }
  }
});

/** The Ogg file with all its audio pages stamped 2^50 samples later. */
function stampedLater(bytes: Buffer): Buffer {
  for (let at = 0, number = 0; at < bytes.length; number++) {
    const table = bytes.subarray(at + 27, at + 27 + bytes[at + 26]);
    const end = at + 27 + table.length + table.reduce((sum, length) => sum + length, 0);
    if (number > 2) bytes.writeBigInt64LE(bytes.readBigInt64LE(at + 6) + 2n ** 50n, at + 6);
    bytes.writeUInt32LE(oggChecksum(bytes.subarray(at, end)), at + 22);
    at = end;
  }
  return bytes;
}

test('more samples than the bytes can hold are not believed', async ({ folder }) => {
  const mp3 = await golden('chirp.mp3');
  mp3.writeUInt32BE(0x7fffffff, mp3.indexOf('Xing') + 8);
  const flac = await golden('chirp.flac');
  flac[21] |= 15;
  flac.writeUInt32BE(0xffffffff, 22);
  const sizes = Buffer.from(`ds64\x1c${'\0'.repeat(31)}`, 'latin1');
  sizes.writeBigUInt64LE(2n ** 60n, 16);
  const wav = Buffer.from(encodeWav(noise, 16000));
  wav.writeUInt32LE(0xffffffff, 40);
  const long = Buffer.concat([Buffer.from('RF64\xff\xff\xff\xffWAVE', 'latin1'), sizes, wav.subarray(12)]);
  const files = { 'a.mp3': mp3, 'a.flac': flac, 'a.wav': long, 'b.wav': encodeWav(noise, 16000).subarray(0, 9000) };
  for (const [name, bytes] of Object.entries(files)) await expectAll(folder, name, bytes, 'truncated');
  for (const name of ['chirp.ogg', 'chirp.opus']) {
    await expectAll(folder, name, stampedLater(await golden(name)), 'truncated');
  }
  // A part of them can be read, as of files that were cut off.
  const path = join(folder, 'a.wav');
  assert.equal((await readAudio(path, { duration: 0.5 })).samples.length, 8000);
  assert.is(await reasonOf(readAudio(path, { duration: 1e12 }), path), 'truncated');
});

test('files that are cut off inside their headers', async ({ folder }) => {
  await expectAll(folder, 'a.wav', encodeWav(noise, 16000).subarray(0, 30), 'truncated');
  await expectAll(folder, 'a.flac', (await golden('chirp.flac')).subarray(0, 30), 'truncated');
  await expectAll(folder, 'a.ogg', (await golden('chirp.ogg')).subarray(0, 1000), 'truncated');
  await expectAll(folder, 'a.opus', (await golden('chirp.opus')).subarray(0, 60), 'truncated');
});

test('a FLAC file cut exactly between two frames is noticed', async ({ folder }) => {
  const bytes = await golden('chirp.flac');
  const path = join(folder, 'a.flac');
  let end = Math.floor(bytes.length / 2);
  while (!(bytes[end] === 0xff && bytes[end + 1] === 0xf8 && bytes[end + 2] >> 4 === 0xb)) end++;
  await writeFile(path, bytes.subarray(0, end));
  assert.is(await reasonOf(checkAudio(path), path), 'truncated');
});

test('an MP3 file without a header promises nothing: only a cut inside a frame is noticed', async ({ folder }) => {
  const bytes = await golden('bare.mp3');
  const path = join(folder, 'a.mp3');
  await writeFile(path, bytes.subarray(0, 5000));
  assert.is(await reasonOf(checkAudio(path), path), 'truncated');
  await writeFile(path, bytes.subarray(0, 216 * 20));
  assert.is((await checkAudio(path)).frames, 20 * 576);
});

test('a part before the cut can still be read', async ({ folder }) => {
  for (const name of ['chirp.flac', 'chirp.ogg', 'chirp.opus', 'chirp.mp3']) {
    const bytes = await golden(name);
    const path = join(folder, name);
    await writeFile(path, bytes);
    const expected = await readAudio(path, { start: 0.2, duration: 0.3 });
    await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * 0.7)));
    assert.equal(await readAudio(path, { start: 0.2, duration: 0.3 }), expected, name);
  }
});

test('damage in the middle is not passed over', async ({ folder }) => {
  for (const name of ['chirp.flac', 'chirp.ogg', 'chirp.opus']) {
    const bytes = await golden(name);
    bytes.fill(0x55, Math.floor(bytes.length / 2), Math.floor(bytes.length / 2) + 40);
    const path = join(folder, name);
    await writeFile(path, bytes);
    assert.is(await reasonOf(readAudio(path), path), 'unreadable', name);
  }
});

test('tags before and after the audio change nothing', async ({ folder }) => {
  const before = Buffer.concat([Buffer.from('ID3\x04\0\0\0\0\x02\0', 'latin1'), Buffer.alloc(256, 0xff)]);
  const after = Buffer.concat([Buffer.from('TAG'), Buffer.alloc(125, 0x20)]);
  for (const name of ['chirp.flac', 'chirp.mp3', 'bare.mp3']) {
    const bytes = await golden(name);
    const path = join(folder, name);
    await writeFile(path, bytes);
    const expected = await readAudio(path);
    await writeFile(path, Buffer.concat([before, bytes, after]));
    await checkAudio(path);
    assert.equal(await readAudio(path), expected, name);
  }
});

test('bytes of any kind after the last frame of a FLAC file change nothing', async ({ folder }) => {
  const ape = Buffer.alloc(64);
  for (const at of [0, 32]) ape.write('APETAGEX', at);
  const random = Buffer.from(Uint8Array.from({ length: 200_000 }, (_, i) => (Math.imul(i + 1, 0x9e3779b9) ^ i) >>> 9));
  const short = Buffer.from(encodeFlac(noise.subarray(0, 300), 16000));
  for (const bytes of [await golden('chirp.flac'), Buffer.from(encodeFlac(noise, 16000)), short]) {
    const path = join(folder, 'a.flac');
    await writeFile(path, bytes);
    const expected = await readAudio(path);
    for (const after of [ape, Buffer.alloc(1), Buffer.alloc(5000), random]) {
      await writeFile(path, Buffer.concat([bytes, after]));
      await checkAudio(path);
      assert.equal(await readAudio(path), expected);
      const part = { start: expected.samples.length / expected.sampleRate - 0.01 };
      assert.is((await readAudio(path, part)).samples.length, Math.round(0.01 * expected.sampleRate));
      // Cut off inside the last frame, and the same behind it.
      await writeFile(path, Buffer.concat([bytes.subarray(0, bytes.length - 20), after]));
      for (const use of [checkAudio, readAudio]) assert.is(await reasonOf(use(path), path), 'truncated');
    }
  }
});

test('audioFiles finds the known extensions, sorted, and does not follow links round and round', async ({ folder }) => {
  await mkdir(join(folder, 'b', 'c'), { recursive: true });
  for (const name of ['z.wav', 'a.FLAC', 'notes.txt', 'b/x.mp3', 'b/c/y.opus', 'b/c/w.oga', 'b.ogg', 'wav']) {
    await writeFile(join(folder, name), '');
  }
  await symlink(folder, join(folder, 'b', 'loop'));
  await symlink(join(folder, 'gone.wav'), join(folder, 'broken.wav'));
  const expected = ['a.FLAC', 'b.ogg', 'b/c/w.oga', 'b/c/y.opus', 'b/x.mp3', 'z.wav'];
  assert.equal(
    await audioFiles(folder),
    expected.map((name) => join(folder, name)),
  );
});

test.run();
