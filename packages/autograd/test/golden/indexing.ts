/** The engine's side of indexing.py: what each of its cases is called here. */
import * as dc from '@dawnchorus/tensor';
import type { Tensor } from '@dawnchorus/tensor';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

// Ranges, numbers and new axes.
golden['slice of ranges'] = (x) => x.slice([1, 3], [], [2]);
golden['slice of numbers'] = (x) => x.slice(2, [], -1);
golden['slice with steps'] = (x) => x.slice([null, null, 2], [1, null, 3]);
golden['slice from the end'] = (x) => x.slice([-3, -1], [null, -2]);
golden['slice backwards'] = (x) => x.slice([null, null, -1]);
golden['slice backwards in steps'] = (x) => x.slice([5, 1, -2]);
golden['slice backwards from the end'] = (x) => x.slice([], [-2, 0, -2]);
golden['slice with new axes'] = (x) => x.slice(null, [1], null, 2);
golden['slice with dots'] = (x) => x.slice('...', [1, 3]);
golden['slice of nothing'] = (x) => x.slice([3, 1]);
golden['slice as NumPy walks backwards'] = (x) => [
  x.slice([null, null, -1], [null, null, -2]),
  x.slice([4, 0, -3]),
  x.slice([-2, null, -1]),
  x.slice([1, 4, -1]),
];

// Index tensors.
golden['slice by an index tensor'] = (x, i) => x.slice(i);
golden['slice by a matrix of indices'] = (x, i) => x.slice([], i);
golden['slice by two index tensors'] = (x, i, j) => x.slice(i, j);
golden['slice by index tensors that broadcast'] = (x, i, j) => x.slice(i, j);
golden['slice by index tensors around a range'] = (x, i, j) => x.slice(i, [1], j);
golden['slice by an index tensor and a range'] = (x, i) => x.slice([1, 3], i, [null, null, 2]);
golden['slice by a number and an index tensor apart'] = (x, i) => x.slice(1, [], i);
golden['slice by a number beside an index tensor'] = (x, i) => x.slice([], 1, i);
golden.select = (x) => x.select(1, -2);
golden.narrow = (x) => x.narrow(1, 1, 3);
golden['gather of three axes'] = (x, i) => x.gather(1, i);
golden['gather along the last axis'] = (x, i) => x.gather(-1, i);
golden['indexSelect of the first axis'] = (x, i) => x.indexSelect(0, i);
golden['indexSelect of whole numbers'] = (x, i) => x.indexSelect(1, i);
golden['indexAdd along the last axis'] = (x, i, source) => x.indexAdd(2, i, source);
golden['indexAdd of many rows'] = (x, i, source) => x.indexAdd(0, i, source);
golden['scatterAdd along the first axis'] = (x, i, source) => x.scatterAdd(0, i, source);
golden['scatterAdd of three axes'] = (x, i, source) => x.scatterAdd(1, i, source);
golden.segmentSum = (x, ids) => dc.segmentSum(x, ids, { count: 4 });
golden['segmentSum leaves rows out'] = golden.segmentSum;
golden['segmentSum of whole numbers'] = golden.segmentSum;
golden.bincount = (x) => x.bincount({ count: 10 });
golden['bincount with weights'] = (x, weights) => x.bincount({ count: 10, weights });

// Masks.
golden.maskedFill = (x, mask) => x.maskedFill(mask, -2.5);
golden['maskedFill broadcasts'] = (x, mask) => x.maskedFill(mask, 7);
golden['maskedFill with minus infinity'] = (x, mask) => x.maskedFill(mask, Number.NEGATIVE_INFINITY).softmax();
golden.maskedSelect = (x, mask) => x.maskedSelect(mask);
golden['maskedSelect broadcasts'] = golden.maskedSelect;
golden['maskedSelect of nothing'] = golden.maskedSelect;
golden.nonzero = (x) => x.nonzero();
golden['nonzero of booleans'] = golden.nonzero;
golden['nonzero of a vector'] = golden.nonzero;
golden['elements at the places of a mask'] = (x) => x.slice(dc.arange(4), dc.arange(4));
golden.tril = (x) => x.tril();
golden['tril below'] = (x) => x.tril({ diagonal: -2 });
golden.triu = (x) => x.triu();
golden['triu above'] = (x) => x.triu({ diagonal: 1 });
golden['tril of whole numbers'] = golden.tril;
golden['triu of booleans'] = golden.triu;
golden.tri = () => dc.tri(4, 6, { diagonal: 1 });
golden.oneHot = (x) => dc.oneHot(x, { classes: 5 });
golden['oneHot of whole numbers'] = (x) => dc.oneHot(x, { classes: 7, dtype: 'i32' });

