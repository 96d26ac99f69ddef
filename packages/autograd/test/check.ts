import { isFloat, isTensor, mul, scope, sum, type Tensor } from '@dawnchorus/tensor';
import * as assert from 'uvu/assert';
import { arrayOf, between, type Presentation, present, type Random, upload } from '../../tensor/test/arbitraries.ts';
import { type NDArray, toHalf } from '../../tensor/test/reference/array.ts';
import '../../tensor/test/device.ts';
import { grad } from '../src/index.ts';

/** An operation whose gradient is to be checked, and the same in f64. */
export interface Subject {
  what: string;
  run: (inputs: Tensor[]) => Tensor;
  reference: (inputs: NDArray[]) => NDArray;
}

const STEP = 1e-5;
/** Elements of an input that are varied one by one; the rest are varied together. */
const SAMPLES = 40;
/** Relative to the sum of the magnitudes that a gradient is the sum of: what adding them up in f32 costs. */
const ROUNDING = 2e-6;
/** The same where tensors are f16: rules are made of operations, each of which rounds its result to half a unit of 2^-10. */
const HALF_ROUNDING = 6 * 2 ** -11;

export interface CheckOptions {
  /** How input i is held in memory. */
  presentation?: (i: number) => Presentation;
  /** Relative to the largest element of the gradient. */
  tolerance?: number;
  /** Whether the tensors are f16, of values that the caller has rounded; the reference sees the same values as f32. */
  half?: boolean;
}

/** The derivative of sum(weights * reference(inputs)) as input i moves by `direction`, and the size of its terms. */
function derivative(subject: Subject, inputs: NDArray[], i: number, weights: Float64Array, direction: Float64Array) {
  const [up, down] = [STEP, -STEP].map((step) => {
    const moved = { ...inputs[i], data: inputs[i].data.map((x, at) => x + step * direction[at]) };
    return subject.reference(inputs.map((input, j) => (j === i ? moved : input))).data;
  });
  let value = 0;
  let size = 0;
  for (let at = 0; at < weights.length; at++) {
    // Output by output, so that what does not move leaves no rounding behind.
    const term = (weights[at] * (up[at] - down[at])) / (2 * STEP);
    value += term;
    size += Math.abs(term);
  }
  return { value, size };
}

function sampled(size: number, random: Random): number[] {
  const all = Array.from({ length: size }, (_, at) => at);
  if (size <= SAMPLES) return all;
  return all
    .map((_, k) => Math.floor(random() * (size - k)) + k)
    .reduce<number[]>((taken, at, k) => {
      // The start of a Fisher-Yates shuffle.
      if (k < SAMPLES) {
        [all[k], all[at]] = [all[at], all[k]];
        taken.push(all[k]);
      }
      return taken;
    }, []);
}

function compare(
  subject: Subject,
  inputs: NDArray[],
  i: number,
  weights: Float64Array,
  actual: ArrayLike<number>,
  random: Random,
  { tolerance, rounding }: { tolerance: number; rounding: number },
): void {
  const { data, shape } = inputs[i];
  const places = sampled(data.length, random);
  const expected = places.map((place) => {
    const direction = new Float64Array(data.length);
    direction[place] = 1;
    return derivative(subject, inputs, i, weights, direction);
  });
  const peak = expected.reduce((most, { value }) => Math.max(most, Math.abs(value)), 0);
  const terms = expected.reduce((most, { size }) => Math.max(most, size), 0);
  const allowed = tolerance * peak + rounding * terms + (rounding === ROUNDING ? 1e-9 : 2 ** -24);
  expected.forEach(({ value }, k) => {
    const got = actual[places[k]];
    assert.ok(
      Math.abs(got - value) <= allowed,
      `${subject.what}: element ${places[k]} of the gradient of input ${i} [${shape}] is ${got}, expected ${value} to within ${allowed}`,
    );
  });
  if (places.length === data.length) return;
  const direction = data.map(() => (random() < 0.5 ? -1 : 1));
  const { value, size } = derivative(subject, inputs, i, weights, direction);
  const got = direction.reduce((total, sign, at) => total + sign * actual[at], 0);
  const spread = tolerance * Math.max(peak, Math.abs(value) / Math.sqrt(data.length)) * Math.sqrt(data.length);
  assert.ok(
    Math.abs(got - value) <= spread + rounding * size,
    `${subject.what}: the gradient of input ${i} [${shape}] along a direction is ${got}, expected ${value}`,
  );
}

/**
 * Compares the gradient of a random weighted sum of an operation's output, with respect to each float input, with central
 * differences of the f64 reference.
 */
export async function checkGradients(
  subject: Subject,
  drawnInputs: readonly NDArray[],
  random: Random,
  { presentation = () => 'dense', tolerance = 1e-4, half = false }: CheckOptions = {},
): Promise<void> {
  const held = (x: NDArray): NDArray =>
    half && x.dtype === 'f32' ? { ...x, dtype: 'f16', data: x.data.map(toHalf) } : x;
  const presented = scope(() => drawnInputs.map((x, i) => present(held(x), presentation(i), i)));
  const values = presented.map(({ values }, i) => ({ ...values, dtype: drawnInputs[i].dtype }));
  const tensors = presented.map((input) => input.tensor);
  const weights = held(arrayOf(subject.reference(values).shape, random, between(-2, 2)));
  const upstream = upload(weights);
  const floats = tensors.map((_, i) => i).filter((i) => isFloat(tensors[i].dtype));
  const gradients = grad(
    () => sum(mul(subject.run(tensors), upstream)),
    floats.map((i) => tensors[i]),
  );
  for (const [k, i] of floats.entries()) {
    assert.equal([...gradients[k].shape], [...values[i].shape], `${subject.what}: shape of gradient ${i}`);
    assert.is(gradients[k].dtype, tensors[i].dtype, `${subject.what}: dtype of gradient ${i}`);
    const allowed = {
      tolerance: half ? Math.max(tolerance, HALF_ROUNDING) : tolerance,
      rounding: half ? HALF_ROUNDING : ROUNDING,
    };
    compare(subject, values, i, weights.data, await gradients[k].data(), random, allowed);
  }
  for (const tensor of [...tensors, ...gradients, upstream]) if (isTensor(tensor)) tensor.dispose();
}
