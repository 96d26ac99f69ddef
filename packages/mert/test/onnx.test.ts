/** The student's hidden states by ONNX Runtime. */
import { nn } from '@dawnchorus/autograd';
import { exportOnnx } from '@dawnchorus/formats';
import { tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { firstDifference, flat, runOnnx } from '../../formats/test/onnx-runtime.ts';
import { Student } from '../src/model/student.ts';
import { openTestDevice, tinyConfig, tone } from './support.ts';

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

onnx.run();
