import { formatShape, isTensor, sameShape, type Tensor } from '@dawnchorus/tensor';
import { Module } from './module.ts';

/** A field of a module, or of an array in one, that holds a tensor. */
interface Place {
  readonly holder: Record<string, unknown>;
  readonly field: string;
}

function placeOf(module: Module, name: string): Place {
  const path = name.split('.');
  const field = path.pop() as string;
  let holder: unknown = module;
  for (const part of path) holder = (holder as Record<string, unknown> | undefined)?.[part];
  const known = holder instanceof Module || Array.isArray(holder);
  if (!known || !isTensor((holder as unknown as Record<string, unknown>)[field])) {
    throw new RangeError(`withParameters: the module has no tensor ${name}; names are those of stateDict()`);
  }
  return { holder: holder as unknown as Record<string, unknown>, field };
}

/**
 * Runs `body` while the module holds other tensors in the place of some of its own, and puts its own back: PyTorch's
 * `functional_call`. What is to be recomputed in a backward pass (`checkpoint`) needs that pass inside `body`, too.
 *
 * @param tensors by their names in `stateDict()`, of the same shapes; their dtypes may differ.
 * @throws RangeError when the module has no tensor of that name, or one of another shape.
 */
export function withParameters<T>(module: Module, tensors: ReadonlyMap<string, Tensor>, body: () => T): T {
  const changed: (Place & { own: Tensor })[] = [];
  try {
    for (const [name, tensor] of tensors) {
      const place = placeOf(module, name);
      const own = place.holder[place.field] as Tensor;
      if (!sameShape(own.shape, tensor.shape)) {
        throw new RangeError(
          `withParameters: ${name} is ${formatShape(own.shape)} in the module, ${formatShape(tensor.shape)} was given`,
        );
      }
      changed.push({ ...place, own });
      place.holder[place.field] = tensor;
    }
    return body();
  } finally {
    for (const { holder, field, own } of changed) holder[field] = own;
  }
}
