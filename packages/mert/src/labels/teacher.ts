import type { ResampleQuality } from '@dawnchorus/dsp';
import type { Tensor } from '@dawnchorus/tensor';
import { type Recording, recordingOf } from '../data/recording.ts';

/** What labels must agree on with whoever uses them. */
export interface TeacherDescription {
  /** What it is: `rvq`, `kmeans`, `encodec`. */
  readonly name: string;
  /** SHA-256 of its settings and weights, in hexadecimal: teachers with one hash give the same labels. */
  readonly hash: string;
  /** Samples a second that it hears. */
  readonly sampleRate: number;
  /** Samples between neighbouring labels. */
  readonly hop: number;
  /** A recording of n samples has floor((n + framePadding) / hop) labels in each codebook, at least 0. */
  readonly framePadding: number;
  /** How many labels each codebook has: [codebooks]. */
  readonly codebooks: readonly number[];
}

/** Labels music with whole numbers, on a grid of `hop` samples. */
export interface Teacher extends TeacherDescription {
  /** How its makers bring music to its rate, where that matters to them. */
  readonly resample?: ResampleQuality;
  /** The adapter that it runs on: another may label frames otherwise that lie between two labels but for rounding. */
  readonly adapter?: string;
  /** The labels of a whole waveform, in [-1, 1] at the teacher's rate: [codebooks, frames], row by row. */
  label(waveform: Float32Array): Promise<Int32Array>;
  /**
   * The same a piece after another, in memory that does not grow with the recording: each piece is [frames, codebooks], the
   * codebooks of a frame side by side.
   */
  stream(recording: Recording): AsyncGenerator<Int32Array, void, undefined>;
  /** Gives its tensors back. */
  dispose(): void;
}

/** A teacher that can label crops on the device as well, as they come to a training step. */
export interface CropTeacher extends Teacher {
  /**
   * Labels of crops [batch, samples], in [-1, 1] at the teacher's rate, each taken for a whole recording: i32 [codebooks,
   * batch, frames]. Nothing but operations, so that a compiled step can hold it.
   */
  encode(waveform: Tensor): Tensor;
}

/** Labels in each codebook of a recording of `samples` at the teacher's rate. */
export function frameCountOf(
  { hop, framePadding }: Pick<TeacherDescription, 'hop' | 'framePadding'>,
  samples: number,
): number {
  return Math.max(0, Math.floor((samples + framePadding) / hop));
}

/** [frames, codebooks] as [codebooks, frames]. */
export function byCodebook(labels: Int32Array, codebooks: number): Int32Array {
  if (labels.length === 0) return labels;
  const frames = labels.length / codebooks;
  return Int32Array.from(labels, (_, i) => labels[(i % frames) * codebooks + Math.floor(i / frames)]);
}

/** [codebooks, frames] as [frames, codebooks]. */
export const byFrame = (labels: Int32Array, codebooks: number): Int32Array =>
  labels.length === 0 ? labels : byCodebook(labels, labels.length / codebooks);

/** All labels of a recording, [codebooks, frames]: what is held is these and a piece of the recording. */
export async function labelRecording(
  teacher: Pick<Teacher, 'hop' | 'framePadding' | 'codebooks' | 'stream'>,
  recording: Recording,
): Promise<Int32Array> {
  const codebooks = teacher.codebooks.length;
  const all = new Int32Array(frameCountOf(teacher, recording.samples) * codebooks);
  let filled = 0;
  for await (const piece of teacher.stream(recording)) {
    all.set(piece, filled);
    filled += piece.length;
  }
  return byCodebook(all, codebooks);
}

/** The teacher whose `label` is what its `stream` gives. */
export function defineTeacher(teacher: Omit<CropTeacher, 'label'>): CropTeacher;
export function defineTeacher(teacher: Omit<Teacher, 'label'>): Teacher;
export function defineTeacher(teacher: Omit<Teacher, 'label'>): Teacher {
  return { ...teacher, label: (waveform) => labelRecording(teacher, recordingOf(waveform)) };
}
