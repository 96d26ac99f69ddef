/** What stands in for files.ts in browsers, which have no paths. */
import { AudioError } from './error.ts';
import type * as node from './files.ts';

export type { AudioInfo } from './files.ts';

export const audioExtensions: typeof node.audioExtensions = new Set();

async function refuse(path: string): Promise<never> {
  const advice = 'a browser has no paths; give the bytes to decodeAudio by memorySource';
  throw new AudioError(path, 'unreadable', advice);
}

export const probeAudio: typeof node.probeAudio = refuse;
export const checkAudio: typeof node.checkAudio = refuse;
export const readAudio: typeof node.readAudio = refuse;
export const audioFiles: typeof node.audioFiles = refuse;
export const filesWithin: typeof node.filesWithin = refuse;
export const fileSource: typeof node.fileSource = (name) => ({ name, size: 0, read: () => refuse(name) });

export const streamAudio: typeof node.streamAudio = refuse;
