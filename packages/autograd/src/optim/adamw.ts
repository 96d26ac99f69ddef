import {
  apply,
  checkEps,
  checkNumber,
  checkOptions,
  checkWhole,
  concat,
  full,
  isTensor,
  scope,
  sizeOf,
  type Tensor,
  valueText,
} from '@dawnchorus/tensor';
import { keep } from '../keep.ts';
import { loadState, type StateEntry } from '../state.ts';
import { checkParameters, createArena, gatherGradients, type Shard, shardZeros } from './arena.ts';

/** A dynamic loss scale (Micikevicius et al., "Mixed precision training", 2018). */
export interface LossScaleOptions {
  /** The first scale; 65536 by default. */
  initial?: number;
  /** Steps without overflow after which it doubles; 2000 by default. A step with one halves it. */
  growthInterval?: number;
}

/** Settings of `AdamW`; PyTorch's defaults. */
export interface AdamWOptions {
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
  /**
   * Which parameters `weightDecay` shrinks: all by default. Those of two axes and more, without biases and the weights of
   * norms: `decays: (_, { rank }) => rank > 1`.
   */
  decays?: (name: string, parameter: Tensor) => boolean;
  /** Scale gradients down to this global norm; 0 for never. */
  clipNorm?: number;
  /**
   * For half-precision training: gradients are those of the loss times `optimizer.lossScale`, and are divided by it on the
   * GPU. Default: none, a scale of 1.
   */
  lossScale?: LossScaleOptions;
  /** Bytes of one shard of the arena; by default what the adapter can bind. */
  shardBytes?: number;
}

/** The running means that AdamW keeps of a gradient and of its square. */
export interface Moments {
  readonly first: Tensor;
  readonly second: Tensor;
}

const isFiniteFrom0 = (value: number): boolean => value >= 0 && Number.isFinite(value);

/** The bounds of PyTorch's. */
function checkSettings({ betas, eps, weightDecay, clipNorm }: AdamW['options']) {
  const isBeta = (beta: unknown) => typeof beta === 'number' && beta >= 0 && beta < 1;
  if (!Array.isArray(betas) || betas.length !== 2 || !betas.every(isBeta)) {
    throw new RangeError(`AdamW: betas is ${valueText(betas)}; expected two numbers in [0, 1), as [0.9, 0.999]`);
  }
  checkEps('AdamW', eps);
  checkNumber('AdamW', 'weightDecay', weightDecay, 'a finite number from 0', isFiniteFrom0);
  checkNumber('AdamW', 'clipNorm', clipNorm, 'a finite number above 0, or 0 for never', isFiniteFrom0);
}

/**
 * AdamW (Loshchilov and Hutter, 2019) over a parameter arena. A step is two kernels a shard: one sums the squares of the
 * gradients, one does unscaling, clipping, moments, decay and the update. A step whose gradient norm is not finite, or whose
 * learning rate in memory is not, is skipped on the GPU: nothing changes and it is not counted.
 */
export class AdamW {
  readonly shards: readonly Shard[];
  readonly moments: readonly Moments[];
  readonly options: Required<Omit<AdamWOptions, 'shardBytes' | 'lossScale' | 'decays'>>;
  /** Steps taken so far, but for skipped ones: an f32 scalar on the GPU, so that a compiled step counts too. */
  readonly steps: Tensor;
  /**
   * What to multiply the loss by before its gradients are taken: an f32 scalar on the GPU, 1 without `lossScale`. It
   * halves with each step that overflows and doubles after `growthInterval` steps without; it stays within 2^-24 and 2^24.
   */
  readonly lossScale: Tensor;
  /** f32 [4], for checkpoints: steps, loss scale, steps since that changed, and what a step keeps for itself. */
  readonly state: Tensor;
  readonly #growthInterval: number;
  readonly #parameters: ReadonlyMap<string, Tensor>;
  /** Shards whose parameters do not decay. */
  readonly #steady: ReadonlySet<Shard>;
  /** What `stateDict` gave. */
  #named: Map<string, Tensor> | undefined;

