/** The names of the 14 tasks of the MERT paper, which say what is asked, not by which music. */
export const taskNames = [
  'tagging',
  'key',
  'genre',
  'beats',
  'emotion',
  'instrument',
  'pitch',
  'technique',
  'singer',
  'instrument-tagging',
  'mood-tagging',
  'genre-tagging',
  'top50-tagging',
  'separation',
] as const;

/** One of `taskNames`. */
export type TaskName = (typeof taskNames)[number];

/** What heads learn from, what chooses among them, and what they are judged by. */
export const splits = ['train', 'valid', 'test'] as const;
/** One of `splits`. */
export type Split = (typeof splits)[number];

/** What MUSDB18 and everything like it is taken apart into. */
export const stemNames = ['vocals', 'drums', 'bass', 'other'] as const;
/** One of `stemNames`. */
export type StemName = (typeof stemNames)[number];

/** Is this the name of one of the 14 tasks? */
export const isTaskName = (name: string): name is TaskName => (taskNames as readonly string[]).includes(name);
