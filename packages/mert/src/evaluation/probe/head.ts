/**
 * The head that learns on frozen features: one hidden layer, and a learned sum over layers where one is asked for. Its
 * parameters and moments go in and come out of each step, so that one compiled step serves every rate, seed and layer.
 */
import { nn, valueAndGrad } from '@dawnchorus/autograd';
import { add, div, matmul, mul, relu, softmax, sqrt, square, sub, type Tensor } from '@dawnchorus/tensor';
import type { TaskKind } from '../tasks.ts';

/** What a head looks like. */
export interface HeadShape {
  /** Layers that a learned, softmax-weighted sum is taken over; 1: none is. */
  readonly layers: number;
  readonly dimension: number;
  readonly hidden: number;
  readonly outputs: number;
  readonly dropout: number;
}

/** Parameters, or what goes along with each: its moments. */
export type Weights = Record<string, Tensor>;

/** Fresh parameters: PyTorch's defaults for linear layers; the weights of layers are normal, as MARBLE begins. */
export function initHead({ layers, dimension, hidden, outputs }: HeadShape, seed: number): Weights {
  const keys = nn.keySequence(seed);
  return {
    ...(layers > 1 && { mixture: nn.initNormal([1, layers], 1, keys) }),
    weight1: nn.initDefault([dimension, hidden], dimension, keys),
    bias1: nn.initDefault([hidden], dimension, keys),
    weight2: nn.initDefault([hidden, outputs], hidden, keys),
    bias2: nn.initDefault([outputs], hidden, keys),
  };
}

/** x [rows, layers, dimension] -> logits [rows, outputs]; with keys, which are given while training, dropout. */
export function forwardHead(
  { layers, dimension, dropout }: HeadShape,
  weights: Weights,
  x: Tensor,
  keys?: nn.KeySequence,
): Tensor {
  const rows = x.shape[0];
  const input =
    layers > 1
      ? matmul(softmax(weights.mixture, { dim: 1 }), x.permute([1, 0, 2]).reshape([layers, rows * dimension]))
      : x;
  const hidden = relu(add(matmul(input.reshape([rows, dimension]), weights.weight1), weights.bias1));
  return add(matmul(new nn.Dropout(dropout).forward(hidden, keys), weights.weight2), weights.bias2);
}

/** The mean loss: of classes i32 [rows], or of targets f32 [rows, outputs]. */
export function lossOf(kind: TaskKind, logits: Tensor, target: Tensor): Tensor {
  if (kind === 'multiclass') return nn.crossEntropy(logits, target);
  return kind === 'regression' ? nn.mseLoss(logits, target) : nn.binaryCrossEntropyWithLogits(logits, target);
}

const [BETA1, BETA2, EPSILON] = [0.9, 0.999, 1e-8];

/** A head in training. */
export interface HeadState {
  readonly weights: Weights;
  readonly first: Weights;
  readonly second: Weights;
}

/** What changes from step to step, f32 [3]: the learning rate, and 1 - beta^step for both moments. */
export const stepNumbers = (rate: number, step: number): Float32Array =>
  Float32Array.of(rate, 1 - BETA1 ** step, 1 - BETA2 ** step);

/** One step of Adam (Kingma and Ba, 2015) without decay. @param numbers see `stepNumbers`. */
export function stepHead(
  shape: HeadShape,
  kind: TaskKind,
  { weights, first, second }: HeadState,
  x: Tensor,
  target: Tensor,
  numbers: Tensor,
  keys: nn.KeySequence,
): { state: HeadState; loss: Tensor } {
  const { value, gradients } = valueAndGrad(
    () => lossOf(kind, forwardHead(shape, weights, x, keys), target),
    Object.values(weights),
  );
  const state: Record<keyof HeadState, Weights> = { weights: {}, first: {}, second: {} };
  const [rate, correction1, correction2] = [0, 1, 2].map((at) => numbers.select(0, at));
  for (const [i, name] of Object.keys(weights).entries()) {
    const m = add(mul(first[name], BETA1), mul(gradients[i], 1 - BETA1));
    const v = add(mul(second[name], BETA2), mul(square(gradients[i]), 1 - BETA2));
    const change = div(div(m, correction1), add(sqrt(div(v, correction2)), EPSILON));
    state.weights[name] = sub(weights[name], mul(change, rate));
    state.first[name] = m;
    state.second[name] = v;
  }
  return { state, loss: value };
}

export function disposeWeights(...all: readonly Weights[]): void {
  for (const weights of all) for (const own of Object.values(weights)) own.dispose();
}
