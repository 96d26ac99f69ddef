import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCqt, encodeWav } from '@dawnchorus/dsp';
import { readNpy } from '@dawnchorus/formats';
import { tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cqtSettings } from '../src/training/step.ts';
import {
  goldenPath,
  openTestDevice,
  relativeError,
  runner,
  temporaryFolder,
  tinySettings,
  tone,
  writeFile,
  writeTone,
} from './support.ts';

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));
const folder = temporaryFolder();

interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

/** Runs the command line; `watch` sees each piece of standard error and may send signals. */
function mert(
  options: string[],
  watch?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
): Promise<Ended> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [runner, main, ...options], { cwd: root });
    let [stdout, stderr] = ['', ''];
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
      watch?.(stderr, (signal) => child.kill(signal));
    });
    child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

const info = suite('mert info');

info('that nobody reads what it says is no failure', async () => {
  const child = spawn(process.execPath, [runner, main, 'info'], { cwd: root });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (data) => {
    stderr += data;
  });
  const code = await new Promise((resolve) => child.on('close', resolve));
  assert.is(code, 0, stderr);
  assert.not.match(stderr, /EPIPE/);
});

info('says which adapter runs, with its features and limits', async () => {
  const { code, stdout } = await mert(['info']);
  assert.is(code, 0);
  assert.match(stdout, /^adapter: \S/);
  assert.match(stdout, /^features: /m);
  assert.match(stdout, /^ {2}maxBufferSize: \d+$/m);
});

info('--config counts the parameters of a model, without a GPU', async () => {
  const { code, stdout } = await mert(['info', '--config', 'mert-330m-rvq', '--json']);
  assert.is(code, 0);
  const { parameters, sampleRate, frameRate } = JSON.parse(stdout);
  assert.equal([parameters.encoder, parameters.pretraining], [315_428_992, 317_875_664]);
  assert.equal([sampleRate, frameRate], [24000, 75]);
  const small = await mert(['info', '--config', 'small-kmeans']);
  assert.match(small.stdout, /small-kmeans: 16000 Hz, 50 frames a second/);
  const wrong = await mert(['info', '--config', 'mert-95m-kmean']);
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /there is no preset "mert-95m-kmean"; did you mean "mert-95m-kmeans"\?/);
});

info('--json prints nothing else', async () => {
  const { code, stdout } = await mert(['info', '--json']);
  assert.is(code, 0);
  const { adapter, features, limits } = JSON.parse(stdout);
  assert.type(adapter.name, 'string');
  assert.type(adapter.software, 'boolean');
  assert.ok(Array.isArray(features));
  assert.ok(limits.maxComputeWorkgroupStorageSize >= 16384);
});

const cqt = suite('mert cqt');

cqt('writes what the library computes', async () => {
  const samples = tone(9999, 3);
  const input = writeFile(join(folder, 'tone.wav'), encodeWav(samples, 24000, { format: 'float32' }));
  const out = join(folder, 'cqt.npy');
  const { code, stderr } = await mert(['cqt', '--input', input, '--out', out]);
  assert.is(code, 0, stderr);
  const { dtype, shape, data } = await readNpy(out);
  const frames = Math.floor(samples.length / 320) + 1;
  assert.is(dtype, '<f4');
  assert.equal(shape, [336, frames]);
  const device = await openTestDevice();
  const magnitudes = createCqt(device, cqtSettings).transform(tensor(samples, { shape: [1, samples.length] }));
  assert.ok(relativeError(data as Float32Array, (await magnitudes.data()) as Float32Array) < 1e-6);
  device.close();
  // The fundamental of tone 3 lies a multiple of a semitone, 4 bins, above 110 Hz.
  const middle = Array.from({ length: 336 }, (_, bin) => (data as Float32Array)[bin * frames + 15]);
  const fundamental = Math.round(48 * Math.log2((110 * 2 ** (21 / 12)) / 32.7));
  assert.ok(Math.abs(middle.indexOf(Math.max(...middle)) - fundamental) <= 1);
});

cqt('a broken file is named, and nothing is written', async () => {
  const input = writeFile(join(folder, 'text.wav'), 'words');
  const out = join(folder, 'never.npy');
  const { code, stderr } = await mert(['cqt', '--input', input, '--out', out]);
  assert.is(code, 1);
  assert.match(stderr, /^mert: .*text\.wav: the file is no WAV/m);
  assert.not.match(stderr, / at .*\.ts:/, 'no stack trace');
  assert.is(existsSync(out), false);
});

