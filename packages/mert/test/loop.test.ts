/** A run's steps: compiled, accumulated, averaged, taken back when they diverge, and gone on with from what is whole. */
import { chmodSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readSafetensors } from '@dawnchorus/formats';
import { type Device, DeviceLostError } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadConfig } from '../src/config/index.ts';
import { keptBy, latestCheckpoint, writeCheckpoint } from '../src/training/checkpoints.ts';
import { watchDivergence } from '../src/training/divergence.ts';
import { type LoopOptions, runSteps } from '../src/training/loop.ts';
import { type PretrainOptions, pretrain } from '../src/training/pretrain.ts';
import { messageOf, openTestDevice, temporaryFolder, tinyConfig, writeTone } from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();
const data = join(folder, 'music');
for (let i = 0; i < 3; i++) writeTone(join(data, 'train', `tone-${i}.wav`), 1 + 0.3 * i, i);
writeTone(join(data, 'valid', 'held.wav'), 1, 9);
const quick = ['rvq.steps=1', 'validation.batches=1'];
const outOf = (name: string) => join(folder, name);

type Line = Record<string, unknown> & { step: number; loss: number; learningRate: number };
const linesOf = (name: string, file = 'metrics.jsonl'): Line[] =>
  readFileSync(join(outOf(name), file), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
const measured = (name: string) => linesOf(name).map(({ seconds, clipsPerSecond, ...rest }) => rest);
const bytes = (name: string, file = 'checkpoint/model.safetensors') =>
  readFileSync(join(outOf(name), file)).toString('hex');

const lines: string[] = [];
function run(name: string, set: string[] = [], options: Partial<PretrainOptions> = {}) {
  const config = tinyConfig(...quick, ...set);
  return pretrain({ device, config, data, out: outOf(name), log: (line) => lines.push(line), ...options });
}

const loop = suite('loop');

loop('compiled steps measure what eager ones do, a step late, and a resumed run has the same bits', async () => {
  const own = ['training.steps=4', 'model.numHiddenLayers=1', 'monitor.every=0'];
  const set = [...own, 'training.compile=always', 'checkpoint.every=2'];
  await run('eager', own);
  await run('compiled', set);
  const [eager, compiled] = [linesOf('eager'), linesOf('compiled')];
  assert.equal(
    compiled.map(({ step }) => step),
    [1, 2, 3, 4],
  );
  for (const [i, { loss }] of compiled.entries()) assert.ok(Math.abs(loss / eager[i].loss - 1) < 1e-3, `step ${i + 1}`);
  let asked = 0;
  await run('half', set, {
    stopped: () => existsSync(join(outOf('half'), 'teacher', 'rvq.safetensors')) && asked++ >= 3,
  });
  assert.ok(linesOf('half').length < 4);
  await run('half', set, { resume: true });
  assert.equal(measured('half'), measured('compiled'));
  assert.is(bytes('half'), bytes('compiled'));
});

loop('several batches make one step, by the mean of their gradients, and averaged weights follow', async () => {
  const set = [
    'training.accumulate=2',
    'training.steps=3',
    'training.ema=0.75',
    'training.checkpointActivations=true',
    'checkpoint.every=1',
    'optimizer.warmupSteps=0',
    'loss.melWeight=0.5',
    'masking.replace=0.2',
    'masking.keep=0.1',
    'mixture.snr=[-5, 5]',
    'monitor.attentionClips=2',
  ];
  await run('parts', set);
  assert.is(linesOf('parts').length, 3);
  await run('parts-resumed', set, { steps: 2 });
  await run('parts-resumed', set, { resume: true, steps: 3 });
  assert.equal(measured('parts-resumed'), measured('parts'));
  assert.is(bytes('parts-resumed'), bytes('parts'));
  assert.is(
    bytes('parts-resumed', 'checkpoint/ema/model.safetensors'),
    bytes('parts', 'checkpoint/ema/model.safetensors'),
  );
  // From one checkpoint to the next.
  await run('two', set, { steps: 2 });
  const name = 'encoder.layers.1.feed_forward.output_dense.weight';
  const read = async (run: string, file: string) =>
    (await readSafetensors(join(outOf(run), 'checkpoint', file))).get(name)!.data as Float32Array;
  const [before, now, average] = [
    await read('two', 'ema/model.safetensors'),
    await read('parts', 'model.safetensors'),
    await read('parts', 'ema/model.safetensors'),
  ];
  for (let i = 0; i < 50; i++) assert.ok(Math.abs(average[i] - (before[i] + 0.25 * (now[i] - before[i]))) < 1e-6);
});

loop('several batches of a compiled step are those of an eager one', async () => {
  const set = ['training.accumulate=2', 'training.steps=2', 'model.numHiddenLayers=1', 'monitor.every=0'];
  await run('parts-eager', set);
  await run('parts-compiled', [...set, 'training.compile=always']);
  const [eager, compiled] = [linesOf('parts-eager'), linesOf('parts-compiled')];
  for (const [i, { loss }] of compiled.entries()) assert.ok(Math.abs(loss / eager[i].loss - 1) < 1e-3, `step ${i + 1}`);
  assert.is(compiled.length, 2);
});

loop('each line tells what guesses score and what each layer does', () => {
  const [first] = linesOf('parts');
  for (const name of ['guessRvq', 'guessCqtZero', 'guessCqtMean', 'guessCqtClip'])
    assert.ok(Number(first[name]) > 0, name);
  assert.ok(Number(first.guessCqtZero) > Number(first.guessCqtMean) && Number(first.guessRvq) <= Math.log(8) + 1e-5);
  for (const name of ['attentionLogits', 'activations', 'layerGradNorms'])
    assert.is((first[name] as number[]).length, 2, name);
  const { cqtWeight, featurePenaltyWeight } = tinyConfig().loss;
  const sum =
    2 * Number(first.lossRvq) +
    cqtWeight * Number(first.lossCqt) +
    0.5 * Number(first.lossMel) +
    featurePenaltyWeight * Number(first.featurePenalty);
  assert.ok(Math.abs(sum / first.loss - 1) < 1e-5, `${sum} ${first.loss}`);
  const parts = Object.values(first.partGradNorms as Record<string, number>);
  const norm = Math.hypot(...parts, ...(first.layerGradNorms as number[]));
  assert.ok(Math.abs(norm / Number(first.gradNorm) - 1) < 1e-3, `${norm} ${first.gradNorm}`);
});

loop('older checkpoints stay by rule, the best by held-out loss', async () => {
  const set = [
    'training.steps=6',
    'checkpoint.every=1',
    'checkpoint.keepLast=2',
    'checkpoint.keepEvery=3',
    'checkpoint.keepBest=true',
    'validation.every=2',
  ];
  await run('kept', set);
  const losses = linesOf('kept', 'validation.jsonl');
  assert.equal(
    losses.map(({ step }) => step),
    [2, 4, 6],
  );
  assert.equal(readdirSync(join(outOf('kept'), 'pictures')).sort(), [
    ...['predicted-000002.png', 'predicted-000004.png', 'predicted-000006.png'],
    'target-000002.png',
  ]);
  const best = losses.reduce((a, b) => (b.loss < a.loss ? b : a)).step;
  const expected = [...new Set([3, 5, best])].filter((step) => step !== 6).map((step) => `step-${step}`);
  assert.equal(readdirSync(join(outOf('kept'), 'checkpoints')).sort(), expected.sort());
  assert.equal(
    [
      ...keptBy({ keepLast: 1, keepEvery: 0, keepBest: true }, [
        { step: 1, heldOutLoss: 2 },
        { step: 2, heldOutLoss: 3 },
        { step: 3 },
      ]),
    ].sort(),
    [1, 3],
  );
});

loop('a checkpoint whose removal was interrupted is none that is damaged', async () => {
  const out = outOf('removing');
  const rule = { keepLast: 1, keepEvery: 0, keepBest: false };
  const write = (step: number) =>
    writeCheckpoint(out, step, rule, async (place) =>
      writeFileSync(join(place, 'trainer.json'), JSON.stringify({ step })),
    );
  await write(1);
  for (const name of ['checkpoint.removing', 'checkpoints/step-0.removing']) {
    mkdirSync(join(out, name), { recursive: true });
    writeFileSync(join(out, name, 'half'), '');
  }
  assert.equal((await latestCheckpoint(out)).damaged, []);
  await write(2);
  assert.equal(readdirSync(out).sort(), ['checkpoint', 'checkpoints']);
  assert.equal(readdirSync(join(out, 'checkpoints')), []);
});

loop('a damaged checkpoint is passed over, and told; the run goes on from the one before', async () => {
  const set = [
    'training.steps=6',
    'checkpoint.every=1',
    'checkpoint.keepLast=2',
    'checkpoint.keepEvery=3',
    'checkpoint.keepBest=true',
    'validation.every=2',
  ];
  cpSync(outOf('kept'), outOf('damaged'), { recursive: true });
  const path = join(outOf('damaged'), 'checkpoint', 'training.safetensors');
  const content = readFileSync(path);
  content[content.length - 5] ^= 1;
  writeFileSync(path, content);
  const { folder: found, step, damaged } = await latestCheckpoint(outOf('damaged'));
  assert.is(found, join(outOf('damaged'), 'checkpoints', 'step-5'));
  assert.is(step, 5);
  // Of a step that is done again.
  const picture = join(outOf('damaged'), 'pictures', 'predicted-000006.png');
  const drawn = readFileSync(picture);
  writeFileSync(picture, 'of another future');
  assert.match(damaged[0], /checkpoint: training\.safetensors is damaged: its SHA-256/);
  await run('damaged', set, { resume: true });
  assert.ok(lines.some((line) => /passed over .*training\.safetensors is damaged/.test(line)));
  assert.equal(measured('damaged'), measured('kept'));
  assert.is(bytes('damaged'), bytes('kept'));
  assert.equal(readFileSync(picture), drawn);
  // A file that vanished, and nothing whole at all.
  rmSync(join(outOf('damaged'), 'checkpoint', 'config.json'));
  assert.match((await latestCheckpoint(outOf('damaged'))).damaged[0], /config\.json is missing/);
  rmSync(join(outOf('damaged'), 'checkpoints'), { recursive: true });
  const message = await messageOf(() => run('damaged', set, { resume: true }));
  assert.match(
    message,
    /no checkpoint of this run is whole:\n.*config\.json is missing\nrestore one from a copy, or start anew/,
  );
});

loop('a folder that cannot be written is an error that says so', async () => {
  if (process.getuid?.() === 0) {
    // Root writes anywhere; a file in the folder's place stands for it.
    writeFileSync(outOf('a-file'), '');
    assert.match(
      await messageOf(() => run('a-file/run')),
      /a-file\/run: cannot be made: .*a-file is a file; choose another folder/,
    );
    return;
  }
  mkdirSync(outOf('read-only'));
  chmodSync(outOf('read-only'), 0o555);
  assert.match(
    await messageOf(() => run('read-only/run')),
    /run: cannot be made: .*read-only may not be written to \(EACCES\); choose another folder/,
  );
  chmodSync(outOf('read-only'), 0o755);
});

loop('a run that diverges goes back with a lower rate, and no step stands twice in its log', async () => {
  const out = outOf('diverging');
  mkdirSync(out);
  // A student that is one number, which blows up once its steps are over 8.
  let weight = 0;
  const returns: number[] = [];
  const options = (more: string[] = []): LoopOptions => ({
    device: { flush() {} } as Device,
    config: tinyConfig(
      'checkpoint.every=2',
      'divergence.afterSteps=1',
      'divergence.patience=3',
      'divergence.rateFactor=0.25',
      ...more,
    ),
    out,
    runner: {
      compiled: true,
      async run(_, __, rate) {
        weight += rate > 8 ? 1000 : 1;
        const loss = 5 + Math.max(0, weight - 100);
        return {
          loss,
          lossRvq: loss,
          lossCqt: 0,
          featurePenalty: 0,
          accuracy: 0,
          gradNorm: 1,
          lossCodes: [],
          accuracies: [],
        };
      },
      dispose() {},
    },
    schedule: (step) => step,
    done: 0,
    stopAt: 30,
    read: async () => [],
    save: (step, _, suspicious) =>
      writeCheckpoint(out, step, { keepLast: 1, keepEvery: 0, keepBest: false }, async (place) =>
        writeFileSync(join(place, 'trainer.json'), JSON.stringify({ step, weight, suspicious })),
      ),
    async load(place) {
      ({ weight } = JSON.parse(readFileSync(join(place, 'trainer.json'), 'utf8')));
      returns.push(weight);
    },
    async restart() {
      weight = 0;
      returns.push(0);
    },
    log() {},
  });
  assert.equal(await runSteps(options()), { done: 30, saved: 30 });
  assert.equal(returns, [8], 'the checkpoint of before the first bad step');
  const rollbacks = JSON.parse(readFileSync(join(out, 'rollbacks.json'), 'utf8'));
  assert.equal(rollbacks, [{ fromStep: 11, toStep: 8, reason: rollbacks[0].reason, rateFactor: 0.25 }]);
  assert.match(rollbacks[0].reason, /the loss is .*, more than 2 times its running mean 5\.000, for 3 steps on end/);
  const all = linesOf('diverging');
  assert.equal(
    all.map(({ step }) => step),
    Array.from({ length: 30 }, (_, i) => i + 1),
  );
  assert.equal(
    all.map(({ learningRate }) => learningRate),
    all.map(({ step }) => (step > 8 ? step / 4 : step)),
  );
  const unbroken = all.map(({ step, learningRate, loss }) => [step, learningRate, loss]);
  // Where going back does not help, or is not wanted, or nothing is there to go back to.
  const fresh = async (...more: string[]) => {
    rmSync(out, { recursive: true });
    mkdirSync(out);
    weight = 0;
    return messageOf(() => runSteps(options(more)));
  };
  assert.match(
    await fresh('divergence.rateFactor=0.99'),
    /diverged at step 11.*after 3 returns to earlier steps; lower/,
  );
  assert.match(
    await fresh('divergence.rollback=false'),
    /diverged at step 11: .*; lower optimizer\.learningRate, or set divergence\.rollback/,
  );
  rmSync(out, { recursive: true });
  mkdirSync(out);
  weight = 0;
  const { runner, ...rest } = options();
  const losing: LoopOptions['runner'] = {
    ...runner,
    async run(batches, step, rate) {
      if (step === 4) throw new DeviceLostError('unknown', 'the driver crashed');
      return runner.run(batches, step, rate);
    },
  };
  assert.match(
    await messageOf(() => runSteps({ ...rest, runner: losing })),
    /the GPU device was lost \(unknown\): the driver crashed.*\nStep 3 was the last that is known; the last checkpoint is of step 2: go on with --resume/,
  );
  // Stopped in the bad stretch: what is saved goes on, but is no place to go back to.
  rmSync(out, { recursive: true });
  mkdirSync(out);
  weight = 0;
  returns.length = 0;
  const path = join(out, 'metrics.jsonl');
  const stopped = () => existsSync(path) && readFileSync(path, 'utf8').split('\n').length > 10;
  assert.equal(await runSteps({ ...options(), stopped }), { done: 10, saved: 10 });
  assert.is((await latestCheckpoint(out)).step, 10);
  assert.is((await latestCheckpoint(out, { good: true })).step, 8);
  assert.equal(await runSteps({ ...options(), done: 10 }), { done: 30, saved: 30 });
  assert.equal(returns, [8]);
  assert.equal(
    linesOf('diverging').map(({ step, learningRate, loss }) => [step, learningRate, loss]),
    unbroken,
  );
  assert.equal(readdirSync(join(out, 'checkpoints')), []);
  // From the very start, while there is no checkpoint.
  rmSync(out, { recursive: true });
  mkdirSync(out);
  weight = 0;
  returns.length = 0;
  assert.equal(await runSteps(options(['checkpoint.every=0'])), { done: 30, saved: 30 });
  assert.equal(returns, [0]);
  assert.equal(
    linesOf('diverging').map(({ step, learningRate }) => [step, learningRate]),
    Array.from({ length: 30 }, (_, i) => [i + 1, (i + 1) / 4]),
  );
});

loop(
  'a run that diverges before its first checkpoint begins again with the same weights, at a lower rate',
  async () => {
    const set = ['training.steps=6', 'model.numHiddenLayers=1', 'monitor.every=0', 'optimizer.warmupSteps=0'];
    await run('steady', set);
    // Whatever is above the mean of the norms counts as diverged.
    const nervous = ['afterSteps=1', 'patience=1', 'gradNormFactor=1.0001', 'rateFactor=0.5', 'maxRollbacks=1'];
    await messageOf(() => run('restarted', [...set, ...nervous.map((setting) => `divergence.${setting}`)]));
    const [{ fromStep, toStep }] = JSON.parse(readFileSync(join(outOf('restarted'), 'rollbacks.json'), 'utf8'));
    assert.ok(fromStep > 1 && toStep === 0, `${fromStep} ${toStep}`);
    const [before, [first, ...others]] = [measured('steady'), measured('restarted')];
    assert.equal({ ...first, learningRate: 0 }, { ...before[0], learningRate: 0 });
    assert.is(first.learningRate, before[0].learningRate / 2);
    for (const [i, { loss }] of others.entries()) assert.ok(loss !== before[i + 1].loss);
  },
);

const watching = suite('divergence');
const settings = { ...loadConfig().divergence, afterSteps: 3, patience: 2 };

watching('counts bad steps on end, by running means that those do not move', () => {
  const watch = watchDivergence(settings);
  const see = (loss: number, gradNorm = 1, lossScale?: number) => watch.see({ loss, gradNorm, lossScale }) ?? '';
  for (let i = 0; i < 10; i++) assert.is(see(5), '');
  assert.is(see(11), '');
  assert.ok(watch.suspicious());
  assert.is(see(5), '');
  assert.is(watch.suspicious(), false);
  assert.is(see(Number.NaN), '');
  assert.match(see(Number.NaN), /the loss became NaN, for 2 steps on end/);
  assert.is(see(5, Number.POSITIVE_INFINITY), '', 'a skipped step is none');
  assert.is(see(5, 2000), '');
  assert.match(see(5, 2000), /the gradient norm is 2000, more than 1000 times/);
  assert.match(see(5, 1, 1e-5), /the loss scale fell to 0\.00001/);
});

watching.after(() => device.close());
loop.run();
watching.run();
