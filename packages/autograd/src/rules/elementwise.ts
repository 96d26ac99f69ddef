import {
  add,
  apply,
  cast,
  cos,
  cosh,
  div,
  eq,
  exp,
  floorDivide,
  ge,
  gt,
  isFloat,
  le,
  log,
  logicalAnd,
  logicalOr,
  lt,
  minimum,
  mul,
  neg,
  pow,
  rsqrt,
  sigmoid,
  sign,
  sin,
  sinh,
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

/** 1 - x^2, without cancellation beside 1. */
const unitRest = (x: Tensor): Tensor => mul(sub(1, x), add(x, 1));

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
  exp2: fromOutput((y, g) => mul(g, mul(y, Math.LN2))),
  expm1: fromOutput((y, g) => mul(g, add(y, 1))),
  log: fromInput((x, g) => div(g, x)),
  log2: fromInput((x, g) => div(g, mul(x, Math.LN2))),
  log10: fromInput((x, g) => div(g, mul(x, Math.LN10))),
  log1p: fromInput((x, g) => div(g, add(x, 1))),
  sqrt: fromOutput((y, g) => mul(g, div(0.5, y))),
  rsqrt: fromOutput((y, g) => mul(g, mul(-0.5, mul(y, square(y))))),
  reciprocal: fromOutput((y, g) => neg(mul(g, square(y)))),
  sin: fromInput((x, g) => mul(g, cos(x))),
  cos: fromInput((x, g) => neg(mul(g, sin(x)))),
  tan: fromOutput((y, g) => mul(g, add(square(y), 1))),
  asin: fromInput((x, g) => mul(g, rsqrt(unitRest(x)))),
  acos: fromInput((x, g) => neg(mul(g, rsqrt(unitRest(x))))),
  atan: fromInput((x, g) => div(g, add(square(x), 1))),
  sinh: fromInput((x, g) => mul(g, cosh(x))),
  cosh: fromInput((x, g) => mul(g, sinh(x))),
  asinh: fromInput((x, g) => mul(g, rsqrt(add(square(x), 1)))),
  acosh: fromInput((x, g) => mul(g, rsqrt(mul(sub(x, 1), add(x, 1))))),
  atanh: fromInput((x, g) => div(g, unitRest(x))),
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
  silu: fromInput((x, g) => {
    const s = sigmoid(x);
    return mul(g, mul(s, add(mul(x, sub(1, s)), 1)));
  }),
  softplus: fromInput((x, g) => mul(g, sigmoid(x))),
  leakyRelu: rule<NoAttributes>('inputs', (g, { inputs: [x, slope], needs }) => [
    onlyIf(needs[0], () => unbroadcast(where(lt(x, 0), mul(g, slope), g), x.shape)),
    onlyIf(needs[1], () => unbroadcast(where(lt(x, 0), mul(g, x), 0), slope.shape)),
  ]),
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
    onlyIf(needs[1], () => unbroadcast(neg(mul(g, div(div(a, b), b))), b.shape)),
  ]),
  pow: rule<NoAttributes>('both', (g, { inputs: [x, y], outputs: [z], needs }) => [
    // x^0 is 1 everywhere: its slope must not become 0 times the infinite 0^-1.
    onlyIf(needs[0], () => unbroadcast(mul(g, mul(y, pow(x, where(eq(y, 0), 0, sub(y, 1))))), x.shape)),
    // 0^y does not change with y from 0 up; the logarithm of zero must not make a NaN of it. As in PyTorch.
    onlyIf(needs[1], () => unbroadcast(mul(g, where(logicalAnd(eq(x, 0), ge(y, 0)), 0, mul(z, log(x)))), y.shape)),
  ]),
  // Between whole quotients the remainder is x minus so many y.
  remainder: rule<NoAttributes>('inputs', (g, { inputs: [x, y], needs }) => [
    onlyIf(needs[0], () => unbroadcast(g, x.shape)),
    onlyIf(needs[1], () => unbroadcast(neg(mul(g, floorDivide(x, y))), y.shape)),
  ]),
  atan2: rule<NoAttributes>('inputs', (g, { inputs: [y, x], needs }) => {
    const squares = add(square(x), square(y));
    // At the origin there is no slope; PyTorch's is 0.
    const perSquare = div(g, where(eq(squares, 0), Number.POSITIVE_INFINITY, squares));
    return [
      onlyIf(needs[0], () => unbroadcast(mul(perSquare, x), y.shape)),
      onlyIf(needs[1], () => unbroadcast(neg(mul(perSquare, y)), x.shape)),
    ];
  }),
  maximum: extreme(gt),
  minimum: extreme(lt),
  // As in PyTorch: x keeps its gradient on the bounds, and where the bounds cross, the upper one wins.
  clamp: rule<NoAttributes>('inputs', (g, { inputs: [x, low, high], needs }) => [
    onlyIf(needs[0], () => unbroadcast(where(logicalAnd(ge(x, low), le(x, high)), g, 0), x.shape)),
    onlyIf(needs[1], () => unbroadcast(where(logicalAnd(lt(x, low), lt(low, high)), g, 0), low.shape)),
    onlyIf(needs[2], () => unbroadcast(where(logicalOr(gt(x, high), gt(low, high)), g, 0), high.shape)),
  ]),
  where: rule<NoAttributes>('inputs', (g, { inputs: [condition, x, y], needs }) => [
    undefined,
    onlyIf(needs[1], () => unbroadcast(where(condition, g, 0), x.shape)),
    onlyIf(needs[2], () => unbroadcast(where(condition, 0, g), y.shape)),
  ]),
  cast: rule<{ dtype: Tensor['dtype'] }>('nothing', (g, { inputs: [x] }) => [
    isFloat(x.dtype) ? cast(g, x.dtype) : undefined,
  ]),
  contiguous: rule<NoAttributes>('nothing', (g) => [g]),
};
