/** What stands in for atomic.ts in browsers, which have no paths to write to. */
import type * as node from './atomic.ts';
import { FormatError } from './error.ts';

export type { AtomicOptions, Chunks, MetricsLog, MetricsRecord } from './atomic.ts';

function refuse(path: string): never {
  throw new FormatError(`cannot write ${path}: a browser has no paths; write files in Node`);
}

export const writeAtomically: typeof node.writeAtomically = async (path) => refuse(path);
export const writeJson: typeof node.writeJson = async (path) => refuse(path);
export const openMetricsLog: typeof node.openMetricsLog = (path) => refuse(path);
export const truncateMetricsLog: typeof node.truncateMetricsLog = async (path) => refuse(path);
