"""Golden cases of losses and layers of torch.nn. See common.py."""
import numpy as np
import torch
import torch.nn.functional as F

from common import case, integers, normal, uniform, write

reductions = ['mean', 'sum', 'none']

# Losses of classes.
for reduction in reductions:
    case(f'crossEntropy, {reduction}', lambda x, t: F.cross_entropy(x, t, reduction=reduction), normal(6, 5, std=2), integers(6, high=5))
    case(f'crossEntropy with weights and label smoothing, {reduction}',
         lambda x, t, w: F.cross_entropy(x, t, w, reduction=reduction, label_smoothing=0.2),
         normal(6, 5, std=2), integers(6, high=5), uniform(5, low=0.2, high=2), wrt=[0])
    case(f'crossEntropy with ignored targets, {reduction}', lambda x, t: F.cross_entropy(x, t, reduction=reduction),
         normal(6, 5, std=2), np.array([3, -100, 0, 4, -100, 1], dtype=np.int32))
    case(f'crossEntropy with everything, {reduction}',
         lambda x, t, w: F.cross_entropy(x, t, w, ignore_index=2, reduction=reduction, label_smoothing=0.1),
         normal(2, 5, 3, 4, std=2), integers(2, 3, 4, high=5), uniform(5, low=0.2, high=2), wrt=[0])
    case(f'crossEntropy with probabilities, {reduction}',
         lambda x, t, w: F.cross_entropy(x, t.softmax(1), w, reduction=reduction, label_smoothing=0.1),
         normal(3, 5, 4, std=2), normal(3, 5, 4), uniform(5, low=0.2, high=2), wrt=[0, 1])
    case(f'nllLoss with weights and ignored targets, {reduction}',
         lambda x, t, w: F.nll_loss(x.log_softmax(1), t, w, ignore_index=0, reduction=reduction),
         normal(4, 5, 3), integers(4, 3, high=5), uniform(5, low=0.2, high=2), wrt=[0])
    case(f'binaryCrossEntropyWithLogits, {reduction}', lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction=reduction),
         normal(4, 5, std=3), uniform(4, 5, low=0, high=1))
    case(f'binaryCrossEntropyWithLogits with weights, {reduction}',
         lambda x, y, w, p: F.binary_cross_entropy_with_logits(x, y, w, pos_weight=p, reduction=reduction),
         normal(4, 5, std=3), uniform(4, 5, low=0, high=1), uniform(4, 1, low=0.2, high=2), uniform(5, low=0.2, high=3), wrt=[0, 1])
case('crossEntropy of one example', F.cross_entropy, normal(5), np.array(3, dtype=np.int32))
case('crossEntropy of large logits', F.cross_entropy, normal(4, 30, mean=500, std=40), integers(4, high=30))
case('binaryCrossEntropyWithLogits of large logits', F.binary_cross_entropy_with_logits, normal(20, std=60), uniform(20, low=0, high=1))
for reduction in [*reductions, 'batchmean']:
    case(f'klDiv, {reduction}', lambda x, t: F.kl_div(x.log_softmax(1), t.softmax(1), reduction=reduction), normal(4, 5), normal(4, 5))
    case(f'klDiv of logarithms, {reduction}',
         lambda x, t: F.kl_div(x.log_softmax(1), t.log_softmax(1), reduction=reduction, log_target=True), normal(4, 5), normal(4, 5))

# Losses of differences and of angles.
for reduction in reductions:
    for name, fn in {'mseLoss': F.mse_loss, 'l1Loss': F.l1_loss, 'smoothL1Loss': F.smooth_l1_loss}.items():
        case(f'{name}, {reduction}', lambda a, b: fn(a, b, reduction=reduction), normal(4, 5), normal(4, 5))
    case(f'smoothL1Loss with beta, {reduction}', lambda a, b: F.smooth_l1_loss(a, b, reduction=reduction, beta=0.4), normal(4, 5), normal(4, 5))
    case(f'cosineEmbeddingLoss, {reduction}',
         lambda a, b, t: F.cosine_embedding_loss(a, b, t, margin=-0.2, reduction=reduction),
         normal(5, 4), normal(5, 4), np.array([1, -1, -1, 1, -1], dtype=np.int32))
case('smoothL1Loss with beta zero', lambda a, b: F.smooth_l1_loss(a, b, beta=0), normal(4, 5), normal(4, 5))
case('cosineSimilarity', F.cosine_similarity, normal(3, 6, 2), normal(3, 6, 2))
# Below eps PyTorch's gradient is not that of its formula: it takes the length for variable there.
case('cosineSimilarity of the last axis with eps', lambda a, b: F.cosine_similarity(a, b, dim=-1, eps=2.5), normal(3, 6), normal(3, 6), grad=False)
case('cosineSimilarity of all pairs', lambda a, b: F.cosine_similarity(a, b, dim=-1), normal(3, 1, 6), normal(4, 6))

