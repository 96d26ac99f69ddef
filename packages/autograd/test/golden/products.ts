/** The engine's side of products.py: what each of its cases is called here. */
import * as dc from '@dawnchorus/tensor';
import type { Tensor } from '@dawnchorus/tensor';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

const matmul = (a: Tensor, b: Tensor) => a.matmul(b);
golden['matmul of two vectors'] = matmul;
golden['matmul of a matrix and a vector'] = matmul;
golden['matmul of a vector and a matrix'] = matmul;
golden['matmul of a batch and a vector'] = matmul;
golden['matmul of a vector and a batch'] = matmul;
golden['matmul of a vector and a long matrix'] = matmul;
golden.dot = (a, b) => a.dot(b);
golden['dot of a long vector'] = golden.dot;
golden.outer = (a, b) => a.outer(b);
golden.inner = (a, b) => a.inner(b);
golden['inner with a vector'] = golden.inner;
golden['inner with a scalar'] = golden.inner;
golden.trace = (x) => x.trace();
golden['trace of a batch'] = (x) => x.trace({ offset: -1, dim1: 1, dim2: 2 });

golden['tensordot of two axes'] = (a, b) => dc.tensordot(a, b);
golden['tensordot of one axis'] = (a, b) => dc.tensordot(a, b, 1);
golden['tensordot of no axes'] = (a, b) => dc.tensordot(a, b, 0);
golden['tensordot of all axes'] = (a, b) => dc.tensordot(a, b, 3);
golden['tensordot over axes out of order'] = (a, b) =>
  dc.tensordot(a, b, [
    [3, 0],
    [1, 2],
  ]);
golden['tensordot of permuted operands'] = (a, b) => dc.tensordot(a.permute([2, 0, 1]), b.transpose(), [[1], [1]]);

const equations = [
  ...['ij,jk->ik', 'ij,jk->ki', 'ij,kj', 'bij,bjk->bik', 'bij,bkj->kbi', 'bqhd,bkhd->bhqk', 'bhqk,bkhd->bqhd'],
  ...['ii->i', 'ii', 'iij->ji', 'iii->i', 'ba', 'ijk->kji', 'ijk->j', 'ij->', 'i,j->ij', 'i,j->ji', 'i,i->', 'ij,ij->i'],
  ...['ij,ij->ij', 'ij,j->i', 'i,ij,j->', 'ij,jk,kl->il', 'ij,jk,kl,li->', 'ijk,jl,kl->il', 'ij,ik,il->jkl', 'ij,kl->'],
  ...['ij,jj->ij', '...ij,...jk->...ik', '...i->...', 'i...->...i', '...ij->...ji', '...,...->...', 'b...c,cd->b...d'],
  ...['...ii->...i', 'Ab,bc', ' i j , j k -> i k '],
];
for (const equation of equations) golden[`einsum ${equation}`] = (...inputs) => dc.einsum(equation, ...inputs);
golden['einsum that sums the dots'] = (a, b) => dc.einsum('...ij,...jk->ik', a, b);
golden['einsum that stretches an axis of one'] = (a, b) => dc.einsum('ij,jk->ik', a, b);
golden['einsum over nothing'] = golden['einsum that stretches an axis of one'];
golden['einsum of whole numbers'] = (a, b) => dc.einsum('ij,kj->ki', a, b);
golden['tensordot of whole numbers'] = (a, b) => dc.tensordot(a, b, 2);
golden['outer of whole numbers'] = golden.outer;
