import { type AttributesOf, sizeOf } from '@dawnchorus/tensor';
import type { Lowering, OnnxBuilder, OnnxTensor, OnnxValue } from '../builder.ts';
import { gelu } from './elementwise.ts';
import { reduce } from './reductions.ts';

type Pair = readonly [number, number];

interface Window {
  stride: number | Pair;
  padding: number | Pair;
  dilation: number | Pair;
}

const list = (sizes: number | Pair) => (typeof sizes === 'number' ? [sizes] : [...sizes]);

/** Padding is the same at both ends of an axis. */
const windowAttributes = ({ stride, padding, dilation }: Window) => ({
  strides: list(stride),
  pads: [...list(padding), ...list(padding)],
  dilations: list(dilation),
});

const matmul: Lowering<Record<never, never>> = (onnx, inputs) => [
  onnx.node(
    'MatMul',
    inputs.map((x) => onnx.cast(x, 'f32')),
  ),
];

const convolution: Lowering<Window & { groups: number }> = (onnx, inputs, attributes) => [
  onnx.node(
    'Conv',
    inputs.map((x) => onnx.cast(x, 'f32')),
    { ...windowAttributes(attributes), kernel_shape: inputs[1].shape.slice(2), group: attributes.groups },
  ),
];

function transposed(
  onnx: OnnxBuilder,
  inputs: readonly OnnxTensor[],
  attributes: Window & { groups: number },
  size: readonly number[],
): OnnxValue[] {
  const [y, weight] = inputs;
  const kernel = weight.shape.slice(2);
  const { strides, pads, dilations } = windowAttributes(attributes);
  const reached = (d: number) => (y.shape[2 + d] - 1) * strides[d] - 2 * pads[d] + dilations[d] * (kernel[d] - 1) + 1;
  const window = { strides, pads, dilations, kernel_shape: kernel, group: attributes.groups };
  const output_padding = size.map((extent, d) => extent - reached(d));
  return [
    onnx.node(
      'ConvTranspose',
      inputs.map((x) => onnx.cast(x, 'f32')),
      { ...window, output_padding },
    ),
  ];
}

/** Where a window along one axis has all of its taps in the padding. */
function emptyWindows(
  extent: number,
  steps: number,
  kernel: number,
  stride: number,
  padding: number,
  dilation: number,
) {
  return Array.from({ length: steps }, (_, step) => {
    const taps = Array.from({ length: kernel }, (_, tap) => step * stride - padding + tap * dilation);
    return taps.every((at) => at < 0 || at >= extent);
  });
}

/**
 * ONNX counts places in the whole tensor, the engine in one plane. A window that lies in the padding alone, which takes
 * dilation, is minus infinity and has no place.
 */
const maxPool2d: Lowering<AttributesOf<'maxPool2d'>> = (onnx, [x], attributes, [{ shape }]) => {
  const { kernel, stride, padding, dilation } = attributes;
  const [pooled, all] = onnx.nodeWith('MaxPool', [onnx.cast(x, 'f32')], ['f32', 'i64'], {
    ...windowAttributes(attributes),
    kernel_shape: kernel,
  });
  const plane = sizeOf(x.shape.slice(2));
  const places = onnx.node('Mod', [all, onnx.scalar(plane, 'i64')]);
  const [rows, columns] = [0, 1].map((d) =>
    emptyWindows(x.shape[2 + d], shape[2 + d], kernel[d], stride[d], padding[d], dilation[d]),
  );
  if (![...rows, ...columns].includes(true)) return [pooled, { ...places, within: [0, plane - 1] }];
  const mask = rows.flatMap((row) => columns.map((column) => Number(row || column)));
  const empty = onnx.constant(mask, 'bool', shape.slice(2));
  const nothing = [onnx.scalar(Number.NEGATIVE_INFINITY, 'f32'), onnx.scalar(-1, 'i64')];
  return [onnx.where(empty, nothing[0], pooled), onnx.where(empty, nothing[1], places)];
};

/**
 * The last axis, which is `axis`, to mean 0 and variance 1, then scaled and shifted; and the mean and the reciprocal of the
 * deviation. The mean is taken off before LayerNormalization: some runtimes take the difference of two squares in it, which
 * far from 0 leaves no digits.
 */
function normalise(onnx: OnnxBuilder, x: OnnxValue, axis: number, eps: number, affine: readonly OnnxValue[]) {
  const mean = reduce(onnx, 'Mean', x, { axes: [axis], keepdim: true });
  const centred = onnx.node('Sub', [x, mean]);
  const [normal, rest, reciprocal] = onnx.nodeWith('LayerNormalization', [centred, ...affine], ['f32', 'f32', 'f32'], {
    axis,
    epsilon: { float: eps },
  });
  return { normal, mean: onnx.node('Add', [mean, rest]), reciprocal };
}

/** [rows, 2] of means and reciprocal deviations, for whoever asks. */
function statistics(onnx: OnnxBuilder, mean: OnnxValue, reciprocal: OnnxValue, rows: number): OnnxValue {
  const columns = [mean, reciprocal].map((column) => onnx.reshape(column, [rows, 1]));
  return onnx.node('Concat', columns, { axis: 1 });
}

