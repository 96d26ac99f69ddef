/**
 * Learning, end to end: labels of real music from a quantiser trained on it, and a small student that can learn four
 * clips by heart. A wrong sign or a missing gradient would leave it near ln K. It would learn wrong labels as well, so
 * those are checked for themselves.
 */

import { fileURLToPath } from 'node:url';
import { createCqt, readAudio } from '@dawnchorus/dsp';
import { tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cropSamples, frameCount, loadConfig } from '../src/config/index.ts';
import { prepareBatch } from '../src/data/batch.ts';
import { normaliseWaveform } from '../src/model/normalise.ts';
import { perplexity, trainTeacher } from '../src/rvq/teacher.ts';
import {
  cqtSettings,
  createTrainer,
  evaluateStep,
  labelBatch,
  type StepMetrics,
  trainStep,
} from '../src/training/step.ts';
import { openValidation } from '../src/training/validation.ts';
import { openTestDevice } from './support.ts';

const STEPS = 44;
const CODES = 16;
const titles = ['macklin-geoscape-theme-1', 'whallon-automat', 'reeves-david01', 'zeropage-ambiphonic'];

const config = loadConfig({
  set: [
    'audio.cropSeconds=1',
    'model.hiddenSize=64',
    'model.numHiddenLayers=2',
    'model.numAttentionHeads=4',
    'model.intermediateSize=128',
    'model.convDim=[16, 16, 16, 16, 16, 16, 16]',
    'model.numConvPosEmbeddings=32',
    'model.numConvPosEmbeddingGroups=4',
    'model.hiddenDropout=0',
    'model.attentionDropout=0',
    'model.featProjDropout=0',
    'model.layerdrop=0',
    'model.finalDim=32',
    'model.featureGradMult=1',
    'mixture.probability=0',
    'rvq.numCodebooks=2',
    `rvq.codebookSize=${CODES}`,
    'rvq.dimension=16',
    'rvq.channels=4',
    'rvq.steps=10',
    'rvq.batchSize=4',
    'rvq.learningRate=0.003',
    // In so few steps the encoder moves fast, and the entries must follow as fast.
    'rvq.decay=0.8',
    'rvq.deadCodeThreshold=1',
    'optimizer.learningRate=0.005',
    'optimizer.warmupSteps=10',
    'optimizer.clipNorm=1',
    'optimizer.weightDecay=0',
    `training.steps=${STEPS}`,
    'training.batchSize=4',
  ],
});

const learning = suite('overfit');

const device = await openTestDevice();

/** The clips, a teacher trained on them, and the batch that both tests look at. */
async function prepare() {
  const clips = await Promise.all(
    titles.map(async (title) => {
      const path = fileURLToPath(new URL(`../../../data/music/train/${title}.ogg`, import.meta.url));
      return (await readAudio(path, { sampleRate: 24000, start: 2, duration: 1 })).samples;
    }),
  );
  const rvq = await trainTeacher({
    config: config.rvq,
    seed: 1,
    readClips: async (first, count) => Array.from({ length: count }, (_, i) => clips[(first + i) % clips.length]),
  });
  const frames = frameCount(cropSamples(config.audio), config.model);
  const host = prepareBatch(clips, config, 1, frames, { seed: 1, mixture: false });
  return { host, frames, teachers: { acoustic: rvq!, cqt: createCqt(device, cqtSettings) } };
}

const { host, frames, teachers } = await prepare();

