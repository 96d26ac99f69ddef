import {
  type AttributesOf,
  add,
  apply,
  contiguous,
  conv1d,
  gelu,
  groupNorm,
  mean,
  mul,
  neg,
  rsqrt,
  type Shape,
  sizeOf,
  sliceAxis,
  square,
  stack,
  sub,
  sum,
  type Tensor,
} from '@dawnchorus/tensor';
import { vjp } from '../vjp.ts';
import { type Rule, rule } from './rule.ts';

/** Both norms see their input as [batch, groups, channels of a group, spatial]; a row is all but the first two. */
type Layout = readonly [batch: number, groups: number, channels: number, spatial: number];

const layerLayout = (shape: Shape): Layout => [sizeOf(shape.slice(0, -1)), 1, shape[shape.length - 1], 1];

const groupLayout = ([batch, channels, ...spatial]: Shape, groups: number): Layout => [
  batch,
  groups,
  channels / groups,
  sizeOf(spatial),
];

/** A view, always under an id of its own. */
const viewed = (x: Tensor, shape: Shape) => apply('reshape', [contiguous(x)], { shape })[0];

/** A gradient of scale or shift, one row of the two that kernels sum, in the parameter's shape. */
const affineRow = (affine: Tensor, i: number, { shape }: Tensor) => sliceAxis(affine, 0, i, i + 1).reshape(shape);

/** Of a list those places for which there is a gradient. */
const presentOf =
  (gradients: readonly (Tensor | undefined)[]) =>
  <T>(list: readonly T[]): T[] =>
    list.filter((_own, i) => gradients[i]);

/** One column of the statistics: 0 for the means, 1 for the inverse deviations. */
const column = (statistics: Tensor, i: number) => sliceAxis(statistics, -1, i, i + 1);

/** What a norm's backward kernel computes, by operations: of tensors laid out in four axes. */
function composed(x: Tensor, weight: Tensor, statistics: Tensor, grad: Tensor): [dx: Tensor, affine: Tensor] {
  const inverse = column(statistics, 1);
  const hat = mul(sub(x, column(statistics, 0)), inverse);
  const g = mul(grad, weight);
  const over = { dim: [2, 3], keepdim: true };
  const dx = mul(inverse, sub(sub(g, mean(g, over)), mul(hat, mean(mul(g, hat), over))));
  const affine = stack([sum(mul(grad, hat), { dim: [0, 3] }), sum(grad, { dim: [0, 3] })]);
  return [dx, affine];
}

/** How x moves what flows through the statistics: the mean, and 1 / sqrt(variance + eps). */
function throughStatistics(x: Tensor, statistics: Tensor, gradient: Tensor, layout: Layout): Tensor {
  const [batch, groups, channels, spatial] = layout;
  const rows = [batch, groups, 1, 2];
  const own = viewed(statistics, rows);
  const given = viewed(gradient, rows);
  const centred = sub(viewed(x, layout), column(own, 0));
  const inverse = column(own, 1);
  const slope = mul(mul(neg(column(given, 1)), mul(inverse, square(inverse))), centred);
  return mul(add(column(given, 0), slope), 1 / (channels * spatial)).reshape(x.shape);
}

function forwardRule<A>(
  name: 'layerNormBackward' | 'groupNormBackward',
  layoutOf: (shape: Shape, attributes: A) => Layout,
  backwardAttributes: (attributes: A) => { groups: number },
): Rule<A> {
  return rule('both', (g, { inputs: [x, weight], outputs: [, statistics], attributes, gradients }) => {
    const inputs = [x, weight, statistics, g];
    const [dx, affine] =
      name === 'layerNormBackward' ? apply(name, inputs, {}) : apply(name, inputs, backwardAttributes(attributes));
    // The statistics are read by the backward kernel alone: their gradient comes with a gradient of a gradient.
    const [, second] = gradients;
    const extra = second && x.size > 0;
    return [
      extra ? add(dx, throughStatistics(x, statistics, second, layoutOf(x.shape, attributes))) : dx,
      affineRow(affine, 0, weight),
      affineRow(affine, 1, weight),
    ];
  });
}

