import type { Kernel, ParameterType, ParameterValues } from '@dawnchorus/kernels';
import { isTracing } from '../graph/tracing.ts';
import type { PooledBuffer } from '../memory/pool.ts';
import type { Op } from '../ops/op.ts';
import type { Tensor } from '../tensor.ts';
import { createBindGroups } from './bind-groups.ts';
import { type Grid, splitGrid } from './grid.ts';
import { createParameterSlots } from './parameters.ts';
import { type Constants, createPipelineCache, type Pipeline } from './pipelines.ts';
import type { Cost, Profiler } from './profiler.ts';

/** One run of a kernel. */
export interface Dispatch<P extends Record<string, ParameterType>> {
  readonly kernel: Kernel<P>;
  /** WGSL text for each of the kernel's constants. */
  readonly constants?: Constants;
  /** Shared WGSL functions that the constants call. */
  readonly library?: string;
  /** Buffers in the order of the kernel's bindings. */
  readonly buffers: readonly PooledBuffer[];
  readonly parameters: ParameterValues<P>;
  readonly grid: Grid;
  /** Name in profiles; the kernel's own by default. */
  readonly label?: string;
}

/** A dispatch with everything made for it, to be encoded again and again. */
export interface Prepared {
  readonly pipeline: Pipeline;
  /** Binds the parameters at a place of their own. */
  readonly group: GPUBindGroup;
  readonly grid: Grid;
  readonly label: string;
  /** For profiles: what it is for, where that is not the operation at work. */
  readonly cost?: Cost;
}

/** The operation that a dispatch works for. */
export interface Work {
  readonly name: string;
  readonly op: Op<unknown>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: unknown;
}

const DISPATCHES_PER_SUBMIT = 128;

/**
 * Records dispatches into one compute pass and submits them in batches. Parameters go into slots of one uniform buffer,
 * written once a submit and bound with a dynamic offset, so that a dispatch needs no buffer of its own; bind groups are
 * cached by layout and buffers.
 */
