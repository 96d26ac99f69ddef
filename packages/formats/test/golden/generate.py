"""
Makes the files beside it with NumPy, PyTorch and safetensors themselves, and expected.json, which says what is in them:
python3 generate.py
"""
import argparse
import collections
import io
import json
import pathlib
import warnings
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

warnings.simplefilter('ignore')
here = pathlib.Path(__file__).parent
expected = {}
specials = [0.0, -0.0, 1.5, -2.25, 65504.0, 1e-7, np.inf, -np.inf, np.nan, 3.140625, 1 / 3, -1e4]


def value(x):
    """Integers beyond 2^53 and what JSON lacks become text."""
    if isinstance(x, (bool, np.bool_)):
        return int(x)
    if isinstance(x, (int, np.integer)):
        return int(x) if abs(int(x)) < 2**53 else str(int(x))
    x = float(x)
    return repr(x) if x != x or x in (np.inf, -np.inf) or (x == 0 and np.signbit(x)) else x


def entry(array, dtype):
    return {'dtype': dtype, 'shape': list(array.shape), 'values': [value(x) for x in array.reshape(-1).tolist()]}


def npy_dtype(array):
    return array.dtype.newbyteorder('<').str


# --- npy ---------------------------------------------------------------------------------------------------------------


def npy(name, array, **options):
    with open(here / name, 'wb') as file:
        np.lib.format.write_array(file, array, **options)
    expected[name] = entry(array, npy_dtype(array))


for code in ['f2', 'f4', 'f8']:
    npy(f'{code}.npy', np.array(specials, f'<{code}').reshape(3, 4))
for code in ['i1', 'i2', 'i4', 'i8', 'u1', 'u2', 'u4', 'u8']:
    info = np.iinfo(code)
    npy(f'{code}.npy', np.array([info.min, info.max, 0, 1, 100, info.max - 1], code).reshape(2, 3))
npy('bool.npy', np.array([[True, False, True]]))
for code in ['f2', 'f4', 'f8', 'i2', 'i4', 'i8', 'u8']:
    npy(f'big-{code}.npy', np.arange(6).reshape(2, 3).astype(f'>{code}'))
npy('fortran.npy', np.asfortranarray(np.arange(24, dtype='<f4').reshape(2, 3, 4)))
npy('fortran-big.npy', np.asfortranarray(np.arange(6, dtype='>i8').reshape(3, 2)))
npy('scalar.npy', np.array(7.25))
npy('empty.npy', np.zeros((0, 5), '<i4'))
npy('empty-fortran.npy', np.asfortranarray(np.zeros((3, 0, 2), '<f4')))
npy('version2.npy', np.arange(4, dtype='<u2'), version=(2, 0))
npy('version3.npy', np.arange(4, dtype='<f8').reshape(2, 2), version=(3, 0))
npy('one.npy', np.array([[[[1]]]], '<i8'))
for name, array in {
    'bad-object.npy': np.array([1, 'a', None], object),
    'bad-structured.npy': np.zeros(2, [('x', '<f4'), ('y', '<i4')]),
    'bad-text.npy': np.array(['ab', 'c']),
    'bad-complex.npy': np.zeros(2, '<c8'),
    'bad-date.npy': np.array(['2020-01-01'], 'M8[D]'),
}.items():
    np.save(here / name, array, allow_pickle=True)


# --- npz ---------------------------------------------------------------------------------------------------------------

rng = np.random.default_rng(0)
arrays = {
    'a': np.arange(12, dtype='<f4').reshape(3, 4),
    'deep/name é': np.array([2**40, -1], '<i8'),
    'half': np.array(specials, '<f2'),
    'fortran': np.asfortranarray(np.arange(6, dtype='>f4').reshape(2, 3)),
    'scalar': np.array(True),
    'empty': np.zeros((0, 3), '<f8'),
    'zeros': np.zeros(3000, '<f4'),
    'noise': rng.integers(0, 256, 400).astype('u1'),
}
listing = {name: entry(array, npy_dtype(array)) for name, array in arrays.items()}
np.savez(here / 'stored.npz', **arrays)
np.savez_compressed(here / 'compressed.npz', **arrays)
expected['stored.npz'] = expected['compressed.npz'] = listing

few = {'a': arrays['a'], 'b': arrays['half']}
with zipfile.ZipFile(here / 'zip64.npz', 'w', zipfile.ZIP_DEFLATED) as archive:
    # Sizes of 8 bytes in the local headers though they would fit in 4, a comment, and a file that is no array.
    for name, array in few.items():
        with archive.open(f'{name}.npy', 'w', force_zip64=True) as file:
            np.lib.format.write_array(file, array)
    archive.writestr('README', 'not an array')
    archive.comment = b'a comment'
expected['zip64.npz'] = {name: entry(array, npy_dtype(array)) for name, array in few.items()}


