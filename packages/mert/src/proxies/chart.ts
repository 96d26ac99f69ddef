/** Chord charts with a key that is not in doubt: functional harmony that begins on the tonic and ends on V7 I. */
import type { HostRandom } from '../random.ts';

/** A chord: semitones of its root over the tonic, and its kind as mma writes it. */
export interface Chord {
  readonly degree: number;
  readonly kind: string;
}

/** Bars of one or two chords. */
export type Chart = readonly (readonly Chord[])[];

export type Mode = 'major' | 'minor';

/** Names of the twelve tonics, as keys are named. */
export const tonics = ['C', 'Db', 'D', 'Eb', 'E', 'F', 'Gb', 'G', 'Ab', 'A', 'Bb', 'B'];

const scales: Record<Mode, readonly number[]> = { major: [0, 2, 4, 5, 7, 9, 11], minor: [0, 2, 3, 5, 7, 8, 10] };

/** Chords by function: degree, kinds, and where they lead. */
const harmony: Record<Mode, Readonly<Record<string, { degree: number; kinds: string[]; next: string[] }>>> = {
  major: {
    I: { degree: 0, kinds: ['', '', 'M7', '6'], next: ['ii', 'IV', 'V', 'vi', 'iii', 'V/V', 'V/ii', 'V/vi'] },
    ii: { degree: 2, kinds: ['m', 'm7'], next: ['V', 'V', 'V', 'IV'] },
    iii: { degree: 4, kinds: ['m', 'm7'], next: ['vi', 'IV'] },
    IV: { degree: 5, kinds: ['', 'M7'], next: ['V', 'I', 'ii'] },
    V: { degree: 7, kinds: ['', '7'], next: ['I', 'I', 'vi'] },
    vi: { degree: 9, kinds: ['m', 'm7'], next: ['ii', 'IV', 'V/V'] },
    'V/V': { degree: 2, kinds: ['7'], next: ['V'] },
    'V/ii': { degree: 9, kinds: ['7'], next: ['ii'] },
    'V/vi': { degree: 4, kinds: ['7'], next: ['vi'] },
  },
  minor: {
    I: { degree: 0, kinds: ['m', 'm', 'm7'], next: ['iv', 'V', 'VI', 'VII', 'ii', 'III', 'V/iv'] },
    ii: { degree: 2, kinds: ['m7b5'], next: ['V'] },
    III: { degree: 3, kinds: ['', 'M7'], next: ['VI', 'iv'] },
    iv: { degree: 5, kinds: ['m', 'm7'], next: ['V', 'V', 'I', 'VII'] },
    V: { degree: 7, kinds: ['7'], next: ['I', 'I', 'VI'] },
    VI: { degree: 8, kinds: ['', 'M7'], next: ['ii', 'iv', 'V'] },
    VII: { degree: 10, kinds: ['', '7'], next: ['III', 'I'] },
    'V/iv': { degree: 0, kinds: ['7'], next: ['iv'] },
  },
};

const pick = <T>(random: HostRandom, list: readonly T[]): T => list[random.integer(0, list.length - 1)];

/** Eight bars: I, six of functional harmony the last of which is V7, and I; some bars of four beats have two chords. */
export function drawChart(random: HostRandom, mode: Mode, metre: 3 | 4): Chart {
  const own = harmony[mode];
  const chord = (name: string): Chord => ({ degree: own[name].degree, kind: pick(random, own[name].kinds) });
  const bars: Chord[][] = [[chord('I')]];
  let at = 'I';
  for (let bar = 1; bar < 6; bar++) {
    const count = metre === 4 && random.uniform() < 0.25 ? 2 : 1;
    const chords: Chord[] = [];
    for (let i = 0; i < count; i++) {
      at = pick(random, own[at].next);
      chords.push(chord(at));
    }
    bars.push(chords);
  }
  bars.push([{ degree: 7, kind: '7' }], [chord('I')]);
  return bars;
}

/** A chart without its key, to tell charts apart: `0.M7 2.m7|…`. */
export const chartName = (chart: Chart): string =>
  chart.map((bar) => bar.map(({ degree, kind }) => `${degree}${kind && `.${kind}`}`).join(' ')).join('|');

/** A chord's name in a key. */
export const chordName = (tonic: number, { degree, kind }: Chord): string => `${tonics[(tonic + degree) % 12]}${kind}`;

/** Pitch classes of a chord in a key. */
export function chordTones(tonic: number, { degree, kind }: Chord): number[] {
  const minor = kind.startsWith('m');
  const fifth = kind === 'm7b5' ? 6 : 7;
  return [0, minor ? 3 : 4, fifth].map((step) => (tonic + degree + step) % 12);
}

/** Pitch classes of a key. */
export const scaleTones = (tonic: number, mode: Mode): number[] => scales[mode].map((step) => (tonic + step) % 12);
