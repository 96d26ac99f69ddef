import { ownKernel } from '../contract.ts';
import {
  irfftJoin as joinSource,
  fftMultiply as multiplySource,
  octet,
  fftRadix8 as radix8Source,
  fftRadix as radixSource,
  rfftSplit as splitSource,
} from '../generated/wgsl.ts';

const constants = { INVERSE: 'const INVERSE = false;' };

/** A pass of radix 8. A thread a butterfly. */
export const fftRadix8 = ownKernel({
  name: 'fft_radix8',
  source: `${octet}\n${radix8Source}`,
  bindings: { source: 'read', roots: 'read', out: 'readWrite' },
  parameters: { length: 'u32', span: 'u32', count: 'u32', offset: 'u32', scale: 'f32' },
  constants,
});

/** A pass of any radix. A thread an output. */
export const fftRadix = ownKernel({
  name: 'fft_radix',
  source: radixSource,
  bindings: { source: 'read', roots: 'read', out: 'readWrite' },
  parameters: { length: 'u32', span: 'u32', radix: 'u32', count: 'u32', offset: 'u32', scale: 'f32' },
  constants,
});

/** Rows times factors, cut or filled up with zeros. A thread an output. */
export const fftMultiply = ownKernel({
  name: 'fft_multiply',
  source: multiplySource,
  bindings: { source: 'read', factors: 'read', out: 'readWrite' },
  parameters: { length: 'u32', outLength: 'u32', count: 'u32', offset: 'u32', outOffset: 'u32', scale: 'f32' },
  constants,
});

/** The half spectrum of real rows from a transform of half their length. A thread an output. */
export const rfftSplit = ownKernel({
  name: 'rfft_split',
  source: splitSource,
  bindings: { z: 'read', roots: 'read', out: 'readWrite' },
  parameters: { half: 'u32', count: 'u32', scale: 'f32', interior: 'f32' },
  constants: {},
});

/** What to transform back by half the length of real rows, from their half spectrum. A thread an output. */
export const irfftJoin = ownKernel({
  name: 'irfft_join',
  source: joinSource,
  bindings: { x: 'read', roots: 'read', out: 'readWrite' },
  parameters: { half: 'u32', count: 'u32', offset: 'u32', interior: 'f32' },
  constants: {},
});
