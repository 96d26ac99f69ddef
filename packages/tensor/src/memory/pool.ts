import { type HeldMemory, OutOfMemoryError } from '../device/errors.ts';

/**
 * GPU buffers by size class. A freed buffer is reused at once: the queue runs work in order, so what reads the old
 * contents has been recorded before what writes the new ones.
 */
export interface PooledBuffer {
  readonly id: number;
  readonly gpu: GPUBuffer;
  /** Bytes allocated; at least what was asked for. */
  readonly size: number;
  /** What it is used for now, or was last. */
  label: string;
  /** Set when the GPU had no memory for it: it can be bound to nothing, and is not used again. */
  broken?: boolean;
}

export interface PoolStatistics {
  /** Bytes of buffers in use by tensors, with what size classes add. */
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

export interface PoolOptions {
  /** Destroys a buffer that what has been recorded may still use. */
  readonly destroy: (buffer: PooledBuffer) => void;
  /** Called when the GPU has no memory for a buffer; WebGPU tells it some time after the call. */
  readonly onOutOfMemory: (error: OutOfMemoryError) => void;
  /** Bytes, live and cached together. */
  readonly memoryLimit?: number;
}

/** How many holders an error names. */
const NAMED_HOLDERS = 8;

/** Sizes go up in eighths of a power of two: at most an eighth is wasted, and few classes exist. */
export function sizeClass(bytes: number): number {
  const least = Math.max(bytes, 256);
  const step = 2 ** Math.max(8, Math.floor(Math.log2(least)) - 3);
  return Math.ceil(least / step) * step;
}

const multipleOf4 = (bytes: number) => Math.ceil(bytes / 4) * 4;

/** Where a buffer belongs among others, the oldest of which stand last. */
function placeBy(list: readonly PooledBuffer[], id: number): number {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle].id > id) low = middle + 1;
    else high = middle;
  }
  return low;
}

/**
 * Buffers that nobody uses, by size. The oldest is taken first: a step that is repeated then gets the same buffers again, in
 * whatever order they were given back, and finds its bind groups.
 */
function createFreeLists() {
  const lists = new Map<number, PooledBuffer[]>();
  return {
    take: (size: number): PooledBuffer | undefined => lists.get(size)?.pop(),
    put(buffer: PooledBuffer): void {
      const list = lists.get(buffer.size);
      if (list) list.splice(placeBy(list, buffer.id), 0, buffer);
      else lists.set(buffer.size, [buffer]);
    },
    /** Gives all of them away. */
    empty(): PooledBuffer[] {
      const all = [...lists.values()].flat();
      lists.clear();
      return all;
    },
  };
}

/** Those that hold most of these buffers, the largest first. */
function holdersOf(buffers: Iterable<PooledBuffer>): HeldMemory['holders'] {
  const byLabel = new Map<string, { label: string; buffers: number; bytes: number }>();
  for (const { label, size } of buffers) {
    const holder = byLabel.get(label) ?? { label, buffers: 0, bytes: 0 };
    holder.buffers++;
    holder.bytes += size;
    byLabel.set(label, holder);
  }
  return [...byLabel.values()].sort((a, b) => b.bytes - a.bytes).slice(0, NAMED_HOLDERS);
}

