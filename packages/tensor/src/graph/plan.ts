import { callSite } from '../device/call-site.ts';
import type { Device } from '../device/device.ts';
import type { PooledBuffer } from '../memory/pool.ts';
import { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import { fuse, type Unit } from './fuse.ts';
import type { Graph } from './graph.ts';
import { type Layout, layOut, type ResultPlace } from './layout.ts';
import { lower } from './lower.ts';
import type { Lowered, Lowering } from './lowered.ts';
import { mutated, optimize, type Program, type Step } from './optimize.ts';
import { rematerialise } from './rematerialise.ts';
import { createReplay } from './replay.ts';

/** A graph with its kernels chosen and its memory placed. */
export interface Plan {
  readonly program: Program & { readonly remade: number };
  readonly dispatches: readonly Lowered[];
  /** Bytes of each buffer that holds what is made on the way. */
  readonly sizes: readonly number[];
  /** Bytes that the same values would take side by side. */
  readonly unsharedBytes: number;
  /** Outputs that were written over an input of theirs. */
  readonly inPlace: number;
  /** Whether the GPU had no memory for it. It can then not be run, and another plan may be tried. */
  readonly broken: boolean;
  readonly results: readonly ResultPlace[];
  /** What the function changes in place: arguments by their numbers, and memory from outside. */
  readonly changed: { readonly arguments: ReadonlySet<number>; readonly captured: ReadonlySet<Storage> };
  /** Replays everything. `buffers`: those of the arguments. Returns the storages of what was made. */
  run(buffers: readonly PooledBuffer[]): Storage[];
  dispose(): void;
}

/**
 * Compiles a graph: optimises, fuses, lowers, and places its memory. `name` is that of the function.
 *
 * @throws RangeError when a value is larger than the adapter can bind, and OutOfMemoryError, which name its operation.
 */
export function createPlan(graph: Graph, name = ''): Plan {
  const { device } = graph;
  const called = name ? `compiled function ${name}` : 'a compiled function';
  const holder = device.debug ? `${called}, first called at ${callSite()}` : called;
  const program = rematerialise(optimize(graph), device);
  const units = fuse(program, device.limits.maxStorageBuffersPerShaderStage);
  const argumentIndex = new Map(graph.inputs.map(({ storage }, i) => [storage, i]));
  const changed = new Set(units.flatMap(stepsOf).flatMap(mutated));
  const lasting = new Set([...argumentIndex.keys(), ...changed, ...program.outputs.map(({ storage }) => storage)]);
  const lowered = lowerUnits(device, units, lasting);
  const layout = layOut(program.outputs, argumentIndex, lowered, called);
  for (const { size, label } of layout.made) device.pool.checkSize(size, label);
  const replay = createReplay(device, lowered.dispatches, layout, { called, holder });
  const constants = graph.values.flatMap(({ tensor, origin }) => (tensor && !origin ? [tensor.storage.buffer] : []));

  return {
    program,
    dispatches: lowered.dispatches,
    sizes: layout.intermediates.map(({ size }) => size),
    unsharedBytes: layout.unsharedBytes,
    inPlace: lowered.inPlace.size,
    get broken() {
      return replay.broken || constants.some(({ broken }) => broken);
    },
    results: layout.results,
    changed: {
      arguments: new Set([...changed].flatMap((storage) => argumentIndex.get(storage) ?? [])),
      captured: new Set([...changed].filter(({ buffer }) => !isVirtual(buffer))),
    },
    run(buffers) {
      const made = allocate(device, layout.made);
      replay.run(buffers, made);
      return made;
    },
    dispose: replay.dispose,
  };
}

const stepsOf = ({ before, anchor, after }: Unit): Step[] => [...before, ...(anchor ? [anchor] : []), ...after];

/** Lowers units in order. What is `lasting` keeps its memory to the end; of all else it is known when it is used last. */
function lowerUnits(device: Device, units: readonly Unit[], lasting: ReadonlySet<Storage>): Lowering {
  const lastUse = new Map<Storage, number>();
  units.forEach((unit, at) => {
    for (const { inputs, outputs } of stepsOf(unit)) {
      for (const { storage } of [...inputs, ...outputs]) lastUse.set(storage, at);
    }
  });
  const dyingAt = units.map(() => new Set<Storage>());
  for (const [storage, at] of lastUse) {
    if (isVirtual(storage.buffer) && !lasting.has(storage)) dyingAt[at].add(storage);
  }
  const lowered = units.map((unit, at) => lower(device, unit, dyingAt[at]));
  return {
    dispatches: lowered.flatMap(({ dispatches }) => dispatches),
    inPlace: new Map(lowered.flatMap(({ inPlace }) => [...inPlace])),
  };
}

/** Memory of its own for a call: all of it, or none. */
function allocate(device: Device, made: Layout['made']): Storage[] {
  const storages: Storage[] = [];
  try {
    for (const { size, label } of made) storages.push(new Storage(device, size, label));
  } catch (error) {
    for (const storage of storages) {
      storage.retain();
      storage.release();
    }
    throw error;
  }
  return storages;
}
