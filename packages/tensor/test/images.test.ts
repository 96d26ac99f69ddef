import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, drawn, randomFrom, runs, upload } from './arbitraries.ts';
import { pooling } from './cases/images.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import { build } from './reference/array.ts';
import * as reference from './reference/images.ts';
import * as products from './reference/products.ts';

const f32 = (...shape: number[]) => t.zeros(shape);

test('avgPool2d counts the padding, or does not', async () => {
  const draws = drawn({ maxRank: 0 }, (_, random) => {
    const { planes, size, attributes } = pooling(random);
    return { x: arrayOf([...planes, ...size], random), attributes: { ...attributes, dilation: [1, 1] as const } };
  });
  await fc.assert(
    fc.asyncProperty(draws, fc.boolean(), async ({ x, attributes }, countIncludePad) => {
      const { kernel, stride, padding } = attributes;
      const out = t.scope(() => t.avgPool2d(upload(x), kernel, { stride, padding, countIncludePad }));
      await assertMatches('avgPool2d', out, reference.avgPool2d(x, attributes, countIncludePad));
      out.dispose();
    }),
    runs,
  );
});

test('pools along one axis are those of one row', async () => {
  const x = t.tensor([[[1, 5, 2, 8, 3, 9, 4]]]);
  assert.equal(await t.maxPool1d(x, 2).toArray(), [[[5, 8, 9]]]);
  assert.equal(await t.maxPool1d(x, 3, { stride: 2, padding: 1 }).toArray(), [[[5, 8, 9, 9]]]);
  assert.equal(await t.maxPool1d(x, 2, { stride: 1, dilation: 4 }).toArray(), [[[3, 9, 4]]]);
  assert.equal(await t.avgPool1d(x, 2).toArray(), [[[3, 5, 6]]]);
  assert.equal(await t.avgPool1d(x, 4, { stride: 4, padding: 2 }).toArray(), [[[1.5, 5.5]]]);
  assert.equal(await t.avgPool1d(x, 4, { stride: 4, padding: 2, countIncludePad: false }).toArray(), [[[3, 5.5]]]);
});

test('a window that dilation carries over the whole plane has no largest element', async () => {
  const sizes = { kernel: [1, 2], stride: [1, 1], padding: [0, 1], dilation: [1, 4] } as const;
  const [values, indices] = t.apply('maxPool2d', [t.ones([1, 1, 1, 3])], sizes);
  assert.equal(await values.toArray(), [[[[Number.NEGATIVE_INFINITY]]]]);
  assert.equal(await indices.toArray(), [[[[-1]]]]);
});

test('conv2d with one number for both axes, and its bias', async () => {
  const random = randomFrom(1);
  const [x, weight, bias] = [arrayOf([2, 4, 9, 7], random), arrayOf([6, 2, 3, 3], random), arrayOf([6], random)];
  const sizes = { stride: [2, 2], padding: [1, 1], dilation: [1, 1], groups: 2 } as const;
  const y = reference.conv2d(x, weight, sizes);
  const out = t.scope(() =>
    t.conv2d(upload(x), upload(weight), { stride: 2, padding: 1, groups: 2, bias: upload(bias) }),
  );
  const shifted = build(y.shape, 'f32', ([, c], flat) => y.data[flat] + bias.data[c]);
  await assertMatches('conv2d', out, { ...shifted, scale: y.scale }, { relative: 1e-6, absolute: 1e-6 });
});

test('convTranspose2d is as large as PyTorch makes it', async () => {
  const random = randomFrom(2);
  for (const extra of [0, 1, [0, 2], [3, 1], [3, 4]] as const) {
    const [rows, columns] = typeof extra === 'number' ? [extra, extra] : extra;
    const [x, weight, bias] = [arrayOf([2, 4, 3, 5], random), arrayOf([4, 3, 4, 2], random), arrayOf([6], random)];
    const sizes = { stride: [3, 2], padding: [1, 2], dilation: [4, 5], groups: 2 } as const;
    const size = [2 * 3 - 2 + 4 * 3 + 1 + rows, 4 * 2 - 4 + 5 + 1 + columns] as const;
    const out = t.scope(() =>
      t.convTranspose2d(upload(x), upload(weight), { ...sizes, outputPadding: extra, bias: upload(bias) }),
    );
    const y = reference.convTranspose2d(x, weight, { ...sizes, size });
    const shifted = build(y.shape, 'f32', ([, c], flat) => y.data[flat] + bias.data[c]);
    await assertMatches('convTranspose2d', out, { ...shifted, scale: y.scale }, { relative: 1e-6, absolute: 1e-6 });
  }
});

