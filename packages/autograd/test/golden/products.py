"""Golden cases of products: of vectors and matrices, and of several tensors by einsum. See common.py."""
import numpy as np
import torch

from common import case, integers, normal, numpy_case, write

# Vectors.
case('matmul of two vectors', torch.matmul, normal(7), normal(7))
case('matmul of a matrix and a vector', torch.matmul, normal(5, 7), normal(7))
case('matmul of a vector and a matrix', torch.matmul, normal(7), normal(7, 5))
case('matmul of a batch and a vector', torch.matmul, normal(2, 3, 5, 7), normal(7))
case('matmul of a vector and a batch', torch.matmul, normal(7), normal(2, 3, 7, 5))
case('matmul of a vector and a long matrix', torch.matmul, normal(300), normal(300, 2))
case('dot', torch.dot, normal(40), normal(40))
case('dot of a long vector', torch.dot, normal(500), normal(500))
case('outer', torch.outer, normal(5), normal(3))
case('inner', torch.inner, normal(2, 3, 5), normal(4, 5))
case('inner with a vector', torch.inner, normal(5), normal(4, 5))
case('inner with a scalar', torch.inner, normal(), normal(4, 5))
case('trace', torch.trace, normal(4, 6))
case('trace of a batch', lambda x: x.diagonal(offset=-1, dim1=1, dim2=2).sum(-1), normal(3, 5, 4))

# Several axes at once.
case('tensordot of two axes', lambda a, b: torch.tensordot(a, b), normal(2, 3, 4), normal(3, 4, 5))
case('tensordot of one axis', lambda a, b: torch.tensordot(a, b, 1), normal(2, 3), normal(3, 4, 5))
case('tensordot of no axes', lambda a, b: torch.tensordot(a, b, 0), normal(2, 3), normal(4))
case('tensordot of all axes', lambda a, b: torch.tensordot(a, b, 3), normal(2, 3, 4), normal(2, 3, 4))
case('tensordot over axes out of order', lambda a, b: torch.tensordot(a, b, ([3, 0], [1, 2])), normal(2, 3, 4, 5), normal(6, 5, 2))
case('tensordot of permuted operands', lambda a, b: torch.tensordot(a.permute(2, 0, 1), b.T, ([1], [1])), normal(2, 3, 4), normal(2, 5))

# Equations: each also by NumPy, whose sums agree with PyTorch's to rounding.
equations = {
    'ij,jk->ik': [(3, 4), (4, 5)],
    'ij,jk->ki': [(3, 4), (4, 5)],
    'ij,kj': [(3, 4), (5, 4)],
    'bij,bjk->bik': [(2, 3, 4), (2, 4, 5)],
    'bij,bkj->kbi': [(2, 3, 4), (2, 5, 4)],
    'bqhd,bkhd->bhqk': [(2, 5, 3, 4), (2, 6, 3, 4)],
    'bhqk,bkhd->bqhd': [(2, 3, 5, 6), (2, 6, 3, 4)],
    'ii->i': [(4, 4)],
    'ii': [(4, 4)],
    'iij->ji': [(3, 3, 4)],
    'iii->i': [(3, 3, 3)],
    'ba': [(3, 4)],
    'ijk->kji': [(2, 3, 4)],
    'ijk->j': [(2, 3, 4)],
    'ij->': [(3, 4)],
    'i,j->ij': [(3,), (4,)],
    'i,j->ji': [(3,), (4,)],
    'i,i->': [(6,), (6,)],
    'ij,ij->i': [(3, 5), (3, 5)],
    'ij,ij->ij': [(3, 5), (3, 5)],
    'ij,j->i': [(3, 5), (5,)],
    'i,ij,j->': [(3,), (3, 4), (4,)],
    'ij,jk,kl->il': [(3, 4), (4, 5), (5, 2)],
    'ij,jk,kl,li->': [(3, 4), (4, 5), (5, 2), (2, 3)],
    'ijk,jl,kl->il': [(2, 3, 4), (3, 5), (4, 5)],
    'ij,ik,il->jkl': [(3, 2), (3, 4), (3, 5)],
    'ij,kl->': [(2, 3), (4, 5)],
    'ij,jj->ij': [(2, 3), (3, 3)],
    '...ij,...jk->...ik': [(2, 1, 3, 4), (6, 4, 5)],
    '...i->...': [(2, 3, 4)],
    'i...->...i': [(2, 3, 4)],
    '...ij->...ji': [(2, 3, 4)],
    '...,...->...': [(2, 1, 3), (4, 1)],
    'b...c,cd->b...d': [(2, 3, 5, 4), (4, 6)],
    '...ii->...i': [(2, 3, 3)],
    'Ab,bc': [(3, 4), (4, 5)],
    ' i j , j k -> i k ': [(3, 4), (4, 5)],
}
for equation, shapes in equations.items():
    case(f'einsum {equation}', lambda *xs: torch.einsum(equation, *xs), *[normal(*shape) for shape in shapes])
    draws = [np.random.default_rng(1).normal(size=shape) for shape in shapes]
    assert np.allclose(np.einsum(equation, *draws), torch.einsum(equation, *map(torch.tensor, draws)).numpy()), equation
case('einsum that sums the dots', lambda a, b: torch.einsum('...ij,...jk->ik', a, b), normal(2, 3, 4), normal(5, 2, 4, 3))
case('einsum that stretches an axis of one', lambda a, b: torch.einsum('ij,jk->ik', a, b), normal(3, 1), normal(4, 5))
case('einsum over nothing', lambda a, b: torch.einsum('ij,jk->ik', a, b), np.zeros((3, 0), dtype=np.float32), np.zeros((0, 2), dtype=np.float32), grad=False)

# Whole numbers.
numpy_case('einsum of whole numbers', lambda a, b: np.einsum('ij,kj->ki', a, b), integers(3, 4, low=-9), integers(5, 4, low=-9))
numpy_case('tensordot of whole numbers', lambda a, b: np.tensordot(a, b, 2), integers(3, 4, low=-9), integers(3, 4, low=-9))
numpy_case('outer of whole numbers', np.outer, integers(3, low=-9), integers(5, low=-9))

write(__file__)