export function createRecorder(device: GPUDevice) {
  const pipelines = createPipelineCache(device);
  const slots = createParameterSlots(device, DISPATCHES_PER_SUBMIT);
  const groups = createBindGroups(device);
  let encoder: GPUCommandEncoder | undefined;
  let pass: GPUComputePassEncoder | undefined;
  /** The pipeline that the pass has set. */
  let bound: GPUComputePipeline | undefined;
  let profiler: Profiler | undefined;
  let captured: Dispatch<Record<string, ParameterType>>[] | undefined;
  let work: Work | undefined;
  let onDispatch: ((kernel: string) => void) | undefined;
  const statistics = { dispatches: 0, submits: 0 };

  function dispatch<P extends Record<string, ParameterType>>(given: Dispatch<P>): void {
    const [x, y, z] = given.grid;
    if (x * y * z === 0) return;
    const limit = device.limits.maxComputeWorkgroupsPerDimension;
    if (x > limit || y > limit || z > limit) {
      for (const part of splitGrid(given, limit)) dispatch(part);
      return;
    }
    // A constant that is made meanwhile is made for real.
    if (captured && isTracing()) {
      captured.push(given as unknown as Dispatch<Record<string, ParameterType>>);
      return;
    }
    const pipeline = pipelines.get(given.kernel, given.constants ?? {}, given.library);
    const group = groups.get(pipeline.layout, slots.buffer, given.buffers);
    const offset = slots.write(given.kernel, given.parameters);
    encode(pipeline.gpu, group, offset, given.grid, given.label ?? given.kernel.name);
    if (slots.full) flush();
  }

  /** The pass to encode a dispatch into. */
  function openPass(label: string, cost?: Cost): GPUComputePassEncoder {
    if (pass) return pass;
    encoder ??= device.createCommandEncoder();
    bound = undefined;
    const timestampWrites = profiler?.begin(label, cost ?? work);
    pass = encoder.beginComputePass(timestampWrites && { timestampWrites });
    return pass;
  }

  function endPass(): void {
    pass?.end();
    pass = undefined;
  }

  /** A dispatch that is timed gets a pass of its own. */
  function closeTimed(): void {
    endPass();
    if (profiler?.full) flush();
  }

  function setPipeline(open: GPUComputePassEncoder, pipeline: GPUComputePipeline): void {
    if (bound === pipeline) return;
    open.setPipeline(pipeline);
    bound = pipeline;
  }

  /** One dispatch, with its parameters at `offset` of what the group binds. */
  function encode(pipeline: GPUComputePipeline, group: GPUBindGroup, offset: number, grid: Grid, label: string): void {
    const open = openPass(label);
    onDispatch?.(label);
    setPipeline(open, pipeline);
    open.setBindGroup(0, group, [offset]);
    open.dispatchWorkgroups(grid[0], grid[1], grid[2]);
    statistics.dispatches++;
    if (profiler) closeTimed();
  }

  /** Dispatches that were prepared, in order: three calls of WebGPU each at most, and nothing beside them. */
  function replay(prepared: readonly Prepared[]): void {
    for (const { pipeline, group, grid, label, cost } of prepared) {
      const open = pass ?? openPass(label, cost);
      setPipeline(open, pipeline.gpu);
      open.setBindGroup(0, group);
      // Arguments cost time too.
      if (grid[1] === 1 && grid[2] === 1) open.dispatchWorkgroups(grid[0]);
      else open.dispatchWorkgroups(grid[0], grid[1], grid[2]);
      if (profiler) closeTimed();
    }
    statistics.dispatches += prepared.length;
  }

  /** Takes down the dispatches of `body` instead of encoding them. */
  function capture(body: () => void): Dispatch<Record<string, ParameterType>>[] {
    const outer = captured;
    const mine: Dispatch<Record<string, ParameterType>>[] = [];
    captured = mine;
    try {
      body();
    } finally {
      captured = outer;
    }
    return mine;
  }

  /** Says which operation the next dispatches work for, until undefined; profiles and errors ask. */
  function attribute(next: Work | undefined): void {
    work = next;
  }

  function copyBuffer(from: GPUBuffer, fromOffset: number, to: GPUBuffer, toOffset: number, bytes: number): void {
    endPass();
    encoder ??= device.createCommandEncoder();
    encoder.copyBufferToBuffer(from, fromOffset, to, toOffset, bytes);
  }

  /**
   * Does something with the queue after what has been submitted: at once, but for a profiler that waits for each submit
   * before the next.
   */
  function inOrder(action: () => void): void {
    if (profiler?.timing === 'wall') profiler.defer(action);
    else action();
  }

  /** Submits what has been recorded. */
  function flush(): void {
    endPass();
    if (!encoder) return;
    const afterSubmit = profiler?.resolve(encoder);
    const commands = encoder.finish();
    encoder = undefined;
    // What is deferred finds the slots overwritten.
    const parameters = slots.take(profiler?.timing === 'wall');
    inOrder(() => {
      if (parameters.byteLength > 0) device.queue.writeBuffer(slots.buffer, 0, parameters);
      device.queue.submit([commands]);
    });
    afterSubmit?.();
    statistics.submits++;
    groups.collectWhenMany();
  }

  /** Settles when everything flushed has been submitted. */
  const drained = (): Promise<void> | undefined => profiler?.drained();

  /** From now on every dispatch is timed; undefined ends it. */
  function setProfiler(next: Profiler | undefined): void {
    flush();
    profiler = next;
  }

  return {
    setProfiler,
    get profiling() {
      return profiler !== undefined;
    },
    inOrder,
    drained,
    dispatch,
    replay,
    createGroup: groups.create,
    capture,
    attribute,
    get work() {
      return work;
    },
    /** Told the name of each kernel as it is dispatched. */
    set onDispatch(listener: typeof onDispatch) {
      onDispatch = listener;
    },
    copyBuffer,
    flush,
    /** Told before a buffer is destroyed. */
    forgetBuffer: groups.forget,
    statistics,
    pipelines,
  };
}

export type Recorder = ReturnType<typeof createRecorder>;
