/** mert kmeans train, mert kmeans label and mert label, as a user runs them. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeWav, readAudio } from '@dawnchorus/dsp';
import { readNpy } from '@dawnchorus/formats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadKMeansTeacher } from '../src/kmeans/teacher.ts';
import { openLabels } from '../src/labels/read.ts';
import { hostRandom } from '../src/random.ts';
import { goldenPath, openTestDevice, runner, temporaryFolder, tone, writeFile, writeTone } from './support.ts';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = temporaryFolder();
const music = join(folder, 'music');
for (let i = 0; i < 5; i++) writeTone(join(music, i % 2 ? 'more' : '', `${i}.wav`), 2.1 + 0.6 * i, i);
writeFile(join(music, 'high.wav'), encodeWav([tone(120_000, 3, 44100), tone(120_000, 9, 44100)], 44100));
writeFile(join(music, 'broken.wav'), 'words');
const model = join(folder, 'kmeans');

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
}

/** Runs the command line; `kill` is looked at every few milliseconds and may send a signal. */
function mert(options: string[], kill?: (stderr: string) => NodeJS.Signals | undefined): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [runner, main, ...options], { cwd: root });
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    const watch = setInterval(() => {
      const signal = kill?.(stderr);
      if (signal) child.kill(signal);
    }, 2);
    child.on('close', (code, signal) => {
      clearInterval(watch);
      resolve({ code, signal, stderr });
    });
  });
}

const contents = (path: string) =>
  readdirSync(path)
    .sort()
    .map(
      (name) =>
        `${name} ${createHash('sha256')
          .update(readFileSync(join(path, name)))
          .digest('hex')}`,
    );

const training = suite('mert kmeans');

training('train writes a teacher, and label the labels of a file: int32 [codebooks, frames]', async () => {
  const options = ['--rows', '600', '--clusters', '20,12', '--epochs', '2', '--batch', '200', '--seed', '1'];
  const trained = await mert(['kmeans', 'train', '--data', music, '--out', model, ...options]);
  assert.is(trained.code, 0, trained.stderr);
  assert.match(trained.stderr, /features: 600 frames of logmel-229, chroma-264/);
  assert.match(trained.stderr, /^chroma: \d+ of 12 clusters in use, perplexity \d+\.\d, inertia \S+ a frame/m);
  assert.match(trained.stderr, /left out .*broken\.wav: the file is no WAV/);
  const out = join(folder, 'labels.npy');
  const labelled = await mert(['kmeans', 'label', '--model', model, '--input', join(music, 'high.wav'), '--out', out]);
  assert.is(labelled.code, 0, labelled.stderr);
  const { dtype, shape, data } = await readNpy(out);
  const { samples } = await readAudio(join(music, 'high.wav'), { sampleRate: 24000 });
  assert.is(dtype, '<i4');
  assert.equal(shape, [2, Math.floor(samples.length / 320) + 1]);
  const device = await openTestDevice();
  assert.equal(data, await (await loadKMeansTeacher(model)).label(samples));
  device.close();
  const again = await mert(['kmeans', 'train', '--data', music, '--out', model, ...options]);
  assert.match(again.stderr, /already holds a K-means teacher; choose another --out/);
});

const labelling = suite('mert label');
const label = (out: string, ...more: string[]) => ['label', '--data', music, '--out', out, ...more];
const byKMeans = ['--teacher', 'kmeans', '--model', model];
const whole = join(folder, 'whole');

labelling('labels every file that can be read, and says which cannot', async () => {
  const { code, stderr } = await mert(label(whole, ...byKMeans));
  assert.is(code, 0, stderr);
  assert.match(stderr, /^teacher: kmeans [0-9a-f]{12}, codebooks of 20, 12$/m);
  assert.match(stderr, /left out broken\.wav: the file is no WAV/);
  assert.match(stderr, /^wrote .*whole: 6 files labelled, 0 were there, 1 left out$/m);
  const checked = await mert(['label', '--out', whole, '--data', music, '--verify']);
  assert.is(checked.code, 0, checked.stderr);
  assert.match(checked.stderr, /every label and every file is what it was/);
});

labelling('killed at random moments by SIGKILL and started again, it leaves what an unbroken run leaves', async () => {
  const random = hostRandom(12);
  let kills = 0;
  const out = join(folder, 'killed');
  for (let calls = 0; ; calls++) {
    assert.ok(calls < 30, 'it never ends');
    // Counted from when the teacher is there: before, nothing is to be broken.
    const delay = random.integer(0, 600 * (calls + 1));
    let ready: number | undefined;
    const { code, signal, stderr } = await mert(label(out, ...byKMeans), (text) => {
      if (text.includes('teacher: kmeans')) ready ??= performance.now();
      return ready !== undefined && performance.now() - ready >= delay ? 'SIGKILL' : undefined;
    });
    if (signal === 'SIGKILL') kills++;
    else {
      assert.is(code, 0, stderr);
      break;
    }
  }
  assert.ok(kills >= 2, `${kills} kills`);
  assert.equal(contents(out), contents(whole));
});

