import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import { add, apply, type Device, full, scope, sumSquares, type Tensor, tensor } from '@dawnchorus/tensor';
import { CQT_BINS, classesOf, cqtSettingsAt, type PretrainConfig } from '../config/index.ts';
import type { HostBatch } from '../data/batch.ts';
import { Heads } from '../model/heads.ts';
import { type Batch, type ObjectiveOutput, objective } from '../model/objective.ts';
import { Student } from '../model/student.ts';
import type { Watch } from '../model/watch.ts';
import { type Measured, measuredParts, packMeasured, readMetrics, type StepMetrics } from './metrics.ts';
import { withPrecision } from './precision.ts';
import {
  askTeachers,
  countTargets,
  guess,
  labelBatch,
  type TargetStatistics,
  type Teachers,
  type UploadedBatch,
} from './targets.ts';

export { readMetrics, type StepMetrics } from './metrics.ts';
export { askTeachers, labelBatch, type Teachers, uploadBatch } from './targets.ts';

/** The teachers' settings of the constant-Q transform at 24 kHz. */
export const cqtSettings = cqtSettingsAt(24000);

/** A student in training: its heads, its optimiser, and what it has seen. */
export interface Trainer {
  student: Student;
  heads: Heads;
  optimizer: optim.AdamW;
  parameters: Map<string, Tensor>;
  statistics: TargetStatistics;
  /** Averaged weights, laid out like the optimiser's shards, with the weight of a new value in them; none without EMA. */
  ema: { averages: Tensor[]; weight: Tensor } | undefined;
  /** The learning rate of a step; the first is 1. */
  schedule: (step: number) => number;
}

/** @throws Error when a configuration asks for halves that the adapter has not. */
export function checkPrecision(device: Device, { training }: PretrainConfig): void {
  if (training.precision === 'f16' && !device.features.has('shader-f16')) {
    throw new Error(
      `training.precision is f16, but ${device.adapter.name} has no shader-f16, halves in shaders; use training.precision=f32`,
    );
  }
}

/** Sums over nothing. */
const noStatistics = (classes: readonly number[]): TargetStatistics => ({
  labelCounts: nn.initZeros([classes.length, Math.max(...classes)]),
  cqtSums: nn.initZeros([2, CQT_BINS]),
  frames: nn.initZeros([1]),
});

/**
 * Begins a trainer's sums anew where they are not finite, as older versions left them when they heard a clip of absurd samples:
 * nothing else would ever make them finite again. @returns whether they were begun anew.
 */
export async function mendStatistics(trainer: Trainer, config: PretrainConfig): Promise<boolean> {
  const all = await Promise.all(Object.values<Tensor>({ ...trainer.statistics }).map((sum) => sum.data()));
  if (all.every((values) => (values as Float32Array).every(Number.isFinite))) return false;
  replaceStatistics(trainer, noStatistics(classesOf(config)));
  return true;
}

/** Student, heads, optimiser and schedule of a configuration, with fresh parameters. */
export function createTrainer(config: PretrainConfig): Trainer {
  const { model, audio, targets, loss, training } = config;
  const keys = nn.keySequence(training.seed);
  const student = new Student(model, keys, { sampleRate: audio.sampleRate });
  const classes = classesOf(config);
  const heads = new Heads(
    {
      hiddenSize: model.hiddenSize,
      numCodebooks: classes.length,
      codebookSize: Math.max(...classes),
      classes,
      specialClasses: targets.specialClasses,
      finalDim: model.finalDim,
      cqtBins: CQT_BINS,
      ...(loss.melWeight > 0 && { melBins: targets.melBins }),
      logitTemperature: model.logitTemperature,
    },
    keys,
  );
  const parameters = new Map([...student.namedParameters(), ...heads.namedParameters()]);
  const { betas, eps, weightDecay, clipNorm, learningRate, warmupSteps, decayPower, endLearningRate } =
    config.optimizer;
  const { precision, lossScale: initial, lossScaleInterval: growthInterval } = training;
  const { device } = student.maskedSpecEmbed;
  checkPrecision(device, config);
  const lossScale = precision === 'f16' ? { initial, growthInterval } : undefined;
  const optimizer = new optim.AdamW(parameters, { betas, eps, weightDecay, clipNorm, lossScale });
  const schedule = optim.polynomialDecay({
    peak: learningRate,
    warmupSteps,
    totalSteps: training.steps + 1,
    power: decayPower,
    end: endLearningRate,
  });
  const statistics = noStatistics(classes);
  const ema =
    training.ema > 0
      ? scope(() => ({
          averages: optimizer.shards.map(({ values }) => values.add(0).retain()),
          weight: full([], 1 - training.ema).retain(),
        }))
      : undefined;
  return { student, heads, optimizer, parameters, statistics, ema, schedule };
}

