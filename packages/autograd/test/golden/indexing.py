"""Golden cases of indexing, arranging, masks, sorting, scans and sums by index. See common.py."""
import numpy as np
import torch
import torch.nn.functional as F

from common import booleans, case, inf, integers, nan, normal, numpy_case, special, uniform, write

# Ranges, numbers and new axes.
case('slice of ranges', lambda x: x[1:3, :, 2:], normal(4, 3, 5))
case('slice of numbers', lambda x: x[2, :, -1], normal(4, 3, 5))
case('slice with steps', lambda x: x[::2, 1::3], normal(5, 8))
case('slice from the end', lambda x: x[-3:-1, :-2], normal(5, 4))
case('slice backwards', lambda x: x.flip(0), normal(5, 3))
case('slice backwards in steps', lambda x: x[[5, 3]], normal(7, 2))
case('slice backwards from the end', lambda x: x[:, [5, 3, 1]], normal(3, 7))
case('slice with new axes', lambda x: x[None, 1:, None, 2], normal(3, 4))
case('slice with dots', lambda x: x[..., 1:3], normal(2, 3, 4))
case('slice of nothing', lambda x: x[3:1], normal(5, 2))
numpy_case('slice as NumPy walks backwards', lambda x: [x[::-1, ::-2], x[4:0:-3], x[-2::-1], x[1:4:-1]], normal(6, 5))

# Index tensors.
case('slice by an index tensor', lambda x, i: x[i], normal(5, 3), integers(7, low=-5, high=5))
case('slice by a matrix of indices', lambda x, i: x[:, i], normal(3, 5), integers(2, 4, high=5))
case('slice by two index tensors', lambda x, i, j: x[i, j], normal(5, 4, 2), integers(6, low=-5, high=5), integers(6, high=4))
case('slice by index tensors that broadcast', lambda x, i, j: x[i, j], normal(5, 4), integers(3, 1, high=5), integers(4, high=4))
case('slice by index tensors around a range', lambda x, i, j: x[i, 1:, j], normal(5, 4, 3), integers(6, high=5), integers(6, high=3))
case('slice by an index tensor and a range', lambda x, i: x[1:3, i, ::2], normal(4, 5, 6), integers(3, high=5))
numpy_case('slice by a number and an index tensor apart', lambda x, i: x[1, :, i], normal(3, 4, 5), integers(6, high=5))
numpy_case('slice by a number beside an index tensor', lambda x, i: x[:, 1, i], normal(3, 4, 5), integers(6, high=5))
case('select', lambda x: x.select(1, -2), normal(3, 4, 2))
case('narrow', lambda x: x.narrow(1, 1, 3), normal(3, 5))
case('gather of three axes', lambda x, i: x.gather(1, i), normal(3, 4, 5), integers(3, 6, 5, high=4))
case('gather along the last axis', lambda x, i: x.gather(-1, i), normal(2, 3, 5), integers(2, 3, 2, high=5))
case('indexSelect of the first axis', lambda x, i: x.index_select(0, i), normal(4, 3, 2), integers(6, high=4))
case('indexSelect of whole numbers', lambda x, i: x.index_select(1, i), integers(3, 4, low=-50, high=50), integers(6, high=4), grad=False)
case('indexAdd along the last axis', lambda x, i, s: x.index_add(2, i, s), normal(2, 3, 4), integers(6, high=4), normal(2, 3, 6))
case('indexAdd of many rows', lambda x, i, s: x.index_add(0, i, s), normal(3, 2), integers(200, high=3), normal(200, 2))
case('scatterAdd along the first axis', lambda x, i, s: x.scatter_add(0, i, s), normal(4, 3), integers(6, 3, high=4), normal(6, 3))
case('scatterAdd of three axes', lambda x, i, s: x.scatter_add(1, i, s), normal(2, 4, 3), integers(2, 7, 3, high=4), normal(2, 7, 3))


def segment_sum(x, ids):
    inside = (ids >= 0) & (ids < 4)
    return torch.zeros(4, *x.shape[1:], dtype=x.dtype).index_add(0, ids[inside], x[inside])


case('segmentSum', segment_sum, normal(20, 3), integers(20, high=4))
case('segmentSum leaves rows out', segment_sum, normal(20), integers(20, low=-2, high=6))
case('segmentSum of whole numbers', segment_sum, integers(20, 2, low=-9), integers(20, high=4), grad=False)
case('bincount', lambda x: torch.bincount(x, minlength=10), integers(50, high=9), grad=False)
case('bincount with weights', lambda x, w: torch.zeros(10, dtype=w.dtype).index_add(0, x, w), integers(50, high=9), normal(50))

