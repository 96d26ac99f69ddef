/** Tensors, shapes in types, memory and gradients in five minutes: npx tsx examples/tensors-in-five-minutes.ts */
import { valueAndGrad } from '@dawnchorus/autograd';
import { assertShape, compile, normal, openDevice, scope, type Tensor, tensor, zeros } from '@dawnchorus/tensor';

const device = await openDevice({ log: console.log }); // a GPU, else a software adapter

// 1. Tensors are made of numbers, of a shape, or of a seed; reading them back waits for the GPU.
const a = tensor([
  [1, 2, 3],
  [4, 5, 6],
]);
console.log('a:', a.toString(), await a.toArray());
console.log('noise:', await normal([2, 2], { seed: 7, stream: 0 }).toArray(), 'on every adapter');

// 2. Operations run at once, change nothing, broadcast as NumPy's and are named as PyTorch's.
const centred = a.sub(a.mean({ dim: 0, keepdim: true }));
console.log('centred columns:', await centred.toArray());
console.log('row sums:', await a.sum({ dim: 1 }).toArray());

// 3. Views share memory: nothing is copied.
console.log('transposed:', await a.transpose().toArray(), 'on the same storage:', a.transpose().storage === a.storage);
console.log('last column:', await a.slice([], -1).toArray());

// 4. Shapes may stand in types. What cannot be multiplied does not compile; plain Tensor is checked when it runs.
const weight = zeros([3, 8]);
const hidden: Tensor<[2, 8]> = zeros([2, 3]).matmul(weight);
console.log('known to the compiler:', hidden.toString());
assertShape(a, [null, 3]); // a is a Tensor<[number, 3]> from here on
try {
  (a as Tensor).matmul(zeros([5, 7]));
} catch (error) {
  console.log('error:', (error as Error).message);
}

// 5. Memory: a scope gives back what was made in it, but for what it returns. `using` and dispose() work, too.
const before = device.statistics().liveBytes;
const total = scope(() => a.exp().log().square().sum());
console.log('sum of squares:', (await total.item()).toFixed(3));
total.dispose();
console.log('bytes left behind:', device.statistics().liveBytes - before);

// 6. Gradients are a function of a function: nothing is stored on parameters.
const w = tensor([1, -2, 3]);
const { value, gradients } = valueAndGrad(() => w.square().sum(), [w]);
console.log('value:', await value.item(), 'gradient:', await gradients[0].toArray());

// 7. compile traces a function once, joins its kernels and replays them.
const smooth = compile((x: Tensor) => x.mul(0.5).tanh().add(1).square());
console.log('compiled:', (await smooth(w).data()).map((x) => Number(x.toFixed(4))).join(' '));
console.log('   eager:', (await w.mul(0.5).tanh().add(1).square().data()).map((x) => Number(x.toFixed(4))).join(' '));
device.close();
