import type { Device } from '../device/device.ts';
import { isTracing } from '../graph/tracing.ts';
import type { PooledBuffer } from './pool.ts';
import { isVirtual, virtualBuffer } from './virtual.ts';

/** A buffer shared by the tensors that view it; goes back to the pool when the last of them is disposed. */
export class Storage {
  readonly device: Device;
  readonly buffer: PooledBuffer;
  #references = 0;

  constructor(device: Device, bytes: number, label: string) {
    device.assertUsable(label);
    this.device = device;
    this.buffer = isTracing() ? virtualBuffer(bytes, label) : device.pool.acquire(bytes, label);
  }

  get references(): number {
    return this.#references;
  }

  /** One more tensor has it. */
  retain(): void {
    this.#references++;
  }

  /** Called when a tensor of this storage was garbage-collected without being disposed. */
  collected(): void {
    this.device.leakedTensors++;
    if (!this.device.closed) this.release();
  }

  /** One fewer has it; the last gives its buffer back. */
  release(): void {
    if (--this.#references === 0 && !isVirtual(this.buffer)) this.device.pool.release(this.buffer);
  }
}
