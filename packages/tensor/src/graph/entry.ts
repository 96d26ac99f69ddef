import { apply } from '../apply.ts';
import type { Storage } from '../memory/storage.ts';
import { formatShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { type GraphValue, Output } from './graph.ts';
import { createPlan, type Plan } from './plan.ts';
import { compareResults, StaleTraceError } from './stale.ts';
import { type AnyFunction, type Traced, traceCall } from './trace.ts';
import { mapLeaves } from './tree.ts';

/** A function as it was traced for arguments of one kind, with the plan that replays it. */
export interface Entry extends Traced {
  readonly plan: Plan;
  /** Tensors from outside. */
  readonly captured: readonly GraphValue[];
}

/** Plans what was traced, or lets it go. `name` is that of the function. */
export function createEntry(traced: Traced, name: string): Entry {
  const { graph } = traced;
  try {
    const captured = graph.values.filter(({ origin }) => origin);
    return { ...traced, captured, plan: createPlan(graph, name) };
  } catch (error) {
    graph.dispose();
    throw error;
  }
}

export function disposeEntry({ plan, graph }: Entry): void {
  plan.dispose();
  graph.dispose();
}

/** Runs `fn` on paper again. @throws StaleTraceError when it does something else than when it was traced. */
export function compareWithTrace({ graph, result }: Entry, fn: AnyFunction, args: readonly unknown[]): void {
  const again = traceCall(graph.device, fn, args, { expected: graph });
  again.graph.dispose();
  compareResults(result, again.result);
}

/** Checks that the plan can run with these arguments: that nothing has moved, and no memory is known by two names. */
export function checkMemory(entry: Entry, tensors: readonly Tensor[]): void {
  checkCaptured(entry.captured);
  checkChanged(entry, tensors);
  checkDifferentiated(entry, tensors);
}

/** A tensor from outside that is gone or lies elsewhere now would be missed: its old memory would be read. */
function checkCaptured(captured: readonly GraphValue[]): void {
  for (const { origin, storage, offset, dtype, shape } of captured) {
    const tensor = origin?.deref();
    if (!tensor || (!tensor.disposed && tensor.storage === storage && tensor.offset === offset)) continue;
    throw new StaleTraceError(
      `compile: the tensor ${dtype}${formatShape(shape)} that the function took from outside when it was traced ` +
        `${tensor.disposed ? 'was disposed' : 'has moved (into an optimiser’s arena, say)'} since; pass it as an argument, or compile the function again`,
    );
  }
}

/**
 * What changes in place has to lie where the kernels write, and must be read by no other name: the order of kernels knows
 * of none.
 */
function checkChanged({ plan, captured }: Entry, tensors: readonly Tensor[]): void {
  const { changed } = plan;
  if (changed.arguments.size + changed.captured.size === 0) return;
  tensors.forEach((tensor, i) => {
    const changes = changed.arguments.has(i);
    const what = `compile: argument ${i + 1} of the tensors, ${tensor.dtype}${formatShape(tensor.shape)},`;
    if (changes && !isDense(tensor)) {
      throw new Error(`${what} is changed in place by the function, but is a view; pass a tensor of its own`);
    }
    const other = tensors.findIndex(({ storage }, k) => k !== i && storage === tensor.storage);
    const outside = changes
      ? captured.some(({ storage }) => storage === tensor.storage)
      : changed.captured.has(tensor.storage);
    if (outside || (changes && other >= 0)) {
      throw new Error(
        `${what} shares memory with ${outside ? 'a tensor from outside' : `argument ${other + 1}`}, and the function ` +
          'changes one of them in place; pass a copy (.add(0))',
      );
    }
  });
}

/** By two names one tensor is two: the gradient of the argument would lack what went by way of the other. */
function checkDifferentiated({ differentiated, captured }: Entry, tensors: readonly Tensor[]): void {
  for (const i of differentiated) {
    const { dtype, shape, storage } = tensors[i];
    if (!captured.some((value) => value.storage === storage)) continue;
    throw new Error(
      `compile: argument ${i + 1} of the tensors, ${dtype}${formatShape(shape)}, whose gradient the function takes, is also ` +
        'used by it from outside, and the gradient would lack that part; use the argument alone, or leave it out of the ' +
        'arguments and take the gradient of the tensor from outside',
    );
  }
}

const isDense = (tensor: Tensor) => tensor.offset === 0 && tensor.contiguous;

/** Runs the plan on the tensors of a call. Returns what the function returns. */
export function replayEntry({ plan, result }: Entry, tensors: readonly Tensor[]): unknown {
  return withDenseArguments(tensors, (given) => {
    const made = plan.run(given.map(({ buffer }) => buffer));
    const outputs = plan.results.map(({ view, from, index }) => {
      const storage = from === 'result' ? made[index] : from === 'argument' ? given[index] : view.storage;
      return new Tensor(storage, view.dtype, view.shape, view.strides, view.offset);
    });
    return mapLeaves(result, (leaf) => (leaf instanceof Output ? outputs[leaf.index] : leaf));
  });
}

/** Calls `body` with storages from the start of which the tensors lie, as the kernels of a trace read them: copies of views. */
function withDenseArguments<T>(tensors: readonly Tensor[], body: (given: readonly Storage[]) => T): T {
  const dense = tensors.map((tensor) => (isDense(tensor) ? tensor : apply('contiguous', [tensor], {})[0]));
  try {
    return body(dense.map(({ storage }) => storage));
  } finally {
    dense.forEach((tensor, i) => {
      if (tensor !== tensors[i]) tensor.dispose();
    });
  }
}
