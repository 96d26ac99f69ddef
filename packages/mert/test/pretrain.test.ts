import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { PretrainConfig } from '../src/config/index.ts';
import { loadPretrained } from '../src/model/pretrained.ts';
import { readRun } from '../src/seeing/run.ts';
import { watchText } from '../src/seeing/watch.ts';
import { type PretrainOptions, pretrain } from '../src/training/pretrain.ts';
import { createTrainer, disposeTrainer, mendStatistics } from '../src/training/step.ts';
import { messageOf, openTestDevice, temporaryFolder, tinyConfig, tone, writeFile, writeTone } from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();
const data = join(folder, 'music');
for (let i = 0; i < 3; i++) writeTone(join(data, `tone-${i}.wav`), 1 + 0.3 * i, i);
writeFile(join(data, 'notes.wav'), 'this is text');
const config = tinyConfig('training.checkpointEvery=2');

type Line = Record<string, unknown> & { step: number };

const linesOf = (out: string): Line[] =>
  readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** A run's metrics without what depends on the clock. */
const measured = (out: string) => linesOf(out).map(({ seconds, clipsPerSecond, ...rest }) => rest);

function run(name: string, options: Partial<PretrainOptions> = {}) {
  return pretrain({ device, config, data, out: join(folder, name), log: () => {}, ...options });
}

/** Stops a run after `steps` steps of the student: the question is asked before each step, the teacher's included. */
function stopAfter(name: string, steps: number) {
  const path = join(folder, name, 'metrics.jsonl');
  return () => existsSync(path) && readFileSync(path, 'utf8').split('\n').length - 1 >= steps;
}

const checkpointOf = (name: string) =>
  readFileSync(join(folder, name, 'checkpoint', 'model.safetensors')).toString('hex');

const pretraining = suite('pretrain');

pretraining.before(async () => {
  await run('unbroken');
});

pretraining('one object a step, with everything that is measured', () => {
  const lines = linesOf(join(folder, 'unbroken'));
  assert.equal(
    lines.map(({ step }) => step),
    [1, 2, 3, 4, 5, 6],
  );
  const names = ['loss', 'lossRvq', 'lossCqt', 'accuracy', 'gradNorm', 'learningRate', 'clipsPerSecond', 'seconds'];
  for (const line of lines) for (const name of names) assert.ok(Number.isFinite(line[name]), `${name} of ${line.step}`);
  const first = lines[0] as Line & { lossRvq: number; lossCqt: number; featurePenalty: number; loss: number };
  const sum = 2 * first.lossRvq + config.loss.cqtWeight * first.lossCqt;
  const whole = sum + config.loss.featurePenaltyWeight * first.featurePenalty;
  assert.ok(Math.abs(whole / first.loss - 1) < 1e-5, 'the loss is the weighted sum of its parts');
  // Warm-up to the peak at step 2, then a straight line to 0 after the last step.
  const rates = lines.map(({ learningRate }) => (learningRate as number) / config.optimizer.learningRate);
  for (const [i, rate] of [0.5, 1, 0.8, 0.6, 0.4, 0.2].entries()) assert.ok(Math.abs(rates[i] - rate) < 1e-12);
});

pretraining('gives its memory back', async () => {
  // What the engine itself keeps, such as tables of the teacher's loss, is there after the first run.
  const before = device.statistics();
  await run('memory', { steps: 1 });
  const after = device.statistics();
  assert.is(after.liveBuffers, before.liveBuffers);
  assert.is(after.liveBytes, before.liveBytes);
  assert.is(after.leakedTensors, 0);
});

pretraining('the same seed gives the same bits, another seed does not', async () => {
  await run('again');
  assert.equal(measured(join(folder, 'again')), measured(join(folder, 'unbroken')));
  assert.is(checkpointOf('again'), checkpointOf('unbroken'));
  await run('other-seed', { config: tinyConfig('training.seed=7'), steps: 1 });
  assert.is.not(measured(join(folder, 'other-seed'))[0].loss, measured(join(folder, 'unbroken'))[0].loss);
});

pretraining('stopped between checkpoints and resumed, it is the unbroken run', async () => {
  const stopped = await run('stopped', { stopped: stopAfter('stopped', 3) });
  assert.is(stopped.finished, false);
  assert.is(stopped.step, 3);
  assert.is(stopped.report, undefined);
  const resumed = await run('stopped', { resume: true });
  assert.is(resumed.finished, true);
  assert.is(resumed.step, 6);
  assert.equal(measured(join(folder, 'stopped')), measured(join(folder, 'unbroken')));
  assert.is(checkpointOf('stopped'), checkpointOf('unbroken'));
  const statistics = (name: string) => JSON.parse(readFileSync(join(folder, name, 'report.json'), 'utf8')).training;
  assert.equal(statistics('stopped'), statistics('unbroken'));
});

