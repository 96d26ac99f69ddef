import { nn } from '@dawnchorus/autograd';
import { convTranspose1d, elu, type Tensor } from '@dawnchorus/tensor';

/** Their product is 320 samples a code: 75 codes a second at 24 kHz. */
const STRIDES = [8, 5, 8];

/** A kernel and padding that turn a length of n strides into exactly n steps. */
function geometry(stride: number): { stride: number; padding: number; kernel: number } {
  const padding = Math.floor(stride / 2);
  return { stride, padding, kernel: stride + 2 * padding };
}

/** The transpose of a strided convolution: steps [batch, channels, n] -> [batch, outChannels, n * stride]. */
export class Upsample extends nn.Module {
  /** [inChannels, outChannels, kernel] */
  weight: Tensor;
  bias: Tensor;
  readonly stride: number;
  readonly padding: number;

  constructor(inChannels: number, outChannels: number, stride: number, keys: nn.KeySequence) {
    super();
    const { padding, kernel } = geometry(stride);
    this.weight = nn.initDefault([inChannels, outChannels, kernel], (inChannels * kernel) / stride, keys);
    this.bias = nn.initZeros([outChannels]);
    this.stride = stride;
    this.padding = padding;
  }

  /** [batch, channels, frames] -> [batch, fewer channels, frames * stride]. */
  forward(x: Tensor): Tensor {
    return convTranspose1d(x, this.weight, { stride: this.stride, padding: this.padding, bias: this.bias });
  }
}

/**
 * A small convolutional autoencoder of waveforms, the continuous part of the RVQ-VAE teacher: strided convolutions down
 * to one vector each 320 samples, and their transposes back.
 */
export class Autoencoder extends nn.Module {
  down: nn.Conv1d[];
  toLatent: nn.Conv1d;
  fromLatent: nn.Conv1d;
  up: Upsample[];

  /** @param channels of the first convolution; each further one has twice as many. */
  constructor(channels: number, dimension: number, keys: nn.KeySequence) {
    super();
    const widths = STRIDES.map((_, i) => channels * 2 ** i);
    const widest = widths[widths.length - 1];
    this.down = STRIDES.map((stride, i) => {
      const { kernel, padding } = geometry(stride);
      return new nn.Conv1d(i === 0 ? 1 : widths[i - 1], widths[i], kernel, keys, { stride, padding });
    });
    this.toLatent = new nn.Conv1d(widest, dimension, 3, keys, { padding: 1 });
    this.fromLatent = new nn.Conv1d(dimension, widest, 3, keys, { padding: 1 });
    this.up = STRIDES.map((stride, i) => new Upsample(widths[i], i === 0 ? 1 : widths[i - 1], stride, keys)).reverse();
  }

  /** waveform [batch, samples], samples a multiple of 320 -> [batch, dimension, samples / 320]. */
  encode(waveform: Tensor): Tensor {
    const [batch, samples] = waveform.shape;
    const down = this.down.reduce((x, layer) => elu(layer.forward(x)), waveform.reshape([batch, 1, samples]));
    return this.toLatent.forward(down);
  }

  /** [batch, dimension, frames] -> waveform [batch, frames * 320]. */
  decode(latent: Tensor): Tensor {
    const up = this.up.reduce((x, layer) => layer.forward(elu(x)), this.fromLatent.forward(latent));
    return up.reshape([up.shape[0], up.shape[2]]);
  }
}
