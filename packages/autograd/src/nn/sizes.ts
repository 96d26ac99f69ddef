import { checkWhole } from '@dawnchorus/tensor';

/** That the extents a layer is made with leave something to compute: whole numbers from 1. */
export function checkSizes(layer: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, size] of Object.entries(sizes)) checkWhole(layer, name, size, 1);
}
