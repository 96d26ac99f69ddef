/** Pretraining in half precision: halves for activations and weights, f32 masters, and a loss scale that the GPU moves. */
import { nn } from '@dawnchorus/autograd';
import { createCqt } from '@dawnchorus/dsp';
import { compile, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cropSamples, frameCount, type PretrainConfig } from '../src/config/index.ts';
import { prepareBatch } from '../src/data/batch.ts';
import { emptyTeacher } from '../src/rvq/teacher.ts';
import { cqtSettings, createTrainer, disposeTrainer, labelBatch, learn, readMetrics } from '../src/training/step.ts';
import { messageOf, openTestDevice, tinyConfig, tone } from './support.ts';

const device = await openTestDevice();
const hasHalf = device.features.has('shader-f16');
const half = suite('half precision');
const onGpu = (name: string, body: () => Promise<void>) =>
  (hasHalf ? half : half.skip)(`${name}${hasHalf ? '' : ' (skipped: this adapter has no shader-f16)'}`, body);

const STEPS = 8;
const settings = ['model.hiddenDropout=0.1', 'model.layerdrop=0', 'optimizer.warmupSteps=1', `training.steps=${STEPS}`];

/** What each of some steps on one batch measured, and how many were counted. */
async function train(config: PretrainConfig, { compiled = false, steps = STEPS } = {}) {
  const trainer = createTrainer(config);
  const frames = frameCount(cropSamples(config.audio), config.model);
  const clips = [0, 1].map((seed) => tone(cropSamples(config.audio), seed));
  const teachers = { acoustic: emptyTeacher(config.rvq, 1), cqt: createCqt(device, cqtSettings) };
  const batch = scope(() =>
    labelBatch(prepareBatch(clips, config, 1, frames, { seed: 1, mixture: false }), teachers, config),
  );
  const once = (number: Tensor, rate: Tensor) => learn(trainer, batch, config, nn.keySequence(1, number), rate);
  const step = compiled ? compile(once) : once;
  const measured = [];
  for (let i = 1; i <= steps; i++) {
    const scale = await trainer.optimizer.lossScale.item();
    const packed = scope(() => step(tensor(Uint32Array.of(i)), tensor([trainer.schedule(i)])));
    measured.push({ ...(await readMetrics(packed)), scale });
  }
  const count = await trainer.optimizer.steps.item();
  disposeTrainer(trainer);
  return { measured, count };
}

onGpu('losses and gradient norms are those of f32 within its rounding, eager and compiled', async () => {
  const wide = await train(tinyConfig(...settings));
  for (const compiled of [false, true]) {
    const narrow = await train(tinyConfig(...settings, 'training.precision=f16'), { compiled });
    assert.is(narrow.count, STEPS);
    for (const [i, { loss, gradNorm, lossCodes }] of narrow.measured.entries()) {
      const { loss: expected, gradNorm: norm, lossCodes: codes } = wide.measured[i];
      assert.ok(Math.abs(loss / expected - 1) < 3e-3, `step ${i + 1}: loss ${loss}, in f32 ${expected}`);
      assert.ok(Math.abs(gradNorm / norm - 1) < 0.05, `step ${i + 1}: gradient ${gradNorm}, in f32 ${norm}`);
      for (const [k, code] of lossCodes.entries()) assert.ok(Math.abs(code / codes[k] - 1) < 5e-3);
    }
  }
});

onGpu('a loss scale that overflows is halved until it does not, and no step is lost but those', async () => {
  const config = tinyConfig(...settings, 'training.precision=f16', 'training.lossScale=16777216', 'training.steps=16');
  const { measured, count } = await train(config, { steps: 16 });
  const skipped = measured.filter(({ gradNorm }) => !Number.isFinite(gradNorm)).length;
  assert.ok(skipped > 0 && skipped < 12, `${skipped} steps were skipped`);
  assert.is(count, 16 - skipped);
  for (const [i, { gradNorm, scale }] of measured.entries()) {
    const next = measured[i + 1]?.scale;
    if (next !== undefined) assert.is(next, Number.isFinite(gradNorm) ? scale : scale / 2);
  }
  assert.ok(measured.every(({ loss }) => Number.isFinite(loss)));
  const [first, last] = [measured[0].loss, measured[15].loss];
  assert.ok(last < first, `the loss went from ${first} to ${last}`);
});

onGpu('the loss scale doubles after its interval', async () => {
  const config = tinyConfig(...settings, 'training.precision=f16', 'training.lossScaleInterval=3');
  const { measured } = await train(config);
  assert.equal(
    measured.map(({ scale }) => scale),
    [128, 128, 128, 256, 256, 256, 512, 512],
  );
});

half('an adapter without halves says so', async () => {
  if (hasHalf) return;
  const message = await messageOf(() => createTrainer(tinyConfig('training.precision=f16')));
  assert.match(message, /training\.precision is f16, but .* has no shader-f16/);
});

half.after(() => device.close());
half.run();