/** Gives a trainer's memory back. */
export function disposeTrainer({ student, heads, optimizer, statistics, ema }: Trainer): void {
  for (const part of [student, heads, optimizer]) part.dispose();
  for (const sum of Object.values<Tensor>({ ...statistics })) sum.dispose();
  for (const average of ema ? [...ema.averages, ema.weight] : []) average.dispose();
}

/** What a checkpoint holds besides the student: heads, moments, statistics and averages. */
export function trainingTensors({ heads, optimizer, statistics, ema }: Trainer): Map<string, Tensor> {
  const named = new Map<string, Tensor>(heads.stateDict());
  named.set('optimizer.state', optimizer.state);
  optimizer.moments.forEach(({ first, second }, i) => {
    named.set(`optimizer.${i}.firstMoment`, first);
    named.set(`optimizer.${i}.secondMoment`, second);
  });
  for (const [name, value] of Object.entries(statistics)) named.set(`statistics.${name}`, value);
  ema?.averages.forEach((average, i) => {
    named.set(`ema.${i}`, average);
  });
  return named;
}

/** Takes a trainer back to where it began, in place: parameters fresh from the seed, no moments, nothing seen. */
export async function restartTrainer(trainer: Trainer, config: PretrainConfig): Promise<void> {
  const fresh = createTrainer(config);
  try {
    const all = (of: Trainer) => [...of.student.stateDict(), ...trainingTensors(of)];
    const beginnings = new Map(all(fresh));
    for (const [name, { device, storage, offset }] of all(trainer)) {
      device.write(storage, 4 * offset, (await (beginnings.get(name) as Tensor).data()) as Float32Array);
    }
  } finally {
    disposeTrainer(fresh);
  }
}

/** The averaged weights of the student, by name: views, to be disposed. */
export function averagedStudent({ student, optimizer, ema }: Trainer): Map<string, Tensor> | undefined {
  if (!ema) return undefined;
  const own = student.namedParameters();
  const named = new Map<string, Tensor>();
  for (const [i, { names, shapes }] of optimizer.shards.entries()) {
    let offset = 0;
    for (const [k, name] of names.entries()) {
      const size = shapes[k].reduce((product, extent) => product * extent, 1);
      if (own.has(name)) named.set(name, ema.averages[i].sliceAxis(0, offset, offset + size).reshape(shapes[k]));
      offset += size;
    }
  }
  return named;
}

/** What the gradients of a batch need: the draws, a share of the step, and what is measured beside them. */
export interface LearnOptions {
  keys: nn.KeySequence;
  /** The part of a step's loss that this batch is: 1 over how many there are. */
  share?: number;
}

/** Gradients of a batch, of the loss times its scale and share, laid out like the optimiser's shards. */
function gradientsOf(
  trainer: Trainer,
  batch: Batch,
  config: PretrainConfig,
  { keys, share = 1 }: LearnOptions,
): { gathered: Tensor[]; output: ObjectiveOutput; watch: Watch | undefined } {
  const { student, heads, optimizer } = trainer;
  const { monitor, training, loss } = config;
  const attention = monitor.attention ? [] : undefined;
  const watch = monitor.every > 0 ? { activations: [], attention, clips: monitor.attentionClips } : undefined;
  return withPrecision(training.precision, trainer, (leaves) => {
    const { gradients, auxiliary } = valueAndGrad(() => {
      const output = objective(student, heads, batch, loss, {
        keys,
        watch,
        recompute: training.checkpointActivations,
      });
      const scaled = output.loss.mul(optimizer.lossScale);
      return { loss: share === 1 ? scaled : scaled.mul(share), auxiliary: { output, watch } };
    }, leaves);
    return { gathered: optimizer.gather(gradients), ...auxiliary };
  });
}

