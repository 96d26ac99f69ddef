import type { DifferentiableOpName } from '@dawnchorus/tensor';
import {
  arrayOf,
  between,
  broadcastPart,
  type Domain,
  drawn,
  integer,
  pick,
  type Random,
} from '../../../tensor/test/arbitraries.ts';
import { at, broadcast, build, type NDArray } from '../../../tensor/test/reference/array.ts';
import { type ElementwiseName, elementwise } from '../../../tensor/test/reference/elementwise.ts';
import { asTested, type RuleCase, type RuleCases } from './case.ts';

type Name = ElementwiseName & DifferentiableOpName;

const shapes = { largest: 300 };
const anything = between(-3, 3);
const positive: Domain = (random) => 10 ** between(-2, 1)(random);
/** At least this far from a kink at zero, a thousand steps. */
const besideZero: Domain = (random) => Math.sign(random() - 0.5) * between(0.01, 3)(random);
/** Angles within [-pi, pi] that keep away from the zeros of the derivative, which are at odd or even quarters. */
const besideQuarters =
  (first: number): Domain =>
  (random) =>
    (integer(random, 0, 1) - 1 + first + between(0.1, 0.9)(random)) * Math.PI;

/** The function of the operations' own tests, but without rounding its inputs to f32: steps would drown in that. */
export function unrounded(name: Name, inputs: readonly NDArray[]): NDArray {
  const compute = elementwise[name][1] as (x: number, y: number, z: number) => number;
  return build(broadcast(...inputs.map((input) => input.shape)), 'f32', (index) => {
    const [x, y, z] = inputs.map((input) => at(input, index));
    return compute(x, y, z);
  });
}

const unaryCase = (name: Name, domain: Domain = anything): RuleCase<Record<never, never>> => ({
  draws: drawn(shapes, (shape, random) => ({ inputs: [arrayOf(shape, random, domain)], attributes: {} })),
  reference: (inputs) => unrounded(name, inputs),
});

const binaryCase = (name: Name, domains: readonly Domain[]): RuleCase<Record<never, never>> => ({
  draws: drawn(shapes, (shape, random) => ({
    inputs: domains.map((domain) => arrayOf(broadcastPart(shape, random), random, domain)),
    attributes: {},
  })),
  reference: (inputs) => unrounded(name, inputs),
});

/** Two grids that share no number, so that nothing ties. */
const grids: readonly [Domain, Domain] = [(r) => integer(r, -20, 20) / 10, (r) => integer(r, -20, 20) / 10 + 0.05];

const threeParts = (shape: readonly number[], random: Random) => [
  arrayOf(broadcastPart(shape, random), random, anything, 'bool'),
  arrayOf(broadcastPart(shape, random), random, anything),
  arrayOf(broadcastPart(shape, random), random, anything),
];

export const elementwiseRuleCases: RuleCases<Name | 'where' | 'cast' | 'contiguous'> = {
  neg: unaryCase('neg'),
  abs: unaryCase('abs', besideZero),
  square: unaryCase('square'),
  exp: unaryCase('exp'),
  exp2: unaryCase('exp2'),
  expm1: unaryCase('expm1'),
  log: unaryCase('log', positive),
  log2: unaryCase('log2', positive),
  log10: unaryCase('log10', positive),
  log1p: unaryCase('log1p', between(-0.8, 3)),
  sqrt: unaryCase('sqrt', positive),
  rsqrt: unaryCase('rsqrt', positive),
  reciprocal: unaryCase('reciprocal', (random) => Math.sign(random() - 0.5) * positive(random)),
  sin: unaryCase('sin', besideQuarters(0.5)),
  cos: unaryCase('cos', besideQuarters(0)),
  tan: unaryCase('tan', (random) => integer(random, -2, 2) * Math.PI + between(-1.2, 1.2)(random)),
  asin: unaryCase('asin', between(-0.95, 0.95)),
  acos: unaryCase('acos', between(-0.95, 0.95)),
  atan: unaryCase('atan'),
  sinh: unaryCase('sinh', besideZero),
  cosh: unaryCase('cosh', besideZero),
  asinh: unaryCase('asinh'),
  acosh: unaryCase('acosh', between(1.1, 5)),
  atanh: unaryCase('atanh', between(-0.95, 0.95)),
  // Where these two saturate, 1 - y^2 and 1 - y have few digits left in f32.
  tanh: unaryCase('tanh', between(-3, 3)),
  sigmoid: unaryCase('sigmoid', between(-4, 4)),
  relu: unaryCase('relu', besideZero),
  elu: unaryCase('elu', between(-5, 3)),
  // The derivative is zero near -0.75.
  gelu: unaryCase('gelu', (random) => (random() < 0.5 ? between(-3, -1)(random) : between(-0.5, 4)(random))),
  // The derivative is zero near -1.28.
  silu: unaryCase('silu', (random) => (random() < 0.5 ? between(-4, -1.6)(random) : between(-0.9, 4)(random))),
  softplus: unaryCase('softplus', between(-4, 4)),
  leakyRelu: binaryCase('leakyRelu', [besideZero, between(0.1, 0.5)]),
  erf: unaryCase('erf', between(-2, 2)),
  add: binaryCase('add', [anything, anything]),
  sub: binaryCase('sub', [anything, anything]),
  mul: binaryCase('mul', [anything, anything]),
  div: binaryCase('div', [anything, (random) => Math.sign(random() - 0.5) * between(0.3, 3)(random)]),
  // Negative bases are tested apart: with them only the base has a gradient.
  pow: binaryCase('pow', [between(0.2, 4), between(-3, 3)]),
  // Quotients away from whole numbers, where the remainder jumps.
  remainder: binaryCase('remainder', [
    (r) => integer(r, -9, 9) + between(0.2, 0.45)(r),
    (r) => pick(r, [-1, 1, 0.5, -2]),
  ]),
  atan2: binaryCase('atan2', [besideZero, besideZero]),
  clamp: binaryCase('clamp', [grids[0], grids[1], (r) => integer(r, -20, 20) / 10 + 0.025]),
  maximum: binaryCase('maximum', grids),
  minimum: binaryCase('minimum', grids),
  geluBackward: binaryCase('geluBackward', [between(-4, 4), anything]),
  eluBackward: binaryCase('eluBackward', [besideZero, anything]),
  where: {
    draws: drawn(shapes, (shape, random) => ({ inputs: threeParts(shape, random), attributes: {} })),
    reference: ([condition, x, y]) =>
      build(broadcast(condition.shape, x.shape, y.shape), 'f32', (index) => at(at(condition, index) ? x : y, index)),
  },
  // To f32 only: nothing flows through whole numbers.
  cast: {
    draws: drawn(shapes, (shape, random) => ({
      inputs: [arrayOf(shape, random, anything)],
      attributes: { dtype: 'f32' as const },
    })),
    reference: ([x]) => x,
  },
  contiguous: asTested('contiguous'),
};
