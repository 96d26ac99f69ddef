type Write = (...given: unknown[]) => void;

/** Also of another realm. */
const isShared = (buffer: unknown) =>
  !(buffer instanceof ArrayBuffer) && Object.prototype.toString.call(buffer) === '[object SharedArrayBuffer]';

/** Memory that no other thread can write, with the same elements. */
function unshared(data: unknown): unknown {
  if (isShared(data)) return new Uint8Array(data as ArrayBuffer).slice();
  if (!ArrayBuffer.isView(data) || !isShared(data.buffer)) return data;
  if (data instanceof DataView) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice();
  return (data as Uint8Array).slice();
}

/**
 * Dawn's Node binding ends the process when the queue is handed memory that other threads can write (a view of a
 * SharedArrayBuffer). The engine copies such memory first; so does, from here on, the queue itself, for those who write
 * to `device.gpu.queue` by hand.
 */
export function guardQueue(gpu: GPUDevice): void {
  const { queue } = gpu;
  // Data is the third argument of the one, and the second of the other.
  for (const [name, at] of [
    ['writeBuffer', 2],
    ['writeTexture', 1],
  ] as const) {
    const write = queue[name] as Write;
    const guarded: Write = (...given) => {
      given[at] = unshared(given[at]);
      write.apply(queue, given);
    };
    Object.defineProperty(queue, name, { value: guarded, configurable: true, writable: true });
  }
  // The binding may make the object anew once it was collected.
  Object.defineProperty(gpu, 'queue', { value: queue, configurable: true });
}
