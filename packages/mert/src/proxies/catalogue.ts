/** Which proxies there are, which tasks they stand in for, and where there can be no honest one. */
import { keys, nsynthFamilies } from '../evaluation/classes.ts';
import { isTaskName, type TaskName, taskNames } from '../evaluation/names.ts';
import { articulations, planArticulations, planPresets, presetNames } from './gestures.ts';
import { planNotes } from './notes.ts';
import type { ClipPlan, PlanOptions } from './plan.ts';
import { expressionOutputs, planSongs } from './songs.ts';
import { families } from './styles.ts';

/** One kind of proxy. */
export interface ProxyKind {
  /** What `--task` calls it: a task that it stands in for, or its own name where it only stands beside one. */
  readonly kind: string;
  readonly task: TaskName;
  /** Named as a proxy everywhere. */
  readonly name: string;
  readonly description: string;
  /** Classes in order; of tags, those that occur in training and test, `most` at most, the most frequent first. */
  readonly classes: readonly string[] | { readonly most: number };
  readonly metrics?: readonly string[];
  readonly heldOut: readonly string[];
  readonly songs: boolean;
  /** Clips unless told. */
  readonly clips: number;
  /** What is to be made, by split. */
  plan(options: PlanOptions): ClipPlan[];
}

const made = 'generated, not recorded';

/** Every proxy that can be made. */
export const proxyKinds: readonly ProxyKind[] = [
  {
    ...{ kind: 'pitch', task: 'pitch', name: 'proxy-note-pitch', songs: false, clips: 1200 },
    description: `Pitch of single notes (MIDI 21 to 108) of sampled General MIDI instruments; ${made}.`,
    classes: Array.from({ length: 128 }, (_, pitch) => String(pitch)),
    heldOut: ['lineage', 'font', 'seed'],
    plan: (options) => planNotes('pitch', options),
  },
  {
    ...{ kind: 'instrument', task: 'instrument', name: 'proxy-note-family', songs: false, clips: 1000 },
    description: `Family of the instrument of single notes of sampled General MIDI instruments; ${made}.`,
    classes: nsynthFamilies,
    heldOut: ['lineage', 'font', 'seed'],
    plan: (options) => planNotes('instrument', options),
  },
  {
    ...{ kind: 'key', task: 'key', name: 'proxy-chart-key', songs: true, clips: 600 },
    description: `Key of accompaniments to drawn chord charts that begin and end on the tonic; ${made}.`,
    classes: keys,
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('key', options),
  },
  {
    ...{ kind: 'beats', task: 'beats', name: 'proxy-groove-beats', songs: true, clips: 300 },
    description: `Beats and downbeats of grooves at 70 to 160 bpm, half of them with a tempo that drifts by up to 8 %, a quarter without drums; ${made}.`,
    classes: [],
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('beats', options),
  },
  {
    ...{ kind: 'genre', task: 'genre', name: 'proxy-style-family', songs: true, clips: 600 },
    description: `Ten families of accompaniment styles, the test of style files that training does not have; ${made}, and a style of accompaniment is not a genre of recordings.`,
    classes: Object.keys(families),
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('genre', options),
  },
  {
    ...{ kind: 'tagging', task: 'tagging', name: 'proxy-mix-tags', songs: true, clips: 600 },
    description: `Families of instruments, drums, metre, tempo, mode and style of generated mixes; ${made}, and no listener's words.`,
    classes: { most: 50 },
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('tagging', options),
  },
  {
    ...{
      kind: 'instrument-tagging',
      task: 'instrument-tagging',
      name: 'proxy-mix-instruments',
      songs: true,
      clips: 600,
    },
    description: `General MIDI programs that sound in at least a twentieth of a generated mix; ${made}.`,
    classes: { most: 40 },
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('instrument-tagging', options),
  },
  {
    ...{ kind: 'genre-tagging', task: 'genre-tagging', name: 'proxy-style-words', songs: true, clips: 600 },
    description: `Words in the names of accompaniment styles; the test has training's styles, played from other charts and seeds by other fonts; ${made}.`,
    classes: { most: 87 },
    heldOut: ['lineage', 'font', 'seed', 'chart'],
    plan: (options) => planSongs('genre-tagging', options),
  },
  {
    ...{ kind: 'top50-tagging', task: 'top50-tagging', name: 'proxy-mix-top50', songs: true, clips: 600 },
    description: `The 50 most frequent of the tags of proxy-mix-tags, proxy-mix-instruments and proxy-style-words; ${made}.`,
    classes: { most: 50 },
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('top50-tagging', options),
  },
  {
    ...{ kind: 'separation', task: 'separation', name: 'proxy-mix-stems', songs: true, clips: 60 },
    description: `Drums, bass, a melody (in the place of vocals) and the rest of generated mixes, rendered apart; ${made}, and an instrument is no voice.`,
    classes: [],
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('separation', options),
  },
  {
    ...{ kind: 'expression', task: 'emotion', name: 'proxy-expression', songs: true, clips: 400 },
    description: `Tempo, mean velocity, notes a second and brightness (mean pitch and mode) as the score has them, each scaled to about 0 to 1; ${made}, and nothing that a listener felt.`,
    classes: expressionOutputs,
    metrics: ['r2'],
    heldOut: ['lineage', 'font', 'seed', 'style', 'chart'],
    plan: (options) => planSongs('expression', options),
  },
  {
    ...{ kind: 'articulation', task: 'technique', name: 'proxy-articulation', songs: false, clips: 500 },
    description: `Ten articulations of sustained sampled instruments, the test on other instruments; ${made}, and nobody sings.`,
    classes: articulations,
    heldOut: ['lineage', 'font', 'seed', 'program'],
    plan: planArticulations,
  },
  {
    ...{ kind: 'preset', task: 'singer', name: 'proxy-preset-identity', songs: false, clips: 600 },
    description: `Which of twenty presets of one sound font plays a phrase, the test at pitches that training does not have; ${made}, and nobody sings. A preset belongs to its font, so that no font can be held out.`,
    classes: presetNames,
    heldOut: ['seed', 'phrase'],
    plan: planPresets,
  },
];

