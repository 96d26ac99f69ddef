import { checkAudio, type ReadOptions, readAudio, resampledLength } from '@dawnchorus/dsp';

/** Headers that say less or more than this are taken for damaged: no audio is kept at such rates. */
const [LEAST_RATE, MOST_RATE] = [1000, 768000];
/** Seconds that are read at a time: what lies before is not decoded again, but files are opened anew. */
const PIECE_SECONDS = 60;

/** A track that is read piece by piece. */
export interface Track {
  path: string;
  /** Samples at the rate that was asked for. */
  samples: number;
  /** Its samples in order, mono. */
  pieces(): AsyncGenerator<Float32Array, void, undefined>;
}

/**
 * Opens an audio file to be read in pieces, as mono (the mean of its channels) at `sampleRate`. It is resampled as encodec
 * and torchaudio do by default (`hann6`) unless `quality` says otherwise. All pieces together are what `readAudio` reads
 * at once.
 *
 * @throws AudioError for files that cannot be used; Error for a sample rate outside 1 to 768 kHz.
 */
export async function openTrack(
  path: string,
  sampleRate: number,
  { quality = 'hann6' }: Pick<ReadOptions, 'quality'> = {},
): Promise<Track> {
  const info = await checkAudio(path);
  if (info.sampleRate < LEAST_RATE || info.sampleRate > MOST_RATE) {
    throw new Error(
      `${path}: its header says ${info.sampleRate} Hz; expected ${LEAST_RATE} to ${MOST_RATE}. The file is damaged; fetch it again`,
    );
  }
  const samples = resampledLength(info.frames, info.sampleRate, sampleRate);
  if (samples === 0) throw new Error(`${path}: holds no samples`);
  return {
    path,
    samples,
    async *pieces() {
      const most = PIECE_SECONDS * sampleRate;
      for (let start = 0; start < samples; start += most) {
        // To the end, the last one is read without a duration, which checks that the file ends as it should.
        const duration = start + most < samples ? PIECE_SECONDS : undefined;
        const piece = await readAudio(path, { start: start / sampleRate, duration, sampleRate, quality });
        yield piece.samples;
      }
    },
  };
}
