/** Training codecs: what each switch does, runs that resume to the bit, held-out figures, and what they mean. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeWav, readAudio } from '@dawnchorus/dsp';
import { scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { codecCommand } from '../src/cli/codec.ts';
import { adversarialLoss } from '../src/codec/discriminator.ts';
import { evaluateCodec } from '../src/codec/evaluate.ts';
import { loadCodec } from '../src/codec/load.ts';
import { codeUse, melDistance, siSdr } from '../src/codec/measures.ts';
import { trainCodec } from '../src/codec/train.ts';
import { codecPresets, loadCodecTrainConfig } from '../src/codec/train-config.ts';
import { createCodecTrainer, disposeTrainingState, startCodebooks, trainCodecStep } from '../src/codec/trainer.ts';
import { startAsTransform } from '../src/codec/transform-start.ts';
import { stackClips } from '../src/data/batch.ts';
import { hashNoise } from './codec-support.ts';
import { messageOf, openTestDevice, temporaryFolder, tone, writeFile } from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();
const floats = async (x: Tensor) => (await x.data()) as Float32Array;

const tinySettings = [
  'model.numFilters=4',
  'model.hiddenSize=8',
  'model.upsamplingRatios=[8, 5, 4]',
  'quantizer.numCodebooks=3',
  'quantizer.codebookSize=8',
  'quantizer.startSteps=1',
  'quantizer.kmeansIterations=4',
  'quantizer.decay=0.9',
  'quantizer.deadCodeThreshold=0.5',
  'loss.melScales=[6, 9]',
  'loss.melBins=16',
  'discriminator.filters=2',
  'discriminator.nFfts=[256, 128]',
  'discriminator.startStep=2',
  'discriminator.updateProbability=0.7',
  'optimizer.learningRate=0.003',
  'training.batchSize=2',
  'training.cropSeconds=0.2',
  'training.steps=6',
  'training.checkpointEvery=0',
];
const configOf = (...more: string[]) => loadCodecTrainConfig({ set: [...tinySettings, ...more] });

/** Notes of 1/15 s, or so many samples: a single steady tone would need no more than a code or two. */
function melody(samples: number, seed: number, note = 1600): Float32Array {
  return Float32Array.from({ length: samples }, (_, n) => {
    const i = Math.floor(n / note);
    const pitch = 110 * 2 ** (((seed * 5 + i * 11) % 24) / 12);
    return ((1 + ((seed + i) % 4)) / 8) * Math.sin((2 * Math.PI * pitch * n) / 24000);
  });
}

const music = join(folder, 'music');
for (let i = 0; i < 3; i++) {
  writeFile(join(music, 'train', `${i}.wav`), encodeWav(melody(9000 + 1000 * i, i), 24000));
}
writeFile(join(music, 'valid', 'held.wav'), encodeWav(melody(9999, 7), 24000));
writeFile(join(music, 'valid', 'silent.wav'), encodeWav(new Float32Array(5000), 24000));
writeFile(join(music, 'valid', 'broken.wav'), 'words');

const configuring = suite('configurations');

configuring('presets load; mistakes say where', () => {
  assert.equal(codecPresets(), ['encodec-24khz', 'small']);
  for (const preset of codecPresets()) loadCodecTrainConfig({ preset });
  const full = loadCodecTrainConfig({ preset: 'encodec-24khz' });
  assert.equal(
    [full.model.numFilters, full.quantizer.numCodebooks, full.loss.mel, full.loss.adversarial],
    [32, 32, 2, 4],
  );
  const wrong = (...set: string[]) => messageOf(() => loadCodecTrainConfig({ set }));
  return Promise.all([
    wrong('loss.melody=1').then((text) => assert.match(text, /unknown key "melody"/)),
    wrong('loss.l1=0', 'loss.mel=0', 'loss.adversarial=0', 'loss.feature=0').then((text) =>
      assert.match(text, /all losses of the waveform are off/),
    ),
    wrong('training.cropSeconds=0.05').then((text) => assert.match(text, /longest frame of the losses, 2048/)),
    wrong('quantizer.startSteps=10', 'training.steps=10').then((text) => assert.match(text, /leaves no steps/)),
  ]).then(() => {});
});

const stepping = suite('a training step');

/** Two short clips. */
const clips = () => stackClips([melody(2400, 1, 800), melody(2400, 2, 800)]);

