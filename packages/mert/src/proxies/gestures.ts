/** Phrases on sustained instruments: articulations, and the identity of a preset. They stand beside tasks of singing. */
import { splits } from '../evaluation/names.ts';
import { type HostRandom, hostRandom } from '../random.ts';
import { bend, control, type Message, noteOff, noteOn, program } from './midi.ts';
import { deck } from './notes.ts';
import { type ClipPlan, clipSeed, type PlanOptions } from './plan.ts';

const SECONDS = 3;

type Gesture = (pitch: number, velocity: number, random: HostRandom) => Message[];

const held = (pitch: number, velocity: number, end = 2.7): Message[] => [
  noteOn(0.02, 0, pitch, velocity),
  noteOff(end, 0, pitch),
];
/** A value every 10 ms while a note is held. */
const every = (make: (time: number) => Message): Message[] =>
  Array.from({ length: 268 }, (_, i) => make(0.021 + i / 100));
/** Notes one after the other: each starts a step after the one before, and lasts a share of that. */
const run = (pitches: number[], step: number, share: number, velocity: (i: number) => number): Message[] =>
  pitches.flatMap((pitch, i) => [
    noteOn(0.02 + i * step, 0, pitch, velocity(i)),
    noteOff(0.02 + (i + share) * step, 0, pitch),
  ]);
const repeat = (count: number, pitch: (i: number) => number) => Array.from({ length: count }, (_, i) => pitch(i));

/** The ten articulations, by what the score asks of the player. */
const gestures: Readonly<Record<string, Gesture>> = {
  straight: (pitch, velocity) => held(pitch, velocity),
  vibrato: (pitch, velocity, random) => {
    const rate = 4.5 + 2 * random.uniform();
    return [...held(pitch, velocity), ...every((time) => bend(time, 0, 0.5 * Math.sin(2 * Math.PI * rate * time)))];
  },
  tremolo: (pitch, velocity, random) => {
    const rate = 4.5 + 2 * random.uniform();
    return [
      ...held(pitch, velocity),
      ...every((time) => control(time, 0, 11, 80 + 47 * Math.sin(2 * Math.PI * rate * time))),
    ];
  },
  glissando: (pitch, velocity, random) => {
    const way = random.uniform() < 0.5 ? 1 : -1;
    return [...held(pitch, velocity), ...every((time) => bend(time, 0, way * (2 * Math.min(2, time) - 2)))];
  },
  trill: (pitch, velocity, random) => {
    const step = 0.1 + 0.03 * random.uniform();
    return run(
      repeat(Math.floor(2.7 / step), (i) => pitch + 2 * (i % 2)),
      step,
      1,
      () => velocity,
    );
  },
  staccato: (pitch, velocity, random) => {
    const step = 0.25 + 0.15 * random.uniform();
    return run(
      repeat(Math.floor(2.7 / step), (i) => pitch + [0, 2, 4, 2][i % 4]),
      step,
      0.25,
      () => velocity,
    );
  },
  legato: (pitch, velocity, random) => {
    const step = 0.35 + 0.2 * random.uniform();
    return run(
      repeat(Math.floor(2.7 / step), (i) => pitch + [0, 2, 4, 2][i % 4]),
      step,
      1.05,
      () => velocity,
    );
  },
  crescendo: (pitch, velocity) => [
    ...held(pitch, velocity),
    ...every((time) => control(time, 0, 11, 20 + (107 * time) / 2.7)),
  ],
  accent: (pitch, velocity, random) => {
    const step = 0.4 + 0.2 * random.uniform();
    const count = Math.floor(2.7 / step);
    return [
      ...run(
        repeat(count, () => pitch),
        step,
        0.95,
        () => velocity,
      ),
      ...every((time) => control(time, 0, 11, 45 + 82 * Math.exp(-((time - 0.02) % step) / 0.06))),
    ];
  },
  flutter: (pitch, velocity, random) => {
    const rate = 18 + 6 * random.uniform();
    return [...held(pitch, velocity), ...every((time) => control(time, 0, 11, (time * rate) % 1 < 0.5 ? 127 : 25))];
  },
};

/** Their names, as classes. */
export const articulations = Object.keys(gestures);

/** Programs that sustain. */
const sustained = {
  train: [40, 41, 52, 54, 56, 58, 59, 61, 64, 67, 69, 71, 72],
  valid: [53, 62, 66],
  test: [42, 57, 60, 70, 73],
};

/** Phrases on instruments that training does not have. */
export function planArticulations({ counts, seed, fonts }: PlanOptions): ClipPlan[] {
  let known = articulations;
  return splits.flatMap((split) => {
    const random = hostRandom(clipSeed(seed, split, 0), 7);
    const next = deck(known, random);
    const labels = Array.from({ length: counts[split] }, () => next());
    if (split === 'train') known = known.filter((label) => labels.includes(label));
    return labels.map((label, i): ClipPlan => {
      const font = fonts[split][i % fonts[split].length];
      const number = sustained[split][random.integer(0, sustained[split].length - 1)];
      const own = hostRandom(clipSeed(seed, split, i), 8);
      const [pitch, velocity] = [own.integer(55, 79), own.integer(80, 115)];
      return {
        path: `audio/${split}-${String(i).padStart(5, '0')}`,
        split,
        font,
        groups: { font: font.name, lineage: font.lineage, seed: clipSeed(seed, split, i), program: number },
        levelled: true,
        compose: () => ({
          messages: [program(0, 0, number), ...gestures[label](pitch, velocity, own)].toSorted(
            (a, b) => a.time - b.time,
          ),
          seconds: SECONDS,
          start: 0,
          duration: SECONDS,
          label,
        }),
      };
    });
  });
}

/** Twenty presets that sustain. */
const presets = [40, 41, 42, 52, 53, 54, 56, 57, 58, 59, 60, 61, 64, 66, 67, 69, 70, 71, 72, 73];
export const presetNames = presets.map((number) => `preset ${number}`);

/** Phrases by twenty presets of one font; training and test share no phrase, and no pitch. */
export function planPresets({ counts, seed, fonts }: PlanOptions): ClipPlan[] {
  const [font] = fonts.train;
  let known = presetNames;
  return splits.flatMap((split) => {
    const random = hostRandom(clipSeed(seed, split, 0), 9);
    const next = deck(known, random);
    const labels = Array.from({ length: counts[split] }, () => next());
    if (split === 'train') known = known.filter((label) => labels.includes(label));
    return labels.map((label, i): ClipPlan => {
      const own = hostRandom(clipSeed(seed, split, i), 10);
      // Whole tones apart: those of the test lie between those of training.
      const pitches = repeat(6, () => 54 + 2 * own.integer(0, 11) + (split === 'test' ? 1 : 0));
      const step = 0.35 + 0.15 * own.uniform();
      return {
        path: `audio/${split}-${String(i).padStart(5, '0')}`,
        split,
        font,
        groups: { font: font.name, seed: clipSeed(seed, split, i), phrase: `${split === 'test'} ${pitches.join(' ')}` },
        levelled: true,
        compose: () => ({
          messages: [program(0, 0, presets[presetNames.indexOf(label)]), ...run(pitches, step, 0.9, () => 100)],
          seconds: SECONDS,
          start: 0,
          duration: SECONDS,
          label,
        }),
      };
    });
  });
}
