import { isObserved } from '../apply.ts';
import { checkOptions } from '../ops/arguments.ts';
import { formatShape, valueText } from '../shape.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import { checkMemory, compareWithTrace, createEntry, disposeEntry, type Entry, replayEntry } from './entry.ts';
import { explainPlan } from './explain.ts';
import { identity } from './optimize.ts';
import { type AnyFunction, traceCall } from './trace.ts';
import { currentTrace } from './tracing.ts';
import { flattenTree, isPlain } from './tree.ts';
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

/** The tensors of a call, one that is passed twice once, and the key of the trace that it leads to. */
function readCall(args: readonly unknown[]): { tensors: Tensor[]; key: string } {
  const given = flattenTree(args);
  const different = new Map(given.map((tensor) => [tensor.id, tensor]));
  const ids = [...different.keys()];
  const repeats = ids.length < given.length ? ` ${given.map(({ id }) => ids.indexOf(id))}` : '';
  return { tensors: [...different.values()], key: keyOf(args) + repeats };
}

interface CheckedEntry extends Entry {
  readonly verification: Verification;
}

/** Traces by the keys of their calls: `size` at most, of which the least recently used goes first. */
function createTraceCache(size: number) {
  const entries = new Map<string, CheckedEntry>();
  let latest: CheckedEntry | undefined;

  function use(key: string, entry: CheckedEntry): CheckedEntry {
    entries.set(key, entry);
    latest = entry;
    return entry;
  }

  function release(entry: CheckedEntry): void {
    disposeEntry(entry);
    if (latest === entry) latest = undefined;
  }

  return {
    get all(): readonly CheckedEntry[] {
      return [...entries.values()];
    },
    /** That of the last call. */
    get latest() {
      return latest;
    },
    /** One that the GPU had no memory for goes, so that another may be tried. */
    find(key: string): CheckedEntry | undefined {
      const entry = entries.get(key);
      if (!entry) return undefined;
      entries.delete(key);
      if (!entry.plan.broken) return use(key, entry);
      release(entry);
      return undefined;
    },
    add(key: string, entry: CheckedEntry): CheckedEntry {
      if (entries.size >= size) {
        const [oldest, unused] = entries.entries().next().value as [string, CheckedEntry];
        entries.delete(oldest);
        release(unused);
      }
      return use(key, entry);
    },
    clear(): void {
      for (const entry of entries.values()) release(entry);
      entries.clear();
    },
  };
}

function checkCompileOptions(fn: unknown, options: CompileOptions): Required<CompileOptions> {
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
  return { cacheSize, verify };
}

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
  const { cacheSize, verify } = checkCompileOptions(fn, options);
  const cache = createTraceCache(cacheSize);
  let traces = 0;

  function trace(key: string, args: A, [first]: readonly Tensor[]): CheckedEntry {
    if (!first) throw new TypeError('compile: at least one argument must be a tensor');
    const traced = traceCall(first.device, fn as AnyFunction, args);
    traces++;
    const entry = createEntry(traced, fn.name);
    return cache.add(key, { ...entry, verification: createVerification(verify) });
  }

  function compareWhenDue(entry: CheckedEntry, args: A): void {
    entry.verification.before(() => {
      try {
        compareWithTrace(entry, fn as AnyFunction, args);
      } catch (error) {
        // What changed for one trace may have changed for all.
        for (const { verification } of cache.all) verification.doubt();
        throw error;
      }
    });
  }

  function call(...args: A): R {
    // Part of an outer trace, or of what somebody listens to: gradients flow through its operations, not its kernels.
    if (currentTrace() || isObserved()) return fn(...args);
    const { tensors, key } = readCall(args);
    const entry = cache.find(key) ?? trace(key, args, tensors);
    entry.graph.device.assertUsable('compiled function');
    checkMemory(entry, tensors);
    compareWhenDue(entry, args);
    return replayEntry(entry, tensors) as R;
  }

  return Object.defineProperties(call as Compiled<A, R>, {
    explain: {
      value: () => {
        if (!cache.latest) throw new Error('explain: the function has not been called yet');
        return explainPlan(cache.latest.plan, cache.latest.graph);
      },
    },
    traces: { get: () => traces },
    plannedBytes: {
      get: () => cache.all.reduce((sum, { plan }) => sum + plan.sizes.reduce((a, b) => a + b, 0), 0),
    },
    dispose: { value: cache.clear },
  });
}
