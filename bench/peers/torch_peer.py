"""PyTorch's side of `npm run bench -- --peers`: one JSON request a line on stdin, one JSON answer a line on stdout.

Runs on CUDA where there is one, else on the CPU. Inputs and results travel as raw files of 32-bit values;
halves are numbers that f16 holds exactly.
"""

import json
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

device = "cuda" if torch.cuda.is_available() else "cpu"
# Full f32 products, as everywhere else here.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


def chain(x, c, s):
    for _ in range(int(s["length"])):
        x = x + c
    return x


def rvq(x, *books):
    for book in books:
        codes = (book.square().sum(1) - 2 * x @ book.T).argmin(1)
        x = x - book[codes]
    return x


def cqt_filters():
    """MERT's constant-Q filters, an octave a product: pairs of (reach, weights [2 bins of the octave, 1, taps])."""
    rate, hop, lowest, bins, octave = 24000, 320, 32.7, 336, 48
    octaves = []
    for low in range(0, bins, octave):
        f = lowest * 2 ** (np.arange(low, min(low + octave, bins)) / octave)
        lengths = np.ceil(rate / f / (2 ** (1 / octave) - 1)).astype(int)
        reach = (lengths[0] + 1) // 2
        weights = np.zeros((2 * len(f), 1, 2 * reach))
        for k, l in enumerate(lengths):
            n = np.arange(l) - (l + 1) // 2
            w = (1 - np.cos(2 * np.pi * np.arange(l) / l)) / np.sqrt(l)
            weights[k, 0, n + reach] = w * np.cos(2 * np.pi * f[k] * n / rate)
            weights[len(f) + k, 0, n + reach] = w * np.sin(2 * np.pi * f[k] * n / rate)
        octaves.append((int(reach), torch.from_numpy(weights.astype("float32")).to(device)))
    return hop, octaves


filters = None


