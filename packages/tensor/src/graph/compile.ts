import { apply, isObserved } from '../apply.ts';
import { checkOptions } from '../ops/arguments.ts';
import { formatShape, valueText } from '../shape.ts';
import { isTensor, Tensor } from '../tensor.ts';
import { explainPlan } from './explain.ts';
import { identity } from './optimize.ts';
import { createPlan, type Plan } from './plan.ts';
import { compareResults, type Graph, type GraphValue, Output, StaleTraceError, traceCall } from './trace.ts';
import { currentTrace } from './tracing.ts';
import { flattenTree, isPlain, mapLeaves } from './tree.ts';
import { createVerification, type Verification, type VerifyMode } from './verify.ts';

/** How `compile` keeps and checks its traces. */
export interface CompileOptions {
  /** Traces kept, one for each combination of shapes, dtypes and other arguments; the least recently used goes first. */
  cacheSize?: number;
  /**
   * When to run the function on paper again and compare it with its trace, to find closure values that changed:
   * `regular` (before calls 2, 4, 8, … 256, then at least once in 256 calls, and as often as that takes a fiftieth of the
   * time; the default), `always`, or `never`.
   */
  verify?: VerifyMode;
}

/** A function that was traced and is replayed. */
export interface Compiled<A extends readonly unknown[], R> {
  (...args: A): R;
  /**
   * The kernels of the latest trace: what was fused into each, its bytes and FLOPs; and the memory they take. What an
   * operation of several kernels costs stands by the first of them, and `"` by the others.
   */
  explain(): string;
  /** How often the function was traced. */
  readonly traces: number;
  /** Bytes of GPU memory that the traces hold for what is made on the way. */
  readonly plannedBytes: number;
  /** Gives the memory of all traces back. The function may be called again. */
  dispose(): void;
}

interface Entry {
  readonly graph: Graph;
  readonly plan: Plan;
  /** Tensors from outside. */
  readonly captured: readonly GraphValue[];
  /** What the function returned, with an `Output` in place of each tensor. */
  readonly result: unknown;
  readonly differentiated: readonly number[];
  readonly verification: Verification;
}

/** What a trace depends on: devices, dtypes and shapes of tensors, and everything else as it is. */
function keyOf(value: unknown): string {
  if (isTensor(value)) return `${value.dtype}${formatShape(value.shape)}@${identity(value.device)}`;
  if (Array.isArray(value)) return `[${value.map(keyOf)}]`;
  if (value instanceof Map) return `map${keyOf([...value])}`;
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'boolean':
    case 'undefined':
      return String(value);
  }
  if (value === null) return 'null';
  if (isPlain(value)) {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${keyOf(item)}`)}}`;
  }
  const what = typeof value === 'object' ? (value.constructor?.name ?? 'special object') : typeof value;
  throw new TypeError(`compile: an argument is a ${what}; pass tensors and plain data, and close over the rest`);
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

/**
 * Makes a function of tensors fast: its first call runs it on paper and takes down every operation that passes the door
 * (gradients and optimiser steps included); dead code and repeated computations go, elementwise chains become one kernel
 * or part of the kernel before or after them, memory is placed once, and every further call replays the kernels.
 *
 * Arguments are tensors and plain data in arrays, maps and objects; another shape, dtype or plain value leads to another
 * trace. Tensors that the function uses without being passed (parameters) are read, and changed in place by optimisers,
 * where they lie. What it makes on its way is disposed. Results are the same to the bit from call to call, and those of
 * the function itself to rounding (1e-6, with f16 that of f16: drivers keep the digits of f32 where kernels were joined).
 *
 * @throws StaleTraceError when something other than arguments is found to have changed since the trace: it names what, at
 * each call until that is as it was. `verify` says when it is looked for.
 * @throws Error when the function reads elements back, is async, or a tensor of the trace is used outside.
 */
