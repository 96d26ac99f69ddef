import { AudioError } from './error.ts';

/** The audio file formats that are read. */
export type AudioFormat = 'wav' | 'flac' | 'mp3' | 'ogg-vorbis' | 'ogg-opus';

/** Decoded samples: `channels` are arrays of one length, the first at sample frame `start` of the file. */
export type AudioBlock = { start: number; channels: Float32Array[] };

/** An opened audio file of any format. */
export type AudioStream = {
  readonly format: AudioFormat;
  /** Samples a second. */
  readonly sampleRate: number;
  readonly channels: number;
  /** Samples of each channel, as the file promises them. */
  readonly frames: number;
  /** Samples of each channel that its bytes can hold at most: exact in WAV, elsewhere what the format's shortest packets could. */
  readonly most: number;
  /** Throws an AudioError 'truncated' when the file holds less than it promises, as far as that shows cheaply. */
  check(): Promise<void>;
  /**
   * Decodes from sample frame `start` on. The blocks are in order; the first may begin before `start` and the last end
   * after `end`. Decoders are freed when the loop over the blocks ends, also when it is left early.
   */
  blocks(start: number, end: number): AsyncGenerator<AudioBlock, void, undefined>;
};

/** @throws AudioError 'truncated' when the file promises more than its bytes can hold. */
export function expectPossible(name: string, { frames, most }: Pick<AudioStream, 'frames' | 'most'>): void {
  if (frames <= most) return;
  throw new AudioError(
    name,
    'truncated',
    `the file promises ${frames} samples, its bytes hold ${most} at most; fetch or write the file again`,
  );
}
