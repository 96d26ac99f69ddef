import { apply } from '../apply.ts';
import { checkDtype, type DType, isFloat } from '../dtype.ts';
import { checkAlive, checkNumber, checkOptions, type Operand, operands } from '../ops/arguments.ts';
import type { differentiableElementwise, otherElementwise } from '../ops/elementwise.ts';
import { formatShape, valueText } from '../shape.ts';
import type { BroadcastableTo, BroadcastShape, ShapeOf } from '../shape-types.ts';
import { Tensor } from '../tensor.ts';

type Name = Exclude<keyof typeof differentiableElementwise | keyof typeof otherElementwise, 'cast' | 'where'>;

const unary =
  (name: Name) =>
  <T extends Tensor>(x: T): Tensor<ShapeOf<T>> =>
    apply(name, [x], {})[0];
const binary =
  (name: Name) =>
  <A extends Operand, B extends Operand>(a: A, b: BroadcastableTo<A, B>): Tensor<BroadcastShape<A, B>> =>
    apply(name, operands(name, a, b as Operand), {})[0];

// Elementwise, with NumPy's broadcasting; docs/ops.md has the dtypes. NaN goes in and out.
/** a + b. Of booleans: i32. */
export const add = binary('add');
/** a - b. Of booleans: i32. */
export const sub = binary('sub');
/** a b. Of booleans: i32. */
export const mul = binary('mul');
/** Always in f32. */
export const div = binary('div');
/**
 * a to the power of b: of floats in f32, where a negative base takes whole exponents only and others give NaN. Of whole
 * numbers in the promoted dtype, exact and wrapping, as in NumPy; a tensor's negative exponents give 0, but for bases of 1
 * and -1.
 *
 * @throws RangeError for whole numbers to the power of a negative whole number: cast them to f32 first.
 */
export function pow<A extends Operand, B extends Operand>(
  a: A,
  b: BroadcastableTo<A, B>,
): Tensor<BroadcastShape<A, B>> {
  const [base, exponent]: [Operand, Operand] = [a, b as Operand];
  if (typeof base === 'object' && !isFloat(base.dtype) && Number.isInteger(exponent) && (exponent as number) < 0) {
    throw new RangeError(
      `pow: ${base.dtype}${formatShape(base.shape)} to the power of ${exponent} are no whole numbers; use .cast('f32')`,
    );
  }
  return apply('pow', operands('pow', base, exponent), {})[0];
}
/**
 * floor(a / b), in the promoted dtype, as Python's `//`: floats too are exact, so that 1 // 0.1 is 9. Whole numbers divided
 * by zero are 0, as in NumPy. No gradient.
 */
export const floorDivide = binary('floorDivide');
/**
 * a - b floor(a / b), with the sign of b, as Python's `%` and `torch.remainder`; in the promoted dtype, and exact before the
 * one addition that may round. Whole numbers by zero are 0, as in NumPy; floats by zero are NaN.
 */