/** Tasks without an honest stand-in: why, and what is honest instead. */
export const refusals: Readonly<Partial<Record<TaskName, { why: string; instead?: string }>>> = {
  emotion: {
    why: 'arousal and valence are what listeners felt, and no generated music comes with listeners',
    instead: 'expression',
  },
  technique: {
    why: 'it asks how somebody sings, and no synthesizer here sings',
    instead: 'articulation',
  },
  singer: { why: 'it asks who sings, and no synthesizer here has singers', instead: 'preset' },
  'mood-tagging': {
    why: 'moods are what people said of music, and no generated music comes with people; words in the file names of games’ music say where it is played, not how it feels',
  },
};

/**
 * The proxy of a name.
 *
 * @throws Error when there can be no honest one for that task, with the reason and what is honest instead, or when there
 * is no such task.
 */
export function proxyKind(name: string): ProxyKind {
  const found = proxyKinds.find(({ kind }) => kind === name);
  if (found) return found;
  const refusal = isTaskName(name) ? refusals[name] : undefined;
  if (!refusal) {
    const own = proxyKinds.map(({ kind }) => kind).filter((kind) => !isTaskName(kind));
    throw new Error(
      `there is no task ${name}; expected one of ${taskNames.join(', ')}, or ${own.join(', ')}, which stand beside tasks without an honest proxy`,
    );
  }
  const instead = refusal.instead && proxyKind(refusal.instead);
  throw new Error(
    `${name}: there is no honest proxy: ${refusal.why}.\n` +
      (instead
        ? `What can be made instead, and is reported under its own name, is ${instead.kind}: ${instead.description}\n  mert proxy make --task ${instead.kind} --out DIR`
        : 'Nothing that could be generated comes near it; the task needs its data set.'),
  );
}