learning('labels and spectra are the clean clips’ at the masked frames', async () => {
  const batch = labelBatch(host, teachers, config);
  const [labels, cqt, rows] = await Promise.all([batch.labels.data(), batch.cqt.data(), batch.rows.data()]);
  const count = rows.length;
  const weights = await batch.rowWeights!.data();
  const predicted = host.masks.flatMap((mask) => [...mask]).reduce((sum, masked) => sum + masked, 0);
  let seen = 0;
  for (const [b, clip] of host.clean.entries()) {
    // Every clip has room for as many; what is not filled weighs nothing.
    let row = (b * count) / host.clean.length;
    const wave = tensor(clip, { shape: [1, clip.length] });
    const encoded = teachers.acoustic.encode(wave);
    const [codebooks, , codeFrames] = encoded.shape;
    const codes = await encoded.data();
    const spectrum = teachers.cqt.transform(wave);
    const [, bins, columns] = spectrum.shape;
    const magnitudes = await spectrum.data();
    for (const [t, masked] of host.masks[b].entries()) {
      if (!masked) continue;
      assert.is(rows[row], b * frames + t);
      for (let book = 0; book < codebooks; book++) {
        assert.is(labels[book * count + row], codes[book * codeFrames + t]);
      }
      for (let bin = 0; bin < bins; bin += 5) {
        assert.ok(Math.abs(Number(cqt[row * bins + bin]) - Number(magnitudes[bin * columns + t])) < 1e-4);
      }
      assert.ok(Math.abs(Number(weights[row]) * predicted - 1) < 1e-5);
      row++;
      seen++;
    }
    assert.ok(weights.slice(row, ((b + 1) * count) / host.clean.length).every((weight) => weight === 0));
  }
  assert.is(seen, predicted);
  // With one code everywhere there would be nothing to learn.
  for (let book = 0; book < config.rvq.numCodebooks; book++) {
    const used = perplexity(Array.from(labels.subarray(book * count, (book + 1) * count), Number), CODES);
    assert.ok(used > CODES / 3, `perplexity ${used}`);
  }
});

learning('the spectrum to predict is of clips at unit variance where it is asked to be', async () => {
  const normalized = { ...config, targets: { ...config.targets, cqtNormalize: true } };
  const louder = { ...host, clean: host.clean.map((clip) => clip.map((sample) => 0.1 + 3 * sample)) };
  const [asked, again, plain] = await Promise.all([
    labelBatch({ ...host, clean: host.clean.map(normaliseWaveform) }, teachers, config).cqt.data(),
    labelBatch(louder, teachers, normalized).cqt.data(),
    labelBatch(louder, teachers, config).cqt.data(),
  ]);
  const largest = Math.max(...(asked as Float32Array));
  const far = (cqt: ArrayLike<number>) =>
    Math.max(...Array.from(asked, (value, i) => Math.abs(Number(value) - cqt[i])));
  assert.ok(far(again as Float32Array) < 1e-4 * largest);
  assert.ok(far(plain as Float32Array) > 0.1 * largest);
});

learning('in held-out music all masked frames are hidden, whatever is kept in training', async () => {
  const folder = fileURLToPath(new URL('../../../data/music/valid', import.meta.url));
  const trainer = createTrainer(config);
  const [none, most] = await Promise.all(
    [0, 0.9].map(async (keep) => {
      const own = { ...config, masking: { ...config.masking, keep }, validation: { every: 0, batches: 1 } };
      return (await openValidation(folder, own, undefined, () => {}))?.evaluate(trainer, teachers);
    }),
  );
  assert.ok(none!.losses.loss > 0);
  assert.equal(most, none);
});

learning('a small student learns the codes of four clips by heart', async () => {
  const trainer = createTrainer(config);
  let first: StepMetrics | undefined;
  for (let step = 1; step <= STEPS; step++) {
    const metrics = await trainStep(trainer, teachers, host, config, step);
    first ??= metrics;
  }
  const { metrics } = await evaluateStep(trainer, teachers, host, config);
  const chance = Math.log(CODES);
  assert.ok(first!.lossRvq > 0.75 * chance && first!.lossRvq < 1.5 * chance, `starts at ${first!.lossRvq}`);
  for (const [book, loss] of metrics.lossCodes.entries()) assert.ok(loss < chance / 10, `codebook ${book}: ${loss}`);
  for (const [book, share] of metrics.accuracies.entries()) assert.ok(share > 0.95, `codebook ${book}: ${share}`);
  assert.ok(metrics.lossCqt < first!.lossCqt / 2, `CQT ${first!.lossCqt} -> ${metrics.lossCqt}`);
});

learning.after(() => device.close());
learning.run();
