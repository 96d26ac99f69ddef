import {
  apply,
  cast,
  cos,
  div,
  eq,
  exp,
  ge,
  gt,
  log,
  logicalAnd,
  lt,
  minimum,
  mul,
  neg,
  pow,
  sign,
  sin,
  square,
  sub,
  type Tensor,
  where,
} from '@dawnchorus/tensor';
import { onlyIf, type Rule, rule, unbroadcast } from './rule.ts';

type NoAttributes = Record<never, never>;

/** A function of one tensor whose derivative is a factor made of the input. */
const fromInput = (derivative: (x: Tensor, gradient: Tensor) => Tensor): Rule<NoAttributes> =>
  rule('inputs', (g, { inputs: [x] }) => [derivative(x, g)]);

/** A function of one tensor whose derivative is best made of the output. */
const fromOutput = (derivative: (y: Tensor, gradient: Tensor) => Tensor): Rule<NoAttributes> =>
  rule('outputs', (g, { outputs: [y] }) => [derivative(y, g)]);

const TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);
const ONE_OVER_ROOT_TWO_PI = 1 / Math.sqrt(2 * Math.PI);

/** The gradient g f'(x) as a function of x and g. */
const backwardRule = (name: 'geluBackward' | 'eluBackward', second: (x: Tensor) => Tensor): Rule<NoAttributes> =>
  rule('inputs', (u, { inputs: [x, g], needs }) => [
    onlyIf(needs[0], () => unbroadcast(mul(mul(u, g), second(x)), x.shape)),
    onlyIf(needs[1], () => unbroadcast(apply(name, [x, u], {})[0], g.shape)),
  ]);

/** maximum and minimum: the gradient goes to the winner, half each on ties, as in PyTorch. */
const extreme = (wins: (a: Tensor, b: Tensor) => Tensor): Rule<NoAttributes> =>
  rule('inputs', (g, { inputs: [a, b], needs }) => {
    const share = (own: Tensor, other: Tensor) => mul(g, where(eq(own, other), 0.5, cast(wins(own, other), 'f32')));
    return [
      onlyIf(needs[0], () => unbroadcast(share(a, b), a.shape)),
      onlyIf(needs[1], () => unbroadcast(share(b, a), b.shape)),
    ];
  });

export const elementwiseRules = {
  neg: rule<NoAttributes>('nothing', (g) => [neg(g)]),
  abs: fromInput((x, g) => mul(g, sign(x))),
  square: fromInput((x, g) => mul(g, mul(x, 2))),
  exp: fromOutput((y, g) => mul(g, y)),
  log: fromInput((x, g) => div(g, x)),
  sqrt: fromOutput((y, g) => mul(g, div(0.5, y))),
  rsqrt: fromOutput((y, g) => mul(g, mul(-0.5, mul(y, square(y))))),
  reciprocal: fromOutput((y, g) => neg(mul(g, square(y)))),
  sin: fromInput((x, g) => mul(g, cos(x))),
  cos: fromInput((x, g) => neg(mul(g, sin(x)))),
  tanh: fromOutput((y, g) => mul(g, sub(1, square(y)))),
  sigmoid: fromOutput((y, g) => mul(g, mul(y, sub(1, y)))),
  relu: fromInput((x, g) => where(gt(x, 0), g, 0)),
  elu: fromInput((x, g) => apply('eluBackward', [x, g], {})[0]),
  gelu: fromInput((x, g) => apply('geluBackward', [x, g], {})[0]),
  geluBackward: backwardRule('geluBackward', (x) => {
    // The derivative of Phi(x) + x phi(x) is (2 - x^2) phi(x).
    const density = mul(exp(mul(square(x), -0.5)), ONE_OVER_ROOT_TWO_PI);
    return mul(density, sub(2, square(x)));
  }),
  eluBackward: backwardRule('eluBackward', (x) => where(gt(x, 0), 0, exp(minimum(x, 0)))),
  erf: fromInput((x, g) => mul(g, mul(neg(square(x)).exp(), TWO_OVER_ROOT_PI))),

  add: rule<NoAttributes>('nothing', (g, { inputs: [a, b], needs }) => [
    onlyIf(needs[0], () => unbroadcast(g, a.shape)),
    onlyIf(needs[1], () => unbroadcast(g, b.shape)),
  ]),
  sub: rule<NoAttributes>('nothing', (g, { inputs: [a, b], needs }) => [
    onlyIf(needs[0], () => unbroadcast(g, a.shape)),
    onlyIf(needs[1], () => neg(unbroadcast(g, b.shape))),
  ]),
  mul: rule<NoAttributes>('inputs', (g, { inputs: [a, b], needs }) => [
    onlyIf(needs[0], () => unbroadcast(mul(g, b), a.shape)),
    onlyIf(needs[1], () => unbroadcast(mul(g, a), b.shape)),
  ]),
  div: rule<NoAttributes>('inputs', (g, { inputs: [a, b], needs }) => [
    onlyIf(needs[0], () => unbroadcast(div(g, b), a.shape)),
    onlyIf(needs[1], () => unbroadcast(neg(mul(g, div(a, square(b)))), b.shape)),
  ]),
  pow: rule<NoAttributes>('both', (g, { inputs: [x, y], outputs: [z], needs }) => [
    // x^0 is 1 everywhere: its slope must not become 0 times the infinite 0^-1.
    onlyIf(needs[0], () => unbroadcast(mul(g, mul(y, pow(x, where(eq(y, 0), 0, sub(y, 1))))), x.shape)),
    // 0^y does not change with y from 0 up; the logarithm of zero must not make a NaN of it. As in PyTorch.
    onlyIf(needs[1], () => unbroadcast(mul(g, where(logicalAnd(eq(x, 0), ge(y, 0)), 0, mul(z, log(x)))), y.shape)),
  ]),
  maximum: extreme(gt),
  minimum: extreme(lt),
  where: rule<NoAttributes>('inputs', (g, { inputs: [condition, x, y], needs }) => [
    undefined,
    onlyIf(needs[1], () => unbroadcast(where(condition, g, 0), x.shape)),
    onlyIf(needs[2], () => unbroadcast(where(condition, 0, g), y.shape)),
  ]),
  cast: rule<{ dtype: Tensor['dtype'] }>('nothing', (g, { inputs: [x] }) => [x.dtype === 'f32' ? g : undefined]),
  contiguous: rule<NoAttributes>('nothing', (g) => [g]),
};
