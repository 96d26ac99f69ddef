/** How clips are cut into what the source hears at once. */
import { AudioError, probeAudio, readAudio } from '@dawnchorus/dsp';
import { normaliseWaveform } from '../../model/normalise.ts';
import type { Clip } from '../data.ts';
import type { Task } from '../tasks.ts';
import { SAMPLE_RATE } from './source.ts';

/** Less than this is no window of its own, seconds. */
const LEAST_REST = 0.5;

/** Samples of the windows of a clip, end to end; a separation's windows cover every sample. */
export function windowSamples(task: Task, samples: number): number[] {
  const { window, kind } = task;
  if (window === undefined) return [samples];
  const size = Math.round(window * SAMPLE_RATE);
  const whole = Math.floor(samples / size);
  const rest = samples - whole * size;
  const windows = new Array<number>(whole).fill(size);
  // MARBLE drops what is left over; a clip shorter than a window is one all the same.
  if (whole === 0 || (kind === 'separation' && rest >= LEAST_REST * SAMPLE_RATE)) windows.push(rest);
  return windows;
}

/**
 * A clip as mono windows at 24 kHz.
 *
 * @throws AudioError when the file cannot be read; RangeError when it is shorter than where the clip begins.
 */
export async function readWindows(task: Task, clip: Clip): Promise<Float32Array[]> {
  const duration = clip.duration === undefined ? task.crop : Math.min(clip.duration, task.crop ?? clip.duration);
  const { samples } = await readAudio(clip.path, { start: clip.start, duration, sampleRate: SAMPLE_RATE });
  if (samples.length === 0) throw new AudioError(clip.path, 'empty', 'holds no samples');
  let start = 0;
  return windowSamples(task, samples.length).map((length) => {
    const own = samples.subarray(start, start + length);
    start += length;
    return task.standardise ? normaliseWaveform(own) : own;
  });
}

/** Seconds of a file. */
export const secondsOf = async (path: string): Promise<number> => (await probeAudio(path)).duration;
