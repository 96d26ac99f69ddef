import { nn } from '@dawnchorus/autograd';
import { createCqt } from '@dawnchorus/dsp';
import {
  Autoencoder,
  askTeachers,
  type Batch,
  cqtSettingsAt,
  createTrainer,
  cropSamples,
  disposeTrainer,
  frameCount,
  type HostBatch,
  learn,
  objective,
  type PretrainConfig,
  prepareBatch,
  ResidualQuantizer,
  RvqTeacher,
  type Teachers,
  uploadBatch,
} from '@dawnchorus/mert';
import { type Device, scope, type Tensor } from '@dawnchorus/tensor';

/** Small, so that many steps change no figure. */
export const LEARNING_RATE = 1e-6;

/** A random acoustic teacher: its speed does not depend on what it learnt. */
function randomTeachers(device: Device, { audio, rvq, training }: PretrainConfig): Teachers {
  const keys = nn.keySequence(training.seed + 1);
  const autoencoder = new Autoencoder(rvq.channels, rvq.dimension, keys);
  const shape = [rvq.codebookSize, rvq.dimension];
  const codebooks = Array.from({ length: rvq.numCodebooks }, () => ({
    embed: nn.initNormal(shape, 0.1, keys),
    embedAvg: nn.initZeros(shape),
    clusterSize: nn.initZeros([rvq.codebookSize]),
  }));
  return {
    acoustic: new RvqTeacher(autoencoder, new ResidualQuantizer(codebooks)),
    cqt: createCqt(device, cqtSettingsAt(audio.sampleRate)),
  };
}

/** Labels as `mert label` would give them, where a configuration names their sets: [batch] of [sets, frames]. */
function givenLabels({ targets, training }: PretrainConfig, frames: number): Pick<HostBatch, 'labels'> {
  const { classes } = targets;
  if (classes.length === 0) return {};
  const ofClip = (clip: number) =>
    Int32Array.from({ length: classes.length * frames }, (_, i) => (i * 7 + clip) % classes[Math.floor(i / frames)]);
  return { labels: Array.from({ length: training.batchSize }, (_, clip) => ofClip(clip)) };
}

/** Clips with something to hear. */
function synthesise(count: number, samples: number): Float32Array[] {
  return Array.from({ length: count }, (_, clip) =>
    Float32Array.from(
      { length: samples },
      (_, t) => 0.3 * Math.sin(t * 0.01 * (clip + 1)) + 0.1 * Math.sin(t * t * 1e-6),
    ),
  );
}

/** A student with its teachers and one batch on the GPU, and the steps that can be made of them. */
export function createStepModel(device: Device, config: PretrainConfig) {
  const trainer = createTrainer(config);
  const teachers = randomTeachers(device, config);
  const samples = cropSamples(config.audio);
  const frames = frameCount(samples, config.model);
  const { batchSize, seed } = config.training;
  const host = {
    ...prepareBatch(synthesise(batchSize, samples), config, 1, frames, { seed, mixture: true }),
    ...givenLabels(config, frames),
  };
  const uploaded = uploadBatch(host, config);
  const labelled = scope(() => askTeachers(uploaded, teachers, config));
  const keys = (number: Tensor) => nn.keySequence(seed, number);
  return {
    trainer,
    frames,
    uploaded,
    labelled,
    /** Teachers, student, loss, gradients, update: what `trainStep` does, but for its counts of labels. */
    whole: (batch: typeof uploaded, number: Tensor, rate: Tensor) =>
      learn(trainer, askTeachers(batch, teachers, config), config, keys(number), rate),
    /** The same from labels that are there already. */
    student: (batch: Batch, number: Tensor, rate: Tensor) => learn(trainer, batch, config, keys(number), rate),
    /** The loss without dropout. */
    loss: () => scope(() => objective(trainer.student, trainer.heads, labelled, config.loss).loss),
    dispose() {
      const { mixture, ...rest } = uploaded;
      const tensors = [...Object.values(rest), ...Object.values(mixture ?? {}), ...Object.values(labelled)];
      for (const tensor of new Set(tensors)) tensor.dispose();
      disposeTrainer(trainer);
      teachers.acoustic?.dispose();
      teachers.cqt.dispose();
    },
  };
}

export type StepModel = ReturnType<typeof createStepModel>;
