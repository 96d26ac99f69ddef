import { customVjp, nn } from '@dawnchorus/autograd';
import { type Cqt, type CqtOptions, createCqt } from '@dawnchorus/dsp';
import { cast, concat, indexSelect, type Tensor, transpose, where } from '@dawnchorus/tensor';
import { cqtSettingsAt, type ModelConfig, projectedChannels } from '../config/index.ts';
import { Encoder, type EncoderOptions } from './encoder.ts';
import { FeatureExtractor } from './extractor.ts';
import { paddingOf, realPlaces } from './padding.ts';

/** From the features of the waveform to the width of the transformer. */
export class FeatureProjection extends nn.Module {
  layerNorm: nn.LayerNorm;
  projection: nn.Linear;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    const features = projectedChannels(config);
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

/** What the student is told beside the waveform. */
export interface StudentOptions extends Omit<EncoderOptions, 'visible'> {
  /** bool [batch, frames]: the frames that the learnt mask stands in for before the transformer. */
  mask?: Tensor;
  /** i32 [batch * frames]: the frame that stands in the place of each, itself for most, before those are masked. */
  replacements?: Tensor;
  /**
   * Samples of each clip, where some end before the others: what follows is padding, which no real frame hears. The frames
   * after a clip's own, `frameCount(samples)`, are of no use.
   */
  lengths?: readonly number[];
  /** The transform of the constant-Q input, where it is to be another than the student's own. */
  cqt?: Pick<Cqt, 'transform'>;
}

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
  /** Samples a second of what it hears: the constant-Q input needs to know. */
  readonly sampleRate: number;
  readonly inputDropout: nn.Dropout;
  #cqt: Cqt | undefined;

  constructor(config: ModelConfig, keys: nn.KeySequence, { sampleRate = 24000 }: { sampleRate?: number } = {}) {
    super();
    this.config = config;
    this.sampleRate = sampleRate;
    this.maskedSpecEmbed = nn.initUniform([config.hiddenSize], 0, 1, keys);
    this.featureExtractor = new FeatureExtractor(config, keys);
    this.featureProjection = new FeatureProjection(config, keys);
    this.encoder = new Encoder(config, keys);
    this.inputDropout = new nn.Dropout(config.featProjDropout);
  }

  /** Constant-Q magnitudes of what is heard, as many frames as there are features: [batch, bins, frames]. */
  #spectrum(waveform: Tensor, frames: number, cqt: Pick<Cqt, 'transform'> | undefined): Tensor {
    const own = cqt ?? (this.#cqt ??= createCqt(waveform.device, this.cqtSettings));
    return own.transform(cast(waveform, 'f32')).sliceAxis(2, 0, frames);
  }

  /** Settings of the constant-Q input. */
  get cqtSettings(): CqtOptions {
    return { ...cqtSettingsAt(this.sampleRate), bins: this.config.featureExtractorCqtBins };
  }

  /**
   * The hidden states of clips, in the dtype of the weights. `keys`, the draws of dropout and layer drop, are given while
   * training, and only then.
   *
   * @param waveform f32 [batch, samples] at the model's sample rate.
   */
  forward(
    waveform: Tensor,
    { mask, replacements, lengths, keys, watch, recompute, cqt }: StudentOptions = {},
  ): StudentOutput {
    const { dtype } = this.featureProjection.projection.weight;
    const padding = lengths && paddingOf(lengths, this.config);
    const features = this.featureExtractor.forward(cast(waveform, dtype), padding);
    const [, , frames] = features.shape;
    const multiplier = this.config.featureGradMult;
    let passed = multiplier === 1 ? features : scaleGradient(multiplier)(features);
    if (this.config.featureExtractorCqt) {
      passed = concat([passed, cast(this.#spectrum(waveform, frames, cqt), dtype)], 1);
    }
    const projected = this.featureProjection.projection.forward(
      this.featureProjection.layerNorm.forward(transpose(passed)),
    );
    let hidden = this.inputDropout.forward(projected, keys);
    if (replacements) {
      const rows = hidden.reshape([-1, hidden.shape[2]]);
      hidden = indexSelect(rows, 0, replacements).reshape(hidden.shape);
    }
    if (mask) hidden = where(mask.unsqueeze(-1), this.maskedSpecEmbed, hidden);
    const visible = padding && realPlaces(padding, this.config.convKernel.length, frames);
    return { features, hiddenStates: this.encoder.forward(hidden, { keys, visible, watch, recompute }) };
  }

  override dispose(): void {
    this.#cqt?.dispose();
    super.dispose();
  }
}
