import {
  type AttributesOf,
  apply,
  cast,
  div,
  eq,
  exp,
  mul,
  neg,
  type Shape,
  sub,
  sum,
  type Tensor,
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
