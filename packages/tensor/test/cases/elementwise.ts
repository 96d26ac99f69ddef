import type { DType } from '../../src/index.ts';
import { arrayOf, between, broadcastPart, type Domain, drawn, integer, pick, type Random } from '../arbitraries.ts';
import type { Tolerance } from '../compare.ts';
import { floats } from '../device.ts';
import { isWhole } from '../reference/array.ts';
import {
  cast as castReference,
  type ElementwiseName,
  elementwiseReference,
  where as whereReference,
} from '../reference/elementwise.ts';
import type { OpCase, OpCases } from './case.ts';

const special = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, 1e-4, -1e-4, 1e4, -1e4];
const anything: Domain = (random) => (random() < 0.2 ? pick(random, special) : between(-10, 10)(random));
const positive: Domain = (random) => 10 ** between(-3, 2)(random);
const nonzero: Domain = (random) => Math.sign(random() - 0.5) * positive(random);
const notFinite = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
const withNotFinite: Domain = (random) => (random() < 0.4 ? pick(random, notFinite) : anything(random));
const exponents = between(-20, 20);
/** Several turns either way; near the zeros of sine only the absolute error means anything. */
const angles = between(-50, 50);
/** Few distinct values, so that equal pairs meet. */
const few: Domain = (random) => integer(random, -2, 2);
/** Small enough that |y log2(x)| < 10: pow is exp2 of that product and multiplies its rounding. */
const bases: Domain = (random) => (random() < 0.1 ? 0 : Math.sign(random() - 0.3) * between(0.2, 5)(random));
const powers: Domain = (random) => (random() < 0.5 ? integer(random, -4, 4) : between(-4, 4)(random));

interface Options {
  domains?: Domain[];
  tolerance?: Tolerance;
  /** Whole numbers and booleans too, where the domain allows. */
  dtypes?: DType[][];
  /** Takes no floats: the first of the dtypes runs in every presentation. */
  integers?: boolean;
}

const one: DType[][] = [['i32'], ['u32'], ['bool']];
const two: DType[][] = [
  ['i32', 'i32'],
  ['u32', 'u32'],
  ['bool', 'bool'],
  ['i32', 'f32'],
  ['bool', 'i32'],
  ['i32', 'u32'],
  ...floats.flatMap<DType[]>((dtype) =>
    dtype === 'f16'
      ? [
          ['i32', 'f16'],
          ['f16', 'bool'],
        ]
      : [],
  ),
];
/** Whole numbers at the ends of their range, too. */
const wholeNumbers: Domain = (random) =>
  random() < 0.1 ? pick(random, [2 ** 31 - 1, -(2 ** 31), 65_537]) : integer(random, -20, 20);

function elementwiseCase(name: ElementwiseName, arity: 1 | 2 | 3, options: Options = {}): OpCase<Record<never, never>> {
  const { domains = [anything, anything, anything], tolerance, dtypes = arity === 1 ? one : two } = options;
  const make = (shape: number[], random: Random, types: readonly DType[]) => ({
    inputs: types.map((dtype, i) => {
      const part = arity === 1 ? shape : broadcastPart(shape, random);
      const domain = !isWhole(dtype) || options.domains ? domains[i] : wholeNumbers;
      return arrayOf(part, random, domain, dtype);
    }),
    attributes: {},
  });
  const floats: DType[] = new Array(arity).fill('f32');
  const [first = floats] = options.integers ? dtypes : [];
  return {
    draws: drawn({}, (shape, random) => make(shape, random, first)),
    dense: dtypes.length > 0 ? drawn({}, (shape, random) => make(shape, random, pick(random, dtypes))) : undefined,
    ...(options.integers && { half: false as const }),
    reference: (inputs) => [elementwiseReference(name, inputs)],
    tolerance,
  };
}

/** Functions made for it are exact to a few units in the last place. */
const tight: Tolerance = { relative: 1e-6 };
/** A function of floats, within its domain. */
const floatCase = (name: ElementwiseName, domain: Domain, tolerance = tight) =>
  elementwiseCase(name, 1, { domains: [domain], tolerance, dtypes: [] });
const aroundZero =
  (far: number): Domain =>
  (random) =>
    random() < 0.5 ? between(-0.5, 0.5)(random) ** 3 : between(-far, far)(random);
/** Away from the poles of the tangent, beside which its argument has few digits. */
/** Every quadrant, every ratio, the axes. */
const signed: Domain = (random) => (random() < 0.1 ? pick(random, [0, -0, 1e30, -1e-30]) : nonzero(random));
const besidePoles: Domain = (random) => integer(random, -10, 10) * Math.PI + between(-1.5, 1.5)(random);
const unit: Domain = (random) => (random() < 0.1 ? pick(random, [-1, 1, 0, 0.5, -0.5]) : between(-1, 1)(random));
/** Quotients that are whole or just beside, and large ones. */
const dividends: Domain = (random) =>
  random() < 0.5 ? integer(random, -40, 40) / 10 : between(-1, 1)(random) * 10 ** integer(random, -3, 12);
