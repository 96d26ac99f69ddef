"""Writes librosa_features.safetensors: what librosa and torchaudio make of the x of spectral.safetensors and of clicks.

Made with librosa 0.11.0 and torchaudio 0.13.1 (functional, on PyTorch 2).
"""
import json
import struct
import sys
from pathlib import Path

import librosa
import numpy as np
import torch
import torchaudio.functional as F

here = Path(__file__).parent


def load(path):
    data = path.read_bytes()
    size = struct.unpack('<Q', data[:8])[0]
    header = json.loads(data[8:8 + size])
    return {
        name: np.frombuffer(data[8 + size:][slice(*entry['data_offsets'])], {'F32': 'f4', 'F64': 'f8'}[entry['dtype']]).reshape(entry['shape'])
        for name, entry in header.items() if name != '__metadata__'
    }


def save(path, arrays, doc):
    header, parts, at = {'__metadata__': {'doc': doc}}, [], 0
    for name, array in arrays.items():
        part = np.ascontiguousarray(array, dtype='f4').tobytes()
        header[name] = {'dtype': 'F32', 'shape': list(np.shape(array)), 'data_offsets': [at, at + len(part)]}
        parts.append(part)
        at += len(part)
    text = json.dumps(header).encode()
    text += b' ' * (-len(text) % 8)
    path.write_bytes(struct.pack('<Q', len(text)) + text + b''.join(parts))


x = load(here / 'spectral.safetensors')['x']
sr, cut = 24000, dict(n_fft=1024, hop_length=320)
S = np.abs(librosa.stft(x, **cut))
f = librosa.feature
out = {
    'centroid': f.spectral_centroid(S=S, sr=sr),
    'bandwidth': f.spectral_bandwidth(S=S, sr=sr),
    'bandwidth_p3': f.spectral_bandwidth(S=S, sr=sr, p=3),
    'rolloff': f.spectral_rolloff(S=S, sr=sr),
    'rolloff_50': f.spectral_rolloff(S=S, sr=sr, roll_percent=0.5),
    'flatness': f.spectral_flatness(S=S),
    'contrast': f.spectral_contrast(S=S, sr=sr),
    'contrast_linear': f.spectral_contrast(S=S, sr=sr, linear=True, fmin=300, n_bands=4, quantile=0.1),
    'rms': f.rms(y=x, frame_length=1000, hop_length=320),
    'rms_spectral': f.rms(S=S, frame_length=1024),
    'zero_crossings': f.zero_crossing_rate(x, frame_length=1000, hop_length=320),
    'onset': librosa.onset.onset_strength(y=x, sr=sr, **cut),
    'onset_superflux': librosa.onset.onset_strength(y=x, sr=sr, lag=2, max_size=3, detrend=True, **cut),
    'preemphasis': librosa.effects.preemphasis(x)[:2000],
    'deemphasis': librosa.effects.deemphasis(x)[:2000],
}
mfcc = f.mfcc(y=x, sr=sr, n_mfcc=5, **cut)
out['mfcc'] = mfcc
out['delta_order2'] = f.delta(mfcc, order=2)
out['delta_nearest'] = f.delta(mfcc, width=5, mode='nearest')
out['griffinlim_librosa'] = librosa.griffinlim(S, n_iter=8, init=None, n_fft=1024, hop_length=320, length=24000)
out['griffinlim_plain'] = librosa.griffinlim(S, n_iter=8, init=None, momentum=0, n_fft=1024, hop_length=320)
window = torch.hann_window(1024)
power = torch.stft(torch.tensor(x), 1024, 256, window=window, return_complex=True).abs() ** 2
out['griffinlim_torchaudio'] = F.griffinlim(power, window, 1024, 256, 1024, 2.0, 8, 0.99, None, False).numpy()

t = np.arange(6 * 22050) / 22050
clicks = (np.exp(-40 * (t % 0.47)) * np.sin(2 * np.pi * 880 * t)).astype('f4')
onset = librosa.onset.onset_strength(y=clicks, sr=22050)
out['clicks_onset'] = onset
out['clicks_tempogram'] = f.tempogram(onset_envelope=onset, sr=22050, win_length=101)[:, ::16]
out['clicks_tempo'] = f.tempo(onset_envelope=onset, sr=22050)
out['clicks_tempo_frames'] = f.tempo(onset_envelope=onset, sr=22050, aggregate=None)[::16]
notes = sum(np.sin(2 * np.pi * 440 * 2 ** ((k + 0.23) / 12) * np.arange(32000) / 16000) / (k + 1) for k in range(0, 24, 5))
out['tuning'] = [librosa.estimate_tuning(y=notes.astype('f4'), sr=16000, n_fft=4096)]

two = np.stack([x, np.roll(x, 777) * 0.3])
two = np.concatenate([two, 0.001 * two, two * 0.2], axis=1)
out['loudness_stereo'] = [F.loudness(torch.tensor(two), sr).item()]
for a, b in [(44100, 48000), (48000, 44100), (8000, 11025)]:
    own = torch.tensor(x[:1500])
    out[f'resample_{a}_{b}_hann6'] = F.resample(own, a, b).numpy()
    out[f'resample_{a}_{b}_kaiser64'] = F.resample(
        own, a, b, lowpass_filter_width=64, rolloff=0.9475937167399596, resampling_method='kaiser_window', beta=14.769656459379492).numpy()

save(here / 'librosa_features.safetensors', out, __doc__ + 'nFft 1024 and hop 320 at 24 kHz unless the script says otherwise')
print({name: np.shape(value) for name, value in out.items()}, file=sys.stderr)