/** Some steps on them; what was measured in each. */
async function steps(count: number, ...set: string[]) {
  const config = configOf('training.steps=100', ...set);
  // Compiling takes longer than these few steps; the runs below are compiled.
  const trainer = createCodecTrainer(config, { compiled: false });
  const measured = [];
  for (let step = 1; step <= count; step++) {
    if (!trainer.started && step > config.quantizer.startSteps) {
      await startCodebooks(
        trainer,
        (async function* () {
          for (;;) yield clips();
        })(),
        step,
      );
    }
    const waveform = clips();
    measured.push(await trainCodecStep(trainer, waveform, step));
    waveform.dispose();
  }
  return {
    trainer,
    measured,
    dispose: () => {
      disposeTrainingState(trainer);
      trainer.codec.dispose();
    },
  };
}

stepping('every loss can be switched off', async () => {
  const all = await steps(4);
  assert.equal(Object.keys(all.measured[0].losses), ['l1', 'mel']);
  assert.equal(Object.keys(all.measured[3].losses), ['l1', 'mel', 'adversarial', 'feature']);
  assert.is(all.measured[0].codebooks, 0);
  assert.ok(all.measured[3].codebooks >= 1 && all.measured[3].codebooks <= 3);
  assert.ok(all.measured[3].commitment > 0);
  assert.ok(all.measured.some(({ discriminator }) => discriminator !== undefined && discriminator > 0));
  all.dispose();
  for (const off of ['l1', 'mel', 'adversarial', 'feature', 'commitment']) {
    const { measured, dispose } = await steps(3, `loss.${off}=0`);
    assert.is(Object.hasOwn(measured[2].losses, off), false);
    assert.ok(Object.values(measured[2].losses).every(Number.isFinite), off);
    dispose();
  }
  const plain = await steps(
    3,
    'loss.adversarial=0',
    'loss.feature=0',
    'loss.balancer=false',
    'quantizer.dropout=false',
  );
  assert.is(plain.trainer.discriminator, undefined);
  assert.is(plain.measured[2].codebooks, 3);
  assert.is(plain.measured[2].entropies.length, 3);
  plain.dispose();
});

stepping('it learns: the losses fall, codebooks are in use, and nothing is left behind in memory', async () => {
  const settings = ['loss.adversarial=0', 'loss.feature=0', 'loss.l1=1', 'loss.mel=1', 'quantizer.dropout=false'];
  const { measured, trainer, dispose } = await steps(
    60,
    ...settings,
    'quantizer.startSteps=20',
    'optimizer.betas=[0.8, 0.99]',
  );
  const [first, last] = [measured[0], measured[59]];
  assert.ok(last.losses.mel! < 0.7 * first.losses.mel!, `${first.losses.mel} -> ${last.losses.mel}`);
  assert.ok(last.entropies[0] > 1, `${last.entropies}`);
  const before = device.statistics().liveBytes;
  const wave = clips();
  for (let step = 61; step <= 63; step++) await trainCodecStep(trainer, wave, step);
  wave.dispose();
  assert.ok(device.statistics().liveBytes <= before);
  dispose();
});

stepping('the discriminator learns to tell, and does so by probability', async () => {
  const always = await steps(8, 'discriminator.updateProbability=1', 'discriminator.startStep=0');
  const judged = always.measured.map(({ discriminator }) => discriminator!);
  assert.ok(judged[7] < judged[0], `${judged}`);
  always.dispose();
  const never = await steps(3, 'discriminator.updateProbability=0', 'discriminator.startStep=0');
  assert.ok(never.measured.every(({ discriminator }) => discriminator === undefined));
  never.dispose();
});

stepping('the discriminator learns from a step’s output first, and then judges it', async () => {
  const set = ['discriminator.updateProbability=1', 'discriminator.startStep=0', 'quantizer.startSteps=99'];
  set.push('optimizer.learningRate=0.05');
  const trainer = createCodecTrainer(configOf('training.steps=100', ...set), { compiled: false });
  using waveform = clips();
  using output = scope(() => trainer.codec.synthesize(trainer.codec.latents(waveform)));
  const judge = async () => {
    using loss = scope(() => adversarialLoss(trainer.discriminator!.forward(output)));
    return (await loss.item()) as number;
  };
  const before = await judge();
  const { losses } = await trainCodecStep(trainer, waveform, 1);
  const after = await judge();
  assert.ok(Math.abs(after - before) > 1e-3, `${before} -> ${after}`);
  assert.ok(Math.abs(losses.adversarial! - after) < 1e-5, `${losses.adversarial} is not ${after}`);
  disposeTrainingState(trainer);
  trainer.codec.dispose();
});