def cqt(x):
    global filters
    filters = filters or cqt_filters()
    hop, octaves = filters
    parts = []
    for reach, weights in octaves:
        y = F.conv1d(F.pad(x[:, None], (reach, reach)), weights, stride=hop)[:, :, : x.shape[1] // hop + 1]
        re, im = y.chunk(2, 1)
        parts.append(torch.hypot(re, im))
    return torch.cat(parts, 1)


def stft(s, x):
    n = int(s["nFft"])
    window = torch.hann_window(n, device=x.device)
    y = torch.stft(x, n, int(s["hopLength"]), window=window, center=True, pad_mode="constant", return_complex=True)
    return torch.view_as_real(y)


def resample(s, x, kernel):
    width, step = int(s["width"]), int(s["step"])
    y = F.conv1d(F.pad(x[:, None], (width, width + step)), kernel[:, None], stride=step)
    return y.transpose(1, 2).reshape(len(x), -1)[:, : int(s["length"])]


class Causal(torch.nn.Module):
    """EnCodec's convolution: all padding before, by reflection."""

    def __init__(self, inner, outer, kernel, stride=1):
        super().__init__()
        self.conv = torch.nn.Conv1d(inner, outer, kernel, stride)
        self.padding = kernel - stride

    def forward(self, x):
        return self.conv(F.pad(x, (self.padding, 0), mode="reflect") if self.padding else x)


class Residual(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner, self.outer = Causal(width, width // 2, 3), Causal(width // 2, width, 1)
        self.shortcut = Causal(width, width, 1)

    def forward(self, x):
        return self.shortcut(x) + self.outer(F.elu(self.inner(F.elu(x))))


class Recurrent(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.lstm = torch.nn.LSTM(width, width, 2)

    def forward(self, x):
        steps = x.permute(2, 0, 1)
        return (self.lstm(steps)[0] + steps).permute(1, 2, 0)


def encodec_model():
    layers, width = [Causal(1, 32, 7)], 32
    for stride in (2, 4, 5, 8):
        layers += [Residual(width), torch.nn.ELU(), Causal(width, 2 * width, 2 * stride, stride)]
        width *= 2
    layers += [Recurrent(width), torch.nn.ELU(), Causal(width, 128, 7)]
    books = [torch.randn(1024, 128, device=device) for _ in range(8)]
    return torch.nn.Sequential(*layers).to(device), books


codec = None


def encodec(x):
    global codec
    codec = codec or encodec_model()
    model, books = codec
    rows = model(x[:, None]).transpose(1, 2).reshape(-1, 128)
    return rvq(rows, *books)


OPERATIONS = {
    "matmul": lambda s, a, b: (a.T if s["transposeA"] else a) @ (b.T if s["transposeB"] else b),
    "conv1d": lambda s, x, w: F.conv1d(
        x, w, stride=int(s["stride"]), padding=int(s["padding"]), groups=int(s["groups"])
    ),
    "attention": lambda s, q, k, v: F.scaled_dot_product_attention(q, k, v),
    "layernorm": lambda s, x, w, b: F.layer_norm(x, w.shape, w, b, s["eps"]),
    "groupnorm": lambda s, x, w, b: F.group_norm(x, len(w), w, b, s["eps"]),
    "first_stage": lambda s, w, a, b, x: F.gelu(
        F.group_norm(F.conv1d(x, w, stride=int(s["stride"])), len(w), a, b, s["eps"])
    ),
    "gelu": lambda s, x: F.gelu(x),
    "rfft": lambda s, x: torch.view_as_real(torch.fft.rfft(x)),
    "elementwise": lambda s, x, w, b: torch.tanh(x * w + b) * torch.sigmoid(x),
    "chain": lambda s, x, c: chain(x, c, s),
    "softmax": lambda s, x: torch.softmax(x, -1),
    "cross_entropy": lambda s, x, t: F.cross_entropy(x, t),
    "cqt": lambda s, x: cqt(x),
    "stft": stft,
    "resample": resample,
    "encodec": lambda s, x: encodec(x),
    "rvq": lambda s, x, *books: rvq(x, *books),
}


FLOATS = {"f32": torch.float32, "f16": torch.float16}


def load(spec):
    whole = spec["dtype"] == "i32"
    values = np.fromfile(spec["file"], dtype="int32" if whole else "float32").reshape(spec["shape"])
    x = torch.from_numpy(values).to(device)
    return x.long() if whole else x.to(FLOATS[spec["dtype"]])


def prepare(request):
    operation = OPERATIONS.get(request["operation"])
    if operation is None:
        return None
    inputs = [load(spec) for spec in request["inputs"]]
    seed = load(request["gradient"]) if request["gradient"] else None
    wanted = [x for x, spec in zip(inputs, request["inputs"]) if x.is_floating_point() and not spec.get("constant")]
    if seed is not None:
        for x in wanted:
            x.requires_grad_()

    def work():
        if seed is None:
            with torch.no_grad():
                return [operation(request["settings"], *inputs)]
        y = operation(request["settings"], *inputs)
        return [y.detach(), *torch.autograd.grad(y, wanted, seed)]

    try:
        work()
    except (RuntimeError, NotImplementedError) as error:
        # Processors do not compute everything in halves.
        if "Half" in str(error):
            return None
        raise
    return work


def wait():
    if device == "cuda":
        torch.cuda.synchronize()


def by_wall(work):
    wait()
    start = time.perf_counter()
    work()
    wait()
    return 1000 * (time.perf_counter() - start)


# Cycles that the GPU sleeps while the host enqueues what is timed: a millisecond or so.
HEAD_START = 2_000_000


def by_events(work):
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(HEAD_START)
    start.record()
    work()
    end.record()
    wait()
    return start.elapsed_time(end)


def main():
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    print(json.dumps({"adapter": name, "version": torch.__version__, "cuda": device == "cuda"}), flush=True)
    work = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                work = prepare(request)
                answer = {"supported": work is not None}
            elif request["do"] == "run":
                answer = {"milliseconds": by_events(work) if request["timing"] == "gpu" else by_wall(work)}
            elif request["do"] == "read":
                results = work()
                for x, file in zip(results, request["files"], strict=True):
                    x.float().contiguous().cpu().numpy().astype("float32").tofile(file)
                answer = {}
            else:
                work = None
                answer = {}
        except Exception as error:  # It is told to the other side, which goes on with the next case.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
