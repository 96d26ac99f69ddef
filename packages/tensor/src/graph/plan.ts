import { callSite } from '../device/call-site.ts';
import { SLOT_BYTES, writeParameters } from '../kernel/parameters.ts';
import type { Prepared } from '../kernel/recorder.ts';
import type { PooledBuffer } from '../memory/pool.ts';
import { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import { fuse } from './fuse.ts';
import { type Lowered, lower } from './lower.ts';
import { mutated, optimize, type Program, type View } from './optimize.ts';
import { placeIntervals } from './place.ts';
import { rematerialise } from './rematerialise.ts';
import type { Graph } from './trace.ts';

/** A buffer that a dispatch binds: there for good, or given anew with each call. */
type Place =
  | { readonly kind: 'fixed'; readonly buffer: PooledBuffer }
  | { readonly kind: 'argument' | 'result'; readonly index: number };

/** A dispatch of the plan. Those that bind nothing but fixed buffers have their group for good. */
interface Step extends Prepared {
  group: GPUBindGroup;
  readonly places: readonly Place[];
  /** Groups by the buffers given with the call; undefined where none are. */
  readonly groups: Map<string, GPUBindGroup> | undefined;
  readonly offset: number;
}

/** What a call gets back: a view of an argument, of a captured tensor, or of memory of its own. */
export interface ResultPlace {
  readonly view: View;
  readonly from: 'argument' | 'captured' | 'result';
  readonly index: number;
}

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

const DISPATCHES_PER_SUBMIT = 1024;
const CACHED_GROUPS_A_STEP = 32;

/** Which buffer takes over which, to the end of the chain. */
function follow(chain: ReadonlyMap<number, number>, id: number): number {
  let at = id;
  for (let next = chain.get(at); next !== undefined; next = chain.get(at)) at = next;
  return at;
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
  const returned = new Set(program.outputs.map(({ storage }) => storage));
  const lastUse = new Map<Storage, number>();
  const changed = new Set<Storage>();
  units.forEach((unit, at) => {
    for (const step of [...unit.before, ...(unit.anchor ? [unit.anchor] : []), ...unit.after]) {
      for (const { storage } of [...step.inputs, ...step.outputs]) lastUse.set(storage, at);
      for (const storage of mutated(step)) changed.add(storage);
    }
  });
  const dyingAt = units.map(() => new Set<Storage>());
  for (const [storage, at] of lastUse) {
    if (!isVirtual(storage.buffer) || argumentIndex.has(storage) || returned.has(storage) || changed.has(storage))
      continue;
    dyingAt[at].add(storage);
  }
  const inPlace = new Map<number, number>();
  const dispatches: Lowered[] = [];
  units.forEach((unit, at) => {
    const lowered = lower(device, unit, dyingAt[at]);
    for (const [to, from] of lowered.inPlace) inPlace.set(to, from);
    dispatches.push(...lowered.dispatches);
  });

  // Where each buffer lives: with the call, for good, or in memory that is shared over time.
  const resultStorages: Storage[] = [];
  const places = new Map<number, Place>();
  for (const [storage, index] of argumentIndex) places.set(storage.buffer.id, { kind: 'argument', index });
  const results = program.outputs.map((view): ResultPlace => {
    const argument = argumentIndex.get(view.storage);
    if (argument !== undefined) return { view, from: 'argument', index: argument };
    if (!isVirtual(view.storage.buffer)) return { view, from: 'captured', index: 0 };
    let index = resultStorages.indexOf(view.storage);
    if (index < 0) {
      index = resultStorages.length;
      resultStorages.push(view.storage);
      places.set(follow(inPlace, view.storage.buffer.id), { kind: 'result', index });
    }
    return { view, from: 'result', index };
  });
  const made = resultStorages.map(({ buffer: { size, label } }) => ({ size, label: `${label} of ${called}` }));
  for (const { size, label } of made) device.pool.checkSize(size, label);
  const spans = new Map<number, { first: number; last: number; size: number; label: string }>();
  let unsharedBytes = 0;
  dispatches.forEach(({ buffers, operations }, at) => {
    for (const buffer of buffers) {
      if (!isVirtual(buffer)) continue;
      const root = follow(inPlace, buffer.id);
      if (places.has(root)) continue;
      const span = spans.get(root);
      if (span) {
        span.last = at;
      } else {
        // Memory that an operation takes beside its outputs does not say for which.
        const named = operations.some((name) => buffer.label.startsWith(name));
        const label = named ? buffer.label : `${buffer.label} for ${operations.join(' + ')}`;
        spans.set(root, { first: at, last: at, size: buffer.size, label });
        unsharedBytes += buffer.size;
      }
    }
  });
  const roots = [...spans.keys()];
  const values = [...spans.values()];
  const { place, sizes } = placeIntervals(values);
  const { recorder } = device;
  const memory: PooledBuffer[] = [];
  const steps: Step[] = [];
  const staging = new DataView(new ArrayBuffer(Math.max(1, dispatches.length) * SLOT_BYTES));
  const label = `parameters of ${called}`;
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  let noParameters = false;
  const parameters = device.pool.create({ label, size: staging.byteLength, usage }, staging.byteLength, () => {
    noParameters = true;
  });
  function giveBack(): void {
    for (const { pipeline } of steps) recorder.pipelines.release(pipeline);
    steps.length = 0;
    if (device.closed) return;
    for (const buffer of memory) device.pool.release(buffer);
    device.flush();
    recorder.inOrder(() => parameters.destroy());
  }
  const prepare = (dispatch: Lowered, i: number): Step => {
    const { kernel, constants = {}, library, grid, label = kernel.name } = dispatch;
    const offset = i * SLOT_BYTES;
    writeParameters(staging, offset, kernel, dispatch.parameters as Record<string, number | readonly number[]>);
    const own = dispatch.buffers.map((buffer): Place => {
      if (!isVirtual(buffer)) return { kind: 'fixed', buffer };
      return places.get(follow(inPlace, buffer.id)) as Place;
    });
    const fixed = own.flatMap((at) => (at.kind === 'fixed' ? [at.buffer] : []));
    const isFixed = fixed.length === own.length;
    const pipeline = recorder.pipelines.hold(kernel, constants, library);
    return {
      pipeline,
      grid,
      label,
      cost: dispatch.cost,
      places: own,
      offset,
      group: isFixed ? recorder.createGroup(pipeline.layout, parameters, fixed, offset) : (undefined as never),
      groups: isFixed ? undefined : new Map(),
    };
  };
  /** In debug mode an error of the GPU names the dispatch that it came from. */
  const named = <T>(i: number, body: () => T): T => {
    const { kernel, operations } = dispatches[i];
    const what = `kernel ${kernel.name} (${operations.join(' + ')}), ${i + 1} of ${dispatches.length} in ${called}`;
    return device.checked(() => what, body);
  };
  try {
    sizes.forEach((size, k) => {
      const largest = values.find((value, i) => place[i] === k && value.size === size);
      memory.push(device.pool.acquire(size, `${largest?.label} of ${called}`, holder));
    });
    roots.forEach((root, i) => {
      places.set(root, { kind: 'fixed', buffer: memory[place[i]] });
    });
    dispatches.forEach((dispatch, i) => {
      steps.push(device.debug ? named(i, () => prepare(dispatch, i)) : prepare(dispatch, i));
    });
  } catch (error) {
    giveBack();
    throw error;
  }
  const constants = graph.values.flatMap(({ tensor, origin }) => (tensor && !origin ? [tensor.storage.buffer] : []));
  const kept = [...memory, ...constants];
  const givenAnew = steps.filter(({ groups }) => groups);
  const submits: Step[][] = [];
  for (let i = 0; i < steps.length; i += DISPATCHES_PER_SUBMIT) submits.push(steps.slice(i, i + DISPATCHES_PER_SUBMIT));
  device.gpu.queue.writeBuffer(parameters, 0, staging.buffer);

  function groupOf(step: Step, given: readonly PooledBuffer[], made: readonly Storage[]): GPUBindGroup {
    const buffers = step.places.map((at) => {
      if (at.kind === 'fixed') return at.buffer;
      return at.kind === 'argument' ? given[at.index] : made[at.index].buffer;
    });
    const groups = step.groups as Map<string, GPUBindGroup>;
    let key = '';
    for (const { id } of buffers) key += `${id},`;
    let group = groups.get(key);
    if (!group) {
      if (groups.size >= CACHED_GROUPS_A_STEP) groups.clear();
      group = recorder.createGroup(step.pipeline.layout, parameters, buffers, step.offset);
      groups.set(key, group);
    }
    return group;
  }

  return {
    program,
    dispatches,
    sizes,
    unsharedBytes,
    inPlace: inPlace.size,
    get broken() {
      return noParameters || kept.some(({ broken }) => broken);
    },
    results,
    changed: {
      arguments: new Set([...changed].flatMap((storage) => argumentIndex.get(storage) ?? [])),
      captured: new Set([...changed].filter(({ buffer }) => !isVirtual(buffer))),
    },
    run(buffers) {
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
      if (device.debug) {
        steps.forEach((step, i) => {
          named(i, () => {
            if (step.groups) step.group = groupOf(step, buffers, storages);
            recorder.replay([step]);
          });
        });
        return storages;
      }
      for (const step of givenAnew) step.group = groupOf(step, buffers, storages);
      submits.forEach((part, i) => {
        if (i > 0) recorder.flush();
        recorder.replay(part);
      });
      return storages;
    },
    dispose() {
      giveBack();
      submits.length = 0;
      givenAnew.length = 0;
    },
  };
}