const divisors: Domain = (random) => (random() < 0.5 ? pick(random, [0.1, -0.1, 0.3, 1, -1, 2.5, 7]) : nonzero(random));
const wholeTwo: DType[][] = [
  ['i32', 'i32'],
  ['u32', 'u32'],
  ['i32', 'u32'],
  ['bool', 'i32'],
];
/** Whole numbers are divided by zero too. */
const division = (name: 'floorDivide' | 'remainder'): OpCase<Record<never, never>> => ({
  ...elementwiseCase(name, 2, { domains: [dividends, divisors], dtypes: [], tolerance: tight }),
  dense: elementwiseCase(name, 2, { dtypes: wholeTwo, integers: true }).dense,
});
const bits = (name: ElementwiseName) =>
  elementwiseCase(name, 2, { dtypes: [...wholeTwo, ['bool', 'bool']], integers: true });
const shift = (name: ElementwiseName) =>
  elementwiseCase(name, 2, {
    domains: [wholeNumbers, (random) => integer(random, random() < 0.2 ? -2 : 0, random() < 0.2 ? 40 : 31)],
    dtypes: [...wholeTwo, ['bool', 'bool']],
    integers: true,
  });

/** Domains without zero or below it have no booleans. */
const numbers: DType[][] = [['i32'], ['u32']];
/** The logarithm passes zero at 1, and keeps its digits there. */
const besideOne: Domain = (random) =>
  random() < 0.3 ? 1 + between(-0.5, 0.5)(random) ** 5 : 10 ** between(-30, 30)(random);