const outputValues = (output: ObjectiveOutput, watch: Watch | undefined) => ({
  loss: output.loss,
  lossCqt: output.lossCqt,
  lossMel: output.lossMel,
  featurePenalty: output.featurePenalty,
  lossCodes: output.lossCodes,
  accuracy: output.accuracy,
  attentionLogits: watch?.attention,
  activations: watch?.activations,
});

/** Which part of the model a parameter is of: a layer's number, or a name. */
function partOf(name: string): number | (typeof measuredParts)[number] {
  const layer = /^encoder\.layers\.(\d+)\./.exec(name);
  if (layer) return Number(layer[1]);
  if (name.startsWith('encoder.')) return 'position';
  if (name.startsWith('featureExtractor.')) return 'extractor';
  return name.startsWith('featureProjection.') || name === 'maskedSpecEmbed' ? 'projection' : 'heads';
}

/** Sums of squares of the gradients of each layer and part, divided by the loss scale: neighbours in the arena at once. */
function squaresByPart({ optimizer, student }: Trainer, gathered: readonly Tensor[]) {
  const found = new Map<ReturnType<typeof partOf>, Tensor>();
  const unscale = optimizer.lossScale.square().reciprocal();
  for (const [i, { names, shapes }] of optimizer.shards.entries()) {
    let first = 0;
    let end = 0;
    for (const [k, name] of names.entries()) {
      end += shapes[k].reduce((product, extent) => product * extent, 1);
      if (k + 1 < names.length && partOf(names[k + 1]) === partOf(name)) continue;
      const squares = sumSquares(gathered[i].sliceAxis(0, first, end)).mul(unscale);
      const before = found.get(partOf(name));
      found.set(partOf(name), before ? before.add(squares) : squares);
      first = end;
    }
  }
  const of = (part: ReturnType<typeof partOf>) => found.get(part) ?? unscale.mul(0);
  return {
    layerSquares: student.encoder.layers.map((_, i) => of(i)),
    partSquares: measuredParts.map(of),
  };
}

/** Changes the parameters; what is measured is of before. */
function update(trainer: Trainer, gathered: readonly Tensor[], config: PretrainConfig, rate: number | Tensor) {
  const { optimizer, ema } = trainer;
  const half = config.training.precision === 'f16';
  const before = {
    ...(half && { lossScale: optimizer.lossScale.mul(1) }),
    ...(config.monitor.every > 0 && squaresByPart(trainer, gathered)),
  };
  const squaredNorm = optimizer.stepGathered(gathered, rate);
  ema?.averages.forEach((average, i) => {
    apply('lerp', [average, optimizer.shards[i].values, ema.weight], {});
  });
  return { ...before, squaredNorm };
}

/**
 * Forward, backward and update on a labelled batch: nothing but operations, so that it may be compiled.
 *
 * @param learningRate a number, or an f32 scalar.
 * @returns what `readMetrics` reads.
 */
export function learn(
  trainer: Trainer,
  batch: Batch,
  config: PretrainConfig,
  keys: nn.KeySequence,
  learningRate: number | Tensor,
): Measured {
  const { gathered, output, watch } = gradientsOf(trainer, batch, config, { keys });
  return packMeasured({ ...outputValues(output, watch), ...update(trainer, gathered, config, learningRate) });
}

/** What `wholeStep` makes: what it measured, and the sums of what it has seen. */
export interface StepOutput {
  measured: Measured;
  statistics: TargetStatistics;
}

/** One step of one batch: teachers, guesses, forward, backward, update. Nothing but operations. */
export function wholeStep(
  trainer: Trainer,
  teachers: Teachers,
  config: PretrainConfig,
): (uploaded: UploadedBatch, statistics: TargetStatistics, number: Tensor, rate: Tensor) => StepOutput {
  return (uploaded, before, number, rate) => {
    const batch = askTeachers(uploaded, teachers, config);
    const statistics = countTargets(before, batch);
    const keys = nn.keySequence(config.training.seed, number);
    const { gathered, output, watch } = gradientsOf(trainer, batch, config, { keys });
    const guesses = { ...guess(statistics, batch) };
    const values = { ...outputValues(output, watch), ...guesses, ...update(trainer, gathered, config, rate) };
    return { measured: packMeasured(values), statistics };
  };
}