test('conv2d of one row is conv1d', async () => {
  const random = randomFrom(3);
  const [x, weight] = [arrayOf([2, 3, 1, 40], random), arrayOf([5, 3, 1, 4], random)];
  const out = t.scope(() => t.conv2d(upload(x), upload(weight), { stride: [1, 3], padding: [0, 2] }));
  const flat = products.conv1d(
    { ...x, shape: [2, 3, 40] },
    { ...weight, shape: [5, 3, 4] },
    { stride: 3, padding: 2, dilation: 1, groups: 1 },
  );
  await assertMatches('conv2d', out, { ...flat, shape: [2, 5, 1, flat.shape[2]] }, { relative: 1e-6 });
});

const misuses: Record<string, [body: () => unknown, ...parts: string[]]> = {
  'channels that do not fit': [
    () => t.conv2d(f32(1, 4, 8, 8), f32(3, 2, 1, 1)),
    'conv2d',
    '[1, 4, 8, 8]',
    '[3, 2, 1, 1]',
  ],
  'a kernel over the image': [() => t.conv2d(f32(1, 2, 4, 8), f32(3, 2, 5, 1)), 'conv2d', '5 x 1', '[1, 2, 4, 8]'],
  'an image without a batch': [() => t.conv2d(f32(2, 8, 8), f32(3, 2, 1, 1)), 'conv2d', '[2, 8, 8]'],
  'a stride of nothing': [() => t.conv2d(f32(1, 2, 8, 8), f32(3, 2, 1, 1), { stride: [1, 0] }), 'conv2d', '[1,0]'],
  'groups of nothing': [() => t.conv2d(f32(1, 2, 8, 8), f32(3, 2, 1, 1), { groups: 0 }), 'conv2d', 'groups 0'],
  'a bias of other channels': [
    () => t.conv2d(f32(1, 2, 8, 8), f32(1, 2, 1, 1), { bias: f32(3) }),
    'conv2d',
    'bias',
    '[3]',
    '1 channels',
  ],
  'whole numbers': [() => t.conv2d(f32(1, 2, 8, 8).cast('i32'), f32(1, 2, 1, 1)), 'conv2d', 'i32', 'cast'],
  'channels of a transpose': [
    () => t.convTranspose2d(f32(1, 4, 8, 8), f32(3, 2, 1, 1)),
    'convTranspose2d',
    '[1, 4, 8, 8]',
    '[3, 2, 1, 1]',
  ],
  'too much output padding': [
    () => t.convTranspose2d(f32(1, 2, 8, 8), f32(2, 3, 4, 4), { stride: 2, outputPadding: [0, 2] }),
    'convTranspose2d',
    'outputPadding is 2',
    'stride 2',
  ],
  'padding that eats the output': [
    () => t.convTranspose2d(f32(1, 2, 1, 1), f32(2, 3, 2, 2), { padding: 3 }),
    'convTranspose2d',
    '-4',
  ],
  'a gradient of another size': [
    () =>
      t.apply('conv2dWeightGradient', [f32(1, 2, 4, 4), f32(1, 2, 4, 4)], {
        stride: [1, 1],
        padding: [0, 0],
        dilation: [1, 1],
        groups: 1,
        kernel: [2, 2],
      }),
    'conv2dWeightGradient',
    '[1, 2, 4, 4]',
  ],
  'padding over half of a window': [
    () => t.maxPool2d(f32(1, 2, 8, 8), 2, { padding: 2 }),
    'maxPool2d',
    'padding',
    'half',
  ],
  'a window over the image': [() => t.maxPool2d(f32(1, 2, 2, 8), 3), 'maxPool2d', '3 x 3', '[1, 2, 2, 8]'],
  'a window of nothing': [() => t.maxPool2d(f32(1, 2, 8, 8), 0), 'maxPool2d', 'kernel [0,0]'],
  'indices of floats': [
    () =>
      t.apply('maxPool2dBackward', [f32(1, 1, 2, 2), f32(1, 1, 2, 2)], {
        kernel: [2, 2],
        stride: [2, 2],
        padding: [0, 0],
        dilation: [1, 1],
        size: [4, 4],
      }),
    'maxPool2dBackward',
    'i32',
  ],
  'a plane without channels': [() => t.avgPool2d(f32(2, 8, 8), 2), 'avgPool2d', '[2, 8, 8]'],
  'a signal without channels': [() => t.maxPool1d(f32(2, 8), 2), 'maxPool1d', '[2, 8]'],
  'padding over half of a mean': [() => t.avgPool1d(f32(2, 1, 8), 2, { padding: 2 }), 'avgPool2d', 'half'],
};

for (const [what, [body, ...parts]] of Object.entries(misuses)) {
  test(`${what} is an error that names the operation and what it was given`, () => {
    let message = '';
    try {
      t.scope(() => {
        body();
      });
    } catch (error) {
      message = (error as Error).message;
    }
    for (const part of parts) assert.ok(message.includes(part), `"${message}" does not mention "${part}"`);
  });
}

test.run();
