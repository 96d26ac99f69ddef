import { nn } from '@dawnchorus/autograd';
import { convNormGelu, type Tensor, transpose } from '@dawnchorus/tensor';
import type { ModelConfig } from '../config/index.ts';
import { maskedInstanceNorm, type Padding, realPlaces } from './padding.ts';

/** What Hugging Face's and fairseq's extractors add to variances: `layerNormEps` is that of the norms behind them. */
const EPS = 1e-5;

/** One convolution of the feature extractor with its norm, then GELU. */
export class ConvLayer extends nn.Module {
  conv: nn.Conv1d;
  layerNorm: nn.GroupNorm | nn.LayerNorm | undefined;

  constructor(config: ModelConfig, index: number, keys: nn.KeySequence) {
    super();
    const inChannels = index === 0 ? 1 : config.convDim[index - 1];
    const outChannels = config.convDim[index];
    const kernel = config.convKernel[index];
    // Kaiming normal, as wav2vec 2.0 initialises it.
    const std = Math.sqrt(2 / (inChannels * kernel));
    this.conv = new nn.Conv1d(inChannels, outChannels, kernel, keys, {
      stride: config.convStride[index],
      bias: config.convBias,
      std,
    });
    if (config.featExtractNorm === 'layer') this.layerNorm = new nn.LayerNorm(outChannels, { eps: EPS });
    // One group a channel: each channel is normalised over the clip, so the extractor does not hear loudness.
    else if (index === 0) this.layerNorm = new nn.GroupNorm(outChannels, outChannels, { eps: EPS });
  }

  /** [batch, channels, samples] -> [batch, channels, fewer samples]. `padding` where clips differ in length, for the first. */
  forward(x: Tensor, padding?: Padding): Tensor {
    // Without a bias of the convolution, which the norm takes off again.
    if (this.layerNorm instanceof nn.GroupNorm && !padding && !this.conv.bias) {
      const { weight, bias, eps } = this.layerNorm;
      return convNormGelu(x, this.conv.weight, weight, bias, { stride: this.conv.options.stride, eps });
    }
    const y = this.conv.forward(x);
    if (this.layerNorm instanceof nn.LayerNorm) {
      return transpose(this.layerNorm.forward(transpose(y))).gelu();
    }
    // Over time, which must end where the clip does.
    if (this.layerNorm && padding)
      return maskedInstanceNorm(y, realPlaces(padding, 1, y.shape[2]), this.layerNorm).gelu();
    return (this.layerNorm ? this.layerNorm.forward(y) : y).gelu();
  }
}

/** Seven strided convolutions: waveform [batch, samples] -> features [batch, channels, frames], 320 samples a frame. */
export class FeatureExtractor extends nn.Module {
  convLayers: ConvLayer[];

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    this.convLayers = config.convDim.map((_, i) => new ConvLayer(config, i, keys));
  }

  /** [batch, samples] -> [batch, channels, frames]. */
  forward(waveform: Tensor, padding?: Padding): Tensor {
    const [batch, samples] = waveform.shape;
    return this.convLayers.reduce((x, layer) => layer.forward(x, padding), waveform.reshape([batch, 1, samples]));
  }
}