stepping('as a transform the codec starts with the waveform’s low frequencies, at random with none', async () => {
  const config = configOf('model.numFilters=8', 'model.hiddenSize=16');
  const target = melody(4800, 3);
  using waveform = tensor(target, { shape: [1, 4800] });
  for (const transform of [false, true]) {
    for (const useConvShortcut of [false, true]) {
      const codec = createCodecTrainer({ ...config, model: { ...config.model, useConvShortcut } }).codec;
      if (transform) await startAsTransform(codec);
      using output = scope(() => codec.synthesize(codec.latents(waveform)));
      const quality = siSdr(await floats(output), target);
      assert.ok(transform ? quality > 0.5 : quality < -8, `${transform}: ${quality} dB`);
      codec.dispose();
    }
  }
  assert.match(
    await messageOf(() => loadCodecTrainConfig({ set: [...tinySettings, 'training.start=transform'] })),
    /a codec of 4 filters and strides 4, 5, 8 has fewer channels than samples before its last stride/,
  );
});

stepping('a loss that is not finite ends the run with a remedy', async () => {
  const message = await messageOf(() =>
    trainCodec({
      config: configOf('optimizer.learningRate=1e30'),
      data: music,
      out: join(folder, 'nan'),
      log: () => {},
    }),
  );
  assert.match(message, /loss became (NaN|Infinity|-Infinity) at step \d+; lower optimizer\.learningRate/);
});

const running = suite('runs');

/** Metrics without what depends on the clock. */
const metricsOf = (out: string) =>
  readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => ({ ...JSON.parse(line), seconds: 0, clipsPerSecond: 0 }));

running('stopped and resumed they are the unbroken run to the bit; the report has every figure', async () => {
  const config = configOf();
  const [whole, parts] = ['whole', 'parts'].map((name) => join(folder, name));
  const log = () => {};
  const result = await trainCodec({ config, data: music, out: whole, log });
  assert.is(result.finished, true);
  let asked = 0;
  const stopped = await trainCodec({ config, data: music, out: parts, log, stopped: () => ++asked > 3 });
  assert.equal([stopped.step, stopped.finished], [3, false]);
  const resumed = await trainCodec({ config, data: music, out: parts, resume: true, log });
  assert.equal([resumed.step, resumed.finished], [6, true]);
  assert.equal(metricsOf(parts), metricsOf(whole));
  assert.equal(
    readFileSync(join(parts, 'checkpoint', 'model.safetensors')),
    readFileSync(join(whole, 'checkpoint', 'model.safetensors')),
  );
  assert.equal(readFileSync(join(parts, 'report.json'), 'utf8'), readFileSync(join(whole, 'report.json'), 'utf8'));

  const report = JSON.parse(readFileSync(join(whole, 'report.json'), 'utf8'));
  assert.equal([report.tracks, report.silent, report.skipped.length], [2, 1, 1]);
  assert.equal(
    report.quality.map((line: { codebooks: number }) => line.codebooks),
    [1, 2, 3],
  );
  assert.ok(
    report.quality.every((line: { siSdr: number; melDistance: number }) =>
      Number.isFinite(line.siSdr + line.melDistance),
    ),
  );
  assert.is(report.use.length, 3);
  const clips = readdirSync(join(whole, 'clips')).sort();
  assert.is(clips.length, 8);
  assert.ok(clips.includes('held.3-codebooks.wav') && clips.includes('held.original.wav'));
  const clip = await readAudio(join(whole, 'clips', 'held.3-codebooks.wav'));
  assert.is(clip.samples.length, 9999);

  const codec = await loadCodec(join(whole, 'checkpoint'));
  assert.is(codec.hopLength, 160);
  assert.equal([...codec.encode(tensor(tone(1000, 1), { shape: [1, 1000] })).shape], [1, 3, 7]);
  codec.dispose();

  const again = await messageOf(() => trainCodec({ config, data: music, out: whole, log }));
  assert.match(again, /already holds a run; go on with --resume/);
  const other = await messageOf(() =>
    trainCodec({ config: configOf('loss.l1=3'), data: music, out: parts, resume: true, log }),
  );
  assert.match(other, /another configuration:\n {2}loss\.l1: 0\.1 in the run, 3 now/);
  const none = await messageOf(() => trainCodec({ config, data: music, out: join(folder, 'no'), resume: true, log }));
  assert.match(none, /there is no run to resume here/);

  // A damaged checkpoint is neither loaded nor gone on from.
  const path = join(parts, 'checkpoint', 'model.safetensors');
  const content = readFileSync(path);
  content[content.length - 5] ^= 1;
  writeFile(path, content);
  assert.match(
    await messageOf(() => loadCodec(join(parts, 'checkpoint'))),
    /model\.safetensors is damaged: its SHA-256/,
  );
  const damaged = await messageOf(() => trainCodec({ config, data: music, out: parts, resume: true, log }));
  assert.match(damaged, /no checkpoint of this run is whole:\n.*model\.safetensors is damaged/);
});

