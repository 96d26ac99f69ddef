import type { Device } from '../device/device.ts';
import type { DType } from '../dtype.ts';
import type { Storage } from '../memory/storage.ts';
import type { Op } from '../ops/op.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** A tensor of a traced function: who made it and how it lies in its storage. */
export interface GraphValue {
  /** Position in the graph's list of values. */
  readonly id: number;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  readonly storage: Storage;
  /** `captured`: a tensor from outside that is no argument, or one made of numbers; `scalar`: a number among the operands. */
  readonly source: 'input' | 'captured' | 'scalar' | 'node';
  /** Of captured values and scalars, held until the graph is disposed. */
  readonly tensor?: Tensor;
  /** The user's own handle of what was captured from outside. */
  readonly origin?: WeakRef<Tensor>;
  /** Of scalars. */
  readonly value?: number;
  /** Of tensors made of numbers inside the function. */
  readonly numbers?: ArrayLike<number>;
}

/** An operation of a traced function; views are operations too. */
export interface GraphNode {
  readonly name: string;
  readonly op: Op<unknown>;
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly attributes: Readonly<Record<string, unknown>>;
  /** The deliberate repetition that it is part of: see `repeating`. */
  readonly repetition?: number;
}

/** What a function did, in order. */
export interface Graph {
  readonly device: Device;
  readonly values: readonly GraphValue[];
  readonly inputs: readonly GraphValue[];
  readonly outputs: readonly GraphValue[];
  readonly nodes: readonly GraphNode[];
  /** Lets the captured tensors go. */
  dispose(): void;
}

/** Stands for a tensor in what a traced function returned. */
export class Output {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}
