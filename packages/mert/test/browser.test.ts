/**
 * MERT as browsers have it (src/browser.ts): this file runs in Node and in Chromium, where what Node reads by its path is fetched
 * from its address. Hidden states are those of transformers 5.18 (HubertModel, f32 on a CPU) on the same weights.
 */
import { createCqt } from '@dawnchorus/dsp';
import { openDevice } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  cqtSettings,
  createTrainer,
  cropSamples,
  disposeTrainer,
  frameCount,
  loadConfig,
  loadMert,
  prepareBatch,
  presets,
  trainStep,
  trainTeacher,
} from '../src/browser.ts';

const test = suite('MERT anywhere');
const MODEL = 'data/models/mert-tiny';
const inBrowser = typeof document !== 'undefined';
const device = await openDevice({ log: () => {} });

const messageOf = (promise: Promise<unknown>) => promise.then(() => 'no error', String);

function assertNear(found: ArrayLike<number>, expected: readonly number[], tolerance: number): void {
  for (const [i, value] of expected.entries()) {
    assert.ok(Math.abs(found[i] - value) < tolerance, `${i}: ${found[i]} where transformers has ${value}`);
  }
}

/** A tone and a sweep of 0.4 s. */
const signal = Float32Array.from(
  { length: 9600 },
  (_, n) => 0.4 * Math.sin((2 * Math.PI * 440 * n) / 24000) + 0.3 * Math.sin((Math.PI * n * n) / (24000 * 12)),
);

test('a model is read by its path or address, and its hidden states are those of transformers', async () => {
  const mert = await loadMert(MODEL);
  const { data, shape } = await mert.embed({ samples: signal, sampleRate: 24000 });
  assert.equal(shape, [5, 29, 96]);
  // The first four channels of the last frame, by layer.
  const expected = [
    [0.026698, -1.394435, 0.60321, 0.38186],
    [-0.280912, -0.975752, 0.303048, 0.772445],
    [-0.042003, -0.263946, 0.015991, 0.570474],
    [-0.169809, 0.120104, -0.377875, 0.558355],
    [-0.893725, 0.847879, -0.977092, 0.257913],
  ];
  for (const [layer, values] of expected.entries()) {
    assertNear(data.subarray((layer * 29 + 28) * 96), values, 5e-5);
  }
  mert.close();
});

test('a sound is read by its path or address, and decoded', async () => {
  const mert = await loadMert(MODEL);
  const { data, shape, sampleRate } = await mert.embed('data/proxies/instrument/audio/test-00005.ogg', {
    layers: [4],
    pool: 'mean',
  });
  assert.equal({ shape, sampleRate }, { shape: [96], sampleRate: 24000 });
  // Of the samples that libsndfile decodes.
  assertNear(data, [0.10231, 0.657866, -0.382607, 0.069606, -0.270432, -0.584886], 5e-4);
  mert.close();
});

test('what is not there says so', async () => {
  assert.match(await messageOf(loadMert('data/models/none')), /data\/models\/none.*a model folder holds config\.json/);
  const mert = await loadMert(MODEL);
  assert.match(await messageOf(mert.embed('data/music/none.ogg')), /data\/music\/none\.ogg: there is no such file/);
  mert.close();
  if (inBrowser) {
    assert.equal(presets(), []);
    assert.throws(() => loadConfig({ preset: 'small' }), /there is no preset "small"/);
    assert.throws(() => loadConfig({ file: 'a.yaml' }), /a\.yaml: a browser has no files of settings; give .*`base`/);
  }
});

test('a student learns', async () => {
  const config = loadConfig({
    base: {
      audio: { cropSeconds: 0.5 },
      model: {
        ...{ hiddenSize: 32, numHiddenLayers: 2, numAttentionHeads: 2, intermediateSize: 64, finalDim: 8 },
        ...{ convDim: [8, 8, 8, 8, 8, 8, 8], numConvPosEmbeddings: 16, numConvPosEmbeddingGroups: 4 },
      },
      targets: { specialClasses: 0 },
      mixture: { lengthRange: [2000, 4000] },
      rvq: { numCodebooks: 2, codebookSize: 8, dimension: 8, channels: 4, steps: 2, batchSize: 2, cropSeconds: 0.25 },
      optimizer: { warmupSteps: 1, learningRate: 0.005 },
      training: { steps: 8, batchSize: 2 },
    },
  });
  const samples = cropSamples(config.audio);
  const clips = [220, 330].map((frequency) =>
    Float32Array.from({ length: samples }, (_, n) => 0.5 * Math.sin((2 * Math.PI * frequency * n) / 24000)),
  );
  const training = { config: config.rvq, seed: 1 };
  const acoustic = await trainTeacher({
    ...training,
    readClips: async () => clips.map((clip) => clip.subarray(0, 6400)),
  });
  const odd = trainTeacher({ ...training, readClips: async () => clips });
  assert.match(await messageOf(odd), /readClips gave 12000, 12000 samples; expected .* a multiple of 320/);
  const teachers = { acoustic, cqt: createCqt(device, cqtSettings) };
  const trainer = createTrainer(config);
  const losses: number[] = [];
  for (let step = 1; step <= 8; step++) {
    const host = prepareBatch(clips, config, 1, frameCount(samples, config.model), { seed: 1, mixture: true });
    losses.push((await trainStep(trainer, teachers, host, config, step)).loss);
  }
  assert.ok(losses.at(-1)! < 0.9 * losses[0], losses.join(', '));
  disposeTrainer(trainer);
  teachers.cqt.dispose();
  acoustic?.dispose();
});

test.after(() => device.close());
test.run();
