/**
 * The 14 tasks of the MERT paper (Li et al., 2024) as MARBLE's first version asks them (Yuan et al., 2023, arXiv
 * 2306.10548): data sets, metrics, windows and schedules.
 */
import * as classes from './classes.ts';
import { stemNames, type TaskName } from './names.ts';

/** What a head learns, and what is scored. */
export type TaskKind = 'multiclass' | 'multilabel' | 'regression' | 'beats' | 'separation';

/** One of the 14 tasks. */
export interface Task {
  readonly name: TaskName;
  /** For people. */
  readonly title: string;
  /** The real data set. */
  readonly dataSet: string;
  /** What its folder is called below a root, in any case; the first is the usual one. */
  readonly folders: readonly string[];
  readonly kind: TaskKind;
  /** What is reported; the first decides on validation. */
  readonly metrics: readonly string[];
  /** Labels in the order of the outputs, or the number of those that the data set's own files name. */
  readonly classes: readonly string[] | number;
  /** What the folder holds, a line each. */
  readonly layout: readonly string[];
  readonly split: string;
  /** Where the data set comes from. */
  readonly source: string;
  /** Seconds from the start that are heard; all unless given. */
  readonly crop?: number;
  /** Seconds of the windows that a clip is cut into; whole clips unless given. */
  readonly window?: number;
  /** Whether a clip is heard at zero mean and unit variance, whatever the model wants. */
  readonly standardise?: boolean;
  /** How predictions of the windows of one song become one: the mean of logits, or whatever validation likes best. */
  readonly ensemble: 'logits' | 'chosen';
  /** Passes over the training data at most; those without a better validation score before halving the rate, and ending. */
  readonly schedule: { readonly epochs: number; readonly plateau: number; readonly patience: number };
}

const jamendo = {
  dataSet: 'MTG-Jamendo',
  folders: ['MTG', 'MTG-Jamendo', 'mtg-jamendo-dataset'],
  kind: 'multilabel',
  metrics: ['roc_auc_macro', 'ap_macro'],
  split: 'official, split-0',
  source: 'https://github.com/MTG/mtg-jamendo-dataset: a clone, and scripts/download/download.py --type audio-low',
  window: 30,
  ensemble: 'logits',
  schedule: { epochs: 100, plateau: 3, patience: 10 },
} as const;

const jamendoLayout = (name: string) => [
  `data/splits/split-0/autotagging_${name}-{train,validation,test}.tsv (or mtg-jamendo-dataset/data/…)`,
  'audio-low/NN/ID.low.mp3 (or audio/NN/ID.mp3)',
];

const nsynth = {
  dataSet: 'NSynth',
  folders: ['NSynth', 'nsynth-data'],
  kind: 'multiclass',
  layout: ['nsynth-{train,valid,test}/examples.json', 'nsynth-{train,valid,test}/audio/NAME.wav'],
  split: 'official',
  source: 'https://magenta.tensorflow.org/datasets/nsynth: nsynth-{train,valid,test}.jsonwav.tar.gz, unpacked',
  ensemble: 'logits',
  schedule: { epochs: 50, plateau: 3, patience: 10 },
} as const;

const vocalSet = {
  dataSet: 'VocalSet',
  folders: ['VocalSet', 'VocalSet1-2'],
  kind: 'multiclass',
  metrics: ['accuracy', 'f1_macro'],
  layout: ['FULL/SINGER/CONTEXT/TECHNIQUE/NAME.wav, SINGER female1 … male11'],
  source: 'https://zenodo.org/records/1193957: VocalSet.zip, unpacked',
  standardise: true,
  ensemble: 'logits',
} as const;

