/**
 * A kernel of your own in WGSL, its gradient, and a check of both: npx tsx examples/write-your-own-kernel.ts
 *
 * The operation is the snake activation of neural vocoders, x + sin^2(alpha x) / alpha (Ziyin et al., 2020).
 */
import { defineRule, gradcheck, rule, valueAndGrad } from '@dawnchorus/autograd';
import { defineKernel, elementwise } from '@dawnchorus/kernels';
import { apply, compile, defineOp, gridFor, openDevice, sin, type Tensor, tensor, withDense } from '@dawnchorus/tensor';

const device = await openDevice({ log: console.log });

// 1. The kernel: parameters at binding 0, storage buffers from binding 1 in the order of `bindings`.
const kernel = defineKernel({
  name: 'snake',
  source: `
    struct Params { size: u32, alpha: f32, xOffset: u32 }
    @group(0) @binding(0) var<uniform> params: Params;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> out: array<f32>;

    @compute @workgroup_size(64)
    fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
      let i = id.x + id.y * groups.x * 64u;
      if (i >= params.size) { return; }
      let value = x[params.xOffset + i];
      let wave = sine(params.alpha * value);
      out[i] = value + wave * wave / params.alpha;
    }`,
  bindings: { x: 'read', out: 'readWrite' },
  parameters: { size: 'u32', alpha: 'f32', xOffset: 'u32' },
  constants: {},
});

// 2. The operation: infer tells shapes and throws what must be thrown, run records the kernel.
const snakeOp = defineOp<{ alpha: number }>({
  name: 'snake',
  infer([x], { alpha }) {
    if (x.dtype !== 'f32') throw new TypeError(`snake: x is ${x.dtype}; expected f32, use .cast('f32')`);
    if (!(alpha > 0)) throw new RangeError(`snake: alpha is ${alpha}; expected a number above 0`);
    return [{ dtype: 'f32', shape: x.shape }];
  },
  run(device, inputs, [out], { alpha }) {
    // A view (a transpose, a slice with steps) is copied first: the kernel reads elements in a row.
    withDense(device, inputs, ([x]) => {
      device.recorder.dispatch({
        kernel,
        // The engine's functions: sine is exact to 1e-7, where WGSL promises 2^-11 of its sin.
        library: elementwise.elementwiseFunctions,
        buffers: [x.storage.buffer, out.storage.buffer],
        parameters: { size: out.size, alpha, xOffset: x.offset },
        grid: gridFor(out.size),
      });
    });
  },
});
const snake = (x: Tensor, alpha = 1): Tensor => apply(snakeOp, [x], { alpha })[0];

// 3. Its gradient, 1 + sin(2 alpha x), made of operations that are differentiable themselves.
defineRule(
  snakeOp,
  rule('inputs', (gradient, { inputs: [x], attributes: { alpha } }) => [gradient.mul(sin(x.mul(2 * alpha)).add(1))]),
);

// 4. The check: values against plain arithmetic, gradients against central differences.
const alpha = 2;
const x = tensor(Array.from({ length: 1000 }, (_, i) => (i - 500) / 100));
const values = Array.from(await x.data());
const computed = await snake(x, alpha).data();
const worst = values.reduce(
  (most, v, i) => Math.max(most, Math.abs(computed[i] - (v + Math.sin(alpha * v) ** 2 / alpha))),
  0,
);
console.log(`largest error of ${values.length} values: ${worst.toExponential(1)}`);
if (!(worst < 1e-5)) throw new Error('the kernel is wrong');

await gradcheck((y) => snake(y, alpha).square().mean(), [x], { samples: 20 });
console.log('the gradient agrees with central differences');

const { value, gradients } = valueAndGrad(() => snake(x, alpha).square().mean(), [x]);
console.log(
  `loss ${(await value.item()).toFixed(4)}, slope at the first element ${(await gradients[0].data())[0].toFixed(5)}`,
);

// 5. Misuse fails at the call, before any GPU work; views work, since run copies what is not dense.
try {
  snake(x.cast('i32'));
} catch (error) {
  console.log('error:', (error as Error).message);
}
console.log('of a transposed view:', snake(x.reshape([10, 100]).transpose()).toString());

// 6. Compiled, the kernel is replayed with its neighbours joined around it.
const loss = compile((y: Tensor) => snake(y.mul(2), alpha).square().mean());
console.log(
  'compiled and eager agree:',
  Math.abs((await loss(x).item()) - (await snake(x.mul(2), alpha).square().mean().item())) < 1e-4,
);
device.close();
