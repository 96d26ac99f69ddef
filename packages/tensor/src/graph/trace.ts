import type { Application } from '../apply.ts';
import type { Device } from '../device/device.ts';
import type { DType } from '../dtype.ts';
import type { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import { checkTensors, scalarValue } from '../ops/arguments.ts';
import type { Op } from '../ops/op.ts';
import { scope } from '../scope.ts';
import { formatShape, type Shape, sameShape, valueText } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { currentRepetition, type Tracer, traceWith } from './tracing.ts';
import { flattenTree, isPlain, mapTensors } from './tree.ts';

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

/** Thrown when a compiled function does something else than when it was traced. */
export class StaleTraceError extends Error {
  override name = 'StaleTraceError';
}

function stale(what: string): never {
  throw new StaleTraceError(
    `compile: since the function was traced, ${what}. A compiled function replays what it recorded: pass what changes ` +
      'as an argument (numbers as arguments lead to another trace, tensors do not)',
  );
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Data in attributes is equal in all its parts; devices are equal when they are the same. */
export function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => sameData(item, b[i]));
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && sameData(a[key], b[key]));
}

function compareNodes(before: GraphNode | undefined, now: GraphNode, at: number): void {
  const where = `operation ${at + 1}`;
  if (!before) stale(`it does more: ${where} is ${now.name}, where the trace had ended`);
  if (before.name !== now.name) stale(`${where} became ${now.name}, which was ${before.name}`);
  for (const key of new Set([...Object.keys(before.attributes), ...Object.keys(now.attributes)])) {
    const [was, is] = [before.attributes[key], now.attributes[key]];
    if (!sameData(was, is)) stale(`\`${key}\` of ${now.name} (${where}) changed from ${show(was)} to ${show(is)}`);
  }
  before.inputs.forEach((input, i) => {
    const other = now.inputs[i];
    if (
      !other ||
      input.source !== other.source ||
      input.dtype !== other.dtype ||
      !sameShape(input.shape, other.shape)
    ) {
      stale(
        `operand ${i + 1} of ${now.name} (${where}) changed from ${input.source} ${input.dtype}${formatShape(input.shape)}` +
          ` to ${other ? `${other.source} ${other.dtype}${formatShape(other.shape)}` : 'nothing'}`,
      );
    }
    if (input.source === 'scalar' && !Object.is(input.value, other.value)) {
      stale(`the number that ${now.name} (${where}) takes changed from ${input.value} to ${other.value}`);
    }
    if (input.numbers && other.numbers) {
      const { numbers } = other;
      if (numbers === input.numbers) return;
      const at = Array.from(input.numbers).findIndex((value, k) => !Object.is(value, numbers[k]));
      if (at >= 0) {
        stale(
          `element ${at} of a tensor made of numbers, which ${now.name} (${where}) takes, changed from ${input.numbers[at]} to ${numbers[at]}`,
        );
      }
      return;
    }
    const moved = input.source === 'captured' && (input.storage !== other.storage || input.offset !== other.offset);
    if (moved || input.id !== other.id) {
      stale(
        `operand ${i + 1} of ${now.name} (${where}), ${input.dtype}${formatShape(input.shape)}, became another tensor` +
          (moved ? ' from outside' : ''),
      );
    }
  });
}

/** Takes a function's operations down, or compares them one by one with those of an earlier trace. */
function createTracer(expected?: Graph) {
  const values: GraphValue[] = [];
  const nodes: GraphNode[] = [];
  const known = new Map<number, GraphValue>();
  const constants = new Map<Storage, ArrayLike<number>>();
  const differentiated = new Set<GraphValue>();

  function add(tensor: Tensor, source: GraphValue['source'], extra: Partial<GraphValue> = {}) {
    const { dtype, shape, strides, offset, storage } = tensor;
    const value: GraphValue = { id: values.length, dtype, shape, strides, offset, storage, source, ...extra };
    values.push(value);
    known.set(tensor.id, value);
    return value;
  }

  function valueOf(tensor: Tensor): GraphValue {
    const found = known.get(tensor.id);
    if (found && found.storage === tensor.storage) return found;
    // A buffer of another trace says so itself.
    if (isVirtual(tensor.storage.buffer)) void tensor.storage.buffer.gpu;
    const value = scalarValue(tensor.storage);
    const numbers = constants.get(tensor.storage);
    const origin = value === undefined && !numbers ? new WeakRef(tensor) : undefined;
    return add(tensor, value === undefined ? 'captured' : 'scalar', {
      tensor: tensor.retain(),
      value,
      numbers,
      origin,
    });
  }

  return {
    input: (tensor: Tensor) => add(tensor, 'input'),
    valueOf,
    values,
    nodes,
    record({ name, op, inputs, outputs, attributes }: Application) {
      const node: GraphNode = {
        name,
        op,
        inputs: inputs.map(valueOf),
        outputs: outputs.map((output) => add(output, 'node')),
        attributes: attributes as GraphNode['attributes'],
        ...(currentRepetition() > 0 && { repetition: currentRepetition() }),
      };
      if (expected) compareNodes(expected.nodes[nodes.length], node, nodes.length);
      nodes.push(node);
    },
    constant(tensor: Tensor, numbers: ArrayLike<number>) {
      constants.set(tensor.storage, numbers);
    },
    differentiated(tensors: readonly Tensor[]) {
      for (const { id } of tensors) {
        const value = known.get(id);
        if (value?.source === 'input') differentiated.add(value);
      }
    },
    wanted: differentiated,
    dispose() {
      for (const { tensor } of values) tensor?.dispose();
    },
  };
}

