/** Single notes: the stand-in for instrument families and pitches. */
import { nsynthFamilies } from '../evaluation/classes.ts';
import { type Split, splits } from '../evaluation/names.ts';
import { type HostRandom, hostRandom, sampleWithoutReplacement } from '../random.ts';
import type { Font } from './fonts.ts';
import { noteOff, noteOn, program } from './midi.ts';
import { type ClipPlan, clipSeed, type PlanOptions } from './plan.ts';

/**
 * General MIDI's programs of each family, without those that fonts play in other octaves (19, 33, 65, 68), and the notes from
 * lowest to highest that they are asked for.
 */
export const noteFamilies: Readonly<Record<string, { programs: readonly number[]; low: number; high: number }>> = {
  bass: { programs: [32, 34, 35, 36, 37, 38, 39], low: 28, high: 67 },
  brass: { programs: [56, 57, 58, 59, 60, 61, 62, 63], low: 40, high: 84 },
  flute: { programs: [72, 73, 74, 75, 76, 77, 78, 79], low: 60, high: 96 },
  guitar: { programs: [24, 25, 26, 27, 28, 29, 30], low: 40, high: 88 },
  keyboard: { programs: [0, 1, 2, 3, 4, 5, 6, 7], low: 21, high: 108 },
  mallet: { programs: [8, 9, 10, 11, 12, 13, 15], low: 48, high: 96 },
  organ: { programs: [16, 17, 18, 20, 21, 22, 23], low: 36, high: 96 },
  reed: { programs: [64, 66, 67, 69, 70, 71], low: 44, high: 88 },
  string: { programs: [40, 41, 42, 43, 44, 45, 46, 48, 49, 50, 51], low: 28, high: 96 },
  synth_lead: { programs: [80, 81, 82, 83, 84, 85, 87], low: 36, high: 96 },
  vocal: { programs: [52, 53, 54], low: 48, high: 84 },
};

/** Drawbar organs sound an octave under what is written: right of their family, wrong of their pitch. */
const octaveUnder = [16, 17, 18];

/** The seconds of a clip, and those that the key is held. */
export const noteSeconds = { clip: 4, held: 3 };

/** One note by one program. */
function noteMessages(number: number, pitch: number, velocity: number, held = noteSeconds.held) {
  return [program(0, 0, number), noteOn(0.02, 0, pitch, velocity), noteOff(0.02 + held, 0, pitch)];
}

/** Draws without putting back, and begins anew when all were drawn. */
export function deck<T>(items: readonly T[], random: HostRandom): () => T {
  let order: number[] = [];
  return () => {
    if (order.length === 0) order = sampleWithoutReplacement(random, items.length, items.length);
    return items[order.pop() as number];
  };
}

const pick = <T>(random: HostRandom, list: readonly T[]): T => list[random.integer(0, list.length - 1)];

interface Drawn {
  family: string;
  program: number;
  pitch: number;
}

const covering = (pitch: number) =>
  nsynthFamilies.filter((family) => noteFamilies[family].low <= pitch && pitch <= noteFamilies[family].high);

/** A pitch by whatever plays it, or a family by whichever of its notes: what is asked for comes equally often. */
function drawer(of: 'pitch' | 'instrument', allowed: readonly string[], random: HostRandom): (font: Font) => Drawn {
  const next = deck(allowed, random);
  return (font) => {
    const asked = next();
    const family = of === 'pitch' ? pick(random, covering(Number(asked))) : asked;
    const { programs, low, high } = noteFamilies[family];
    const wrong = of === 'pitch' ? [...octaveUnder, ...font.unsound] : font.unsound;
    const sound = programs.filter((own) => !wrong.includes(own));
    const pitch = of === 'pitch' ? Number(asked) : random.integer(low, high);
    return { family, program: pick(random, sound), pitch };
  };
}

/** Single notes, labelled by pitch (a MIDI number) or by family. */
export function planNotes(of: 'pitch' | 'instrument', { counts, seed, fonts }: PlanOptions): ClipPlan[] {
  const all = of === 'pitch' ? Array.from({ length: 88 }, (_, i) => String(21 + i)) : nsynthFamilies;
  let known: readonly string[] = all;
  const plans: ClipPlan[] = [];
  for (const split of splits) {
    const random = hostRandom(clipSeed(seed, split, 0), of === 'pitch' ? 1 : 2);
    const draw = drawer(of, known, random);
    const labels = new Set<string>();
    const seen = new Set<string>();
    for (let i = 0; i < counts[split]; i++) {
      const font = fonts[split][i % fonts[split].length];
      let note = draw(font);
      const velocity = pick(random, [60, 80, 100, 120]);
      // No note twice, as long as there are others.
      for (let tries = 0; tries < 20 && seen.has(`${font.name} ${note.program} ${note.pitch}`); tries++) {
        const other = draw(font);
        if (of === 'instrument' ? other.family === note.family : other.pitch === note.pitch) note = other;
      }
      seen.add(`${font.name} ${note.program} ${note.pitch}`);
      const label = of === 'pitch' ? String(note.pitch) : note.family;
      labels.add(label);
      plans.push({
        path: `audio/${split}-${String(i).padStart(5, '0')}`,
        split,
        font,
        groups: { font: font.name, lineage: font.lineage, seed: clipSeed(seed, split, i), program: note.program },
        levelled: true,
        compose: () => ({
          messages: noteMessages(note.program, note.pitch, velocity),
          seconds: noteSeconds.clip,
          start: 0,
          duration: noteSeconds.clip,
          label,
        }),
      });
    }
    // A small proxy asks for nothing that it did not teach.
    if (split === 'train') known = all.filter((label) => labels.has(label));
  }
  return plans;
}

/** How many clips each split has. */
export function countBySplit(plans: readonly { split: Split }[]): Record<Split, number> {
  const of = (split: Split) => plans.filter((plan) => plan.split === split).length;
  return { train: of('train'), valid: of('valid'), test: of('test') };
}