const embed = suite('mert embed');
const model = goldenPath('student_post');

async function embedded(layers: string) {
  const out = join(folder, `embed-${layers}.npy`);
  const options = ['--model', model, '--input', join(model, 'input.wav'), '--out', out, '--layers', layers];
  const { code, stderr } = await mert(['embed', ...options]);
  assert.is(code, 0, stderr);
  const { shape, data } = await readNpy(out);
  return { shape, data: data as Float32Array };
}

embed('all layers, one of them, and their mean', async () => {
  const golden = await readNpy(join(model, 'hidden.npy'));
  const hidden = golden.data as Float32Array;
  const [layers, frames, dim] = golden.shape;
  const size = frames * dim;
  const [all, second, mean] = await Promise.all(['all', '2', 'mean'].map(embedded));
  assert.equal(all.shape, golden.shape);
  assert.ok(relativeError(all.data, hidden) < 1e-4);
  assert.equal(second.shape, [frames, dim]);
  assert.equal(second.data, all.data.subarray(2 * size, 3 * size));
  assert.equal(mean.shape, [frames, dim]);
  const expected = Float64Array.from({ length: size }, (_, i) => {
    let sum = 0;
    for (let layer = 0; layer < layers; layer++) sum += hidden[layer * size + i];
    return sum / layers;
  });
  assert.ok(relativeError(mean.data, expected) < 1e-4);
});

const mistakes = suite('mistakes end with status 1 and a remedy');

const input = ['--input', join(model, 'input.wav'), '--out', join(folder, 'unused.npy')];
const cases: [string, string[], RegExp][] = [
  ['an unknown command', ['pretrian'], /unknown command 'pretrian'[\s\S]*Did you mean pretrain/],
  ['an unknown option', ['pretrain', '--stepz', '3'], /unknown option '--stepz'[\s\S]*Did you mean --steps/],
  ['a missing option', ['embed', '--model', model], /required option '--input <file>' not specified/],
  [
    'no whole number',
    ['pretrain', '--steps', 'many'],
    /--steps <n>' argument 'many' is invalid\. expected a whole number from 1/,
  ],
  ['too many threads', ['pretrain', '--workers', '1000'], /expected a whole number from 0 to 256/],
  ['an unknown setting', ['pretrain', '--set', 'training.step=3'], /unknown key "step"; did you mean "steps"\?/],
  ['an unknown preset', ['pretrain', '--config', 'smal'], /there is no preset "smal"; did you mean "small"\?/],
  [
    'an unknown file',
    ['pretrain', '--config', './my.yaml'],
    /cannot read configuration \.\/my\.yaml: there is no such file/,
  ],
  ['a setting out of range', ['pretrain', '--set', 'masking.probability=2'], /masking\.probability/],
  ['resume without a folder', ['pretrain', '--resume'], /^mert: --resume needs --out/m],
  ['resume of nothing', ['pretrain', '--resume', '--out', join(folder, 'none')], /there is no run to resume here/],
  [
    'a folder that does not exist',
    ['pretrain', '--data', join(folder, 'no'), '--out', join(folder, 'a')],
    /no: the folder cannot be read: there is no such file or folder/,
  ],
  [
    'a layer that is none',
    ['embed', '--model', model, ...input, '--layers', 'most'],
    /expected all, mean or a layer’s/,
  ],
  ['a layer too many', ['embed', '--model', model, ...input, '--layers', '9'], /this model has layers 0 to 4/],
  ['a folder that is no model', ['embed', '--model', folder, ...input], /config\.json: cannot be read; a model folder/],
];

for (const [name, options, message] of cases) {
  mistakes(name, async () => {
    const { code, stderr } = await mert(options);
    assert.match(stderr, message);
    assert.is(code, 1, stderr);
    assert.not.match(stderr, / at .*\.ts:/, 'no stack trace');
  });
}

const interrupting = suite('mert pretrain');

const settings = [...tinySettings, 'training.steps=200'].flatMap((setting) => ['--set', setting]);
for (let i = 0; i < 2; i++) writeTone(join(folder, 'music', `${i}.wav`), 0.7 + 0.1 * i, i);
const run = join(folder, 'run');
const steps = () => readFileSync(join(run, 'metrics.jsonl'), 'utf8').trim().split('\n').length;

