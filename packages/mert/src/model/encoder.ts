import { nn } from '@dawnchorus/autograd';
import { type Tensor, transpose } from '@dawnchorus/tensor';
import type { ModelConfig } from '../config/index.ts';
import { drawUniform } from '../random.ts';

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

/** A transformer layer; layer norm stands before each block (pre-LN) or after it (post-LN). */
export class EncoderLayer extends nn.Module {
  attention: nn.MultiHeadAttention;
  layerNorm: nn.LayerNorm;
  feedForward: FeedForward;
  finalLayerNorm: nn.LayerNorm;
  readonly dropout: nn.Dropout;
  readonly preNorm: boolean;

  constructor(config: ModelConfig, keys: nn.KeySequence) {
    super();
    const eps = config.layerNormEps;
    this.attention = new nn.MultiHeadAttention(config.hiddenSize, config.numAttentionHeads, keys, {
      dropout: config.attentionDropout,
      std: weightStd(config.hiddenSize),
    });
    this.layerNorm = new nn.LayerNorm(config.hiddenSize, { eps });
    this.feedForward = new FeedForward(config, keys);
    this.finalLayerNorm = new nn.LayerNorm(config.hiddenSize, { eps });
    this.dropout = new nn.Dropout(config.hiddenDropout);
    this.preNorm = config.doStableLayerNorm;
  }

  /** [batch, frames, dim] -> the same. */
  forward(x: Tensor, keys?: nn.KeySequence): Tensor {
    const attend = (y: Tensor) => this.dropout.forward(this.attention.forward(y, { keys }), keys);
    const feed = (y: Tensor) => this.dropout.forward(this.feedForward.forward(y, keys), keys);
    if (this.preNorm) {
      const attended = x.add(attend(this.layerNorm.forward(x)));
      return attended.add(feed(this.finalLayerNorm.forward(attended)));
    }
    const attended = this.layerNorm.forward(x.add(attend(x)));
    return this.finalLayerNorm.forward(attended.add(feed(attended)));
  }
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
  forward(x: Tensor, keys?: nn.KeySequence): Tensor[] {
    let hidden = x.add(this.posConvEmbed.forward(x));
    if (!this.preNorm) hidden = this.layerNorm.forward(hidden);
    hidden = this.dropout.forward(hidden, keys);
    const states = [hidden];
    for (const layer of this.layers) {
      const skipped = keys !== undefined && this.layerdrop > 0 && drawUniform(keys.next()) < this.layerdrop;
      if (!skipped) hidden = layer.forward(hidden, keys);
      states.push(hidden);
    }
    if (this.preNorm) states[states.length - 1] = this.layerNorm.forward(hidden);
    return states;
  }
}
