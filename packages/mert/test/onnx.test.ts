/** The student's hidden states, and modules of other models, by ONNX Runtime. */
import { join } from 'node:path';
import { nn } from '@dawnchorus/autograd';
import { readAudio } from '@dawnchorus/dsp';
import { exportOnnx, readNpy } from '@dawnchorus/formats';
import { sizeOf, type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { firstDifference, flat, runOnnx } from '../../formats/test/onnx-runtime.ts';
import { studentToOnnx } from '../src/model/onnx.ts';
import { loadPretrained, type PretrainedModel } from '../src/model/pretrained.ts';
import { Student } from '../src/model/student.ts';
import { goldenPath, openTestDevice, relativeError, tinyConfig, tone } from './support.ts';

await openTestDevice();
const { model } = tinyConfig();
const onnx = suite('student as ONNX');

for (const [name, config] of [
  ['norms after the blocks', { ...model, doStableLayerNorm: false, featExtractNorm: 'group' }],
  ['norms before the blocks', { ...model, doStableLayerNorm: true, featExtractNorm: 'layer' }],
] as const) {
  for (const opset of [17, 20]) {
    onnx(`hidden states, ${name}, opset ${opset}`, async () => {
      const student = new Student(config, nn.keySequence(3));
      const waveform = tensor(Float32Array.of(...tone(4000, 1), ...tone(4000, 2)), { shape: [2, 4000] });
      const parameters = student.namedParameters();
      const forward = (x: typeof waveform) => ({ hidden: student.forward(x).hiddenStates });
      const file = await exportOnnx(forward, [waveform], { inputNames: ['waveform'], parameters, opset });
      const results = await runOnnx(file, { waveform: await flat(waveform) });
      const { hidden } = forward(waveform);
      assert.equal(
        [...results.keys()],
        hidden.map((_, i) => `hidden.${i}`),
      );
      for (const [i, state] of hidden.entries()) {
        assert.is(firstDifference(results.get(`hidden.${i}`), await flat(state)), undefined, `layer ${i}`);
      }
      for (const made of [waveform, ...hidden, student]) made.dispose();
    });
  }
}

onnx('a model folder, its clips normalised inside', async () => {
  const model = await loadPretrained(goldenPath('student_post'));
  const { samples } = await readAudio(join(goldenPath('student_post'), 'input.wav'));
  const loud = Float32Array.from(samples, (value) => 0.3 * value + 0.1);
  const golden = await readNpy(join(goldenPath('student_post'), 'hidden.npy'));
  const [layers, frames, dim] = golden.shape;
  const file = await studentToOnnx(model, { samples: loud.length, layers: [0, layers - 1] });
  const results = await runOnnx(file, {
    waveform: { shape: [1, loud.length], dtype: 'f32', data: loud },
  });
  assert.equal([...results.keys()], ['hidden.0', `hidden.${layers - 1}`]);
  for (const i of [0, layers - 1]) {
    const result = results.get(`hidden.${i}`);
    assert.equal(result?.shape, [1, frames, dim]);
    const expected = (golden.data as Float32Array).subarray(i * frames * dim, (i + 1) * frames * dim);
    assert.ok(relativeError(result?.data as Float32Array, expected) < 1e-4, `layer ${i}`);
  }
  model.dispose();
});

onnx('a constant-Q input, by the product that defines it', async () => {
  // Of the highest bins alone the filters would be short; these are the lowest of the teacher's.
  const config = { ...model, featureExtractorCqt: true, featureExtractorCqtBins: 20 };
  const student = new Student(config, nn.keySequence(5));
  const clip = Float32Array.of(...tone(6000, 1), ...tone(6000, 2));
  const waveform = tensor(clip, { shape: [2, 6000] });
  const { hiddenStates } = student.forward(waveform);
  const plain = { student, doNormalize: false, frame: { reach: 400 } } as unknown as PretrainedModel;
  const file = await studentToOnnx(plain, { samples: 6000, batch: 2, layers: [0, 2] });
  const results = await runOnnx(file, { waveform: { shape: [2, 6000], dtype: 'f32', data: clip } });
  for (const i of [0, 2]) {
    const expected = (await hiddenStates[i].data()) as Float32Array;
    assert.ok(relativeError(results.get(`hidden.${i}`)?.data as Float32Array, expected) < 1e-4, `layer ${i}`);
  }
  for (const made of [waveform, ...hiddenStates, student]) made.dispose();
});

const waves = (shape: readonly number[]) =>
  tensor(
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.sin(i * 1.7)),
    { shape },
  );

onnx('modules with their buffers', async () => {
  const keys = nn.keySequence(5);
  const net = {
    conv: new nn.Conv2d(2, 4, 3, keys, { padding: 1 }),
    norm: new nn.BatchNorm2d(4),
    up: new nn.ConvTranspose1d(4, 3, 5, keys, { stride: 2, padding: 1, outputPadding: 1 }),
    attention: new nn.MultiHeadAttention(12, 3, keys),
    words: new nn.Embedding(7, 12, keys),
  };
  const image = waves([2, 2, 6, 5]);
  net.norm.forward(net.conv.forward(image), { training: true }).dispose();
  const fn = (x: Tensor, ids: Tensor) => {
    const planes = net.norm.forward(net.conv.forward(x)).relu();
    return {
      planes,
      longer: net.up.forward(planes.reshape([2, 4, 30])),
      attended: net.attention.forward(net.words.forward(ids)),
    };
  };
  const ids = tensor(Int32Array.of(6, 0, 3, 3), { shape: [1, 4] });
  const parameters = new Map(Object.entries(net).flatMap(([name, module]) => [...module.stateDict(`${name}.`)]));
  const file = await exportOnnx(fn, [image, ids], { parameters });
  assert.ok(Buffer.from(file).includes('norm.runningMean'));
  const results = await runOnnx(file, { input0: await flat(image), input1: await flat(ids) });
  for (const [name, expected] of Object.entries(fn(image, ids))) {
    assert.is(firstDifference(results.get(name), await flat(expected)), undefined, name);
    expected.dispose();
  }
  for (const made of [image, ids, ...Object.values(net)]) made.dispose();
});

onnx.run();
