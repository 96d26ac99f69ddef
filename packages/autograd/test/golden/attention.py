"""Golden cases of torch.nn.functional.scaled_dot_product_attention. See common.py."""
import numpy as np
import torch
import torch.nn.functional as F

from common import case, normal, write


def heads(queries, keys, size, batch=2, heads=2, **draw):
    return [normal(batch, heads, queries, size, **draw), normal(batch, heads, keys, size, **draw), normal(batch, heads, keys, size)]


attend = F.scaled_dot_product_attention
case('attention', attend, *heads(11, 11, 8))
case('attention of another length', attend, *heads(5, 19, 16))
case('attention with heads of 13', attend, *heads(17, 9, 13))
case('attention of one step', attend, *heads(1, 1, 4), wrt=[2])
case('attention with a scale', lambda q, k, v: attend(q, k, v, scale=0.3), *heads(7, 11, 8))
case('attention, causal', lambda q, k, v: attend(q, k, v, is_causal=True), *heads(9, 9, 8))
case('attention, causal, with more keys', lambda q, k, v: attend(q, k, v, is_causal=True), *heads(6, 11, 8))
case('attention, causal, with fewer keys', lambda q, k, v: attend(q, k, v, is_causal=True), *heads(11, 6, 8))
visible = np.array([[1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 1], [0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0]], dtype=bool)
case('attention with a mask', lambda q, k, v, m: attend(q, k, v, attn_mask=m[:, None, None, :]), *heads(7, 11, 8), visible, wrt=[0, 1, 2])
case('attention of large scores', attend, *heads(9, 14, 8, mean=3))
case('attention of two axes', attend, normal(5, 8), normal(7, 8), normal(7, 8))
case('attention of three axes', attend, normal(3, 5, 8), normal(3, 7, 8), normal(3, 7, 8))
case('attention of a projection',
     lambda x: attend(*x.reshape(2, 5, 3, 2, 8).permute(2, 0, 3, 1, 4)).permute(0, 2, 1, 3).reshape(2, 5, 16), normal(2, 5, 48))

write(__file__)
