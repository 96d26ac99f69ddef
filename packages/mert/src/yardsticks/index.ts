/** What is known of a task without learning: yardsticks that a probe has to beat. */
export { onsetBeats, trackBeats } from './beats.ts';
export { chromaKey, krumhanslKey, meanChroma } from './key.ts';
export { majorityClass } from './majority.ts';
export { notePitches } from './pitch.ts';
