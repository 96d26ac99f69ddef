/**
 * Audio: files, resampling, windows, STFT, mel and constant-Q spectra.
 *
 * @module @dawnchorus/dsp
 */
export * from './audio/index.ts';
export { type Cqt, type CqtMethod, type CqtOptions, type CqtOutput, createCqt } from './cqt.ts';
export { type CqChromaOptions, cqChromaFilterbank, cqToChroma } from './cqt-chroma.ts';
export {
  type CqtKernel,
  type CqtNormalization,
  type CqtSettings,
  cqtFrequencies,
  cqtKernel,
  cqtLengths,
} from './cqt-kernels.ts';
export {
  amplitudeToDb,
  type DecibelOptions,
  hzToMel,
  logMel,
  type MelOptions,
  melFilterbank,
  melSpectrogram,
  melToHz,
} from './mel.ts';
export * from './resample.ts';
export { type StftConvention, type StftOptions, spectrogram, stft, stftConventions } from './stft.ts';
export { makeWindow, type Window } from './windows.ts';
