import { type DType, isFloat, promote } from '@dawnchorus/tensor';
import type { Lowering, OnnxBuilder, OnnxTensor, OnnxValue } from '../builder.ts';
import type { OnnxDType } from '../model.ts';

type Unattributed = Lowering<Record<never, never>>;
type Compute = (onnx: OnnxBuilder, ...inputs: OnnxValue[]) => OnnxValue;

/** The dtype to compute in: halves in f32 as the engine does, and u32 in i64, since runtimes know little of it. */
export function working(dtype: OnnxDType): OnnxDType {
  if (dtype === 'f16') return 'f32';
  return dtype === 'u32' ? 'i64' : dtype;
}

/** By way of the dtype itself, so that whole numbers wrap as they do in it. */
function toWorking(onnx: OnnxBuilder, x: OnnxValue, dtype: OnnxDType): OnnxValue {
  return onnx.cast(isFloat(dtype as DType) ? x : onnx.cast(x, dtype), working(dtype));
}

const meet = (inputs: readonly OnnxTensor[]) => inputs.map(({ dtype }) => dtype as DType).reduce(promote);

/** Inputs and result are f32. */
const float =
  (compute: Compute): Unattributed =>
  (onnx, inputs) => [compute(onnx, ...inputs.map((x) => onnx.cast(x, 'f32')))];

/** Inputs become the dtype of the output. */
const arithmetic =
  (compute: Compute): Unattributed =>
  (onnx, inputs, _, [out]) => [compute(onnx, ...inputs.map((x) => toWorking(onnx, x, out.dtype)))];

/** Inputs become the dtype that they meet in; the result is bool. */
const compare =
  (compute: Compute): Unattributed =>
  (onnx, inputs) => {
    const common = meet(inputs);
    return [compute(onnx, ...inputs.map((x) => toWorking(onnx, x, common === 'bool' ? 'i32' : common)))];
  };

/** Inputs and result are bool. */
const logic =
  (compute: Compute): Unattributed =>
  (onnx, inputs) => [compute(onnx, ...inputs.map((x) => onnx.cast(x, 'bool')))];

/** One node of a type. */
const node =
  (type: string, dtype?: OnnxDType): Compute =>
  (onnx, ...inputs) =>
    onnx.node(type, inputs, dtype ? { dtype } : {});

const not = (onnx: OnnxBuilder, x: OnnxValue) => onnx.node('Not', [x]);
const less = (onnx: OnnxBuilder, x: OnnxValue, y: number) =>
  onnx.node('Less', [x, onnx.scalar(y, x.dtype)], { dtype: 'bool' });
const equal = (onnx: OnnxBuilder, x: OnnxValue, y: number) =>
  onnx.node('Equal', [x, onnx.scalar(y, x.dtype)], { dtype: 'bool' });
const times = (onnx: OnnxBuilder, x: OnnxValue, y: number) => onnx.node('Mul', [x, onnx.scalar(y, x.dtype)]);
const plus = (onnx: OnnxBuilder, x: OnnxValue, y: number) => onnx.node('Add', [x, onnx.scalar(y, x.dtype)]);

const scaledLog =
  (factor: number): Compute =>
  (onnx, x) =>
    times(onnx, onnx.node('Log', [x]), factor);

export const gelu: Compute = (onnx, x) => {
  if (onnx.opset >= 20) return onnx.node('Gelu', [x]);
  const erf = onnx.node('Erf', [times(onnx, x, Math.SQRT1_2)]);
  return onnx.node('Mul', [times(onnx, x, 0.5), plus(onnx, erf, 1)]);
};

/** exp(x) - 1 = tanh(x / 2) (exp(x) + 1), which keeps the digits beside zero. */
const expm1: Compute = (onnx, x) =>
  onnx.node('Mul', [onnx.node('Tanh', [times(onnx, x, 0.5)]), plus(onnx, onnx.node('Exp', [x]), 1)]);

/** log(1 + x), beside zero as 2 atanh(x / (x + 2)), which keeps the digits. */
const log1p: Compute = (onnx, x) => {
  const ratio = onnx.node('Div', [x, plus(onnx, x, 2)]);
  const small = times(onnx, onnx.node('Atanh', [ratio]), 2);
  const large = onnx.node('Log', [plus(onnx, x, 1)]);
  return onnx.where(less(onnx, onnx.node('Abs', [x]), 0.5), small, large);
};

/** Below zero, or a negative zero. */
const isNegative: Compute = (onnx, x) =>
  onnx.node('Or', [less(onnx, x, 0), less(onnx, onnx.node('Reciprocal', [x]), 0)], { dtype: 'bool' });

