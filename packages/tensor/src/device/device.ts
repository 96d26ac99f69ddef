import { createProfiler, type ProfileRow } from '../kernel/profiler.ts';
import { createRecorder, type Recorder } from '../kernel/recorder.ts';
import { type BufferPool, createPool } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import type { AdapterDescription } from './adapters.ts';

/** Numbers to watch: memory in bytes, work in counts since the device opened. */
export interface DeviceStatistics {
  liveBytes: number;
  cachedBytes: number;
  peakBytes: number;
  liveBuffers: number;
  allocations: number;
  dispatches: number;
  submits: number;
  pipelines: number;
  /** Tensors that were garbage-collected without `dispose` or a scope. */
  leakedTensors: number;
}

/** An open GPU: its memory pool, its command recorder, and its errors. Made by `openDevice`. */
export class Device {
  readonly gpu: GPUDevice;
  readonly adapter: AdapterDescription;
  readonly pool: BufferPool;
  readonly recorder: Recorder;
  leakedTensors = 0;
  #error: Error | undefined;
  #closed = false;

  constructor(gpu: GPUDevice, adapter: AdapterDescription) {
    this.gpu = gpu;
    this.adapter = adapter;
    this.recorder = createRecorder(gpu);
    this.pool = createPool(gpu, () => {
      // What has been recorded may still use the buffer.
      this.recorder.flush();
      this.recorder.forgetBuffer();
    });
    gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      this.#error ??= new Error(`GPU error: ${(event as GPUUncapturedErrorEvent).error.message}`);
    });
    void gpu.lost.then((info) => {
      if (!this.#closed) this.#error ??= new Error(`GPU device lost (${info.reason}): ${info.message}`);
    });
  }

  get features(): ReadonlySet<string> {
    return this.gpu.features;
  }

  get limits(): GPUSupportedLimits {
    return this.gpu.limits;
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Submits recorded work without waiting for it. */
  flush(): void {
    this.recorder.flush();
  }

  /** Waits until everything recorded so far has run. @throws the first GPU error since the last wait. */
  async synchronize(): Promise<void> {
    this.flush();
    await this.gpu.queue.onSubmittedWorkDone();
    this.throwPendingError();
  }

  /** Copies bytes off the GPU. */
  async read(storage: Storage, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    if (byteLength === 0) return new ArrayBuffer(0);
    // Copies begin and end at multiples of four bytes, halves need not; buffers are multiples of 256 bytes.
    const lead = byteOffset % 4;
    const staging = this.gpu.createBuffer({
      label: 'readback',
      size: Math.ceil((lead + byteLength) / 4) * 4,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    try {
      this.recorder.copyBuffer(storage.buffer.gpu, byteOffset - lead, staging, 0, staging.size);
      this.flush();
      await staging.mapAsync(GPUMapMode.READ);
      this.throwPendingError();
      return staging.getMappedRange().slice(lead, lead + byteLength);
    } catch (error) {
      this.throwPendingError();
      throw error;
    } finally {
      staging.destroy();
    }
  }

  /**
   * Copies bytes onto the GPU. The offset is a multiple of four; where the length is none, the bytes up to the next one
   * are overwritten with zeros.
   */
  write(storage: Storage, byteOffset: number, data: ArrayBufferView<ArrayBuffer>): void {
    let bytes = data;
    if (data.byteLength % 4 !== 0) {
      const padded = new Uint8Array(Math.ceil(data.byteLength / 4) * 4);
      padded.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      bytes = padded;
    }
    // A recycled buffer may still be read by recorded work, which a queue write would overtake.
    this.flush();
    this.gpu.queue.writeBuffer(storage.buffer.gpu, byteOffset, bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /**
   * Runs `body` and returns how long each kernel took on the GPU. Each dispatch gets a pass of its own meanwhile, so the
   * whole is slower than without.
   *
   * @throws Error when the adapter has no timestamp-query.
   */
  async profile(body: () => unknown): Promise<ProfileRow[]> {
    const profiler = createProfiler(this.gpu);
    this.recorder.setProfiler(profiler);
    try {
      await body();
      await this.synchronize();
    } finally {
      this.recorder.setProfiler(undefined);
    }
    return profiler.finish();
  }

  throwPendingError(): void {
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
  }

  statistics(): DeviceStatistics {
    return {
      ...this.pool.statistics,
      ...this.recorder.statistics,
      pipelines: this.recorder.pipelines.count,
      leakedTensors: this.leakedTensors,
    };
  }

  /** Gives the GPU back. Tensors of this device cannot be used any more. */
  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    if (defaultDevice === this) defaultDevice = undefined;
    this.gpu.destroy();
  }
}

let defaultDevice: Device | undefined;

/** Makes a device the default unless another open one is. */
export function setDefaultDevice(device: Device): void {
  if (!defaultDevice || defaultDevice.closed) defaultDevice = device;
}

/** The device of tensors made without naming one: the first that was opened. */
export function getDefaultDevice(): Device {
  if (!defaultDevice) throw new Error('no device is open; call `await openDevice()` first');
  return defaultDevice;
}