running('the command line changes the run’s own configuration, and of it only what may change', async () => {
  const out = join(folder, 'whole');
  const before = JSON.parse(readFileSync(join(out, 'checkpoint', 'trainer.json'), 'utf8'));
  const resume = (...options: string[]) =>
    codecCommand().parseAsync(['train', '--out', out, '--resume', ...options], { from: 'user' });
  const refused = await messageOf(() => resume('--set', 'loss.l1=3', '--seed', '2'));
  assert.match(
    refused,
    /another configuration:\n {2}loss\.l1: 0\.1 in the run, 3 now\n {2}training\.seed: 1337 in the run, 2 now$/,
  );
  await resume('--set', 'training.checkpointEvery=7', '--steps', '7');
  const { step, data, config } = JSON.parse(readFileSync(join(out, 'checkpoint', 'trainer.json'), 'utf8'));
  assert.equal([step, data], [7, music]);
  assert.equal(config, { ...before.config, training: { ...before.config.training, checkpointEvery: 7 } });
});

const measuring = suite('measures');

measuring('SI-SDR', () => {
  const target = tone(4000, 1);
  const noise = hashNoise('noise', 4000);
  assert.ok(
    siSdr(
      target.map((value) => 0.3 * value + 0.1),
      target,
    ) > 60,
  );
  const energy = (values: Float32Array) => values.reduce((sum, value) => sum + value * value, 0);
  const scale = Math.sqrt(energy(target) / energy(noise) / 10);
  const noisy = target.map((value, i) => 2 * (value + scale * noise[i]));
  assert.ok(Math.abs(siSdr(noisy, target) - 10) < 0.3);
  assert.ok(siSdr(noise, target) < -15);
  assert.ok(Number.isNaN(siSdr(target, new Float32Array(4000))));
});

measuring('mel distance', async () => {
  const target = hashNoise('noise', 9000);
  assert.is(await melDistance(target, target), 0);
  // Ten times the power is 10 dB more in every filter that holds more than the floor; the lowest are empty.
  const louder = await melDistance(
    target.map((value) => value * Math.sqrt(10)),
    target,
  );
  assert.ok(Math.abs(louder - 10) < 0.5, `${louder}`);
  assert.ok(Number.isFinite(await melDistance(Float32Array.of(1), Float32Array.of(0))));
});

measuring('use of codebooks', () => {
  assert.equal(codeUse([5, 5, 5, 5]), { entropy: 2, share: 1, perplexity: 4, used: 4 });
  assert.equal(codeUse([8, 0, 0, 0]), { entropy: 0, share: 0, perplexity: 1, used: 1 });
  const half = codeUse([3, 3, 0, 0]);
  assert.equal([half.entropy, half.used], [1, 2]);
});

measuring('nothing to measure', async () => {
  const codec = await loadCodec(join(folder, 'whole', 'checkpoint'));
  writeFile(join(folder, 'words', 'a.wav'), 'words');
  assert.match(
    await messageOf(() => evaluateCodec({ codec, data: join(folder, 'words') })),
    /no track of it can be measured:\n.*a\.wav/,
  );
  assert.is(existsSync(join(folder, 'words', 'report.md')), false);
  assert.ok((await floats(codec.quantizer.codebooks[0].embed)).every(Number.isFinite));
  codec.dispose();
});

configuring.run();
stepping.run();
running.run();
measuring.after(() => device.close());
measuring.run();