/** The angle of the first quadrant, then mirrored. Infinities become finite, so that two of them have a quotient. */
const atan2: Compute = (onnx, y, x) => {
  const largest = onnx.scalar(3.4e38, 'f32');
  const [height, width] = [y, x].map((side) => onnx.node('Min', [onnx.node('Abs', [side]), largest]));
  const ratio = onnx.node('Div', [height, width]);
  const zero = onnx.scalar(0, 'f32');
  const first = onnx.node('Atan', [onnx.where(equal(onnx, height, 0), zero, ratio)]);
  const left = onnx.node('Sub', [onnx.scalar(Math.PI, 'f32'), first]);
  const upper = onnx.where(isNegative(onnx, x), left, first);
  return onnx.where(isNegative(onnx, y), onnx.node('Neg', [upper]), upper);
};

/** The remainder of a division that rounds down; of whole numbers Mod is that already, but must not see a zero. */
const remainder: Compute = (onnx, x, y) => {
  if (x.dtype === 'f32') {
    const rest = onnx.node('Mod', [x, y], { fmod: 1 });
    const across = onnx.node('Xor', [less(onnx, rest, 0), less(onnx, y, 0)], { dtype: 'bool' });
    const other = onnx.node('And', [across, not(onnx, equal(onnx, rest, 0))], { dtype: 'bool' });
    return onnx.where(other, onnx.node('Add', [rest, y]), rest);
  }
  const byZero = equal(onnx, y, 0);
  const rest = onnx.node('Mod', [x, onnx.where(byZero, onnx.scalar(1, y.dtype), y)]);
  return onnx.where(byZero, onnx.scalar(0, y.dtype), rest);
};

/** (x - remainder) / y; whole numbers in i64, where no quotient overflows. */
const floorDivide: Compute = (onnx, x, y) => {
  if (x.dtype === 'f32') {
    const rest = remainder(onnx, x, y);
    const quotient = onnx.node('Round', [onnx.node('Div', [onnx.node('Sub', [x, rest]), y])]);
    // By zero there is no remainder, but a quotient.
    return onnx.where(equal(onnx, y, 0), onnx.node('Div', [x, y]), quotient);
  }
  const [wide, by] = [x, y].map((side) => onnx.cast(side, 'i64'));
  const byZero = equal(onnx, by, 0);
  const divisor = onnx.where(byZero, onnx.scalar(1, 'i64'), by);
  const whole = onnx.node('Sub', [wide, onnx.node('Mod', [wide, divisor])]);
  return onnx.where(byZero, onnx.scalar(0, 'i64'), onnx.node('Div', [whole, divisor]));
};

const trunc: Compute = (onnx, x) => onnx.where(less(onnx, x, 0), onnx.node('Ceil', [x]), onnx.node('Floor', [x]));

const isfinite: Compute = (onnx, x) =>
  not(onnx, onnx.node('Or', [onnx.node('IsNaN', [x], { dtype: 'bool' }), onnx.node('IsInf', [x], { dtype: 'bool' })]));

/** ONNX has bits of booleans in every opset, of whole numbers from 18 on. */
const bitwise =
  (type: string, ofBooleans: string): Unattributed =>
  (onnx, inputs, _, [out]) => {
    const operands = inputs.map((x) => onnx.cast(x, out.dtype));
    if (out.dtype === 'bool') return [onnx.node(ofBooleans, operands)];
    if (onnx.opset < 18) onnx.refuse(`opset ${onnx.opset} has no ${type}; export with { opset: 18 }`);
    return [onnx.node(type, operands)];
  };

/** Shifts of unsigned numbers are all that ONNX has, by less than their width. */
const shift =
  (direction: 'LEFT' | 'RIGHT'): Unattributed =>
  (onnx, inputs, _, [out]) => {
    const [x, by] = inputs.map((side) => onnx.cast(side, out.dtype));
    const places = onnx.cast(onnx.cast(by, 'u32'), 'i64');
    const beyond = onnx.node('Greater', [places, onnx.scalar(31, 'i64')], { dtype: 'bool' });
    const within = onnx.cast(onnx.where(beyond, onnx.scalar(31, 'i64'), places), 'u64');
    // Right shifts of negative numbers: of the number plus 2^31, less 2^31 shifted, which leaves no remainder.
    const signed = direction === 'RIGHT' && out.dtype === 'i32';
    const wide = onnx.cast(signed ? x : onnx.cast(x, 'u32'), 'i64');
    const from = signed ? plus(onnx, wide, 2 ** 31) : wide;
    const shifted = (value: OnnxValue) =>
      onnx.cast(onnx.node('BitShift', [onnx.cast(value, 'u64'), within], { direction }), 'i64');
    if (signed) return [onnx.node('Sub', [shifted(from), shifted(onnx.scalar(2 ** 31, 'i64'))])];
    return [onnx.where(beyond, onnx.scalar(0, 'i64'), shifted(from))];
  };

const select: Unattributed = (onnx, [condition, x, y], _, [out]) => [
  onnx.where(condition, toWorking(onnx, x, out.dtype), toWorking(onnx, y, out.dtype)),
];

/** The numbers nearest to the ends of the range that both types hold, at which casts of floats stop. */
const ends = { i32: [-(2 ** 31), 2 ** 31 - 128], u32: [0, 2 ** 32 - 256] } as const;

