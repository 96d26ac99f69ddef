import { checkpoint, nn } from '@dawnchorus/autograd';
import { ge, type Tensor, transpose, uniform, where } from '@dawnchorus/tensor';
import type { ModelConfig } from '../config/index.ts';
import { largestLogit, meanSquare, type Watch } from './watch.ts';

/**
 * Standard deviation of a linear layer's weights: BERT's 0.02, as published. In narrow models 0.02 would let almost nothing
 * through attention and feed-forward (at width 64 they pass 2 % of their input), so there the gain is held at a half.
 */
const weightStd = (fanIn: number) => Math.max(0.02, 0.5 / Math.sqrt(fanIn));

/** A wide convolution over time whose output is added to its input: the transformer's only notion of position. */
export class PositionalConvolution extends nn.Module {
  conv: nn.WeightNormConv1d;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    const { hiddenSize, numConvPosEmbeddings: kernel, numConvPosEmbeddingGroups: groups } = config;
    const std = Math.sqrt(4 / (kernel * hiddenSize));
    this.conv = new nn.WeightNormConv1d(hiddenSize, hiddenSize, kernel, keys, {
      padding: Math.floor(kernel / 2),
      groups,
      std,
    });
  }

  /** x [batch, time, features] -> the same shape. */
  forward(x: Tensor): Tensor {
    const y = this.conv.forward(transpose(x));
    // An even kernel with padding kernel / 2 makes one step too many; the last is dropped.
    return transpose(y.sliceAxis(2, 0, x.shape[1]).gelu());
  }
}

/** Two linear layers with GELU between, the same at every frame. */
export class FeedForward extends nn.Module {
  intermediateDense: nn.Linear;
  outputDense: nn.Linear;
  readonly activationDropout: nn.Dropout;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    this.intermediateDense = new nn.Linear(config.hiddenSize, config.intermediateSize, keys, {
      std: weightStd(config.hiddenSize),
    });
    this.outputDense = new nn.Linear(config.intermediateSize, config.hiddenSize, keys, {
      std: weightStd(config.intermediateSize),
    });
    this.activationDropout = new nn.Dropout(config.activationDropout);
  }

  /** [batch, frames, dim] -> the same. */
  forward(x: Tensor, keys?: nn.KeySequence): Tensor {
    const inner = this.activationDropout.forward(this.intermediateDense.forward(x).gelu(), keys);
    return this.outputDense.forward(inner);
  }
}

/** DeepNorm's factors (Wang et al., 2022): of residuals, and divisor of the first weights of what is added to them. */
const deepNorm = ({ numHiddenLayers }: ModelConfig) => ({
  alpha: (2 * numHiddenLayers) ** 0.25,
  beta: (8 * numHiddenLayers) ** 0.25,
});

/** What a layer is told beside its input. */
export interface LayerOptions {
  /** The draws of dropout, while training. */
  keys?: nn.KeySequence;
  /** bool [batch, frames]: the frames that are no padding. */
  visible?: Tensor;
  watch?: nn.WatchScores;
}

