import type { DType, OpName } from '../../src/index.ts';
import { at, broadcast, build, type Expected, isWhole, type NDArray, store } from './array.ts';
import { erf, gelu, geluDerivative, roundHalfEven } from './functions.ts';

/** How inputs are read and what comes out; written down here again, not taken from the implementation. */
export type Rule = 'float' | 'arithmetic' | 'integer' | 'compare' | 'logic' | 'test';

type Function = (x: number, y: number, z: number) => number;

/** Products of large integers are not exact in f64. */
const product = (x: number, y: number, dtype: DType) => (isWhole(dtype) ? Math.imul(x, y) : x * y);

/** With the sign of the divisor. */
function flooredRemainder(x: number, y: number): number {
  const rest = x % y;
  return rest !== 0 && rest < 0 !== y < 0 ? rest + y : rest;
}

/** The quotient in f64 of 24-bit numbers is below a whole number where the exact one is; the remainder decides beside it. */
function flooredQuotient(x: number, y: number): number {
  if (y === 0) return x / y;
  if (!Number.isFinite(x) || Number.isNaN(y)) return Number.NaN;
  if (!Number.isFinite(y)) return x !== 0 && x < 0 !== y < 0 ? -1 : 0;
  return Math.round((x - flooredRemainder(x, y)) / y);
}

/** Of whole numbers nothing is left by zero. */
/** Modulo 2^32; of negative exponents the fraction, cut. */
function wholePower(x: number, y: number): number {
  if (y < 0) return Math.trunc(x ** y) * Number(x !== 0) || 0;
  let result = 1n;
  for (let i = 0; i < y % 2 ** 20; i++) result = BigInt.asIntN(32, result * BigInt(x));
  return Number(result);
}

const unlessByZero = (compute: Function, x: number, y: number, dtype: DType) =>
  isWhole(dtype) && y === 0 ? 0 : compute(x, y, 0);

export const elementwise = {
  neg: ['arithmetic', (x) => -x],
  abs: ['arithmetic', Math.abs],
  square: ['arithmetic', (x) => x * x],
  exp: ['float', Math.exp],
  exp2: ['float', (x) => 2 ** x],
  expm1: ['float', Math.expm1],
  log: ['float', Math.log],
  log2: ['float', Math.log2],
  log10: ['float', Math.log10],
  log1p: ['float', Math.log1p],
  sqrt: ['float', Math.sqrt],
  rsqrt: ['float', (x) => 1 / Math.sqrt(x)],
  reciprocal: ['float', (x) => 1 / x],
  sin: ['float', Math.sin],
  cos: ['float', Math.cos],
  tan: ['float', Math.tan],
  asin: ['float', Math.asin],
  acos: ['float', Math.acos],
  atan: ['float', Math.atan],
  sinh: ['float', Math.sinh],
  cosh: ['float', Math.cosh],
  asinh: ['float', Math.asinh],
  acosh: ['float', Math.acosh],
  atanh: ['float', Math.atanh],
  tanh: ['float', Math.tanh],
  sigmoid: ['float', (x) => 1 / (1 + Math.exp(-x))],
  relu: ['float', (x) => Math.max(x, 0)],
  elu: ['float', (x) => (x > 0 ? x : Math.expm1(x))],
  gelu: ['float', gelu],
  silu: ['float', (x) => x / (1 + Math.exp(-x))],
  softplus: ['float', (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))],
  leakyRelu: ['float', (x, y) => (x < 0 ? x * y : x)],
  erf: ['float', erf],
  add: ['arithmetic', (x, y) => x + y],
  sub: ['arithmetic', (x, y) => x - y],
  mul: ['arithmetic', (x, y) => x * y],
  div: ['float', (x, y) => x / y],
  pow: ['arithmetic', (x, y) => x ** y],
  atan2: ['float', Math.atan2],
  floorDivide: ['arithmetic', flooredQuotient],
  remainder: ['arithmetic', flooredRemainder],
  maximum: ['arithmetic', (x, y) => Math.max(x, y)],
  minimum: ['arithmetic', (x, y) => Math.min(x, y)],
  clamp: ['arithmetic', (x, y, z) => Math.min(Math.max(x, y), z)],
  bitwiseAnd: ['integer', (x, y) => x & y],
  bitwiseOr: ['integer', (x, y) => x | y],
  bitwiseXor: ['integer', (x, y) => x ^ y],
  bitwiseNot: ['integer', (x) => ~x],
  bitwiseLeftShift: ['integer', (x, y) => (y >= 0 && y < 32 ? x << y : 0)],
  bitwiseRightShift: ['integer', (x, y) => Math.floor(x / 2 ** (y >= 0 && y < 32 ? y : x < 0 ? 31 : 32))],
  sign: ['arithmetic', Math.sign],
  floor: ['arithmetic', Math.floor],
  ceil: ['arithmetic', Math.ceil],
  round: ['arithmetic', roundHalfEven],
  trunc: ['arithmetic', Math.trunc],
  isinf: ['test', (x) => Number(Math.abs(x) === Number.POSITIVE_INFINITY)],
  isnan: ['test', (x) => Number(Number.isNaN(x))],
  isfinite: ['test', (x) => Number(Number.isFinite(x))],
  logicalNot: ['logic', (x) => Number(!x)],
  eq: ['compare', (x, y) => Number(x === y)],
  ne: ['compare', (x, y) => Number(x !== y)],
  lt: ['compare', (x, y) => Number(x < y)],
  le: ['compare', (x, y) => Number(x <= y)],
  gt: ['compare', (x, y) => Number(x > y)],
  ge: ['compare', (x, y) => Number(x >= y)],
  logicalAnd: ['logic', (x, y) => Number(x && y)],
  logicalOr: ['logic', (x, y) => Number(x || y)],
  logicalXor: ['logic', (x, y) => Number(x !== y)],
  geluBackward: ['float', (x, y) => y * geluDerivative(x)],
  eluBackward: ['float', (x, y) => y * (x > 0 ? 1 : Math.exp(x))],
} as const satisfies Partial<Record<OpName, readonly [Rule, Function]>>;

