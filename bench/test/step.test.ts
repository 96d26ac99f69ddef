import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { StepResult } from '../src/step/index.ts';
import { stepLines } from '../src/step/report.ts';
import { stepConfig } from '../src/step/setting.ts';

test('a step is of a preset with so many clips, and drops no layer', () => {
  const { name, config } = stepConfig({ config: 'mert-95m-rvq', batch: 8 });
  assert.is(name, 'step_mert-95m-rvq_b8');
  assert.is(config.training.batchSize, 8);
  assert.is(config.model.layerdrop, 0);
  assert.is(config.model.hiddenSize, 768);
  assert.is(stepConfig({}).name, 'step_small_b8');
});

test('one clip is mixed with none, and settings come last', () => {
  const { config } = stepConfig({ config: 'mert-330m-rvq', batch: 1, set: ['model.numHiddenLayers=2'] });
  assert.is(config.mixture.probability, 0);
  assert.is(config.model.numHiddenLayers, 2);
});

test('what is wrong with a configuration is said as in pretraining', () => {
  const named = (error: Error, message: RegExp) => error.name === 'ConfigError' && message.test(error.message);
  assert.throws(
    () => stepConfig({ config: 'smal' }),
    (error: Error) => named(error, /no preset "smal".*"small"/),
  );
  assert.throws(
    () => stepConfig({ set: ['model.hidenSize=3'] }),
    (error: Error) => named(error, /hidenSize/),
  );
});

test('the lines compare eager with compiled, and ours with PyTorch', () => {
  const result = (
    name: string,
    engine: StepResult['engine'],
    medianMs: number,
    dtype: StepResult['dtype'] = 'f32',
  ) => ({
    case: name,
    pass: 'gradient' as const,
    engine,
    dtype,
    adapter: 'X',
    medianMs,
    minMs: medianMs - 1,
    maxMs: medianMs + 1,
    runs: 5,
    gflops: 100,
    maxError: 0,
    clipsPerSecond: 8000 / medianMs,
    peakBytes: engine === 'torch' ? undefined : medianMs * 2 ** 20,
  });
  const lines = stepLines(
    [
      result('step_eager', 'dawnchorus', 200),
      result('step', 'dawnchorus', 100),
      result('step_student', 'dawnchorus', 80),
      result('step_student', 'torch', 40),
      result('step_student', 'torch', 20, 'bf16'),
    ],
    { bytesPerSecond: 1e10, flopsPerSecond: 1e12 },
  );
  assert.match(
    lines[1],
    /step +dawnchorus f32 +100.0 ms +99.0 to 101.0 +5 runs +80.00 clips\/s +100 GFLOP\/s +10 % of FMA +100 MiB/,
  );
  assert.match(lines.at(-3)!, /compiled \/ eager: 0.50 of the time, 0.50 of the memory/);
  assert.match(lines.at(-2)!, /ours \/ PyTorch f32 on X: 2.00 of the time/);
  assert.match(lines.at(-1)!, /ours \/ PyTorch bf16 on X: 4.00 of the time/);
});

test.run();
