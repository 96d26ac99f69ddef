/** Audio files: what they hold, reading them as mono signals, and writing WAV and FLAC. */

export {
  type AudioInfo,
  audioExtensions,
  audioFiles,
  checkAudio,
  fileSource,
  filesWithin,
  probeAudio,
  readAudio,
  streamAudio,
} from '#files';
export { type ByteSource, memorySource } from './bytes.ts';
export { type Audio, decodeAudio, type ReadOptions } from './decode.ts';
export { AudioError, type AudioErrorReason } from './error.ts';
export { encodeFlac } from './flac-encode.ts';
export { openAudio } from './open.ts';
export { type AudioPieces, openPieces } from './pieces.ts';
export type { AudioBlock, AudioFormat, AudioStream } from './stream.ts';
export { encodeWav } from './wav-encode.ts';