const layerNorm: Lowering<{ eps: number }> = (onnx, inputs, { eps }, [, { shape }]) => {
  const [x, ...affine] = inputs.map((input) => onnx.cast(input, 'f32'));
  const { normal, mean, reciprocal } = normalise(onnx, x, inputs[0].shape.length - 1, eps, affine);
  return [normal, statistics(onnx, mean, reciprocal, shape[0])];
};

/** Each group as a row, which no weight fits; channels are scaled and shifted afterwards. */
const groupNorm: Lowering<{ groups: number; eps: number }> = (
  onnx,
  inputs,
  { eps },
  [
    { shape },
    {
      shape: [rows],
    },
  ],
) => {
  const [x, weight, bias] = inputs.map((input) => onnx.cast(input, 'f32'));
  const length = sizeOf(shape) / rows;
  const neutral = onnx.node('Expand', [onnx.scalar(1, 'f32'), onnx.ints([length])]);
  const { normal, mean, reciprocal } = normalise(onnx, onnx.reshape(x, [rows, length]), 1, eps, [neutral]);
  const perChannel = (side: OnnxValue) => onnx.reshape(side, [shape[1], ...shape.slice(2).map(() => 1)]);
  const scaled = onnx.node('Mul', [onnx.reshape(normal, shape), perChannel(weight)]);
  return [onnx.node('Add', [scaled, perChannel(bias)]), statistics(onnx, mean, reciprocal, rows)];
};

const convNormGelu: Lowering<AttributesOf<'convNormGelu'>> = (onnx, inputs, { stride, eps }, outputs) => {
  const [x, weight, ...affine] = inputs;
  const [{ shape }] = outputs;
  const [sums] = convolution(onnx, [x, weight], { stride, padding: 0, dilation: 1, groups: 1 }, outputs);
  const [normal, rows] = groupNorm(onnx, [{ ...sums, shape }, ...affine], { groups: shape[1], eps }, outputs);
  return [gelu(onnx, normal), rows];
};

const weightNorm: Lowering<Record<never, never>> = (onnx, inputs) => {
  const [v, g] = inputs.map((input) => onnx.cast(input, 'f32'));
  const axes = inputs[0].shape.slice(1).map((_, axis) => axis);
  const squares = onnx.node('Mul', [v, v]);
  const sums = axes.length === 0 ? squares : reduce(onnx, 'Sum', squares, { axes, keepdim: true });
  return [onnx.node('Mul', [v, onnx.node('Div', [g, onnx.node('Sqrt', [sums])])])];
};

const softmax =
  (type: 'Softmax' | 'LogSoftmax'): Lowering<Record<never, never>> =>
  (onnx, [x]) => [onnx.node(type, [onnx.cast(x, 'f32')], { axis: -1 })];

/** By products with the matrix of weights between them. */
const attention: Lowering<AttributesOf<'attention'>> = (onnx, [q, k, v, ...others], { scale, causal, dropout }) => {
  if (dropout > 0) onnx.refuse('it draws random numbers; call modules without dropout keys');
  const [batch, , queries] = q.shape;
  const keys = k.shape[2];
  const transposedKeys = onnx.node('Transpose', [onnx.cast(k, 'f32')], { perm: [0, 1, 3, 2] });
  let scores = onnx.node('MatMul', [onnx.cast(q, 'f32'), transposedKeys]);
  scores = onnx.node('Mul', [scores, onnx.scalar(scale, 'f32')]);
  const visible = others.find(({ dtype }) => dtype === 'bool');
  if (visible) {
    const mask = onnx.reshape(visible, [batch, 1, 1, keys]);
    scores = onnx.where(mask, scores, onnx.scalar(-3e38, 'f32'));
  }
  if (causal) {
    const earlier = Array.from({ length: queries * keys }, (_, i) => Number(i % keys <= Math.floor(i / keys)));
    const lowest = onnx.scalar(-3.4028234e38, 'f32');
    scores = onnx.where(onnx.constant(earlier, 'bool', [queries, keys]), scores, lowest);
  }
  const weights = onnx.node('Softmax', [scores], { axis: -1 });
  const mixed = onnx.node('MatMul', [weights, onnx.cast(v, 'f32')]);
  return [
    onnx.node('Transpose', [mixed], { perm: [0, 2, 1, 3] }),
    reduce(onnx, 'LogSumExp', scores, { axes: [3], keepdim: false }),
  ];
};

export const layerLowerings = {
  matmul,
  conv1d: convolution,
  conv2d: convolution,
  convTranspose1d: ((onnx, inputs, attributes) =>
    transposed(onnx, inputs, attributes, [attributes.length])) as Lowering<AttributesOf<'convTranspose1d'>>,
  convTranspose2d: ((onnx, inputs, attributes) => transposed(onnx, inputs, attributes, attributes.size)) as Lowering<
    AttributesOf<'convTranspose2d'>
  >,
  maxPool2d,
  layerNorm,
  groupNorm,
  convNormGelu,
  attention,
  weightNorm,
  softmax: softmax('Softmax'),
  logSoftmax: softmax('LogSoftmax'),
};
