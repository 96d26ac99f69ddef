/** Labelled data sets, generated, that stand in for those of the tasks where they are not there. */
export { type ProxyKind, proxyKind, proxyKinds, refusals } from './catalogue.ts';
export { type Font, findFonts, fontsBySplit, type KnownFont, knownFonts } from './fonts.ts';
export { hashProxy, type MakeOptions, type MakeResult, makeProxy } from './make.ts';
export type { Message, Segment } from './midi.ts';
export type { ClipPlan, Composed, Label, PlanOptions } from './plan.ts';
export { MissingProgram } from './programs.ts';
export { type SongPart, songParts } from './song.ts';
