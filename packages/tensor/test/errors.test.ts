import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { device } from './device.ts';

const f32 = (...shape: number[]) => t.zeros(shape);
const i32 = (...shape: number[]) => t.zeros(shape, { dtype: 'i32' });
const bool = (...shape: number[]) => t.zeros(shape, { dtype: 'bool' });
const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);

/** Misuse, and what its message has to contain. */
const misuses: Record<string, [body: () => unknown, ...parts: string[]]> = {
  'shapes that do not broadcast': [() => t.add(f32(2, 3), f32(2)), 'add', '[2, 3]', '[2]'],
  'three shapes that do not broadcast': [() => t.where(bool(2), f32(3), f32(1)), 'where', '[2]', '[3]'],
  'a condition that is no boolean': [() => t.where(f32(2), f32(2), f32(2)), 'where', 'f32', 'bool'],
  'whole numbers of 64 bits': [() => t.tensor(BigInt64Array.of(1n) as never), 'BigInt64Array', "as: 'i32'", 'Number'],
  'options in the place of an index': [() => t.gather(f32(2, 3), 1, { dim: 1 } as never), 'gather', 'no tensor', 'i32'],
  'options in the place of axes': [() => t.flip(f32(2, 3), { dim: 1 } as never), 'flip', '"dim"', 'whole number'],
  'numbers alone': [() => t.add(1, 2), 'add', 'tensor'],
  'an operand of another kind': [() => t.mul(f32(2), '3' as never), 'mul', 'string'],

  'bits of floats': [() => t.bitwiseAnd(f32(2), i32(2)), 'bitwiseAnd', 'f32', 'cast'],
  'floats to shift': [() => t.bitwiseLeftShift(i32(2), f32()), 'bitwiseLeftShift', 'f32', 'cast'],
  'a complement of floats': [() => t.bitwiseNot(f32(2)), 'bitwiseNot', 'f32', 'cast'],
  'bounds that are none': [() => t.clamp(f32(2), {}), 'clamp', 'min', 'max'],
  'bounds that do not broadcast': [() => t.clamp(f32(2), { min: f32(3), max: f32() }), 'clamp', '[2]', '[3]'],

  'inner dimensions that differ': [() => t.matmul(f32(2, 3), f32(4, 5)), 'matmul', '[2, 3]', '[4, 5]', '3', '4'],
  'a vector in a product of matrices': [
    () => t.apply('matmul', [f32(3), f32(3, 5)], {}),
    'matmul',
    '[3]',
    '[3, 5]',
    'unsqueeze',
  ],
  'a vector of another length in a product': [() => t.matmul(f32(4), f32(3, 5)), 'matmul', '4 and 3', '[4]', '[3, 5]'],
  'a scalar in a product': [() => t.matmul(f32(3, 5), f32()), 'matmul', '[3, 5]', '[]', 'use mul'],
  'a letter of two sizes in einsum': [
    () => t.einsum('ij,jk->ik', f32(3, 5), f32(4, 6)),
    'einsum',
    "'j'",
    '5 in operand 0',
    '4 in operand 1',
    '[3, 5] and [4, 6]',
  ],
  'batches that do not broadcast': [() => t.matmul(f32(2, 3, 4), f32(3, 4, 5)), 'matmul', '[2]', '[3]'],
  'whole numbers in a product of floats': [
    () => t.apply('matmul', [i32(2, 3), f32(3, 5)], {}),
    'matmul',
    'i32',
    'cast',
  ],

  'an axis that does not exist': [() => t.sum(f32(2, 3), { dim: 2 }), 'sum', 'axis 2', 'rank 2'],
  'an axis given twice': [() => t.sum(f32(2, 3), { dim: [1, -1] }), 'sum', 'twice'],
  'an axis that is no whole number': [() => t.max(f32(2, 3), { dim: 0.5 }), 'max', '0.5'],
  'the largest of nothing': [() => t.max(f32(2, 0), { dim: 1 }), 'max', '[2, 0]'],
  'the smallest of nothing': [() => t.min(f32(0)), 'min', '[0]'],
  'argmax of nothing': [() => t.argmax(f32(0, 2), { dim: 0 }), 'argmax', '[0, 2]'],
  'argmax of booleans': [() => t.argmax(bool(2), { dim: 0 }), 'argmax', 'bool', 'cast'],
  'the mean of whole numbers': [() => t.mean(i32(2)), 'mean', 'i32', 'cast'],
  'the largest of booleans': [() => t.max(bool(2)), 'max', 'bool', 'cast'],
  'the variance of whole numbers': [() => t.variance(i32(3)), 'var:', 'i32[3]', 'cast'],
  'the deviation of whole numbers': [() => t.std(i32(3)), 'std:', 'i32[3]', 'cast'],
  'an axis of a norm': [() => t.norm(f32(3), { dim: 1 }), 'norm:', 'axis 1'],
  'a norm by name': [() => t.norm(f32(3), { p: 'fro' as never }), 'norm:', 'fro'],
  'an axis of any': [() => t.any(f32(3), { dim: 1 }), 'any:', 'axis 1'],
  'an axis of all': [() => t.all(f32(3), { dim: 1 }), 'all:', 'axis 1'],
  'an axis of a sort': [() => t.sort(f32(3), { dim: 1 }), 'sort:', 'axis 1'],
  'an axis by NumPy’s name': [() => t.sum(f32(3), { axis: 0 } as never), 'sum:', "'axis'", 'dim'],
  'an axis for options': [() => t.mean(f32(3, 2), 1 as never), 'mean:', '{ dim: 1 }'],

  'softmax of a scalar': [() => t.softmax(f32()), 'softmax', 'scalar'],
  'softmax of whole numbers': [() => t.softmax(i32(2)), 'softmax', 'i32[2]'],
  'softmax along no axis': [() => t.logSoftmax(f32(2), { dim: 1 }), 'logSoftmax', 'axis 1'],
  'a weight of another width': [() => t.layerNorm(f32(2, 3), f32(4), f32(3)), 'layerNorm', 'weight', '[4]', '[2, 3]'],
  'a bias of another width': [() => t.layerNorm(f32(2, 3), f32(3), f32(3, 1)), 'layerNorm', 'bias', '[3, 1]'],
  'groups that do not divide': [() => t.groupNorm(f32(2, 6, 3), 4, f32(6), f32(6)), 'groupNorm', '[2, 6, 3]', '4'],
  'no groups': [() => t.groupNorm(f32(2, 6, 3), 0, f32(6), f32(6)), 'groupNorm', '0 groups'],

  'a kernel longer than its input': [() => t.conv1d(f32(1, 2, 4), f32(3, 2, 5)), 'conv1d', '4', '5'],
  'a reach longer than its input': [() => t.conv1d(f32(1, 2, 8), f32(3, 2, 5), { dilation: 2 }), 'conv1d', '8', '9'],
  'wrong groups': [
    () => t.conv1d(f32(1, 4, 8), f32(3, 2, 1), { groups: 2 }),
    'conv1d',
    '[1, 4, 8]',
    '[3, 2, 1]',
    '2 groups',
  ],
  'wrong channels': [() => t.conv1d(f32(1, 4, 8), f32(3, 2, 1)), 'conv1d', '[1, 4, 8]', '[3, 2, 1]'],
  'a kernel without taps': [() => t.conv1d(f32(1, 2, 4), f32(3, 2, 0)), 'conv1d', '[3, 2, 0]'],
  'a signal without a batch axis': [() => t.conv1d(f32(2, 8), f32(3, 2, 1)), 'conv1d', '[2, 8]'],
  'a stride of nothing': [() => t.conv1d(f32(1, 2, 8), f32(3, 2, 1), { stride: 0 }), 'conv1d', 'stride 0'],
  'padding below zero': [() => t.conv1d(f32(1, 2, 8), f32(3, 2, 1), { padding: -1 }), 'conv1d', 'padding -1'],
  'a bias for other channels': [
    () => t.conv1d(f32(1, 2, 8), f32(1, 2, 1), { bias: f32(3) }),
    'conv1d',
    'bias',
    '[3]',
    '1',
  ],
  'wrong channels of a transpose': [
    () => t.convTranspose1d(f32(1, 4, 8), f32(3, 2, 1)),
    'convTranspose1d',
    '[1, 4, 8]',
    '[3, 2, 1]',
  ],
  'too much output padding': [
    () => t.convTranspose1d(f32(1, 2, 8), f32(2, 3, 4), { stride: 2, outputPadding: 2 }),
    'convTranspose1d',
    'outputPadding is 2',
    'stride 2',
  ],
  'padding that eats the output': [
    () => t.convTranspose1d(f32(1, 2, 1), f32(2, 3, 2), { padding: 3 }),
    'convTranspose1d',
    '-4',
  ],
  'a bias for other channels of a transpose': [
    () => t.convTranspose1d(f32(1, 2, 8), f32(2, 1, 4), { bias: f32(2) }),
    'convTranspose1d',
    'bias',
    '[2]',
  ],

  'an index of floats': [() => t.indexSelect(f32(2, 3), 0, f32(2)), 'indexSelect', 'f32[2]', 'i32'],
  'an index of two axes': [() => t.indexSelect(f32(2, 3), 0, i32(2, 1)), 'indexSelect', '[2, 1]'],
  'an index of another shape': [() => t.gather(f32(2, 3), 0, i32(2, 4)), 'gather', '[2, 4]', '[2, 3]'],
  'an index for other rows': [() => t.indexAdd(f32(2, 3), 0, i32(4), f32(3, 3)), 'indexAdd', '[4]', '[3, 3]'],
  'rows of another width': [() => t.indexAdd(f32(2, 1), 0, i32(4), f32(4, 3)), 'indexAdd', '[4, 3]', '[2, 1]'],
  'narrower rows': [() => t.indexAdd(f32(2, 3), 0, i32(4), f32(4, 1)), 'indexAdd', '[4, 1]', '[2, 3]'],
  'a source of another shape': [
    () => t.scatterAdd(f32(2, 3), 1, i32(2, 3), f32(2, 2)),
    'scatterAdd',
    '[2, 2]',
    '[2, 3]',
  ],
  'a source of another width': [
    () => t.scatterAdd(f32(2, 1), 0, i32(2, 3), f32(2, 3)),
    'scatterAdd',
    '[2, 3]',
    '[2, 1]',
  ],
  'nothing to join': [() => t.concat([]), 'concat'],
  'scalars to join': [() => t.concat([f32(), f32()]), 'concat', 'rank 0'],
  'shapes that do not join': [() => t.concat([f32(2, 3), f32(2, 4)], 0), 'concat', '[2, 3]', '[2, 4]'],
  'dtypes that do not join': [() => t.apply('concat', [f32(2), i32(2)], { axis: 0 }), 'concat', 'f32[2]', 'i32[2]'],
  'tensors to join one by one': [() => t.concat(f32(2) as never, 0), 'concat', 'array'],
  'shapes that do not stack': [() => t.stack([f32(2), f32(3)]), 'stack', '[2]', '[3]'],
  'an axis to stack along': [() => t.stack([f32(2), f32(2)], 2), 'stack', 'axis 2', 'rank 2'],
  'nothing to stack': [() => t.stack([]), 'stack'],

  'a shape of another size': [() => f32(2, 3).reshape([4]), 'reshape', '[2, 3]', '[4]'],
  'two unknown extents': [() => f32(2, 3).reshape([-1, -1]), 'reshape', '[-1, -1]'],
  'an unknown extent that is not whole': [() => f32(2, 3).reshape([4, -1]), 'reshape', '[4, -1]'],
  'nine axes': [() => f32(1).reshape([1, 1, 1, 1, 1, 1, 1, 1, 1]), 'reshape', 'rank 9', '8'],
  'an axis named twice': [() => f32(2, 3).permute([0, 0]), 'permute', '[0,0]', '[2, 3]'],
  'an axis left out': [() => f32(2, 3).permute([1]), 'permute', '[2, 3]'],
  'a step of nothing': [() => f32(4).sliceAxis(0, 0, 4, 0), 'sliceAxis', 'step 0'],
  'a bound that is no whole number': [() => f32(4).sliceAxis(0, 0.5), 'sliceAxis', '0.5'],
  'a stretch of more than one': [() => f32(2, 3).expand([4, 3]), 'expand', '[2, 3]', '[4, 3]'],
  'fewer axes': [() => f32(2, 3).expand([3]), 'expand', '[2, 3]', '[3]'],
  'a squeeze of more than one': [() => f32(2, 3).squeeze(0), 'squeeze', '[2, 3]', 'extent 2'],
  'a new axis too far': [() => f32(2).unsqueeze(3), 'unsqueeze', 'axis 3'],

  'an axis squeezed that is wide': [() => f32(2, 3).squeeze([0, 1]), 'squeeze', '[2, 3]', 'extent 2'],
  'a new axis twice': [() => f32(2).unsqueeze([0, 0]), 'unsqueeze', 'twice'],
  'axes the wrong way round': [() => f32(2, 3).flatten(1, 0), 'flatten', '[2, 3]'],
  'an axis that does not divide': [() => f32(2, 6).unflatten(1, [4, -1]), 'unflatten', '[2, 6]', '[4, -1]'],
  'moves without a place': [() => f32(2, 3).movedim([0, 1], 0), 'movedim', '0,1'],
  'more indices than axes': [() => f32(2, 3).slice(0, [], []), 'slice', '3 indices', '[2, 3]'],
  'an index outside': [() => f32(2, 3).slice([], -4), 'slice', '-4', '[2, 3]', '-3..2'],
  'an index that is no whole number': [() => f32(4).slice(0.5), 'slice', '0.5'],
  'a range that is no whole number': [() => f32(4).slice([0.5, 2]), 'slice', '0.5'],
  'a range of four parts': [() => f32(4).slice([0, 1, 2, 3]), 'slice', '4 parts'],
  'a range without a step': [() => f32(4).slice([0, 1, 0]), 'slice', 'step 0'],
  'two ellipses': [() => f32(4).slice('...', '...'), 'slice', 'twice'],
  'an index that is none': [() => f32(4).slice({} as never), 'slice', 'Index'],
  'a mask as an index': [() => f32(4).slice(bool(4)), 'slice', 'bool', 'maskedSelect'],
  'floats as an index': [() => f32(4).slice(f32(2)), 'slice', 'f32', 'cast'],
  'index tensors that do not broadcast': [() => f32(4, 4).slice(i32(2), i32(3)), 'slice', '[2]', '[3]'],
  'a selection outside': [() => f32(2, 3).select(1, 3), '3', '[2, 3]'],
  'elements that are not there': [() => f32(2, 3).narrow(1, 2, 2), 'narrow', '[2, 3]', '2 elements'],
  'sizes that do not add up': [() => t.split(f32(5), [2, 2]), 'split', '2,2', '4', '5'],
  'parts of nothing': [() => t.split(f32(5), 0), 'split', 'size 0'],
  'no chunks': [() => t.chunk(f32(5), 0), 'chunk', '0'],
  'more to mirror than there is': [() => t.pad(f32(3), [3, 0], { mode: 'reflect' }), 'pad', '[3]', 'reflect', '2'],
  'nothing to repeat': [() => t.pad(f32(0), [1, 0], { mode: 'replicate' }), 'pad', '[0]', 'replicate'],
  'padding for more axes': [() => t.pad(f32(3), [1, 1, 1, 1]), 'pad', '1,1,1,1', '[3]'],
  'more cut than there is': [() => t.pad(f32(3), [-2, -2]), 'pad', '[3]', '4'],
  'shifts without axes': [() => t.roll(f32(2, 3), [1, 2]), 'roll', '2 shifts'],
  'repeats of half': [() => t.tile(f32(3), [0.5]), 'tile', '0.5'],
  'repeats for fewer axes': [() => t.repeat(f32(2, 3), [2]), 'repeat', '[2, 3]', 'tile'],
  'the diagonal of one axis': [() => t.diagonal(f32(2, 3), { dim1: 1, dim2: -1 }), 'diagonal', '[2, 3]', 'twice'],
  'a triangle of a vector': [() => t.tril(f32(3)), 'tril', '[3]'],
  'a mask that is none': [() => t.maskedFill(f32(3), f32(3), 0), 'maskedFill', 'f32[3]', 'bool'],
  'classes of floats': [() => t.oneHot(f32(3), { classes: 2 }), 'oneHot', 'f32[3]', 'cast'],
  'a grid of matrices': [() => t.meshgrid([f32(2), f32(2, 3)]), 'meshgrid', '[2, 3]'],
  'steps of booleans': [() => t.arange(0, 2, 1, { dtype: 'bool' }), 'arange', 'bool'],
  'a count below zero': [() => t.linspace(0, 1, -1), 'linspace', '-1'],

  'sums of booleans on the way': [
    () => t.apply('cumsum', [bool(2)], { axis: 0, reverse: false }),
    'cumsum',
    'bool',
    'cast',
  ],
  'a scan along no axis': [() => t.cumsum(f32(2), { dim: 1 }), 'cumsum', 'axis 1'],
  'factors of another shape': [() => t.linearRecurrence(f32(2), f32(3), { dim: 0 }), 'linearRecurrence', '[2]', '[3]'],
  'whole factors': [() => t.linearRecurrence(i32(2), f32(2), { dim: 0 }), 'linearRecurrence', 'i32[2]', 'cast'],
  'segments for other rows': [() => t.segmentSum(f32(3, 2), i32(2), { count: 2 }), 'segmentSum', '[2]', '[3, 2]'],
  'no count of segments': [() => t.segmentSum(f32(3), i32(3), { count: 0.5 }), 'segmentSum', '0.5'],
  'more than there are': [() => t.topk(f32(2, 3), 4), 'topk', '4', '[2, 3]'],
  'the middle of nothing': [() => t.median(f32(2, 0), { dim: 1 }), 'median', '[2, 0]'],
  'a share above one': [() => t.quantile(f32(3), 1.5, { dim: 0 }), 'quantile', '1.5'],
  'a search in other rows': [() => t.searchSorted(f32(2, 3), f32(3, 3)), 'searchSorted', '[3, 3]', '[2, 3]'],
  'a search in another dtype': [() => t.searchSorted(f32(3), i32(3)), 'searchSorted', 'i32', 'f32', 'cast'],
  'argmin of nothing': [() => t.argmin(f32(0, 2), { dim: 0 }), 'argmin', '[0, 2]'],
  'the product of booleans': [() => t.apply('prod', [bool(2)], { axes: [0], keepdim: false }), 'prod', 'bool', 'cast'],

  'ragged arrays': [() => t.tensor([[1, 2], [3]]), 'tensor', 'ragged', '1', '2'],
  'a number among arrays': [() => t.tensor([[1], 2]), 'tensor', 'depth'],
  'an array among numbers': [() => t.tensor([1, [2]]), 'tensor', 'ragged'],
  'values that do not fill a shape': [
    () => t.tensor(Float32Array.of(1, 2, 3), { shape: [2, 2] }),
    'tensor',
    '3',
    '[2, 2]',
  ],
  'extents below zero': [() => t.tensor([1, 2], { shape: [-1, -2] }), 'tensor', '[-1, -2]'],
  'broken extents': [() => t.zeros([2, 1.5]), 'zeros', '[2, 1.5]'],
  'extents one by one': [() => (t.reshape as (...list: unknown[]) => unknown)(f32(2, 3), 3, 2), 'reshape', 'array'],
  'axes one by one': [
    () => (t.permute as (...list: unknown[]) => unknown)(f32(2, 3), 1, 0),
    'permute',
    'array',
    'write [1, 0]',
  ],
  'an extent for a shape': [() => t.zeros(3 as never), 'zeros', '3', 'array'],
  'a negative extent of a matrix': [() => t.eye(-1), 'eye', '-1'],
  'NumPy’s name of a dtype': [() => t.zeros([2], { dtype: 'float32' as never }), 'zeros', 'float32', 'f32'],
  'a dtype that is not there': [() => t.tensor([1], { dtype: 'i64' as never }), 'tensor', 'i64', 'i32'],
  'a cast to no dtype': [() => t.cast(f32(2), 'float16' as never), 'cast', 'float16', 'f16'],
  'nothing among numbers': [() => t.tensor([1, undefined as never]), 'tensor', 'undefined', 'numbers'],
  'text for numbers': [() => t.tensor('1' as never), 'tensor', 'string', 'numbers'],
  'tensors among numbers': [() => t.tensor([f32(2) as never]), 'tensor', 'f32[2]', 'stack'],
  'no second operand': [() => t.add(f32(2), undefined as never), 'add', 'undefined'],
  'a number for a matrix': [() => t.matmul(f32(2, 2), 3 as never), 'matmul', 'number'],
  'a number beside i32 that it does not hold': [() => t.add(i32(2), 3e9), 'add', '3000000000', 'i32', 'cast'],
  'a number below zero beside u32': [() => t.mul(t.zeros([2], { dtype: 'u32' }), -1), 'mul', '-1', 'u32'],
  'a bound that i32 does not hold': [() => t.minimum(i32(2), 2 ** 32 - 1), 'minimum', '4294967295', 'i32'],
  'a value that u32 does not hold': [() => t.full([2], -1, { dtype: 'u32' }), 'full', '-1', 'u32'],
  'an element that i32 does not hold': [() => t.tensor([2 ** 31], { dtype: 'i32' }), 'tensor', '2147483648', 'i32'],
  'steps that i32 does not hold': [() => t.arange(3e9, 3e9 + 2), 'arange', '3000000000', 'i32', 'u32'],
  'an index of a selection': [() => t.select(f32(2), 0, 2), 'select', '2', '[2]'],
  'a padding that is none': [() => t.pad(f32(2), [1, 1], { mode: 'edge' as never }), 'pad', 'edge', 'replicate'],
  'a count of repeats below zero': [() => t.repeat(f32(2), [-1]), 'repeat', '-1'],
  'a step of zero': [() => t.arange(0, 1, 0), 'arange', 'step'],

  'a probability of one': [() => t.dropout(f32(2), { p: 1, seed: 0, stream: 0 }), 'dropout', '1'],
  'dropout of whole numbers': [() => t.dropout(i32(2), { p: 0.5, seed: 0, stream: 0 }), 'dropout', 'i32[2]'],
  'bounds the wrong way round': [() => t.uniform([2], { low: 1, high: 0, seed: 0, stream: 0 }), 'uniform', '1', '0'],
  'codes of another width': [() => t.nearestCode(f32(2, 3), f32(5, 4)), 'nearestCode', '[2, 3]', '[5, 4]'],
  'an empty codebook': [() => t.nearestCode(f32(2, 3), f32(0, 3)), 'nearestCode', '[0, 3]'],
  'a step over the binding limit': [
    () => t.zeros([limit / 4 + 64]),
    'zeros',
    `[${limit / 4 + 64}]`,
    String(limit),
    'split',
  ],
};

