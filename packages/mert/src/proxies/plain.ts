/**
 * Accompaniments of our own, for clips that are to be free of mma's style files: a few patterns of chords, bass and drums
 * that play a chart.
 */
import type { Split } from '../evaluation/names.ts';
import type { HostRandom } from '../random.ts';
import { type Chart, type Chord, chordTones } from './chart.ts';
import { DRUMS } from './midi.ts';
import type { SongPart } from './song.ts';
import type { Groove } from './styles.ts';

/** Beats from the start of a bar; of the bass with the step of the chord: 0 the root, 2 the fifth. */
interface Pattern {
  readonly metre: 3 | 4;
  readonly programs: { readonly chord: readonly number[]; readonly bass: readonly number[] };
  readonly chord: readonly number[];
  readonly chordLength: number;
  /** One note of the chord after the other instead of all at once. */
  readonly broken?: boolean;
  readonly bass: readonly (readonly [number, number])[];
  readonly kick: readonly number[];
  readonly snare: readonly number[];
  readonly hat: readonly number[];
}

const eighths = (metre: number) => Array.from({ length: 2 * metre }, (_, i) => i / 2);

const patterns: Readonly<Record<string, Pattern>> = {
  'own-blocks': {
    ...{ metre: 4, programs: { chord: [0, 4, 25], bass: [32, 34] }, chord: [0, 1, 2, 3], chordLength: 0.9 },
    ...{
      bass: [
        [0, 0],
        [2, 2],
      ],
      kick: [0, 2],
      snare: [1, 3],
      hat: eighths(4),
    },
  },
  'own-arpeggio': {
    ...{
      metre: 4,
      programs: { chord: [0, 24, 46], bass: [32, 43] },
      chord: eighths(4),
      chordLength: 0.5,
      broken: true,
    },
    ...{ bass: [[0, 0]], kick: [0], snare: [2], hat: [0, 1, 2, 3] },
  },
  'own-threes': {
    ...{ metre: 3, programs: { chord: [0, 21, 24], bass: [32, 43] }, chord: [1, 2], chordLength: 0.6 },
    ...{ bass: [[0, 0]], kick: [0], snare: [1, 2], hat: [0, 1, 2] },
  },
  'own-push': {
    ...{ metre: 4, programs: { chord: [26, 18, 4], bass: [34, 36] }, chord: [0, 1.5, 3], chordLength: 0.8 },
    ...{
      bass: [
        [0, 0],
        [1.5, 0],
        [3, 2],
      ],
      kick: [0, 1.5],
      snare: [1, 3],
      hat: [0, 1, 2, 3],
    },
  },
  'own-offbeat': {
    ...{ metre: 4, programs: { chord: [27, 16, 5], bass: [38, 34] }, chord: [0.5, 1.5, 2.5, 3.5], chordLength: 0.3 },
    ...{
      bass: [
        [0, 0],
        [1, 2],
        [2, 0],
        [3, 2],
      ],
      kick: [0, 1, 2, 3],
      snare: [2],
      hat: [0.5, 1.5, 2.5, 3.5],
    },
  },
  'own-slow-threes': {
    ...{
      metre: 3,
      programs: { chord: [48, 6, 11], bass: [42, 32] },
      chord: eighths(3),
      chordLength: 0.5,
      broken: true,
    },
    ...{
      bass: [
        [0, 0],
        [2, 2],
      ],
      kick: [0],
      snare: [2],
      hat: [0, 1, 2],
    },
  },
};

/** Patterns of each split, which share none. */
export const ownStyles: Readonly<Record<Split, readonly string[]>> = {
  train: ['own-blocks', 'own-arpeggio', 'own-threes'],
  valid: ['own-push'],
  test: ['own-offbeat', 'own-slow-threes'],
};

export const isOwn = (style: string): boolean => style in patterns;

/** The groove of a pattern. */
export const ownGroove = (style: string): Groove => ({
  ...{ style, name: style, metre: patterns[style].metre, family: undefined },
});

/** A note in beats. */
export interface BeatNote {
  readonly beat: number;
  readonly length: number;
  readonly channel: number;
  readonly pitch: number;
  readonly velocity: number;
  readonly part: SongPart;
}

const [CHORDS, BASS] = [0, 1];

/** Plays a chart; a few hundredths of a beat and some loudness are drawn, so that no bar is like another. */
export function playOwn(style: string, chart: Chart, tonic: number, random: HostRandom) {
  const { metre, programs, chord, chordLength, broken, bass, kick, snare, hat } = patterns[style];
  const pick = (list: readonly number[]) => list[random.integer(0, list.length - 1)];
  const notes: BeatNote[] = [];
  const play = (beat: number, length: number, channel: number, pitch: number, loud: number, part: SongPart) =>
    notes.push({
      ...{ beat: Math.max(0, beat + 0.02 * (random.uniform() - 0.5)), length, channel, pitch, part },
      velocity: loud + random.integer(-8, 8),
    });
  for (const [bar, chords] of chart.entries()) {
    const at = (beat: number): Chord => chords[Math.floor((beat * chords.length) / metre)];
    const first = bar * metre;
    for (const [i, beat] of chord.entries()) {
      const tones = chordTones(tonic, at(beat)).map((tone) => 55 + ((tone + 5) % 12));
      const own = broken ? [tones.toSorted((a, b) => a - b)[i % 3]] : tones;
      for (const pitch of own) play(first + beat, chordLength, CHORDS, pitch, 78, 'other');
    }
    for (const [beat, step] of bass) {
      const tone = chordTones(tonic, at(beat))[step];
      play(first + beat, 0.9, BASS, 32 + ((tone + 4) % 12), 95, 'bass');
    }
    for (const [pitch, beats, loud] of [
      [36, kick, 100],
      [38, snare, 90],
      [42, hat, 65],
    ] as const) {
      for (const beat of beats) play(first + beat, 0.2, DRUMS, pitch, loud, 'drums');
    }
  }
  return {
    notes,
    programs: [
      [CHORDS, pick(programs.chord), 'other'],
      [BASS, pick(programs.bass), 'bass'],
    ] as const,
  };
}
