/** The engine's side of operations.py: what each of its cases is called here. */
import * as dc from '@dawnchorus/tensor';
import type { Tensor } from '@dawnchorus/tensor';
import { nn, optim } from '../../src/index.ts';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

const names = <T extends Record<string, unknown>>(table: T) => Object.entries(table) as [string, T[keyof T]][];

// Elementwise, one operand.
const { neg, abs, square, exp, sin, cos, tanh, sigmoid, relu, elu, gelu, erf } = dc;
for (const [name, op] of names({ neg, abs, square, exp, sin, cos, tanh, sigmoid, relu, elu, gelu, erf })) {
  golden[name] = (x) => op(x);
  golden[`${name} of large values`] = (x) => op(x);
}
const { log, sqrt, rsqrt, reciprocal } = dc;
for (const [name, op] of names({ log, sqrt, rsqrt, reciprocal })) {
  golden[name] = (x) => op(x);
  golden[`${name} of small values`] = (x) => op(x);
}
const { sign, floor, ceil, round, isnan, isfinite, logicalNot } = dc;
for (const [name, op] of names({ sign, floor, ceil, round, isnan, isfinite, logicalNot })) golden[name] = (x) => op(x);
golden['round of halves'] = (x) => round(x);
const { exp2, expm1, log2, log10, log1p, tan, asin, acos, atan, sinh, cosh, asinh, acosh, atanh, silu, trunc } = dc;
for (const [name, op] of names({ exp2, expm1, log2, log10, log1p, tan, asin, acos, atan, sinh, cosh, asinh, acosh })) {
  golden[name] = (x) => op(x);
}
for (const [name, op] of names({ atanh, silu, trunc, isinf: dc.isinf })) golden[name] = (x) => op(x);
golden['expm1 and log1p near zero'] = (x) => expm1(x).add(log1p(x));
golden.softplus = (x) => dc.softplus(x);
golden['softplus with beta'] = (x) => dc.softplus(x, { beta: 3 });
golden.leakyRelu = (x) => dc.leakyRelu(x);
golden['leakyRelu with a slope'] = (x) => dc.leakyRelu(x, { slope: 0.3 });
golden.hardtanh = (x) => dc.hardtanh(x);
golden.clamp = (x) => dc.clamp(x, { min: -0.5, max: 1 });
golden['clamp from below'] = (x) => dc.clamp(x, { min: 0.25 });
golden['clamp by tensors'] = (x, low, high) => dc.clamp(x, { min: low, max: high });
golden.nanToNum = (x) => dc.nanToNum(x);

// Elementwise, two operands.
const { add, sub, mul, div, maximum, minimum } = dc;
for (const [name, op] of names({ add, sub, mul, div, maximum, minimum })) {
  golden[name] = (a, b) => op(a, b);
  golden[`${name} broadcasts rows and columns`] = (a, b) => op(a, b);
  golden[`${name} broadcasts a vector over a batch`] = (a, b) => op(a, b);
  golden[`${name} with a scalar tensor`] = (a, b) => op(a, b);
}
golden.pow = (a, b) => dc.pow(a, b);
golden['pow broadcasts'] = (a, b) => a.pow(b);
golden['pow of negative bases'] = (x) => x.pow(3);
const { eq, ne, lt, le, gt, ge, logicalAnd, logicalOr } = dc;
for (const [name, op] of names({ eq, ne, lt, le, gt, ge })) {
  golden[name] = (a, b) => op(a, b);
  golden[`${name} broadcasts floats`] = (a, b) => op(a, b);
}
golden.logicalAnd = (a, b) => logicalAnd(a, b);
golden.logicalOr = (a, b) => logicalOr(a, b);
golden.logicalXor = (a, b) => dc.logicalXor(a, b);
const { atan2, floorDivide, remainder } = dc;
golden.atan2 = (a, b) => atan2(a, b);
golden['atan2 broadcasts'] = (a, b) => atan2(a, b);
for (const [name, op] of names({ floorDivide, remainder })) {
  golden[name] = (a, b) => op(a, b);
  golden[`${name} of whole numbers`] = (a, b) => op(a, b);
}
const { bitwiseAnd, bitwiseOr, bitwiseXor, bitwiseLeftShift, bitwiseRightShift } = dc;
for (const [name, op] of names({ bitwiseAnd, bitwiseOr, bitwiseXor, bitwiseLeftShift, bitwiseRightShift })) {
  golden[name] = (a, b) => op(a, b);
}
golden.bitwiseNot = (x) => dc.bitwiseNot(x);
golden.where = (condition, x, y) => dc.where(condition, x, y);
golden['where broadcasts'] = golden.where;
golden['a chain of elementwise operations'] = (x, y) =>
  x.mul(y).add(0.5).tanh().square().div(dc.add(1, y.neg().exp()));

