import { emit, gridStart, ownKernel, prepare } from '../contract.ts';
import { convWindow as source } from '../generated/wgsl.ts';

/** Strides in elements. Grid: (length / 128, rows / 16, groups * planes). */
export const convWindow = ownKernel({
  name: 'conv_window',
  source,
  bindings: { taps: 'read', signal: 'read', out: 'readWrite' },
  parameters: {
    terms: 'u32',
    rows: 'u32',
    planes: 'u32',
    length: 'u32',
    taps: 'u32',
    signalLength: 'u32',
    padding: 'u32',
    groups: 'u32',
    tapsOffset: 'u32',
    tapsTerm: 'u32',
    tapsRow: 'u32',
    tapsGroup: 'u32',
    signalOffset: 'u32',
    signalTerm: 'u32',
    signalPlane: 'u32',
    signalGroup: 'u32',
    outRow: 'u32',
    outPlane: 'u32',
    outGroup: 'u32',
    ...gridStart,
  },
  constants: {
    BACKWARDS: 'const BACKWARDS = false;',
    TapElement: 'alias TapElement = f32;',
    SignalElement: 'alias SignalElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
});
