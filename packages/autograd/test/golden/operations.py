"""Golden cases of the operations of the main table: elementwise, reductions, products, norms, optimiser. See common.py."""
import math

import numpy as np
import torch
import torch.nn.functional as F

from common import booleans, case, inf, integers, nan, normal, special, uniform, write


def np_sign(x):
    return torch.from_numpy(np.sign(x.numpy()))

# Elementwise, one operand.
positive = dict(low=0.1, high=4.0)
unary = {
    'neg': torch.neg, 'abs': torch.abs, 'square': torch.square, 'exp': torch.exp, 'sin': torch.sin, 'cos': torch.cos,
    'tanh': torch.tanh, 'sigmoid': torch.sigmoid, 'relu': F.relu, 'elu': F.elu, 'gelu': F.gelu, 'erf': torch.erf,
}
for name, fn in unary.items():
    case(name, fn, uniform(5, 7))
    case(f'{name} of large values', fn, uniform(11, low=-20, high=20) if name not in ('exp',) else uniform(11, low=-30, high=30))
for name, fn in {'log': torch.log, 'sqrt': torch.sqrt, 'rsqrt': torch.rsqrt, 'reciprocal': torch.reciprocal}.items():
    case(name, fn, uniform(5, 7, **positive))
    case(f'{name} of small values', fn, uniform(11, low=1e-6, high=1e-3))
for name, fn in {'sign': torch.sign, 'floor': torch.floor, 'ceil': torch.ceil, 'round': torch.round}.items():
    case(name, fn, uniform(6, 5, low=-5, high=5), grad=False)
case('round of halves', torch.round, special(-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 1e6 + 0.5), grad=False)
more = {
    'exp2': torch.exp2, 'expm1': torch.expm1, 'tan': lambda x: torch.tan(x), 'atan': torch.atan, 'sinh': torch.sinh, 'cosh': torch.cosh,
    'asinh': torch.asinh, 'silu': F.silu, 'softplus': F.softplus, 'leakyRelu': F.leaky_relu, 'hardtanh': F.hardtanh,
}
for name, fn in more.items():
    case(name, fn, uniform(5, 7, low=-1.5, high=1.5))
for name, fn in {'log2': torch.log2, 'log10': torch.log10, 'log1p': torch.log1p}.items():
    case(name, fn, uniform(5, 7, **positive))
for name, fn in {'asin': torch.asin, 'acos': torch.acos, 'atanh': torch.atanh}.items():
    case(name, fn, uniform(5, 7, low=-0.95, high=0.95))
case('acosh', torch.acosh, uniform(5, 7, low=1.1, high=6))
case('expm1 and log1p near zero', lambda x: torch.expm1(x) + torch.log1p(x), uniform(9, low=-1e-4, high=1e-4))
case('softplus with beta', lambda x: F.softplus(x, beta=3), uniform(9))
case('leakyRelu with a slope', lambda x: F.leaky_relu(x, 0.3), uniform(9))
case('trunc', torch.trunc, uniform(6, 5, low=-5, high=5), grad=False)
case('isinf', torch.isinf, special(1, nan, inf, -inf, 0), grad=False)
case('clamp', lambda x: x.clamp(-0.5, 1), uniform(5, 7))
case('clamp from below', lambda x: x.clamp(min=0.25), uniform(5, 7))
case('clamp by tensors', lambda x, low, high: torch.clamp(x, low, high), uniform(5, 7), uniform(7, low=-1, high=0), uniform(5, 1, low=0.1, high=1))
case('nanToNum', torch.nan_to_num, special(1, nan, inf, -inf, -2), grad=False, double=False)
case('logicalNot', torch.logical_not, booleans(13), grad=False)
case('isnan', torch.isnan, special(1, nan, inf, -inf, 0), grad=False)
case('isfinite', torch.isfinite, special(1, nan, inf, -inf, 0), grad=False)

