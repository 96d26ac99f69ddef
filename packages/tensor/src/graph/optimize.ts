import type { DType } from '../dtype.ts';
import type { Storage } from '../memory/storage.ts';
import type { KernelOp } from '../ops/op.ts';
import { opTable } from '../ops/table.ts';
import { isContiguous, type Shape } from '../shape.ts';
import type { Graph, GraphNode, GraphValue } from './graph.ts';
import { isPlain } from './tree.ts';

/** How an operation sees a storage. */
export interface View {
  readonly storage: Storage;
  readonly dtype: DType;
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
  /** The number that every element is, where that is known. */
  readonly literal?: number;
}

/** An operation that computes something; views have become layouts of what it reads. */
export interface Step {
  readonly node: GraphNode;
  readonly op: KernelOp<unknown>;
  readonly inputs: readonly View[];
  readonly outputs: readonly View[];
  /** Made again where it is read late; must not join the steps that made it first. */
  readonly late?: boolean;
}

export interface Program {
  readonly steps: readonly Step[];
  readonly outputs: readonly View[];
  /** Operations that were dropped, for `explain`. */
  readonly removed: { dead: number; repeated: number };
}

/** Whether elements are read one after another from the start of the storage. */
export function isWhole(view: View): boolean {
  return view.offset === 0 && isContiguous(view.shape, view.strides);
}

/** Tells views of one storage apart. */
export function viewName({ storage, offset, shape, strides }: View): string {
  return `${storage.buffer.id}+${offset}[${shape}|${strides}]`;
}

export function mutated(step: Step): Storage[] {
  return (step.op.mutates ?? []).map((i) => step.inputs[i].storage);
}

const ids = new WeakMap<object, number>();
let nextId = 1;
/** A number for an object, to make keys of. */
export function identity(object: object): number {
  let id = ids.get(object);
  if (id === undefined) ids.set(object, (id = nextId++));
  return id;
}

function attributesKey(attributes: Readonly<Record<string, unknown>>): string {
  // JSON knows no infinities, and devices are told apart by identity.
  return JSON.stringify(attributes, (_, value) => {
    if (typeof value === 'number' && !Number.isFinite(value)) return `number ${value}`;
    if (Object.is(value, -0)) return 'number -0';
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && !isPlain(value)) {
      return `object ${identity(value)}`;
    }
    return value;
  });
}

/**
 * Turns a graph into the list of what must be computed: views disappear, equal computations happen once (but for
 * those that repeat others on purpose; they are copied where the caller gets both), what nobody needs is dropped. The order stays.
 */
export function optimize(graph: Graph): Program {
  const { steps, outputs, repeated } = withoutRepetitions(graph);
  const alive = withoutDead(steps, outputs);
  return { steps: alive, outputs, removed: { dead: steps.length - alive.length, repeated } };
}

/** What is known of storages so far, as a graph is gone through from its first operation to its last. */
function createContents() {
  /** Storage that holds the same elements as another. */
  const same = new Map<Storage, Storage>();
  const literals = new Map<Storage, number>();
  /** How often a storage has changed. */
  const versions = new Map<Storage, number>();
  return {
    viewOf({ storage, dtype, shape, strides, offset, source, value }: GraphValue): View {
      const root = same.get(storage) ?? storage;
      const literal = source === 'scalar' ? value : literals.get(root);
      return { storage: root, dtype, shape, strides, offset, literal };
    },
    /** The same for views of the same elements. */
    keyOf({ storage, dtype, shape, strides, offset, literal }: View): string {
      return literal === undefined
        ? `${identity(storage)}.${versions.get(storage) ?? 0}:${dtype}[${shape}|${strides}]+${offset}`
        : `${Object.is(literal, -0) ? '-0' : literal}:${dtype}[${shape}]`;
    },
    equate(storage: Storage, before: Storage): void {
      same.set(storage, before);
    },
    fill(storage: Storage, literal: number): void {
      literals.set(storage, literal);
    },
    change(storage: Storage): void {
      versions.set(storage, (versions.get(storage) ?? 0) + 1);
    },
  };
}

/** The operations but for views and those that compute again what is there already. */
function withoutRepetitions(graph: Graph): { steps: Step[]; outputs: View[]; repeated: number } {
  const { viewOf, keyOf, equate, fill, change } = createContents();
  const isPure = purityIn(graph);
  /** Storages that the caller gets: each has memory of its own, as without compiling. */
  const returned = new Set(graph.outputs.map(({ storage }) => storage));
  const steps: Step[] = [];
  const seen = new Map<string, readonly GraphValue[]>();
  let repeated = 0;

  function reuse(before: GraphValue, output: GraphValue): void {
    const given = returned.has(output.storage);
    if (given && returned.has(before.storage)) {
      steps.push(copyOf(before, output));
      return;
    }
    equate(output.storage, before.storage);
    if (given) returned.add(before.storage);
  }

  function copyOf(before: GraphValue, output: GraphValue): Step {
    const op = opTable.contiguous as KernelOp<unknown>;
    const node = { name: 'contiguous', op, inputs: [before], outputs: [output], attributes: {} };
    return { node, op, inputs: [viewOf(before)], outputs: [viewOf(output)] };
  }

  for (const node of graph.nodes) {
    const { op } = node;
    if (op.kind === 'view') continue;
    const inputs = node.inputs.map(viewOf);
    if (isPure(node)) {
      const key = `${node.repetition ?? ''} ${identity(op)}(${inputs.map(keyOf)})${attributesKey(node.attributes)}`;
      const before = seen.get(key);
      if (before) {
        for (const [i, output] of node.outputs.entries()) reuse(before[i], output);
        repeated++;
        continue;
      }
      seen.set(key, node.outputs);
      if (node.name === 'full') fill(node.outputs[0].storage, node.attributes.value as number);
    }
    const step = { node, op, inputs, outputs: node.outputs.map(viewOf) };
    for (const storage of mutated(step)) change(storage);
    steps.push(step);
  }
  return { steps, outputs: graph.outputs.map(viewOf), repeated };
}

/** Tells the operations that make elements which nothing changes later, and change none themselves. */
function purityIn({ nodes }: Graph): (node: GraphNode) => boolean {
  const changed = new Set<Storage>();
  for (const { op, inputs } of nodes) {
    if (op.kind === 'kernel') for (const i of op.mutates ?? []) changed.add(inputs[i].storage);
  }
  return ({ op, outputs }) =>
    op.kind === 'kernel' && !op.mutates && outputs.length > 0 && outputs.every(({ storage }) => !changed.has(storage));
}

/** The steps that change something, or make what outputs or later ones of them need. */
function withoutDead(steps: readonly Step[], outputs: readonly View[]): Step[] {
  const needed = new Set<Storage>(outputs.map(({ storage }) => storage));
  const alive: Step[] = [];
  for (const step of steps.toReversed()) {
    if (mutated(step).length === 0 && !step.outputs.some(({ storage }) => needed.has(storage))) continue;
    // A literal is written into the kernel where that is elementwise; others read it.
    for (const { storage, literal } of step.inputs) if (literal === undefined || !step.op.map) needed.add(storage);
    alive.push(step);
  }
  return alive.reverse();
}
