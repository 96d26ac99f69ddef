import { nn } from '@dawnchorus/autograd';
import { stft } from '@dawnchorus/dsp';
import { conv2d, div, leakyRelu, mul, relu, scope, sqrt, sumSquares, type Tensor } from '@dawnchorus/tensor';

/** Settings of the multi-scale STFT discriminator. */
export interface DiscriminatorOptions {
  filters: number;
  /** Samples of a frame at each scale; frames are a quarter of that apart. */
  nFfts: readonly number[];
  /** Slope of the leaky rectifiers below zero. */
  slope: number;
}

/** encodec's. audiocraft trains five scales, 2048 to 128, with a slope of 0.3. */
export const discriminatorDefaults: DiscriminatorOptions = { filters: 32, nFfts: [1024, 2048, 512], slope: 0.2 };

type Pair = readonly [number, number];

const lengths = (v: Tensor): Tensor => sqrt(sumSquares(v, { dim: [1, 2, 3], keepdim: true }));

/** A plain 2-D convolution, as encodec's NormConv2d holds it without weight norm. */
class Plain extends nn.Module {
  weight: Tensor;
  bias: Tensor;

  constructor(shape: readonly [number, number, number, number], keys: nn.KeySequence) {
    super();
    const fanIn = shape[1] * shape[2] * shape[3];
    this.weight = nn.initDefault(shape, fanIn, keys);
    this.bias = nn.initDefault([shape[0]], fanIn, keys);
  }

  kernel(): Tensor {
    return this.weight;
  }
}

/** The same with weight norm over all axes but the first. */
class Normed extends nn.Module {
  bias: Tensor;
  /** [out, 1, 1, 1] */
  weightG: Tensor;
  weightV: Tensor;

  constructor(shape: readonly [number, number, number, number], keys: nn.KeySequence) {
    super();
    const fanIn = shape[1] * shape[2] * shape[3];
    this.weightV = nn.initDefault(shape, fanIn, keys);
    this.bias = nn.initDefault([shape[0]], fanIn, keys);
    this.weightG = scope(() => lengths(this.weightV).retain());
  }

  kernel(): Tensor {
    return mul(this.weightV, div(this.weightG, lengths(this.weightV)));
  }
}

class Conv extends nn.Module {
  conv: Plain | Normed;
  readonly options: { stride: Pair; padding: Pair; dilation: Pair };

  constructor(
    shape: readonly [number, number, number, number],
    keys: nn.KeySequence,
    { stride = [1, 1], dilation = [1, 1], normed = true }: { stride?: Pair; dilation?: Pair; normed?: boolean } = {},
  ) {
    super();
    this.conv = normed ? new Normed(shape, keys) : new Plain(shape, keys);
    const padding = [0, 1].map((d) => Math.floor(((shape[2 + d] - 1) * dilation[d]) / 2));
    this.options = { stride, dilation, padding: padding as [number, number] };
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.conv.kernel(), { ...this.options, bias: this.conv.bias });
  }
}

const TIME_DILATIONS = [1, 2, 4];

/** What one scale makes of waveforms: logits [batch, 1, frames, bins / 8] and what its layers made. */
export interface Judgement {
  logits: Tensor;
  features: Tensor[];
}

/** One scale of the discriminator. */
export interface ScaleJudge extends nn.Module {
  /** waveform [batch, samples], as many as a frame has at least. */
  forward(waveform: Tensor): Judgement;
}

/** One scale: convolutions over time and frequency of the complex spectrum. */
class ScaleDiscriminator extends nn.Module implements ScaleJudge {
  convs: Conv[];
  convPost: Conv;
  readonly nFft: number;
  readonly slope: number;

  constructor(nFft: number, { filters, slope }: DiscriminatorOptions, keys: nn.KeySequence) {
    super();
    this.nFft = nFft;
    this.slope = slope;
    this.convs = [
      new Conv([filters, 2, 3, 9], keys, { normed: false }),
      ...TIME_DILATIONS.map(
        (dilation) => new Conv([filters, filters, 3, 9], keys, { stride: [1, 2], dilation: [dilation, 1] }),
      ),
      new Conv([filters, filters, 3, 3], keys),
    ];
    this.convPost = new Conv([1, filters, 3, 3], keys);
  }

  /** waveform [batch, samples], nFft samples at least. */
  forward(waveform: Tensor): Judgement {
    const { nFft, slope } = this;
    const spectrum = stft(waveform, {
      nFft,
      hopLength: nFft / 4,
      window: 'hann',
      center: false,
      padMode: 'constant',
      normalized: 'window',
    });
    // [batch, bins, frames, 2] -> real and imaginary parts as channels, then time and frequency.
    let x = spectrum.permute([0, 3, 2, 1]);
    const features: Tensor[] = [];
    for (const conv of this.convs) {
      x = leakyRelu(conv.forward(x), { slope });
      features.push(x);
    }
    return { logits: this.convPost.forward(x), features };
  }
}

/** encodec's multi-scale STFT discriminator (Défossez et al., 2022), with encodec's names of parameters. */
export class Discriminator extends nn.Module {
  discriminators: ScaleJudge[];

  constructor(options: DiscriminatorOptions, keys: nn.KeySequence) {
    super();
    this.discriminators = options.nFfts.map((nFft) => new ScaleDiscriminator(nFft, options, keys));
  }

  /** waveform [batch, samples] -> what each scale makes of it. */
  forward(waveform: Tensor): Judgement[] {
    return this.discriminators.map((discriminator) => discriminator.forward(waveform));
  }
}

const meanOf = (parts: readonly Tensor[]): Tensor => parts.reduce((sum, part) => sum.add(part)).div(parts.length);

/** The discriminator's hinge loss, averaged over scales: mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)). */
export function hingeLoss(real: readonly Judgement[], fake: readonly Judgement[]): Tensor {
  return meanOf(
    real.map(({ logits }, i) =>
      relu(logits.neg().add(1))
        .mean()
        .add(relu(fake[i].logits.add(1)).mean()),
    ),
  );
}

/** What the codec wants: mean -D(fake) (audiocraft's), or, `relu`, mean max(0, 1 - D(fake)) as in the paper. */
export function adversarialLoss(fake: readonly Judgement[], form: 'linear' | 'relu' = 'linear'): Tensor {
  return meanOf(fake.map(({ logits }) => (form === 'linear' ? logits.neg() : relu(logits.neg().add(1))).mean()));
}

/**
 * The mean absolute difference of what the layers make of both, averaged over layers, then scales; `relative` (the paper's)
 * divides each by the mean absolute value of the real one.
 */
export function featureLoss(real: readonly Judgement[], fake: readonly Judgement[], relative = false): Tensor {
  return meanOf(
    fake.map(({ features }, i) =>
      meanOf(
        features.map((map, j) => {
          const target = real[i].features[j];
          const error = map.sub(target).abs().mean();
          return relative ? error.div(target.abs().mean().add(1e-12)) : error;
        }),
      ),
    ),
  );
}
