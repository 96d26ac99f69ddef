import type { DType } from './dtype.ts';
import type { AxisOptions, Operand } from './ops/arguments.ts';
import * as functions from './ops/functions.ts';
import type { Shape } from './shape.ts';
import type { Tensor } from './tensor.ts';

/**
 * The operations that read well as methods. Each is the function of the same name with the tensor as its first argument:
 * documentation is there. Import it from `tensor.ts` alone, whose class extends it.
 */
export abstract class Operations {
  // Arithmetic, with NumPy's broadcasting.
  add(this: Tensor, other: Operand): Tensor {
    return functions.add(this, other);
  }
  sub(this: Tensor, other: Operand): Tensor {
    return functions.sub(this, other);
  }
  mul(this: Tensor, other: Operand): Tensor {
    return functions.mul(this, other);
  }
  div(this: Tensor, other: Operand): Tensor {
    return functions.div(this, other);
  }
  pow(this: Tensor, other: Operand): Tensor {
    return functions.pow(this, other);
  }
  maximum(this: Tensor, other: Operand): Tensor {
    return functions.maximum(this, other);
  }
  minimum(this: Tensor, other: Operand): Tensor {
    return functions.minimum(this, other);
  }
  eq(this: Tensor, other: Operand): Tensor {
    return functions.eq(this, other);
  }
  ne(this: Tensor, other: Operand): Tensor {
    return functions.ne(this, other);
  }
  lt(this: Tensor, other: Operand): Tensor {
    return functions.lt(this, other);
  }
  le(this: Tensor, other: Operand): Tensor {
    return functions.le(this, other);
  }
  gt(this: Tensor, other: Operand): Tensor {
    return functions.gt(this, other);
  }
  ge(this: Tensor, other: Operand): Tensor {
    return functions.ge(this, other);
  }
  neg(this: Tensor): Tensor {
    return functions.neg(this);
  }
  abs(this: Tensor): Tensor {
    return functions.abs(this);
  }
  exp(this: Tensor): Tensor {
    return functions.exp(this);
  }
  log(this: Tensor): Tensor {
    return functions.log(this);
  }
  sqrt(this: Tensor): Tensor {
    return functions.sqrt(this);
  }
  square(this: Tensor): Tensor {
    return functions.square(this);
  }
  tanh(this: Tensor): Tensor {
    return functions.tanh(this);
  }
  sigmoid(this: Tensor): Tensor {
    return functions.sigmoid(this);
  }
  relu(this: Tensor): Tensor {
    return functions.relu(this);
  }
  gelu(this: Tensor): Tensor {
    return functions.gelu(this);
  }

  // Reductions.
  sum(this: Tensor, options?: AxisOptions): Tensor {
    return functions.sum(this, options);
  }
  mean(this: Tensor, options?: AxisOptions): Tensor {
    return functions.mean(this, options);
  }
  max(this: Tensor, options?: AxisOptions): Tensor {
    return functions.max(this, options);
  }
  min(this: Tensor, options?: AxisOptions): Tensor {
    return functions.min(this, options);
  }
  argmax(this: Tensor, options: { dim: number; keepdim?: boolean }): Tensor {
    return functions.argmax(this, options);
  }
  var(this: Tensor, options?: AxisOptions & { correction?: number }): Tensor {
    return functions.variance(this, options);
  }

  // Views: no copy.
  reshape(this: Tensor, shape: Shape): Tensor {
    return functions.reshape(this, shape);
  }
  transpose(this: Tensor, a = -2, b = -1): Tensor {
    return functions.transpose(this, a, b);
  }
  permute(this: Tensor, axes: readonly number[]): Tensor {
    return functions.permute(this, axes);
  }
  sliceAxis(this: Tensor, axis: number, start: number, end?: number, step?: number): Tensor {
    return functions.sliceAxis(this, axis, start, end, step);
  }
  expand(this: Tensor, shape: Shape): Tensor {
    return functions.expand(this, shape);
  }
  squeeze(this: Tensor, axis: number): Tensor {
    return functions.squeeze(this, axis);
  }
  unsqueeze(this: Tensor, axis: number): Tensor {
    return functions.unsqueeze(this, axis);
  }

  // Everything else that reads well as a method.
  matmul(this: Tensor, other: Tensor): Tensor {
    return functions.matmul(this, other);
  }
  softmax(this: Tensor, options?: { dim?: number }): Tensor {
    return functions.softmax(this, options);
  }
  logSoftmax(this: Tensor, options?: { dim?: number }): Tensor {
    return functions.logSoftmax(this, options);
  }
  cast(this: Tensor, dtype: DType): Tensor {
    return functions.cast(this, dtype);
  }
  indexSelect(this: Tensor, axis: number, index: Tensor): Tensor {
    return functions.indexSelect(this, axis, index);
  }
}