  /**
   * @param parameters f32 tensors by name; they become views of the arena.
   * @throws TypeError for an option that there is not, or parameters in anything but a map; RangeError for settings outside
   *   their bounds, when there are no parameters, or the loss scale is no positive number below 2^24 or its interval no whole
   *   number from 1; TypeError when one is not f32.
   */
  constructor(parameters: ReadonlyMap<string, Tensor>, options: AdamWOptions = {}) {
    checkParameters('AdamW', parameters);
    for (const name of ['lr', 'learningRate']) {
      if (!Object.hasOwn(Object(options), name)) continue;
      throw new TypeError(
        `AdamW: there is no option '${name}'; the learning rate goes with each step: step(gradients, rate)`,
      );
    }
    checkOptions('AdamW', options, ['betas', 'eps', 'weightDecay', 'decays', 'clipNorm', 'lossScale', 'shardBytes']);
    checkOptions('AdamW: lossScale', options.lossScale, ['initial', 'growthInterval']);
    const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = 0.01, clipNorm = 0, lossScale, shardBytes } = options;
    const { decays = () => true } = options;
    if (typeof decays !== 'function') {
      throw new TypeError(
        `AdamW: decays is ${valueText(decays)}; expected a function of a parameter's name and tensor`,
      );
    }
    checkSettings({ betas, eps, weightDecay, clipNorm });
    this.options = { betas, eps, weightDecay, clipNorm };
    const { initial = 2 ** 16, growthInterval = 2000 } = lossScale ?? {};
    if (!(initial > 0 && initial <= 2 ** 24) || !(Number.isInteger(growthInterval) && growthInterval >= 1)) {
      throw new RangeError(
        `AdamW: a loss scale of ${initial} that doubles after ${growthInterval} steps; expected a number above 0, 2^24 at most, and a whole number from 1`,
      );
    }
    this.#growthInterval = lossScale ? growthInterval : 0;
    this.#parameters = new Map(parameters);
    // Shards are decayed as a whole, so that a step stays a kernel a shard.
    const [decaying, steady] = [true, false].map((wanted) => {
      const own = new Map([...parameters].filter(([name, parameter]) => decays(name, parameter) === wanted));
      return own.size > 0 ? createArena(own, { shardBytes }) : [];
    });
    this.shards = [...decaying, ...steady];
    this.#steady = new Set(steady);
    const { device } = this.shards[0].values;
    this.state = keep(() => full([4], 0, { device }));
    device.write(this.state.storage, 0, Float32Array.of(0, lossScale ? initial : 1, 0, 1));
    [this.steps, this.lossScale] = [0, 1].map((at) => keep(() => this.state.select(0, at)));
    this.moments = this.shards.map((shard) => ({ first: shardZeros(shard), second: shardZeros(shard) }));
  }

  /**
   * One update. Returns the squared global norm of the gradients before clipping, a scalar that the caller may read.
   *
   * @param gradients by parameter name; those of the loss times `lossScale`.
   * @param learningRate a number, or an f32 scalar: in a compiled step, a tensor that is an argument.
   * @throws RangeError when the learning rate is a number that is negative or not finite, and as `gather`.
   */
  step(gradients: ReadonlyMap<string, Tensor>, learningRate: number | Tensor): Tensor {
    return scope(() => this.stepGathered(this.gather(gradients), learningRate));
  }

  /**
   * Gradients laid out like the shards, f32 [size] each: to be added up over several batches, or looked at.
   *
   * @throws Error for a parameter without a gradient, RangeError for a gradient of another shape or dtype than f32 and f16, or of
   *   no parameter.
   */
  gather(gradients: ReadonlyMap<string, Tensor>): Tensor[] {
    if (!(gradients instanceof Map)) {
      throw new TypeError(
        `AdamW: the gradients are ${valueText(gradients)}; expected a Map of tensors by parameter name`,
      );
    }
    const known = this.shards.reduce((count, { names }) => count + names.length, 0);
    if (gradients.size > known) {
      const names = new Set(this.shards.flatMap((shard) => shard.names));
      const stray = [...gradients.keys()].find((name) => !names.has(name));
      throw new RangeError(`AdamW: there is a gradient of ${valueText(stray)}, but no such parameter`);
    }
    return scope(() => this.shards.map((shard) => gatherGradients(shard, gradients)));
  }

  /** `step` with gradients that `gather` made, or sums of such. */
  stepGathered(gathered: readonly Tensor[], learningRate: number | Tensor): Tensor {
    const { betas, eps, weightDecay, clipNorm } = this.options;
    if (!isTensor(learningRate)) {
      checkNumber(
        'AdamW',
        'the learning rate',
        learningRate,
        'a finite number from 0, or an f32 scalar',
        isFiniteFrom0,
      );
    }
    this.#checkOwn();
    return scope(() => {
      const sums = gathered.map((all, i) => apply('gradientNorm', [all, this.state], { begins: i === 0 })[0]);
      const allSums = sums.length === 1 ? sums[0] : concat(sums);
      const isNumber = typeof learningRate === 'number';
      const last = this.shards.length - 1;
      const norms = this.shards.map((shard, i) => {
        const { first, second } = this.moments[i];
        const inputs = [gathered[i], allSums, this.state, shard.values, first, second];
        return apply('adamw', isNumber ? inputs : [...inputs, learningRate], {
          beta1: betas[0],
          beta2: betas[1],
          eps,
          weightDecay: this.#steady.has(shard) ? 0 : weightDecay,
          clipNorm,
          learningRate: isNumber ? learningRate : 0,
          growthInterval: this.#growthInterval,
          ends: i === last,
        })[0];
      });
      return norms[last];
    });
  }

  /** @throws Error when another optimiser has taken the parameters over: a step would move what nobody reads any more. */
  #checkOwn(): void {
    for (const [name, parameter] of this.#parameters) {
      if (parameter.disposed || this.shards.some(({ values }) => values.storage === parameter.storage)) continue;
      throw new Error(
        `AdamW: ${name} has moved to an optimiser that was made later; go on with that one, or make one for all parameters`,
      );
    }
  }

  /**
   * What the next step depends on beside the parameters, for checkpoints: `state`, and for each parameter `first.NAME` and
   * `second.NAME`, its moments. The tensors are the optimiser's own; how parameters were put into shards does not show.
   */
  stateDict(): Map<string, Tensor> {
    this.#named ??= new Map([
      ['state', this.state],
      ...this.shards.flatMap(({ names, shapes }, i) => {
        let offset = 0;
        return names.flatMap((name, k) => {
          const [begin, size] = [offset, sizeOf(shapes[k])];
          offset += size;
          return (['first', 'second'] as const).map((kind): [string, Tensor] => [
            `${kind}.${name}`,
            keep(() => this.moments[i][kind].narrow(0, begin, size).reshape(shapes[k])),
          ]);
        });
      }),
    ]);
    return new Map(this.#named);
  }

  /**
   * Goes on to the bit from what `stateDict` gave, or from a file that holds it (`readSafetensors`). The parameters have a state
   * dictionary of their own.
   *
   * @throws Error that lists all names that are missing or unknown, and shapes that differ, before anything is changed.
   */
  loadStateDict(state: ReadonlyMap<string, StateEntry | Tensor>): void {
    loadState('optimiser', this.stateDict(), state);
  }

  /** Goes on from a checkpoint: the next step is number `count` + 1. */
  setSteps(count: number): void {
    checkWhole('AdamW.setSteps', 'the count', count, 0);
    const { device, storage } = this.state;
    device.write(storage, 0, Float32Array.of(count));
  }

  /**
   * Goes on from a checkpoint: the loss scale that `lossScale` read. Steps without overflow are counted anew from then on; to go on
   * to the bit, keep `state` whole instead.
   */
  setLossScale(scale: number): void {
    const { device, storage } = this.state;
    device.write(storage, 4, Float32Array.of(scale, 0));
  }

  /** Gives the moments back; the parameters, views of the arena, keep their storage. */
  dispose(): void {
    for (const tensor of this.#named?.values() ?? []) if (tensor !== this.state) tensor.dispose();
    for (const tensor of [this.steps, this.lossScale, this.state]) tensor.dispose();
    for (const { values } of this.shards) values.dispose();
    for (const { first, second } of this.moments) {
      first.dispose();
      second.dispose();
    }
  }
}
