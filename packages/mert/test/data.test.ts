import { mkdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeWav } from '@dawnchorus/dsp';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Dataset, type DatasetOptions, openDataset } from '../src/data/dataset.ts';
import { normaliseWaveform } from '../src/model/normalise.ts';
import { endlessWav, messageOf, temporaryFolder, tone, writeFile, writeTone } from './support.ts';

const folder = temporaryFolder();
const CROP = 6000;
const open = (name: string, options: Partial<DatasetOptions> = {}) =>
  openDataset({ folder: join(folder, name), sampleRate: 24000, cropSamples: CROP, seed: 11, ...options });

const music = fileURLToPath(new URL('../../../data/music/train/godspine-loop-compus-industrial.ogg', import.meta.url));

const chirp = fileURLToPath(new URL('../../dsp/test/golden/audio/chirp.mp3', import.meta.url));

/** float32 samples that encodeWav would refuse. */
function wavWith(samples: Float32Array): Uint8Array {
  const bytes = encodeWav(new Float32Array(samples.length), 24000, { format: 'float32' });
  const data = bytes.length - samples.byteLength;
  bytes.set(new Uint8Array(samples.buffer, samples.byteOffset, samples.byteLength), data);
  return bytes;
}

/** One more at each sample, so that a crop tells where it begins; exact in float32. */
const ramp = (samples: number, file: number) =>
  Float32Array.from({ length: samples }, (_, n) => (n + 1) / 2 ** 20 + file / 8);

const reasons = (dataset: Dataset) =>
  Object.fromEntries(dataset.skipped.map(({ path, reason }) => [basename(path), reason]));

const opening = suite('opening a folder');

opening('broken, truncated and short files are left out, each with its reason', async () => {
  const at = (name: string) => join(folder, 'mixed', name);
  writeTone(at('good.wav'), 1, 1);
  writeTone(at('deep/er/nested.wav'), 0.5, 2);
  writeFile(at('text.wav'), 'these are words, not samples');
  writeFile(at('zero.wav'), '');
  writeFile(at('headless.wav'), encodeWav(new Float32Array(0), 24000));
  const whole = encodeWav(tone(24000, 3), 24000);
  writeFile(at('cut.wav'), whole.subarray(0, 20000));
  const ogg = readFileSync(music);
  writeFile(at('cut.ogg'), ogg.subarray(0, Math.floor(ogg.length / 2)));
  const mp3 = Buffer.from(readFileSync(chirp));
  mp3.writeUInt32BE(0x7fffffff, mp3.indexOf('Xing') + 8);
  writeFile(at('endless.mp3'), mp3);
  writeFile(at('endless.wav'), endlessWav());
  writeTone(at('short.wav'), 0.1, 4);
  writeFile(at('readme.txt'), 'not audio by its name');
  writeFile(at('silent.wav'), encodeWav(new Float32Array(12000), 24000));
  const dataset = await open('mixed');
  assert.equal(
    dataset.files.map(({ path }) => path),
    [at('deep/er/nested.wav'), at('good.wav'), at('silent.wav')],
  );
  assert.ok(Math.abs(dataset.seconds - 2) < 1e-9);
  const found = reasons(dataset);
  const endless = ['endless.mp3', 'endless.wav'];
  const left = ['cut.ogg', 'cut.wav', ...endless, 'headless.wav', 'short.wav', 'text.wav', 'zero.wav'];
  assert.equal(Object.keys(found).sort(), left);
  for (const name of endless) assert.match(found[name], /promises \d{13,} .*hold/);
  assert.is(found['short.wav'], 'too short: 0.10 s, a crop is 0.25 s');
  assert.match(found['cut.wav'], /promises 48000 bytes of samples but the file holds 19956/);
  assert.match(found['cut.ogg'], /does not end the stream/);
  assert.match(found['text.wav'], /no WAV, FLAC, MP3, Ogg Vorbis or Ogg Opus/);
  assert.is(found['zero.wav'], 'the file has no bytes');
  for (const reason of Object.values(found)) assert.ok(reason.length > 0 && !reason.includes(folder), reason);

  const crops = await Promise.all(Array.from({ length: 9 }, (_, i) => dataset.readCrop(i)));
  assert.ok(crops.every(({ length }) => length === CROP));
  assert.is(dataset.silentCrops, 3, 'three passes over three files, one of them silent');
});

