"""Writes balancer_f64.safetensors: the balancer's first step of codec_losses.safetensors, by other code and in f64.

audiocraft's result is in f32, where differences of feature maps near 0 take the other sign: its gradient is off by 1.9e-3 of the
largest value there. Made with PyTorch 2.
"""
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.numpy import load_file, save_file

here = Path(__file__).parent
golden = {name: torch.tensor(value, dtype=torch.float64) for name, value in load_file(here / 'codec_losses.safetensors').items()}


def spectrum(x, n):
    window = torch.hann_window(n, dtype=torch.float64)
    return torch.stft(x, n, n // 4, window=window, center=False, return_complex=True) / window.pow(2).sum().sqrt()


def bank(n):
    mel, hz = (lambda f: 2595 * np.log10(1 + f / 700)), (lambda m: 700 * (10 ** (m / 2595) - 1))
    p, f = hz(np.linspace(mel(64), mel(12000), 66)), np.linspace(0, 12000, n // 2 + 1)[:, None]
    return torch.tensor(np.maximum(0, np.minimum((f - p[:-2]) / (p[1:-1] - p[:-2]), (p[2:] - f) / (p[2:] - p[1:-1]))))


def mel_power(x, n):
    x = F.pad(x[:, None], (3 * n // 8, 3 * n // 8), mode='reflect')[:, 0]
    x = F.pad(x, (0, math.ceil((x.shape[-1] - n) / (n // 4)) * (n // 4) + n - x.shape[-1]))
    return torch.matmul(spectrum(x, n).abs().pow(2).transpose(1, 2), bank(n))


def mel_loss(a, b):
    pairs = [(mel_power(a, 2 ** s), mel_power(b, 2 ** s)) for s in range(6, 11)]
    return sum((p - q).abs().mean() + ((p + 1e-5).log10() - (q + 1e-5).log10()).pow(2).mean() for p, q in pairs) / 10


def convolve(x, name, kernel, stride=(1, 1), dilation=(1, 1)):
    of = lambda part: golden.get(f'disc/weight/{name}.conv.{part}', golden.get(f'disc/weight/{name}.conv.conv.{part}'))
    weight, v = of('weight'), of('weight_v')
    if weight is None:
        weight = of('weight_g') * v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    padding = [(k - 1) * d // 2 for k, d in zip(kernel, dilation)]
    return F.conv2d(x, weight, of('bias'), stride=stride, dilation=dilation, padding=padding)


def judge(x):
    result = []
    for i, n in enumerate((1024, 2048, 512)):
        s = spectrum(x, n)
        z, maps = torch.stack([s.real, s.imag], 1).transpose(2, 3), []
        layers = [((3, 9),), *(((3, 9), (1, 2), (d, 1)) for d in (1, 2, 4)), ((3, 3),)]
        for j, layer in enumerate(layers):
            z = F.leaky_relu(convolve(z, f'discriminators.{i}.convs.{j}', *layer), 0.2)
            maps.append(z)
        result.append((convolve(z, f'discriminators.{i}.conv_post', (3, 3)), maps))
    return result


y, y_hat = golden['y'].reshape(1, -1), golden['y_hat'].reshape(1, -1)
target = torch.cat([y, y])
output = torch.cat([y_hat, 0.5 * y_hat]).requires_grad_()
real, fake = judge(target), judge(output)
features = [sum((a - b).abs().mean() for a, b in zip(f, r)) / len(f) for (_, f), (_, r) in zip(fake, real)]
losses = [(output - target).abs().mean(), mel_loss(output, target), -sum(z.mean() for z, _ in fake) / 3, sum(features) / 3]
parts = [torch.autograd.grad(loss, output, retain_graph=True)[0] for loss in losses]
weights = [0.1, 2, 4, 4]
joined = sum(w / sum(weights) * p / (1e-12 + p.norm(dim=1).mean()) for w, p in zip(weights, parts))
off = (joined - golden['balancer/step0/grad']).abs().max() / joined.abs().max()
print('audiocraft differs by', off.item())
doc = 'every 5th sample of the gradient of codec_losses, balancer/step0/grad, in f64; see balancer_f64.py'
save_file({'grad': joined[:, ::5].detach().float().numpy().copy()}, here / 'balancer_f64.safetensors', metadata={'doc': doc})
