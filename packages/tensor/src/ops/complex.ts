import { wgslType } from '../dtype.ts';
import { broadcastShapes, formatShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { commonDtype, expectFloat } from './arguments.ts';
import { withDense } from './dense.ts';
import { runMap } from './elementwise.ts';
import { kernelOp } from './op.ts';

/** Whether pairs along the last axis lie beside each other, so that each can be read as one value of twice the size. */
const inPairs = ({ strides, offset }: Tensor): boolean =>
  offset % 2 === 0 && strides.every((stride, d) => (d === strides.length - 1 ? stride === 1 : stride % 2 === 0));

/** The pairs of [..., 2] as elements. For kernels alone: the tensor's own dtype is that of half an element. */
const pairsOf = ({ storage, dtype, shape, strides, offset }: Tensor): Tensor =>
  new Tensor(
    storage,
    dtype,
    shape.slice(0, -1),
    strides.slice(0, -1).map((stride) => stride / 2),
    offset / 2,
    false,
  );

/** The product of two tensors of complex numbers [..., 2], whose other axes broadcast; `conjugate`: of the second's conjugate. */
export const complexMul = kernelOp<{ conjugate: boolean }>({
  infer(inputs) {
    for (const [i, input] of inputs.entries()) {
      const role = `operand ${i + 1}`;
      expectFloat('complexMul', role, input);
      if (input.shape.at(-1) !== 2) {
        throw new RangeError(
          `complexMul: ${role} is ${formatShape(input.shape)}; expected [..., 2], the real and imaginary part last`,
        );
      }
    }
    return [
      { dtype: commonDtype(inputs), shape: broadcastShapes('complexMul', ...inputs.map((input) => input.shape)) },
    ];
  },
  flops: (_inputs, [out]) => 3 * out.size,
  run(device, inputs, [out], { conjugate }) {
    const ragged = inputs.map((input) => !inPairs(input));
    withDense(
      device,
      inputs.filter((_, i) => ragged[i]),
      (dense) => {
        let at = 0;
        const operands = inputs.map((input, i) => pairsOf(ragged[i] ? dense[at++] : input));
        const result = pairsOf(out);
        const body =
          `let x = vec2<f32>(a); let y = vec2<f32>(b)${conjugate ? ' * vec2<f32>(1.0, -1.0)' : ''}; ` +
          'return Result(vec2<f32>(x.x * y.x - x.y * y.y, x.x * y.y + x.y * y.x));';
        runMap(device, operands, result, body, ({ dtype }) => `vec2<${wgslType[dtype]}>`);
        for (const pairs of [...operands, result]) pairs.dispose();
      },
      2,
    );
  },
});
