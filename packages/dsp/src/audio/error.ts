/**
 * Why an audio file could not be used.
 * - `not-audio`: the bytes are no audio format that is known here
 * - `truncated`: the file promises more than it holds
 * - `empty`: no bytes, or no samples
 * - `not-finite`: a sample is NaN or infinite
 * - `unsupported`: an audio format or a variant of one that is not read here
 * - `unreadable`: the file cannot be opened, or its data is damaged
 */
export type AudioErrorReason = 'not-audio' | 'truncated' | 'empty' | 'not-finite' | 'unsupported' | 'unreadable';

/** An audio file that cannot be used; `path` names the file and `reason` tells why. */
export class AudioError extends Error {
  readonly path: string;
  readonly reason: AudioErrorReason;

  constructor(path: string, reason: AudioErrorReason, message: string, options?: ErrorOptions) {
    super(`${path}: ${message}`, options);
    this.name = 'AudioError';
    this.path = path;
    this.reason = reason;
  }
}
