/** Hidden states of music: of sounds, and of files of any length and number. */

export { createEmbedder, type Embedder, type EmbedSettings } from './embedder.ts';
export { type EmbedFilesOptions, type EmbedResult, embedFiles } from './files.ts';
export { type HiddenStateChoice, parseLayers } from './layers.ts';
export { type AudioInput, type Embedding, type EmbedOptions, loadMert, type Mert } from './load.ts';
export { type EmbeddedFile, type EmbedFormat, type EmbedOutputOptions, embedFormats } from './outputs.ts';
export type { Pool, Sink } from './sinks.ts';
export { planWindows, type Window } from './windows.ts';
