import type { Device } from '../device/device.ts';
import { formatShape, isContiguous } from '../shape.ts';
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