pretraining('ended early by its number of steps and resumed with more, it is the unbroken run', async () => {
  const early = await run('longer', { steps: 3 });
  assert.is(early.finished, true);
  assert.ok(early.report);
  await run('longer', { steps: 6, resume: true });
  assert.equal(measured(join(folder, 'longer')), measured(join(folder, 'unbroken')));
  assert.is(checkpointOf('longer'), checkpointOf('unbroken'));
});

pretraining('killed after its last checkpoint, it does the lost steps again', async () => {
  await cp(join(folder, 'unbroken'), join(folder, 'killed'), { recursive: true });
  const out = join(folder, 'killed');
  rmSync(join(out, 'checkpoint'), { recursive: true });
  await run('half', { steps: 4 });
  await cp(join(folder, 'half', 'checkpoint'), join(out, 'checkpoint.previous'), { recursive: true });
  // The log is two steps ahead of the checkpoint, its last line is cut, and the crash came between the two renames.
  writeFileSync(join(out, 'metrics.jsonl'), `${readFileSync(join(out, 'metrics.jsonl'), 'utf8')}{"step": 7, "lo`);
  await run('killed', { resume: true, steps: 6 });
  assert.equal(measured(out), measured(join(folder, 'unbroken')));
  assert.is(checkpointOf('killed'), checkpointOf('unbroken'));
  assert.is(existsSync(join(out, 'checkpoint.previous')), false);
});

pretraining('a finished run that is resumed changes nothing', async () => {
  const before = readFileSync(join(folder, 'again', 'metrics.jsonl'), 'utf8');
  const result = await run('again', { resume: true });
  assert.is(result.finished, true);
  assert.is(readFileSync(join(folder, 'again', 'metrics.jsonl'), 'utf8'), before);
});

pretraining('stopped while the teacher trains, it can be started anew', async () => {
  const stopped = await run('no-teacher', { stopped: () => true });
  assert.equal(stopped, { step: 0, finished: false, checkpoint: undefined, report: undefined });
  await run('no-teacher', { steps: 1 });
  assert.equal(measured(join(folder, 'no-teacher')), measured(join(folder, 'unbroken')).slice(0, 1));
});

pretraining('stopped before the first step, it keeps its teacher', async () => {
  const trained = join(folder, 'teacher-only', 'teacher', 'rvq.safetensors');
  const stopped = await run('teacher-only', { stopped: () => existsSync(trained) });
  assert.is(stopped.step, 0);
  await run('teacher-only', { resume: true });
  assert.equal(measured(join(folder, 'teacher-only')), measured(join(folder, 'unbroken')));
});

pretraining('a full disk leaves the previous checkpoint, and the run goes on once there is room', async () => {
  const disk = join(folder, 'disk');
  mkdirSync(disk);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=8m', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    console.error('full disk: left out, a small file system cannot be mounted without root');
    return;
  }
  try {
    const out = join(disk, 'run');
    await run('on-disk', { out, steps: 2 });
    const checkpoint = () =>
      ['model', 'training'].map((name) => readFileSync(join(out, 'checkpoint', `${name}.safetensors`)).toString('hex'));
    const before = checkpoint();
    const { bavail, bsize } = statfsSync(disk);
    const filler = join(disk, 'filler');
    writeFileSync(filler, new Uint8Array(bavail * bsize - 100_000));
    const message = await messageOf(() => run('on-disk', { out, resume: true, steps: 6 }));
    assert.match(message, /the disk or quota of .* is full \(ENOSPC\)/);
    assert.equal(checkpoint(), before);
    assert.equal(readdirSync(out).sort(), [
      'checkpoint',
      'data.json',
      'data.jsonl',
      'metrics.jsonl',
      'teacher',
      'tensorboard',
    ]);
    const states = (await loadPretrained(join(out, 'checkpoint'))).embed(tone(12000, 1));
    assert.ok((await states[2].data()).every(Number.isFinite));
    rmSync(filler);
    await run('on-disk', { out, resume: true, steps: 6 });
    assert.equal(measured(out), measured(join(folder, 'unbroken')));
  } finally {
    execFileSync('umount', [disk]);
  }
});

pretraining('the checkpoint is a model folder', async () => {
  const model = await loadPretrained(join(folder, 'unbroken', 'checkpoint'));
  const states = model.embed(tone(12000, 1));
  assert.equal(
    states.map(({ shape }) => [...shape]),
    Array(3).fill([37, 32]),
  );
  assert.ok((await states[2].data()).every(Number.isFinite));
});

