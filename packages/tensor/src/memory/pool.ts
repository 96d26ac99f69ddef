/**
 * GPU buffers by size class. A freed buffer is reused at once: the queue runs work in order, so what reads the old
 * contents has been recorded before what writes the new ones.
 */
export interface PooledBuffer {
  readonly id: number;
  readonly gpu: GPUBuffer;
  /** Bytes allocated; at least what was asked for. */
  readonly size: number;
}

export interface PoolStatistics {
  /** Bytes in use by tensors. */
  liveBytes: number;
  /** Bytes kept for reuse. */
  cachedBytes: number;
  /** The largest liveBytes so far. */
  peakBytes: number;
  /** Buffers in use. */
  liveBuffers: number;
  /** Buffers made since the start; stands still in a steady loop. */
  allocations: number;
}

/** Sizes go up in eighths of a power of two: at most an eighth is wasted, and few classes exist. */
export function sizeClass(bytes: number): number {
  const least = Math.max(bytes, 256);
  const step = 2 ** Math.max(8, Math.floor(Math.log2(least)) - 3);
  return Math.ceil(least / step) * step;
}

export function createPool(device: GPUDevice, onDestroy: (id: number) => void) {
  const free = new Map<number, PooledBuffer[]>();
  const statistics: PoolStatistics = { liveBytes: 0, cachedBytes: 0, peakBytes: 0, liveBuffers: 0, allocations: 0 };
  let nextId = 1;

  /** Destroys every cached buffer. */
  function trim(): void {
    for (const list of free.values()) {
      for (const buffer of list) {
        onDestroy(buffer.id);
        buffer.gpu.destroy();
      }
    }
    free.clear();
    statistics.cachedBytes = 0;
  }

  function acquire(bytes: number, label: string): PooledBuffer {
    const size = sizeClass(bytes);
    const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
    if (size > limit) {
      throw new RangeError(
        `${label}: ${bytes} bytes asked for in one tensor, but this adapter binds at most ${limit}; ` +
          'split the tensor or use a smaller batch',
      );
    }
    let buffer = free.get(size)?.pop();
    if (buffer) {
      statistics.cachedBytes -= size;
    } else {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      buffer = { id: nextId++, size, gpu: device.createBuffer({ size, usage, label }) };
      statistics.allocations++;
    }
    statistics.liveBytes += size;
    statistics.liveBuffers++;
    statistics.peakBytes = Math.max(statistics.peakBytes, statistics.liveBytes);
    return buffer;
  }

  function release(buffer: PooledBuffer): void {
    statistics.liveBytes -= buffer.size;
    statistics.liveBuffers--;
    statistics.cachedBytes += buffer.size;
    const list = free.get(buffer.size);
    if (list) list.push(buffer);
    else free.set(buffer.size, [buffer]);
  }

  return { acquire, release, trim, statistics };
}

export type BufferPool = ReturnType<typeof createPool>;