/** A transformer layer; layer norm stands before each block (pre-LN) or after it (post-LN, with DeepNorm's factors or without). */
export class EncoderLayer extends nn.Module {
  attention: nn.MultiHeadAttention;
  layerNorm: nn.LayerNorm;
  feedForward: FeedForward;
  finalLayerNorm: nn.LayerNorm;
  readonly dropout: nn.Dropout;
  readonly preNorm: boolean;
  /** What residuals are multiplied by. */
  readonly alpha: number;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    const eps = config.layerNormEps;
    this.attention = new nn.MultiHeadAttention(config.hiddenSize, config.numAttentionHeads, keys, {
      dropout: config.attentionDropout,
      std: weightStd(config.hiddenSize),
      ...(config.attentionRelax > 0 && { relax: config.attentionRelax }),
    });
    this.layerNorm = new nn.LayerNorm(config.hiddenSize, { eps });
    this.feedForward = new FeedForward(config, keys);
    this.finalLayerNorm = new nn.LayerNorm(config.hiddenSize, { eps });
    this.dropout = new nn.Dropout(config.hiddenDropout);
    this.preNorm = config.doStableLayerNorm;
    const { alpha, beta } = deepNorm(config);
    this.alpha = config.deepnorm ? alpha : 1;
    if (config.deepnorm) {
      const { intermediateDense, outputDense } = this.feedForward;
      for (const layer of [intermediateDense, outputDense, this.attention.outProj, this.attention.vProj]) {
        const { weight } = layer;
        layer.weight = nn.initNormal(weight.shape, weightStd(weight.shape[1]) / beta, keys);
        weight.dispose();
      }
    }
  }

  /** [batch, frames, dim] -> the same. */
  forward(x: Tensor, { keys, visible, watch }: LayerOptions = {}): Tensor {
    const attend = (y: Tensor) => this.dropout.forward(this.attention.forward(y, { keys, visible, watch }), keys);
    const feed = (y: Tensor) => this.dropout.forward(this.feedForward.forward(y, keys), keys);
    if (this.preNorm) {
      const attended = x.add(attend(this.layerNorm.forward(x)));
      return attended.add(feed(this.finalLayerNorm.forward(attended)));
    }
    const residual = (y: Tensor) => (this.alpha === 1 ? y : y.mul(this.alpha));
    const attended = this.layerNorm.forward(residual(x).add(attend(x)));
    return this.finalLayerNorm.forward(residual(attended).add(feed(attended)));
  }
}

/** What the encoder is told beside its input. */
export interface EncoderOptions {
  /** The draws of dropout and layer drop, while training. */
  keys?: nn.KeySequence;
  /** bool [batch, frames]: the frames that are no padding. */
  visible?: Tensor;
  /** Takes down what each layer does. */
  watch?: Watch;
  /** Whether layers are computed again in the backward pass, not kept. */
  recompute?: boolean;
}

/** Positional convolution and transformer layers: x [batch, time, features] -> a hidden state before and after each layer. */
export class Encoder extends nn.Module {
  posConvEmbed: PositionalConvolution;
  layerNorm: nn.LayerNorm;
  layers: EncoderLayer[];
  readonly dropout: nn.Dropout;
  readonly layerdrop: number;
  readonly preNorm: boolean;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    this.posConvEmbed = new PositionalConvolution(config, keys);
    this.layerNorm = new nn.LayerNorm(config.hiddenSize, { eps: config.layerNormEps });
    this.layers = Array.from({ length: config.numHiddenLayers }, () => new EncoderLayer(config, keys));
    this.dropout = new nn.Dropout(config.hiddenDropout);
    this.layerdrop = config.layerdrop;
    this.preNorm = config.doStableLayerNorm;
  }

  /**
   * Hidden states as Hugging Face's `output_hidden_states`: the input of the first layer, then the output of each; with
   * pre-LN the last one is after the encoder's own layer norm.
   */
  forward(x: Tensor, { keys, visible, watch, recompute = false }: EncoderOptions = {}): Tensor[] {
    // What is padding must be as the zeros around a clip that is alone.
    const real = visible ? where(visible.unsqueeze(-1), x, 0) : x;
    let hidden = real.add(this.posConvEmbed.forward(real));
    if (!this.preNorm) hidden = this.layerNorm.forward(hidden);
    hidden = this.dropout.forward(hidden, keys);
    const states = [hidden];
    for (const layer of this.layers) {
      // Drawn on the GPU, and the layer computed all the same, so that a compiled step draws anew.
      const drawn = keys && this.layerdrop > 0 ? uniform([1], keys.next()) : undefined;
      const run = (input: Tensor) => {
        const logits: Tensor[] = [];
        const scores =
          watch?.attention && ((...of: Parameters<nn.WatchScores>) => logits.push(largestLogit(...of, watch.clips)));
        return [layer.forward(input, { keys, visible, watch: scores }), ...logits];
      };
      const [output, ...logits] = recompute ? checkpoint(run)(hidden) : run(hidden);
      hidden = drawn ? where(ge(drawn, this.layerdrop), output, hidden) : output;
      watch?.attention?.push(...logits);
      watch?.activations.push(meanSquare(hidden));
      states.push(hidden);
    }
    if (this.preNorm) states[states.length - 1] = this.layerNorm.forward(hidden);
    return states;
  }
}
