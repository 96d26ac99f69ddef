/** Mixtures and their stems, decoded once and kept while there is room. */
import { totalmem } from 'node:os';
import { readAudio } from '@dawnchorus/dsp';
import type { Clip } from '../data.ts';
import { SAMPLE_RATE } from '../features/source.ts';
import { stemNames } from '../names.ts';

/** A mixture and its four stems, mono at 24 kHz, of one length. */
export interface Track {
  mixture: Float32Array;
  /** In the order of `stemNames`. */
  stems: Float32Array[];
}

const fitted = (samples: Float32Array, length: number): Float32Array => {
  if (samples.length === length) return samples;
  const out = new Float32Array(length);
  out.set(samples.subarray(0, length));
  return out;
};

/** Reads tracks; a quarter of the machine's memory keeps them. */
export function createTracks(): (clip: Clip) => Promise<Track> {
  const kept = new Map<string, Track>();
  const room = totalmem() / 4;
  let bytes = 0;
  const sizeOf = ({ mixture }: Track) => mixture.byteLength * (1 + stemNames.length);
  return async (clip) => {
    const key = JSON.stringify([clip.path, clip.stems]);
    const own = kept.get(key);
    if (own) return own;
    const { samples: mixture } = await readAudio(clip.path, { sampleRate: SAMPLE_RATE });
    const stems: Float32Array[] = [];
    for (const stem of stemNames) {
      const path = clip.stems?.[stem];
      if (!path) throw new Error(`${clip.path}: has no stem ${stem}`);
      stems.push(fitted((await readAudio(path, { sampleRate: SAMPLE_RATE })).samples, mixture.length));
    }
    const track = { mixture, stems };
    kept.set(key, track);
    bytes += sizeOf(track);
    for (const [old, other] of kept) {
      if (bytes <= room || other === track) break;
      kept.delete(old);
      bytes -= sizeOf(other);
    }
    return track;
  };
}
