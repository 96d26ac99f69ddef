"""
What the scripts of golden data share. Each family of cases is three files: family.py makes family.json, what PyTorch (or
NumPy) says operations and their gradients are, and family.ts names their twins in the engine. After adding a case to both:
python3 family.py

Inputs are f32; everything is computed in f64 from them and stored as f32, except the cases named "special: …", which ask
PyTorch's f32 kernels what NaN, infinities and ties give. Gradients are those of sum(outputs * cotangents).
"""
import base64
import json
import math
import pathlib
import zlib

import numpy as np
import torch

cases = {}
blob = bytearray()


def encode(array):
    kinds = {'f': ('f32', '<f4'), 'i': ('i32', '<i4'), 'u': ('u32', '<u4'), 'b': ('bool', '|u1')}
    dtype, code = kinds[array.dtype.kind]
    offset = len(blob)
    blob.extend(np.ascontiguousarray(array).astype(code).tobytes())
    while len(blob) % 4:
        blob.append(0)
    return {'dtype': dtype, 'shape': list(array.shape), 'offset': offset}


def case(name, fn, *inputs, grad=True, double=True, wrt=None):
    """fn takes tensors and returns one or several; wrt: the float inputs to differentiate by (default: all)."""
    assert name not in cases, name
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    arrays = [make(rng) if callable(make) else np.asarray(make) for make in inputs]
    arrays = [a.astype(np.float32) if a.dtype.kind == 'f' else a for a in arrays]
    # A copy keeps the strides that reductions depend on plain.
    tensors = [torch.from_numpy(np.ascontiguousarray(a).reshape(a.shape).copy()) for a in arrays]
    tensors = [t.double() if t.is_floating_point() and double else t.long() if t.dtype in (torch.int32, torch.int64) else t for t in tensors]
    wrt = [i for i, t in enumerate(tensors) if t.is_floating_point()] if wrt is None else wrt
    if grad:
        for i in wrt:
            tensors[i].requires_grad_()
    outputs = fn(*tensors)
    outputs = list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]
    entry = {'inputs': [encode(a) for a in arrays], 'outputs': [encode(o.detach().numpy()) for o in outputs]}
    if grad:
        cotangents = [rng.uniform(-1, 1, tuple(o.shape)).astype(np.float32) if o.is_floating_point() else None for o in outputs]
        loss = sum((o * torch.from_numpy(np.asarray(c)).to(o.dtype)).sum() for o, c in zip(outputs, cotangents) if c is not None)
        gradients = torch.autograd.grad(loss, [tensors[i] for i in wrt])
        entry['cotangents'] = [None if c is None else encode(np.asarray(c)) for c in cotangents]
        entry['gradients'] = [{'input': i, 'value': encode(g.numpy())} for i, g in zip(wrt, gradients)]
    cases[name] = entry


def numpy_case(name, fn, *inputs):
    """fn takes NumPy arrays in the dtypes that they have here and returns one or several; no gradients."""
    assert name not in cases, name
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    arrays = [make(rng) if callable(make) else np.asarray(make) for make in inputs]
    outputs = fn(*[a.copy() for a in arrays])
    outputs = outputs if isinstance(outputs, (tuple, list)) else [outputs]
    cases[name] = {'inputs': [encode(a) for a in arrays], 'outputs': [encode(np.asarray(o)) for o in outputs]}


def uniform(*shape, low=-2.0, high=2.0):
    return lambda rng: rng.uniform(low, high, shape).astype(np.float32)


def normal(*shape, mean=0.0, std=1.0):
    return lambda rng: rng.normal(mean, std, shape).astype(np.float32)


def integers(*shape, low=0, high=10):
    return lambda rng: rng.integers(low, high, shape).astype(np.int32)


def booleans(*shape):
    return lambda rng: rng.random(shape) < 0.5


def special(*values):
    return np.array(values, dtype=np.float32)


nan, inf = math.nan, math.inf


def write(script):
    """Writes the cases made so far beside the script that made them."""
    path = pathlib.Path(script).with_suffix('.json')
    lines = ',\n'.join(f'{json.dumps(name)}: {json.dumps(entry, separators=(",", ":"))}' for name, entry in cases.items())
    text = f'{{"torch": "{torch.__version__}", "numpy": "{np.__version__}", "cases": {{\n{lines}\n}},\n"data": "{base64.b64encode(blob).decode()}"}}\n'
    path.write_text(text)
    print(f'{len(cases)} cases, {sum("gradients" in c for c in cases.values())} with gradients, {len(text)} bytes')
