import {
  apply,
  cast,
  checkBoolean,
  checkEps,
  checkNumber,
  checkOptions,
  detach,
  div,
  formatShape,
  full,
  groupNorm,
  isFloat,
  isTensor,
  layerNorm,
  ones,
  reciprocal,
  relu,
  rsqrt,
  sameShape,
  square,
  type Tensor,
  valueText,
  zeros,
} from '@dawnchorus/tensor';
import { sideEffect } from '../checkpoint.ts';
import { initOnes, initZeros } from './init.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Normalises the last axis. */
export class LayerNorm extends Module {
  weight: Tensor;
  bias: Tensor;
  readonly eps: number;

  constructor(features: number, options: { eps?: number } = {}) {
    super();
    checkOptions('LayerNorm', options, ['eps']);
    const { eps = 1e-5 } = options;
    checkEps('LayerNorm', eps);
    checkSizes('LayerNorm', { features });
    this.weight = initOnes([features]);
    this.bias = initZeros([features]);
    this.eps = eps;
  }

  /** x [..., features] -> the same shape. */
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

  constructor(groups: number, channels: number, options: { eps?: number } = {}) {
    super();
    checkOptions('GroupNorm', options, ['eps']);
    const { eps = 1e-5 } = options;
    checkEps('GroupNorm', eps);
    checkSizes('GroupNorm', { groups, channels });
    if (channels % groups !== 0) {
      throw new RangeError(`GroupNorm: ${channels} channels do not divide into ${groups} groups`);
    }
    this.weight = initOnes([channels]);
    this.bias = initZeros([channels]);
    this.groups = groups;
    this.eps = eps;
  }

  /** x [batch, channels, ...] -> the same shape. */
  forward(x: Tensor): Tensor {
    return groupNorm(x, this.groups, this.weight, this.bias, { eps: this.eps });
  }
}

/** Options of batchNorm. All tensors are [channels]. */
export interface BatchNormOptions {
  /** Averages of mean and unbiased variance over the batches so far, f32: used outside training, updated in it. */
  runningMean?: Tensor;
  runningVar?: Tensor;
  /** 1 by default. */
  weight?: Tensor;
  /** 0 by default. */
  bias?: Tensor;
  /** Whether to normalise by the batch's own statistics, and to move the running ones towards them. */
  training?: boolean;
  /** How far a batch moves the running statistics: 0.1 by default; a number, or an f32 scalar. */
  momentum?: number | Tensor;
  eps?: number;
}

const batchNormOptions = ['runningMean', 'runningVar', 'weight', 'bias', 'training', 'momentum', 'eps'];

function checkBatchNorm(x: Tensor, { training, momentum = 0.1, eps = 1e-5, ...statistics }: BatchNormOptions): void {
  checkBoolean('batchNorm', 'training', training);
  checkEps('batchNorm', eps);
  if (!isTensor(momentum)) checkNumber('batchNorm', 'momentum', momentum, 'a finite number, or an f32 scalar');
  const expected = 'expected floats [batch, channels, ...]';
  if (x.rank < 2 || !isFloat(x.dtype)) throw new RangeError(`batchNorm: the input is ${x}; ${expected}`);
  const channels = x.shape[1];
  for (const [role, tensor] of Object.entries(statistics)) {
    if (tensor !== undefined && !isTensor(tensor)) {
      throw new TypeError(`batchNorm: ${role} is ${valueText(tensor)}; expected a tensor [${channels}]`);
    }
    if (tensor && !sameShape(tensor.shape, [channels])) {
      throw new RangeError(
        `batchNorm: ${role} is ${formatShape(tensor.shape)}, but the input ${formatShape(x.shape)} has ${channels} channels`,
      );
    }
  }
  const { runningMean, runningVar } = statistics;
  if (!runningMean !== !runningVar || (!training && !runningMean)) {
    throw new TypeError(
      'batchNorm: outside training it needs both runningMean and runningVar, in training both or neither',
    );
  }
  if (training && x.size / channels <= 1) {
    throw new RangeError(
      `batchNorm: the input is ${formatShape(x.shape)}; training needs more than one value a channel: a larger batch, or training: false`,
    );
  }
}

/** Moves the running statistics of a batch of `count` values a channel. A function that is run again does not do it again. */
function updateRunning(
  statistics: Tensor,
  count: number,
  { runningMean, runningVar, momentum = 0.1, eps = 1e-5 }: BatchNormOptions,
): void {
  if (!runningMean || !runningVar) return;
  sideEffect(() => {
    const { device } = statistics;
    const weight = typeof momentum === 'number' ? full([], momentum, { device }) : momentum;
    const [mean, inverse] = [0, 1].map((column) => detach(statistics).select(1, column));
    const biased = relu(square(reciprocal(inverse)).sub(eps));
    apply('lerp', [runningMean, mean, weight], {});
    apply('lerp', [runningVar, biased.mul(count / (count - 1)), weight], {});
  });
}

