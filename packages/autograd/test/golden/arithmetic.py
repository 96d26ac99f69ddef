"""Golden cases of reductions to norms and statistics, by PyTorch, and of whole numbers and booleans, by NumPy. See common.py."""
import numpy as np
import torch

from common import booleans, case, inf, integers, nan, normal, numpy_case, uniform, write

# Statistics and norms.
case('logsumexp', lambda x: x.logsumexp(1), normal(4, 9, std=3))
case('logsumexp of everything', lambda x: x.logsumexp((0, 1, 2)), normal(2, 3, 4))
case('logsumexp of two axes kept', lambda x: x.logsumexp((0, 2), keepdim=True), normal(2, 3, 4))
case('logsumexp of large numbers', lambda x: x.logsumexp(-1), normal(3, 40, mean=500, std=20))
case('special: logsumexp of infinities', lambda x: x.logsumexp(1), np.array([[-inf, -inf], [inf, 0], [inf, -inf], [nan, 0], [-inf, 1]], dtype=np.float32), grad=False, double=False)
case('var of two axes', lambda x: x.var((0, 2)), normal(3, 4, 5))
case('var with another correction', lambda x: x.var(1, correction=2.5), normal(4, 9))
case('std', lambda x: x.std(), normal(4, 9))
case('std of an axis', lambda x: x.std(1, keepdim=True), normal(4, 9))
case('std without correction', lambda x: x.std((0, 1), correction=0), normal(4, 9, 2))
case('std far from zero', lambda x: x.std(1), normal(4, 50, mean=100))
for p in [1, 2, 3, 0.5, inf, -inf]:
    case(f'norm {p}', lambda x: torch.linalg.vector_norm(x, p, dim=1), normal(4, 9))
    case(f'norm {p} of everything', lambda x: torch.linalg.vector_norm(x, p), normal(3, 4))
case('norm 0', lambda x: torch.linalg.vector_norm(x, 0, dim=1), np.array([[0, 1, -2], [0, 0, 0]], dtype=np.float32), grad=False)
case('norm of two axes kept', lambda x: torch.linalg.vector_norm(x, 2, dim=(0, 2), keepdim=True), normal(2, 3, 4))
case('special: gradient of norm 2 at zero', lambda x: torch.linalg.vector_norm(x, 2, dim=1), np.array([[0, 0], [3, 4]], dtype=np.float32))
case('prod', lambda x: x.prod(), normal(3, 4))
case('prod of an axis', lambda x: x.prod(1, keepdim=True), normal(4, 7))
case('prod through zeros', lambda x: x.prod(1), np.array([[2, 0, 3], [0, 1, 0], [1, -2, 3]], dtype=np.float32))
case('any', lambda x: x.any(1), integers(6, 3, high=2), grad=False)
case('all', lambda x: x.all(0), integers(2, 9, high=2), grad=False)
case('countNonzero', lambda x: x.count_nonzero(1), integers(5, 7, high=3), grad=False)
case('argmin', lambda x: x.argmin(1), normal(5, 8), grad=False)
case('argmax of everything', lambda x: x.argmax(), normal(5, 8), grad=False)

# Whole numbers: 32 bits, which wrap.
least, most = -(2**31), 2**31 - 1
edges = np.array([least, least + 1, -77_777, -3, -1, 0, 1, 2, 65_537, most - 1, most], dtype=np.int32)
left, right = (np.ascontiguousarray(grid.ravel()) for grid in np.meshgrid(edges, edges))
unsigned = np.array([0, 1, 2, 3, 65_537, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1], dtype=np.uint32)
leftUnsigned, rightUnsigned = (np.ascontiguousarray(grid.ravel()) for grid in np.meshgrid(unsigned, unsigned))
np.seterr(all='ignore')
pairs = {
    'add': np.add, 'sub': np.subtract, 'mul': np.multiply, 'maximum': np.maximum, 'minimum': np.minimum, 'floorDivide': np.floor_divide,
    'remainder': np.remainder, 'bitwiseAnd': np.bitwise_and, 'bitwiseOr': np.bitwise_or, 'bitwiseXor': np.bitwise_xor,
    'eq': np.equal, 'ne': np.not_equal, 'lt': np.less, 'le': np.less_equal, 'gt': np.greater, 'ge': np.greater_equal,
    'logicalAnd': np.logical_and, 'logicalOr': np.logical_or, 'logicalXor': np.logical_xor,
}
for name, fn in pairs.items():
    numpy_case(f'{name} of i32', fn, left, right)
    numpy_case(f'{name} of u32', fn, leftUnsigned, rightUnsigned)
