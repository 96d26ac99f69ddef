import { createProfile, type DevicePeak, type Profile } from '../kernel/profile.ts';
import { createProfiler, type ProfileEvent, type ProfileTiming } from '../kernel/profiler.ts';
import { createRecorder, type Recorder } from '../kernel/recorder.ts';
import type { Choices } from '../kernel/variants.ts';
import { type BufferPool, createPool } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import { checkDevice, checkOptions } from '../ops/arguments.ts';
import { valueText } from '../shape.ts';
import type { AdapterDescription } from './adapters.ts';
import { callSite } from './call-site.ts';
import { createDebugRecords, type DebugRecords, type LeakReport } from './debug.ts';
import { DeviceLostError, OutOfMemoryError } from './errors.ts';
import { hostBytes } from './host-bytes.ts';
import { measurePeak } from './peak.ts';

/** Numbers to watch: memory in bytes, work in counts since the device opened. */
export interface DeviceStatistics {
  liveBytes: number;
  cachedBytes: number;
  peakBytes: number;
  liveBuffers: number;
  allocations: number;
  dispatches: number;
  submits: number;
  /** Compiled kernels that are kept: those of compiled functions, and at most 512 others. */
  pipelines: number;
  /** Tensors that were garbage-collected without `dispose` or a scope. */
  leakedTensors: number;
}

/** What a device is opened with, but for the choice of its adapter. */
export interface DeviceOptions {
  /** Bytes that tensors and the pool may hold together. */
  readonly memoryLimit?: number;
  /** Records where tensors are made, and runs every operation between error scopes. */
  readonly debug?: boolean;
  /** Kernel variants by operation, and those that were measured by class of problem. */
  readonly choices?: Choices;
}

/** An open GPU: its memory pool, its command recorder, and its errors. Made by `openDevice`. */
export class Device {
  readonly gpu: GPUDevice;
  readonly adapter: AdapterDescription;
  /** @internal */
  readonly pool: BufferPool;
  /** @internal */
  readonly recorder: Recorder;
  /** In debug mode: where tensors were made and disposed. @internal */
  readonly debug: DebugRecords | undefined;
  /** Which variant of a kernel is taken. @internal */
  readonly choices: Choices;
  leakedTensors = 0;
  #error: Error | undefined;
  #closed = false;
  #loss: GPUDeviceLostInfo | undefined;
  /** Ends the waits that are under way; with a device gone, their promises might never settle. */
  readonly #waits = new Set<(error: Error) => void>();
  #peak: Promise<DevicePeak> | undefined;
  #profiling = false;
  /** Error scopes of debug mode whose outcome is not known yet. */
  readonly #scopes = new Set<Promise<void>>();