# Elementwise, two operands.
binary = {
    'add': torch.add, 'sub': torch.sub, 'mul': torch.mul, 'div': torch.div, 'maximum': torch.maximum, 'minimum': torch.minimum,
}
for name, fn in binary.items():
    divisor = dict(low=0.3, high=3.0) if name == 'div' else {}
    case(name, fn, uniform(4, 6), uniform(4, 6, **divisor))
    case(f'{name} broadcasts rows and columns', fn, uniform(4, 1), uniform(1, 6, **divisor))
    case(f'{name} broadcasts a vector over a batch', fn, uniform(2, 3, 5), uniform(5, **divisor))
    case(f'{name} with a scalar tensor', fn, uniform(3, 3), uniform(**divisor))
case('pow', torch.pow, uniform(4, 6, **positive), uniform(4, 6))
case('pow broadcasts', torch.pow, uniform(4, 1, **positive), uniform(6))
case('pow of negative bases', lambda x: x**3, uniform(7))
for name in ['eq', 'ne', 'lt', 'le', 'gt', 'ge']:
    case(name, getattr(torch, name), integers(5, 4, high=3), integers(5, 4, high=3), grad=False)
    case(f'{name} broadcasts floats', getattr(torch, name), uniform(5, 1), uniform(4), grad=False)
case('logicalAnd', torch.logical_and, booleans(4, 5), booleans(4, 5), grad=False)
case('logicalXor', torch.logical_xor, booleans(4, 1), booleans(5), grad=False)
case('atan2', torch.atan2, uniform(4, 6), uniform(4, 6))
case('atan2 broadcasts', torch.atan2, uniform(4, 1), uniform(6))
case('floorDivide', torch.floor_divide, uniform(4, 6, low=-9, high=9), uniform(6, low=0.2, high=2), grad=False, double=False)
case('floorDivide of whole numbers', torch.floor_divide, integers(5, 4, low=-20, high=20), integers(4, low=1, high=7), grad=False)
case('remainder', torch.remainder, uniform(4, 6, low=-9, high=9), uniform(6, low=0.2, high=2), grad=False, double=False)
case('remainder of whole numbers', torch.remainder, integers(5, 4, low=-20, high=20), integers(4, low=-7, high=0), grad=False)
for name, fn in {'bitwiseAnd': torch.bitwise_and, 'bitwiseOr': torch.bitwise_or, 'bitwiseXor': torch.bitwise_xor}.items():
    case(name, fn, integers(5, 4, low=-100, high=100), integers(4, low=-100, high=100), grad=False)
case('bitwiseLeftShift', torch.bitwise_left_shift, integers(9, low=-100, high=100), integers(9, high=8), grad=False)
case('bitwiseRightShift', torch.bitwise_right_shift, integers(9, low=-1000, high=1000), integers(9, high=8), grad=False)
case('bitwiseNot', torch.bitwise_not, integers(9, low=-1000, high=1000), grad=False)
case('logicalOr', torch.logical_or, booleans(4, 1), booleans(5), grad=False)
case('where', torch.where, booleans(4, 5), uniform(4, 5), uniform(4, 5))
case('where broadcasts', torch.where, booleans(4, 1), uniform(5), uniform(1, 1))
case('a chain of elementwise operations', lambda x, y: torch.tanh(x * y + 0.5).square() / (1 + torch.exp(-y)), uniform(3, 8), uniform(8))

# Reductions.
reductions = {
    'sum': lambda x, d, k: x.sum() if d is None else x.sum(d, keepdim=k),
    'mean': lambda x, d, k: x.mean() if d is None else x.mean(d, keepdim=k),
    'sumSquares': lambda x, d, k: x.square().sum() if d is None else x.square().sum(d, keepdim=k),
    'max': lambda x, d, k: x.max() if d is None else x.amax(d, keepdim=k),
    'min': lambda x, d, k: x.min() if d is None else x.amin(d, keepdim=k),
}
for name, fn in reductions.items():
    case(f'{name} of everything', lambda x: fn(x, None, False), normal(3, 5, 7))
    case(f'{name} of the last axis', lambda x: fn(x, -1, False), normal(3, 5, 7))
    case(f'{name} of the middle axis kept', lambda x: fn(x, 1, True), normal(3, 5, 7))
    case(f'{name} of two axes', lambda x: fn(x, (0, 2), False), normal(3, 5, 7))