# Batch normalisation: outputs are the result and the running statistics after it.


def batch_norm(momentum=0.1, eps=1e-5, training=True):
    def run(x, m, v, *affine):
        m, v = m.clone(), v.clone()
        return F.batch_norm(x, m, v, *affine, training=training, momentum=momentum, eps=eps), m, v
    return run


running = [normal(4), uniform(4, low=0.3, high=3)]
affine = [normal(4), normal(4)]
for training in [True, False]:
    mode = 'training' if training else 'evaluation'
    case(f'batchNorm in {mode}', batch_norm(training=training), normal(6, 4), *running, *affine, wrt=[0, 3, 4])
    case(f'batchNorm in {mode} over time', batch_norm(0.3, 1e-2, training), normal(3, 4, 7, std=0.2), *running, *affine, wrt=[0, 3, 4])
    case(f'batchNorm in {mode} over images without affine', batch_norm(training=training), normal(2, 4, 3, 5), *running, wrt=[0])
    case(f'batchNorm in {mode} far from zero', batch_norm(training=training), normal(5, 4, 9, mean=100), *running, *affine, wrt=[0, 3, 4])


def cumulative(*batches):
    layer = torch.nn.BatchNorm1d(4, momentum=None).double()
    for x in batches:
        layer(x)
    return layer.running_mean, layer.running_var, layer.num_batches_tracked


case('BatchNorm1d averages all batches', cumulative, normal(5, 4, mean=1), normal(3, 4), normal(4, 4, 2), grad=False)

# Tables, convolutions.
case('embedding', F.embedding, integers(3, 4, high=6), normal(6, 5))
case('embedding with padding', lambda i, w: F.embedding(i, w, padding_idx=-2), integers(3, 4, high=6), normal(6, 5))
case('Conv2d', F.conv2d, normal(2, 3, 7, 6), normal(4, 3, 3, 2), normal(4))
case('Conv2d with everything', lambda x, w, b: F.conv2d(x, w, b, stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2), normal(2, 4, 9, 8), normal(6, 2, 3, 2), normal(6))
case('ConvTranspose1d', lambda x, w, b: F.conv_transpose1d(x, w, b, stride=3, padding=2, output_padding=1, dilation=2, groups=2), normal(2, 4, 5), normal(4, 3, 3), normal(6))
case('ConvTranspose2d', lambda x, w, b: F.conv_transpose2d(x, w, b, stride=(3, 2), padding=1, output_padding=(2, 0), groups=2), normal(2, 4, 3, 4), normal(4, 3, 3, 2), normal(6))

# LSTM: inputs are x, lengths where they differ, the initial state where there is one, then the parameters in PyTorch's order.


def lstm(with_state=False, packed=False, **options):
    def run(x, *rest):
        state, parameters = (rest[:2], rest[2:]) if with_state else (None, rest)
        layer = torch.nn.LSTM(5, 3, **options).double()
        named = dict(zip([name for name, _ in layer.named_parameters()], parameters))
        output, (h, c) = torch.func.functional_call(layer, named, (x, state) if with_state else (x,))
        return output, h, c

    def run_packed(x, lengths, *rest):
        # enforce_sorted=False puts states and results back into the order of the batch.
        packed = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, h, c = run(packed, *rest)
        return torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True)[0], h, c
    return run_packed if packed else run


def lstm_parameters(num_layers=1, bidirectional=False, bias=True, **_):
    layer = torch.nn.LSTM(5, 3, num_layers=num_layers, bidirectional=bidirectional, bias=bias)
    return [uniform(*p.shape, low=-0.9, high=0.9) for p in layer.parameters()]


def lstm_case(name, x, state=(), lengths=(), **options):
    given = [normal(*x), *([np.array(lengths, dtype=np.int32)] if lengths else []), *[normal(*state)] * (2 if state else 0)]
    case(name, lstm(bool(state), bool(lengths), **options), *given, *lstm_parameters(**options))


lstm_case('LSTM', (6, 2, 5))
lstm_case('LSTM without bias, of one step', (1, 2, 5), bias=False)
lstm_case('LSTM with a state, batch first', (2, 4, 5), (1, 2, 3), batch_first=True)
lstm_case('LSTM of two layers in both directions', (5, 2, 5), (4, 2, 3), num_layers=2, bidirectional=True)
lstm_case('LSTM in both directions without a batch', (4, 5), (2, 3), bidirectional=True)
lstm_case('LSTM of sequences of different lengths', (3, 5, 5), (4, 3, 3), (2, 5, 4), num_layers=2, bidirectional=True, batch_first=True)

write(__file__)
