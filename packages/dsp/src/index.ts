/**
 * Audio: files, resampling, windows, STFT, mel and constant-Q spectra.
 *
 * @module @dawnchorus/dsp
 */
export * from './audio/index.ts';
export { type ChromaOptions, chromaFilterbank, chromaStft } from './chroma.ts';
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
export { hybridCqt, type LibrosaCqtOptions, librosaCqt, type PseudoCqtOptions, pseudoCqt } from './cqt-librosa.ts';
export { type DctConvention, type DctNorm, dctMatrix } from './dct.ts';
export { type DeltaOptions, deltas } from './deltas.ts';
export { deemphasis, type EmphasisOptions, lfilter, preemphasis } from './filters.ts';
export { type GriffinLimOptions, griffinLim, istft } from './istft.ts';
export {
  type KaldiFbankOptions,
  type KaldiMfccOptions,
  kaldiFbank,
  kaldiMelFilterbank,
  kaldiMfcc,
} from './kaldi.ts';
export { type FrameOptions, rms, zeroCrossingRate } from './level.ts';
export { kWeighting, type LoudnessConvention, type LoudnessOptions, loudness } from './loudness.ts';
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
export { type CepstraOptions, cepstra, type MfccCommon, type MfccOptions, mfcc, mfccWithDeltas } from './mfcc.ts';
export {
  denseResampleKernel,
  type ResampleKernel,
  type ResampleQuality,
  resampledLength,
  resampleKernel,
  resampleRange,
  resampleSupport,
} from './resample.ts';
export { type ResampleOptions, resample } from './resample-tensor.ts';
export {
  type OnsetOptions,
  onsetStrength,
  type TempogramOptions,
  type TempoOptions,
  tempo,
  tempogram,
} from './rhythm.ts';
export {
  type ContrastOptions,
  type SpectrumOptions,
  spectralBandwidth,
  spectralCentroid,
  spectralContrast,
  spectralFlatness,
  spectralRms,
  spectralRolloff,
} from './spectral.ts';
export { type StftConvention, type StftOptions, spectrogram, stft, stftConventions } from './stft.ts';
export { estimateTuning, type TuningOptions } from './tuning.ts';
export { makeWindow, type Window } from './windows.ts';
