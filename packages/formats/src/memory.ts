import { FormatError } from './error.ts';

let observer: ((bytes: number) => void) | undefined;

/** Tells of every buffer whose size a file decides, for tests; undefined ends it. */
export function observeAllocations(listener: ((bytes: number) => void) | undefined): void {
  observer = listener;
}

/** A buffer whose size a file decides: every one in this package is made here, after the size was checked. */
export function allocate(bytes: number): Uint8Array<ArrayBuffer> {
  observer?.(bytes);
  try {
    return new Uint8Array(bytes);
  } catch (cause) {
    throw new FormatError(`${bytes} bytes of memory are not to be had in one piece; read it by rows`, { cause });
  }
}
