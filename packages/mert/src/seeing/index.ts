/** Runs to be looked at: event files of TensorBoard, pages, the terminal. */

export type { LogLine } from './log.ts';
export { type EventMirror, mirrorLogs } from './mirror.ts';
export { runPage } from './page.ts';
export { type Picture, seeClip } from './pictures.ts';
export { type Run, type RunData, readRun } from './run.ts';
export { createEventFile, type EventFile, type EventImage } from './tfevents.ts';
export { watchText } from './watch.ts';
