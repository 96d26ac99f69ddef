import { type Device, Tensor } from '@dawnchorus/tensor';

/** A table on the GPU that no scope disposes: [length], f32 or u32 as the array is. */
export function upload(
  device: Device,
  values: Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>,
  label: string,
): Tensor {
  const dtype = values instanceof Float32Array ? 'f32' : 'u32';
  const table = Tensor.allocate(device, dtype, [values.length], label, false);
  device.write(table.storage, 0, values);
  return table;
}
