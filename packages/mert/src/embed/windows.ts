/** A recording in windows that overlap, each heard as a clip of its own. */
import type { Span } from '../data/recording.ts';

/** A window, and which of its frames are kept. */
export interface Window {
  /** Samples that are heard. */
  span: Span;
  /** Its first frame in the recording. */
  firstFrame: number;
  /** Frames of the recording that are taken from this window. */
  from: number;
  to: number;
}

/** Frames of so many samples: what convolutions without padding make. */
export const framesOf = (samples: number, { reach, hop }: { reach: number; hop: number }): number =>
  samples < reach ? 0 : Math.floor((samples - reach) / hop) + 1;

/**
 * Windows of a recording. One that fits into a window is heard whole. Of a longer one, windows begin each
 * `windowFrames - overlapFrames` frames, on frames, and the last is moved back to end with the recording; where two overlap,
 * each gives its half, so that a frame is heard with as much before and after it as there is. Every frame of the recording
 * is kept once.
 */
export function planWindows(
  samples: number,
  frame: { reach: number; hop: number },
  windowFrames: number,
  overlapFrames: number,
): Window[] {
  const frames = framesOf(samples, frame);
  if (frames <= windowFrames) {
    return [{ span: { first: 0, end: samples }, firstFrame: 0, from: 0, to: frames }];
  }
  const starts: number[] = [];
  for (let at = 0; at + windowFrames < frames; at += windowFrames - overlapFrames) starts.push(at);
  starts.push(frames - windowFrames);
  // The middle of where a window and the one after it overlap.
  const ends = starts.map((start, i) =>
    i + 1 < starts.length ? Math.ceil((start + windowFrames + starts[i + 1]) / 2) : frames,
  );
  const length = (windowFrames - 1) * frame.hop + frame.reach;
  return starts.map((start, i) => ({
    span: { first: start * frame.hop, end: start * frame.hop + length },
    firstFrame: start,
    from: i === 0 ? 0 : ends[i - 1],
    to: ends[i],
  }));
}
