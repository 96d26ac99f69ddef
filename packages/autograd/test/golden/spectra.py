"""Golden cases of Fourier transforms: torch.fft, with complex numbers as torch.view_as_real shows them. See common.py."""
import torch

from common import case, normal, uniform, write

as_complex, as_real = torch.view_as_complex, torch.view_as_real


def pairs(fn):
    """fn of complex numbers, as one of pairs."""
    return lambda *xs: as_real(fn(*[as_complex(x.contiguous()) for x in xs]))


fft, ifft, rfft, irfft = torch.fft.fft, torch.fft.ifft, torch.fft.rfft, torch.fft.irfft

# Powers of two, other smooth lengths, a prime over the largest radix and twice it.
lengths = [1, 2, 8, 12, 45, 67, 134]
for n in lengths:
    case(f'fft of {n}', pairs(fft), normal(2, n, 2))
    case(f'ifft of {n}', pairs(ifft), normal(2, n, 2))
    case(f'rfft of {n}', lambda x: as_real(rfft(x)), normal(2, n))
    case(f'irfft of {n}', lambda x: irfft(as_complex(x.contiguous()), n=n), normal(2, n // 2 + 1, 2))

for norm in ['ortho', 'forward']:
    case(f'fft, {norm}', pairs(lambda z: fft(z, norm=norm)), normal(3, 10, 2))
    case(f'ifft, {norm}', pairs(lambda z: ifft(z, norm=norm)), normal(3, 10, 2))
    case(f'rfft, {norm}', lambda x: as_real(rfft(x, norm=norm)), normal(3, 10))
    case(f'rfft of an odd length, {norm}', lambda x: as_real(rfft(x, norm=norm)), normal(3, 9))
    case(f'irfft, {norm}', lambda x: irfft(as_complex(x.contiguous()), norm=norm), normal(3, 6, 2))
    case(f'irfft to an odd length, {norm}', lambda x: irfft(as_complex(x.contiguous()), n=9, norm=norm), normal(3, 5, 2))

case('fft of the first axis', pairs(lambda z: fft(z, dim=0)), normal(6, 3, 2))
case('ifft of the middle axis', pairs(lambda z: ifft(z, dim=-2)), normal(2, 6, 3, 2))
case('rfft of the first axis', lambda x: as_real(rfft(x, dim=0)), normal(6, 3))
case('irfft of the middle axis', lambda x: irfft(as_complex(x.contiguous()), dim=1), normal(2, 4, 3, 2))
case('fft, cut', pairs(lambda z: fft(z, n=5)), normal(3, 8, 2))
case('fft, filled up', pairs(lambda z: fft(z, n=12)), normal(3, 8, 2))
case('rfft, cut', lambda x: as_real(rfft(x, n=6)), normal(3, 9))
case('rfft, filled up', lambda x: as_real(rfft(x, n=14, dim=0)), normal(9, 3))
case('irfft, cut', lambda x: irfft(as_complex(x.contiguous()), n=6), normal(3, 9, 2))
case('irfft, filled up', lambda x: irfft(as_complex(x.contiguous()), n=20), normal(3, 5, 2))
case('fft over two axes', pairs(torch.fft.fft2), normal(4, 6, 2))

case('complexMul', pairs(torch.mul), normal(4, 5, 2), normal(4, 5, 2))
case('complexMul broadcasts', pairs(torch.mul), normal(4, 1, 2), normal(5, 2))
case('complexConj', pairs(torch.conj_physical), normal(4, 5, 2))
case('complexAbs', lambda x: as_complex(x).abs(), uniform(4, 5, 2, low=0.2, high=2))
case('complexAbs, gradient at zero', lambda x: as_complex(x).abs(), [[0.0, 0.0], [3.0, -4.0]])
case('unfold', lambda x: x.unfold(1, 4, 3), normal(2, 11))
case('unfold of the first axis', lambda x: x.unfold(0, 3, 1).square(), normal(6, 2))
case('a short-time Fourier transform', lambda x, w: as_real(rfft(x.unfold(-1, 10, 4) * w)), normal(2, 30), normal(10))
case('a filter in the frequency domain', lambda x, h: irfft(rfft(x) * rfft(h, n=32), n=32), normal(2, 32), normal(7))
case('the energy of a spectrum', lambda x: rfft(x).abs().square().sum(-1), normal(3, 21))

write(__file__)
