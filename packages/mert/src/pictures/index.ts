/** Pictures of sounds and of how codebooks are used, as PNG or SVG. */

export { drawHeatmap, type Heatmap, type Mark } from './heatmap.ts';
export type { Item, Pixels, Scene } from './scene.ts';
export { cqtHeatmap, type Sound, type SpectrumKind, spectrumHeatmap, spectrumKinds } from './spectra.ts';
export { type CodebookUsage, countLabels, drawUsage, summarise, type UsageSummary } from './usage.ts';
export { writePicture } from './write.ts';
