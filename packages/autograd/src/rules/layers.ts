import { type AttributesOf, apply, matmul, type Tensor, transpose } from '@dawnchorus/tensor';
import { normRules } from './norms.ts';
import { onlyIf, rule, unbroadcast } from './rule.ts';

/** Whether a matrix lies with its columns side by side, as the transpose of a dense one does: weights stored [out, in]. */
const liesTransposed = ({ rank, strides }: Tensor) => strides[rank - 2] === 1 && strides[rank - 1] !== 1;

/** a b, stored as its factor `like` is, so that undoing a transpose leaves nothing to be moved. */
const productLike = (like: Tensor, a: Tensor, b: Tensor) =>
  liesTransposed(like) ? transpose(matmul(transpose(b), transpose(a))) : matmul(a, b);

export const layerRules = {
  matmul: rule<Record<never, never>>('inputs', (g, { inputs: [a, b], needs }) => [
    onlyIf(needs[0], () => unbroadcast(productLike(a, g, transpose(b)), a.shape)),
    onlyIf(needs[1], () => unbroadcast(productLike(b, transpose(a), g), b.shape)),
  ]),

  ...normRules,

  // A convolution, its transpose and its weight gradient are each bilinear in two of (input, weight, output), so the
  // three are each other's gradients.
  conv1d: rule<AttributesOf<'conv1d'>>('inputs', (g, { inputs: [x, weight], attributes, needs }) => [
    onlyIf(needs[0], () => apply('convTranspose1d', [g, weight], { ...attributes, length: x.shape[2] })[0]),
    onlyIf(needs[1], () => apply('conv1dWeightGradient', [x, g], { ...attributes, kernel: weight.shape[2] })[0]),
  ]),
  convTranspose1d: rule<AttributesOf<'convTranspose1d'>>('inputs', (g, { inputs: [y, weight], attributes, needs }) => [
    onlyIf(needs[0], () => apply('conv1d', [g, weight], attributes)[0]),
    onlyIf(needs[1], () => apply('conv1dWeightGradient', [g, y], { ...attributes, kernel: weight.shape[2] })[0]),
  ]),
  conv1dWeightGradient: rule<AttributesOf<'conv1dWeightGradient'>>(
    'inputs',
    (g, { inputs: [x, dy], attributes, needs }) => [
      onlyIf(needs[0], () => apply('convTranspose1d', [dy, g], { ...attributes, length: x.shape[2] })[0]),
      onlyIf(needs[1], () => apply('conv1d', [x, g], attributes)[0]),
    ],
  ),

  // The same key draws the same mask.
  dropout: rule<AttributesOf<'dropout'>>([1], (g, { inputs: [, ...step], attributes }) =>
    apply('dropout', [g, ...step], attributes),
  ),
};
