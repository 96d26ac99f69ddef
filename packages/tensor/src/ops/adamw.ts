import { optimizer } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { linearGrid } from '../kernel/grid.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectDtype } from './arguments.ts';
import { kernelOp } from './op.ts';

/** AdamW's settings (Loshchilov and Hutter, 2019). */
export interface AdamWAttributes {
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** Clip the gradient to this global norm; 0 for never. */
  clipNorm: number;
  /** Where no tensor gives it. */
  learningRate: number;
  /** Good steps after which the loss scale doubles; 0 where it stays as it is. */
  growthInterval: number;
  /** Whether this is the last of a step's shards, after which the step ends: the loss scale moves. */
  ends: boolean;
}

/** [steps counted, loss scale, good steps since it changed, reciprocal of the scale of the step under way] */
const STATE_LENGTH = 4;
/** Chunks of gradients, whose sums of squares every workgroup of the second kernel adds up. Multiples of four. */
const MOST_CHUNKS = 256;
const SHORTEST_CHUNK = 16384;

const chunksOf = (size: number) => Math.min(MOST_CHUNKS, 4 * Math.max(1, Math.ceil(size / (4 * SHORTEST_CHUNK))));

/** Threads of a workgroup, elements that a thread takes at once and how often at most, and workgroups to keep it busy. */
const ways = {
  gpu: { threads: 256, width: 4, most: 16, workgroups: 2048, constants: optimizer.arenaConstants.vectors },
  cpu: { threads: 64, width: 1, most: 64, workgroups: 512, constants: optimizer.arenaConstants.scalars },
};
const wayOf = ({ adapter }: Device) => (adapter.software ? ways.cpu : ways.gpu);

function expectArena(name: string, tensors: readonly Tensor[]): void {
  for (const tensor of tensors) {
    expectDtype(name, 'an input', tensor, 'f32');
    if (tensor.size !== tensors[0].size || !tensor.contiguous || tensor.offset !== 0) {
      throw new RangeError(
        `${name}: ${formatShape(tensor.shape)} must be dense, at offset 0 and as long as the gradients, ${tensors[0].size}`,
      );
    }
  }
}

function expectState(name: string, state: Tensor): void {
  expectDtype(name, 'the state', state, 'f32');
  if (state.size !== STATE_LENGTH || !state.contiguous || state.offset !== 0) {
    throw new RangeError(
      `${name}: the state is ${formatShape(state.shape)}; expected [${STATE_LENGTH}], dense and at offset 0`,
    );
  }
}

/**
 * The first half of an optimiser's step. Inputs: the gradients of a shard, a dense vector, and the optimiser's state [4]:
 * steps counted, loss scale, good steps since that changed, and a place for this step. Output: the sums of squares of
 * chunks of the gradients, divided by the loss scale. Where the step `begins` (at the first shard) it is counted.
 */
const gradientNorm = kernelOp<{ begins: boolean }>({
  flops: ([gradients]) => 3 * gradients.size,
  mutates: [1],
  infer([gradients, state]) {
    expectArena('gradientNorm', [gradients]);
    expectState('gradientNorm', state);
    return [{ dtype: 'f32', shape: [chunksOf(gradients.size)] }];
  },
  run(device, [gradients, state], [sums], { begins }) {
    const { threads, width, constants } = wayOf(device);
    const subgroups = !device.adapter.software && device.features.has('subgroups');
    const { size } = gradients;
    device.recorder.dispatch({
      kernel: optimizer.gradientNorm,
      constants: {
        LANES: `const LANES = ${threads}u;`,
        ROWS: 'const ROWS = 1u;',
        SUBGROUPS: `const SUBGROUPS = ${subgroups};`,
        ...constants,
      },
      buffers: [gradients, state, sums].map((tensor) => tensor.storage.buffer),
      parameters: { size, chunk: Math.ceil(size / width / sums.size), begins: Number(begins) },
      grid: [sums.size, 1, 1],
    });
  },
});

/**
 * One AdamW step in place. Inputs: gradients, what gradientNorm made of all shards, the state [4] (see there), parameters,
 * first and second moment (dense vectors of one length), and the learning rate (a scalar) where it lies in memory. Skipped
 * on the GPU, and not counted, when the norm or the learning rate is not finite. Output: the squared norm of the unscaled gradients.
 */
const adamw = kernelOp<AdamWAttributes>({
  flops: ([gradients]) => 16 * gradients.size,
  mutates: [2, 3, 4, 5],
  infer(inputs) {
    const [gradients, sums, state, parameters, first, second, rate] = inputs;
    expectArena('adamw', [gradients, parameters, first, second]);
    expectState('adamw', state);
    expectDtype('adamw', 'the sums of squares', sums, 'f32');
    if (sums.size % 4 !== 0 || !sums.contiguous || sums.offset !== 0) {
      throw new RangeError(
        `adamw: the sums of squares are ${formatShape(sums.shape)}; expected those of gradientNorm, dense and at offset 0`,
      );
    }
    if (rate) {
      expectDtype('adamw', 'the learning rate', rate, 'f32');
      if (rate.size !== 1)
        throw new RangeError(`adamw: the learning rate is ${formatShape(rate.shape)}; expected one element`);
    }
    return [{ dtype: 'f32', shape: [] }];
  },
  run(device, [gradients, sums, state, parameters, first, second, rate], [squaredNorm], a) {
    const { threads, width, most, workgroups, constants } = wayOf(device);
    const { size } = gradients;
    const vectors = Math.ceil(size / width);
    const chunk = threads * Math.min(most, Math.max(1, Math.floor(vectors / (threads * workgroups))));
    device.recorder.dispatch({
      kernel: optimizer.adamw,
      constants: {
        THREADS: `const THREADS = ${threads}u;`,
        ...constants,
        RATE_IN_MEMORY: `const RATE_IN_MEMORY = ${rate !== undefined};`,
      },
      // What is bound for a rate that is not there is not read.
      buffers: [gradients, sums, rate ?? sums, state, parameters, first, second, squaredNorm].map(
        (tensor) => tensor.storage.buffer,
      ),
      parameters: {
        size,
        chunk,
        sums: sums.size / 4,
        beta1: a.beta1,
        beta2: a.beta2,
        eps: a.eps,
        weightDecay: a.weightDecay,
        // beta = 0 forgets at once: a step is then as good as infinitely many.
        logBeta1: Math.max(Math.log(a.beta1), -1e30),
        logBeta2: Math.max(Math.log(a.beta2), -1e30),
        clipNorm: a.clipNorm,
        interval: a.growthInterval,
        ends: Number(a.ends),
        rate: a.learningRate,
        rateOffset: rate?.offset ?? 0,
      },
      // Without parameters there is still a step to end.
      grid: linearGrid(Math.max(1, Math.ceil(vectors / chunk))),
    });
  },
});

export const optimizers = { gradientNorm, adamw };
