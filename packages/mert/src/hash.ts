/** SHA-256, in hexadecimal digits. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

/** Of text, in UTF-8. */
export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** Of a file. @throws what the file system says */
export async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 22 })) hash.update(chunk as Uint8Array);
  return hash.digest('hex');
}
