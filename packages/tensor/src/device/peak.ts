import { type Kernel, peak as kernels } from '@dawnchorus/kernels';
import type { Grid } from '../kernel/grid.ts';
import { gridFor, linearGrid } from '../kernel/grid.ts';
import { SLOT_BYTES, writeParameters } from '../kernel/parameters.ts';
import type { DevicePeak } from '../kernel/profile.ts';
import { createProfiler, type ProfileTiming } from '../kernel/profiler.ts';
import type { Recorder } from '../kernel/recorder.ts';
import type { BufferPool, PooledBuffer } from '../memory/pool.ts';

/** Larger than caches; hardware gets the larger one. */
const COPIED_BYTES = { software: 2 ** 25, hardware: 2 ** 28 };
const THREADS = { software: 2 ** 13, hardware: 2 ** 20 };
const LEAST_MILLISECONDS = 4;
const RUNS = 4;

/** What is copied at least, however little memory there is. */
const LEAST_COPIED = 256;

/**
 * Measures what the device can do at best: the bandwidth of a copy and the rate of multiply-adds in registers. Buffers are
 * the GPU's own and given back, so that the pool's figures stay what they are; they keep within what the device's
 * `memoryLimit` leaves. Takes a tenth of a second or so.
 */
export async function measurePeak(
  gpu: GPUDevice,
  recorder: Recorder,
  pool: BufferPool,
  software: boolean,
  timing: ProfileTiming,
): Promise<DevicePeak> {
  const kind = software ? 'software' : 'hardware';
  const made: GPUBuffer[] = [];
  const bufferOf = (size: number, use = GPUBufferUsage.STORAGE): PooledBuffer => {
    const buffer = pool.create({ size, usage: use, label: 'peak' }, size);
    made.push(buffer);
    return { id: 0, gpu: buffer, size, label: 'peak' };
  };
  const parameters = bufferOf(SLOT_BYTES, GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST).gpu;

  /** The shortest of several runs, in seconds. */
  async function time(kernel: Kernel, values: Record<string, number>, buffers: PooledBuffer[], grid: Grid) {
    const pipeline = recorder.pipelines.get(kernel, {}, undefined, false);
    const group = recorder.createGroup(pipeline.layout, parameters, buffers);
    const staging = new DataView(new ArrayBuffer(SLOT_BYTES));
    writeParameters(staging, 0, kernel, values);
    recorder.flush();
    gpu.queue.writeBuffer(parameters, 0, staging.buffer);
    const profiler = createProfiler(gpu, timing);
    recorder.setProfiler(profiler);
    recorder.replay(new Array(RUNS).fill({ pipeline, group, grid, label: kernel.name }));
    recorder.setProfiler(undefined);
    const events = await profiler.finish();
    return Math.min(...events.map(({ start, end }) => end - start)) / 1e6;
  }

  try {
    const { maxBufferSize, maxStorageBufferBindingSize } = gpu.limits;
    const most = Math.min(COPIED_BYTES[kind], maxBufferSize, maxStorageBufferBindingSize);
    const size = Math.floor(Math.max(LEAST_COPIED, pool.room(2 * most) / 2) / 16);
    const [from, to] = [bufferOf(16 * size), bufferOf(16 * size)];
    const copy = await time(kernels.peakBandwidth as Kernel, { size }, [from, to], linearGrid(Math.ceil(size / 1024)));
    const threads = THREADS[kind];
    let iterations = 64;
    let seconds = 0;
    for (; ; iterations *= 4) {
      const values = { iterations, factor: 0.999, addend: 0.5 };
      seconds = await time(kernels.peakArithmetic as Kernel, values, [to], gridFor(threads));
      if (seconds * 1e3 >= LEAST_MILLISECONDS || iterations > 1e5) break;
    }
    return {
      bytesPerSecond: (2 * 16 * size) / Math.max(copy, 1e-9),
      flopsPerSecond: (threads * iterations * 128 * 2) / seconds,
    };
  } finally {
    for (const buffer of made) buffer.destroy();
  }
}