case('sum of a long axis', lambda x: x.sum(1), normal(2, 1500))
case('mean far from zero', lambda x: x.mean(), normal(700, mean=1000))
case('sum of booleans', lambda x: x.sum(1), booleans(3, 40), grad=False)
case('sum of integers', lambda x: x.sum(), integers(5, 9, low=-50, high=50), grad=False)
case('var', lambda x: x.var(), normal(4, 9))
case('var of an axis', lambda x: x.var(1, keepdim=True), normal(4, 9))
case('var without correction', lambda x: x.var(0, correction=0), normal(4, 9))
case('var far from zero', lambda x: x.var(1), normal(4, 50, mean=100))
case('argmax', lambda x: x.argmax(1), normal(6, 11), grad=False)
case('argmax of the first axis kept', lambda x: x.argmax(0, keepdim=True), normal(6, 11), grad=False)

# Products.
case('matmul', torch.matmul, normal(5, 7), normal(7, 3))
case('matmul of a transposed left operand', lambda a, b: a.T @ b, normal(7, 5), normal(7, 3))
case('matmul of a transposed right operand', lambda a, b: a @ b.T, normal(5, 7), normal(3, 7))
case('matmul of a batch', torch.matmul, normal(2, 3, 4, 5), normal(2, 3, 5, 6))
case('matmul broadcasts batches', torch.matmul, normal(2, 1, 4, 5), normal(3, 5, 6))
case('matmul across tiles', torch.matmul, normal(67, 33), normal(33, 70))
case('matmul of a row and a column', torch.matmul, normal(1, 65), normal(65, 1))

# Shapes.
case('reshape', lambda x: x.reshape(6, -1) * 1, normal(3, 4, 5))
case('reshape of a transpose', lambda x: x.transpose(0, 1).reshape(-1), normal(3, 4))
case('permute', lambda x: x.permute(2, 0, 1), normal(3, 4, 5))
case('transpose', lambda x: x.transpose(0, 2), normal(3, 4, 5))
case('sliceAxis', lambda x: x[:, 1:6:2], normal(3, 7))
case('sliceAxis from the end', lambda x: x[-2:], normal(5, 3))
case('expand', lambda x: x.expand(4, 3, 5), normal(3, 1))
case('squeeze and unsqueeze', lambda x: x.squeeze(1).unsqueeze(-1), normal(3, 1, 4))
case('concat', lambda a, b, c: torch.cat([a, b, c], 1), normal(3, 2), normal(3, 5), normal(3, 1))
case('stack', lambda a, b: torch.stack([a, b], 1), normal(3, 4), normal(3, 4))
case('cast to whole numbers', lambda x: x.to(torch.int32), uniform(9, low=-6, high=6), grad=False)
case('cast to booleans', lambda x: x.to(torch.bool), integers(9, high=2), grad=False)

# Indexing.
case('indexSelect', lambda x, i: x.index_select(1, i), normal(4, 6), integers(5, high=6))
case('indexAdd', lambda x, i, s: x.index_add(0, i, s), normal(4, 3), integers(7, high=4), normal(7, 3))
case('gather', lambda x, i: x.gather(1, i), normal(4, 6), integers(4, 3, high=6))
case('gather along the first axis', lambda x, i: x.gather(0, i), normal(4, 3), integers(5, 3, high=4))
case('scatterAdd', lambda x, i, s: x.scatter_add(1, i, s), normal(4, 6), integers(4, 3, high=6), normal(4, 3))

