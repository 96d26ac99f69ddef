import { type AttributesOf, apply, gather, ge, where } from '@dawnchorus/tensor';
import { onlyIf, rule } from './rule.ts';

export const imageRules = {
  // Each other's gradients, as those of conv1d.
  conv2d: rule<AttributesOf<'conv2d'>>('inputs', (g, { inputs: [x, weight], attributes, needs }) => [
    onlyIf(needs[0], () => apply('convTranspose2d', [g, weight], { ...attributes, size: [x.shape[2], x.shape[3]] })[0]),
    onlyIf(
      needs[1],
      () => apply('conv2dWeightGradient', [x, g], { ...attributes, kernel: [weight.shape[2], weight.shape[3]] })[0],
    ),
  ]),
  convTranspose2d: rule<AttributesOf<'convTranspose2d'>>(
    'inputs',
    (g, { inputs: [y, weight], attributes: { size: _, ...attributes }, needs }) => [
      onlyIf(needs[0], () => apply('conv2d', [g, weight], attributes)[0]),
      onlyIf(
        needs[1],
        () => apply('conv2dWeightGradient', [g, y], { ...attributes, kernel: [weight.shape[2], weight.shape[3]] })[0],
      ),
    ],
  ),
  conv2dWeightGradient: rule<AttributesOf<'conv2dWeightGradient'>>(
    'inputs',
    (g, { inputs: [x, dy], attributes: { kernel: _, ...attributes }, needs }) => [
      onlyIf(needs[0], () => apply('convTranspose2d', [dy, g], { ...attributes, size: [x.shape[2], x.shape[3]] })[0]),
      onlyIf(needs[1], () => apply('conv2d', [x, g], attributes)[0]),
    ],
  ),

  maxPool2d: rule<AttributesOf<'maxPool2d'>>('outputs', (g, { inputs: [x], outputs: [, indices], attributes }) =>
    apply('maxPool2dBackward', [g, indices], { ...attributes, size: [x.shape[2], x.shape[3]] }),
  ),
  // What was scattered by the indices is gathered by them.
  maxPool2dBackward: rule<AttributesOf<'maxPool2dBackward'>>([1], (u, { inputs: [grad, indices] }) => {
    const [batch, channels, height, width] = grad.shape;
    const planes = [batch, channels, height * width];
    const taken = gather(u.reshape([batch, channels, u.shape[2] * u.shape[3]]), 2, indices.reshape(planes));
    // A window that lies in the padding has no index, and gives its gradient to nothing.
    return [where(ge(indices, 0), taken.reshape(grad.shape), 0)];
  }),
};
