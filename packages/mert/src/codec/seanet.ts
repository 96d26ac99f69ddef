import { nn } from '@dawnchorus/autograd';
import { elu, type Tensor, zeros } from '@dawnchorus/tensor';
import type { CodecConfig } from './config.ts';
import { CausalConv1d, CausalConvTranspose1d } from './convolution.ts';
import { fitsKernel, runLstm } from './lstm.ts';
import { type Pass, whole } from './pass.ts';

/** A layer between [batch, channels, n] and [batch, other channels, other n]. */
export interface CodecLayer extends nn.Module {
  /** The next piece of a signal, or all of it. */
  forward(x: Tensor, pass?: Pass): Tensor;
}

class Elu extends nn.Module implements CodecLayer {
  forward(x: Tensor): Tensor {
    return elu(x);
  }
}

/** A residual unit: a dilated convolution and one of kernel 1, beside a shortcut. */
export class ResidualUnit extends nn.Module implements CodecLayer {
  block: CodecLayer[];
  shortcut: CausalConv1d | undefined;

  constructor(config: CodecConfig, channels: number, dilation: number, keys: nn.KeySequence) {
    super();
    const { compress, residualKernelSize, useConvShortcut, padMode } = config;
    const hidden = Math.floor(channels / compress);
    this.block = [
      new Elu(),
      new CausalConv1d(channels, hidden, residualKernelSize, keys, { dilation, padMode }),
      new Elu(),
      new CausalConv1d(hidden, channels, 1, keys, { padMode }),
    ];
    this.shortcut = useConvShortcut ? new CausalConv1d(channels, channels, 1, keys, { padMode }) : undefined;
  }

  forward(x: Tensor, pass: Pass = whole): Tensor {
    const inner = this.block.reduce((y, layer) => layer.forward(y, pass), x);
    return (this.shortcut ? this.shortcut.forward(x, pass) : x).add(inner);
  }
}

/** An LSTM over time whose input is added to its output. */
class SkipLstm extends nn.Module implements CodecLayer {
  lstm: nn.LSTM;

  constructor(channels: number, numLayers: number, keys: nn.KeySequence) {
    super();
    this.lstm = new nn.LSTM(channels, channels, keys, { numLayers });
  }

  forward(x: Tensor, pass: Pass = whole): Tensor {
    const sequence = x.permute([2, 0, 1]);
    if (!fitsKernel(x.device, this.lstm.hiddenSize)) return this.unrolled(x, sequence, pass);
    if (pass.first && pass.last) return runLstm(this.lstm, sequence).output.permute([1, 2, 0]).add(x);
    const [hidden, cell] = pass.first ? this.zeros(x) : pass.carried(this);
    const { output, state } = runLstm(this.lstm, sequence, { hidden, cell });
    pass.carry(this, [state!.hidden, state!.cell]);
    return output.permute([1, 2, 0]).add(x);
  }

  private zeros(x: Tensor): Tensor[] {
    const shape = [this.lstm.numLayers, x.shape[0], this.lstm.hiddenSize];
    return [0, 1].map(() => zeros(shape, { device: x.device }));
  }

  private unrolled(x: Tensor, sequence: Tensor, pass: Pass): Tensor {
    const [hidden, cell] = pass.carried(this);
    const state = this.lstm.forward(sequence, hidden ? { hidden, cell } : {});
    pass.carry(this, [state.hidden, state.cell]);
    return state.output.permute([1, 2, 0]).add(x);
  }
}

/** The layers of the network one after another, as encodec numbers them. */
export abstract class CodecNetwork extends nn.Module {
  abstract layers: CodecLayer[];

  /**
   * Through all layers; `pass` says which piece of a signal it is, `watch` sees what each layer makes.
   * The last piece may have any length, the others must be multiples of the stride of all layers together.
   */
  forward(x: Tensor, pass: Pass = whole, watch?: (output: Tensor, layer: number) => void): Tensor {
    return this.layers.reduce((y, layer, i) => {
      const out = layer.forward(y, pass);
      watch?.(out, i);
      return out;
    }, x);
  }
}

const residualUnits = (config: CodecConfig, channels: number, keys: nn.KeySequence): CodecLayer[] =>
  Array.from(
    { length: config.numResidualLayers },
    (_, i) => new ResidualUnit(config, channels, config.dilationGrowthRate ** i, keys),
  );

/** SEANet's encoder: waveform [batch, 1, samples] -> latents [batch, hiddenSize, ceil(samples / 320)]. */
export class CodecEncoder extends CodecNetwork {
  layers: CodecLayer[];

  constructor(config: CodecConfig, keys: nn.KeySequence) {
    super();
    const { numFilters, kernelSize, lastKernelSize, hiddenSize, numLstmLayers, padMode } = config;
    let channels = numFilters;
    this.layers = [new CausalConv1d(1, channels, kernelSize, keys, { padMode })];
    for (const stride of [...config.upsamplingRatios].reverse()) {
      this.layers.push(...residualUnits(config, channels, keys), new Elu());
      this.layers.push(new CausalConv1d(channels, 2 * channels, 2 * stride, keys, { stride, padMode }));
      channels *= 2;
    }
    if (numLstmLayers > 0) this.layers.push(new SkipLstm(channels, numLstmLayers, keys));
    this.layers.push(new Elu(), new CausalConv1d(channels, hiddenSize, lastKernelSize, keys, { padMode }));
  }
}

/** SEANet's decoder: latents [batch, hiddenSize, frames] -> waveform [batch, 1, 320 frames]. */
export class CodecDecoder extends CodecNetwork {
  layers: CodecLayer[];

  constructor(config: CodecConfig, keys: nn.KeySequence) {
    super();
    const { numFilters, kernelSize, lastKernelSize, hiddenSize, numLstmLayers, padMode } = config;
    let channels = numFilters * 2 ** config.upsamplingRatios.length;
    this.layers = [new CausalConv1d(hiddenSize, channels, kernelSize, keys, { padMode })];
    if (numLstmLayers > 0) this.layers.push(new SkipLstm(channels, numLstmLayers, keys));
    for (const stride of config.upsamplingRatios) {
      this.layers.push(new Elu(), new CausalConvTranspose1d(channels, channels / 2, 2 * stride, stride, keys));
      channels /= 2;
      this.layers.push(...residualUnits(config, channels, keys));
    }
    this.layers.push(new Elu(), new CausalConv1d(channels, 1, lastKernelSize, keys, { padMode }));
  }
}
