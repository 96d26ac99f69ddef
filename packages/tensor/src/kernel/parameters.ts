import type { Kernel, ParameterType } from '@dawnchorus/kernels';

/** A slot of the parameter buffer: WebGPU's largest alignment of dynamic uniform offsets. */
export const SLOT_BYTES = 256;

/** Writes a kernel's parameters at `offset`, by WGSL's layout rules for uniform buffers. */
export function writeParameters(
  view: DataView,
  offset: number,
  kernel: Kernel,
  values: Readonly<Record<string, number | readonly number[]>>,
): void {
  let at = offset;
  for (const name in kernel.parameters) {
    const type: ParameterType = kernel.parameters[name];
    const value = values[name];
    if (type === 'u32x8') {
      at = Math.ceil(at / 16) * 16;
      const list = value as readonly number[];
      for (let i = 0; i < 8; i++) view.setUint32(at + 4 * i, list[i] ?? 0, true);
      at += 32;
    } else {
      // Undefined, as gridStart's fields are where a grid needs no splitting, counts as 0.
      if (type === 'u32') view.setUint32(at, value as number, true);
      else view.setFloat32(at, value as number, true);
      at += 4;
    }
  }
  if (at - offset > SLOT_BYTES)
    throw new Error(`kernel ${kernel.name}: ${at - offset} bytes of parameters, at most ${SLOT_BYTES}`);
}

/**
 * Slots for the parameters of `count` dispatches in one uniform buffer, which are bound with a dynamic offset and written once a
 * submit.
 */
export function createParameterSlots(device: GPUDevice, count: number) {
  const buffer = device.createBuffer({
    label: 'parameters',
    size: count * SLOT_BYTES,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  const staging = new DataView(new ArrayBuffer(count * SLOT_BYTES));
  let used = 0;
  return {
    buffer,
    get full(): boolean {
      return used === count;
    },
    /** Fills the next slot. Returns its offset. */
    write(kernel: Kernel, values: Readonly<Record<string, number | readonly number[]>>): number {
      const offset = used++ * SLOT_BYTES;
      writeParameters(staging, offset, kernel, values);
      return offset;
    },
    /** Empties the slots. Returns what they held, where it stays until they are written again, or a copy. */
    take(copied: boolean): Uint8Array<ArrayBuffer> {
      const bytes = new Uint8Array(staging.buffer, 0, used * SLOT_BYTES);
      used = 0;
      return copied ? bytes.slice() : bytes;
    },
  };
}