# Masks.
case('maskedFill', lambda x, m: x.masked_fill(m, -2.5), normal(3, 4), booleans(3, 4))
case('maskedFill broadcasts', lambda x, m: x.masked_fill(m, 7), normal(2, 3, 4), booleans(3, 1))
case('maskedFill with minus infinity', lambda x, m: x.masked_fill(m, -inf).softmax(-1), normal(4, 6), np.triu(np.ones((4, 6), dtype=bool), 2))
case('maskedSelect', torch.masked_select, normal(5, 7), booleans(5, 7), grad=False)
case('maskedSelect broadcasts', torch.masked_select, normal(5, 1), booleans(7), grad=False)
case('maskedSelect of nothing', torch.masked_select, normal(5), np.zeros(5, dtype=bool), grad=False)
case('nonzero', torch.nonzero, integers(4, 5, high=3), grad=False)
case('nonzero of booleans', torch.nonzero, booleans(3, 2, 4), grad=False)
case('nonzero of a vector', torch.nonzero, special(0, 1, -0.0, nan, -inf, 0), grad=False)
case('elements at the places of a mask', lambda x, m: x[m], normal(4, 5), np.eye(4, 5, dtype=bool))
case('tril', torch.tril, normal(2, 4, 5))
case('tril below', lambda x: x.tril(-2), normal(5, 4))
case('triu', torch.triu, normal(2, 4, 5))
case('triu above', lambda x: x.triu(1), normal(4, 4))
case('tril of whole numbers', torch.tril, integers(4, 5, low=-5), grad=False)
case('triu of booleans', torch.triu, booleans(4, 5), grad=False)
case('tri', lambda: torch.ones(4, 6).tril(1).bool(), grad=False)
case('oneHot', lambda x: F.one_hot(x, 5).double(), integers(3, 4, high=5), grad=False)
case('oneHot of whole numbers', lambda x: F.one_hot(x, 7), integers(6, high=5), grad=False)

# The same elements elsewhere.
case('flip', lambda x: x.flip(0, 1, 2), normal(3, 2, 4))
case('flip of one axis', lambda x: x.flip(1), normal(3, 5))
case('roll', lambda x: x.roll(2, 1), normal(3, 5))
case('roll back', lambda x: x.roll(-7, 0), normal(5, 2))
case('roll of two axes', lambda x: x.roll((1, -2), (0, 2)), normal(3, 2, 5))
case('roll of everything', lambda x: x.roll(4), normal(3, 5))
case('repeat', lambda x: x.repeat(2, 3), normal(3, 2))
case('repeat with new axes', lambda x: x.repeat(2, 1, 3), normal(3, 2))
case('tile', lambda x: x.tile(2), normal(3, 2))
case('repeatInterleave', lambda x: x.repeat_interleave(3, 1), normal(2, 4, 3))
case('stack of three', lambda a, b, c: torch.stack([a, b, c], -1), normal(2, 3), normal(2, 3), normal(2, 3))
case('concat along the first axis', lambda a, b: torch.cat([a, b]), normal(2, 3, 2), normal(4, 3, 2))
case('split', lambda x: x.split(3, 1), normal(2, 8))
case('split into sizes', lambda x: x.split([1, 4, 2], 0), normal(7, 2))
case('chunk', lambda x: x.chunk(3, -1), normal(2, 7))
case('diagonal', lambda x: x.diagonal(), normal(4, 6))
case('diagonal of two axes', lambda x: x.diagonal(1, 2, 0), normal(4, 2, 5))
case('diagonal below', lambda x: x.diagonal(-2), normal(5, 4))
case('movedim', lambda x: x.movedim((0, 2), (2, 0)), normal(2, 3, 4))
case('flatten and unflatten', lambda x: x.transpose(0, 1).flatten(1).unflatten(1, (4, 2)), normal(2, 3, 4))
case('squeeze of everything', lambda x: x.squeeze(), normal(1, 3, 1, 2))
case('meshgrid', lambda a, b: torch.meshgrid(a, b, indexing='ij'), normal(3), normal(4))
case('meshgrid with columns first', lambda a, b: torch.meshgrid(a, b, indexing='xy'), normal(3), normal(4))
case('arange', lambda: torch.arange(-3, 8, 2), grad=False)
case('linspace', lambda: torch.linspace(-1.5, 4, 7, dtype=torch.float64), grad=False)
case('eye', lambda: torch.eye(3, 5), grad=False)