# Normalisation and softmax.
case('softmax', lambda x: x.softmax(-1), normal(4, 9, std=3))
case('softmax of the middle axis', lambda x: x.softmax(1), normal(2, 5, 3))
case('softmax of large logits', lambda x: x.softmax(-1), normal(3, 40, mean=500, std=20))
case('logSoftmax', lambda x: x.log_softmax(-1), normal(4, 9, std=3))
case('logSoftmax of the first axis', lambda x: x.log_softmax(0), normal(5, 3))
case('logSoftmax of large logits', lambda x: x.log_softmax(-1), normal(3, 40, mean=500, std=20))
case('layerNorm', lambda x, w, b: F.layer_norm(x, (12,), w, b), normal(3, 4, 12), normal(12), normal(12))
case('layerNorm far from zero', lambda x, w, b: F.layer_norm(x, (32,), w, b), normal(3, 32, mean=100), normal(32), normal(32))
case('layerNorm with another eps', lambda x, w, b: F.layer_norm(x, (8,), w, b, 1e-2), normal(3, 8, std=0.1), normal(8), normal(8))
case('groupNorm', lambda x, w, b: F.group_norm(x, 3, w, b), normal(2, 6, 5), normal(6), normal(6))
case('groupNorm of one group a channel', lambda x, w, b: F.group_norm(x, 4, w, b), normal(2, 4, 9, mean=30), normal(4), normal(4))

# Convolution.
case('conv1d', lambda x, w: F.conv1d(x, w), normal(2, 3, 11), normal(4, 3, 3))
case('conv1d with bias, stride and padding', lambda x, w, b: F.conv1d(x, w, b, stride=2, padding=2), normal(2, 3, 11), normal(4, 3, 5), normal(4))
case('conv1d with dilation', lambda x, w: F.conv1d(x, w, dilation=3, padding=1), normal(1, 2, 15), normal(3, 2, 3))
case('conv1d with groups', lambda x, w: F.conv1d(x, w, groups=2, stride=3), normal(2, 4, 13), normal(6, 2, 4))
case('conv1d of each channel', lambda x, w: F.conv1d(x, w, groups=4, padding=1), normal(1, 4, 9), normal(4, 1, 3))
case('convTranspose1d', lambda x, w: F.conv_transpose1d(x, w), normal(2, 3, 5), normal(3, 4, 3))
case('convTranspose1d with everything', lambda x, w, b: F.conv_transpose1d(x, w, b, stride=3, padding=2, output_padding=1, dilation=2, groups=2), normal(2, 4, 5), normal(4, 3, 3), normal(6))

# Networks.
case('crossEntropy', F.cross_entropy, normal(6, 9, std=2), integers(6, high=9))
case('mseLoss', F.mse_loss, normal(4, 5), normal(4, 5))
case('linear', F.linear, normal(2, 3, 5), normal(4, 5), normal(4))
case('scaled dot-product attention', F.scaled_dot_product_attention, normal(2, 2, 5, 4), normal(2, 2, 5, 4), normal(2, 2, 5, 4))


def attention(x, wq, bq, wk, bk, wv, bv, wo, bo):
    out, _ = F.multi_head_attention_forward(
        x.transpose(0, 1), x.transpose(0, 1), x.transpose(0, 1), 8, 2, torch.cat([wq, wk, wv]), torch.cat([bq, bk, bv]),
        None, None, False, 0.0, wo, bo, need_weights=False)
    return out.transpose(0, 1)


# The keys' bias (input 4) changes nothing: its gradient is zero, and what rounding leaves of it has no peak to compare with.
case('multi-head attention', attention, normal(2, 5, 8), *[normal(8, 8, std=0.4), normal(8)] * 4, wrt=[0, 1, 2, 3, 5, 6, 7, 8])
case('two layers and a loss', lambda x, w1, b1, w2, t: F.cross_entropy(F.gelu(F.layer_norm(x @ w1 + b1, (16,))) @ w2, t),
     normal(8, 6), normal(6, 16), normal(16), normal(16, 5), integers(8, high=5))


