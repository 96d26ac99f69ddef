/** What learns in a run, and its checkpoints. */
import { createCqt } from '@dawnchorus/dsp';
import type { Device } from '@dawnchorus/tensor';
import { cqtSettingsAt, type PretrainConfig } from '../config/index.ts';
import type { RvqTeacher } from '../rvq/teacher.ts';
import { forgetBeginning } from './beginning.ts';
import { writeCheckpoint } from './checkpoints.ts';
import { createRunner, type Runner } from './runner.ts';
import { fillCheckpoint, loadCheckpoint, loadTrainerState, type TrainerState } from './state.ts';
import {
  averagedStudent,
  createTrainer,
  disposeTrainer,
  mendStatistics,
  type Trainer,
  trainingTensors,
} from './step.ts';
import type { Teachers } from './targets.ts';

/** A trainer, its teachers, and what does its steps. */
export interface Learner {
  trainer: Trainer;
  teachers: Teachers;
  runner: Runner;
  [Symbol.dispose](): void;
}

/** Makes a learner, with the run's own acoustic teacher, which goes with it, or one that was given; with labels it has neither. */
export function createLearner(
  device: Device,
  config: PretrainConfig,
  { own, given }: { own?: RvqTeacher; given?: Teachers['acoustic'] },
): Learner {
  const teachers = { acoustic: given ?? own, cqt: createCqt(device, cqtSettingsAt(config.audio.sampleRate)) };
  const trainer = createTrainer(config);
  const runner = createRunner(device, trainer, teachers, config);
  return {
    ...{ trainer, teachers, runner },
    [Symbol.dispose]() {
      runner.dispose();
      disposeTrainer(trainer);
      own?.dispose();
      teachers.cqt.dispose();
    },
  };
}

/** What learns, for people. */
export function describeLearner(
  { trainer: { student, heads }, runner }: Learner,
  { audio, training }: PretrainConfig,
): string {
  const { batchSize, accumulate, precision } = training;
  const millions = (count: number) => (count / 1e6).toFixed(2);
  return (
    `student: ${millions(student.parameterCount())} M parameters (${millions(heads.parameterCount())} M more in the heads), ` +
    `${batchSize * accumulate} clips of ${audio.cropSeconds} s a step${accumulate > 1 ? `, ${batchSize} at a time` : ''}` +
    `${precision === 'f16' ? ', in half precision' : ''}${runner.compiled ? ', compiled' : ''}`
  );
}

const partsOf = (trainer: Trainer) => ({ student: trainer.student.stateDict(), training: trainingTensors(trainer) });

/** Fills a trainer from a checkpoint's folder. */
export async function loadTrainer(
  trainer: Trainer,
  config: PretrainConfig,
  folder: string,
  log: (line: string) => void,
): Promise<void> {
  trainer.optimizer.setSteps((await loadTrainerState(folder)).optimizerSteps);
  await loadCheckpoint(folder, partsOf(trainer));
  if (await mendStatistics(trainer, config)) {
    log(
      `${folder}: its sums over the targets are not finite; they begin anew, and so do the guesses beside the losses`,
    );
  }
}

/** Writes a checkpoint of a trainer into a run's folder. @returns the checkpoint's. */
export async function saveTrainer(
  trainer: Trainer,
  out: string,
  { step, ...state }: Omit<TrainerState, 'optimizerSteps'>,
): Promise<string> {
  const averaged = averagedStudent(trainer);
  const optimizerSteps = await trainer.optimizer.steps.item();
  try {
    const written = await writeCheckpoint(out, step, state.config.checkpoint, (folder) =>
      fillCheckpoint(folder, { ...partsOf(trainer), averaged }, { step, optimizerSteps, ...state }),
    );
    await forgetBeginning(out);
    return written;
  } finally {
    for (const view of averaged?.values() ?? []) view.dispose();
  }
}
