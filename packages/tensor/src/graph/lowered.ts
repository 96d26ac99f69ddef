import type { Device } from '../device/device.ts';
import { bytesPerElement } from '../dtype.ts';
import type { Cost } from '../kernel/profiler.ts';
import { sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { AnyDispatch } from './join.ts';
import type { Step, View } from './optimize.ts';
import { onPaper } from './tracing.ts';

/** A dispatch of the compiled function, over real buffers and buffers that the plan still has to place. */
export interface Lowered extends AnyDispatch {
  /** Names of the operations in it. */
  readonly operations: readonly string[];
  /** What it is part of: shared by the dispatches of one operation with those joined to it. */
  readonly cost: Cost;
}

/** What a unit, or several in a row, became. */
export interface Lowering {
  readonly dispatches: readonly Lowered[];
  /** Outputs that take over the memory of an input: virtual buffer ids. */
  readonly inPlace: ReadonlyMap<number, number>;
}

/** Bytes of what is read or written, each view once. */
export const bytesOf = (views: readonly View[]) =>
  views.reduce(
    (sum, { storage, shape, dtype }) => sum + Math.min(storage.buffer.size, bytesPerElement(dtype) * sizeOf(shape)),
    0,
  );

function flopsOf(step: Step): number {
  const size = step.outputs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (!step.op.flops) return size;
  return step.op.flops(
    step.inputs.map(({ shape, dtype }) => ({ shape, dtype, rank: shape.length, size: sizeOf(shape) }) as Tensor),
    step.outputs.map(({ shape, dtype }) => ({ shape, dtype, rank: shape.length, size: sizeOf(shape) }) as Tensor),
    step.node.attributes,
  );
}

export const flopsOfAll = (steps: readonly Step[]) => steps.reduce((sum, step) => sum + flopsOf(step), 0);
export const namesOf = (steps: readonly Step[]) => steps.map(({ node }) => node.name);

/** The dispatches of one operation. */
function takeDown(device: Device, step: Step): AnyDispatch[] {
  const tensorOf = ({ storage, dtype, shape, strides, offset }: View) =>
    new Tensor(storage, dtype, shape, strides, offset, false);
  return onPaper(() =>
    device.recorder.capture(() => {
      const inputs = step.inputs.map(tensorOf);
      const outputs = step.outputs.map(tensorOf);
      const empty = outputs.length > 0 && outputs.every(({ size }) => size === 0);
      try {
        if (!empty) step.op.run(device, inputs, outputs, step.node.attributes);
      } finally {
        for (const tensor of [...inputs, ...outputs]) tensor.dispose();
      }
    }),
  );
}

/** An operation by itself. */
export function lowerAlone(device: Device, step: Step): Lowered[] {
  const dispatches = takeDown(device, step);
  const { name } = step.node;
  const cost = {
    operation: name,
    flops: flopsOf(step),
    bytes: bytesOf(step.inputs) + bytesOf(step.outputs),
    dispatches: dispatches.length,
  };
  return dispatches.map((dispatch) => ({ ...dispatch, operations: [name], cost }));
}
