import { random as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, isFloat, literalText, wgslType } from '../dtype.ts';
import { float16Bits, float16Value } from '../half.ts';
import { gridFor } from '../kernel/grid.ts';
import { checkShape, formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkNumber, checkProbability, checkStream, expectDtype, expectFloat, scalar } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp, type Stream, streamWords } from './op.ts';

/** Names one stream of draws: the same seed and stream give the same numbers, anywhere. Whole numbers below 2^53. */
export interface RandomKey {
  seed: number;
  stream: number;
  /**
   * The number of a training step, a u32 tensor of one element: adds 2^20 times itself to the stream. A compiled function
   * that takes it as an argument draws anew in each call, where plain numbers would be those of the trace.
   */
  step?: Tensor;
}

function expectStep(name: string, step: Tensor | undefined): void {
  if (!step) return;
  expectDtype(name, 'the step', step, 'u32');
  if (step.size !== 1) throw new RangeError(`${name}: the step is ${formatShape(step.shape)}; expected one element`);
}

/** That draws of floats are asked for, by names that there are. */
function checkDraws(name: string, dtype: DType, key: Stream): void {
  checkStream(name, key);
  if (!isFloat(dtype))
    throw new TypeError(`${name}: the dtype is ${dtype}; expected f32 or f16; use .cast('${dtype}')`);
}

const isF32 = (value: number): boolean => Number.isFinite(Math.fround(value));

function runPhilox(
  device: Device,
  x: Tensor | undefined,
  step: Tensor | undefined,
  out: Tensor,
  key: Stream,
  distribution: 0 | 1 | 2,
  scale: number,
  shift: number,
  high = 0,
): void {
  const [seedLow, seedHigh, streamLow, streamHigh] = streamWords(key);
  // The kernel binds an input for dropout; draws from nothing bind a scalar that they do not read.
  const input = x ?? scalar(device, 0, out.dtype);
  const steps = step ?? scalar(device, 0, 'u32');
  device.recorder.dispatch({
    kernel: kernels.philox,
    library: kernels.drawFunctions,
    constants: {
      DISTRIBUTION: `const DISTRIBUTION = ${distribution}u;`,
      STEPPED: `const STEPPED = ${step !== undefined};`,
      Element: `alias Element = ${wgslType[out.dtype]};`,
    },
    buffers: [input.storage.buffer, steps.storage.buffer, out.storage.buffer],
    parameters: {
      size: out.size,
      seedLow,
      seedHigh,
      streamLow,
      streamHigh,
      xOffset: input.offset,
      scale,
      shift,
      high,
      stepOffset: steps.offset,
    },
    grid: gridFor(Math.ceil(out.size / 4)),
  });
}

/** Fills a contiguous tensor with numbers from [-1, 1). */
export function drawUniform(device: Device, out: Tensor, key: Stream): void {
  runPhilox(device, undefined, undefined, out, key, 0, 2, -1, 1);
}

/** Attributes of random draws. */
export interface DrawAttributes extends Stream {
  shape: readonly number[];
  /** f32 by default; halves are the same draws, rounded. */
  dtype?: 'f32' | 'f16';
  device: Device;
}

/** The least number that rounding to a half may take to `bound` or over it: halfway to the half below. */
function roundsTo(bound: number): number {
  let above = float16Value(float16Bits(bound));
  if (above < bound) above = neighbour(above, 1);
  return (neighbour(above, -1) + above) / 2;
}

/** The next half up or down. */
function neighbour(half: number, direction: 1 | -1): number {
  if (half === 0) return direction * 2 ** -24;
  const bits = float16Bits(half);
  return float16Value(half > 0 === direction > 0 ? bits + 1 : bits - 1);
}

/** Uniform in [low, high). Input: the step, if any. */
const uniform = kernelOp<DrawAttributes & { low: number; high: number }>({
  infer([step], attributes) {
    const { shape, low, high, dtype = 'f32' } = attributes;
    expectStep('uniform', step);
    checkShape(shape, 'uniform');
    checkDraws('uniform', dtype, attributes);
    checkNumber('uniform', 'low', low, 'a finite number', isF32);
    checkNumber('uniform', 'high', high, 'a finite number', isF32);
    if (!isF32(high - low)) throw new RangeError(`uniform: from ${low} to ${high} is further than f32 goes`);
    if (!(low <= high)) throw new RangeError(`uniform: the bounds ${low} and ${high} leave nothing between them`);
    return [{ dtype, shape }];
  },
  run(device, [step], [out], { low, high, ...key }) {
    const bound = out.dtype === 'f16' ? roundsTo(high) : high;
    runPhilox(device, undefined, step, out, key, 0, high - low, low, bound);
  },
});

/** Normal with the given mean and standard deviation. Input: the step, if any. */
const normal = kernelOp<DrawAttributes & { mean: number; std: number }>({
  infer([step], attributes) {
    const { shape, mean, std, dtype = 'f32' } = attributes;
    expectStep('normal', step);
    checkShape(shape, 'normal');
    checkDraws('normal', dtype, attributes);
    checkNumber('normal', 'mean', mean, 'a finite number', isF32);
    checkNumber('normal', 'std', std, 'a finite number from 0', (value) => value >= 0 && isF32(value));
    return [{ dtype, shape }];
  },
  run(device, [step], [out], { mean, std, ...key }) {
    runPhilox(device, undefined, step, out, key, 1, std, mean);
  },
});

/** Zeroes each element with probability p and scales the rest by 1 / (1 - p). Inputs: x, and the step, if any. */
const dropout = kernelOp<Stream & { p: number }>({
  infer([x, step], attributes) {
    expectStep('dropout', step);
    expectFloat('dropout', 'the input', x);
    checkProbability('dropout', 'p', attributes.p);
    checkStream('dropout', attributes);
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  draws: (key) => key,
  map: (_, { p }) =>
    `return Result(select(0.0, f32(a) * ${literalText(1 / (1 - p), 'f32')}, draw >= ${literalText(p, 'f32')}));`,
  run(device, inputs, [out], { p, ...key }) {
    withDense(device, inputs, ([x, step]) => runPhilox(device, x, step, out, key, 2, 1 / (1 - p), p));
  },
});

export const differentiableRandom = { dropout };
export const otherRandom = { uniform, normal };
