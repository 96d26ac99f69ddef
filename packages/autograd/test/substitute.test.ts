import { ones, scope, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import { nn } from '../src/index.ts';

class Two extends nn.Module {
  layers = [1, 2].map((seed) => new nn.Linear(2, 2, nn.keySequence(seed)));
  forward(x: ReturnType<typeof ones>) {
    return this.layers.reduce((y, layer) => layer.forward(y), x);
  }
}

test('a module computes with other tensors, and has its own back, after an error too', async () => {
  const module = new Two();
  const own = module.stateDict();
  const given = new Map([
    [
      'layers.0.weight',
      tensor([
        [1, 0],
        [0, 1],
      ]),
    ],
    ['layers.0.bias', tensor([1, 2])],
    [
      'layers.1.weight',
      tensor([
        [2, 0],
        [0, 2],
      ]),
    ],
    ['layers.1.bias', tensor([0, 0])],
  ]);
  const out = scope(() => nn.withParameters(module, given, () => module.forward(ones([1, 2]))));
  assert.equal([...(await out.data())], [4, 6]);
  const fail = () => {
    throw new Error('inside');
  };
  assert.throws(() => nn.withParameters(module, given, fail), 'inside');
  for (const [name, tensor] of module.stateDict()) assert.is(tensor, own.get(name));
});

test('names and shapes that do not fit are errors, and nothing is changed', () => {
  const module = new Two();
  const own = module.stateDict();
  const replace = (name: string, shape: number[]) =>
    nn.withParameters(
      module,
      new Map([
        ['layers.0.bias', ones([2])],
        [name, ones(shape)],
      ]),
      () => {},
    );
  assert.throws(() => replace('layers.2.bias', [2]), /the module has no tensor layers\.2\.bias/);
  assert.throws(() => replace('layers.0', [2]), /the module has no tensor layers\.0;/);
  assert.throws(() => replace('layers.1.bias', [3]), /layers\.1\.bias is \[2\] in the module, \[3\] was given/);
  for (const [name, tensor] of module.stateDict()) assert.is(tensor, own.get(name));
});

test.run();