// Reductions.
const { sum, mean, sumSquares, max, min } = dc;
for (const [name, op] of names({ sum, mean, sumSquares, max, min })) {
  golden[`${name} of everything`] = (x) => op(x);
  golden[`${name} of the last axis`] = (x) => op(x, { dim: -1 });
  golden[`${name} of the middle axis kept`] = (x) => op(x, { dim: 1, keepdim: true });
  golden[`${name} of two axes`] = (x) => op(x, { dim: [0, 2] });
  golden[`special: ${name} of rows`] = (x) => op(x, { dim: 1 });
}
golden['sum of a long axis'] = (x) => x.sum({ dim: 1 });
golden['mean far from zero'] = (x) => x.mean();
golden['sum of booleans'] = (x) => x.sum({ dim: 1 });
golden['sum of integers'] = (x) => x.sum();
golden.var = (x) => x.var();
golden['var of an axis'] = (x) => x.var({ dim: 1, keepdim: true });
golden['var without correction'] = (x) => x.var({ dim: 0, correction: 0 });
golden['var far from zero'] = (x) => x.var({ dim: 1 });
golden.argmax = (x) => x.argmax({ dim: 1 });
golden['argmax of the first axis kept'] = (x) => x.argmax({ dim: 0, keepdim: true });

// Products.
golden.matmul = (a, b) => a.matmul(b);
golden['matmul of a transposed left operand'] = (a, b) => a.transpose().matmul(b);
golden['matmul of a transposed right operand'] = (a, b) => a.matmul(b.transpose());
golden['matmul of a batch'] = golden.matmul;
golden['matmul broadcasts batches'] = golden.matmul;
golden['matmul across tiles'] = golden.matmul;
golden['matmul of a row and a column'] = golden.matmul;

// Shapes.
golden.reshape = (x) => x.reshape([6, -1]).mul(1);
golden['reshape of a transpose'] = (x) => x.transpose().reshape([-1]);
golden.permute = (x) => x.permute([2, 0, 1]);
golden.transpose = (x) => x.transpose(0, 2);
golden.sliceAxis = (x) => x.sliceAxis(1, 1, 6, 2);
golden['sliceAxis from the end'] = (x) => x.sliceAxis(0, -2);
golden.expand = (x) => x.reshape([1, 3, 1]).expand([4, 3, 5]);
golden['squeeze and unsqueeze'] = (x) => x.squeeze(1).unsqueeze(-1);
golden.concat = (...tensors) => dc.concat(tensors, 1);
golden.stack = (...tensors) => dc.stack(tensors, 1);
golden['cast to whole numbers'] = (x) => x.cast('i32');
golden['cast to booleans'] = (x) => x.cast('bool');

// Indexing.
golden.indexSelect = (x, index) => x.indexSelect(1, index);
golden.indexAdd = (x, index, source) => dc.indexAdd(x, 0, index, source);
golden.gather = (x, index) => dc.gather(x, 1, index);
golden['gather along the first axis'] = (x, index) => dc.gather(x, 0, index);
golden.scatterAdd = (x, index, source) => dc.scatterAdd(x, 1, index, source);

// Normalisation and softmax.
golden.softmax = (x) => x.softmax();
golden['softmax of the middle axis'] = (x) => x.softmax({ dim: 1 });
golden['softmax of large logits'] = golden.softmax;
golden.logSoftmax = (x) => x.logSoftmax();
golden['logSoftmax of the first axis'] = (x) => x.logSoftmax({ dim: 0 });
golden['logSoftmax of large logits'] = golden.logSoftmax;
golden.layerNorm = (x, weight, bias) => dc.layerNorm(x, weight, bias);
golden['layerNorm far from zero'] = golden.layerNorm;
golden['layerNorm with another eps'] = (x, weight, bias) => dc.layerNorm(x, weight, bias, { eps: 1e-2 });
golden.groupNorm = (x, weight, bias) => dc.groupNorm(x, 3, weight, bias);
golden['groupNorm of one group a channel'] = (x, weight, bias) => dc.groupNorm(x, 4, weight, bias);