for (const [what, [body, ...parts]] of Object.entries(misuses)) {
  test(`${what} is an error that names the operation and what it was given`, () => {
    const live = t.scope(() => device.statistics().liveBytes);
    let message: string | undefined;
    try {
      t.scope(() => {
        body();
      });
    } catch (error) {
      assert.not.instance(error, ReferenceError);
      message = (error as Error).message;
    }
    if (message === undefined) return assert.unreachable('nothing was thrown');
    for (const part of parts) assert.ok(message.includes(part), `"${message}" does not mention "${part}"`);
    assert.is(device.statistics().liveBytes, live, 'memory stayed behind');
  });
}

const adamw = { beta1: 0.9, beta2: 0.99, eps: 1e-8, weightDecay: 0, clipNorm: 1 };

test('adamw wants dense vectors of one length, and what goes with them', () => {
  const v = () => f32(4);
  const long = f32(8);
  const wrong: [t.Tensor[], string][] = [
    [[v(), f32(3), v(), v(), v(), v()], 'sums of squares are [3]'],
    [[v(), f32(5).sliceAxis(0, 1), v(), v(), v(), v()], 'offset'],
    [[v(), i32(4), v(), v(), v(), v()], 'i32'],
    [[v(), v(), f32(5), v(), v(), v()], 'the state is [5]'],
    [[v(), v(), long.sliceAxis(0, 4), v(), v(), v()], 'offset'],
    [[v(), v(), v(), f32(5), v(), v()], '[5]'],
    [[v(), v(), v(), long.sliceAxis(0, 4), v(), v()], 'offset'],
    [[v(), v(), v(), long.sliceAxis(0, 0, 8, 2), v(), v()], 'dense'],
    [[v(), v(), v(), v(), i32(4), v()], 'i32[4]'],
    [[v(), v(), v(), v(), v(), v(), f32(3)], 'learning rate is [3]'],
    [[v(), v(), v(), v(), v(), v(), i32()], 'learning rate is i32'],
  ];
  for (const [inputs, part] of wrong) {
    const attributes = { ...adamw, learningRate: 0, growthInterval: 0, ends: true };
    assert.throws(
      () => t.apply('adamw', inputs, attributes),
      (error: Error) => error.message.includes('adamw') && error.message.includes(part),
    );
  }
  assert.throws(() => t.apply('gradientNorm', [f32(8).sliceAxis(0, 4), v()], { begins: true }), /gradientNorm.*offset/);
  assert.throws(() => t.apply('gradientNorm', [v(), f32(3)], { begins: true }), /gradientNorm: the state is \[3\]/);
});