export function createPool(device: GPUDevice, { destroy, onOutOfMemory, memoryLimit = Infinity }: PoolOptions) {
  const { maxBufferSize, maxStorageBufferBindingSize } = device.limits;
  const bindable = Math.floor(Math.min(maxBufferSize, maxStorageBufferBindingSize) / 4) * 4;
  const free = createFreeLists();
  const live = new Set<PooledBuffer>();
  const statistics: PoolStatistics = { liveBytes: 0, cachedBytes: 0, peakBytes: 0, liveBuffers: 0, allocations: 0 };
  let nextId = 1;

  /** Destroys every cached buffer. */
  function trim(): void {
    for (const buffer of free.empty()) destroy(buffer);
    statistics.cachedBytes = 0;
  }

  /** How many of `wanted` bytes the limit leaves; what is cached goes where it leaves fewer. */
  function room(wanted: number): number {
    const left = () => memoryLimit - statistics.liveBytes - statistics.cachedBytes;
    if (left() < wanted) trim();
    return Math.max(0, Math.min(wanted, left()));
  }

  /** What is held, and by whom. */
  function held(): HeldMemory {
    const { liveBytes, cachedBytes, peakBytes } = statistics;
    return {
      liveBytes,
      cachedBytes,
      peakBytes,
      memoryLimit: Number.isFinite(memoryLimit) ? memoryLimit : undefined,
      holders: holdersOf(live),
    };
  }

  /** @throws RangeError when the adapter binds no buffer of so many bytes. */
  function checkSize(bytes: number, label: string): void {
    if (multipleOf4(bytes) <= bindable) return;
    const name = maxBufferSize < maxStorageBufferBindingSize ? 'maxBufferSize' : 'maxStorageBufferBindingSize';
    throw new RangeError(
      `${label}: ${bytes} bytes asked for in one tensor, but this adapter binds at most ${bindable} (${name}); ` +
        'split the tensor or use a smaller batch',
    );
  }

  /** The size of the buffer that serves a request: its class, where limits have room for that. */
  function roomFor(bytes: number, label: string): number {
    checkSize(bytes, label);
    const exact = Math.max(4, multipleOf4(bytes));
    const size = Math.min(sizeClass(exact), bindable);
    if (statistics.liveBytes + size <= memoryLimit) return size;
    if (statistics.liveBytes + exact <= memoryLimit) return exact;
    trim();
    throw new OutOfMemoryError(label, bytes, held(), 'that is over the memoryLimit this device was opened with');
  }

  /**
   * A buffer of the GPU, for which `bytes` were asked. That there is no memory for it comes to light later: it is reported,
   * `failed` is called, and what is cached goes, so that another try may succeed.
   */
  function create(descriptor: GPUBufferDescriptor & { label: string }, bytes: number, failed?: () => void): GPUBuffer {
    device.pushErrorScope('out-of-memory');
    const gpu = device.createBuffer(descriptor);
    device.popErrorScope().then(
      (error) => {
        if (!error) return;
        const reason = `the GPU has no memory left (${error.message})`;
        onOutOfMemory(new OutOfMemoryError(descriptor.label, bytes, held(), reason));
        failed?.();
        trim();
      },
      () => {}, // The device is lost, which is told elsewhere.
    );
    return gpu;
  }

  /** A new buffer for tensors. */
  function allocate(size: number, bytes: number, label: string, holder: string): PooledBuffer {
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const gpu = create({ size, usage, label }, bytes, () => {
      buffer.broken = true;
    });
    const buffer: PooledBuffer = { id: nextId++, size, gpu, label: holder };
    statistics.allocations++;
    return buffer;
  }

  /** `label` says what it is for in the errors that there is no room, `holder` in lists of what is held. */
  function acquire(bytes: number, label: string, holder = label): PooledBuffer {
    const size = roomFor(bytes, label);
    let buffer = free.take(size);
    if (buffer) {
      buffer.label = holder;
      statistics.cachedBytes -= size;
    } else {
      if (statistics.liveBytes + statistics.cachedBytes + size > memoryLimit) trim();
      buffer = allocate(size, bytes, label, holder);
    }
    live.add(buffer);
    statistics.liveBytes += size;
    statistics.liveBuffers++;
    statistics.peakBytes = Math.max(statistics.peakBytes, statistics.liveBytes);
    return buffer;
  }

  function release(buffer: PooledBuffer): void {
    live.delete(buffer);
    statistics.liveBytes -= buffer.size;
    statistics.liveBuffers--;
    if (buffer.broken) {
      destroy(buffer);
      return;
    }
    statistics.cachedBytes += buffer.size;
    free.put(buffer);
  }

  return { acquire, checkSize, create, release, room, trim, held, live: live as ReadonlySet<PooledBuffer>, statistics };
}

export type BufferPool = ReturnType<typeof createPool>;