labelling('Ctrl-C stops after a file, and the same command goes on', async () => {
  const out = join(folder, 'stopped');
  let sent = false;
  const stopped = await mert(label(out, ...byKMeans), () => {
    const path = join(out, 'manifest.jsonl');
    if (sent || !existsSync(path) || readFileSync(path, 'utf8').split('\n').length < 3) return undefined;
    sent = true;
    return 'SIGINT';
  });
  assert.is(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /^stopped: \d files labelled, .*; the same command goes on$/m);
  const { code, stderr } = await mert(label(out, ...byKMeans));
  assert.is(code, 0, stderr);
  assert.equal(contents(out), contents(whole));
});

labelling('EnCodec labels as mert codec encode does', async () => {
  const out = join(folder, 'codes');
  const codec = ['--model', goldenPath('codec_encodec.th')];
  const { code, stderr } = await mert(label(out, '--teacher', 'encodec', ...codec, '--codebooks', '2'));
  assert.is(code, 0, stderr);
  const npy = join(folder, 'codes.npy');
  const encoded = await mert([
    'codec',
    'encode',
    ...codec,
    '--input',
    join(music, 'high.wav'),
    '--out',
    npy,
    '--codebooks',
    '2',
  ]);
  assert.is(encoded.code, 0, encoded.stderr);
  await using labels = await openLabels(out, { name: 'encodec' });
  assert.equal(await labels.read('high.wav'), (await readNpy(npy)).data);
});

const mistakes = suite('mistakes end with status 1 and a remedy');

const other = join(folder, 'other');
const damaged = join(folder, 'damaged');
const cases: [string, () => string[], RegExp][] = [
  ['no teacher', () => label(other), /labelling needs --data, --teacher and --model/],
  [
    'an unknown teacher',
    () => label(other, '--teacher', 'hubert', '--model', model),
    /--teacher hubert: expected encodec, rvq, kmeans/,
  ],
  [
    'a model that is none',
    () => label(other, '--teacher', 'rvq', '--model', model),
    /there is no rvq\.safetensors in it/,
  ],
  ['no music', () => ['label', '--data', model, '--out', other, ...byKMeans], /no audio files/],
  [
    'a bandwidth of clusters',
    () => label(other, ...byKMeans, '--bandwidth', '6'),
    /bandwidth and codebooks are for encodec/,
  ],
  [
    'another way to resample',
    () => label(whole, ...byKMeans, '--resample', 'hann6'),
    /were resampled by kaiser64, not hann6/,
  ],
  [
    'a way to resample that is none',
    () => label(other, ...byKMeans, '--resample', 'linear'),
    /--resample linear: expected kaiser64 or hann6/,
  ],
  [
    'labels of another teacher',
    () => label(whole, '--teacher', 'encodec', '--model', goldenPath('codec_encodec.th')),
    /its labels are of another teacher \(name "kmeans" there, "encodec" here/,
  ],
  [
    'damaged labels',
    () => ['label', '--out', damaged, '--verify'],
    /0\.wav: its labels are not those[\s\S]*1 files have labels that cannot be used/,
  ],
  [
    'an unknown feature',
    () => ['kmeans', 'train', '--data', music, '--out', other, '--features', 'logmel,cqt'],
    /there is no "cqt"; expected logmel, chroma, mfcc/,
  ],
  [
    'clusters for no feature',
    () => ['kmeans', 'train', '--data', music, '--out', other, '--clusters', '3'],
    /--clusters 3: expected as many numbers as features, 2/,
  ],
  [
    'half a cluster',
    () => ['kmeans', 'train', '--data', music, '--out', other, '--clusters', '3.5,x'],
    /--clusters <numbers>' argument '3\.5,x' is invalid. expected a whole number from 1/,
  ],
  [
    'an unknown method',
    () => ['kmeans', 'train', '--data', music, '--out', other, '--method', 'elkan'],
    /--method elkan: expected minibatch or lloyd/,
  ],
  [
    'no teacher to label with',
    () => ['kmeans', 'label', '--model', music, '--input', join(music, '0.wav'), '--out', other],
    /a K-means teacher is the folder that mert kmeans train wrote/,
  ],
];

for (const [name, options, message] of cases) {
  mistakes(name, async () => {
    if (name === 'damaged labels') {
      cpSync(whole, damaged, { recursive: true });
      const shard = join(damaged, 'labels-00000.bin');
      const bytes = readFileSync(shard);
      bytes[0] ^= 1;
      writeFileSync(shard, bytes);
    }
    const { code, stderr } = await mert(options());
    assert.match(stderr, message);
    assert.is(code, 1, stderr);
    assert.not.match(stderr, / at .*\.ts:/, 'no stack trace');
    assert.is(existsSync(other) && readdirSync(other).length > 0, false, 'nothing is written');
  });
}

for (const tests of [training, labelling, mistakes]) tests.run();
