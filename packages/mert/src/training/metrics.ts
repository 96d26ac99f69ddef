/** What a step measured, in one tensor, so that one read brings it back. */
import { concat, type Tensor } from '@dawnchorus/tensor';

/** Numbers of a step on the GPU. */
export interface Measured {
  /** f32 [all of them] */
  packed: Tensor;
  /** Names, each with how many numbers it has; none for a scalar. */
  layout: [name: string, count: number | undefined][];
}

/** Joins scalars and vectors into one tensor, in order. Lists of scalars become vectors. */
export function packMeasured(values: Record<string, Tensor | readonly Tensor[] | undefined>): Measured {
  const parts: Tensor[] = [];
  const layout: Measured['layout'] = [];
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const list = Array.isArray(value) ? (value as readonly Tensor[]) : [value as Tensor];
    parts.push(...list.map((x) => x.reshape([-1])));
    const count = list.reduce((sum, { size }) => sum + size, 0);
    layout.push([name, !Array.isArray(value) && list[0].rank === 0 ? undefined : count]);
  }
  return { packed: concat(parts), layout };
}

/** Numbers of a step by name. */
export type Numbers = Record<string, number | number[]>;

/** Reads what was measured, and disposes it. */
export async function readMeasured({ packed, layout }: Measured): Promise<Numbers> {
  const data = (await packed.data()) as Float32Array;
  packed.dispose();
  const numbers: Numbers = {};
  let at = 0;
  for (const [name, count] of layout) {
    numbers[name] = count === undefined ? data[at] : [...data.subarray(at, at + count)];
    at += count ?? 1;
  }
  return numbers;
}

/**
 * What one step measured: `loss` is the objective, the losses of all codebooks plus the weighted ones of spectra and the weighted
 * penalty; the others are before weighting, of codes in nats, of spectra in squared magnitude.
 */
export interface StepMetrics {
  loss: number;
  /** Mean of `lossCodes`. */
  lossRvq: number;
  lossCqt: number;
  lossMel?: number;
  featurePenalty: number;
  accuracy: number;
  /** Of the gradients before clipping; not finite where a step overflowed and was skipped. */
  gradNorm: number;
  /** Of each codebook. */
  lossCodes: number[];
  accuracies: number[];
  /** What trivial guesses score on the same batch: see `guess`. */
  guessRvq?: number;
  guessCqtZero?: number;
  guessCqtMean?: number;
  guessCqtClip?: number;
  /** What the loss was multiplied by, in half precision. */
  lossScale?: number;
  /** Of each transformer layer: largest attention logit, root mean square of its output, norm of its gradients. */
  attentionLogits?: number[];
  activations?: number[];
  layerGradNorms?: number[];
  /** Norms of the gradients of what is before and after the layers. */
  partGradNorms?: Record<string, number>;
}

const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Parts of the model whose gradients are measured one by one, in the order of their parameters. */
export const measuredParts = ['extractor', 'projection', 'position', 'heads'] as const;

/** What a step measured, from its numbers: those of its batches, and of its update. */
export function metricsOf(batches: readonly Numbers[], update: Numbers): StepMetrics {
  const scalar = (name: string) => mean(batches.map((numbers) => numbers[name] as number));
  const vector = (name: string, of: (values: number[]) => number = mean) => {
    const all = batches.map((numbers) => numbers[name] as number[]);
    return all[0].map((_, i) => of(all.map((values) => values[i])));
  };
  const has = (name: string) => batches[0][name] !== undefined;
  const lossCodes = vector('lossCodes');
  const accuracies = vector('accuracy');
  const layerNorms = update.layerSquares as number[] | undefined;
  const partSquares = update.partSquares as number[] | undefined;
  return {
    loss: scalar('loss'),
    lossRvq: mean(lossCodes),
    lossCqt: scalar('lossCqt'),
    ...(has('lossMel') && { lossMel: scalar('lossMel') }),
    featurePenalty: scalar('featurePenalty'),
    accuracy: mean(accuracies),
    gradNorm: Math.sqrt(update.squaredNorm as number),
    lossCodes,
    accuracies,
    ...(has('guessCodes') && {
      guessRvq: scalar('guessCodes'),
      guessCqtZero: scalar('guessCqtZero'),
      guessCqtMean: scalar('guessCqtMean'),
      guessCqtClip: scalar('guessCqtClip'),
    }),
    ...(update.lossScale !== undefined && { lossScale: update.lossScale as number }),
    ...(has('attentionLogits') && { attentionLogits: vector('attentionLogits', (values) => Math.max(...values)) }),
    ...(has('activations') && { activations: vector('activations').map(Math.sqrt) }),
    ...(layerNorms && { layerGradNorms: layerNorms.map(Math.sqrt) }),
    ...(partSquares && {
      partGradNorms: Object.fromEntries(measuredParts.map((name, i) => [name, Math.sqrt(partSquares[i])])),
    }),
  };
}

/** What one run of `learn` measured. */
export async function readMetrics(measured: Measured): Promise<StepMetrics> {
  const numbers = await readMeasured(measured);
  return metricsOf([numbers], numbers);
}