// Convolution.
golden.conv1d = (x, weight) => dc.conv1d(x, weight);
golden['conv1d with bias, stride and padding'] = (x, weight, bias) =>
  dc.conv1d(x, weight, { bias, stride: 2, padding: 2 });
golden['conv1d with dilation'] = (x, weight) => dc.conv1d(x, weight, { dilation: 3, padding: 1 });
golden['conv1d with groups'] = (x, weight) => dc.conv1d(x, weight, { groups: 2, stride: 3 });
golden['conv1d of each channel'] = (x, weight) => dc.conv1d(x, weight, { groups: 4, padding: 1 });
golden.convTranspose1d = (x, weight) => dc.convTranspose1d(x, weight);
golden['convTranspose1d with everything'] = (x, weight, bias) =>
  dc.convTranspose1d(x, weight, { bias, stride: 3, padding: 2, outputPadding: 1, dilation: 2, groups: 2 });

// Networks.
golden.crossEntropy = (logits, labels) => nn.crossEntropy(logits, labels);
golden.mseLoss = (prediction, target) => nn.mseLoss(prediction, target);
golden.linear = (x, weight, bias) => x.matmul(weight.transpose()).add(bias);
golden['scaled dot-product attention'] = (query, key, value) =>
  query.matmul(key.transpose()).div(2).softmax().matmul(value);
golden['multi-head attention'] = (x, wq, bq, wk, bk, wv, bv, wo, bo) => {
  const attention = new nn.MultiHeadAttention(8, 2, nn.keySequence(1));
  const set = (layer: nn.Linear, weight: Tensor, bias: Tensor) => Object.assign(layer, { weight, bias });
  set(attention.qProj, wq, bq);
  set(attention.kProj, wk, bk);
  set(attention.vProj, wv, bv);
  set(attention.outProj, wo, bo);
  return attention.forward(x);
};
golden['two layers and a loss'] = (x, w1, b1, w2, labels) => {
  const normalised = dc.layerNorm(x.matmul(w1).add(b1), dc.ones([16]), dc.zeros([16]));
  return nn.crossEntropy(normalised.gelu().matmul(w2), labels);
};
golden['three steps of AdamW'] = (weight, ...gradients) => {
  const parameter = weight.mul(1).retain();
  const optimizer = new optim.AdamW(new Map([['weight', parameter]]), {
    betas: [0.9, 0.98],
    eps: 1e-6,
    weightDecay: 0.01,
  });
  for (const gradient of gradients) optimizer.step(new Map([['weight', gradient]]), 1e-2);
  return parameter.mul(1);
};

// What NaN, infinities and ties give.
for (const [name, op] of names({
  ...{ neg, abs, square, exp, exp2, expm1, log, log2, log10, log1p, sqrt, rsqrt, reciprocal, sin, cos, tan, asin, acos },
  ...{ atan, sinh, cosh, tanh, asinh, acosh, atanh, sigmoid, erf, floor, ceil, round, trunc, sign, relu, elu, silu },
  ...{ softplus: dc.softplus },
})) {
  golden[`special: ${name}`] = (x) => op(x);
}
for (const [name, op] of names({ add, sub, mul, div, maximum, minimum, eq, ne, lt, le, gt, ge, pow: dc.pow, atan2 })) {
  golden[`special: ${name}`] = (a, b) => op(a, b);
}
golden['special: argmax takes the first of equals'] = (x) => x.argmax({ dim: 1 });
golden['special: argmax takes a NaN'] = (x) => x.argmax({ dim: 1 });
golden['special: softmax with minus infinity'] = (x) => x.softmax();
golden['special: softmax of NaN and infinity'] = (x) => x.softmax();
golden['special: softmax of nothing but minus infinity'] = (x) => x.softmax();
golden['special: gradient of abs and relu at zero'] = (x) => x.abs().add(x.relu());
golden['special: gradient of maximum at ties'] = (a, b) => a.maximum(b);
golden['special: gradient of minimum at ties'] = (a, b) => a.minimum(b);
golden['special: gradient of max at ties'] = (x) => x.max({ dim: 1 });
golden['special: gradient of min at ties'] = (x) => x.min({ dim: 1 });
golden['special: gradient of sqrt at zero'] = (x) => x.sqrt();
golden['special: gradient of where leaves NaN out'] = (condition, x) => dc.where(condition, x, 0);
golden['special: matmul with an infinity'] = (a, b) => a.matmul(b);
golden['special: sum of nothing'] = (x) => x.sum({ dim: 0 });
