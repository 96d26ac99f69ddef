/** Files that are left out, and why. */
import type { AudioItem } from './places.ts';

/** A file that cannot be used, and why. */
export interface SkippedFile {
  path: string;
  reason: string;
}

/** Told of a file that is left out, and why. */
export type SkipFile = (path: string, reason: string) => void;

/** What is wrong with a file, without its path, which stands before it. */
export function reasonOf(error: unknown, { path, place }: Pick<AudioItem, 'path' | 'place'>): string {
  return String((error as Error).message)
    .replace(`${path}: `, '')
    .replace(`${place.file}: `, '')
    .replace(` '${place.file}'`, '');
}

/** Files that are left out, each once. */
export function createSkipList(): { skipped: SkippedFile[]; skip: SkipFile } {
  const skipped: SkippedFile[] = [];
  const named = new Set<string>();
  return {
    skipped,
    skip(path, reason) {
      if (named.has(path)) return;
      named.add(path);
      skipped.push({ path, reason });
    },
  };
}

/** The first reasons, a line each, for the end of an error. */
export const reasonLines = (skipped: readonly SkippedFile[]): string =>
  skipped
    .slice(0, 5)
    .map(({ path, reason }) => `\n  ${path}: ${reason}`)
    .join('');