# Padding.
case('pad with zeros', lambda x: F.pad(x, (1, 2)), normal(2, 3))
case('pad with a value', lambda x: F.pad(x, (1, 0, 2, 1), value=-1.5), normal(2, 3, 4))
case('pad and cut', lambda x: F.pad(x, (-1, 2, 1, -2)), normal(2, 4, 5))
for mode in ['reflect', 'replicate', 'circular']:
    case(f'pad by {mode}', lambda x: F.pad(x, (2, 1), mode=mode), normal(2, 3, 5))
    case(f'pad by {mode} of two axes', lambda x: F.pad(x, (2, 3, 1, 2), mode=mode), normal(1, 2, 4, 5))
case('pad by reflect as far as it goes', lambda x: F.pad(x, (4, 4), mode='reflect'), normal(1, 2, 5))

# Sorting.
case('sort', lambda x: tuple(torch.sort(x)), normal(4, 9))
case('sort descending along the first axis', lambda x: tuple(torch.sort(x, 0, descending=True)), normal(9, 4))
case('sort keeps the order of equals', lambda x: tuple(torch.sort(x, stable=True)), integers(3, 40, high=5), grad=False)
case('sort descending keeps the order of equals', lambda x: tuple(torch.sort(x, descending=True, stable=True)), integers(3, 40, high=5), grad=False)
case('argsort', lambda x: x.argsort(1), normal(2, 7, 3), grad=False)
case('topk', lambda x: tuple(x.topk(3)), normal(4, 9))
case('topk of the smallest', lambda x: tuple(x.topk(2, 0, largest=False)), normal(9, 4))
case('median', lambda x: x.median(1).values, normal(4, 8))
case('median of an odd number', lambda x: x.median(0, keepdim=True).values, normal(7, 3))
case('quantile', lambda x: x.quantile(0.3, 1), normal(4, 9))
case('quantile between', lambda x: x.quantile(0.9, 0, keepdim=True), normal(8, 3))
case('searchSorted', torch.searchsorted, np.sort(np.random.default_rng(1).normal(size=(20,))).astype(np.float32), normal(3, 5), grad=False)
case('searchSorted on the right', lambda s, v: torch.searchsorted(s, v, right=True), np.array([[1, 3, 3, 5], [0, 0, 2, 9]], dtype=np.int32), integers(2, 6), grad=False)
case('special: sort with NaN', lambda x: tuple(torch.sort(x, stable=True)), special(2, nan, -inf, 1, nan, inf, -3), grad=False, double=False)
case('special: sort descending with NaN', lambda x: tuple(torch.sort(x, descending=True, stable=True)), special(2, nan, -inf, 1, nan, inf, -3), grad=False, double=False)
case('special: topk with NaN', lambda x: tuple(x.topk(3)), special(2, nan, -inf, 1, inf, -3), grad=False, double=False)

# Scans.
case('cumsum', lambda x: x.cumsum(1), normal(3, 7))
case('cumsum of a long axis', lambda x: x.cumsum(0), uniform(200, 2, low=-1, high=1))
case('cumsum backwards', lambda x: x.flip(-1).cumsum(-1).flip(-1), normal(3, 7))
case('cumsum of whole numbers', lambda x: x.cumsum(0), integers(6, 3, low=-9), grad=False)
case('cumsum of booleans', lambda x: x.cumsum(1), booleans(3, 9), grad=False)
case('cumprod', lambda x: x.cumprod(1), normal(3, 7))
case('cumprod through zeros', lambda x: x.cumprod(1), np.array([[2, 0, 3, 4], [0, 1, 0, 5], [1, -2, 3, 0]], dtype=np.float32))
case('cumprod backwards', lambda x: x.flip(0).cumprod(0).flip(0), normal(6, 2))


def recurrence(factors, x):
    states = [x[:, 0]]
    for t in range(1, x.shape[1]):
        states.append(factors[:, t] * states[-1] + x[:, t])
    return torch.stack(states, 1)


case('linearRecurrence', recurrence, uniform(3, 9, low=-1, high=1), normal(3, 9))
case('linearRecurrence of a long axis', recurrence, uniform(2, 100, low=0.5, high=1), normal(2, 100))

write(__file__)