opening('a file of exactly one crop is enough, one sample less is not', async () => {
  const make = (name: string, samples: number) =>
    writeFile(join(folder, 'exact', name), encodeWav(tone(samples, 1), 24000));
  make('enough.wav', CROP);
  make('less.wav', CROP - 1);
  const dataset = await open('exact');
  assert.equal(
    dataset.files.map(({ path }) => basename(path)),
    ['enough.wav'],
  );
  assert.is((await dataset.readCrop(0)).length, CROP);
});

opening('folders without anything usable', async () => {
  mkdirSync(join(folder, 'empty/inside'), { recursive: true });
  assert.match(await messageOf(() => open('empty')), /empty: no audio files \(wav, flac, mp3, ogg, opus\)/);
  assert.match(await messageOf(() => open('missing')), /missing: the folder cannot be read/);
  writeFile(join(folder, 'unusable', 'a.wav'), 'text');
  writeTone(join(folder, 'unusable', 'b.wav'), 0.1, 1);
  const message = await messageOf(() => open('unusable'));
  assert.match(message, /none of its 2 audio files can be used/);
  assert.match(message, /a\.wav: /);
  assert.match(message, /b\.wav: too short/);
});

const cropping = suite('crops');

cropping('begin on the grid of 320 samples and hold the file’s samples', async () => {
  const lengths = [24000, 24319, 6319];
  for (const [i, length] of lengths.entries()) {
    writeFile(join(folder, 'ramps', `${i}.wav`), encodeWav(ramp(length, i), 24000, { format: 'float32' }));
  }
  const dataset = await open('ramps');
  const seen = lengths.map(() => new Set<number>());
  for (let index = 0; index < 300; index++) {
    const crop = await dataset.readCrop(index);
    const file = Math.floor(crop[0] * 8);
    const start = Math.round((crop[0] - file / 8) * 2 ** 20) - 1;
    assert.is(start % 320, 0);
    assert.equal(crop, ramp(lengths[file], file).subarray(start, start + CROP));
    seen[file].add(start / 320);
  }
  // (24000 - 6000) / 320 = 56.25; every start occurs about 1.75 times.
  assert.ok(Math.max(...seen[0]) <= 56 && Math.max(...seen[1]) <= 57);
  assert.ok(seen[0].size > 35 && seen[1].size > 35);
  assert.equal([...seen[2]], [0]);
});

cropping('every file comes once in each pass, in another order', async () => {
  const dataset = await open('ramps');
  const orders = new Set<string>();
  for (let epoch = 0; epoch < 12; epoch++) {
    const files = await Promise.all(
      [0, 1, 2].map(async (i) => Math.floor((await dataset.readCrop(3 * epoch + i))[0] * 8)),
    );
    orders.add(files.join());
    assert.equal([...files].sort(), [0, 1, 2]);
  }
  assert.ok(orders.size > 2);
});

cropping('depend on the seed and the index alone', async () => {
  const inOrder = await open('ramps');
  const expected: string[] = [];
  for (let i = 0; i < 40; i++) expected.push((await inOrder.readCrop(i))[0].toString());
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(fc.nat(39), { minLength: 1, maxLength: 12 }), async (indices) => {
      const dataset = await open('ramps');
      const crops = await Promise.all(indices.map((i) => dataset.readCrop(i)));
      assert.equal(
        crops.map(([first]) => first.toString()),
        indices.map((i) => expected[i]),
      );
    }),
    { numRuns: 15 },
  );
  const other = await open('ramps', { seed: 12 });
  const differing = await Promise.all(
    expected.map(async (first, i) => (await other.readCrop(i))[0].toString() !== first),
  );
  assert.ok(differing.filter(Boolean).length > 30);
});

cropping('a file with NaN is named, and replaced by the same file whatever was read before', async () => {
  for (let i = 0; i < 3; i++) {
    writeFile(join(folder, 'nan', `${i}.wav`), encodeWav(ramp(12000, i), 24000, { format: 'float32' }));
  }
  writeFile(join(folder, 'nan', 'not-a-number.wav'), wavWith(new Float32Array(12000).fill(Number.NaN)));
  writeFile(join(folder, 'nan', 'infinite.wav'), wavWith(new Float32Array(12000).fill(Number.POSITIVE_INFINITY)));
  const forwards = await open('nan');
  assert.is(forwards.files.length, 5, 'the headers are fine');
  assert.equal(forwards.skipped, []);
  const crops: Float32Array[] = [];
  for (let i = 0; i < 20; i++) crops.push(await forwards.readCrop(i));
  assert.ok(crops.every((crop) => crop.length === CROP && crop.every(Number.isFinite)));
  const found = reasons(forwards);
  assert.equal(Object.keys(found).sort(), ['infinite.wav', 'not-a-number.wav']);
  assert.match(found['not-a-number.wav'], /sample 0 is NaN; every sample must be finite/);
  assert.match(found['infinite.wav'], /sample 0 is Infinity/);
  const backwards = await open('nan');
  for (let i = 19; i >= 0; i--) assert.equal(await backwards.readCrop(i), crops[i]);
});

