/**
 * The separation head: from features to masks on the mixture's magnitudes, after Open-Unmix as MARBLE has it, with an LSTM
 * in both directions as the paper says.
 */
import { nn } from '@dawnchorus/autograd';
import { add, concat, mul, relu, type Tensor, tanh } from '@dawnchorus/tensor';
import { stemNames } from '../names.ts';

/** Shape of the head. */
export interface SeparationShape {
  readonly layers: number;
  readonly dimension: number;
  readonly bins: number;
  readonly hidden: number;
  readonly lstmLayers: number;
}

const LSTM_DROPOUT = 0.4;

/** Features [batch, frames, layers, dimension] and magnitudes of mixtures -> magnitudes of the four stems. */
export class SeparationHead extends nn.Module {
  mixture: Tensor | undefined;
  fc1: nn.Linear;
  bn1: nn.BatchNorm1d;
  lstm: nn.LSTM;
  fc2: nn.Linear;
  bn2: nn.BatchNorm1d;
  fc3: nn.Linear;
  bn3: nn.BatchNorm1d;
  outputScale: Tensor;
  outputMean: Tensor;
  readonly shape: SeparationShape;
  readonly dropout: nn.Dropout;

  constructor(shape: SeparationShape, keys: nn.KeySequence) {
    super();
    const { layers, dimension, bins, hidden, lstmLayers } = shape;
    const outputs = bins * stemNames.length;
    this.shape = shape;
    this.mixture = layers > 1 ? nn.initNormal([layers], 1, keys) : undefined;
    this.fc1 = new nn.Linear(dimension, hidden, keys, { bias: false });
    this.bn1 = new nn.BatchNorm1d(hidden);
    const each = Math.max(1, Math.floor(hidden / 2));
    this.lstm = new nn.LSTM(hidden, each, keys, { numLayers: lstmLayers, bidirectional: true, dropout: LSTM_DROPOUT });
    this.fc2 = new nn.Linear(hidden + 2 * each, hidden, keys, { bias: false });
    this.bn2 = new nn.BatchNorm1d(hidden);
    this.fc3 = new nn.Linear(hidden, outputs, keys, { bias: false });
    this.bn3 = new nn.BatchNorm1d(outputs);
    this.outputScale = nn.initOnes([outputs]);
    this.outputMean = nn.initOnes([outputs]);
    this.dropout = new nn.Dropout(LSTM_DROPOUT);
  }

  /**
   * @param x f32 [batch, frames, layers, dimension].
   * @param magnitudes of the mixture, f32 [batch, frames, bins].
   * @returns f32 [batch, frames, 4, bins].
   */
  forward(x: Tensor, magnitudes: Tensor, keys?: nn.KeySequence): Tensor {
    const { layers, dimension, bins, hidden } = this.shape;
    const [batch, frames] = x.shape;
    const training = keys !== undefined;
    const weights = this.mixture?.softmax({ dim: 0 }).reshape([1, layers, 1]);
    const rows = x.reshape([batch * frames, layers, dimension]);
    const summed = weights ? mul(rows, weights).sum({ dim: 1 }) : rows.reshape([batch * frames, dimension]);
    const squashed = tanh(this.bn1.forward(this.fc1.forward(summed), { training }));
    const sequence = squashed.reshape([batch, frames, hidden]).permute([1, 0, 2]);
    const { output } = this.lstm.forward(sequence, { keys });
    const both = concat([sequence, output], 2)
      .permute([1, 0, 2])
      .reshape([batch * frames, -1]);
    const dense = relu(this.bn2.forward(this.fc2.forward(both), { training }));
    const out = this.bn3.forward(this.fc3.forward(dense), { training });
    const masks = relu(add(mul(out, this.outputScale), this.outputMean));
    return mul(masks.reshape([batch, frames, stemNames.length, bins]), magnitudes.unsqueeze(2));
  }
}
