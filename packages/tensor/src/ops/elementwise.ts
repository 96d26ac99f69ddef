import { elementwise } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, promote, wgslType, workingDtype } from '../dtype.ts';
import { gridFor } from '../kernel/recorder.ts';
import { broadcastShapes, broadcastStrides, collapse, isContiguous, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { commonDtype } from './arguments.ts';
import { type KernelOp, kernelOp, type TensorSpec } from './op.ts';

/**
 * Elementwise operations as WGSL expressions over x, y and z.
 *
 *   float:      inputs become f32, and so is the result
 *   arithmetic: inputs become the promoted dtype (i32 where all are bool), and so is the result
 *   compare:    inputs become the promoted dtype; the result is bool
 *   logic:      inputs become bool; so is the result
 *
 * Where the promoted dtype is f16, expressions still compute in f32, and the result of float and arithmetic is rounded to
 * f16 once.
 */
type Rule = 'float' | 'arithmetic' | 'compare' | 'logic';

const unary = {
  neg: ['arithmetic', '-x'],
  abs: ['arithmetic', 'abs(x)'],
  square: ['arithmetic', 'x * x'],
  exp: ['float', 'exp(x)'],
  log: ['float', 'log(x)'],
  sqrt: ['float', 'sqrt(x)'],
  rsqrt: ['float', 'inverseSqrt(x)'],
  reciprocal: ['float', '1.0 / x'],
  sin: ['float', 'sine(x)'],
  cos: ['float', 'cosine(x)'],
  tanh: ['float', 'tanhExact(x)'],
  sigmoid: ['float', 'sigmoid(x)'],
  relu: ['float', 'max(x, 0.0)'],
  elu: ['float', 'elu(x)'],
  gelu: ['float', 'gelu(x)'],
  erf: ['float', 'erf(x)'],
} as const satisfies Record<string, readonly [Rule, string]>;

const binary = {
  add: ['arithmetic', 'x + y'],
  sub: ['arithmetic', 'x - y'],
  mul: ['arithmetic', 'x * y'],
  div: ['float', 'x / y'],
  pow: ['float', 'power(x, y)'],
  maximum: ['arithmetic', 'max(x, y)'],
  minimum: ['arithmetic', 'min(x, y)'],
  // Gradients in one pass: y is the gradient of the output.
  geluBackward: ['float', 'y * geluDerivative(x)'],
  eluBackward: ['float', 'y * select(exp(x), 1.0, x > 0.0)'],
} as const satisfies Record<string, readonly [Rule, string]>;

const withoutGradient = {
  sign: ['arithmetic', 'sign(x)'],
  floor: ['float', 'floor(x)'],
  ceil: ['float', 'ceil(x)'],
  round: ['float', 'round(x)'],
  isNan: ['float', 'isNan(x)'],
  isFinite: ['float', 'isFinite(x)'],
  logicalNot: ['logic', '!x'],
  eq: ['compare', 'x == y'],
  ne: ['compare', 'x != y'],
  lt: ['compare', 'x < y'],
  le: ['compare', 'x <= y'],
  gt: ['compare', 'x > y'],
  ge: ['compare', 'x >= y'],
  logicalAnd: ['logic', 'x && y'],
  logicalOr: ['logic', 'x || y'],
} as const satisfies Record<string, readonly [Rule, string]>;

const yieldsBool = new Set<string>(['isNan', 'isFinite']);

function variables(dtype: DType | 'boolean', inputs: readonly DType[]): string {
  const names = ['x', 'y', 'z'];
  const sources = ['a', 'b', 'c'];
  return inputs
    .map((input, i) => {
      const stored = `${sources[i]}`;
      if (dtype === 'boolean') return `let ${names[i]} = ${stored} != ${wgslType[input]}();`;
      return `let ${names[i]} = ${wgslType[dtype]}(${stored});`;
    })
    .join(' ');
}

/** The dtype that comes out, where `common` is the dtype that the inputs meet in. */
function resultDtype(name: string, rule: Rule, common: DType): DType {
  if (rule === 'compare' || rule === 'logic' || yieldsBool.has(name)) return 'bool';
  if (rule === 'float') return common === 'f16' ? 'f16' : 'f32';
  return common === 'bool' ? 'i32' : common;
}

/** The body of `compute` for one expression and input dtypes. */
function compile(name: string, rule: Rule, expression: string, inputs: readonly DType[]): string {
  if (rule === 'logic') return `${variables('boolean', inputs)} return u32(${expression});`;
  let working: DType = rule === 'float' ? 'f32' : workingDtype(inputs.reduce(promote));
  if (working === 'bool' && rule === 'arithmetic') working = 'i32';
  let text = expression;
  // WGSL has no sign or negation of unsigned numbers; both keep two's complement meaning.
  if (working === 'u32' && name === 'sign') text = 'min(x, 1u)';
  if (working === 'u32' && name === 'neg') text = '0u - x';
  return `${variables(working, inputs)} return Result(${text});`;
}

/** Runs `compute` over the broadcast inputs into a contiguous output. */
export function runMap(device: Device, inputs: readonly Tensor[], out: Tensor, body: string): void {
  const flat = inputs.every((input) => sameShape(input.shape, out.shape) && isContiguous(input.shape, input.strides));
  const strides = inputs.map((input) => broadcastStrides(input.shape, input.strides, out.shape));
  const merged = flat ? { shape: [], strides: [[], [], []] } : collapse(out.shape, ...strides);
  const [a, b = a, c = a] = inputs;
  const type = (i: number) => wgslType[(inputs[i] ?? a).dtype];
  device.recorder.dispatch({
    kernel: elementwise.map,
    library: elementwise.elementwiseFunctions,
    constants: {
      A: `alias A = ${type(0)};`,
      B: `alias B = ${type(1)};`,
      C: `alias C = ${type(2)};`,
      Result: `alias Result = ${wgslType[out.dtype]};`,
      INPUTS: `const INPUTS = ${inputs.length}u;`,
      CONTIGUOUS: `const CONTIGUOUS = ${flat};`,
      compute: `fn compute(a: A, b: B, c: C) -> Result { ${body} }`,
    },
    buffers: [a.storage.buffer, b.storage.buffer, c.storage.buffer, out.storage.buffer],
    parameters: {
      size: out.size,
      rank: merged.shape.length,
      aOffset: a.offset,
      bOffset: b.offset,
      cOffset: c.offset,
      shape: merged.shape,
      aStrides: merged.strides[0] ?? [],
      bStrides: merged.strides[1] ?? [],
      cStrides: merged.strides[2] ?? [],
    },
    grid: gridFor(out.size),
  });
}

/** An operation that computes each element of its output from those of its inputs at the same place. */
function mapOp<A>(op: Pick<KernelOp<A>, 'infer'> & { map: (inputs: readonly TensorSpec[], attributes: A) => string }) {
  return kernelOp<A>({
    ...op,
    run(device, inputs, [out], attributes) {
      runMap(device, inputs, out, op.map(inputs, attributes));
    },
  });
}

function elementwiseOp(name: string, rule: Rule, expression: string) {
  return mapOp<Record<never, never>>({
    infer(inputs) {
      const dtype = resultDtype(name, rule, commonDtype(inputs));
      return [{ dtype, shape: broadcastShapes(name, ...inputs.map((input) => input.shape)) }];
    },
    map: (inputs) =>
      compile(
        name,
        rule,
        expression,
        inputs.map((input) => input.dtype),
      ),
  });
}

type ElementwiseOp = ReturnType<typeof elementwiseOp>;

function opsFrom<T extends Record<string, readonly [Rule, string]>>(table: T): { [K in keyof T]: ElementwiseOp } {
  const entries = Object.entries(table).map(([name, [rule, expression]]) => [
    name,
    elementwiseOp(name, rule, expression),
  ]);
  return Object.fromEntries(entries) as { [K in keyof T]: ElementwiseOp };
}

/** x where the condition holds, y elsewhere. */
const where = mapOp<Record<never, never>>({
  infer([condition, x, y]) {
    if (condition.dtype !== 'bool')
      throw new TypeError(`where: the condition is ${condition.dtype}; expected bool, e.g. x.gt(0)`);
    return [{ dtype: commonDtype([x, y]), shape: broadcastShapes('where', condition.shape, x.shape, y.shape) }];
  },
  map: () => 'return select(Result(c), Result(b), a != 0u);',
});

const cast = mapOp<{ dtype: DType }>({
  infer([x], { dtype }) {
    return [{ dtype, shape: x.shape }];
  },
  map([x], { dtype }) {
    if (dtype === 'bool') return 'return u32(a != A());';
    // By way of f32, which holds every half, so that f16 is never asked to become anything else.
    return x.dtype === 'f16' || dtype === 'f16' ? 'return Result(f32(a));' : 'return Result(a);';
  },
});

/** A dense row-major copy. */
const contiguous = mapOp<Record<never, never>>({
  infer([x]) {
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  map: () => 'return a;',
});

export const differentiableElementwise = { ...opsFrom(unary), ...opsFrom(binary), where, cast, contiguous };
export const otherElementwise = opsFrom(withoutGradient);
