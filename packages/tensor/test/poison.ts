import { device } from './device.ts';

let poisoned = false;

/**
 * Fills all memory that tensors get, and the rest of its buffer, with ones: NaN to floats, the largest index to whole
 * numbers. A kernel that reads what nobody wrote, reads past the end, or leaves an output unwritten then gives a wrong
 * result, where fresh memory is zero and hides it.
 */
export function poisonMemory(): void {
  if (poisoned) return;
  poisoned = true;
  const { pool } = device;
  const { acquire } = pool;
  pool.acquire = (bytes, label) => {
    const buffer = acquire(bytes, label);
    // A recycled buffer may still be read by recorded work.
    device.flush();
    device.gpu.queue.writeBuffer(buffer.gpu, 0, new Uint8Array(buffer.size).fill(0xff));
    return buffer;
  };
}
