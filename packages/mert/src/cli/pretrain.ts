import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { openDevice } from '@dawnchorus/tensor';
import { loadConfig, presets } from '../config/index.ts';
import { loadBeginning } from '../training/beginning.ts';
import { checkpointToResume } from '../training/checkpoints.ts';
import { pretrain } from '../training/pretrain.ts';
import { loadTrainerState } from '../training/state.ts';
import { bundledMusic, configSource } from './arguments.ts';
import { untilInterrupted } from './interrupt.ts';

interface Options {
  data?: string;
  labels?: string;
  teacher?: string;
  out?: string;
  steps?: number;
  config?: string;
  set: string[];
  seed?: number;
  workers?: number;
  resume?: boolean;
}

/** A software adapter needs the cores itself, and is never ahead of one thread that decodes. */
const defaultWorkers = (software: boolean) => (software ? 0 : Math.max(1, Math.min(8, availableParallelism() - 1)));

function freeRunFolder(): string {
  for (let i = 1; ; i++) {
    const folder = join('runs', `pretrain-${i}`);
    if (!existsSync(folder)) return folder;
  }
}

/** Runs or resumes a pretraining and prints its report. Ctrl-C saves a checkpoint; a second one ends at once. */
export async function pretrainCommand(options: Options): Promise<void> {
  if (options.resume && !options.out) throw new Error('--resume needs --out, the folder of the run to go on with');
  const out = options.out ?? freeRunFolder();
  let { steps, data, labels, teacher } = options;
  const stored = options.resume ? await checkpointToResume(out) : undefined;
  const state = stored ? await loadTrainerState(stored) : options.resume ? await loadBeginning(out) : undefined;
  const source = configSource(options, presets());
  const config = loadConfig(state && !options.config ? { base: state.config, set: source.set } : source);
  if (state) {
    // What is not said again stays as it was.
    data ??= state.data;
    // Whoever says one of these does not want the other; a run that had the other says so.
    if (teacher === undefined) labels ??= state.labels?.folder;
    if (labels === undefined) teacher ??= state.teacher?.path;
    const given = state.givenSteps ?? state.config.training.steps;
    const saysSteps = options.set.some((setting) => /^\s*training\.steps\s*=/.test(setting));
    if (!saysSteps && (!options.config || config.training.steps === given)) {
      config.training.steps = state.config.training.steps;
      steps ??= state.stopAt;
    }
  }
  // Never other music than the run had.
  if (options.resume && !state && data === undefined && existsSync(out)) {
    throw new Error(
      `${out}: has no checkpoint, and does not say what it was started on; give --data, --config, --set, --labels and --teacher again`,
    );
  }
  data ??= bundledMusic();
  const device = await openDevice();
  const interrupt = untilInterrupted('this step');
  try {
    const result = await pretrain({
      device,
      config,
      data,
      labels,
      teacher,
      out,
      resume: options.resume,
      steps,
      workers: options.workers ?? defaultWorkers(device.adapter.software),
      stopped: interrupt.stopped,
    });
    if (result.report) {
      console.log(`\n${result.report}`);
      console.log(`Curves: ${join(out, 'curves.svg')}`);
    }
    if (!result.finished) process.exitCode = 130;
  } finally {
    interrupt.dispose();
    device.close();
  }
}