/** The 14 tasks, in the order of the paper's tables. */
export const tasks: readonly Task[] = [
  {
    name: 'tagging',
    title: 'Music tagging',
    dataSet: 'MagnaTagATune',
    folders: ['MTT', 'MagnaTagATune', 'magnatagatune'],
    kind: 'multilabel',
    metrics: ['roc_auc_macro', 'ap_macro'],
    classes: classes.magnaTagATuneTags,
    layout: ['annotations_final.csv', '{0 … f}/NAME.mp3 (or mp3/{0 … f}/NAME.mp3)'],
    split: 'by folder: 0 to b train, c valid, d to f test',
    source:
      'https://mirg.city.ac.uk/codeapps/the-magnatagatune-dataset: mp3.zip.001 to .003, joined and unpacked, and annotations_final.csv',
    ensemble: 'logits',
    schedule: { epochs: 100, plateau: 3, patience: 10 },
  },
  {
    name: 'key',
    title: 'Key detection',
    dataSet: 'GiantSteps',
    folders: ['GS', 'GiantSteps'],
    kind: 'multiclass',
    metrics: ['weighted_score', 'accuracy'],
    classes: classes.keys,
    layout: [
      'giantsteps-mtg-key-dataset*/annotations/{annotations,beatport_metadata}.txt and audio/ID.LOFI.mp3',
      'giantsteps-key-dataset*/annotations/key/ID.LOFI.key and audio/ID.LOFI.mp3',
    ],
    split: 'train and valid from MTG-keys (confidence 2, one key), 100:16 by a hash of the artist; test GiantSteps',
    source:
      'https://github.com/GiantSteps/giantsteps-mtg-key-dataset and …/giantsteps-key-dataset, with their audio_dl.sh',
    window: 30,
    ensemble: 'chosen',
    schedule: { epochs: 100, plateau: 5, patience: 20 },
  },
  {
    name: 'genre',
    title: 'Genre classification',
    dataSet: 'GTZAN',
    folders: ['GTZAN'],
    kind: 'multiclass',
    metrics: ['accuracy', 'f1_macro'],
    classes: classes.gtzanGenres,
    layout: ['{train,valid,test}_filtered.txt', 'genres/GENRE/GENRE.NNNNN.wav (or genres_original/…)'],
    split: 'fail-filtered: 443 train, 197 valid, 290 test',
    source: 'GTZAN as WAV, and the three lists from https://github.com/coreyker/dnn-mgr (gtzan/)',
    ensemble: 'logits',
    schedule: { epochs: 100, plateau: 6, patience: 20 },
  },
  {
    name: 'beats',
    title: 'Beat tracking',
    dataSet: 'GTZAN-Rhythm',
    folders: ['GTZAN', 'GTZAN-Rhythm'],
    kind: 'beats',
    metrics: ['f70ms', 'f70ms_trimmed', 'f70ms_downbeats'],
    classes: ['beat', 'downbeat'],
    layout: [
      '{train,valid,test}_filtered.txt and genres/… as for genre',
      'GTZAN-Rhythm_v2*/jams/GENRE.NNNNN.wav.jams (or without jams/)',
    ],
    split: 'as for genre',
    source: 'GTZAN as for genre, and GTZAN-Rhythm_v2_ismir2015_lbd (Marchand, Fresnel and Peeters, 2015)',
    crop: 30,
    ensemble: 'logits',
    schedule: { epochs: 100, plateau: 6, patience: 20 },
  },
  {
    name: 'emotion',
    title: 'Emotion regression',
    dataSet: 'EmoMusic',
    folders: ['EMO', 'EmoMusic', 'emomusic'],
    kind: 'regression',
    metrics: ['r2', 'r2_arousal', 'r2_valence'],
    classes: ['arousal', 'valence'],
    layout: [
      'songs_info.csv and static_annotations.csv (or in annotations/)',
      'clips_45seconds/ID.mp3 (or clips_45sec/)',
    ],
    split: 'official test; the rest train and valid 8:2 by a hash of the artist',
    source: 'http://cvml.unige.ch/databases/emoMusic: clips_45sec.tar.gz and annotations.tar.gz',
    crop: 30,
    window: 5,
    ensemble: 'logits',
    schedule: { epochs: 100, plateau: 5, patience: 20 },
  },
  {
    ...nsynth,
    name: 'instrument',
    title: 'Instrument classification',
    metrics: ['accuracy', 'f1_macro'],
    classes: classes.nsynthFamilies,
  },
  { ...nsynth, name: 'pitch', title: 'Pitch classification', metrics: ['accuracy'], classes: classes.pitches },
  {
    ...vocalSet,
    name: 'technique',
    title: 'Vocal technique detection',
    classes: classes.vocalSetTechniques,
    split: 'test singers f2 f8 m3 m5 m10; the others train and valid 60:40 by a hash of the recording',
    schedule: { epochs: 100, plateau: 5, patience: 10 },
  },
  {
    ...vocalSet,
    name: 'singer',
    title: 'Singer identification',
    classes: classes.vocalSetSingers,
    split: 'train, valid and test 12:8:5 by a hash of the recording',
    schedule: { epochs: 100, plateau: 5, patience: 20 },
  },
  {
    ...jamendo,
    name: 'instrument-tagging',
    title: 'Instrument tagging',
    classes: 40,
    layout: jamendoLayout('instrument'),
  },
  {
    ...jamendo,
    name: 'mood-tagging',
    title: 'Mood and theme tagging',
    classes: 56,
    layout: jamendoLayout('moodtheme'),
  },
  { ...jamendo, name: 'genre-tagging', title: 'Genre tagging', classes: 87, layout: jamendoLayout('genre') },
  { ...jamendo, name: 'top50-tagging', title: 'Top-50 tagging', classes: 50, layout: jamendoLayout('top50tags') },
  {
    name: 'separation',
    title: 'Source separation',
    dataSet: 'MUSDB18',
    folders: ['MUSDB18', 'MUSDB18-HQ', 'musdb18hq'],
    kind: 'separation',
    metrics: ['sdr', 'sdr_vocals', 'sdr_drums', 'sdr_bass', 'sdr_other'],
    classes: stemNames,
    layout: ['{train,test}/TRACK/{mixture,vocals,drums,bass,other}.wav (MUSDB18-HQ’s layout)'],
    split: 'official: 86 train, 14 valid, 50 test',
    source: 'https://zenodo.org/records/3338373 (MUSDB18-HQ), or MUSDB18 through `musdbconvert`',
    window: 6,
    ensemble: 'logits',
    schedule: { epochs: 100, plateau: 5, patience: 20 },
  },
];

const byName = new Map(tasks.map((task) => [task.name as string, task]));

/** The task of a name. @throws Error that lists the names. */
export function taskOf(name: string): Task {
  const task = byName.get(name);
  if (!task) throw new Error(`there is no task ${name}; expected one of ${tasks.map((own) => own.name).join(', ')}`);
  return task;
}