cropping('a file whose samples are far from audio is named, and replaced', async () => {
  for (const [name, amplitude] of [
    ['good', 1],
    ['absurd', 1e30],
  ] as const) {
    writeFile(join(folder, 'absurd', `${name}.wav`), wavWith(tone(12000, 1).map((value) => value * amplitude)));
  }
  const dataset = await open('absurd');
  for (let i = 0; i < 6; i++) assert.ok((await dataset.readCrop(i)).every((sample) => Math.abs(sample) <= 1));
  assert.match(
    reasons(dataset)['absurd.wav'],
    /^has a sample of \S+e\+29; audio lies within 1, and at most 10000 is used/,
  );
});

cropping('a folder of nothing but NaN ends with an error, not with a loop', async () => {
  writeFile(join(folder, 'only-nan', 'a.wav'), wavWith(new Float32Array(12000).fill(Number.NaN)));
  const dataset = await open('only-nan');
  const message = await messageOf(() => dataset.readCrop(0));
  assert.match(message, /only-nan: 100 files in a row could not be read/);
  assert.match(message, /a\.wav: sample 0 is NaN/);
});

cropping('other sample rates and channels become 24 kHz mono', async () => {
  for (const [i, rate] of [8000, 22050, 44100, 48000].entries()) {
    const signal = tone(Math.ceil(rate / 2), i, rate);
    const path = join(folder, 'rates', `${rate}.wav`);
    writeFile(path, encodeWav([signal, signal.map((value) => -0.5 * value)], rate, { format: 'float32' }));
  }
  const dataset = await open('rates', { cropSamples: 12000 });
  assert.is(dataset.files.length, 4);
  for (let i = 0; i < 8; i++) {
    const crop = await dataset.readCrop(i);
    assert.is(crop.length, 12000);
    const energy = crop.reduce((sum, value) => sum + value * value, 0) / crop.length;
    // The mean of a signal and minus half of it: a quarter. Its power is (0.5^2 + 0.2^2 + 0.1^2) / 2 / 16.
    assert.ok(Math.abs(energy / (0.15 / 16) - 1) < 0.05, `power ${energy}`);
  }
  assert.equal(dataset.skipped, []);
});

cropping('files of more than ten minutes are read in parts, on the same grid', async () => {
  const rate = 8000;
  const long = new Float32Array(rate * 601);
  for (let n = 0; n < long.length; n++) long[n] = Math.sin(n / 9) * 0.5;
  writeFile(join(folder, 'long', 'long.wav'), encodeWav(long, rate));
  const dataset = await open('long');
  const crops = await Promise.all(Array.from({ length: 12 }, (_, i) => dataset.readCrop(i)));
  assert.equal(dataset.skipped, []);
  assert.ok(crops.every(({ length }) => length === CROP));
  assert.is(new Set(crops.map((crop) => crop[0])).size, 12);
});

const waveforms = suite('normaliseWaveform');

waveforms('gives zero mean and unit variance', () => {
  const signal = fc.float32Array({ minLength: 2, maxLength: 200, min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(signal, fc.double({ min: -5, max: 5, noNaN: true }), (samples, offset) => {
      const shifted = samples.map((value) => value + offset);
      const out = normaliseWaveform(shifted);
      const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length;
      const power = mean(out.map((value) => value * value));
      const about = mean(shifted);
      const variance = mean(shifted.map((value) => (value - about) ** 2));
      assert.ok(Math.abs(mean(out)) < 1e-3);
      assert.ok(Math.abs(power - variance / (variance + 1e-7)) < 2e-3, `${power}, ${variance}`);
    }),
  );
  assert.equal(normaliseWaveform(new Float32Array(5)), new Float32Array(5));
  assert.equal(normaliseWaveform(new Float32Array(0)), new Float32Array(0));
});

opening.run();
cropping.run();
waveforms.run();
