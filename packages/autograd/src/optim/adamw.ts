import { add, apply, full, scope, sumSquares, type Tensor } from '@dawnchorus/tensor';
import { keep } from '../keep.ts';
import { createArena, gatherGradients, type Shard, shardZeros } from './arena.ts';

/** Settings of `AdamW`; PyTorch's defaults. */
export interface AdamWOptions {
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /** Scale gradients down to this global norm; 0 for never. */
  clipNorm?: number;
  /** Bytes of one shard of the arena; by default what the adapter can bind. */
  shardBytes?: number;
}

interface Moments {
  readonly first: Tensor;
  readonly second: Tensor;
}

/**
 * AdamW (Loshchilov and Hutter, 2019) over a parameter arena: one kernel a shard does clipping, moments, decay and the
 * update. A step whose gradient norm is not finite is skipped on the GPU.
 */
export class AdamW {
  readonly shards: readonly Shard[];
  readonly moments: readonly Moments[];
  readonly options: Required<Omit<AdamWOptions, 'shardBytes'>>;
  /** Steps taken so far: an f32 scalar on the GPU, so that a compiled step counts too. */
  readonly steps: Tensor;

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions = {}) {
    const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, clipNorm = 0, shardBytes } = options;
    this.options = { betas, eps, weightDecay, clipNorm };
    this.shards = createArena(parameters, { shardBytes });
    this.steps = keep(() => full([], 0, { device: this.shards[0].values.device }));
    this.moments = this.shards.map((shard) => ({ first: shardZeros(shard), second: shardZeros(shard) }));
  }

  /**
   * One update. Returns the squared global norm of the gradients before clipping, a scalar that the caller may read.
   *
   * @param learningRate a number, or an f32 scalar: in a compiled step, a tensor that is an argument.
   */
  step(gradients: ReadonlyMap<string, Tensor>, learningRate: number | Tensor): Tensor {
    const { betas, eps, weightDecay, clipNorm } = this.options;
    return scope(() => {
      const gathered = this.shards.map((shard) => gatherGradients(shard, gradients));
      const squaredNorm = gathered.map((all) => sumSquares(all)).reduce((sum, part) => add(sum, part));
      const { device } = this.steps;
      const rate = typeof learningRate === 'number' ? full([], learningRate, { device }) : learningRate;
      apply('increment', [this.steps], {});
      this.shards.forEach((shard, i) => {
        const { first, second } = this.moments[i];
        apply('adamw', [gathered[i], squaredNorm, rate, this.steps, shard.values, first, second], {
          beta1: betas[0],
          beta2: betas[1],
          eps,
          weightDecay,
          clipNorm,
        });
      });
      return squaredNorm;
    });
  }

  /** Goes on from a checkpoint: the next step is number `count` + 1. */
  setSteps(count: number): void {
    const { device, storage } = this.steps;
    device.write(storage, 0, Float32Array.of(count));
  }

  /** Gives the moments back; the parameters, views of the arena, keep their storage. */
  dispose(): void {
    this.steps.dispose();
    for (const { values } of this.shards) values.dispose();
    for (const { first, second } of this.moments) {
      first.dispose();
      second.dispose();
    }
  }
}
