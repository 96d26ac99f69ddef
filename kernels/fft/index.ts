import { defineKernel } from '../contract.ts';
import { octet, fftRadix8 as radix8Source, fftRadix as radixSource } from '../generated/wgsl.ts';

/** A pass of radix 8. Grid: (length / 8 / 64, rows). */
export const fftRadix8 = defineKernel({
  name: 'fft_radix8',
  source: `${octet}\n${radix8Source}`,
  bindings: { source: 'read', roots: 'read', out: 'readWrite' },
  parameters: { length: 'u32', span: 'u32' },
  constants: {},
});

/** A pass of any radix. Grid: (length / 64, rows). */
export const fftRadix = defineKernel({
  name: 'fft_radix',
  source: radixSource,
  bindings: { source: 'read', roots: 'read', out: 'readWrite' },
  parameters: { length: 'u32', span: 'u32', radix: 'u32' },
  constants: {},
});
