import { type AttributesOf, apply, matmul, sameShape, type Tensor, transpose } from '@dawnchorus/tensor';
import { normRules } from './norms.ts';
import { onlyIf, rule, unbroadcast } from './rule.ts';

/** Whether a matrix lies with its columns side by side, as the transpose of a dense one does: weights stored [out, in]. */
const liesTransposed = ({ rank, strides }: Tensor) => strides[rank - 2] === 1 && strides[rank - 1] !== 1;

/**
 * The gradient a b of a factor, stored as that is, so that undoing a transpose leaves nothing to be moved. What is summed over a batch
 * after it is moved anyway.
 */
function gradientOf(factor: Tensor, a: Tensor, b: Tensor): Tensor {
  const batch = factor.shape.slice(0, -2);
  const isWhole = [a, b].every(({ shape }) => sameShape(shape.slice(0, -2), batch));
  if (isWhole && liesTransposed(factor)) return transpose(matmul(transpose(b), transpose(a)));
  return unbroadcast(matmul(a, b), factor.shape);
}

export const layerRules = {
  matmul: rule<Record<never, never>>('inputs', (g, { inputs: [a, b], needs }) => [
    onlyIf(needs[0], () => gradientOf(a, g, transpose(b))),
    onlyIf(needs[1], () => gradientOf(b, transpose(a), g)),
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