interrupting('Ctrl-C saves a checkpoint, and --resume goes on', async () => {
  let sent = false;
  const stopped = await mert(['pretrain', '--data', join(folder, 'music'), '--out', run, ...settings], (_, kill) => {
    if (!sent && existsSync(join(run, 'metrics.jsonl')) && readFileSync(join(run, 'metrics.jsonl')).length > 0) {
      sent = true;
      kill('SIGINT');
    }
  });
  assert.is(stopped.code, 130, stopped.stderr);
  assert.match(stopped.stderr, /stopping after this step/);
  assert.match(stopped.stderr, /stopped after step \d+ of 200; saved in .*checkpoint; go on with --resume/);
  const done = steps();
  assert.ok(done >= 1 && done < 200);
  assert.is(JSON.parse(readFileSync(join(run, 'checkpoint', 'trainer.json'), 'utf8')).step, done);

  // Data, configuration and seed are those of the run.
  const resumed = await mert(['pretrain', '--out', run, '--resume', '--steps', String(done + 2)]);
  assert.is(resumed.code, 0, resumed.stderr);
  assert.match(resumed.stderr, `resuming after step ${done}`);
  assert.match(resumed.stdout, '# Pretraining report');
  assert.is(steps(), done + 2);
  // What is not said again stays as it was, but for a setting that is.
  const set = ['--set', `training.steps=${done + 3}`, '--set', 'monitor.every=2'];
  const longer = await mert(['pretrain', '--out', run, '--resume', ...set]);
  assert.is(longer.code, 0, longer.stderr);
  assert.match(longer.stderr, `schedule spans ${done + 3} steps from here on, 200 before`);
  assert.is(steps(), done + 3);
  const page = join(folder, 'page.html');
  const reported = await mert(['report', '--run', run, '--out', page]);
  assert.is(reported.code, 0, reported.stderr);
  const text = readFileSync(page, 'utf8');
  for (const words of [
    'Target: what the musical',
    'Prediction: what the',
    'Mask: ',
    'Attention of layer 2',
    'codebook 1: ',
  ]) {
    assert.match(text, words);
  }
  const watched = await mert(['watch', '--run', run, '--once']);
  assert.match(watched.stdout, new RegExp(`step ${done + 3} of ${done + 3}, finished`));
  const refused = await mert(['pretrain', '--out', run, ...settings]);
  assert.is(refused.code, 1);
  assert.match(refused.stderr, /already holds a run; go on with --resume, or choose another --out/);
});

const evaluation = suite('mert tasks, probe and evaluate');
const quick = ['--quick', '--seeds', '1', '--epochs', '1', '--rates', '1e-3'];

evaluation('tasks, probe and evaluate say what they found, missed and refuse', async () => {
  const tasks = JSON.parse((await mert(['tasks', '--json'])).stdout) as { name: string }[];
  assert.is(tasks.length, 14);
  const keys = join(root, 'data/proxies/key');
  const cache = ['--cache', join(folder, 'features')];
  const probed = await mert([
    'probe',
    '--model',
    'logmel',
    '--task',
    'key',
    '--data',
    keys,
    ...quick,
    ...cache,
    '--json',
  ]);
  assert.is(probed.code, 0, probed.stderr);
  const result = JSON.parse(probed.stdout);
  assert.is(result.classes, 24);
  assert.ok(result.metrics.weighted_score.mean >= 0 && result.metrics.weighted_score.mean <= 1);
  const out = join(folder, 'evaluation');
  const options = ['--model', 'logmel', '--data', join(root, 'data/proxies'), '--tasks', 'key', '--out', out];
  const evaluated = await mert(['evaluate', ...options, '--controls', 'yardstick', ...quick, ...cache]);
  assert.is(evaluated.code, 0, evaluated.stderr);
  assert.match(evaluated.stdout, /proxy-chart-key/);
  for (const name of ['report.md', 'report.json', 'report.html']) assert.ok(existsSync(join(out, name)), name);
  const wrong = await mert(['probe', '--model', 'logmel', '--task', 'emotion', '--data', keys, ...quick]);
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /key/);
});

info.run();
evaluation.run();
cqt.run();
embed.run();
mistakes.run();
interrupting.run();
