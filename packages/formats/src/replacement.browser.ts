/** What stands in for replacement.ts in browsers, which have no paths to write to. */
import { FormatError } from './error.ts';
import type * as node from './replacement.ts';

export type { Replacement } from './replacement.ts';

export const openReplacement: typeof node.openReplacement = async (path) => {
  throw new FormatError(`cannot write ${path}: a browser has no paths; write files in Node`);
};