for name, fn in {'bitwiseLeftShift': np.left_shift, 'bitwiseRightShift': np.right_shift}.items():
    numpy_case(f'{name} of i32', fn, np.repeat(edges, 5), np.tile(np.array([0, 1, 7, 30, 31], dtype=np.int32), len(edges)))
    numpy_case(f'{name} of u32', fn, np.repeat(unsigned, 5), np.tile(np.array([0, 1, 7, 30, 31], dtype=np.uint32), len(unsigned)))
for name, fn in {'neg': np.negative, 'abs': np.abs, 'square': np.square, 'sign': np.sign, 'bitwiseNot': np.invert, 'logicalNot': np.logical_not}.items():
    numpy_case(f'{name} of i32', fn, edges)
numpy_case('square and bitwiseNot of u32', lambda x: [np.square(x), np.invert(x)], unsigned)
numpy_case('numbers beside i32', lambda x: [x + np.int32(3), np.int32(10) - x, x * np.int32(-7), x // np.int32(5), x % np.int32(-5)], edges)
numpy_case('clamp of i32', lambda x: [np.clip(x, -3, 65_537), np.maximum(x, 0), np.minimum(x, -1)], edges)
numpy_case('where of i32', lambda c, x, y: np.where(c, x, y), booleans(11), edges, edges[::-1].copy())
numpy_case('i32 broadcasts', lambda a, b: a * b + a, integers(3, 1, 4, low=-9), integers(5, 1, low=-9))
numpy_case('i32 meets floats', lambda a, b: (a + b).astype(np.float32), integers(9, low=-9), uniform(9))
numpy_case('div of i32', lambda a, b: (a / b).astype(np.float32), integers(9, low=-9), integers(9, low=1))

wide = integers(4, 33, low=-(2**30), high=2**30)
numpy_case('sum of i32 that wrap', lambda x: np.sum(x, 1, dtype=np.int32), wide)
numpy_case('prod of i32 that wrap', lambda x: np.prod(x, 0, dtype=np.int32), wide)
numpy_case('cumsum of i32 that wrap', lambda x: np.cumsum(x, 1, dtype=np.int32), wide)
numpy_case('sum of u32', lambda x: np.sum(x, dtype=np.uint32), unsigned)
numpy_case('max, min and their places of i32', lambda x: [x.max(1), x.min(1), x.argmax(1).astype(np.int32), x.argmin(1).astype(np.int32)], wide)
numpy_case('max, min and their places of u32', lambda x: [x.max(), x.min(), x.argmax().astype(np.int32), x.argmin().astype(np.int32)], unsigned[[3, 8, 1, 6, 0, 7]])
numpy_case('sort and argsort of i32', lambda x: [np.sort(x), np.argsort(x, kind='stable').astype(np.int32)], wide)
numpy_case('sort and argsort of u32', lambda x: [np.sort(x), np.argsort(x, kind='stable').astype(np.int32)], unsigned[[3, 8, 1, 6, 0, 7, 3]])

# Booleans, which count as 0 and 1.
both, either = np.array([0, 0, 1, 1], dtype=bool), np.array([0, 1, 0, 1], dtype=bool)
numpy_case('bits and logic of booleans', lambda a, b: [a & b, a | b, a ^ b, np.logical_and(a, b), np.logical_or(a, b), np.logical_xor(a, b), ~a], both, either)
numpy_case('comparisons of booleans', lambda a, b: [a == b, a != b, a < b, a <= b, a > b, a >= b], both, either)
numpy_case('arithmetic of booleans', lambda a, b: [a.astype(np.int32) + b, a.astype(np.int32) - b, a.astype(np.int32) * b], both, either)
numpy_case('booleans meet i32 and floats', lambda a, x, y: [a + x, a * y], booleans(9), integers(9), uniform(9))
numpy_case('sum, any and all of booleans', lambda x: [x.sum(1, dtype=np.int32), x.any(1), x.all(1), x.sum(dtype=np.int32)], booleans(6, 3))

# From one dtype to another.
numpy_case('floats cut to whole numbers', lambda x: x.astype(np.int32), np.array([-2.9, -0.5, 0.5, 2.9, 1e9, -1e9, 0.0], dtype=np.float32))
numpy_case('casts of i32', lambda x: [x.astype(np.float32), x.astype(bool), x.astype(np.uint32)], edges)
numpy_case('casts of u32', lambda x: [x.astype(np.float32), x.astype(bool), x.astype(np.int32)], unsigned)
numpy_case('casts of booleans', lambda x: [x.astype(np.float32), x.astype(np.int32), x.astype(np.uint32)], both)

write(__file__)
