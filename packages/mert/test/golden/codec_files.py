"""Checkpoints of a very small EnCodec as PyTorch writes them, every tensor filled by the hash rule of codec-support.ts.

codec_encodec.th: encodec's own names with weight_g and weight_v. codec_parametrized.bin: Hugging Face's names with
parametrizations.weight.original0 and original1. Run with a PyTorch of 2.x: python3 codec_files.py
"""

import json
import os

import numpy as np
import torch

here = os.path.dirname(os.path.abspath(__file__))
FILTERS, DIMENSION, CODES, CODEBOOKS = 2, 4, 8, 3


def noise(name, shape):
    seed = 0x811C9DC5
    for byte in name.encode():
        seed = ((seed ^ byte) * 0x01000193) & 0xFFFFFFFF
    count = int(np.prod(shape))
    x = (np.arange(count, dtype=np.uint64) * 0x9E3779B9 + seed) & 0xFFFFFFFF
    x = ((x ^ (x >> 16)) * 0x7FEB352D) & 0xFFFFFFFF
    x = ((x ^ (x >> 15)) * 0x846CA68B) & 0xFFFFFFFF
    x ^= x >> 16
    return torch.from_numpy(((x >> 8).astype(np.float64) * 2.0**-23 - 1).astype(np.float32).reshape(shape))


def small(shape, key):
    """The shape that a key of the real model has in the small one."""
    if "_codebook" in key:
        return {"inited": [1], "cluster_size": [CODES]}.get(key.split(".")[-1], [CODES, DIMENSION])
    latents = key.startswith("encoder.model.15.") or key.startswith("decoder.model.0.")
    result = []
    for axis, extent in enumerate(shape):
        if axis == 2 or extent == 1:
            result.append(extent)
        elif latents and extent == 128:
            result.append(DIMENSION)
        else:
            result.append(extent * FILTERS // 32)
    return result


keys = json.load(open(os.path.join(here, "encodec_keys.json")))["keys"]
own, parametrized = {}, {}
for entry in keys:
    parts = entry["fb"].split(".")
    if parts[0] == "quantizer" and int(parts[3]) >= CODEBOOKS:
        continue
    value = noise("w/" + entry["hf"], small(entry["shape"], entry["fb"]))
    own[entry["fb"]] = value
    parametrized[entry["hf_parametrized"]] = value
torch.save(own, os.path.join(here, "codec_encodec.th"))
torch.save(parametrized, os.path.join(here, "codec_parametrized.bin"))
