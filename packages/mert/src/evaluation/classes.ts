/** The labels of the tasks, in the order of the outputs. */
import { keyNames } from './metrics/index.ts';

/** The 50 most frequent tags of MagnaTagATune's annotations_final.csv, the most frequent first. */
export const magnaTagATuneTags = [
  ...['guitar', 'classical', 'slow', 'techno', 'strings', 'drums', 'electronic', 'rock', 'fast', 'piano', 'ambient'],
  ...['beat', 'violin', 'vocal', 'synth', 'female', 'indian', 'opera', 'male', 'singing', 'vocals', 'no vocals'],
  ...[
    'harpsichord',
    'loud',
    'quiet',
    'flute',
    'woman',
    'male vocal',
    'no vocal',
    'pop',
    'soft',
    'sitar',
    'solo',
    'man',
  ],
  ...['classic', 'choir', 'voice', 'new age', 'dance', 'male voice', 'female vocal', 'beats', 'harp', 'cello'],
  ...['no voice', 'weird', 'country', 'metal', 'female voice', 'choral'],
];

export const keys = keyNames;

export const gtzanGenres = [
  ...['blues', 'classical', 'country', 'disco', 'hiphop', 'jazz', 'metal', 'pop', 'reggae', 'rock'],
];

export const nsynthFamilies = [
  ...['bass', 'brass', 'flute', 'guitar', 'keyboard', 'mallet', 'organ', 'reed', 'string', 'synth_lead', 'vocal'],
];

/** MIDI numbers. */
export const pitches = Array.from({ length: 128 }, (_, pitch) => String(pitch));

export const vocalSetTechniques = [
  ...['belt', 'breathy', 'inhaled', 'lip_trill', 'spoken', 'straight', 'trill', 'trillo', 'vibrato', 'vocal_fry'],
];

/** f1 to f9 and m1 to m11, as file names begin. */
export const vocalSetSingers = [
  ...Array.from({ length: 9 }, (_, i) => `f${i + 1}`),
  ...Array.from({ length: 11 }, (_, i) => `m${i + 1}`),
];