/**
 * Normalises each channel of x [batch, channels, ...], f32 or f16, to mean 0 and variance 1, then scales by `weight` and
 * shifts by `bias` (Ioffe and Szegedy, 2015). In training by mean and biased variance of the batch, which also move the
 * running statistics in place, the variance unbiased: running += momentum (batch - running); else by the running ones.
 * Inside `compile` each call moves them, inside `checkpoint` the first run alone.
 *
 * @returns the shape and dtype of x.
 * @throws RangeError when shapes do not fit, or when training sees one value a channel; TypeError when statistics are
 * missing.
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): Tensor {
  checkOptions('batchNorm', options, batchNormOptions);
  checkBatchNorm(x, options);
  const { runningMean, runningVar, weight, bias, training = false, eps = 1e-5 } = options;
  const { device, rank, size } = x;
  const channels = x.shape[1];
  if (!training) {
    const along = (statistic: Tensor) => statistic.reshape([-1, ...new Array<number>(rank - 2).fill(1)]);
    const inverse = rsqrt((runningVar as Tensor).add(eps));
    // The mean first: a shift by bias - mean * scale would cancel where means are large.
    const scaled = x.sub(along(runningMean as Tensor)).mul(along(weight ? inverse.mul(weight) : inverse));
    return cast(bias ? scaled.add(along(bias)) : scaled, x.dtype);
  }
  const dtype = (weight ?? bias)?.dtype ?? 'f32';
  const affine = [weight ?? ones([channels], { device, dtype }), bias ?? zeros([channels], { device, dtype })];
  // Batch normalisation is group normalisation of one example with a channel a group.
  const swapped = x.transpose(0, 1);
  const planes = swapped.reshape([1, channels, size / channels]);
  const [normalised, statistics] = apply('groupNorm', [planes, ...affine], { groups: channels, eps });
  updateRunning(statistics, size / channels, options);
  return normalised.reshape(swapped.shape).transpose(0, 1);
}

/** Options of batch normalisation layers. */
export interface BatchNormLayerOptions {
  eps?: number;
  /** How far a batch moves the running statistics; null for the plain average of all batches. */
  momentum?: number | null;
  /** Whether there are weight and bias. */
  affine?: boolean;
  /** Whether there are running statistics; without them every batch is normalised by its own. */
  trackRunningStats?: boolean;
}

/** batchNorm with its parameters, and its running statistics as buffers. */
export abstract class BatchNorm extends Module {
  static override readonly buffers = ['runningMean', 'runningVar', 'numBatchesTracked'];
  weight: Tensor | undefined;
  bias: Tensor | undefined;
  runningMean: Tensor | undefined;
  runningVar: Tensor | undefined;
  /** i32: how many batches moved the running statistics. */
  numBatchesTracked: Tensor | undefined;
  readonly eps: number;
  readonly momentum: number | null;

  constructor(channels: number, options: BatchNormLayerOptions = {}) {
    super();
    checkOptions('BatchNorm', options, ['eps', 'momentum', 'affine', 'trackRunningStats']);
    const { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true } = options;
    checkEps('BatchNorm', eps);
    if (momentum !== null) checkNumber('BatchNorm', 'momentum', momentum, 'a finite number, or null');
    checkBoolean('BatchNorm', 'affine', affine);
    checkBoolean('BatchNorm', 'trackRunningStats', trackRunningStats);
    checkSizes('BatchNorm', { channels });
    if (affine) {
      this.weight = initOnes([channels]);
      this.bias = initZeros([channels]);
    }
    if (trackRunningStats) {
      this.runningMean = initZeros([channels]);
      this.runningVar = initOnes([channels]);
      this.numBatchesTracked = initZeros([], 'i32');
    }
    this.eps = eps;
    this.momentum = momentum;
  }

  /** Throws where the layout is not the one of the layer. */
  protected abstract checkRank(x: Tensor): void;

  /**
   * Normalises x, and returns its shape and dtype.
   *
   * @param options `training`: whether to normalise by the batch and to move the running statistics; false by default.
   */
  forward(x: Tensor, options: { training?: boolean } = {}): Tensor {
    checkOptions('BatchNorm.forward', options, ['training']);
    const { training = false } = options;
    checkBoolean('BatchNorm.forward', 'training', training);
    this.checkRank(x);
    const { runningMean, runningVar, numBatchesTracked: count, weight, bias, eps } = this;
    let momentum: number | Tensor = this.momentum ?? 0;
    if (training && count) {
      sideEffect(() => apply('increment', [count], {}));
      if (this.momentum === null) momentum = div(1, cast(count, 'f32'));
    }
    return batchNorm(x, { runningMean, runningVar, weight, bias, training: training || !count, momentum, eps });
  }
}

/** Batch normalisation of x [batch, channels] or [batch, channels, length]: `batchNorm` with its state. */
export class BatchNorm1d extends BatchNorm {
  protected override checkRank({ rank, shape }: Tensor): void {
    if (rank === 2 || rank === 3) return;
    throw new RangeError(
      `BatchNorm1d: the input is ${formatShape(shape)}; expected [batch, channels] or [batch, channels, length]`,
    );
  }
}

/** Batch normalisation of x [batch, channels, height, width]: `batchNorm` with its state. */
export class BatchNorm2d extends BatchNorm {
  protected override checkRank({ rank, shape }: Tensor): void {
    if (rank === 4) return;
    throw new RangeError(`BatchNorm2d: the input is ${formatShape(shape)}; expected [batch, channels, height, width]`);
  }
}
