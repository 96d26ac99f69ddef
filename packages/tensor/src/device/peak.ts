import { type Kernel, peak as kernels } from '@dawnchorus/kernels';
import type { Grid } from '../kernel/grid.ts';
import { gridFor, linearGrid } from '../kernel/grid.ts';
import { SLOT_BYTES, writeParameters } from '../kernel/parameters.ts';
import type { Constants } from '../kernel/pipelines.ts';
import type { DevicePeak } from '../kernel/profile.ts';
import { createProfiler, type ProfileEvent, type ProfileTiming } from '../kernel/profiler.ts';
import type { Recorder } from '../kernel/recorder.ts';
import type { BufferPool, PooledBuffer } from '../memory/pool.ts';
import type { AdapterDescription, MatrixUnit } from './adapters.ts';

/** Larger than caches; hardware gets the larger one. */
const COPIED_BYTES = { software: 2 ** 25, hardware: 2 ** 28 };
const THREADS = { software: 2 ** 13, hardware: 2 ** 20 };
const MATRIX_WORKGROUPS = { software: 2 ** 8, hardware: 2 ** 15 };
const LEAST_MILLISECONDS = 4;
const RUNS = 4;

/** What is copied at least, however little memory there is. */
const LEAST_COPIED = 256;

/** The unit whose rate is measured: the first that multiplies halves and sums them in f32. */
const measuredUnit = ({ matrixUnits }: Pick<AdapterDescription, 'matrixUnits'>): MatrixUnit | undefined =>
  matrixUnits.find(({ component, result }) => component === 'f16' && result === 'f32');

/**
 * Measures what the device can do at best: the bandwidth of a copy, the rate of multiply-adds in registers and that of
 * matrix units where there are some. Buffers are the GPU's own and given back, so that the pool's figures stay what they
 * are; they keep within what the device's `memoryLimit` leaves. Takes a tenth of a second or so.
 */
export async function measurePeak(
  gpu: GPUDevice,
  recorder: Recorder,
  pool: BufferPool,
  adapter: AdapterDescription,
  timing: ProfileTiming,
): Promise<DevicePeak> {
  const kind = adapter.software ? 'software' : 'hardware';
  const made: GPUBuffer[] = [];
  const bufferOf = (size: number, use = GPUBufferUsage.STORAGE): PooledBuffer => {
    const buffer = pool.create({ size, usage: use, label: 'peak' }, size);
    made.push(buffer);
    return { id: 0, gpu: buffer, size, label: 'peak' };
  };
  const parameters = bufferOf(SLOT_BYTES, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST).gpu;

  /** The shortest of several runs, in seconds. */
  async function time(
    kernel: Kernel,
    values: Record<string, number>,
    buffers: PooledBuffer[],
    grid: Grid,
    constants: Constants = {},
  ) {
    const pipeline = recorder.pipelines.get(kernel, constants, undefined, false);
    const group = recorder.createGroup(pipeline.layout, parameters, buffers);
    const staging = new DataView(new ArrayBuffer(SLOT_BYTES));
    writeParameters(staging, 0, kernel, values);
    recorder.flush();
    gpu.queue.writeBuffer(parameters, 0, staging.buffer);
    const profiler = createProfiler(gpu, timing);
    recorder.setProfiler(profiler);
    let events: ProfileEvent[] = [];
    try {
      recorder.replay(new Array(RUNS).fill({ pipeline, group, grid, label: kernel.name }));
    } finally {
      recorder.setProfiler(undefined);
      events = await profiler.finish();
    }
    return Math.min(...events.map(({ start, end }) => end - start)) / 1e6;
  }

  /** Iterations a second, by as many of them as take a few milliseconds. */
  async function longEnough(first: number, run: (iterations: number) => Promise<number>): Promise<number> {
    for (let iterations = first; ; iterations *= 4) {
      const seconds = await run(iterations);
      if (seconds * 1e3 >= LEAST_MILLISECONDS || iterations > 1e5) return iterations / seconds;
    }
  }

  /** `out` is a buffer that has served its turn: there may be no room for another. */
  async function matrixRate({ M, N, K }: MatrixUnit, out: PooledBuffer): Promise<number> {
    const lanes = adapter.subgroupSizes?.[1] ?? 32;
    const constants = {
      Component: 'alias Component = f16;',
      Sum: 'alias Sum = f32;',
      M: `const M = ${M}u;`,
      N: `const N = ${N}u;`,
      K: `const K = ${K}u;`,
      LANES: `const LANES = ${lanes}u;`,
    };
    const workgroups = MATRIX_WORKGROUPS[kind];
    const rate = await longEnough(1, (iterations) =>
      time(kernels.peakMatrix as Kernel, { iterations }, [out], [workgroups, 1, 1], constants),
    );
    return rate * workgroups * (lanes / (await firstNumber(out.gpu))) * 64 * M * N * K;
  }

  async function firstNumber(from: GPUBuffer): Promise<number> {
    const { gpu: to } = bufferOf(4, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const encoder = gpu.createCommandEncoder();
    encoder.copyBufferToBuffer(from, 0, to, 0, 4);
    gpu.queue.submit([encoder.finish()]);
    await to.mapAsync(GPUMapMode.READ);
    return new Uint32Array(to.getMappedRange())[0];
  }

  try {
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
    const most = Math.min(COPIED_BYTES[kind], maxBufferSize, maxStorageBufferBindingSize);
    const size = Math.floor(Math.max(LEAST_COPIED, pool.room(2 * most) / 2) / 16);
    const [from, to] = [bufferOf(16 * size, GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC), bufferOf(16 * size)];
    const copy = await time(kernels.peakBandwidth as Kernel, { size }, [from, to], linearGrid(Math.ceil(size / 1024)));
    const threads = THREADS[kind];
    const arithmetic = await longEnough(64, (iterations) =>
      time(kernels.peakArithmetic as Kernel, { iterations, factor: 0.999, addend: 0.5 }, [to], gridFor(threads)),
    );
    const unit = measuredUnit(adapter);
    return {
      bytesPerSecond: (2 * 16 * size) / Math.max(copy, 1e-9),
      flopsPerSecond: threads * 128 * 2 * arithmetic,
      matrixFlopsPerSecond: unit && (await matrixRate(unit, from)),
    };
  } finally {
    for (const buffer of made) buffer.destroy();
  }
}
