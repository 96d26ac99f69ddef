import { add, apply, scope, sumSquares, type Tensor } from '@dawnchorus/tensor';
import { createArena, gatherGradients, type Shard, shardZeros } from './arena.ts';

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
  /** Steps taken so far. */
  stepCount = 0;

  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions = {}) {
    const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, clipNorm = 0, shardBytes } = options;
    this.options = { betas, eps, weightDecay, clipNorm };
    this.shards = createArena(parameters, { shardBytes });
    this.moments = this.shards.map((shard) => ({ first: shardZeros(shard), second: shardZeros(shard) }));
  }

  /**
   * One update. Returns the squared global norm of the gradients before clipping, a scalar that the caller may read.
   */
  step(gradients: ReadonlyMap<string, Tensor>, learningRate: number): Tensor {
    const { betas, eps, weightDecay, clipNorm } = this.options;
    this.stepCount++;
    return scope(() => {
      const gathered = this.shards.map((shard) => gatherGradients(shard, gradients));
      const squaredNorm = gathered.map((all) => sumSquares(all)).reduce((sum, part) => add(sum, part));
      this.shards.forEach((shard, i) => {
        const { first, second } = this.moments[i];
        apply('adamw', [gathered[i], squaredNorm, shard.values, first, second], {
          learningRate,
          beta1: betas[0],
          beta2: betas[1],
          eps,
          weightDecay,
          clipNorm,
          step: this.stepCount,
        });
      });
      return squaredNorm;
    });
  }

  dispose(): void {
    for (const { values } of this.shards) values.dispose();
    for (const { first, second } of this.moments) {
      first.dispose();
      second.dispose();
    }
  }
}
