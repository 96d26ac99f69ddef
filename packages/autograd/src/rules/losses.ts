import {
  type AttributesOf,
  add,
  apply,
  cast,
  eq,
  gather,
  indexSelect,
  logSoftmax,
  mul,
  sum,
  type Tensor,
  where,
} from '@dawnchorus/tensor';
import { vjp } from '../vjp.ts';
import { onlyIf, rule } from './rule.ts';

type Attributes = AttributesOf<'crossEntropy'>;

/** The losses by operations, for what the kernels do not give: gradients of weights, and of gradients. */
function composed(x: Tensor, target: Tensor, weight: Tensor | undefined, attributes: Attributes): Tensor {
  const { ignoreIndex, labelSmoothing } = attributes;
  const logProbabilities = logSoftmax(cast(x, 'f32'));
  const ignored = eq(target, ignoreIndex);
  const class_ = where(ignored, 0, target).unsqueeze(-1);
  const picked = gather(logProbabilities, -1, class_).squeeze(-1);
  const own = weight ? mul(picked, indexSelect(weight, 0, class_.reshape([-1])).reshape(target.shape)) : picked;
  const all = weight ? mul(logProbabilities, weight) : logProbabilities;
  const share = labelSmoothing / (x.shape.at(-1) as number);
  return where(ignored, 0, add(mul(own, labelSmoothing - 1), mul(sum(all, { dim: -1 }), -share)));
}

export const lossRules = {
  crossEntropy: rule<Attributes>('both', (g, { inputs, outputs: [, statistics], attributes, needs }) => {
    const [x, target, weight] = inputs;
    return [
      onlyIf(needs[0], () => {
        const given = [x, target, statistics, g, ...(weight ? [weight] : [])];
        return apply('crossEntropyBackward', given, attributes)[0];
      }),
      undefined,
      onlyIf(needs[2], () => vjp((own) => composed(x, target, own, attributes), [weight], g).gradients[0]),
    ];
  }),
  // Its statistics follow from the logits: what flows through them is part of the gradient of those.
  crossEntropyBackward: rule<Attributes>('inputs', (u, { inputs, attributes }) => {
    const [x, target, , g, ...weight] = inputs;
    const gradient = (logits: Tensor, given: Tensor, own?: Tensor) =>
      vjp((inner) => composed(inner, target, own, attributes), [logits], given).gradients[0];
    const [dx, dg, dw] = vjp((logits, given, own) => gradient(logits, given, own), [x, g, ...weight], u).gradients;
    return [dx, undefined, undefined, dg, dw];
  }),
};
