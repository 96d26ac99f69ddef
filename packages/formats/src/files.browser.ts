/** What stands in for files.ts in browsers, which have no paths. */
import type { OpenFile } from './bytes.ts';
import { FormatError } from './error.ts';

/** @throws FormatError always */
export async function openPath(path: string, what: string): Promise<OpenFile> {
  throw new FormatError(`cannot open ${what} ${path}: a browser has no paths; give the bytes of the file (Uint8Array)`);
}
