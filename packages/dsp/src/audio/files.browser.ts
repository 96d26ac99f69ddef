/** What stands in for files.ts in browsers, which have no paths. */
import { AudioError } from './error.ts';
import type * as node from './files.ts';

export type { AudioInfo } from './files.ts';

async function refuse(path: string): Promise<never> {
  const advice = 'a browser has no paths; give the bytes to decodeAudio by memorySource';
  throw new AudioError(path, 'unreadable', advice);
}

export const probeAudio: typeof node.probeAudio = refuse;
export const checkAudio: typeof node.checkAudio = refuse;
export const readAudio: typeof node.readAudio = refuse;
export const audioFiles: typeof node.audioFiles = refuse;

export const streamAudio: typeof node.streamAudio = refuse;
