import {
  type AttributesOf,
  apply,
  cast,
  concat,
  cumprod,
  div,
  eq,
  exp,
  mul,
  neg,
  onesLike,
  type Shape,
  sub,
  sum,
  type Tensor,
  zerosLike,
} from '@dawnchorus/tensor';
import { onlyIf, rule } from './rule.ts';

type ReduceAttributes = AttributesOf<'sum'>;

/** A reduced tensor stretched back over the axes it lost. */
function stretch(x: Tensor, shape: Shape, axes: readonly number[]): Tensor {
  return x.reshape(shape.map((extent, d) => (axes.includes(d) ? 1 : extent))).expand(shape);
}

function count(shape: Shape, axes: readonly number[]): number {
  return axes.reduce((product, d) => product * shape[d], 1);
}

/** For each element of the last axis the product of the others, without a division that zeros would spoil. */
function productOfOthers(x: Tensor): Tensor {
  const one = onesLike(x.narrow(-1, 0, 1));
  const before = concat([one, cumprod(x, { dim: -1 }).sliceAxis(-1, 0, -1)], x.rank - 1);
  const after = concat([cumprod(x, { dim: -1, reverse: true }).sliceAxis(-1, 1), one], x.rank - 1);
  return mul(before, after);
}

/** The product of the others among the elements that are multiplied. */
const prod = rule<ReduceAttributes>('inputs', (g, { inputs: [x], attributes: { axes } }) => {
  if (x.size === 0) return [zerosLike(x)];
  const kept = x.shape.map((_, d) => d).filter((d) => !axes.includes(d));
  const order = [...kept, ...axes];
  const inverse = x.shape.map((_, d) => order.indexOf(d));
  const last = x.permute(order);
  const others = productOfOthers(last.reshape([...kept.map((d) => x.shape[d]), -1]));
  return [mul(stretch(g, x.shape, axes), others.reshape(last.shape).permute(inverse))];
});

/** max and min: shared evenly among the elements that reach the extreme. */
const extreme = rule<ReduceAttributes>('both', (g, { inputs: [x], outputs: [y], attributes: { axes } }) => {
  const reached = cast(eq(x, stretch(y, x.shape, axes)), 'f32');
  const winners = sum(reached, { dim: axes, keepdim: true });
  return [mul(stretch(g, x.shape, axes), div(reached, winners))];
});

const sumRows = (x: Tensor) => sum(x, { dim: -1, keepdim: true });

export const reductionRules = {
  sum: rule<ReduceAttributes>('nothing', (g, { inputs: [x], attributes: { axes } }) => [stretch(g, x.shape, axes)]),
  mean: rule<ReduceAttributes>('nothing', (g, { inputs: [x], attributes: { axes } }) => [
    stretch(mul(g, 1 / count(x.shape, axes)), x.shape, axes),
  ]),
  sumSquares: rule<ReduceAttributes>('inputs', (g, { inputs: [x], attributes: { axes } }) => [
    mul(mul(x, 2), stretch(g, x.shape, axes)),
  ]),
  prod,
  max: extreme,
  min: extreme,
  softmax: rule<Record<never, never>>('outputs', (g, { outputs: [y] }) => apply('softmaxBackward', [y, g], {})),
  logSoftmax: rule<Record<never, never>>('outputs', (g, { outputs: [y] }) => apply('logSoftmaxBackward', [y, g], {})),
  // y (g - sum(y g)), in y and g.
  softmaxBackward: rule<Record<never, never>>('inputs', (u, { inputs: [y, g], needs }) => [
    onlyIf(needs[0], () => sub(mul(u, sub(g, sumRows(mul(y, g)))), mul(g, sumRows(mul(u, y))))),
    onlyIf(needs[1], () => apply('softmaxBackward', [y, u], {})[0]),
  ]),
  // g - exp(y) sum(g), in y and g.
  logSoftmaxBackward: rule<Record<never, never>>('inputs', (u, { inputs: [y, g], needs }) => [
    onlyIf(needs[0], () => neg(mul(mul(u, exp(y)), sumRows(g)))),
    onlyIf(needs[1], () => sub(u, sumRows(mul(u, exp(y))))),
  ]),
};