// The same elements elsewhere.
golden.flip = (x) => x.flip();
golden['flip of one axis'] = (x) => x.flip(1);
golden.roll = (x) => x.roll(2, 1);
golden['roll back'] = (x) => x.roll(-7, 0);
golden['roll of two axes'] = (x) => x.roll([1, -2], [0, 2]);
golden['roll of everything'] = (x) => x.roll(4);
golden.repeat = (x) => x.repeat([2, 3]);
golden['repeat with new axes'] = (x) => x.repeat([2, 1, 3]);
golden.tile = (x) => x.tile([2]);
golden.repeatInterleave = (x) => x.repeatInterleave(3, { dim: 1 });
golden['stack of three'] = (...tensors) => dc.stack(tensors, -1);
golden['concat along the first axis'] = (...tensors) => dc.concat(tensors);
golden.split = (x) => x.split(3, { dim: 1 });
golden['split into sizes'] = (x) => x.split([1, 4, 2]);
golden.chunk = (x) => x.chunk(3, { dim: -1 });
golden.diagonal = (x) => x.diagonal();
golden['diagonal of two axes'] = (x) => x.diagonal({ offset: 1, dim1: 2, dim2: 0 });
golden['diagonal below'] = (x) => x.diagonal({ offset: -2 });
golden.movedim = (x) => x.movedim([0, 2], [2, 0]);
golden['flatten and unflatten'] = (x) => (x.transpose(0, 1) as Tensor).flatten(1).unflatten(1, [4, 2]);
golden['squeeze of everything'] = (x) => x.squeeze();
golden.meshgrid = (...vectors) => dc.meshgrid(vectors);
golden['meshgrid with columns first'] = (...vectors) => dc.meshgrid(vectors, { indexing: 'xy' });
golden.arange = () => dc.arange(-3, 8, 2);
golden.linspace = () => dc.linspace(-1.5, 4, 7);
golden.eye = () => dc.eye(3, 5);

// Padding.
golden['pad with zeros'] = (x) => x.pad([1, 2]);
golden['pad with a value'] = (x) => x.pad([1, 0, 2, 1], { value: -1.5 });
golden['pad and cut'] = (x) => x.pad([-1, 2, 1, -2]);
for (const mode of ['reflect', 'replicate', 'circular'] as const) {
  golden[`pad by ${mode}`] = (x) => x.pad([2, 1], { mode });
  golden[`pad by ${mode} of two axes`] = (x) => x.pad([2, 3, 1, 2], { mode });
}
golden['pad by reflect as far as it goes'] = (x) => x.pad([4, 4], { mode: 'reflect' });

// Sorting.
const pair = ({ values, indices }: { values: Tensor; indices: Tensor }) => [values, indices];
golden.sort = (x) => pair(x.sort());
golden['sort descending along the first axis'] = (x) => pair(x.sort({ dim: 0, descending: true }));
golden['sort keeps the order of equals'] = golden.sort;
golden['sort descending keeps the order of equals'] = (x) => pair(x.sort({ descending: true }));
golden.argsort = (x) => x.argsort({ dim: 1 });
golden.topk = (x) => pair(x.topk(3));
golden['topk of the smallest'] = (x) => pair(x.topk(2, { dim: 0, largest: false }));
golden.median = (x) => x.median({ dim: 1 });
golden['median of an odd number'] = (x) => x.median({ dim: 0, keepdim: true });
golden.quantile = (x) => x.quantile(0.3, { dim: 1 });
golden['quantile between'] = (x) => x.quantile(0.9, { dim: 0, keepdim: true });
golden.searchSorted = (sorted, values) => dc.searchSorted(sorted, values);
golden['searchSorted on the right'] = (sorted, values) => dc.searchSorted(sorted, values, { right: true });
golden['special: sort with NaN'] = golden.sort;
golden['special: sort descending with NaN'] = golden['sort descending keeps the order of equals'];
golden['special: topk with NaN'] = golden.topk;

// Scans.
golden.cumsum = (x) => x.cumsum({ dim: 1 });
golden['cumsum of a long axis'] = (x) => x.cumsum({ dim: 0 });
golden['cumsum backwards'] = (x) => x.cumsum({ dim: -1, reverse: true });
golden['cumsum of whole numbers'] = (x) => x.cumsum({ dim: 0 });
golden['cumsum of booleans'] = golden.cumsum;
golden.cumprod = (x) => x.cumprod({ dim: 1 });
golden['cumprod through zeros'] = golden.cumprod;
golden['cumprod backwards'] = (x) => x.cumprod({ dim: 0, reverse: true });
golden.linearRecurrence = (factors, x) => dc.linearRecurrence(factors, x, { dim: 1 });
golden['linearRecurrence of a long axis'] = golden.linearRecurrence;
