import { createHash } from 'node:crypto';

/** SHA-256 over settings and tensors by name, whatever the order they come in. */
export function hashTeacher(
  settings: unknown,
  tensors: Iterable<readonly [name: string, tensor: { shape: readonly number[]; data: ArrayBufferView }]>,
): string {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  for (const [name, { shape, data }] of [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`\n${name} [${shape}]\n`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex');
}