def adamw(w, g1, g2, g3):
    p = torch.nn.Parameter(w.clone())
    optimizer = torch.optim.AdamW([p], lr=1e-2, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    for g in (g1, g2, g3):
        p.grad = g.clone()
        optimizer.step()
    return p.detach()


case('three steps of AdamW', adamw, normal(4, 5), normal(4, 5), normal(4, 5), normal(4, 5), grad=False)

# What NaN, infinities and ties give.
odd = special(nan, inf, -inf, 0.0, -0.0, 1.0, -1.0)
for name in [
    'neg', 'abs', 'square', 'exp', 'exp2', 'expm1', 'log', 'log2', 'log10', 'log1p', 'sqrt', 'rsqrt', 'reciprocal', 'tan', 'asin', 'acos', 'atan',
    'sinh', 'cosh', 'tanh', 'asinh', 'acosh', 'atanh', 'sigmoid', 'erf', 'floor', 'ceil', 'round', 'trunc',
]:
    case(f'special: {name}', getattr(torch, name), odd, grad=False, double=False)
for name in ['relu', 'elu', 'silu', 'softplus']:
    case(f'special: {name}', getattr(F, name), odd, grad=False, double=False)
case('special: sign', np_sign, odd, grad=False, double=False)
case('special: sin', torch.sin, odd, grad=False, double=False)
case('special: cos', torch.cos, odd, grad=False, double=False)
left = np.repeat(odd, len(odd)).astype(np.float32)
right = np.tile(odd, len(odd)).astype(np.float32)
for name in ['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'eq', 'ne', 'lt', 'le', 'gt', 'ge', 'atan2']:
    case(f'special: {name}', getattr(torch, name), left, right, grad=False, double=False)
case('special: pow', torch.pow, special(0, 0, 0, -8, -8, inf, inf, 1, nan, nan, 1), special(0, 2, -1, 3, 1 / 3, -1, 2, 500, 1, 0, nan), grad=False, double=False)
for name, fn in reductions.items():
    rows = np.array([[1, nan, 2], [inf, 1, 2], [-inf, 1, 2], [inf, -inf, 1]], dtype=np.float32)
    case(f'special: {name} of rows', lambda x: fn(x, 1, False), rows, grad=False, double=False)
case('special: argmax takes the first of equals', lambda x: x.argmax(1), np.array([[1, 3, 3], [2, 2, 2], [0, -1, 0]], dtype=np.float32), grad=False)
case('special: argmax takes a NaN', lambda x: x.argmax(1), np.array([[1, nan, 3], [nan, 2, inf]], dtype=np.float32), grad=False, double=False)
case('special: softmax with minus infinity', lambda x: x.softmax(-1), np.array([[0, -inf, 1], [-inf, -inf, 2]], dtype=np.float32))
case('special: softmax of NaN and infinity', lambda x: x.softmax(-1), np.array([[0, nan, 1], [inf, 0, 1]], dtype=np.float32), grad=False, double=False)
case('special: softmax of nothing but minus infinity', lambda x: x.softmax(-1), np.array([[-inf, -inf]], dtype=np.float32), grad=False, double=False)
case('special: gradient of abs and relu at zero', lambda x: (x.abs() + F.relu(x)), special(0, -1, 1))
case('special: gradient of maximum at ties', torch.maximum, special(1, 2, 3), special(1, 3, 2))
case('special: gradient of minimum at ties', torch.minimum, special(1, 2, 3), special(1, 3, 2))
case('special: gradient of max at ties', lambda x: x.amax(1), np.array([[1, 3, 3], [2, 2, 2]], dtype=np.float32))
case('special: gradient of min at ties', lambda x: x.amin(1), np.array([[1, 3, 1], [2, 2, 2]], dtype=np.float32))
case('special: gradient of sqrt at zero', torch.sqrt, special(0, 1, 4))
case('special: gradient of where leaves NaN out', lambda c, x: torch.where(c, x, torch.zeros_like(x)), np.array([True, False]), special(1, nan))
case('special: matmul with an infinity', torch.matmul, np.array([[inf, 1], [0, 1]], dtype=np.float32), np.array([[1, 2], [3, 4]], dtype=np.float32), grad=False, double=False)
case('special: sum of nothing', lambda x: x.sum(0), np.zeros((0, 3), dtype=np.float32), grad=False)

write(__file__)