class Pipe(io.RawIOBase):
    """Cannot seek, so that zipfile writes sizes behind the data."""

    def __init__(self, file):
        self.file = file

    def writable(self):
        return True

    def write(self, data):
        return self.file.write(data)


with open(here / 'piped.npz', 'wb') as file:
    with zipfile.ZipFile(Pipe(file), 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, array in few.items():
            with archive.open(f'{name}.npy', 'w') as member:
                np.lib.format.write_array(member, array)
expected['piped.npz'] = expected['zip64.npz']
np.savez(here / 'mixed.npz', good=np.arange(3, dtype='<i4'), words=np.array(['a', 'b']), objects=np.array([None], object))
expected['mixed.npz'] = {'good': entry(np.arange(3), '<i4')}

# --- safetensors ---------------------------------------------------------------------------------------------------------

torch_types = {
    'F64': torch.float64, 'F32': torch.float32, 'F16': torch.float16, 'BF16': torch.bfloat16, 'I64': torch.int64,
    'I32': torch.int32, 'I16': torch.int16, 'I8': torch.int8, 'U64': torch.uint64, 'U32': torch.uint32,
    'U16': torch.uint16, 'U8': torch.uint8, 'BOOL': torch.bool,
}  # fmt: skip


def of_type(name):
    dtype = torch_types[name]
    if dtype.is_floating_point:
        return torch.tensor(specials, dtype=torch.float64).to(dtype).reshape(4, 3)
    if dtype is torch.bool:
        return torch.tensor([[True, False]])
    info = torch.iinfo(dtype)
    return torch.from_numpy(np.array([[info.min, info.max, 3]], np.dtype(name.lower().replace('i', 'int').replace('u', 'uint'))))


def torch_entry(tensor, name):
    plain = tensor.detach()
    plain = plain.double() if plain.is_floating_point() else plain
    return entry(np.array(plain.tolist(), dtype=object).reshape(tuple(tensor.shape)), name)


every = {f'x.{name}': of_type(name) for name in torch_types}
save_file(every | {'scalar': torch.tensor(2.5), 'empty': torch.zeros(0, 3)}, here / 'all.safetensors', {'format': 'pt'})
expected['all.safetensors'] = {f'x.{name}': torch_entry(tensor, name) for name, tensor in zip(torch_types, every.values())}
expected['all.safetensors'] |= {'scalar': torch_entry(torch.tensor(2.5), 'F32'), 'empty': torch_entry(torch.zeros(0, 3), 'F32')}

save_file(
    {'a': torch.tensor([1.0, 2.0]), 'f8': torch.ones(3).to(torch.float8_e4m3fn), 'c': torch.ones(2, dtype=torch.complex64)},
    here / 'unread.safetensors',
)
expected['unread.safetensors'] = {'a': torch_entry(torch.tensor([1.0, 2.0]), 'F32')}

# --- PyTorch -------------------------------------------------------------------------------------------------------------


def save(name, value, tensors, **options):
    """tensors: (name in the file, tensor, dtype) of everything in it."""
    torch.save(value, here / name, **options)
    expected[name] = {key: torch_entry(tensor, dtype) for key, tensor, dtype in tensors}


named = [(f'x.{name}', every[f'x.{name}'], name) for name in torch_types]
save('dtypes.pt', every, named)
torch.manual_seed(0)
module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
state = module.state_dict()
state_list = [(k, v, 'I64' if v.dtype == torch.int64 else 'F32') for k, v in state.items()]
save('module.pt', state, state_list)
for protocol in [3, 4, 5]:
    save(f'protocol{protocol}.pt', state, state_list, pickle_protocol=protocol)

base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
views = {
    'whole': base,
    'transposed': base.T,
    'rows': base[1:3],
    'column': base[:, 2],
    'step': base[::2, 1::3],
    'permuted': base.reshape(2, 2, 6).permute(2, 0, 1),
    'expanded': base[0, 3].expand(2, 5),
    'element': base[3, 5],
    'none': base[4:],
    'diagonal': base.diagonal(),
    'half': base.half()[:, 1:4].T,
    'bf16': base.bfloat16()[2],
}
save('views.pt', views, [(k, v, {'half': 'F16', 'bf16': 'BF16'}.get(k, 'F32')) for k, v in views.items()])

parameter = torch.nn.Parameter(torch.tensor([1.0, 2.0]))
optimizer = torch.optim.AdamW([parameter], lr=0.5)
parameter.sum().backward()
optimizer.step()
parameter.note = 'an attribute'
moments = optimizer.state_dict()['state'][0]
checkpoint = {
    'model': collections.OrderedDict(weight=parameter, plain=torch.nn.Parameter(torch.ones(2, 1))),
    'optimizer': optimizer.state_dict(),
    'list': [torch.tensor(1), (torch.tensor([2.0]), 'text')],
    'shape': torch.Size([2, 3]),
    'dtype': torch.float16,
    'device': torch.device('cpu'),
    'bytes': b'\x00\xffab',
    'set': {1},
    'numbers': [0, -1, 300, 70000, 2**31, -(2**40), 2**70, 1.5, True, False, None],
    'text': 'é\U0001f3b5',
    7: torch.zeros(0),
}
save('checkpoint.pt', checkpoint, [
    ('model.weight', parameter, 'F32'), ('model.plain', torch.ones(2, 1), 'F32'),
    ('optimizer.state.0.step', moments['step'], 'F32'), ('optimizer.state.0.exp_avg', moments['exp_avg'], 'F32'),
    ('optimizer.state.0.exp_avg_sq', moments['exp_avg_sq'], 'F32'),
    ('list.0', torch.tensor(1), 'I64'), ('list.1.0', torch.tensor([2.0]), 'F32'), ('7', torch.zeros(0), 'F32'),
])  # fmt: skip
save('tensor.pt', torch.tensor([[1, -2]], dtype=torch.int16), [('', torch.tensor([[1, -2]]), 'I16')])

kinds = {
    'plain': torch.tensor([1.0, 2.0]),
    'complex': torch.zeros(2, dtype=torch.complex64),
    'conjugate': torch.zeros(2, dtype=torch.complex128).conj(),
    'complex32': torch.zeros(2, dtype=torch.complex32),
    'float8': torch.zeros(2).to(torch.float8_e4m3fn),
    'coo': torch.eye(2).to_sparse(),
    'csr': torch.eye(2).to_sparse_csr(),
    'quantized': torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8),
    'channels': torch.quantize_per_channel(torch.ones(2, 2), torch.tensor([0.1, 0.2]), torch.tensor([0, 0]), 0, torch.quint8),
    'meta': torch.ones(2, device='meta'),
    'nested': torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    'parameter': torch.nn.Parameter(torch.zeros(2, dtype=torch.complex64)),
    1: torch.ones(1),
    '1': torch.ones(1),
    'dtype': torch.float8_e5m2,
}
save('unread.pt', kinds, [('plain', kinds['plain'], 'F32')])

