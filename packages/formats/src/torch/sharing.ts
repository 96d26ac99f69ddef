/** Tensors of one storage: what they take together when each becomes an array of its own. */
import { elementCount, elementTypes } from '../elements.ts';
import { FormatError } from '../error.ts';
import type { TorchStorage, TorchView } from './globals.ts';

/** The same for tensors of the same elements. */
export function identity({ dtype, shape, strides, storageOffset, storage }: TorchView): string {
  return `${dtype} ${shape} ${strides} ${storageOffset} ${storage.entry}`;
}

/**
 * Fails if different views of the same storages take together more bytes than those storages have and `allowed` beyond: a
 * small file can have thousands of views of all of its elements.
 */
export function checkTotal(path: string, views: Iterable<readonly [string, TorchView]>, allowed: number): void {
  const seen = new Set<string>();
  const used = new Map<TorchStorage['entry'], { held: number; viewed: number }>();
  for (const [, view] of views) {
    const { dtype, shape, storage } = view;
    if (seen.has(identity(view))) continue;
    seen.add(identity(view));
    const { viewed } = used.get(storage.entry) ?? { viewed: 0 };
    used.set(storage.entry, {
      held: storage.bytes,
      viewed: viewed + elementCount(shape) * elementTypes[dtype].bytes,
    });
  }
  const extra = [...used.values()].reduce((sum, { held, viewed }) => sum + Math.max(0, viewed - held), 0);
  if (extra > allowed) {
    throw new FormatError(
      `${path}: its tensors make ${extra} bytes more than the storages that they are views of, at most ${allowed} are ` +
        'allowed; read them one by one (openTorch), or raise maxExpandedBytes if you trust the file',
    );
  }
}
