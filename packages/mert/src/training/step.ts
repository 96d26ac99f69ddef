import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import type { Cqt } from '@dawnchorus/dsp';
import { add, apply, concat, indexSelect, ones, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import type { PretrainConfig } from '../config/index.ts';
import { type HostBatch, stackClips } from '../data/batch.ts';
import { Heads } from '../model/heads.ts';
import { type Batch, objective } from '../model/objective.ts';
import { Student } from '../model/student.ts';
import { type RvqTeacher, SAMPLES_PER_CODE } from '../rvq/teacher.ts';
import { withPrecision } from './precision.ts';

/** Bins of the constant-Q spectrum: 7 octaves of 48. */
export const CQT_BINS = 336;

/** The teachers' settings of the constant-Q transform (nnAudio's CQT1992v2 as MERT calls it). */
export const cqtSettings = {
  sampleRate: 24000,
  hopLength: 320,
  fMin: 32.7,
  bins: CQT_BINS,
  binsPerOctave: 48,
} as const;

/** The two views that the student predicts. */
export interface Teachers {
  /** Not needed for batches that come with labels. */
  rvq?: RvqTeacher;
  cqt: Cqt;
}

/** What one step measured. Losses are in nats, before weighting; the CQT's is in squared magnitude. */
export interface StepMetrics {
  loss: number;
  lossRvq: number;
  lossCqt: number;
  featurePenalty: number;
  accuracy: number;
  gradNorm: number;
  /** Of each codebook. */
  lossCodes: number[];
  accuracies: number[];
}

/** A batch on the GPU that no teacher has heard yet. */
export interface UploadedBatch extends Pick<Batch, 'waveform' | 'mask' | 'rows'> {
  /** f32 [batch, samples]: the clean clips. */
  heard: Tensor;
  /** i32 [rows]: the masked frames' places in [batch * codes] and in [batch * spectra]. */
  codeRows: Tensor;
  spectrumRows: Tensor;
  /** i32 [codebooks, batch * frames], where they were made before. */
  given?: Tensor;
}

/** Brings a batch onto the GPU. */
export function uploadBatch({ clean, mixed, masks, labels }: HostBatch): UploadedBatch {
  const [samples, frames] = [clean[0].length, masks[0].length];
  // The same frame of each clip lies at another place in rows of frames, codes and spectra, which differ in length.
  const places = (length: number) =>
    tensor(
      Int32Array.from(masks.flatMap((mask, b) => [...mask.keys()].filter((t) => mask[t]).map((t) => b * length + t))),
    );
  return {
    heard: stackClips(clean),
    waveform: stackClips(mixed),
    mask: tensor(Uint32Array.from(masks.flatMap((mask) => [...mask])), {
      shape: [masks.length, frames],
      dtype: 'bool',
    }),
    rows: places(frames),
    codeRows: places(Math.floor(samples / SAMPLES_PER_CODE)),
    spectrumRows: places(Math.floor(samples / cqtSettings.hopLength) + 1),
    ...(labels && { given: joinLabels(labels, frames) }),
  };
}

/** Labels of clips, [codebooks, frames] each, side by side: [codebooks, batch * frames]. */
function joinLabels(labels: readonly Int32Array[], frames: number): Tensor {
  const codebooks = labels[0].length / frames;
  const all = new Int32Array(codebooks * labels.length * frames);
  for (const [b, own] of labels.entries()) {
    for (let k = 0; k < codebooks; k++) {
      all.set(own.subarray(k * frames, (k + 1) * frames), (k * labels.length + b) * frames);
    }
  }
  return tensor(all, { shape: [codebooks, labels.length * frames] });
}

/** The acoustic teacher's labels at the masked frames: [codebooks, rows]. */
function labelsAt({ heard, rows, codeRows, given }: UploadedBatch, rvq: RvqTeacher | undefined): Tensor {
  if (given) return indexSelect(given, 1, rows);
  if (!rvq) throw new Error('a batch without labels needs an acoustic teacher');
  return concat(rvq.encode(heard).map((code) => indexSelect(code.reshape([1, -1]), 1, codeRows)));
}

/** Asks the teachers for a batch's targets at the masked frames. */
export function askTeachers(batch: UploadedBatch, { rvq, cqt }: Teachers): Batch {
  const { heard, waveform, mask, rows, spectrumRows } = batch;
  const spectrum = cqt.transform(heard).permute([0, 2, 1]);
  return {
    waveform,
    mask,
    rows,
    labels: labelsAt(batch, rvq),
    cqt: indexSelect(spectrum.reshape([-1, spectrum.shape[2]]), 0, spectrumRows),
  };
}

/** Uploads a batch and asks the teachers for its targets at the masked frames. */
export function labelBatch(host: HostBatch, teachers: Teachers): Batch {
  return askTeachers(uploadBatch(host), teachers);
}

/** Sums over what the student was asked to predict, from which the trivial guesses are scored. */
export interface TargetStatistics {
  /** Occurrences of each code, [numCodebooks, codebookSize]. */
  labelCounts: Tensor;
  /** Sum and sum of squares of each CQT bin, [2, bins]. */
  cqtSums: Tensor;
  /** Frames seen, [1]. */
  frames: Tensor;
}

/** A student in training: its heads, its optimiser, and what it has seen. */
export interface Trainer {
  student: Student;
  heads: Heads;
  optimizer: optim.AdamW;
  parameters: Map<string, Tensor>;
  statistics: TargetStatistics;
  /** The learning rate of a step; the first is 1. */
  schedule: (step: number) => number;
}

/** Student, heads, optimiser and schedule of a configuration, with fresh parameters. */
export function createTrainer(config: PretrainConfig): Trainer {
  const { model, rvq } = config;
  const keys = nn.keySequence(config.training.seed);
  const student = new Student(model, keys);
  const heads = new Heads(
    {
      hiddenSize: model.hiddenSize,
      numCodebooks: rvq.numCodebooks,
      codebookSize: rvq.codebookSize,
      finalDim: model.finalDim,
      cqtBins: CQT_BINS,
      logitTemperature: model.logitTemperature,
    },
    keys,
  );
  const parameters = new Map([...student.namedParameters(), ...heads.namedParameters()]);
  const { betas, eps, weightDecay, clipNorm, learningRate, warmupSteps } = config.optimizer;
  const { precision, lossScale: initial, lossScaleInterval: growthInterval } = config.training;
  const { device } = student.maskedSpecEmbed;
  if (precision === 'f16' && !device.features.has('shader-f16')) {
    throw new Error(
      `training.precision is f16, but ${device.adapter.name} has no shader-f16, halves in shaders; use training.precision=f32`,
    );
  }
  const lossScale = precision === 'f16' ? { initial, growthInterval } : undefined;
  const optimizer = new optim.AdamW(parameters, { betas, eps, weightDecay, clipNorm, lossScale });
  const schedule = optim.polynomialDecay({ peak: learningRate, warmupSteps, totalSteps: config.training.steps + 1 });
  const statistics = {
    labelCounts: nn.initZeros([rvq.numCodebooks, rvq.codebookSize]),
    cqtSums: nn.initZeros([2, CQT_BINS]),
    frames: nn.initZeros([1]),
  };
  return { student, heads, optimizer, parameters, statistics, schedule };
}

/** Gives a trainer's memory back. */
export function disposeTrainer({ student, heads, optimizer, statistics }: Trainer): void {
  for (const part of [student, heads, optimizer]) part.dispose();
  for (const sum of Object.values<Tensor>({ ...statistics })) sum.dispose();
}

/** What a checkpoint holds besides the student: heads, moments and statistics. */
export function trainingTensors({ heads, optimizer, statistics }: Trainer): Map<string, Tensor> {
  const named = new Map<string, Tensor>(heads.stateDict());
  named.set('optimizer.state', optimizer.state);
  optimizer.moments.forEach(({ first, second }, i) => {
    named.set(`optimizer.${i}.firstMoment`, first);
    named.set(`optimizer.${i}.secondMoment`, second);
  });
  for (const [name, value] of Object.entries(statistics)) named.set(`statistics.${name}`, value);
  return named;
}

/** Adds a batch's targets to the sums. */
function countTargets(statistics: TargetStatistics, { labels, cqt }: Batch): void {
  const [codebooks, size] = statistics.labelCounts.shape;
  const rows = labels.shape[1];
  const next: TargetStatistics = scope(() => {
    const one = ones([codebooks, rows]);
    const counts = apply('scatterAdd', [one, labels], { axis: 1, extent: size })[0];
    const sums = concat([cqt.sum({ dim: 0, keepdim: true }), cqt.square().sum({ dim: 0, keepdim: true })]);
    return {
      labelCounts: add(statistics.labelCounts, counts).retain(),
      cqtSums: add(statistics.cqtSums, sums).retain(),
      frames: add(statistics.frames, rows).retain(),
    };
  });
  for (const old of [statistics.labelCounts, statistics.cqtSums, statistics.frames]) old.dispose();
  Object.assign(statistics, next);
}

/** What a step measured, from what `learn` returned, which it disposes. */
export async function readMetrics(packed: Tensor, codebooks: number): Promise<StepMetrics> {
  const [loss, lossCqt, featurePenalty, squaredNorm, ...rest] = (await packed.data()) as Float32Array;
  packed.dispose();
  const lossCodes = rest.slice(0, codebooks);
  const accuracies = rest.slice(codebooks);
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    loss,
    lossRvq: mean(lossCodes),
    lossCqt,
    featurePenalty,
    accuracy: mean(accuracies),
    gradNorm: Math.sqrt(squaredNorm),
    lossCodes,
    accuracies,
  };
}

