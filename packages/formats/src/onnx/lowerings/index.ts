import type { AttributesOf, OpName } from '@dawnchorus/tensor';
import type { Lowering } from '../builder.ts';
import { elementwiseLowerings } from './elementwise.ts';
import { fourierLowerings } from './fourier.ts';
import { indexingLowerings } from './indexing.ts';
import { layerLowerings } from './layers.ts';
import { lossLowerings } from './losses.ts';
import { reductionLowerings } from './reductions.ts';

/** Why an operation is not exported, and what to do. */
export interface Unsupported {
  readonly unsupported: string;
}

const unsupported = (reason: string): Unsupported => ({ unsupported: reason });

const gradient = unsupported('it is part of a gradient; export the forward function');
const draw = unsupported('it draws random numbers; pass them as an input, and leave dropout without keys');
const inPlace = unsupported(
  'it changes a tensor in place, which no ONNX graph does; export the model without its training',
);

const training = unsupported('it is a step of training; export the model without it');

/** How each operation of the table is said in ONNX: an operation without an entry does not compile. */
export const lowerings: { readonly [N in OpName]: Lowering<AttributesOf<N>> | Unsupported } = {
  ...elementwiseLowerings,
  ...reductionLowerings,
  ...layerLowerings,
  ...lossLowerings,
  ...indexingLowerings,
  ...fourierLowerings,
  geluBackward: gradient,
  eluBackward: gradient,
  softmaxBackward: gradient,
  logSoftmaxBackward: gradient,
  attentionBackward: gradient,
  crossEntropyBackward: gradient,
  layerNormBackward: gradient,
  groupNormBackward: gradient,
  convNormGeluBackward: gradient,
  weightNormBackward: gradient,
  conv1dWeightGradient: gradient,
  conv2dWeightGradient: gradient,
  maxPool2dBackward: gradient,
  overlapAdd: gradient,
  uniform: draw,
  normal: draw,
  dropout: draw,
  gradientNorm: inPlace,
  adamw: inPlace,
  increment: inPlace,
  lerp: inPlace,
  codebookUpdate: training,
};
