import { type Shape, sizeOf, type TensorSpec } from '@dawnchorus/tensor';
import {
  bytesOf,
  bytesPerElement,
  elementTypes,
  type OnnxAttribute,
  type OnnxDType,
  type OnnxInitializer,
  type OnnxNode,
} from './model.ts';

/** A value of the ONNX graph. */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: OnnxDType;
  /** Of whole numbers: the least and the largest that they can be, where that is known. */
  readonly within?: readonly [number, number];
}

/** A tensor of the traced function as a value of the ONNX graph. */
export interface OnnxTensor extends OnnxValue {
  readonly shape: Shape;
}

/**
 * Says one operation of the engine in nodes of ONNX's default domain. What it returns, a value for each output, is cast
 * to the dtype of that output afterwards, so it may compute in another one.
 */
export type Lowering<A> = (
  onnx: OnnxBuilder,
  inputs: readonly OnnxTensor[],
  attributes: A,
  outputs: readonly TensorSpec[],
) => readonly OnnxValue[];

/** Constants up to this many bytes are shared by their contents. */
const SHARED_BYTES = 256;

/** Adds nodes and constants to an ONNX graph and gives them names. */
export class OnnxBuilder {
  readonly opset: number;
  /** In the order in which they run. */
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxInitializer[] = [];
  /** How often a name was asked for. */
  readonly #names = new Map<string, number>();
  readonly #constants = new Map<string, OnnxTensor>();
  /** The operation that is being lowered, and the line of code that called it. */
  current = { operation: '', site: '' };

  constructor(opset: number) {
    this.opset = opset;
  }

  /** The name itself, or with a number behind it where it is taken. */
  unique(name: string): string {
    let free = name;
    for (let i = this.#names.get(name) ?? 0; this.#names.has(free); i++) {
      free = `${name}_${i + 1}`;
      this.#names.set(name, i + 1);
    }
    this.#names.set(free, 0);
    return free;
  }

  /** Says that the operation has no ONNX form. */
  refuse(reason: string): never {
    const { operation, site } = this.current;
    throw new Error(`exportOnnx: ${operation}, called at ${site}, cannot be exported: ${reason}`);
  }

  /** A node with one output, which has the dtype of its first input unless told. */
  node(
    type: string,
    inputs: readonly OnnxValue[],
    { dtype = inputs[0].dtype, ...attributes }: Record<string, OnnxAttribute> & { dtype?: OnnxDType } = {},
  ): OnnxValue {
    return this.nodeWith(type, inputs, [dtype], attributes)[0];
  }

  /** A node with an output for each dtype. */
  nodeWith(
    type: string,
    inputs: readonly OnnxValue[],
    dtypes: readonly OnnxDType[],
    attributes: Record<string, OnnxAttribute> = {},
  ): OnnxValue[] {
    const outputs = dtypes.map((dtype) => ({ name: this.unique(`${this.current.operation}/${type}`), dtype }));
    this.nodes.push({
      name: outputs[0].name,
      type,
      inputs: inputs.map(({ name }) => name),
      outputs: outputs.map(({ name }) => name),
      attributes,
    });
    return outputs;
  }

  /** A constant with a name of its own. */
  initializer(name: string, values: ArrayLike<number>, dtype: OnnxDType, shape: Shape): OnnxTensor {
    const unique = this.unique(name);
    this.initializers.push({ name: unique, dtype, shape, data: bytesOf(values, dtype) });
    return { name: unique, dtype, shape, within: dtype === 'i32' ? extremes(values) : undefined };
  }

  /** A constant without a name of its own; one axis unless told. Small ones with the same contents are one. */
  constant(values: readonly number[], dtype: OnnxDType, shape: Shape = [values.length]): OnnxTensor {
    const shared = sizeOf(shape) * bytesPerElement[dtype] <= SHARED_BYTES;
    // Negative zero and zero are two constants.
    const key = `${dtype}[${shape}]${values.map((value) => (Object.is(value, -0) ? '-0' : value))}`;
    let constant = shared ? this.#constants.get(key) : undefined;
    if (!constant) {
      constant = this.initializer('constant', values, dtype, shape);
      if (shared) this.#constants.set(key, constant);
    }
    return constant;
  }

  /** A constant without axes. */
  scalar(value: number, dtype: OnnxDType): OnnxValue {
    return this.constant([value], dtype, []);
  }

  /** Shapes, axes, bounds: what nodes take as 64-bit integers. */
  ints(values: readonly number[]): OnnxValue {
    return this.constant(values, 'i64');
  }

  /** In another dtype; the value itself where it has that. Whole numbers wrap, floats must be in range. */
  cast(x: OnnxValue, dtype: OnnxDType): OnnxValue {
    return x.dtype === dtype ? x : this.node('Cast', [x], { dtype, to: elementTypes[dtype] });
  }

  /** The same elements in another shape; one extent may be -1. */
  reshape(x: OnnxValue, shape: Shape): OnnxValue {
    return this.node('Reshape', [x, this.ints(shape)]);
  }

  /** `x` where the condition holds, `y` elsewhere; both have one dtype. Runtimes choose between numbers only. */
  where(condition: OnnxValue, x: OnnxValue, y: OnnxValue): OnnxValue {
    const dtype = x.dtype === 'bool' ? 'i32' : x.dtype;
    const chosen = this.node('Where', [condition, this.cast(x, dtype), this.cast(y, dtype)], { dtype });
    return this.cast(chosen, x.dtype);
  }
}

function extremes(values: ArrayLike<number>): readonly [number, number] {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  return [low, high];
}
