import { test } from 'uvu';
import { apply, conv1d, convTranspose1d, scope, tensor } from '../src/index.ts';
import { arrayOf, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import { build } from './reference/array.ts';
import * as reference from './reference/products.ts';

const tolerance = { relative: 1e-6 };
const plain = { stride: 1, padding: 0, dilation: 1, groups: 1 };

test('the layers of a wav2vec 2.0 encoder and its positional convolution', async () => {
  const random = randomFrom(1);
  const layers = [
    { channels: [1, 20], kernel: 10, length: 403, sizes: { ...plain, stride: 5 } },
    { channels: [20, 9], kernel: 3, length: 79, sizes: { ...plain, stride: 2 } },
    { channels: [32, 32], kernel: 128, length: 49, sizes: { ...plain, padding: 64, groups: 16 } },
  ];
  for (const { channels, kernel, length, sizes } of layers) {
    const [from, to] = channels;
    const x = arrayOf([2, from, length], random);
    const weight = arrayOf([to, from / sizes.groups, kernel], random);
    const y = reference.conv1d(x, weight, sizes);
    const grad = arrayOf(y.shape, random);
    const outputs = scope(() => [
      conv1d(upload(x), upload(weight), sizes),
      apply('convTranspose1d', [upload(grad), upload(weight)], { ...sizes, length })[0],
      apply('conv1dWeightGradient', [upload(x), upload(grad)], { ...sizes, kernel })[0],
    ]);
    await assertMatches('conv1d', outputs[0], y, tolerance);
    await assertMatches(
      'input gradient',
      outputs[1],
      reference.convTranspose1d(grad, weight, { ...sizes, length }),
      tolerance,
    );
    await assertMatches(
      'weight gradient',
      outputs[2],
      reference.conv1dWeightGradient(x, grad, { ...sizes, kernel }),
      tolerance,
    );
  }
});

test('long weight gradients are summed in splits', async () => {
  const random = randomFrom(2);
  // Splits hold 256 steps at least: on the edge, just over it, and several, cut in the middle of a batch element.
  for (const [batch, length] of [
    [1, 256],
    [1, 257],
    [3, 331],
    [2, 2049],
  ]) {
    for (const sizes of [plain, { stride: 2, padding: 1, dilation: 2, groups: 2 }]) {
      const x = arrayOf([batch, 4, length], random);
      const outLength = reference.convOutputLength(length, 3, sizes);
      const grad = arrayOf([batch, 6, outLength], random);
      const out = scope(() => apply('conv1dWeightGradient', [upload(x), upload(grad)], { ...sizes, kernel: 3 })[0]);
      const expected = reference.conv1dWeightGradient(x, grad, { ...sizes, kernel: 3 });
      await assertMatches(`${batch} x ${length}`, out, expected, tolerance);
    }
  }
});

test('bias is added to each channel', async () => {
  const random = randomFrom(3);
  const [x, weight, bias] = [arrayOf([2, 3, 11], random), arrayOf([5, 3, 2], random), arrayOf([5], random)];
  const out = scope(() => conv1d(upload(x), upload(weight), { bias: upload(bias) }));
  const y = reference.conv1d(x, weight, plain);
  const shifted = build(y.shape, 'f32', ([, c], flat) => y.data[flat] + bias.data[c]);
  await assertMatches('conv1d with bias', out, { ...shifted, scale: y.scale }, { relative: 1e-6, absolute: 1e-6 });
});

test('transposed convolution is as long as PyTorch makes it', async () => {
  const random = randomFrom(4);
  // As much as the larger of stride and dilation allows; from the stride on, with zeros behind the input.
  const cases = [
    ...[0, 1, 2].map((outputPadding) => ({ stride: 3, padding: 2, dilation: 2, outputPadding })),
    ...[2, 3, 4].map((outputPadding) => ({ stride: 2, padding: 4, dilation: 5, outputPadding })),
    ...[1, 2].map((outputPadding) => ({ stride: 1, padding: 0, dilation: 3, outputPadding })),
  ];
  for (const { outputPadding, ...own } of cases) {
    const sizes = { ...own, groups: 2 };
    const [x, weight, bias] = [arrayOf([2, 4, 7], random), arrayOf([4, 3, 4], random), arrayOf([6], random)];
    const length = 6 * own.stride - 2 * own.padding + own.dilation * 3 + 1 + outputPadding;
    const out = scope(() =>
      convTranspose1d(upload(x), upload(weight), { ...sizes, outputPadding, bias: upload(bias) }),
    );
    const y = reference.convTranspose1d(x, weight, { ...sizes, length });
    const shifted = build(y.shape, 'f32', ([, c], flat) => y.data[flat] + bias.data[c]);
    await assertMatches('convTranspose1d', out, { ...shifted, scale: y.scale }, { relative: 1e-6, absolute: 1e-6 });
  }
});

test('a convolution by hand', async () => {
  const out = conv1d(tensor([[[1, 2, 3, 4]]]), tensor([[[1, 10, 100]]]), { padding: 1 });
  const expected = { dtype: 'f32' as const, shape: [1, 1, 4], data: Float64Array.of(210, 321, 432, 43) };
  await assertMatches('cross-correlation', out, expected);
});

test.run();
