import { type Device, Tensor } from '@dawnchorus/tensor';

type Values = Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

function dtypeOf(values: Values): 'f32' | 'i32' | 'u32' {
  if (values instanceof Float32Array) return 'f32';
  return values instanceof Int32Array ? 'i32' : 'u32';
}

/** A table on the GPU that no scope disposes: [length], of the dtype that the array has. */
export function upload(device: Device, values: Values, label: string): Tensor {
  const table = Tensor.allocate(device, dtypeOf(values), [values.length], label, false);
  device.write(table.storage, 0, values);
  return table;
}

const CACHED_TABLES = 16;
const caches = new WeakMap<Device, Map<string, Tensor>>();

/** A table that is made once a device and kept among the last few used; callers do not dispose it. */
export function cachedTable(device: Device, key: string, make: () => Values): Tensor {
  let cache = caches.get(device);
  if (!cache) caches.set(device, (cache = new Map()));
  const table = cache.get(key) ?? upload(device, make(), key);
  // A map keeps the order of insertion: the least recently used comes first.
  cache.delete(key);
  cache.set(key, table);
  for (const [oldest, old] of cache) {
    if (cache.size <= CACHED_TABLES) break;
    cache.delete(oldest);
    old.dispose();
  }
  return table;
}
