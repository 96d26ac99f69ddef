import type { Device } from '../device/device.ts';
import { formatShape, isContiguous, type Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { runMap } from './elementwise.ts';

/**
 * Calls `body` with row-major versions of the tensors: themselves where they are dense, else temporary copies. For
 * kernels that take an offset but no strides. Nothing here goes through the door: the copies are part of the operation.
 *
 * @param align what offsets are a multiple of; 2 for kernels that read pairs.
 */
export function withDense(
  device: Device,
  tensors: readonly Tensor[],
  body: (dense: Tensor[]) => void,
  align = 1,
): void {
  const temporaries: Tensor[] = [];
  try {
    const dense = tensors.map((tensor) => {
      if (isContiguous(tensor.shape, tensor.strides) && tensor.offset % align === 0) return tensor;
      const copy = Tensor.allocate(
        device,
        tensor.dtype,
        tensor.shape,
        `dense copy ${formatShape(tensor.shape)}`,
        false,
      );
      temporaries.push(copy);
      runMap(device, [tensor], copy, 'return a;');
      return copy;
    });
    body(dense);
  } finally {
    for (const temporary of temporaries) temporary.dispose();
  }
}

/** Calls `body`, and disposes after it in any case what it gave to `hold`. */
export function holding(body: (hold: (tensor: Tensor) => Tensor) => void): void {
  const held: Tensor[] = [];
  try {
    body((tensor) => {
      held.push(tensor);
      return tensor;
    });
  } finally {
    for (const tensor of held) tensor.dispose();
  }
}

/** Calls `body` with new f32 tensors, named in lists of what memory is held by, that are given back after it in any case. */
export function withScratch<T>(
  device: Device,
  wanted: readonly { readonly name: string; readonly shape: Shape }[],
  body: (...scratch: Tensor[]) => T,
): T {
  const scratch: Tensor[] = [];
  try {
    for (const { name, shape } of wanted) scratch.push(Tensor.allocate(device, 'f32', shape, name, false));
    return body(...scratch);
  } finally {
    for (const tensor of scratch) tensor.dispose();
  }
}