/** One step of pretraining: label, forward, backward, update. Everything is on its way when this returns. */
export function trainStep(
  trainer: Trainer,
  teachers: Teachers,
  host: HostBatch,
  config: PretrainConfig,
  step: number,
): Promise<StepMetrics> {
  const packed = scope(() => {
    const batch = labelBatch(host, teachers);
    countTargets(trainer.statistics, batch);
    const keys = nn.keySequence(config.training.seed, step);
    return learn(trainer, batch, config, keys, trainer.schedule(step));
  });
  return readMetrics(packed, config.rvq.numCodebooks);
}

/**
 * Forward, backward and update on a labelled batch: nothing but operations, so that it may be compiled. Layer drop is
 * drawn on the host: a compiled step would skip the same layers each time, so it needs `layerdrop` 0.
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
): Tensor {
  const { student, heads, optimizer } = trainer;
  return withPrecision(config.training.precision, trainer, (leaves) => {
    const { gradients, auxiliary } = valueAndGrad(() => {
      const output = objective(student, heads, batch, config.loss, keys);
      return { loss: output.loss.mul(optimizer.lossScale), auxiliary: output };
    }, [...leaves.values()]);
    const named = new Map([...leaves.keys()].map((name, i) => [name, gradients[i]]));
    return packOutput(auxiliary, optimizer.step(named, learningRate));
  });
}

function packOutput(output: ReturnType<typeof objective>, squaredNorm: Tensor): Tensor {
  const scalars = [output.loss, output.lossCqt, output.featurePenalty, squaredNorm].map((value) => value.reshape([1]));
  return concat([...scalars, output.lossCodes, output.accuracy]);
}

/** A batch's losses, with the targets themselves so that guesses can be scored on them. */
export interface Evaluation {
  metrics: StepMetrics;
  /** [numCodebooks * rows] */
  labels: Int32Array;
  /** [rows * bins] */
  cqt: Float32Array;
}

/** The losses of a batch without dropout and without learning from it. */
export async function evaluateStep(
  trainer: Trainer,
  teachers: Teachers,
  host: HostBatch,
  config: PretrainConfig,
): Promise<Evaluation> {
  const { packed, labels, cqt } = scope(() => {
    const batch = labelBatch(host, teachers);
    const output = objective(trainer.student, trainer.heads, batch, config.loss);
    return { packed: packOutput(output, tensor([0])), labels: batch.labels, cqt: batch.cqt };
  });
  const result = {
    metrics: await readMetrics(packed, config.rvq.numCodebooks),
    labels: (await labels.data()) as Int32Array,
    cqt: (await cqt.data()) as Float32Array,
  };
  labels.dispose();
  cqt.dispose();
  return result;
}
