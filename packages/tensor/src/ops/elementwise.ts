import { elementwise } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, isFloat, promote, wgslType, workingDtype } from '../dtype.ts';
import { gridFor, takesFours } from '../kernel/grid.ts';
import { broadcastShapes, broadcastStrides, collapse, isContiguous, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { commonDtype } from './arguments.ts';
import { type KernelOp, kernelOp, type TensorSpec } from './op.ts';

/**
 * Elementwise operations as WGSL expressions over x, y and z.
 *
 *   float:      inputs become f32, and so is the result
 *   arithmetic: inputs become the promoted dtype (i32 where all are bool), and so is the result
 *   integer:    the same for whole numbers and booleans; floats are an error
 *   compare:    inputs become the promoted dtype; the result is bool
 *   logic:      inputs become bool (NaN is true); so is the result
 *   test:       inputs become f32; the result is bool
 *
 * Where the promoted dtype is f16, expressions still compute in f32, and the result of float and arithmetic is rounded to
 * f16 once.
 */
type Rule = 'float' | 'arithmetic' | 'integer' | 'compare' | 'logic' | 'test';

/** A rule, an expression, and expressions for dtypes in which the working values take another one. */
type Entry = readonly [rule: Rule, expression: string, variants?: Partial<Record<DType, string>>];

const unary = {
  // WGSL has no negation and no sign of unsigned numbers; both keep two's complement meaning.
  neg: ['arithmetic', '-x', { u32: '0u - x' }],
  abs: ['arithmetic', 'abs(x)'],
  square: ['arithmetic', 'x * x'],
  exp: ['float', 'exponential(x)'],
  exp2: ['float', 'exponential2(x)'],
  expm1: ['float', 'expm1(x)'],
  log: ['float', 'logarithm(x)'],
  log2: ['float', 'logarithm2(x)'],
  log10: ['float', 'logarithm10(x)'],
  log1p: ['float', 'log1p(x)'],
  sqrt: ['float', 'unlessNan(x, sqrt(x))'],
  rsqrt: ['float', 'unlessNan(x, inverseSqrt(x))'],
  reciprocal: ['float', '1.0 / x'],
  sin: ['float', 'sine(x)'],
  cos: ['float', 'cosine(x)'],
  tan: ['float', 'tangent(x)'],
  asin: ['float', 'arcSine(x)'],
  acos: ['float', 'arcCosine(x)'],
  atan: ['float', 'arcTangent(x)'],
  sinh: ['float', 'hyperbolicSine(x)'],
  cosh: ['float', 'hyperbolicCosine(x)'],
  asinh: ['float', 'inverseHyperbolicSine(x)'],
  acosh: ['float', 'inverseHyperbolicCosine(x)'],
  atanh: ['float', 'inverseHyperbolicTangent(x)'],
  tanh: ['float', 'tanhExact(x)'],
  sigmoid: ['float', 'sigmoid(x)'],
  relu: ['float', 'maximumOf(x, 0.0)'],
  elu: ['float', 'elu(x)'],
  gelu: ['float', 'gelu(x)'],
  silu: ['float', 'x * sigmoid(x)'],
  softplus: ['float', 'softplus(x)'],
  erf: ['float', 'erf(x)'],
} as const satisfies Record<string, Entry>;

const binary = {
  add: ['arithmetic', 'x + y'],
  sub: ['arithmetic', 'x - y'],
  mul: ['arithmetic', 'x * y'],
  div: ['float', 'x / y'],
  pow: ['arithmetic', 'power(x, y)', { i32: 'powerI32(x, y)', u32: 'powerU32(x, y)' }],
  remainder: [
    'arithmetic',
    'flooredRemainder(x, y)',
    { i32: 'flooredRemainderI32(x, y)', u32: 'select(x % y, 0u, y == 0u)' },
  ],
  atan2: ['float', 'arcTangent2(x, y)'],
  maximum: ['arithmetic', 'max(x, y)', { f32: 'maximumOf(x, y)' }],
  minimum: ['arithmetic', 'min(x, y)', { f32: 'minimumOf(x, y)' }],
  leakyRelu: ['float', 'select(x, x * y, x < 0.0)'],
  // Gradients in one pass: y is the gradient of the output.
  geluBackward: ['float', 'y * geluDerivative(x)'],
  eluBackward: ['float', 'y * select(exp(x), 1.0, x > 0.0)'],
} as const satisfies Record<string, Entry>;

const ternary = {
  clamp: ['arithmetic', 'min(max(x, y), z)', { f32: 'minimumOf(maximumOf(x, y), z)' }],
} as const satisfies Record<string, Entry>;

/** Whole numbers stay what they are. */
const whole = { i32: 'x', u32: 'x' } as const;

const withoutGradient = {
  sign: ['arithmetic', 'sign(x)', { f32: 'unlessNan(x, sign(x))', u32: 'min(x, 1u)' }],
  floor: ['arithmetic', 'unlessNan(x, floor(x))', whole],
  ceil: ['arithmetic', 'unlessNan(x, ceil(x))', whole],
  round: ['arithmetic', 'unlessNan(x, round(x))', whole],
  trunc: ['arithmetic', 'unlessNan(x, trunc(x))', whole],
  floorDivide: [
    'arithmetic',
    'flooredQuotient(x, y)',
    { i32: 'flooredQuotientI32(x, y)', u32: 'select(x / y, 0u, y == 0u)' },
  ],
  bitwiseAnd: ['integer', 'x & y'],
  bitwiseOr: ['integer', 'x | y'],
  bitwiseXor: ['integer', 'x ^ y'],
  bitwiseNot: ['integer', '~x', { bool: '1u - x' }],
  // WGSL takes the shift modulo 32; here nothing is left of a number shifted that far but its sign.
  bitwiseLeftShift: ['integer', 'select(x << u32(y), 0, u32(y) > 31u)', { u32: 'select(x << y, 0u, y > 31u)' }],
  bitwiseRightShift: ['integer', 'x >> min(u32(y), 31u)', { u32: 'select(x >> y, 0u, y > 31u)' }],
  isnan: ['test', 'isNan(x)'],
  isinf: ['test', 'isInf(x)'],
  isfinite: ['test', 'isFinite(x)'],
  logicalNot: ['logic', '!x'],
  eq: ['compare', 'x == y'],
  // WGSL's != is false where either is NaN.
  ne: ['compare', '!(x == y)'],
  lt: ['compare', 'x < y'],
  le: ['compare', 'x <= y'],
  gt: ['compare', 'x > y'],
  ge: ['compare', 'x >= y'],
  logicalAnd: ['logic', 'x && y'],
  logicalOr: ['logic', 'x || y'],
  logicalXor: ['logic', 'x != y'],
} as const satisfies Record<string, Entry>;

function variables(dtype: DType | 'boolean', inputs: readonly DType[]): string {
  const names = ['x', 'y', 'z'];
  const sources = ['a', 'b', 'c'];
  return inputs
    .map((input, i) => {
      const stored = `${sources[i]}`;
      if (dtype === 'boolean') return `let ${names[i]} = !(${stored} == ${wgslType[input]}());`;
      return `let ${names[i]} = ${wgslType[dtype]}(${stored});`;
    })
    .join(' ');
}

/** The dtype that comes out, where `common` is the dtype that the inputs meet in. */
function resultDtype(name: string, rule: Rule, common: DType): DType {
  if (rule === 'compare' || rule === 'logic' || rule === 'test') return 'bool';
  if (rule === 'float') return common === 'f16' ? 'f16' : 'f32';
  if (rule === 'integer' && isFloat(common)) {
    throw new TypeError(`${name}: expected whole numbers, got ${common}; use .cast('i32')`);
  }
  // Booleans stay what they are bit by bit, but not when they are shifted.
  return common === 'bool' && (rule === 'arithmetic' || name.endsWith('Shift')) ? 'i32' : common;
}

/** The body of `compute` for one expression and input dtypes. */
function compile(name: string, [rule, expression, variants]: Entry, inputs: readonly DType[]): string {
  if (rule === 'logic') return `${variables('boolean', inputs)} return u32(${expression});`;
  const common = inputs.reduce(promote);
  const computed = rule === 'compare' ? common : rule === 'test' ? 'f32' : resultDtype(name, rule, common);
  const working = workingDtype(computed);
  return `${variables(working, inputs)} return Result(${variants?.[working] ?? expression});`;
}

/** Runs `compute` over the broadcast inputs into a contiguous output. `typeOf` names the elements in memory. */
export function runMap(
  device: Device,
  inputs: readonly Tensor[],
  out: Tensor,
  body: string,
  typeOf = ({ dtype }: Tensor): string => wgslType[dtype],
): void {
  const reads = inputs.map((input): elementwise.MapRead => {
    if (input.size === 1) return 'SINGLE';
    return sameShape(input.shape, out.shape) && isContiguous(input.shape, input.strides) ? 'FLAT' : 'STRIDED';
  });
  const strides = inputs.map((input) => broadcastStrides(input.shape, input.strides, out.shape));
  const merged = reads.includes('STRIDED') ? collapse(out.shape, ...strides) : { shape: [], strides: [[], [], []] };
  const [a, b = a, c = a] = inputs;
  const type = (i: number) => typeOf(inputs[i] ?? a);
  const flat = inputs.filter((_, i) => reads[i] === 'FLAT').map(({ offset }) => offset);
  const row = merged.shape.at(-1) ?? out.size;
  const fours = typeOf(out) === wgslType[out.dtype] && out.size % 4 === 0 && takesFours(device, row, flat);
  device.recorder.dispatch({
    kernel: fours ? elementwise.mapFours : elementwise.map,
    library: elementwise.elementwiseFunctions,
    constants: {
      A: `alias A = ${type(0)};`,
      B: `alias B = ${type(1)};`,
      C: `alias C = ${type(2)};`,
      Result: `alias Result = ${typeOf(out)};`,
      INPUTS: `const INPUTS = ${inputs.length}u;`,
      RANK: `const RANK = ${merged.shape.length}u;`,
      ...elementwise.readConstants(reads),
      ...(fours && elementwise.fourConstants(reads)),
      compute: `fn compute(a: A, b: B, c: C) -> Result { ${body} }`,
    },
    buffers: [a.storage.buffer, b.storage.buffer, c.storage.buffer, out.storage.buffer],
    parameters: {
      size: out.size,
      aOffset: a.offset,
      bOffset: b.offset,
      cOffset: c.offset,
      shape: merged.shape,
      aStrides: merged.strides[0] ?? [],
      bStrides: merged.strides[1] ?? [],
      cStrides: merged.strides[2] ?? [],
    },
    grid: gridFor(fours ? out.size / 4 : out.size),
  });
}

/** An operation that computes each element of its output from those of its inputs at the same place. */
function mapOp<A>(
  op: Pick<KernelOp<A>, 'infer' | 'flops' | 'cheap'> & {
    map: (inputs: readonly TensorSpec[], attributes: A) => string;
  },
) {
  return kernelOp<A>({
    ...op,
    run(device, inputs, [out], attributes) {
      runMap(device, inputs, out, op.map(inputs, attributes));
    },
  });
}

/** Beside the operations that are no more than an instruction or two for their rule. */
const cheapFloats = new Set(['relu', 'leakyRelu']);
const costlyArithmetic = new Set(['remainder', 'floorDivide', 'pow']);

function elementwiseOp(name: string, entry: Entry) {
  return mapOp<Record<never, never>>({
    cheap: entry[0] === 'float' ? cheapFloats.has(name) : !costlyArithmetic.has(name),
    infer(inputs) {
      const dtype = resultDtype(name, entry[0], commonDtype(inputs));
      return [{ dtype, shape: broadcastShapes(name, ...inputs.map((input) => input.shape)) }];
    },
    map: (inputs) =>
      compile(
        name,
        entry,
        inputs.map((input) => input.dtype),
      ),
  });
}

type ElementwiseOp = ReturnType<typeof elementwiseOp>;

function opsFrom<T extends Record<string, Entry>>(table: T): { [K in keyof T]: ElementwiseOp } {
  const entries = Object.entries(table).map(([name, entry]) => [name, elementwiseOp(name, entry)]);
  return Object.fromEntries(entries) as { [K in keyof T]: ElementwiseOp };
}

/** x where the condition holds, y elsewhere. */
const where = mapOp<Record<never, never>>({
  cheap: true,
  infer([condition, x, y]) {
    if (condition.dtype !== 'bool')
      throw new TypeError(`where: the condition is ${condition.dtype}; expected bool, e.g. x.gt(0)`);
    return [{ dtype: commonDtype([x, y]), shape: broadcastShapes('where', condition.shape, x.shape, y.shape) }];
  },
  map([, x, y]) {
    // Whole numbers reach f16 by way of f32, as in cast.
    const [own, other] = [x, y].some(({ dtype }) => dtype === 'f16') ? ['f32(b)', 'f32(c)'] : ['b', 'c'];
    return `return select(Result(${other}), Result(${own}), a != 0u);`;
  },
});

const cast = mapOp<{ dtype: DType }>({
  cheap: true,
  flops: () => 0,
  infer([x], { dtype }) {
    return [{ dtype, shape: x.shape }];
  },
  map([x], { dtype }) {
    if (dtype === 'bool') return 'return u32(!(a == A()));';
    // By way of f32, which holds every half, so that f16 is never asked to become anything else.
    return x.dtype === 'f16' || dtype === 'f16' ? 'return Result(f32(a));' : 'return Result(a);';
  },
});

/** A dense row-major copy. */
const contiguous = mapOp<Record<never, never>>({
  cheap: true,
  flops: () => 0,
  infer([x]) {
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  map: () => 'return a;',
});

export const differentiableElementwise = {
  ...opsFrom(unary),
  ...opsFrom(binary),
  ...opsFrom(ternary),
  where,
  cast,
  contiguous,
};
export const otherElementwise = opsFrom(withoutGradient);
