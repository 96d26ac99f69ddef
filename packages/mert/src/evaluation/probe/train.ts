/** One head learns: passes over the training rows until validation stops getting better. */
import { nn } from '@dawnchorus/autograd';
import { type Compiled, compile, scope, type Tensor, tensor, zeros } from '@dawnchorus/tensor';
import { hostRandom, sampleWithoutReplacement } from '../../random.ts';
import type { Task, TaskKind } from '../tasks.ts';
import {
  disposeWeights,
  forwardHead,
  type HeadShape,
  type HeadState,
  initHead,
  stepHead,
  stepNumbers,
  type Weights,
} from './head.ts';
import type { ProbeSettings } from './settings.ts';

/** Which draws of `hostRandom` order the batches. */
const ORDER = 101;
/** Rows that are predicted at once. */
const CHUNK = 1024;

/** Where batches come from. */
export interface Batches {
  /** What there is to learn from in a pass: windows, or crops of clips. */
  readonly examples: number;
  /** Rows of examples: x f32 [rows, layers, dimension] and its target, i32 [rows] or f32 [rows, outputs]. */
  read(
    examples: readonly number[],
    pass: number,
  ): Promise<{ x: Float32Array; target: Int32Array | Float32Array; rows: number }>;
}

/** A compiled step and forward pass of one shape of head, for every rate, seed and layer. */
export interface Machine {
  readonly shape: HeadShape;
  readonly kind: TaskKind;
  step: Compiled<[HeadState, Tensor, Tensor, Tensor, Tensor], { state: HeadState; loss: Tensor }>;
  /** Logits of rows, [rows, outputs]. */
  predict(weights: Weights, x: Float32Array): Promise<Float32Array>;
  dispose(): void;
}

/** @param seed of dropout. */
export function createMachine(shape: HeadShape, kind: TaskKind, seed = 0): Machine {
  const { layers, dimension } = shape;
  const step = compile(
    (state: HeadState, x: Tensor, target: Tensor, numbers: Tensor, number: Tensor) =>
      stepHead(shape, kind, state, x, target, numbers, nn.keySequence(seed, number)),
    { cacheSize: 4 },
  );
  const forward = compile((weights: Weights, x: Tensor) => forwardHead(shape, weights, x), { cacheSize: 4 });
  return {
    shape,
    kind,
    step,
    async predict(weights, x) {
      const rows = x.length / (layers * dimension);
      const out = new Float32Array(rows * shape.outputs);
      for (let first = 0; first < rows; first += CHUNK) {
        const count = Math.min(CHUNK, rows - first);
        const part = x.subarray(first * layers * dimension, (first + count) * layers * dimension);
        const logits = scope(() => forward(weights, tensor(part, { shape: [count, layers, dimension] })));
        out.set((await logits.data()) as Float32Array, first * shape.outputs);
        logits.dispose();
      }
      return out;
    },
    dispose() {
      step.dispose();
      forward.dispose();
    },
  };
}

/** Machines by the number of layers that they take, each made when it is first asked for. */
export function createMachines(shape: Omit<HeadShape, 'layers'>, kind: TaskKind) {
  const machines = new Map<number, Machine>();
  return {
    of(layers: number): Machine {
      const machine = machines.get(layers) ?? createMachine({ layers, ...shape }, kind);
      machines.set(layers, machine);
      return machine;
    },
    dispose(): void {
      for (const machine of machines.values()) machine.dispose();
    },
  };
}

/** A head that has learned: the weights that validation liked best. */
export interface Learned {
  weights: Weights;
  valid: number;
  /** The pass that they are of, and how many there were. */
  pass: number;
  passes: number;
  /** Gives the weights back. */
  dispose(): void;
}

/** How a head learns. */
export interface Training {
  machine: Machine;
  batches: Batches;
  /** The validation score of weights: more is better. */
  validate(weights: Weights): Promise<number>;
  task: Task;
  settings: ProbeSettings;
  rate: number;
  seed: number;
  /** Asked after each pass; true ends it with an error. */
  checkStopped?(): void;
}

const zerosLike = (weights: Weights): Weights =>
  Object.fromEntries(Object.entries(weights).map(([name, own]) => [name, scope(() => zeros(own.shape).retain())]));

const retainAll = (weights: Weights): Weights =>
  Object.fromEntries(Object.entries(weights).map(([name, own]) => [name, own.retain()]));

/**
 * Adam at a rate that halves when validation has not got better for some passes (PyTorch's ReduceLROnPlateau), until it has
 * not for more, or all passes are done.
 */
export async function learn(training: Training): Promise<Learned> {
  const { machine, batches, validate, task, settings, seed, checkStopped } = training;
  const { layers, dimension, outputs } = machine.shape;
  const { epochs = task.schedule.epochs, patience = task.schedule.patience, batchSize } = settings;
  let rate = training.rate;
  const weights = initHead(machine.shape, seed);
  let state: HeadState = { weights, first: zerosLike(weights), second: zerosLike(weights) };
  let best: Weights | undefined;
  let [bestScore, bestPass, sinceReduced, step, passes] = [Number.NEGATIVE_INFINITY, 0, 0, 0, 0];
  for (let pass = 1; pass <= epochs; pass++) {
    passes = pass;
    const order = sampleWithoutReplacement(hostRandom(seed, ORDER, pass), batches.examples, batches.examples);
    const losses: Tensor[] = [];
    for (let first = 0; first < order.length; first += batchSize) {
      const { x, target, rows } = await batches.read(order.slice(first, first + batchSize), pass);
      step++;
      const next = scope(() =>
        machine.step(
          state,
          tensor(x, { shape: [rows, layers, dimension] }),
          target instanceof Int32Array ? tensor(target) : tensor(target, { shape: [rows, outputs] }),
          tensor(stepNumbers(rate, step)),
          tensor(Uint32Array.of(step)),
        ),
      );
      disposeWeights(state.weights, state.first, state.second);
      state = next.state;
      losses.push(next.loss);
    }
    const last = await losses[losses.length - 1].item();
    for (const loss of losses) loss.dispose();
    // A head that has blown up does not get well again.
    if (!Number.isFinite(last)) break;
    const score = await validate(state.weights);
    // PyTorch's threshold: a ten-thousandth better counts.
    if (score > bestScore + 1e-4 * Math.abs(Number.isFinite(bestScore) ? bestScore : 0)) {
      if (best) disposeWeights(best);
      best = retainAll(state.weights);
      [bestScore, bestPass, sinceReduced] = [score, pass, 0];
    } else if (++sinceReduced > task.schedule.plateau) {
      rate /= 2;
      sinceReduced = 0;
    }
    checkStopped?.();
    if (pass - bestPass >= patience) break;
  }
  const final = best ?? retainAll(state.weights);
  disposeWeights(state.weights, state.first, state.second);
  return { weights: final, valid: bestScore, pass: bestPass, passes, dispose: () => disposeWeights(final) };
}
