"""PyTorch's side of `npm run bench -- step --peers`: MERT's student and heads, their losses and AdamW, on given weights.

The first argument is a folder with setting.json (the configuration), weights.safetensors (names as in Hugging Face's
model) and raw files of the batch. One JSON request a line on stdin, one JSON answer a line on stdout:
{"do": "loss"} -> the loss without dropout; {"do": "run", "precision": "f32" | "bf16"} -> milliseconds of one step.
Runs on CUDA where there is one, else on the CPU.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

device = "cuda" if torch.cuda.is_available() else "cpu"
# Full f32 products in f32, as everywhere else here.
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False


class ConvLayer(nn.Module):
    def __init__(self, m, i):
        super().__init__()
        channels = 1 if i == 0 else m["convDim"][i - 1]
        out = m["convDim"][i]
        self.conv = nn.Conv1d(channels, out, m["convKernel"][i], m["convStride"][i], bias=m["convBias"])
        self.over_channels = m["featExtractNorm"] == "layer"
        if self.over_channels:
            self.layer_norm = nn.LayerNorm(out, eps=m["layerNormEps"])
        elif i == 0:
            self.layer_norm = nn.GroupNorm(out, out, eps=m["layerNormEps"])
        else:
            self.layer_norm = nn.Identity()

    def forward(self, x):
        y = self.conv(x)
        if self.over_channels:
            return F.gelu(self.layer_norm(y.transpose(1, 2)).transpose(1, 2))
        return F.gelu(self.layer_norm(y))


class Positional(nn.Module):
    """Its weight is g v / |v|, the length taken over all but the taps."""

    def __init__(self, m):
        super().__init__()
        width, kernel, groups = m["hiddenSize"], m["numConvPosEmbeddings"], m["numConvPosEmbeddingGroups"]
        self.conv = nn.Module()
        self.conv.weight_g = nn.Parameter(torch.empty(1, 1, kernel))
        self.conv.weight_v = nn.Parameter(torch.empty(width, width // groups, kernel))
        self.conv.bias = nn.Parameter(torch.empty(width))
        self.groups = groups

    def forward(self, x):
        v = self.conv.weight_v
        weight = v * (self.conv.weight_g / v.square().sum((0, 1), keepdim=True).sqrt())
        y = F.conv1d(x.transpose(1, 2), weight, self.conv.bias, padding=v.shape[2] // 2, groups=self.groups)
        return F.gelu(y[:, :, : x.shape[1]]).transpose(1, 2)


class Attention(nn.Module):
    def __init__(self, m):
        super().__init__()
        width = m["hiddenSize"]
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.heads, self.dropout = m["numAttentionHeads"], m["attentionDropout"]

    def forward(self, x):
        batch, frames, width = x.shape
        q, k, v = (
            projection(x).view(batch, frames, self.heads, -1).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, frames, width))


class FeedForward(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.intermediate_dense = nn.Linear(m["hiddenSize"], m["intermediateSize"])
        self.output_dense = nn.Linear(m["intermediateSize"], m["hiddenSize"])
        self.dropout = nn.Dropout(m["activationDropout"])

    def forward(self, x):
        return self.output_dense(self.dropout(F.gelu(self.intermediate_dense(x))))


class Layer(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.attention, self.feed_forward = Attention(m), FeedForward(m)
        self.layer_norm, self.final_layer_norm = (
            nn.LayerNorm(m["hiddenSize"], eps=m["layerNormEps"]) for _ in range(2)
        )
        self.dropout = nn.Dropout(m["hiddenDropout"])
        self.norm_first = m["doStableLayerNorm"]

    def forward(self, x):
        if self.norm_first:
            x = x + self.dropout(self.attention(self.layer_norm(x)))
            return x + self.dropout(self.feed_forward(self.final_layer_norm(x)))
        x = self.layer_norm(x + self.dropout(self.attention(x)))
        return self.final_layer_norm(x + self.dropout(self.feed_forward(x)))


class Encoder(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.pos_conv_embed = Positional(m)
        self.layer_norm = nn.LayerNorm(m["hiddenSize"], eps=m["layerNormEps"])
        self.layers = nn.ModuleList(Layer(m) for _ in range(m["numHiddenLayers"]))
        self.dropout = nn.Dropout(m["hiddenDropout"])
        self.norm_first = m["doStableLayerNorm"]

    def forward(self, x):
        x = x + self.pos_conv_embed(x)
        x = self.dropout(x if self.norm_first else self.layer_norm(x))
        for layer in self.layers:
            x = layer(x)
        return self.layer_norm(x) if self.norm_first else x


class Projection(nn.Module):
    def __init__(self, m):
        super().__init__()
        self.layer_norm = nn.LayerNorm(m["convDim"][-1], eps=m["layerNormEps"])
        self.projection = nn.Linear(m["convDim"][-1], m["hiddenSize"])

    def forward(self, x):
        return self.projection(self.layer_norm(x))


class Pretraining(nn.Module):
    """Student and heads; forward gives the loss of a batch."""

    def __init__(self, config, bins):
        super().__init__()
        m, rvq = config["model"], config["rvq"]
        self.config = config
        self.masked_spec_embed = nn.Parameter(torch.empty(m["hiddenSize"]))
        self.feature_extractor = nn.Module()
        self.feature_extractor.conv_layers = nn.ModuleList(ConvLayer(m, i) for i in range(len(m["convDim"])))
        self.feature_projection = Projection(m)
        self.input_dropout = nn.Dropout(m["featProjDropout"])
        self.encoder = Encoder(m)
        self.final_proj = nn.Linear(m["hiddenSize"], rvq["numCodebooks"] * m["finalDim"])
        classes = rvq["codebookSize"] + config["targets"]["specialClasses"]
        self.label_embs_concat = nn.Parameter(torch.empty(rvq["numCodebooks"] * classes, m["finalDim"]))
        self.encoder_cqt_model = nn.Module()
        self.encoder_cqt_model.fc = nn.Linear(m["hiddenSize"], bins)

    def forward(self, waveform, mask, rows, labels, cqt):
        m, rvq, weights = self.config["model"], self.config["rvq"], self.config["loss"]
        features = waveform.unsqueeze(1)
        for layer in self.feature_extractor.conv_layers:
            features = layer(features)
        multiplier = m["featureGradMult"]
        passed = features
        if multiplier != 1:
            passed = features * multiplier + (features * (1 - multiplier)).detach()
        hidden = self.input_dropout(self.feature_projection(passed.transpose(1, 2)))
        hidden = torch.where(mask.unsqueeze(-1), self.masked_spec_embed.to(hidden.dtype), hidden)
        frames = self.encoder(hidden).flatten(0, 1)[rows]
        books = rvq["numCodebooks"]
        projected = F.normalize(self.final_proj(frames).view(-1, books, m["finalDim"]), dim=-1).transpose(0, 1)
        classes = F.normalize(self.label_embs_concat.view(books, -1, m["finalDim"]), dim=-1)
        logits = projected @ classes.transpose(1, 2) / m["logitTemperature"]
        codes = F.cross_entropy(logits.flatten(0, 1).float(), labels.flatten()) * books
        spectrum = F.mse_loss(self.encoder_cqt_model.fc(frames).float(), cqt)
        penalty = features.float().square().mean()
        return codes + weights["cqtWeight"] * spectrum + weights["featurePenaltyWeight"] * penalty


def read_safetensors(path):
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8 : 8 + length]).items():
        if name != "__metadata__":
            first, last = (8 + length + at for at in entry["data_offsets"])
            values = np.frombuffer(data, dtype="float32", count=(last - first) // 4, offset=first)
            yield name, torch.from_numpy(values.reshape(entry["shape"]).copy())


def wait():
    if device == "cuda":
        torch.cuda.synchronize()


def main():
    folder = Path(sys.argv[1])
    setting = json.loads((folder / "setting.json").read_text())
    config = setting["config"]

    def load(name):
        spec = setting["batch"][name]
        values = np.fromfile(folder / name, dtype=spec["dtype"]).reshape(spec["shape"])
        return torch.from_numpy(values).to(device)

    batch = {
        "waveform": load("waveform"),
        "mask": load("mask").bool(),
        "rows": load("rows").long(),
        "labels": load("labels").long(),
        "cqt": load("cqt"),
    }
    model = Pretraining(config, batch["cqt"].shape[1]).to(device)
    # Strict: a parameter more or less is another model.
    model.load_state_dict(dict(read_safetensors(folder / "weights.safetensors")))
    o = config["optimizer"]
    # The rate is small, so that a hundred steps change no figure.
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=setting["learningRate"],
        betas=o["betas"],
        eps=o["eps"],
        weight_decay=o["weightDecay"],
        fused=device == "cuda",
    )

    def step(bf16):
        with torch.autocast(device, dtype=torch.bfloat16, enabled=bf16):
            loss = model(**batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), o["clipNorm"])
        optimizer.step()
        return loss.item()

    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    precisions = ["f32", "bf16"] if device == "cuda" else ["f32"]
    parameters = sum(p.numel() for p in model.parameters())
    hello = {"adapter": name, "version": torch.__version__, "precisions": precisions, "parameters": parameters}
    print(json.dumps(hello), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "loss":
                model.eval()
                with torch.no_grad():
                    answer = {"loss": model(**batch).item()}
                model.train()
            else:
                if device == "cuda":
                    torch.cuda.reset_peak_memory_stats()
                wait()
                start = time.perf_counter()
                loss = step(request["precision"] == "bf16")
                wait()
                answer = {"milliseconds": 1000 * (time.perf_counter() - start)}
                if not math.isfinite(loss):
                    raise ValueError(f"the loss became {loss}")
                if device == "cuda":
                    answer["peakBytes"] = torch.cuda.max_memory_allocated()
        except Exception as error:  # It is told to the other side.
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


main()
