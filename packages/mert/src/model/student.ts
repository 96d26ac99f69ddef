import { customVjp, nn } from '@dawnchorus/autograd';
import { cast, type Tensor, transpose, where } from '@dawnchorus/tensor';
import type { ModelConfig } from '../config/index.ts';
import { Encoder } from './encoder.ts';
import { FeatureExtractor } from './extractor.ts';

/** From the features of the waveform to the width of the transformer. */
export class FeatureProjection extends nn.Module {
  layerNorm: nn.LayerNorm;
  projection: nn.Linear;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    const features = config.convDim[config.convDim.length - 1];
    this.layerNorm = new nn.LayerNorm(features, { eps: config.layerNormEps });
    this.projection = new nn.Linear(features, config.hiddenSize, keys);
  }
}

/** The same values, whose gradient is scaled. */
const scaleGradient = (factor: number) =>
  customVjp({
    name: 'scaleGradient',
    forward: (x: Tensor) => ({ output: x }),
    backward: (gradient: Tensor) => [gradient.mul(factor)],
  });

/** What the student makes of a batch. */
export interface StudentOutput {
  /** Of the convolutions, [batch, channels, frames]: what the feature penalty looks at. */
  features: Tensor;
  /** Layers + 1 of [batch, frames, hiddenSize]. */
  hiddenStates: Tensor[];
}

/**
 * MERT's student (Li et al., 2024): convolutional feature extractor, projection, positional convolution, transformer.
 * Its parameters carry Hugging Face's names, in camel case.
 */
export class Student extends nn.Module {
  /** What stands in place of a masked frame, [hiddenSize]. */
  maskedSpecEmbed: Tensor;
  featureExtractor: FeatureExtractor;
  featureProjection: FeatureProjection;
  encoder: Encoder;
  readonly config: ModelConfig;
  readonly inputDropout: nn.Dropout;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    this.config = config;
    this.maskedSpecEmbed = nn.initUniform([config.hiddenSize], 0, 1, keys);
    this.featureExtractor = new FeatureExtractor(config, keys);
    this.featureProjection = new FeatureProjection(config, keys);
    this.encoder = new Encoder(config, keys);
    this.inputDropout = new nn.Dropout(config.featProjDropout);
  }

  /**
   * The hidden states of clips. `mask`, bool [batch, frames], tells which frames to replace before the transformer; `keys`,
   * the draws of dropout and layer drop, are given while training, and only then. Computed in the dtype of the weights.
   *
   * @param waveform f32 [batch, samples] at the model's sample rate.
   */
  forward(waveform: Tensor, { mask, keys }: { mask?: Tensor; keys?: nn.KeySequence } = {}): StudentOutput {
    const { dtype } = this.featureProjection.projection.weight;
    const features = this.featureExtractor.forward(cast(waveform, dtype));
    const multiplier = this.config.featureGradMult;
    const passed = multiplier === 1 ? features : scaleGradient(multiplier)(features);
    const projected = this.featureProjection.projection.forward(
      this.featureProjection.layerNorm.forward(transpose(passed)),
    );
    let hidden = this.inputDropout.forward(projected, keys);
    if (mask) hidden = where(mask.unsqueeze(-1), this.maskedSpecEmbed, hidden);
    return { features, hiddenStates: this.encoder.forward(hidden, keys) };
  }
}
