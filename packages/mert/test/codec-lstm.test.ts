/** The LSTM of two kernels against `nn.LSTM`, which unrolls its steps: values, gradients, state handed on. */
import { nn, valueAndGrad } from '@dawnchorus/autograd';
import { compile, normal, scope, type Tensor, zeros } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { runLstm } from '../src/codec/lstm.ts';
import { openTestDevice, relativeError } from './support.ts';

const device = await openTestDevice();
const floats = async (x: Tensor) => (await x.data()) as Float32Array;

const sizes = fc.record({
  time: fc.integer({ min: 1, max: 6 }),
  batch: fc.integer({ min: 1, max: 3 }),
  features: fc.integer({ min: 1, max: 9 }),
  size: fc.constantFrom(1, 3, 4, 7, 8, 31, 32, 65, 130),
  numLayers: fc.integer({ min: 1, max: 2 }),
});

test('values and gradients of every parameter and of the input', async () => {
  await fc.assert(
    fc.asyncProperty(sizes, fc.boolean(), async ({ time, batch, features, size, numLayers }, compiled) => {
      const lstm = new nn.LSTM(features, size, nn.keySequence(size + time), { numLayers });
      const x = normal([time, batch, features], { seed: 1, stream: size });
      const weights = normal([time, batch, size], { seed: 2, stream: size });
      const parameters = [x, ...lstm.parameters()];
      const run = (forward: (x: Tensor) => Tensor, compiled = false) => {
        const step = () => {
          const { value, gradients, auxiliary } = valueAndGrad(() => {
            const output = forward(x);
            return { loss: output.mul(weights).sum(), auxiliary: output };
          }, parameters);
          return [value, auxiliary, ...gradients];
        };
        return compiled ? compile((_: Tensor) => step())(zeros([1])) : step();
      };
      const own = run((input) => runLstm(lstm, input).output, compiled);
      const expected = run((input) => lstm.forward(input).output);
      for (const [i, value] of own.entries()) {
        const error = relativeError(await floats(value), await floats(expected[i]));
        assert.ok(error < 5e-6, `${i}: ${error}`);
      }
      for (const value of [...own, ...expected]) value.dispose();
      lstm.dispose();
    }),
    { numRuns: 12, includeErrorInReport: true },
  );
});

test('a sequence in two parts goes on from the state of the first', async () => {
  const lstm = new nn.LSTM(5, 12, nn.keySequence(3), { numLayers: 2 });
  const x = normal([7, 2, 5], { seed: 1, stream: 1 });
  const start = {
    hidden: normal([2, 2, 12], { seed: 4, stream: 1 }),
    cell: normal([2, 2, 12], { seed: 5, stream: 1 }),
  };
  const whole = lstm.forward(x, start);
  const first = runLstm(lstm, x.sliceAxis(0, 0, 3), start);
  const second = runLstm(lstm, x.sliceAxis(0, 3), first.state);
  const parts = [...(await floats(first.output)), ...(await floats(second.output))];
  assert.ok(relativeError(parts, await floats(whole.output)) < 1e-6);
  assert.ok(relativeError(await floats(second.state!.hidden), await floats(whole.hidden)) < 1e-6);
  assert.ok(relativeError(await floats(second.state!.cell), await floats(whole.cell)) < 1e-6);
});

test('large and NaN inputs', async () => {
  const lstm = new nn.LSTM(3, 4, nn.keySequence(3));
  const x = normal([2, 1, 3], { seed: 1, stream: 1 });
  const large = scope(() => runLstm(lstm, x.mul(1e4)).output);
  assert.ok(relativeError(await floats(large), await floats(lstm.forward(x.mul(1e4)).output)) < 1e-6);
  const nan = await floats(runLstm(lstm, x.mul(Number.NaN)).output);
  assert.ok(nan.every(Number.isNaN));
});

test.after(() => device.close());
test.run();
