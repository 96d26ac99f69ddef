import { gridStart, ownKernel } from '../contract.ts';
import { polyphase as polyphaseSource } from '../generated/wgsl.ts';

/** A bank of filters, one a phase, over rows of samples. Grid: (step / 64, length / (16 step), rows). */
export const polyphase = ownKernel({
  name: 'polyphase',
  source: polyphaseSource,
  bindings: { x: 'read', weights: 'read', starts: 'read', out: 'readWrite' },
  parameters: {
    samples: 'u32',
    length: 'u32',
    period: 'u32',
    fours: 'u32',
    taps: 'u32',
    step: 'u32',
    stride: 'u32',
    xOffset: 'u32',
    ...gridStart,
  },
  constants: {},
});
