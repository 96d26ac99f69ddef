import type { DType, OpName } from '../../src/index.ts';
import { at, broadcast, build, type Expected, isWhole, type NDArray, store } from './array.ts';
import { erf, gelu, geluDerivative, roundHalfEven } from './functions.ts';

/** How inputs are read and what comes out; written down here again, not taken from the implementation. */
export type Rule = 'float' | 'arithmetic' | 'compare' | 'logic' | 'test';

type Function = (x: number, y: number) => number;

/** Products of large integers are not exact in f64. */
const product = (x: number, y: number, dtype: DType) => (isWhole(dtype) ? Math.imul(x, y) : x * y);

export const elementwise = {
  neg: ['arithmetic', (x) => -x],
  abs: ['arithmetic', Math.abs],
  square: ['arithmetic', (x) => x * x],
  exp: ['float', Math.exp],
  log: ['float', Math.log],
  sqrt: ['float', Math.sqrt],
  rsqrt: ['float', (x) => 1 / Math.sqrt(x)],
  reciprocal: ['float', (x) => 1 / x],
  sin: ['float', Math.sin],
  cos: ['float', Math.cos],
  tanh: ['float', Math.tanh],
  sigmoid: ['float', (x) => 1 / (1 + Math.exp(-x))],
  relu: ['float', (x) => Math.max(x, 0)],
  elu: ['float', (x) => (x > 0 ? x : Math.expm1(x))],
  gelu: ['float', gelu],
  erf: ['float', erf],
  add: ['arithmetic', (x, y) => x + y],
  sub: ['arithmetic', (x, y) => x - y],
  mul: ['arithmetic', (x, y) => x * y],
  div: ['float', (x, y) => x / y],
  pow: ['float', (x, y) => x ** y],
  maximum: ['arithmetic', Math.max],
  minimum: ['arithmetic', Math.min],
  sign: ['arithmetic', Math.sign],
  floor: ['float', Math.floor],
  ceil: ['float', Math.ceil],
  round: ['float', roundHalfEven],
  isNan: ['test', (x) => Number(Number.isNaN(x))],
  isFinite: ['test', (x) => Number(Number.isFinite(x))],
  logicalNot: ['logic', (x) => Number(!x)],
  eq: ['compare', (x, y) => Number(x === y)],
  ne: ['compare', (x, y) => Number(x !== y)],
  lt: ['compare', (x, y) => Number(x < y)],
  le: ['compare', (x, y) => Number(x <= y)],
  gt: ['compare', (x, y) => Number(x > y)],
  ge: ['compare', (x, y) => Number(x >= y)],
  logicalAnd: ['logic', (x, y) => Number(x && y)],
  logicalOr: ['logic', (x, y) => Number(x || y)],
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
  if (rule === 'arithmetic' && working === 'bool') working = 'i32';
  const result: DType = rule === 'float' || rule === 'arithmetic' ? (half ? 'f16' : working) : 'bool';
  const shape = broadcast(...inputs.map((input) => input.shape));
  return build(shape, result, (index) => {
    const [x, y] = inputs.map((input) => store(at(input, index), working));
    if (isWhole(working) && (name === 'mul' || name === 'square')) {
      return store(product(x, name === 'mul' ? y : x, working), result);
    }
    const value = compute(x, y);
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
