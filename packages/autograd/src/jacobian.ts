import { concat, mul, scope, sum, type Tensor, tensor } from '@dawnchorus/tensor';
import { grad } from './grad.ts';
import { vjp } from './vjp.ts';

/**
 * Every derivative of every element of `fn(x)`: [...output, ...x]. It runs `fn` and a backward pass once for each element
 * of the output. Differentiable itself.
 *
 * @throws Error when the output does not depend on x.
 */
export function jacobian(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  return scope(() => {
    const rows: Tensor[] = [];
    let shape: readonly number[] = [];
    for (let i = 0, size = 1; i < size; i++) {
      const { gradients } = vjp(fn, [x], (output) => {
        ({ shape, size } = output);
        const unit = Array.from({ length: size }, (_, j) => Number(i === j));
        return tensor(unit, { dtype: output.dtype, device: output.device }).reshape(output.shape);
      });
      rows.push(gradients[0].reshape([1, x.size]));
    }
    return concat(rows, 0).reshape([...shape, ...x.shape]);
  });
}

/** The second derivatives of a scalar loss: [...x, ...x]. A backward pass of a backward pass for each element of x. */
export function hessian(fn: (x: Tensor) => Tensor, x: Tensor): Tensor {
  return jacobian((y) => grad(() => fn(y), [y])[0], x);
}

/**
 * The Hessian of a scalar loss times a vector, without the Hessian: the gradient of the gradient's product with it, for
 * each input in its shape. `vectors` are one for each input.
 */
export function hessianVectorProduct(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  vectors: readonly Tensor[],
): Tensor[] {
  if (vectors.length !== inputs.length) {
    throw new RangeError(
      `hessianVectorProduct: ${vectors.length} vectors for ${inputs.length} inputs; expected one each`,
    );
  }
  return grad(
    () =>
      grad(() => fn(...inputs), inputs)
        .map((gradient, i) => sum(mul(gradient, vectors[i])))
        .reduce((total, part) => total.add(part)),
    inputs,
  );
}