export type ElementwiseName = keyof typeof elementwise;

const order: DType[] = ['bool', 'u32', 'i32', 'f16', 'f32'];
export const promoted = (dtypes: readonly DType[]): DType =>
  order[Math.max(...dtypes.map((dtype) => order.indexOf(dtype)))];

export function elementwiseReference(name: ElementwiseName, inputs: readonly NDArray[]): Expected {
  const [rule, compute] = elementwise[name] as readonly [Rule, Function];
  const common = promoted(inputs.map((input) => input.dtype));
  // Halves are computed with in f32; only the result is one.
  const half = common === 'f16';
  let working: DType = rule === 'float' || rule === 'test' || half ? 'f32' : common;
  if (rule === 'logic') working = 'bool';
  if (working === 'bool' && (rule === 'arithmetic' || name.endsWith('Shift'))) working = 'i32';
  const sameAsInputs = rule === 'float' || rule === 'arithmetic' || rule === 'integer';
  const result: DType = sameAsInputs ? (half ? 'f16' : working) : 'bool';
  const shape = broadcast(...inputs.map((input) => input.shape));
  return build(shape, result, (index) => {
    const [x, y, z] = inputs.map((input) => store(at(input, index), working));
    if (isWhole(working) && (name === 'mul' || name === 'square')) {
      return store(product(x, name === 'mul' ? y : x, working), result);
    }
    if (isWhole(working) && name === 'pow') return store(wholePower(x, y), result);
    if (working === 'bool' && name === 'bitwiseNot') return 1 - x;
    const divides = name === 'floorDivide' || name === 'remainder';
    const value = divides ? unlessByZero(compute, x, y, working) : compute(x, y, z);
    return isWhole(result) ? store(value, result) : value;
  });
}

export function where(condition: NDArray, x: NDArray, y: NDArray): Expected {
  const dtype = promoted([x.dtype, y.dtype]);
  const shape = broadcast(condition.shape, x.shape, y.shape);
  return build(shape, dtype, (index) => store(at(condition, index) ? at(x, index) : at(y, index), dtype));
}

/** Floats are cut towards zero and clamped to the nearest number that both types hold, as WGSL converts. */
export function cast(x: NDArray, dtype: DType): Expected {
  const convert = (value: number): number => {
    if (isWhole(x.dtype) || !isWhole(dtype) || dtype === 'bool') return store(value, dtype);
    const [low, high] = dtype === 'i32' ? [-(2 ** 31), 2 ** 31 - 128] : [0, 2 ** 32 - 256];
    return Math.min(high, Math.max(low, Math.trunc(value)));
  };
  return build(x.shape, dtype, (_, flat) => convert(x.data[flat]));
}