export const elementwiseCases: OpCases<ElementwiseName | 'where' | 'cast' | 'contiguous'> = {
  neg: elementwiseCase('neg', 1),
  abs: elementwiseCase('abs', 1),
  square: elementwiseCase('square', 1),
  exp: elementwiseCase('exp', 1, { domains: [between(-80, 80)], dtypes: [], tolerance: tight }),
  exp2: floatCase('exp2', between(-30, 30)),
  expm1: floatCase('expm1', aroundZero(20)),
  log: elementwiseCase('log', 1, { domains: [besideOne], dtypes: numbers, tolerance: tight }),
  log2: floatCase('log2', besideOne),
  log10: floatCase('log10', besideOne),
  log1p: floatCase('log1p', (random) =>
    random() < 0.5 ? between(-0.5, 0.5)(random) ** 3 : between(-0.99, 100)(random),
  ),
  sqrt: elementwiseCase('sqrt', 1, { domains: [positive] }),
  rsqrt: elementwiseCase('rsqrt', 1, { domains: [positive], dtypes: numbers }),
  reciprocal: elementwiseCase('reciprocal', 1, { domains: [nonzero], dtypes: numbers }),
  sin: elementwiseCase('sin', 1, { domains: [angles], tolerance: { relative: 0, absolute: 1e-6 }, dtypes: [] }),
  cos: elementwiseCase('cos', 1, { domains: [angles], tolerance: { relative: 0, absolute: 1e-6 }, dtypes: [] }),
  tan: floatCase('tan', besidePoles, { relative: 1e-6, absolute: 3e-6 }),
  asin: floatCase('asin', unit),
  acos: floatCase('acos', unit, { relative: 1e-6, absolute: 2e-7 }),
  atan: floatCase('atan', (random) => (random() < 0.2 ? nonzero(random) * 1e20 : anything(random))),
  sinh: floatCase('sinh', aroundZero(88)),
  cosh: floatCase('cosh', aroundZero(88)),
  asinh: floatCase('asinh', (random) => (random() < 0.2 ? nonzero(random) * 1e20 : aroundZero(5)(random))),
  acosh: floatCase('acosh', (random) => 1 + (random() < 0.2 ? 1e25 : 1) * positive(random)),
  atanh: floatCase('atanh', (random) => aroundZero(0.999)(random)),
  tanh: elementwiseCase('tanh', 1, { domains: [(r) => (r() < 0.3 ? between(-0.2, 0.2)(r) : between(-100, 100)(r))] }),
  sigmoid: elementwiseCase('sigmoid', 1, { domains: [exponents] }),
  relu: elementwiseCase('relu', 1),
  elu: elementwiseCase('elu', 1, { domains: [(r) => (r() < 0.3 ? between(-0.3, 0.3)(r) : between(-20, 20)(r))] }),
  gelu: elementwiseCase('gelu', 1, { domains: [between(-8, 8)] }),
  silu: elementwiseCase('silu', 1, { domains: [exponents] }),
  softplus: floatCase('softplus', exponents, { relative: 1e-5 }),
  leakyRelu: elementwiseCase('leakyRelu', 2, { dtypes: [['i32', 'f32']] }),
  erf: elementwiseCase('erf', 1, { domains: [between(-5, 5)] }),
  add: elementwiseCase('add', 2),
  sub: elementwiseCase('sub', 2),
  mul: elementwiseCase('mul', 2),
  div: elementwiseCase('div', 2, {
    domains: [anything, nonzero],
    dtypes: [
      ['i32', 'i32'],
      ['u32', 'f32'],
    ],
  }),
  pow: elementwiseCase('pow', 2, {
    domains: [bases, powers],
    dtypes: [
      ['i32', 'i32'],
      ['u32', 'u32'],
      ['bool', 'i32'],
      ['f32', 'i32'],
    ],
  }),
  atan2: elementwiseCase('atan2', 2, { domains: [signed, signed], tolerance: tight, dtypes: [['i32', 'i32']] }),
  floorDivide: division('floorDivide'),
  remainder: division('remainder'),
  clamp: elementwiseCase('clamp', 3, {
    dtypes: [
      ['i32', 'i32', 'i32'],
      ['u32', 'u32', 'u32'],
      ['i32', 'f32', 'i32'],
    ],
  }),
  bitwiseAnd: bits('bitwiseAnd'),
  bitwiseOr: bits('bitwiseOr'),
  bitwiseXor: bits('bitwiseXor'),
  bitwiseNot: elementwiseCase('bitwiseNot', 1, { dtypes: one, integers: true }),
  bitwiseLeftShift: shift('bitwiseLeftShift'),
  bitwiseRightShift: shift('bitwiseRightShift'),
  maximum: elementwiseCase('maximum', 2),
  minimum: elementwiseCase('minimum', 2),
  sign: elementwiseCase('sign', 1),
  floor: elementwiseCase('floor', 1),
  ceil: elementwiseCase('ceil', 1),
  round: elementwiseCase('round', 1),
  trunc: elementwiseCase('trunc', 1),
  isnan: elementwiseCase('isnan', 1, { domains: [withNotFinite], dtypes: [] }),
  isinf: elementwiseCase('isinf', 1, { domains: [withNotFinite], dtypes: [] }),
  isfinite: elementwiseCase('isfinite', 1, { domains: [withNotFinite], dtypes: [] }),
  logicalNot: elementwiseCase('logicalNot', 1, { domains: [few] }),
  eq: elementwiseCase('eq', 2, { domains: [few, few] }),
  ne: elementwiseCase('ne', 2, { domains: [few, few] }),
  lt: elementwiseCase('lt', 2, { domains: [few, few] }),
  le: elementwiseCase('le', 2, { domains: [few, few] }),
  gt: elementwiseCase('gt', 2, { domains: [few, few] }),
  ge: elementwiseCase('ge', 2, { domains: [few, few] }),
  logicalAnd: elementwiseCase('logicalAnd', 2, { domains: [few, few] }),
  logicalOr: elementwiseCase('logicalOr', 2, { domains: [few, few] }),
  logicalXor: elementwiseCase('logicalXor', 2, { domains: [few, few] }),
  // The derivative of the exact GELU crosses zero near -0.75.
  geluBackward: elementwiseCase('geluBackward', 2, {
    domains: [between(-6, 6), anything],
    tolerance: { relative: 1e-5, peak: true },
    dtypes: [],
  }),
  eluBackward: elementwiseCase('eluBackward', 2, { domains: [exponents, anything], dtypes: [] }),
  where: {
    draws: drawn({}, (shape, random) => ({
      inputs: [
        arrayOf(broadcastPart(shape, random), random, few, 'bool'),
        arrayOf(broadcastPart(shape, random), random, anything),
        arrayOf(broadcastPart(shape, random), random, anything),
      ],
      attributes: {},
    })),
    dense: drawn({}, (shape, random) => {
      const dtypes = pick<[DType, DType]>(random, [
        ['i32', 'i32'],
        ['i32', 'f32'],
        ['bool', 'bool'],
        ['u32', 'i32'],
        ['i32', floats[floats.length - 1]],
      ]);
      const values = dtypes.map((dtype) => arrayOf(broadcastPart(shape, random), random, few, dtype));
      return { inputs: [arrayOf(shape, random, few, 'bool'), ...values], attributes: {} };
    }),
    reference: ([condition, x, y]) => [whereReference(condition, x, y)],
  },
  cast: {
    draws: drawn({}, (shape, random) => ({
      inputs: [arrayOf(shape, random, anything, pick<DType>(random, ['f32', 'i32']))],
      attributes: { dtype: pick<DType>(random, [...floats, 'i32', 'bool']) },
    })),
    dense: drawn({}, (shape, random) => {
      const from = pick<DType>(random, [...floats, 'i32', 'u32', 'bool']);
      const domain: Domain = (r) => (r() < 0.2 ? pick(r, [3e9, -3e9, 1e20, 65519, -65520, 2049, 3e-8]) : anything(r));
      return {
        inputs: [arrayOf(shape, random, isWhole(from) ? wholeNumbers : domain, from)],
        attributes: { dtype: pick<DType>(random, [...floats, 'i32', 'u32', 'bool']) },
      };
    }),
    reference: ([x], { dtype }) => [castReference(x, dtype)],
  },
  contiguous: {
    draws: drawn({}, (shape, random) => ({ inputs: [arrayOf(shape, random, anything)], attributes: {} })),
    dense: drawn({}, (shape, random) => {
      const dtype = pick<DType>(random, ['i32', 'u32', 'bool']);
      return { inputs: [arrayOf(shape, random, few, dtype)], attributes: {} };
    }),
    reference: ([x]) => [x],
  },
};
