import type { Device } from '../device/device.ts';
import { noteNumbers, outsideTrace } from '../graph/tracing.ts';
import { Tensor } from '../tensor.ts';

/** Numbers that a table is made of; they tell its dtype. */
export type TableValues = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

function dtypeOf(values: TableValues): 'f32' | 'i32' | 'u32' {
  if (values instanceof Float32Array) return 'f32';
  return values instanceof Int32Array ? 'i32' : 'u32';
}

/** A table on the GPU that no scope disposes, made for real also while a function is traced: [length]. */
export function uploadTable(device: Device, values: TableValues, label: string): Tensor {
  const table = outsideTrace(() => {
    const own = Tensor.allocate(device, dtypeOf(values), [values.length], label, false);
    device.write(own.storage, 0, values);
    return own;
  });
  noteNumbers(table, values, true);
  return table;
}

interface Cached {
  readonly table: Tensor;
  readonly values: TableValues;
}

const CACHED_TABLES = 32;
const caches = new WeakMap<Device, Map<string, Cached>>();

/**
 * A table that is made once a device and kept among the last few used; callers do not dispose it, and pass it to
 * operations as an input. A compiled function takes it as numbers of its own: it keeps what it was traced with.
 */
export function cachedTable(device: Device, key: string, make: () => TableValues): Tensor {
  let cache = caches.get(device);
  if (!cache) caches.set(device, (cache = new Map()));
  let cached = cache.get(key);
  // The GPU had no memory for it.
  if (cached?.table.storage.buffer.broken) {
    cached.table.dispose();
    cached = undefined;
  }
  if (!cached) {
    const values = make();
    cached = { table: uploadTable(device, values, key), values };
  }
  // A map keeps the order of insertion: the least recently used comes first.
  cache.delete(key);
  cache.set(key, cached);
  for (const [oldest, { table }] of cache) {
    if (cache.size <= CACHED_TABLES) break;
    cache.delete(oldest);
    table.dispose();
  }
  noteNumbers(cached.table, cached.values);
  return cached.table;
}
