/** What a proxy is to hold, before anything is rendered. */
import type { Split } from '../evaluation/names.ts';
import type { Font } from './fonts.ts';
import type { Message } from './midi.ts';
import type { SongPart } from './song.ts';

/** A label as clips.jsonl has it. */
export type Label = string | string[] | number[];

/** What is known once the music of a clip is there. */
export interface Composed {
  readonly messages: readonly Message[];
  /** Seconds to render, and the part of them that becomes the clip. */
  readonly seconds: number;
  readonly start: number;
  readonly duration: number;
  readonly label?: Label;
  readonly beats?: readonly number[];
  readonly downbeats?: readonly number[];
  /** The messages of each stem; the clip is their sum. */
  readonly stems?: Readonly<Record<SongPart, readonly Message[]>>;
}

/** One clip that is to be made. */
export interface ClipPlan {
  /** In the folder, without the ending. */
  readonly path: string;
  readonly split: Split;
  readonly font: Font;
  readonly groups: Readonly<Record<string, string | number>>;
  /** Bring it to a common level? Otherwise its loudness is part of what it says. */
  readonly levelled: boolean;
  /** Makes the clip's sound. */
  compose(): Promise<Composed> | Composed;
}

/** What a planner is told. */
export interface PlanOptions {
  /** Clips in each split. */
  readonly counts: Readonly<Record<Split, number>>;
  readonly seed: number;
  readonly fonts: Readonly<Record<Split, readonly Font[]>>;
  /** mma's folder of style files, for songs. */
  readonly styles: string;
  /** Accompaniments of our own in the place of mma's? */
  readonly own?: boolean;
}

/** The seeds of a split's clips are of a range of its own. */
export function clipSeed(seed: number, split: Split, index: number): number {
  const ranges = { train: 0, valid: 1, test: 2 };
  return (seed % 1000) * 1_000_000 + ranges[split] * 300_000 + index;
}

/** Seven tenths train; the rest is for validation and, more of it, for the test: one clip at least. */
export function countsOf(clips: number): Record<Split, number> {
  const test = Math.max(1, Math.round(0.18 * clips));
  const valid = Math.max(1, Math.round(0.12 * clips));
  return { train: Math.max(1, clips - test - valid), valid, test };
}
