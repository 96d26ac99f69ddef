import {
  conv1d,
  dropout,
  groupNorm,
  layerNorm,
  matmul,
  mul,
  rsqrt,
  sumSquares,
  type Tensor,
  transpose,
} from '@dawnchorus/tensor';
import { keep } from '../keep.ts';
import { initDefault, initNormal, initOnes, initZeros } from './init.ts';
import type { KeySequence } from './keys.ts';
import { Module } from './module.ts';

/** x [..., inFeatures] -> [..., outFeatures]: x weight^T + bias. */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  weight: Tensor;
  bias: Tensor | undefined;

  constructor(
    inFeatures: number,
    outFeatures: number,
    keys: KeySequence,
    options: { bias?: boolean; std?: number } = {},
  ) {
    super();
    const { bias = true, std } = options;
    const shape = [outFeatures, inFeatures];
    this.weight = std === undefined ? initDefault(shape, inFeatures, keys) : initNormal(shape, std, keys);
    if (bias) this.bias = std === undefined ? initDefault([outFeatures], inFeatures, keys) : initZeros([outFeatures]);
  }

  forward(x: Tensor): Tensor {
    // Rows side by side: one product, and a weight gradient without a sum over the batch.
    const rows = x.reshape([-1, x.shape[x.rank - 1]]);
    let out = matmul(rows, transpose(this.weight));
    if (this.bias) out = out.add(this.bias);
    return out.reshape([...x.shape.slice(0, -1), this.weight.shape[0]]);
  }
}

/** Normalises the last axis. */
export class LayerNorm extends Module {
  weight: Tensor;
  bias: Tensor;
  readonly eps: number;

  constructor(features: number, { eps = 1e-5 } = {}) {
    super();
    this.weight = initOnes([features]);
    this.bias = initZeros([features]);
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, { eps: this.eps });
  }
}

/** Normalises [batch, channels, ...] over groups of channels. */
export class GroupNorm extends Module {
  weight: Tensor;
  bias: Tensor;
  readonly groups: number;
  readonly eps: number;

  constructor(groups: number, channels: number, { eps = 1e-5 } = {}) {
    super();
    this.weight = initOnes([channels]);
    this.bias = initZeros([channels]);
    this.groups = groups;
    this.eps = eps;
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, this.groups, this.weight, this.bias, { eps: this.eps });
  }
}

export interface Conv1dOptions {
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
  bias?: boolean;
}

/** x [batch, inChannels, length] -> [batch, outChannels, outLength]. */
export class Conv1d extends Module {
  /** [outChannels, inChannels / groups, kernel] */
  weight: Tensor;
  bias: Tensor | undefined;
  readonly options: Conv1dOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    keys: KeySequence,
    options: Conv1dOptions & { std?: number } = {},
  ) {
    super();
    const { bias = true, std, ...rest } = options;
    const perGroup = inChannels / (rest.groups ?? 1);
    const shape = [outChannels, perGroup, kernel];
    this.weight = std === undefined ? initDefault(shape, perGroup * kernel, keys) : initNormal(shape, std, keys);
    if (bias) this.bias = initDefault([outChannels], perGroup * kernel, keys);
    this.options = rest;
  }

  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/**
 * A convolution whose weight is g v / |v| (Salimans and Kingma, 2016), the norm taken over all axes but the last: one
 * length for each tap, as in wav2vec 2.0's positional convolution (weight_norm with dim = 2).
 */
export class WeightNormConv1d extends Module {
  bias: Tensor;
  /** [1, 1, kernel] */
  weightG: Tensor;
  /** [outChannels, inChannels / groups, kernel] */
  weightV: Tensor;
  readonly options: Conv1dOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    keys: KeySequence,
    { std, ...options }: Conv1dOptions & { std: number },
  ) {
    super();
    const perGroup = inChannels / (options.groups ?? 1);
    this.bias = initZeros([outChannels]);
    this.weightV = initNormal([outChannels, perGroup, kernel], std, keys);
    // The length of a column of this many normal draws, so that the weight starts as v.
    this.weightG = keep(() => sumSquares(this.weightV, { dim: [0, 1], keepdim: true }).sqrt());
    this.options = options;
  }

  weight(): Tensor {
    const inverse = rsqrt(sumSquares(this.weightV, { dim: [0, 1], keepdim: true }));
    return mul(this.weightV, mul(this.weightG, inverse));
  }

  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight(), { ...this.options, bias: this.bias });
  }
}

/** Zeroes elements while training, which is when keys are given. */
export class Dropout extends Module {
  readonly p: number;

  constructor(p: number) {
    super();
    this.p = p;
  }

  forward(x: Tensor, keys?: KeySequence): Tensor {
    return keys && this.p > 0 ? dropout(x, { p: this.p, ...keys.next() }) : x;
  }
}
