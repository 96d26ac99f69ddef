import { nn } from '@dawnchorus/autograd';
import {
  concat,
  conv1d,
  convTranspose1d,
  div,
  mul,
  pad,
  scope,
  sqrt,
  sumSquares,
  type Tensor,
} from '@dawnchorus/tensor';
import { type Pass, whole } from './pass.ts';

/** The length of each direction: [first, 1, 1]. */
const lengths = (v: Tensor): Tensor => sqrt(sumSquares(v, { dim: [1, 2], keepdim: true }));

/**
 * What weight norm and its bias hold (Salimans and Kingma, 2016): the weight is g v / |v|, the length taken over all axes
 * but the first. In a transposed convolution that is the axis of the input channels.
 */
class WeightNorm extends nn.Module {
  bias: Tensor;
  /** [first, 1, 1] */
  weightG: Tensor;
  /** [first, second, kernel] */
  weightV: Tensor;

  constructor(shape: readonly [number, number, number], outChannels: number, fanIn: number, keys: nn.KeySequence) {
    super();
    this.bias = nn.initDefault([outChannels], fanIn, keys);
    this.weightV = nn.initDefault(shape, fanIn, keys);
    // The length that v has, so that the weight starts as v.
    this.weightG = scope(() => lengths(this.weightV).retain());
  }

  weight(): Tensor {
    return mul(this.weightV, div(this.weightG, lengths(this.weightV)));
  }
}

/** Settings of a causal convolution. */
export interface CausalOptions {
  stride?: number;
  dilation?: number;
  padMode: 'reflect' | 'constant';
}

/**
 * encodec's SConv1d: a causal convolution [batch, inChannels, n] -> [batch, outChannels, ceil(n / stride)]. What lies
 * before the signal is mirrored, and so is what the last stride needs beyond its end.
 */
export class CausalConv1d extends nn.Module {
  conv: WeightNorm;
  readonly options: Required<CausalOptions>;

  constructor(inChannels: number, outChannels: number, kernel: number, keys: nn.KeySequence, options: CausalOptions) {
    super();
    this.conv = new WeightNorm([outChannels, inChannels, kernel], outChannels, inChannels * kernel, keys);
    this.options = { stride: 1, dilation: 1, ...options };
  }

  forward(x: Tensor, pass: Pass = whole): Tensor {
    const { stride, dilation } = this.options;
    const reach = (this.conv.weightV.shape[2] - 1) * dilation + 1;
    const before = reach - stride;
    const after = pass.last ? (stride - (x.shape[2] % stride)) % stride : 0;
    const padded = this.pad(x, before, after, pass);
    const length = padded.shape[2];
    // The samples that the next output needs besides its own stride.
    if (before > 0) pass.carry(this, [padded.sliceAxis(2, length - before)]);
    return conv1d(padded, this.conv.weight(), { stride, dilation, bias: this.conv.bias });
  }

  private pad(x: Tensor, before: number, after: number, pass: Pass): Tensor {
    const { padMode: mode } = this.options;
    const joined = pass.first || before === 0 ? x : concat([...pass.carried(this), x], 2);
    const front = pass.first ? before : 0;
    if (front === 0 && after === 0) return joined;
    // Too few samples to mirror: zeros stand behind them while the mirroring is done, as in encodec.
    const missing = mode === 'reflect' ? Math.max(0, Math.max(front, after) - joined.shape[2] + 1) : 0;
    const long = missing > 0 ? pad(joined, [0, missing]) : joined;
    const padded = pad(long, [front, after], { mode });
    return missing > 0 ? padded.sliceAxis(2, 0, padded.shape[2] - missing) : padded;
  }
}

/**
 * encodec's SConvTranspose1d, causal: [batch, inChannels, n] -> [batch, outChannels, n stride], what stands over at the
 * end cut off.
 */
export class CausalConvTranspose1d extends nn.Module {
  conv: WeightNorm;
  readonly stride: number;

  constructor(inChannels: number, outChannels: number, kernel: number, stride: number, keys: nn.KeySequence) {
    super();
    const fanIn = (inChannels * kernel) / stride;
    this.conv = new WeightNorm([inChannels, outChannels, kernel], outChannels, fanIn, keys);
    this.stride = stride;
  }

  forward(x: Tensor, pass: Pass = whole): Tensor {
    const { stride } = this;
    // How many steps an output sample depends on besides its own.
    const reach = Math.ceil(this.conv.weightV.shape[2] / stride) - 1;
    const past = pass.carried(this);
    const joined = past.length > 0 ? concat([...past, x], 2) : x;
    const before = past.length > 0 ? past[0].shape[2] : 0;
    const steps = joined.shape[2];
    if (reach > 0) pass.carry(this, [joined.sliceAxis(2, Math.max(0, steps - reach))]);
    const y = convTranspose1d(joined, this.conv.weight(), { stride, bias: this.conv.bias });
    return y.sliceAxis(2, before * stride, steps * stride);
  }
}
