import type { Device } from '../device/device.ts';
import { SLOT_BYTES, writeParameters } from '../kernel/parameters.ts';
import type { Prepared } from '../kernel/recorder.ts';
import type { PooledBuffer } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import type { Layout, Place } from './layout.ts';
import type { Lowered } from './lowered.ts';

/** A buffer that a dispatch binds: there for good, or given anew with each call. */
type Binding = { readonly kind: 'fixed'; readonly buffer: PooledBuffer } | Exclude<Place, { kind: 'intermediate' }>;

/** A dispatch of the plan. Those that bind nothing but fixed buffers have their group for good. */
interface Step extends Prepared {
  group: GPUBindGroup;
  readonly bindings: readonly Binding[];
  /** Groups by the buffers given with the call; undefined where none are. */
  readonly groups: Map<string, GPUBindGroup> | undefined;
  readonly offset: number;
}

/** A slot for the parameters of each dispatch, and what goes there. */
interface Parameters {
  readonly buffer: GPUBuffer;
  readonly staging: DataView<ArrayBuffer>;
  readonly broken: boolean;
}

/** Steps and the memory that they bind. */
interface PreparedSteps {
  readonly steps: readonly Step[];
  readonly parameters: Parameters;
  readonly broken: boolean;
  giveBack(): void;
}

/** What is needed to run a plan's dispatches again and again. */
export interface Replay {
  /** Whether the GPU had no memory for it. */
  readonly broken: boolean;
  /** Runs them on the buffers of a call's arguments and the storages of its results. */
  run(given: readonly PooledBuffer[], made: readonly Storage[]): void;
  dispose(): void;
}

/** What errors call a compiled function, and whom its memory is for. */
export interface PlanNames {
  readonly called: string;
  readonly holder: string;
}

const DISPATCHES_PER_SUBMIT = 1024;
const CACHED_GROUPS_A_STEP = 32;

/** Acquires the memory of a plan, and prepares its dispatches. */
export function createReplay(device: Device, dispatches: readonly Lowered[], layout: Layout, names: PlanNames): Replay {
  const { recorder } = device;
  const prepared = prepareSteps(device, dispatches, layout, names);
  const { steps, parameters } = prepared;
  const givenAnew = steps.filter(({ groups }) => groups);
  const submits: Step[][] = [];
  for (let i = 0; i < steps.length; i += DISPATCHES_PER_SUBMIT) submits.push(steps.slice(i, i + DISPATCHES_PER_SUBMIT));
  device.gpu.queue.writeBuffer(parameters.buffer, 0, parameters.staging.buffer);

  return {
    get broken() {
      return prepared.broken;
    },
    run(given, made) {
      if (device.debug) {
        steps.forEach((step, i) => {
          checked(device, dispatches, i, names, () => {
            if (step.groups) step.group = groupOf(device, parameters, step, given, made);
            recorder.replay([step]);
          });
        });
        return;
      }
      for (const step of givenAnew) step.group = groupOf(device, parameters, step, given, made);
      submits.forEach((part, i) => {
        if (i > 0) recorder.flush();
        recorder.replay(part);
      });
    },
    dispose() {
      prepared.giveBack();
      submits.length = 0;
      givenAnew.length = 0;
    },
  };
}

function prepareSteps(device: Device, dispatches: readonly Lowered[], layout: Layout, names: PlanNames): PreparedSteps {
  const { recorder, pool } = device;
  const memory: PooledBuffer[] = [];
  const steps: Step[] = [];
  const parameters = createParameters(device, dispatches.length, names);
  function giveBack(): void {
    for (const { pipeline } of steps) recorder.pipelines.release(pipeline);
    steps.length = 0;
    if (device.closed) return;
    for (const buffer of memory) pool.release(buffer);
    device.flush();
    recorder.inOrder(() => parameters.buffer.destroy());
  }
  const bindingOf = (buffer: PooledBuffer): Binding => {
    if (!isVirtual(buffer)) return { kind: 'fixed', buffer };
    const place = layout.placeOf(buffer);
    return place.kind === 'intermediate' ? { kind: 'fixed', buffer: memory[place.index] } : place;
  };
  try {
    for (const { size, label } of layout.intermediates) memory.push(pool.acquire(size, label, names.holder));
    dispatches.forEach((dispatch, i) => {
      const body = () => prepare(device, parameters, dispatch, dispatch.buffers.map(bindingOf), i * SLOT_BYTES);
      steps.push(device.debug ? checked(device, dispatches, i, names, body) : body());
    });
  } catch (error) {
    giveBack();
    throw error;
  }
  return {
    steps,
    parameters,
    get broken() {
      return parameters.broken || memory.some(({ broken }) => broken);
    },
    giveBack,
  };
}

function createParameters({ pool }: Device, dispatches: number, { called }: PlanNames): Parameters {
  const staging = new DataView(new ArrayBuffer(Math.max(1, dispatches) * SLOT_BYTES));
  const label = `parameters of ${called}`;
  const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
  let broken = false;
  const buffer = pool.create({ label, size: staging.byteLength, usage }, staging.byteLength, () => {
    broken = true;
  });
  return {
    buffer,
    staging,
    get broken() {
      return broken;
    },
  };
}

function prepare(
  { recorder }: Device,
  { buffer: parameters, staging }: Parameters,
  dispatch: Lowered,
  bindings: readonly Binding[],
  offset: number,
): Step {
  const { kernel, constants = {}, library, grid, cost, label = kernel.name } = dispatch;
  writeParameters(staging, offset, kernel, dispatch.parameters as Record<string, number | readonly number[]>);
  const fixed = bindings.flatMap((binding) => (binding.kind === 'fixed' ? [binding.buffer] : []));
  const isFixed = fixed.length === bindings.length;
  const pipeline = recorder.pipelines.hold(kernel, constants, library);
  return {
    pipeline,
    grid,
    label,
    cost,
    bindings,
    offset,
    group: isFixed ? recorder.createGroup(pipeline.layout, parameters, fixed, offset) : (undefined as never),
    groups: isFixed ? undefined : new Map(),
  };
}

/** Of a step that binds what is given with a call. */
function groupOf(
  { recorder }: Device,
  parameters: Parameters,
  step: Step,
  given: readonly PooledBuffer[],
  made: readonly Storage[],
): GPUBindGroup {
  const buffers = step.bindings.map((binding) => {
    if (binding.kind === 'fixed') return binding.buffer;
    return binding.kind === 'argument' ? given[binding.index] : made[binding.index].buffer;
  });
  const groups = step.groups as Map<string, GPUBindGroup>;
  let key = '';
  for (const { id } of buffers) key += `${id},`;
  let group = groups.get(key);
  if (!group) {
    if (groups.size >= CACHED_GROUPS_A_STEP) groups.clear();
    group = recorder.createGroup(step.pipeline.layout, parameters.buffer, buffers, step.offset);
    groups.set(key, group);
  }
  return group;
}

/** In debug mode: an error of the GPU names the dispatch that it came from. */
function checked<T>(
  device: Device,
  dispatches: readonly Lowered[],
  i: number,
  { called }: PlanNames,
  body: () => T,
): T {
  const { kernel, operations } = dispatches[i];
  const what = `kernel ${kernel.name} (${operations.join(' + ')}), ${i + 1} of ${dispatches.length} in ${called}`;
  return device.checked(() => what, body);
}