pretraining('report, curves and left-out files are written', () => {
  const out = join(folder, 'unbroken');
  const report = readFileSync(join(out, 'report.md'), 'utf8');
  assert.match(report, /6 steps in/);
  assert.match(report, /1 files were left out|1 file was left out/);
  assert.match(report, /notes\.wav/);
  assert.match(report, 'label frequency');
  const svg = readFileSync(join(out, 'curves.svg'), 'utf8');
  assert.match(svg, /^<svg /);
  assert.is(svg.match(/<polyline/g)?.length, 3);
  assert.not.match(svg, /NaN|Infinity|undefined/);
  const { training } = JSON.parse(readFileSync(join(out, 'report.json'), 'utf8'));
  assert.ok(training.labelFrequencyLoss > 0 && training.labelFrequencyLoss <= Math.log(8) + 1e-6);
  assert.ok(training.majorityAccuracy >= 1 / 8 && training.majorityAccuracy <= 1);
  assert.ok(training.cqtMeanLoss < training.cqtZeroLoss);
});

pretraining('music in train/ and valid/: the second is held out and scored', async () => {
  const both = join(folder, 'both');
  for (let i = 0; i < 2; i++) writeTone(join(both, 'train', `${i}.wav`), 1, i);
  writeTone(join(both, 'valid', 'held.wav'), 1, 9);
  const { report } = await run('held-out', { data: both, steps: 1, config: tinyConfig() });
  assert.match(report!, 'Held out: 1 files that training never saw');
  const { files, heldOut } = JSON.parse(readFileSync(join(folder, 'held-out', 'report.json'), 'utf8'));
  assert.is(files, 2);
  assert.ok(Number.isFinite(heldOut.losses.loss) && Number.isFinite(heldOut.baselines.cqtMeanLoss));
});

pretraining('left-out files are named by their place in the folder, those of the held-out music, too', async () => {
  const both = join(folder, 'named');
  writeTone(join(both, 'train', '0.wav'), 1, 0);
  writeTone(join(both, 'valid', 'held.wav'), 1, 9);
  writeFile(join(both, 'train', 'deep', 'words.wav'), 'text');
  writeFile(join(both, 'valid', 'spoilt.wav'), 'text');
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const { report } = await run('named-run', { data: both, steps: 1, config: tinyConfig('mixture.probability=0'), log });
  const all = lines.join('\n');
  assert.match(all, /^ {2}left out train\/deep\/words\.wav: the file is no WAV/m);
  assert.match(all, /^ {2}left out spoilt\.wav, held out: the file is no WAV/m);
  assert.match(report!, /2 files were left out:/);
  assert.match(report!, /^- train\/deep\/words\.wav: the file is no WAV/m);
  assert.match(report!, /^- valid\/spoilt\.wav, held out: the file is no WAV/m);
});

pretraining('losses that are not finite are null in the report, and no error', async () => {
  const both = join(folder, 'both');
  const result = await run('not-finite', { data: both, config: tinyConfig('optimizer.learningRate=1e20') });
  assert.is(result.finished, true);
  const { heldOut } = JSON.parse(readFileSync(join(folder, 'not-finite', 'report.json'), 'utf8'));
  assert.is(heldOut.losses.loss, null);
  assert.match(result.report!, /\| loss \| .*NaN.*\|/);
  assert.match(result.report!, /NaN and Infinity stand where losses were not finite.*report\.json has null there/);
  assert.not.match(result.report!, /NaN %\)/);
});

pretraining('sums that a clip of absurd samples spoilt begin anew', async () => {
  const trainer = createTrainer(config);
  const before = trainer.statistics;
  assert.is(await mendStatistics(trainer, config), false);
  assert.is(trainer.statistics, before);
  const spoilt = tensor(new Float32Array(before.cqtSums.size).fill(Number.NaN), { shape: [...before.cqtSums.shape] });
  const { labelCounts, frames } = before;
  before.cqtSums.dispose();
  trainer.statistics = { labelCounts, frames, cqtSums: spoilt };
  assert.is(await mendStatistics(trainer, config), true);
  assert.ok((await trainer.statistics.cqtSums.data()).every((sum) => sum === 0));
  disposeTrainer(trainer);
});

