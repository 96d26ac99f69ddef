/** Pretraining on labels that were made before, in the place of a teacher of the run's own. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeWav, readAudio } from '@dawnchorus/dsp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cropSamples, frameCount } from '../src/config/index.ts';
import { readBatch } from '../src/data/batch.ts';
import { type FeatureName, features } from '../src/kmeans/features.ts';
import { saveKMeans } from '../src/kmeans/teacher.ts';
import { loadTeacher } from '../src/labels/load.ts';
import { labelFolder } from '../src/labels/write.ts';
import { hostRandom } from '../src/random.ts';
import { openLabelled, openRunLabels } from '../src/training/labels.ts';
import { type PretrainOptions, pretrain } from '../src/training/pretrain.ts';
import { uploadBatch } from '../src/training/step.ts';
import { type FakeSettings, fakeTeacher } from './labels-support.ts';
import {
  goldenPath,
  messageOf,
  openTestDevice,
  temporaryFolder,
  tinyConfig,
  tone,
  writeFile,
  writeTone,
} from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();
const data = join(folder, 'music');
for (let i = 0; i < 3; i++) writeTone(join(data, 'train', `${i}.wav`), 0.9 + 0.3 * i, i);
writeFile(join(data, 'train', 'high.wav'), encodeWav(tone(40_000, 3, 44100), 44100));
writeTone(join(data, 'valid', 'held.wav'), 1.2, 7);
{
  const spoilt = encodeWav(tone(30_000, 1), 24000, { format: 'float32' });
  new DataView(spoilt.buffer).setFloat32(spoilt.length - 4, Number.NaN, true);
  writeFile(join(data, 'train', 'nan.wav'), spoilt);
}
const config = tinyConfig('training.checkpointEvery=2');
const samples = cropSamples(config.audio);
const frames = frameCount(samples, config.model);

async function labelled(name: string, settings: FakeSettings, music = data): Promise<string> {
  const out = join(folder, name);
  await labelFolder({ data: music, out, teacher: fakeTeacher(settings) });
  return out;
}

const settings = { codebooks: [12, 300, 7] };
const labels = await labelled('labels', settings);
const lines: string[] = [];

function run(name: string, options: Partial<PretrainOptions> = {}) {
  return pretrain({
    device,
    config,
    data,
    labels,
    out: join(folder, name),
    log: (line) => lines.push(line),
    ...options,
  });
}

const measured = (name: string) =>
  readFileSync(join(folder, name, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { seconds, clipsPerSecond, ...rest } = JSON.parse(line);
      return rest;
    });

const aligning = suite('labels of crops');

aligning('are those of the frames that the student has, in the files that the crops are of', async () => {
  const own = structuredClone(config);
  await using opened = await openRunLabels({ labels, data, out: folder }, own, frames, undefined);
  assert.equal([own.rvq.numCodebooks, own.rvq.codebookSize], [3, 300]);
  const options = { folder: join(data, 'train'), sampleRate: 24000, cropSamples: samples, seed: 5 };
  const dataset = await openLabelled(options, opened);
  assert.match(
    dataset.skipped.find(({ path }) => path.endsWith('nan.wav'))?.reason ?? '',
    /could not be labelled: sample 29999 is NaN/,
  );
  const teacher = fakeTeacher(settings);
  const seen = new Set<string>();
  for (let index = 0; index < 24; index++) {
    const crop = await dataset.readPlaced(index);
    seen.add(`${crop.path} ${crop.start}`);
    assert.is(crop.start % 320, 0);
    const whole = await readAudio(crop.path, { sampleRate: 24000 });
    assert.equal(crop.samples, whole.samples.slice(crop.start, crop.start + samples));
    const all = await teacher.label(whole.samples);
    const count = all.length / 3;
    const expected = [0, 1, 2].flatMap((k) => [
      ...all.subarray(k * count + crop.start / 320, k * count + crop.start / 320 + frames),
    ]);
    assert.equal([...(await opened!.of(crop))], expected);
  }
  assert.ok(seen.size > 12);
  const batch = await readBatch(dataset, own, 1, frames, opened);
  const { given } = uploadBatch(batch, own);
  assert.equal(given?.shape, [3, batch.clean.length * frames]);
  const values = (await given!.data()) as Int32Array;
  for (const [b, clip] of batch.labels!.entries()) {
    for (let k = 0; k < 3; k++) {
      const from = (k * batch.clean.length + b) * frames;
      assert.equal(values.subarray(from, from + frames), clip.subarray(k * frames, (k + 1) * frames));
    }
  }
});

aligning('crops end where labels do', async () => {
  // 280 samples fewer than the others: features that need a whole window.
  const short = await labelled('short', { framePadding: -3000 });
  await using opened = await openRunLabels(
    { labels: short, data, out: folder },
    structuredClone(config),
    frames,
    undefined,
  );
  const options = { folder: join(data, 'train'), sampleRate: 24000, cropSamples: samples, seed: 5 };
  const dataset = await openLabelled(options, opened);
  for (let index = 0; index < 30; index++) await opened!.of(await dataset.readPlaced(index));
});

const training = suite('pretraining on labels');

training('trains no teacher, and has a head for each codebook', async () => {
  const result = await run('unbroken');
  assert.is(result.finished, true);
  assert.is(existsSync(join(folder, 'unbroken', 'teacher')), false);
  assert.ok(lines.some((line) => /^labels: of teacher fake [0-9a-f]{12}, codebooks of 12, 300, 7, from /.test(line)));
  for (const { lossCodes, loss } of measured('unbroken')) {
    assert.is(lossCodes.length, 3);
    assert.ok(Number.isFinite(loss));
  }
  const report = readFileSync(join(folder, 'unbroken', 'report.md'), 'utf8');
  assert.match(report, /could not be labelled/);
});

training('a manifest train finds the labels of the manifest valid beside it', async () => {
  const sets = join(folder, 'sets');
  const line = (path: string) => `${JSON.stringify({ path: join(data, path) })}\n`;
  writeFile(join(sets, 'train.jsonl'), line('train/0.wav') + line('train/1.wav'));
  writeFile(join(sets, 'valid.jsonl'), line('valid/held.wav'));
  const made = await labelled('sets-labels', settings, sets);
  const { report } = await run('sets-run', { data: join(sets, 'train.jsonl'), labels: made, steps: 1 });
  assert.match(report!, 'Held out: 1 files that training never saw');
  const half = await labelled('half-labels', settings, join(sets, 'train.jsonl'));
  assert.match(
    await messageOf(() => run('half-run', { data: join(sets, 'train.jsonl'), labels: half })),
    /the held-out music cannot be used: .*the labels are of none of these files[\s\S]*repair it or label it, too/,
  );
  assert.is(existsSync(join(folder, 'half-run')), false);
});

training('stopped and resumed, it is the unbroken run', async () => {
  const path = join(folder, 'stopped', 'metrics.jsonl');
  const stopped = () => existsSync(path) && readFileSync(path, 'utf8').split('\n').length > 3;
  assert.is((await run('stopped', { stopped })).finished, false);
  assert.is((await run('stopped', { resume: true })).finished, true);
  assert.equal(measured('stopped'), measured('unbroken'));
});

training('other labels, labels of other music and another grid are refused', async () => {
  const other = await labelled('other', { ...settings, version: 2 });
  const message =
    /the run was started with labels of teacher [0-9a-f]{12}, not labels of teacher [0-9a-f]{12}; resume with the same/;
  assert.match(await messageOf(() => run('unbroken', { resume: true, labels: other })), message);
  assert.match(
    await messageOf(() => run('unbroken', { resume: true, labels: undefined })),
    /started with labels of teacher [0-9a-f]{12}, not no labels; resume with the same/,
  );
  const part = await labelled('part', settings, join(data, 'train'));
  assert.match(
    await messageOf(() => run('part', { labels: part })),
    /the labels are of none of these files, but of 0\.wav and others; give the folder of music that was labelled/,
  );
  const grid = await labelled('grid', { hop: 160 });
  assert.match(
    await messageOf(() => run('grid', { labels: grid })),
    /a label each 160 samples at 24000 Hz; the model has a frame each 320 samples at 24000 Hz: label with a teacher of its grid/,
  );
  assert.match(
    await messageOf(() => run('none', { labels: join(folder, 'nowhere') })),
    /holds no labels \(manifest\.jsonl is missing\)/,
  );
});

const online = suite('a teacher that labels crops as they come');

const short = join(folder, 'crops-long');
for (let i = 0; i < 3; i++) writeFile(join(short, `${i}.wav`), encodeWav(tone(samples, i), 24000));
const kmeans = join(folder, 'kmeans');
await saveKMeans(kmeans, {
  sampleRate: 24000,
  hop: 320,
  streams: [
    { feature: 'logmel', clusters: 7 },
    { feature: 'chroma', clusters: 5 },
  ].map(({ feature, clusters }, i) => {
    const random = hostRandom(i, 4);
    const { dimension } = features[feature as FeatureName];
    const centres = Float32Array.from({ length: clusters * dimension }, () => random.uniform() * 4 - 6);
    return { feature: feature as FeatureName, clusters, centres };
  }),
});
const codec = goldenPath('codec_encodec.th');

for (const [name, teacher, codebooks] of [
  ['kmeans', kmeans, [7, 5]],
  ['encodec', codec, [2, 2]],
] as const) {
  online(`${name}: a run is that on labels of the same teacher, where crops are whole files`, async () => {
    const made = join(folder, `${name}-labels`);
    await labelFolder({
      data: short,
      out: made,
      teacher: await loadTeacher(name, teacher, name === 'encodec' ? { codebooks: 2 } : {}),
    });
    await run(`${name}-given`, { data: short, labels: made });
    const before = lines.length;
    await run(`${name}-online`, { data: short, labels: undefined, teacher });
    assert.ok(lines.slice(before).some((line) => line.startsWith(`teacher: ${name} `)));
    assert.is(existsSync(join(folder, `${name}-online`, 'teacher')), false);
    assert.equal(measured(`${name}-online`), measured(`${name}-given`));
    assert.is(measured(`${name}-online`)[0].lossCodes.length, codebooks.length);
  });
}

online('stopped and resumed, the run is the unbroken one, and takes no other teacher', async () => {
  const path = join(folder, 'online-stopped', 'metrics.jsonl');
  const stopped = () => existsSync(path) && readFileSync(path, 'utf8').split('\n').length > 3;
  const given = { data: short, labels: undefined, teacher: kmeans };
  assert.is((await run('online-stopped', { ...given, stopped })).finished, false);
  assert.match(
    await messageOf(() => run('online-stopped', { ...given, teacher: codec, resume: true })),
    /the run was started with teacher [0-9a-f]{12}, not teacher [0-9a-f]{12}; resume with the same/,
  );
  assert.match(
    await messageOf(() => run('online-stopped', { ...given, teacher: undefined, resume: true })),
    /the run was started with teacher [0-9a-f]{12}, not no labels; resume with the same/,
  );
  assert.is((await run('online-stopped', { ...given, resume: true })).finished, true);
  assert.equal(measured('online-stopped'), measured('kmeans-online'));
});

online('a teacher of another grid, of other classes or with too few codebooks is refused', async () => {
  const slow = join(folder, 'slow');
  await saveKMeans(slow, {
    sampleRate: 24000,
    hop: 160,
    streams: [{ feature: 'mfcc', clusters: 1, centres: new Float32Array(39) }],
  });
  const refused = (name: string, teacher: string, more: Partial<PretrainOptions> = {}) =>
    messageOf(() => run(name, { data: short, labels: undefined, teacher, ...more }));
  assert.match(
    await refused('grid2', slow),
    /slow: a label each 160 samples at 24000 Hz; the model has a frame each 320/,
  );
  assert.match(
    await refused('classes', kmeans, { config: tinyConfig('targets.classes=[300, 200]') }),
    /kmeans: codebooks of \[7,5\] classes, but targets\.classes of the configuration is \[300,200\]/,
  );
  assert.match(
    await refused('few', codec, { config: tinyConfig('rvq.numCodebooks=999') }),
    /999 codebooks; this model has 1 to \d+/,
  );
  assert.match(await refused('both', kmeans, { labels }), /both labels and a teacher were given; give one of them/);
});

for (const tests of [aligning, training, online]) tests.run();
