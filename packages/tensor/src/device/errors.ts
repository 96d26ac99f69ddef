/** Bytes for people: `3.1 MB`, in powers of 1000. */
export function formatBytes(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 999.95 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${value} ${value === 1 ? 'byte' : 'bytes'}` : `${value.toFixed(1)} ${units[unit]}`;
}

/** Buffers in use that were made under one label, together. */
export interface BufferHolder {
  /** What the buffers were made for: an operation with the shape of its output, or a name. */
  readonly label: string;
  readonly buffers: number;
  readonly bytes: number;
}

/** What a device held when an allocation failed. */
export interface HeldMemory {
  readonly liveBytes: number;
  readonly cachedBytes: number;
  readonly peakBytes: number;
  /** The limit given to `openDevice`; undefined where none was. */
  readonly memoryLimit: number | undefined;
  /** The largest first. */
  readonly holders: readonly BufferHolder[];
}

/**
 * An allocation went over `openDevice({ memoryLimit })`, or the GPU itself had no memory left. The message says what was
 * asked, what is held and by whom.
 */
export class OutOfMemoryError extends Error {
  /** The operation or name that asked, e.g. `matmul [512, 512]`. */
  readonly label: string;
  readonly requestedBytes: number;
  readonly held: HeldMemory;

  constructor(label: string, requestedBytes: number, held: HeldMemory, reason: string) {
    const { liveBytes, cachedBytes, peakBytes, memoryLimit, holders } = held;
    const limit = memoryLimit === undefined ? 'none' : formatBytes(memoryLimit);
    const lines = holders.map(
      ({ label, buffers, bytes }) =>
        `  ${label}: ${buffers} ${buffers === 1 ? 'buffer' : 'buffers'}, ${formatBytes(bytes)}`,
    );
    super(
      `${label}: out of memory: ${formatBytes(requestedBytes)} asked for; ${reason}. Held: ${formatBytes(liveBytes)} live, ` +
        `${formatBytes(cachedBytes)} cached, ${formatBytes(peakBytes)} at most so far; limit: ${limit}.\n` +
        (lines.length > 0 ? `The largest holders:\n${lines.join('\n')}\n` : '') +
        'Free tensors with scope(), using or dispose(), use a smaller batch, or raise the limit.',
    );
    this.name = 'OutOfMemoryError';
    this.label = label;
    this.requestedBytes = requestedBytes;
    this.held = held;
  }
}

/**
 * The GPU went away: its driver crashed or was updated, it hung, or the machine took it back. Everything that waited for
 * the device fails with this error, and so does every later operation on its tensors. Open another device and restore
 * from a checkpoint; see docs/devices.md.
 */
export class DeviceLostError extends Error {
  /** What WebGPU says: `unknown`, or `destroyed` where somebody called `device.gpu.destroy()`. */
  readonly reason: string;

  constructor(reason: string, message: string) {
    super(
      `the GPU device was lost (${reason}): ${message || 'no reason was given'}; its tensors are gone: ` +
        'open another with openDevice() and restore from a checkpoint',
    );
    this.name = 'DeviceLostError';
    this.reason = reason;
  }
}