  constructor(gpu: GPUDevice, adapter: AdapterDescription, options: DeviceOptions = {}) {
    const { memoryLimit, debug = false, choices = { pinned: {}, measured: new Map() } } = options;
    this.gpu = gpu;
    this.adapter = adapter;
    this.choices = choices;
    this.debug = debug ? createDebugRecords() : undefined;
    this.recorder = createRecorder(gpu);
    this.pool = createPool(gpu, {
      memoryLimit,
      destroy: (buffer) => {
        this.recorder.flush();
        this.recorder.forgetBuffer();
        this.recorder.inOrder(() => buffer.gpu.destroy());
      },
      onOutOfMemory: (error) => this.#report(error),
    });
    gpu.addEventListener('uncapturederror', (event) => {
      event.preventDefault();
      const hint = debug ? '' : '\nopenDevice({ debug: true }) names the operation and the line that called it.';
      this.#report(new Error(`GPU error: ${(event as GPUUncapturedErrorEvent).error.message.trimEnd()}${hint}`));
    });
    void gpu.lost.then((loss) => {
      if (this.#closed) return;
      this.#loss = loss;
      for (const end of [...this.#waits]) end(new DeviceLostError(loss.reason, loss.message));
    });
  }

  /** Keeps the first error for the next wait. Lack of memory comes before what is wrong with the buffers it left broken. */
  #report(error: Error): void {
    const first = this.#error;
    if (!first || (error instanceof OutOfMemoryError && !(first instanceof OutOfMemoryError))) this.#error = error;
  }

  /** Settles as `promise` does, or rejects when the device is lost or closed before. */
  #whileOpen<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (error: Error) => {
        this.#waits.delete(end);
        reject(error);
      };
      this.#waits.add(end);
      promise.then(
        (value) => {
          this.#waits.delete(end);
          resolve(value);
        },
        // A loss may show first in what it breaks: give it the time to arrive.
        (error: Error) => setTimeout(() => end(error), 50),
      );
    });
  }

  /** Submits what has been recorded and waits for what `ask` asks. @throws what went wrong on the GPU since the last wait. */
  async #wait<T>(ask: () => Promise<T>): Promise<T> {
    this.flush();
    // A profiler may make submits wait for each other.
    const turn = this.recorder.drained();
    try {
      const value = await this.#whileOpen(turn === undefined ? ask() : turn.then(ask));
      if (this.#scopes.size > 0) await this.#whileOpen(Promise.all(this.#scopes));
      this.throwPendingError();
      return value;
    } catch (error) {
      this.throwPendingError();
      throw error;
    }
  }

  /**
   * In debug mode: submits what `record` records alone, between error scopes, so that an error of the GPU says what it came
   * from and which line called it. `what` is given the names of the kernels.
   */
  checked<T>(what: (kernels: string) => string, record: () => T): T {
    const site = callSite();
    const kernels: string[] = [];
    const filters = ['validation', 'internal', 'out-of-memory'] as const;
    this.flush();
    for (const filter of filters) this.gpu.pushErrorScope(filter);
    this.recorder.onDispatch = (kernel) => kernels.push(kernel);
    try {
      const result = record();
      this.flush();
      return result;
    } finally {
      this.recorder.onDispatch = undefined;
      const errors = Promise.all(filters.map(() => this.gpu.popErrorScope()));
      const outcome = errors.then(
        (found) => {
          const error = found.find((each) => each !== null);
          if (!error) return;
          this.#report(
            new Error(`GPU error in ${what(kernels.join(', ') || 'none')}, called at ${site}: ${error.message}`),
          );
        },
        () => {}, // The device is lost, which is told elsewhere.
      );
      this.#scopes.add(outcome);
      void outcome.then(() => this.#scopes.delete(outcome));
    }
  }

  /**
   * Which tensors are alive and which were garbage-collected without being disposed, by the line that made them.
   *
   * @throws Error unless the device was opened with `{ debug: true }`.
   */
  leakReport(): LeakReport {
    if (!this.debug)
      throw new Error('leakReport: call sites are recorded in debug mode; use openDevice({ debug: true })');
    return this.debug.report(this.pool.live);
  }

  /** True when the GPU has gone away; operations throw `DeviceLostError`. */
  get lost(): boolean {
    return this.#loss !== undefined;
  }

  /** @throws DeviceLostError when the device is lost, and Error when it is closed. `what` names who asks. */
  assertUsable(what: string): void {
    if (this.#loss) throw new DeviceLostError(this.#loss.reason, this.#loss.message);
    if (this.#closed) throw new Error(`${what}: the device is closed`);
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

  /**
   * Waits until everything recorded so far has run.
   *
   * @throws the first GPU error since the last wait: OutOfMemoryError, DeviceLostError, or an Error with what WebGPU says.
   */
  async synchronize(): Promise<void> {
    this.assertUsable('synchronize');
    await this.#wait(() => this.gpu.queue.onSubmittedWorkDone());
  }

  /** Copies bytes off the GPU. @throws RangeError where there are no such bytes, and as `synchronize` does. */
  async read(storage: Storage, byteOffset: number, byteLength: number): Promise<ArrayBuffer> {
    this.#own('read', storage);
    if (byteLength === 0) return new ArrayBuffer(0);
    const held = storage.buffer.size;
    const whole = Number.isInteger(byteOffset) && Number.isInteger(byteLength);
    if (!(whole && byteOffset >= 0 && byteLength >= 0 && byteOffset + byteLength <= held)) {
      throw new RangeError(`read: ${byteLength} bytes at offset ${byteOffset} are not within ${held}`);
    }
    // Copies begin and end at multiples of four bytes, halves need not; buffers are multiples of 256 bytes.
    const lead = byteOffset % 4;
    const size = Math.ceil((lead + byteLength) / 4) * 4;
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = this.pool.create({ label: 'readback', size, usage }, size);
    try {
      this.recorder.copyBuffer(storage.buffer.gpu, byteOffset - lead, staging, 0, staging.size);
      await this.#wait(() => staging.mapAsync(GPUMapMode.READ));
      return staging.getMappedRange().slice(lead, lead + byteLength);
    } finally {
      staging.destroy();
    }
  }

  /**
   * Copies bytes onto the GPU. The offset is a multiple of four; where the length is none, the bytes up to the next one
   * are overwritten with zeros. The array may be changed as soon as this returns.
   *
   * @throws RangeError when the bytes do not fit, and TypeError when the array's memory is gone.
   */
  write(storage: Storage, byteOffset: number, data: ArrayBufferView): void {
    this.#own('write', storage);
    const bytes = hostBytes('write', data);
    const { size } = storage.buffer;
    if (byteOffset < 0 || byteOffset % 4 !== 0 || byteOffset + bytes.length > size) {
      throw new RangeError(
        `write: ${bytes.length} bytes do not fit at offset ${byteOffset} of ${size}; offsets are multiples of 4`,
      );
    }
    // A recycled buffer may still be read by recorded work, which a queue write would overtake.
    this.flush();
    const { queue } = this.gpu;
    const to = storage.buffer.gpu;
    if (this.recorder.drained()) {
      // The write may wait for its turn, and the array may be changed meanwhile.
      const copy = bytes.slice();
      this.recorder.inOrder(() => queue.writeBuffer(to, byteOffset, copy));
    } else {
      queue.writeBuffer(to, byteOffset, bytes.buffer, bytes.byteOffset, bytes.length);
    }
  }

  /** Copies bytes from one storage to another, in the order of the calls; offsets and length are multiples of four. */
  copy(from: Storage, fromOffset: number, to: Storage, toOffset: number, bytes: number): void {
    this.#own('copy', from);
    this.#own('copy', to);
    this.recorder.copyBuffer(from.buffer.gpu, fromOffset, to.buffer.gpu, toOffset, bytes);
  }

  #own(what: string, storage: Storage): void {
    this.assertUsable(what);
    if (storage.device !== this) throw new Error(`${what}: the storage belongs to another device`);
  }

  /** What the device can do at best, measured when first asked for. */
  peak(): Promise<DevicePeak> {
    this.#peak ??= measurePeak(this.gpu, this.recorder, this.pool, this.adapter, this.#timing).catch((error) => {
      this.#peak = undefined;
      throw error;
    });
    return this.#whileOpen(this.#peak);
  }

  get #timing(): ProfileTiming {
    return this.features.has('timestamp-query') ? 'gpu' : 'wall';
  }

  /**
   * Runs `body` and tells how long each kernel took, what it read, wrote and computed, and how that compares with what the
   * device can do. Each dispatch gets a pass of its own meanwhile, so the whole is slower than without. Run what is
   * profiled once before: first runs compile kernels. `timing` is `gpu` where the adapter has timestamp-query, else
   * `wall`.
   *
   * @throws Error when another profile of this device is under way.
   */
  async profile(body: () => unknown, options: { timing?: ProfileTiming } = {}): Promise<Profile> {
    checkOptions('profile', options, ['timing']);
    const { timing = this.#timing } = options;
    if (timing !== 'gpu' && timing !== 'wall') {
      throw new RangeError(`profile: timing is ${valueText(timing)}; expected 'gpu' or 'wall'`);
    }
    if (timing === 'gpu' && this.#timing !== 'gpu') {
      throw new RangeError("profile: timing 'gpu' needs the GPU feature timestamp-query; use 'wall'");
    }
    this.assertUsable('profile');
    if (this.#profiling || this.recorder.profiling) {
      throw new Error('profile: another profile of this device is under way');
    }
    this.#profiling = true;
    try {
      return await this.#profile(body, timing);
    } finally {
      this.#profiling = false;
    }
  }

  async #profile(body: () => unknown, timing: ProfileTiming): Promise<Profile> {
    await this.synchronize();
    const peak = await this.peak();
    const profiler = createProfiler(this.gpu, timing);
    this.recorder.setProfiler(profiler);
    const start = performance.now();
    let events: ProfileEvent[] = [];
    try {
      await body();
      await this.synchronize();
    } finally {
      await this.#wait(() => Promise.resolve()).catch(() => {}); // What the body or the wait before has told.
      this.recorder.setProfiler(undefined);
      events = await profiler.finish();
    }
    const elapsed = performance.now() - start;
    return createProfile(events, timing, elapsed, peak, this.adapter.name);
  }

  /** @throws DeviceLostError, or the first GPU error that has not been thrown. */
  throwPendingError(): void {
    if (this.#loss) throw new DeviceLostError(this.#loss.reason, this.#loss.message);
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
  }

  /** What the device holds now and has done so far. */
  statistics(): DeviceStatistics {
    return {
      ...this.pool.statistics,
      ...this.recorder.statistics,
      pipelines: this.recorder.pipelines.count,
      leakedTensors: this.leakedTensors,
    };
  }

  /** Counts `peakBytes` anew, from what is held now: to tell what one part of a program needs at most. */
  resetPeakBytes(): void {
    this.pool.statistics.peakBytes = this.pool.statistics.liveBytes;
  }

  /** Gives the GPU back. Tensors of this device cannot be used any more; reads under way are rejected. */
  close(): void {
    if (this.#closed) return;
    if (!this.#loss) this.flush();
    this.#closed = true;
    if (defaultDevice === this) defaultDevice = undefined;
    this.gpu.destroy();
    for (const end of [...this.#waits]) end(new Error('the device was closed before it answered'));
  }
}

let defaultDevice: Device | undefined;

/** Makes a device the default unless another one that can be used is. */
export function setDefaultDevice(device: Device): void {
  if (!defaultDevice || defaultDevice.closed || defaultDevice.lost) defaultDevice = device;
}

/** The device of tensors made without naming one: the first that was opened. */
export function getDefaultDevice(): Device {
  if (!defaultDevice) throw new Error('no device is open; call `await openDevice()` first');
  return defaultDevice;
}

/**
 * Runs `body` and tells how long each kernel took, what it read, wrote and computed, and how that compares with what the
 * device can do: `console.log(String(await profile(step)))`. See `Device.profile`.
 */
export async function profile(
  body: () => unknown,
  options: { device?: Device; timing?: ProfileTiming } = {},
): Promise<Profile> {
  checkOptions('profile', options, ['device', 'timing']);
  checkDevice('profile', options.device);
  const { device = getDefaultDevice(), timing } = options;
  return device.profile(body, { timing });
}