/** One of several batches of a step: its gradients are added to those of the batches before. Nothing but operations. */
export function partStep(
  trainer: Trainer,
  teachers: Teachers,
  config: PretrainConfig,
): (
  uploaded: UploadedBatch,
  statistics: TargetStatistics,
  number: Tensor,
  sums: readonly Tensor[],
) => StepOutput & { sums: Tensor[] } {
  const share = 1 / config.training.accumulate;
  return (uploaded, before, number, sums) => {
    const batch = askTeachers(uploaded, teachers, config);
    const statistics = countTargets(before, batch);
    const keys = nn.keySequence(config.training.seed, number);
    const { gathered, output, watch } = gradientsOf(trainer, batch, config, { keys, share });
    const values = { ...outputValues(output, watch), ...guess(statistics, batch) };
    return { measured: packMeasured(values), statistics, sums: gathered.map((own, i) => add(sums[i], own)) };
  };
}

/** The end of a step of several batches. Nothing but operations. */
export function updateStep(
  trainer: Trainer,
  config: PretrainConfig,
): (sums: readonly Tensor[], rate: Tensor) => Measured {
  return (sums, rate) => packMeasured(update(trainer, sums, config, rate));
}

/** One step of pretraining on one batch: label, forward, backward, update. Everything is on its way when this returns. */
export function trainStep(
  trainer: Trainer,
  teachers: Teachers,
  host: HostBatch,
  config: PretrainConfig,
  step: number,
): Promise<StepMetrics> {
  const measured = scope(() => {
    const batch = labelBatch(host, teachers, config);
    const counted = countTargets(trainer.statistics, batch);
    replaceStatistics(trainer, {
      labelCounts: counted.labelCounts.retain(),
      cqtSums: counted.cqtSums.retain(),
      frames: counted.frames.retain(),
    });
    const keys = nn.keySequence(config.training.seed, step);
    return learn(trainer, batch, config, keys, trainer.schedule(step));
  });
  return readMetrics(measured);
}

/** Takes new sums for the old ones, which it disposes. */
export function replaceStatistics(trainer: Trainer, next: TargetStatistics): void {
  const { labelCounts, cqtSums, frames } = trainer.statistics;
  for (const old of [labelCounts, cqtSums, frames]) old.dispose();
  trainer.statistics = next;
}

/** A batch's losses, with the targets themselves so that guesses can be scored on them. */
export interface Evaluation {
  metrics: StepMetrics;
  /** [numCodebooks * rows] */
  labels: Int32Array;
  /** [rows * bins] */
  cqt: Float32Array;
}

/** The rows of [sets, rows, width] that weigh something. */
function weighed<A extends Float32Array | Int32Array>(all: A, weights: Float32Array, sets: number, width: number): A {
  const kept = [...weights.keys()].filter((row) => weights[row] > 0);
  const out = all.slice(0, sets * kept.length * width) as A;
  for (let k = 0; k < sets; k++) {
    for (const [i, row] of kept.entries()) {
      const from = (k * weights.length + row) * width;
      out.set(all.subarray(from, from + width), (k * kept.length + i) * width);
    }
  }
  return out;
}

/** The losses of a batch, in f32, without dropout and without learning from it. */
export async function evaluateStep(
  trainer: Trainer,
  teachers: Teachers,
  host: HostBatch,
  config: PretrainConfig,
): Promise<Evaluation> {
  const { measured, labels, cqt, rowWeights } = scope(() => {
    const batch = labelBatch(host, teachers, config);
    const output = objective(trainer.student, trainer.heads, batch, config.loss);
    const guesses = { ...guess(trainer.statistics, batch) };
    const values = { ...outputValues(output, undefined), ...guesses, squaredNorm: tensor(0) };
    return { measured: packMeasured(values), labels: batch.labels, cqt: batch.cqt, rowWeights: batch.rowWeights! };
  });
  const metrics = await readMetrics(measured);
  const weights = (await rowWeights.data()) as Float32Array;
  const [sets] = labels.shape;
  const result = {
    metrics,
    labels: weighed((await labels.data()) as Int32Array, weights, sets, 1),
    cqt: weighed((await cqt.data()) as Float32Array, weights, 1, cqt.shape[1]),
  };
  for (const own of [labels, cqt, rowWeights]) own.dispose();
  return result;
}
