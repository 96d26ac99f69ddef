import type { Application } from '../apply.ts';
import type { Device } from '../device/device.ts';
import type { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import { checkTensors, scalarValue } from '../ops/arguments.ts';
import { scope } from '../scope.ts';
import { formatShape, valueText } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { type Graph, type GraphNode, type GraphValue, Output } from './graph.ts';
import { compareEnds, compareNodes } from './stale.ts';
import { currentRepetition, type Tracer, traceWith } from './tracing.ts';
import { flattenTree, mapTensors } from './tree.ts';

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

/** Any function of arguments that are not known here. */
export type AnyFunction = (...args: never[]) => unknown;

/**
 * Tensors that stand for those of the arguments: dense, at the start of their storage. `separate`: whether a tensor that is
 * given twice counts as two.
 */
function createStandIns(separate: boolean) {
  const tensors: Tensor[] = [];
  const standing = new Map<number, Tensor>();
  return {
    tensors: tensors as readonly Tensor[],
    standFor({ id, device, dtype, shape }: Tensor): Tensor {
      const before = separate ? undefined : standing.get(id);
      if (before) return before;
      const own = Tensor.allocate(device, dtype, shape, 'an argument of a compiled function', false);
      standing.set(id, own);
      tensors.push(own);
      return own;
    },
  };
}

/** What a function returns of `args`; the scope disposes what it makes on its way. @throws Error where it is async. */
function resultOf(fn: AnyFunction, args: readonly unknown[]): unknown {
  return scope(() => {
    const value = fn(...(args as never[]));
    if (!(value instanceof Promise)) return value;
    value.catch(() => {});
    throw new TypeError(
      'compile: the function is async; a compiled function cannot wait or read elements back: return tensors and read them outside',
    );
  });
}

function checkAlive(standIns: readonly Tensor[]): void {
  const gone = standIns.find(({ disposed }) => disposed);
  if (!gone) return;
  throw new Error(
    `compile: the function disposes its argument ${gone.dtype}${formatShape(gone.shape)}; dispose it after the call`,
  );
}

export interface Traced {
  readonly graph: Graph;
  /** What the function returned, with an `Output` in place of each tensor. */
  readonly result: unknown;
  /** Places of the arguments that the function takes gradients with respect to. */
  readonly differentiated: readonly number[];
}

/**
 * Runs `fn` on paper, with `args` whose tensors are replaced by others that stand for them.
 *
 * @param expected a graph to compare with.
 * @param separate whether a tensor that is given twice counts as two.
 * @throws Error when `fn` is async, reads elements back or disposes an argument.
 * @throws StaleTraceError when it does something else than `expected`.
 */
export function traceCall(
  device: Device,
  fn: AnyFunction,
  args: readonly unknown[],
  { expected, separate = false }: { expected?: Graph; separate?: boolean } = {},
): Traced {
  const tracer = createTracer(expected);
  const standIns = createStandIns(separate);
  try {
    const { inputs, outputs, result } = traceWith(tracer satisfies Tracer, () => {
      const replaced = mapTensors(args, standIns.standFor) as readonly unknown[];
      const inputs = standIns.tensors.map(tracer.input);
      const returned = resultOf(fn, replaced);
      checkAlive(standIns.tensors);
      const leaves = flattenTree(returned);
      const outputs = leaves.map((tensor) => tracer.valueOf(tensor));
      let at = 0;
      const result = mapTensors(returned, () => new Output(at++));
      for (const leaf of new Set(leaves)) if (tracer.valueOf(leaf).source === 'node') leaf.dispose();
      return { inputs, outputs, result };
    });
    const { values, nodes, dispose } = tracer;
    const graph: Graph = { device, values, inputs, outputs, nodes, dispose };
    if (expected) compareEnds(expected, graph);
    const differentiated = inputs.flatMap((input, i) => (tracer.wanted.has(input) ? [i] : []));
    return { graph, result, differentiated };
  } catch (error) {
    tracer.dispose();
    throw error;
  } finally {
    for (const tensor of standIns.tensors) tensor[Symbol.dispose]();
  }
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
  return traceCall(inputs[0].device, fn as AnyFunction, inputs, { separate: true }).graph;
}