pretraining('a run that goes on is not finished, and lost lines of its log are told', async () => {
  await cp(join(folder, 'unbroken'), join(folder, 'goes-on'), { recursive: true });
  const out = join(folder, 'goes-on');
  const watched = async () => watchText(await readRun(out))[0];
  assert.match(await watched(), /step 6 of 6, finished/);
  await run('goes-on', { resume: true, steps: 8, stopped: stopAfter('goes-on', 7) });
  assert.equal(
    ['report.md', 'report.json', 'curves.svg'].filter((name) => existsSync(join(out, name))),
    [],
  );
  assert.match(await watched(), /step 7 of 8, stopped or failed; --resume goes on/);
  rmSync(join(out, 'metrics.jsonl'));
  const lines: string[] = [];
  const { report } = await run('goes-on', { resume: true, steps: 8, log: (line) => lines.push(line) });
  assert.match(
    lines.join('\n'),
    /metrics\.jsonl: has no steps, the checkpoint is of step 7; the report and its curves/,
  );
  assert.match(report!, /metrics\.jsonl lacks 7 of the 8 steps/);
  assert.match(await watched(), /step 8 of 8, finished/);
});

const refusals = suite('pretrain refuses');

/** Every file under a run, to see that a refusal leaves it alone. */
const contents = (name: string) =>
  readdirSync(join(folder, name), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [path, readFileSync(path).toString('hex')];
    })
    .sort();

async function refused(name: string, options: Partial<PretrainOptions>): Promise<string> {
  const before = contents(name);
  const message = await messageOf(() => run(name, options));
  assert.equal(contents(name), before);
  return message;
}

refusals('a folder that holds a run, without resume', async () => {
  assert.match(await refused('unbroken', {}), /already holds a run; go on with --resume, or choose another --out/);
});

refusals('to resume where there is nothing', async () => {
  const message = await messageOf(() => run('nothing-here', { resume: true }));
  assert.match(message, /nothing-here: there is no run to resume/);
  assert.is(existsSync(join(folder, 'nothing-here')), false);
});

refusals('to resume with another configuration, and names what differs', async () => {
  const other: PretrainConfig = structuredClone(config);
  other.model.finalDim = 4;
  other.optimizer.learningRate = 1;
  const message = await refused('unbroken', { resume: true, config: other });
  assert.match(message, 'model.finalDim: 8 in the run, 4 now');
  assert.match(message, 'optimizer.learningRate: 0.002 in the run, 1 now');
});

refusals('to resume with other files, and names them', async () => {
  const other = join(folder, 'other-music');
  await cp(data, other, { recursive: true });
  renameSync(join(other, 'tone-1.wav'), join(other, 'tone-9.wav'));
  const message = await refused('unbroken', { resume: true, data: other });
  assert.match(message, /tone-1\.wav/);
  assert.match(message, /tone-9\.wav/);
});

refusals('to resume with files in another order, or another file in the place of one', async () => {
  const list = join(folder, 'list.tsv');
  const lines = [0, 1].map((i) => `tone-${i}.wav\t${24000 * (1 + 0.3 * i)}`);
  const write = (some: string[]) => writeFileSync(list, `${data}\n${some.join('\n')}\n`);
  write(lines);
  await run('listed', { data: list, steps: 1 });
  write([...lines].reverse());
  const message = await refused('listed', { data: list, steps: 2, resume: true });
  assert.match(message, /they are in another order: file 1 was .*tone-0\.wav and is .*tone-1\.wav/);
  const other = join(folder, 'replaced');
  await cp(data, other, { recursive: true });
  writeTone(join(other, 'tone-1.wav'), 2, 1);
  assert.match(
    await refused('unbroken', { resume: true, data: other }),
    /tone-1\.wav is another file than the run was started on: it had 31200 samples at 24000 Hz and has 48000 at 24000 Hz/,
  );
  // Before the first checkpoint, too.
  const trained = join(folder, 'begun', 'teacher', 'rvq.safetensors');
  await run('begun', { stopped: () => existsSync(trained) });
  assert.match(await refused('begun', { resume: true, data: other }), /tone-1\.wav is another file/);
});

refusals('held-out music that cannot be used, before a teacher is trained, and leaves no empty folder', async () => {
  const both = join(folder, 'no-valid');
  writeTone(join(both, 'train', '0.wav'), 1, 0);
  mkdirSync(join(both, 'valid'));
  assert.match(
    await messageOf(() => run('no-valid-run', { data: both })),
    /the held-out music cannot be used: .*valid: no audio files .*\nrepair it, or give --data what holds the training music/,
  );
  assert.is(existsSync(join(folder, 'no-valid-run')), false);
});

refusals('a folder without usable music', async () => {
  const empty = join(folder, 'text-only');
  writeFile(join(empty, 'a.wav'), 'text');
  assert.match(await messageOf(() => run('unused', { data: empty })), /none of its 1 audio files can be used/);
});

refusals.after(() => device.close());

pretraining.run();
refusals.run();