/** A tensor that stands for an argument: dense, at the start of its storage. */
function placeholder(like: Tensor): Tensor {
  return Tensor.allocate(like.device, like.dtype, like.shape, 'an argument of a compiled function', false);
}

/** Stands for a tensor in what a traced function returned. */
export class Output {
  readonly index: number;
  constructor(index: number) {
    this.index = index;
  }
}

export interface Traced {
  readonly graph: Graph;
  /** What the function returned, with an `Output` in place of each tensor. */
  readonly result: unknown;
  /** Places of the arguments that the function takes gradients with respect to. */
  readonly differentiated: readonly number[];
}

/**
 * Runs `fn` on paper, with `args` whose tensors are replaced by placeholders.
 *
 * @param expected a graph to compare with.
 * @param separate whether a tensor that is given twice counts as two.
 * @throws Error when `fn` is async, reads elements back or disposes an argument.
 */
export function traceCall(
  device: Device,
  fn: (...args: never[]) => unknown,
  args: readonly unknown[],
  { expected, separate = false }: { expected?: Graph; separate?: boolean } = {},
): Traced {
  const tracer = createTracer(expected);
  const inputs: GraphValue[] = [];
  const placeholders: Tensor[] = [];
  const standing = new Map<number, Tensor>();
  try {
    const { result, outputs } = traceWith(tracer satisfies Tracer, () => {
      const replaced = mapTensors(args, (tensor) => {
        const before = separate ? undefined : standing.get(tensor.id);
        if (before) return before;
        const stand = placeholder(tensor);
        standing.set(tensor.id, stand);
        placeholders.push(stand);
        inputs.push(tracer.input(stand));
        return stand;
      });
      // The scope disposes what the function made on its way.
      const returned = scope(() => {
        const value = fn(...(replaced as never[]));
        if (!(value instanceof Promise)) return value;
        value.catch(() => {});
        throw new TypeError(
          'compile: the function is async; a compiled function cannot wait or read elements back: return tensors and read them outside',
        );
      });
      const gone = placeholders.find(({ disposed }) => disposed);
      if (gone) {
        throw new Error(
          `compile: the function disposes its argument ${gone.dtype}${formatShape(gone.shape)}; dispose it after the call`,
        );
      }
      const leaves = flattenTree(returned);
      const outputs = leaves.map((tensor) => tracer.valueOf(tensor));
      let at = 0;
      const result = mapTensors(returned, () => new Output(at++));
      for (const leaf of new Set(leaves)) if (tracer.valueOf(leaf).source === 'node') leaf.dispose();
      return { result, outputs };
    });
    const graph: Graph = {
      device,
      values: tracer.values,
      inputs,
      outputs,
      nodes: tracer.nodes,
      dispose: tracer.dispose,
    };
    if (expected) compareEnds(expected, graph);
    const differentiated = inputs.flatMap((input, i) => (tracer.wanted.has(input) ? [i] : []));
    return { graph, result, differentiated };
  } catch (error) {
    tracer.dispose();
    throw error;
  } finally {
    for (const stand of placeholders) stand[Symbol.dispose]();
  }
}

function compareEnds(before: Graph, now: Graph): void {
  if (before.nodes.length > now.nodes.length) {
    const missing = before.nodes[now.nodes.length];
    stale(`it does less: it ended before operation ${now.nodes.length + 1}, ${missing.name}`);
  }
  const same =
    before.outputs.length === now.outputs.length && before.outputs.every((o, i) => o.id === now.outputs[i].id);
  if (!same) stale('it returns other tensors');
}

/** Compares what a function returned beside tensors with what it returns now: plain data, as deep as they are nested. */
export function compareResults(before: unknown, now: unknown, where = 'what it returns'): void {
  const entriesOf = (value: unknown): [unknown, unknown][] | undefined => {
    if (value instanceof Map) return [...value];
    return Array.isArray(value) || isPlain(value) ? Object.entries(value) : undefined;
  };
  if (before instanceof Output && now instanceof Output && before.index === now.index) return;
  const [was, is] = [entriesOf(before), entriesOf(now)];
  if (was && is && was.length === is.length) {
    was.forEach(([key, value], i) => {
      if (!Object.is(key, is[i][0])) stale(`a key in ${where} changed from ${show(key)} to ${show(is[i][0])}`);
      compareResults(value, is[i][1], `${show(key)} in ${where}`);
    });
    return;
  }
  const isData = (value: unknown) => (typeof value !== 'object' && typeof value !== 'function') || value === null;
  // Objects of other kinds may be made anew each time.
  if (Object.is(before, now) || (!isData(before) && !isData(now) && !was && !is)) return;
  stale(`${where} changed from ${show(before)} to ${show(now)}`);
}

/**
 * The graph of what `fn` does to tensors like `inputs`, without running it: for export and for looking at. Tensors that
 * `fn` uses and that are no arguments (parameters) appear as captured values.
 *
 * @param fn returns a tensor, or tensors in arrays, maps and plain objects.
 * @throws Error when `fn` reads elements back.
 */
export function trace(fn: (...inputs: Tensor[]) => unknown, inputs: readonly Tensor[]): Graph {
  if (typeof fn !== 'function') throw new TypeError(`trace: ${valueText(fn)} is no function; write trace(fn, [x])`);
  checkTensors('trace', inputs, 'write trace(fn, [x])');
  if (inputs.length === 0) throw new RangeError('trace: at least one input is needed');
  return traceCall(inputs[0].device, fn as (...args: never[]) => unknown, inputs, { separate: true }).graph;
}