test('a disposed tensor says so', () => {
  const x = f32(2, 3);
  x.dispose();
  for (const use of [() => t.neg(x), () => t.add(f32(2, 3), x), () => x.reshape([6]), () => t.concat([f32(2, 3), x])]) {
    assert.throws(use, (error: Error) => /f32\[2, 3\].*disposed/.test(error.message));
  }
});

test('a disposed tensor says so where nothing would be done to it', () => {
  const x = f32(2, 3);
  x.dispose();
  const uses = [
    () => x.reshape([2, 3]),
    () => x.expand([2, 3]),
    () => x.cast('f32'),
    () => t.contiguous(x),
    () => t.dropout(x, { p: 0, seed: 0, stream: 0 }),
    () => t.matmul(x, x.reshape([3, 2])),
  ];
  for (const use of uses) assert.throws(use, (error: Error) => /f32\[2, 3\].*disposed/.test(error.message));
});

test('reading a disposed tensor is a rejection', async () => {
  const x = f32(2);
  x.dispose();
  try {
    await x.data();
  } catch (error) {
    return assert.match((error as Error).message, 'disposed');
  }
  assert.unreachable('nothing was thrown');
});

test('item wants one element', async () => {
  try {
    await f32(2, 3).item();
  } catch (error) {
    return assert.match((error as Error).message, 'item: [2, 3]');
  }
  assert.unreachable('nothing was thrown');
});

test.run();
