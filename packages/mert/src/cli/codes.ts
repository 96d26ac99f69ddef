import { openNpy } from '@dawnchorus/formats';

/** Codes or labels of a NumPy file, whole numbers [codebooks, frames]. @throws Error that names the file. */
export async function readCodes(path: string, what: string): Promise<{ shape: number[]; data: Int32Array }> {
  await using npy = await openNpy(path);
  const { dtype, shape } = npy;
  if (shape.length !== 2 || shape.includes(0)) {
    throw new Error(`${path}: has shape [${shape.join(', ')}]; expected ${what} [codebooks, frames]`);
  }
  if (/^(<f|\|b)/.test(dtype))
    throw new Error(`${path}: holds ${dtype}; expected ${what} as whole numbers, e.g. int32`);
  const { data } = await npy.read({ as: 'i32' });
  return { shape: [...shape], data };
}
