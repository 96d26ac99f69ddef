import { gridStart, ownKernel } from '../contract.ts';
import {
  cqtBands as bandsSource,
  octet,
  cqtPack as packSource,
  cqtScales as scalesSource,
  cqtSpectrum as spectrumSource,
} from '../generated/wgsl.ts';

/** How loud each segment is. Grid: (segments). */
export const cqtScales = ownKernel({
  name: 'cqt_scales',
  source: scalesSource,
  bindings: { x: 'read', out: 'readWrite' },
  parameters: {
    length: 'u32',
    reach: 'u32',
    samples: 'u32',
    segmentsPerClip: 'u32',
    segmentSamples: 'u32',
    xOffset: 'u32',
    ...gridStart,
  },
  constants: {},
});

/** Two real segments of clips to one complex row. Grid: (length / 64, pairs). */
export const cqtPack = ownKernel({
  name: 'cqt_pack',
  source: packSource,
  bindings: { x: 'read', scales: 'read', out: 'readWrite' },
  parameters: {
    length: 'u32',
    reach: 'u32',
    samples: 'u32',
    segments: 'u32',
    segmentsPerClip: 'u32',
    segmentSamples: 'u32',
    firstPair: 'u32',
    xOffset: 'u32',
    ...gridStart,
  },
  constants: {},
});

/** The spectra of both segments, plain and a half sample later. Grid: (width / 64, pairs). */
export const cqtSpectrum = ownKernel({
  name: 'cqt_spectrum',
  source: spectrumSource,
  bindings: { z: 'read', roots: 'read', scales: 'read', out: 'readWrite' },
  parameters: {
    length: 'u32',
    width: 'u32',
    lowest: 'u32',
    halfRe: 'f32',
    halfIm: 'f32',
    segments: 'u32',
    firstPair: 'u32',
    ...gridStart,
  },
  constants: {},
});

/** Spectra times bands, folded and transformed back. Grid: (bins, pairs). */
export const cqtBands = ownKernel({
  name: 'cqt_bands',
  source: `${octet}\n${bandsSource}`,
  bindings: {
    spectra: 'read',
    bands: 'read',
    bins: 'read',
    phases: 'read',
    roots: 'read',
    out: 'readWrite',
  },
  parameters: {
    width: 'u32',
    bins: 'u32',
    frames: 'u32',
    segments: 'u32',
    segmentsPerClip: 'u32',
    segmentFrames: 'u32',
    firstPair: 'u32',
  },
  constants: { POINTS: 'const POINTS = 512u;', OUTPUT: 'const OUTPUT = MAGNITUDE;' },
});