const cast: Lowering<{ dtype: DType }> = (onnx, [x], { dtype }) => {
  if (!isFloat(x.dtype as DType) || (dtype !== 'i32' && dtype !== 'u32')) return [onnx.cast(x, dtype)];
  const [low, high] = ends[dtype].map((end) => onnx.scalar(end, 'f32'));
  const held = onnx.node('Clip', [onnx.cast(x, 'f32'), low, high]);
  return [onnx.cast(held, dtype === 'u32' ? 'i64' : dtype)];
};

const square: Compute = (onnx, x) => onnx.node('Mul', [x, x]);

/** Whole numbers are what they are rounded to. */
const unlessWhole =
  (compute: Compute): Compute =>
  (onnx, x) =>
    x.dtype === 'f32' ? compute(onnx, x) : x;

/** Of whole numbers as far as an f64 holds the result, which is what runtimes compute with: beyond it they do not wrap. */
const power: Compute = (onnx, x, y) => {
  if (x.dtype === 'f32') return onnx.node('Pow', [x, y]);
  const infinite = onnx.node('And', [equal(onnx, x, 0), less(onnx, y, 0)], { dtype: 'bool' });
  return onnx.node('Pow', [x, onnx.where(infinite, onnx.scalar(1, y.dtype), y)]);
};

export const elementwiseLowerings = {
  neg: arithmetic(node('Neg')),
  abs: arithmetic(node('Abs')),
  square: arithmetic(square),
  exp: float(node('Exp')),
  exp2: float((onnx, x) => onnx.node('Pow', [onnx.scalar(2, 'f32'), x])),
  expm1: float(expm1),
  log: float(node('Log')),
  log2: float(scaledLog(Math.LOG2E)),
  log10: float(scaledLog(Math.LOG10E)),
  log1p: float(log1p),
  sqrt: float(node('Sqrt')),
  rsqrt: float((onnx, x) => onnx.node('Reciprocal', [onnx.node('Sqrt', [x])])),
  reciprocal: float(node('Reciprocal')),
  sin: float(node('Sin')),
  cos: float(node('Cos')),
  tan: float(node('Tan')),
  asin: float(node('Asin')),
  acos: float(node('Acos')),
  atan: float(node('Atan')),
  sinh: float(node('Sinh')),
  cosh: float(node('Cosh')),
  asinh: float(node('Asinh')),
  acosh: float(node('Acosh')),
  atanh: float(node('Atanh')),
  tanh: float(node('Tanh')),
  sigmoid: float(node('Sigmoid')),
  relu: float(node('Relu')),
  elu: float(node('Elu')),
  gelu: float(gelu),
  silu: float((onnx, x) => onnx.node('Mul', [x, onnx.node('Sigmoid', [x])])),
  softplus: float(node('Softplus')),
  erf: float(node('Erf')),
  add: arithmetic(node('Add')),
  sub: arithmetic(node('Sub')),
  mul: arithmetic(node('Mul')),
  div: float(node('Div')),
  pow: arithmetic(power),
  remainder: arithmetic(remainder),
  floorDivide: arithmetic(floorDivide),
  atan2: float(atan2),
  maximum: arithmetic(node('Max')),
  minimum: arithmetic(node('Min')),
  leakyRelu: float((onnx, x, slope) => onnx.where(less(onnx, x, 0), onnx.node('Mul', [x, slope]), x)),
  clamp: arithmetic((onnx, x, low, high) => onnx.node('Min', [onnx.node('Max', [x, low]), high])),
  sign: arithmetic(node('Sign')),
  floor: arithmetic(unlessWhole(node('Floor'))),
  ceil: arithmetic(unlessWhole(node('Ceil'))),
  round: arithmetic(unlessWhole(node('Round'))),
  trunc: arithmetic(unlessWhole(trunc)),
  bitwiseAnd: bitwise('BitwiseAnd', 'And'),
  bitwiseOr: bitwise('BitwiseOr', 'Or'),
  bitwiseXor: bitwise('BitwiseXor', 'Xor'),
  bitwiseNot: bitwise('BitwiseNot', 'Not'),
  bitwiseLeftShift: shift('LEFT'),
  bitwiseRightShift: shift('RIGHT'),
  isnan: float(node('IsNaN', 'bool')),
  isinf: float(node('IsInf', 'bool')),
  isfinite: float(isfinite),
  logicalNot: logic(node('Not')),
  logicalAnd: logic(node('And')),
  logicalOr: logic(node('Or')),
  logicalXor: logic(node('Xor')),
  eq: compare(node('Equal', 'bool')),
  ne: compare((onnx, x, y) => not(onnx, onnx.node('Equal', [x, y], { dtype: 'bool' }))),
  lt: compare(node('Less', 'bool')),
  le: compare(node('LessOrEqual', 'bool')),
  gt: compare(node('Greater', 'bool')),
  ge: compare(node('GreaterOrEqual', 'bool')),
  where: select,
  cast,
  contiguous: ((_, [x]) => [x]) as Unattributed,
};