function backwardRule<A>(layoutOf: (shape: Shape, attributes: A) => Layout): Rule<A> {
  return rule('inputs', (_, { inputs: [x, weight, statistics, grad], attributes, gradients: [u, v] }) => {
    if (x.size === 0) return [];
    const layout = layoutOf(x.shape, attributes);
    const [batch, groups, channels] = layout;
    const inputs = [
      viewed(x, layout),
      viewed(weight, [groups, channels, 1]),
      viewed(statistics, [batch, groups, 1, 2]),
      viewed(grad, layout),
    ];
    const given = [u && viewed(u, layout), v && viewed(v, [2, groups, channels])];
    const present = presentOf(given);
    const { gradients } = vjp(
      (...views) => present(composed(...(views as [Tensor, Tensor, Tensor, Tensor]))),
      inputs,
      present(given) as Tensor[],
    );
    return [x, weight, statistics, grad].map((input, i) => gradients[i].reshape(input.shape));
  });
}

/** What `weightNormBackward` computes, by operations. */
function composedWeightNorm(v: Tensor, g: Tensor, grad: Tensor): [dv: Tensor, dg: Tensor] {
  const over = { dim: v.shape.slice(1).map((_, axis) => axis), keepdim: true };
  const along = (x: Tensor) => (over.dim.length === 0 ? x : sum(x, over));
  const inverse = rsqrt(along(square(v)));
  const dg = mul(along(mul(v, grad)), inverse);
  return [mul(mul(g, inverse), sub(grad, mul(v, mul(dg, inverse)))), dg];
}

const weightNormRules = {
  weightNorm: rule<Record<never, never>>('inputs', (grad, { inputs: [v, g] }) =>
    apply('weightNormBackward', [v, g, grad], {}),
  ),
  weightNormBackward: rule<Record<never, never>>('inputs', (_, { inputs, gradients }) => {
    if (inputs[0].size === 0) return [];
    const present = presentOf(gradients);
    return vjp(
      (v, g, grad) => present(composedWeightNorm(v, g, grad)),
      inputs as Tensor[],
      present(gradients) as Tensor[],
    ).gradients;
  }),
};

/** What `convNormGelu` computes, by operations that keep what the convolution makes. */
const composedStage =
  ({ stride, eps }: AttributesOf<'convNormGelu'>) =>
  (x: Tensor, weight: Tensor, scale: Tensor, shift: Tensor) =>
    gelu(groupNorm(conv1d(x, weight, { stride }), weight.shape[0], scale, shift, { eps }));

const firstStageRules = {
  convNormGelu: rule<AttributesOf<'convNormGelu'>>(
    'both',
    (g, { inputs, outputs: [, statistics], attributes, needs }) => {
      // A waveform seldom wants a gradient, and its kernel makes none.
      if (needs[0]) return vjp(composedStage(attributes), inputs as Tensor[], g).gradients;
      const [weight, affine] = apply('convNormGeluBackward', [...inputs, statistics, g], attributes);
      const half = (i: number) => sliceAxis(affine, 0, i, i + 1).reshape(inputs[2].shape);
      return [undefined, weight, half(0), half(1)];
    },
  ),
  // The statistics follow from x and the weight, and are differentiated as what they are made from.
  convNormGeluBackward: rule<AttributesOf<'convNormGelu'>>('inputs', (_, { inputs, attributes, gradients }) => {
    const [x, weight, scale, shift, , grad] = inputs;
    const present = presentOf(gradients);
    const composed = (signal: Tensor, ...[w, a, b, flow]: Tensor[]) => {
      const stage = (...own: Tensor[]) => composedStage(attributes)(signal, ...(own as [Tensor, Tensor, Tensor]));
      const [dw, ...affine] = vjp(stage, [w, a, b], flow).gradients;
      return present([dw, stack(affine)]);
    };
    const [dx, dw, da, db, dGrad] = vjp(
      composed,
      [x, weight, scale, shift, grad],
      present(gradients) as Tensor[],
    ).gradients;
    return [dx, dw, da, db, undefined, dGrad];
  }),
};

export const normRules = {
  ...firstStageRules,
  ...weightNormRules,
  layerNorm: forwardRule<AttributesOf<'layerNorm'>>('layerNormBackward', layerLayout, () => ({ groups: 1 })),
  groupNorm: forwardRule<AttributesOf<'groupNorm'>>(
    'groupNormBackward',
    (shape, { groups }) => groupLayout(shape, groups),
    ({ groups }) => ({ groups }),
  ),
  layerNormBackward: backwardRule<AttributesOf<'layerNormBackward'>>(layerLayout),
  groupNormBackward: backwardRule<AttributesOf<'groupNormBackward'>>((shape, { groups }) => groupLayout(shape, groups)),
};