export function compile<A extends readonly unknown[], R>(
  fn: (...args: A) => R,
  options: CompileOptions = {},
): Compiled<A, R> {
  if (typeof fn !== 'function') throw new TypeError(`compile: ${valueText(fn)} is no function of tensors`);
  checkOptions('compile', options, ['cacheSize', 'verify']);
  const { cacheSize = 8, verify = 'regular' } = options;
  if (!(Number.isInteger(cacheSize) && cacheSize >= 1)) {
    throw new RangeError(
      `compile: cacheSize is ${valueText(cacheSize)}; expected a whole number from 1, of traces to keep`,
    );
  }
  if (!['regular', 'always', 'never'].includes(verify)) {
    throw new RangeError(`compile: verify is ${valueText(verify)}; expected 'regular', 'always' or 'never'`);
  }
  const entries = new Map<string, Entry>();
  let traces = 0;
  let latest: Entry | undefined;

  function release(entry: Entry): void {
    entry.plan.dispose();
    entry.graph.dispose();
    if (latest === entry) latest = undefined;
  }

  function entryFor(key: string, tensors: readonly Tensor[], args: A): Entry {
    let entry = entries.get(key);
    if (entry) entries.delete(key);
    if (entry?.plan.broken) {
      release(entry);
      entry = undefined;
    }
    if (!entry) {
      if (tensors.length === 0) throw new TypeError('compile: at least one argument must be a tensor');
      const { graph, result, differentiated } = traceCall(tensors[0].device, fn as (...args: never[]) => unknown, args);
      traces++;
      try {
        const captured = graph.values.filter(({ origin }) => origin);
        entry = {
          graph,
          captured,
          plan: createPlan(graph, fn.name),
          result,
          differentiated,
          verification: createVerification(verify),
        };
      } catch (error) {
        graph.dispose();
        throw error;
      }
      if (entries.size >= cacheSize) {
        const [oldest, unused] = entries.entries().next().value as [string, Entry];
        entries.delete(oldest);
        release(unused);
      }
    }
    entries.set(key, entry);
    return entry;
  }

  function check({ graph, result, verification }: Entry, args: A): void {
    verification.before(() => {
      try {
        const again = traceCall(graph.device, fn as (...args: never[]) => unknown, args, { expected: graph });
        again.graph.dispose();
        compareResults(result, again.result);
      } catch (error) {
        // What changed for one trace may have changed for all.
        for (const other of entries.values()) other.verification.doubt();
        throw error;
      }
    });
  }

  function call(...args: A): R {
    // Part of an outer trace, or of what somebody listens to: gradients flow through its operations, not its kernels.
    if (currentTrace() || isObserved()) return fn(...args);
    const given = flattenTree(args);
    // One that is passed twice is one argument.
    const different = new Map(given.map((tensor) => [tensor.id, tensor]));
    const tensors = [...different.values()];
    const ids = [...different.keys()];
    const again = tensors.length < given.length ? ` ${given.map(({ id }) => ids.indexOf(id))}` : '';
    const key = keyOf(args) + again;
    const entry = entryFor(key, tensors, args);
    latest = entry;
    const { plan, graph } = entry;
    graph.device.assertUsable('compiled function');
    checkCaptured(entry.captured);
    checkChanged(entry, tensors);
    checkDifferentiated(entry, tensors);
    check(entry, args);
    // The kernels of a trace read arguments from the start of their storage.
    const dense = tensors.map((tensor) => (isDense(tensor) ? tensor : apply('contiguous', [tensor], {})[0]));
    try {
      const made = plan.run(dense.map(({ storage }) => storage.buffer));
      const outputs = plan.results.map(({ view, from, index }) => {
        const storage = from === 'result' ? made[index] : from === 'argument' ? dense[index].storage : view.storage;
        return new Tensor(storage, view.dtype, view.shape, view.strides, view.offset);
      });
      return mapLeaves(entry.result, (leaf) => (leaf instanceof Output ? outputs[leaf.index] : leaf)) as R;
    } finally {
      dense.forEach((tensor, i) => {
        if (tensor !== tensors[i]) tensor.dispose();
      });
    }
  }

  return Object.defineProperties(call as Compiled<A, R>, {
    explain: {
      value: () => {
        if (!latest) throw new Error('explain: the function has not been called yet');
        return explainPlan(latest.plan, latest.graph);
      },
    },
    traces: { get: () => traces },
    plannedBytes: {
      get: () => [...entries.values()].reduce((sum, { plan }) => sum + plan.sizes.reduce((a, b) => a + b, 0), 0),
    },
    dispose: {
      value: () => {
        for (const entry of entries.values()) release(entry);
        entries.clear();
      },
    },
  });
}