objects = {
    'counter': collections.Counter('abca'),
    'complex': 1.5 - 2j,
    'bytearray': bytearray(b'\x00\xffab'),
    'nothing': bytearray(),
    'default': collections.defaultdict(list, {'a': [1]}),
    'frozen': frozenset({3}),
    'namespace': argparse.Namespace(lr=0.5, weights=torch.ones(2)),
    'path': pathlib.PosixPath('/a/b.txt'),
    'relative': pathlib.PurePosixPath('a/b.txt'),
    'windows': pathlib.PureWindowsPath('C:\\a\\b'),
    'range': range(3),
    'type': np.float32,
    'numbers': [np.float32(1.5), np.float64(2.5), np.int64(-7), np.bool_(True), np.uint8(9), np.float16(0.5)],
    'beyond': np.uint64(2**63),
    'pair': np.complex64(1 + 2j),
    'array': np.arange(6, dtype='<i4').reshape(2, 3),
    'fortran': np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    'big': np.arange(3, dtype='>f4'),
    'bools': np.array([True, False]),
    'empty': np.zeros((0, 2)),
    'words': np.array(['a', 'bc']),
    'any': np.array([None, 'x'], object),
    'state': np.random.RandomState(0).get_state(),
    'RandomState': np.random.RandomState(0),
    'generator': np.random.default_rng(0),
    'weight': torch.tensor([3.0]),
}
for protocol in [2, 4, 5]:
    save(f'objects{protocol}.pt', objects, [
        ('namespace.weights', torch.ones(2), 'F32'), ('weight', torch.tensor([3.0]), 'F32'),
    ], pickle_protocol=protocol)  # fmt: skip

# What torch.load on a big-endian machine would have written: the same archive with its bytes turned and so marked.
with zipfile.ZipFile(here / 'module.pt') as little, zipfile.ZipFile(here / 'big-endian.pt', 'w') as big:
    for info in little.infolist():
        data = little.read(info)
        if info.filename.endswith('/byteorder'):
            data = b'big'
        elif '/data/' in info.filename:
            data = np.frombuffer(data, '<i8' if len(data) == 8 and info.filename.endswith('/6') else '<f4').byteswap().tobytes()
        big.writestr(info.filename, data)
expected['big-endian.pt'] = expected['module.pt']

torch.save(state, here / 'bad-legacy.pt', _use_new_zipfile_serialization=False)
torch.save(module, here / 'bad-module.pt')

(here / 'expected.json').write_text(json.dumps(expected, ensure_ascii=False, separators=(',', ':')) + '\n')