export const remainder = binary('remainder');
/** The larger of two; NaN where either is NaN. */
export const maximum = binary('maximum');
/** The smaller of two; NaN where either is NaN. */
export const minimum = binary('minimum');
/** The angle of the point (b, a), in (-pi, pi]. */
export const atan2 = binary('atan2');
/** a = b, as bool; false where either is NaN. */
export const eq = binary('eq');
/** a ≠ b, as bool; true where either is NaN. */
export const ne = binary('ne');
/** a < b, as bool; false where either is NaN. */
export const lt = binary('lt');
/** a ≤ b, as bool; false where either is NaN. */
export const le = binary('le');
/** a > b, as bool; false where either is NaN. */
export const gt = binary('gt');
/** a ≥ b, as bool; false where either is NaN. */
export const ge = binary('ge');
/** Everything but 0 is true, NaN too. */
export const logicalAnd = binary('logicalAnd');
/** Everything but 0 is true, NaN too. */
export const logicalOr = binary('logicalOr');
/** Everything but 0 is true, NaN too. */
export const logicalXor = binary('logicalXor');
/** Of whole numbers, bit by bit, or of booleans. @throws TypeError for floats. */
export const bitwiseAnd = binary('bitwiseAnd');
/** Of whole numbers, bit by bit, or of booleans. @throws TypeError for floats. */
export const bitwiseOr = binary('bitwiseOr');
/** Of whole numbers, bit by bit, or of booleans. @throws TypeError for floats. */
export const bitwiseXor = binary('bitwiseXor');
/** a times 2^b, cut to 32 bits; 0 where b is not in 0..31. @throws TypeError for floats. */
export const bitwiseLeftShift = binary('bitwiseLeftShift');
/** floor(a / 2^b); b counts as 31 where it is not in 0..31. @throws TypeError for floats. */
export const bitwiseRightShift = binary('bitwiseRightShift');
/** Of whole numbers, bit by bit, or of booleans. @throws TypeError for floats. */
export const bitwiseNot = unary('bitwiseNot');
/** -x. Of booleans: i32. */
export const neg = unary('neg');
/** |x|. */
export const abs = unary('abs');
/** x². The sum of squares in one pass is `sumSquares`. */
export const square = unary('square');
/** e to the power of x. */
export const exp = unary('exp');
/** 2 to the power of x. */
export const exp2 = unary('exp2');
/** exp(x) - 1, without cancellation near 0. */
export const expm1 = unary('expm1');
/** The natural logarithm; NaN below 0. */
export const log = unary('log');
/** The logarithm to base 2; NaN below 0. */
export const log2 = unary('log2');
/** The logarithm to base 10; NaN below 0. */
export const log10 = unary('log10');
/** log(1 + x), without cancellation near 0. */
export const log1p = unary('log1p');
/** √x; NaN below 0. */
export const sqrt = unary('sqrt');
/** 1 / √x; NaN below 0. */
export const rsqrt = unary('rsqrt');
/** 1 / x. */
export const reciprocal = unary('reciprocal');
/** Of x in radians. */
export const sin = unary('sin');
/** Of x in radians. */
export const cos = unary('cos');
/** Of x in radians. */
export const tan = unary('tan');
/** In radians, in [-π/2, π/2]; NaN outside [-1, 1]. */
export const asin = unary('asin');
/** In radians, in [0, π]; NaN outside [-1, 1]. */
export const acos = unary('acos');
/** In radians, in [-π/2, π/2]. */
export const atan = unary('atan');
/** The hyperbolic sine. */
export const sinh = unary('sinh');
/** The hyperbolic cosine. */
export const cosh = unary('cosh');
/** The hyperbolic tangent. */
export const tanh = unary('tanh');
/** The inverse of `sinh`. */
export const asinh = unary('asinh');
/** The inverse of `cosh`, from 0 up; NaN below 1. */
export const acosh = unary('acosh');
/** The inverse of `tanh`; NaN outside [-1, 1]. */
export const atanh = unary('atanh');
/** 1 / (1 + exp(-x)). */
export const sigmoid = unary('sigmoid');
/** x above 0, else 0; NaN of NaN. */
export const relu = unary('relu');
/** x above 0, `alpha` (exp(x) - 1) below; alpha is 1 by default. */
export function elu<T extends Tensor>(x: T, options: { alpha?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('elu', options, ['alpha']);
  const { alpha = 1 } = options;
  checkNumber('elu', 'alpha', alpha);
  if (alpha === 1) return apply('elu', [x], {})[0];
  const below = mul(apply('elu', [clamp(x, { max: 0 })], {})[0], alpha);
  return where(gt(x as Tensor, 0), x, below);
}

/** How `gelu` is computed: exactly, or by PyTorch's approximation of it. */
export type GeluApproximation = 'none' | 'tanh';

/** x Phi(x); with `approximate: 'tanh'` x / 2 (1 + tanh(√(2/π) (x + 0.044715 x³))), at most 5e-4 off. */
export function gelu<T extends Tensor>(x: T, options: { approximate?: GeluApproximation } = {}): Tensor<ShapeOf<T>> {
  checkOptions('gelu', options, ['approximate']);
  const { approximate = 'none' } = options;
  if (approximate === 'none') return apply('gelu', [x], {})[0];
  if (approximate !== 'tanh') {
    throw new RangeError(`gelu: approximate is ${JSON.stringify(approximate)}; expected 'none' or 'tanh'`);
  }
  const wide: Tensor = x.dtype === 'f16' ? cast(x as Tensor, 'f32') : x;
  // Beyond these bounds nothing changes but that cubes overflow. (1 + tanh(u)) / 2 is the sigmoid of 2 u.
  const inner: Tensor = clamp(wide, { min: -30, max: 30 });
  const cubic = add(inner, mul(mul(square(inner), inner), 0.044715));
  const result = mul(wide, sigmoid(mul(cubic, 2 * Math.sqrt(2 / Math.PI))));
  return x.dtype === 'f16' ? cast(result, 'f16') : result;
}
/** x sigmoid(x), also called swish. */
export const silu = unary('silu');
/** The error function, 2 / √π times the integral of exp(-t²) from 0 to x. */
export const erf = unary('erf');
/** -1, 0 or 1; NaN of NaN, as in NumPy. */
export const sign = unary('sign');
/** To the nearest whole number that is not above x; whole numbers keep their dtype here and below. */
export const floor = unary('floor');
/** To the nearest whole number that is not below x. */
export const ceil = unary('ceil');
/** To the nearest whole number, halves to the even one. For decimals, scale: `x.mul(100).round().div(100)`. */
export function round<T extends Tensor>(x: T, options?: undefined): Tensor<ShapeOf<T>> {
  checkOptions('round', options, []);
  return apply('round', [x], {})[0];
}
/** To the nearest whole number towards 0. */
export const trunc = unary('trunc');
/** As bool. */
export const isnan = unary('isnan');
/** True of both infinities, as bool. */
export const isinf = unary('isinf');
/** Neither NaN nor an infinity, as bool. */
export const isfinite = unary('isfinite');
/** True of 0, as bool. */
export const logicalNot = unary('logicalNot');

/** log(1 + exp(beta x)) / beta. */
export function softplus<T extends Tensor>(x: T, options: { beta?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('softplus', options, ['beta']);
  const { beta = 1 } = options;
  checkNumber(
    'softplus',
    'beta',
    beta,
    'a finite number other than 0',
    (value) => Number.isFinite(value) && value !== 0,
  );
  if (beta === 1) return apply('softplus', [x], {})[0];
  // beta x may be more than a half holds.
  const wide: Tensor = x.dtype === 'f16' ? cast(x as Tensor, 'f32') : x;
  const result = div(apply('softplus', [mul(wide, beta)], {})[0], beta);
  return x.dtype === 'f16' ? cast(result, 'f16') : result;
}

/** x from 0 up, x times `slope` below. */
export function leakyRelu(x: Tensor, options: { slope?: Operand } = {}): Tensor {
  checkOptions('leakyRelu', options, ['slope']);
  const { slope = 0.01 } = options;
  return apply('leakyRelu', operands('leakyRelu', x, slope), {})[0];
}

function checkBound(name: string, bound: Operand | undefined): void {
  if (bound === undefined || typeof bound === 'number' || bound instanceof Tensor) return;
  throw new TypeError(`clamp: ${name} is ${valueText(bound)}; expected a number or a tensor, or leave it out`);
}

/** x, or `max` where it is above and `min` where it is below; a bound left out bounds nothing. The bounds broadcast. */
export function clamp(x: Tensor, options: { min?: Operand; max?: Operand }): Tensor {
  checkOptions('clamp', options, ['min', 'max']);
  const { min, max } = options ?? {};
  if (min === undefined && max === undefined) throw new TypeError('clamp: give min, max or both');
  checkBound('min', min);
  checkBound('max', max);
  const whole = [x, min, max].every((value) => {
    if (value === undefined) return true;
    return typeof value === 'number' ? Number.isInteger(value) : !isFloat(value.dtype);
  });
  const dtypes = [x, min, max].flatMap((value) => (typeof value === 'object' ? [value.dtype] : []));
  const unsigned = dtypes.includes('u32') && !dtypes.includes('i32');
  const lowest = unsigned ? 0 : -(2 ** 31);
  const highest = unsigned ? 2 ** 32 - 1 : 2 ** 31 - 1;
  const low = min ?? (whole ? lowest : Number.NEGATIVE_INFINITY);
  const high = max ?? (whole ? highest : Number.POSITIVE_INFINITY);
  return apply('clamp', operands('clamp', x, low, high), {})[0];
}

/** x between -1 and 1, or other bounds. Its slope is 0 on the bounds, as in PyTorch, where that of `clamp` is 1. */
export function hardtanh<T extends Tensor>(x: T, options: { min?: number; max?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('hardtanh', options, ['min', 'max']);
  const { min = -1, max = 1 } = options;
  checkNumber('hardtanh', 'min', min, 'a number', () => true);
  checkNumber('hardtanh', 'max', max, 'a number', () => true);
  checkAlive('hardtanh', x);
  // Where the bounds cross, the upper one wins, as in `clamp`.
  const low = Math.min(min, max);
  const raised = where(le(x as Tensor, low), low, x);
  return where(ge(x as Tensor, max), max, raised);
}

/** x where the condition (bool) holds, y elsewhere; all three broadcast. */
export function where(condition: Tensor, x: Operand, y: Operand): Tensor {
  return apply('where', [condition, ...operands('where', x, y, condition).slice(0, 2)], {})[0];
}

const largest = { f32: 3.4028234663852886e38, f16: 65504 };

/** x with NaN and infinities replaced, by default by 0 and by the largest and smallest numbers of its dtype. */
export function nanToNum(x: Tensor, options: { nan?: number; posinf?: number; neginf?: number } = {}): Tensor {
  checkAlive('nanToNum', x);
  checkOptions('nanToNum', options, ['nan', 'posinf', 'neginf']);
  if (!isFloat(x.dtype)) return x;
  const { nan = 0, posinf = largest[x.dtype], neginf = -largest[x.dtype] } = options;
  const finite = where(eq(x, Number.POSITIVE_INFINITY), posinf, where(eq(x, Number.NEGATIVE_INFINITY), neginf, x));
  return where(isnan(x), nan, finite);
}

/** Another dtype; floats are cut towards zero, and everything but 0 is true. */
export function cast<T extends Tensor>(x: T, dtype: DType): Tensor<ShapeOf<T>> {
  checkAlive('cast', x);
  checkDtype('cast', dtype);
  return x.dtype === dtype ? x : apply('cast', [x], { dtype })[0];
}
