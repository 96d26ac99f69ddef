import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '@dawnchorus/tensor';
import { loadConfig, presets } from '../config/index.ts';
import { pretrain } from '../training/pretrain.ts';
import { checkpointFolder, loadTrainerState } from '../training/state.ts';

const bundledMusic = fileURLToPath(new URL('../../../../data/music', import.meta.url));

interface Options {
  data?: string;
  labels?: string;
  out?: string;
  steps?: number;
  config?: string;
  set: string[];
  seed?: number;
  resume?: boolean;
}

function freeRunFolder(): string {
  for (let i = 1; ; i++) {
    const folder = join('runs', `pretrain-${i}`);
    if (!existsSync(folder)) return folder;
  }
}

/** The configuration: a file or preset, then --set, then --seed. */
function configOf({ config = 'small', set, seed }: Options) {
  // A bare word that is no file was meant as a preset, and gets the list of those.
  const named = presets().includes(config) || (/^[\w-]+$/.test(config) && !existsSync(config));
  const source = named ? { preset: config } : { file: config };
  return loadConfig({ ...source, set: seed === undefined ? set : [...set, `training.seed=${seed}`] });
}

/** Runs or resumes a pretraining and prints its report. Ctrl-C saves a checkpoint; a second one ends at once. */
export async function pretrainCommand(options: Options): Promise<void> {
  if (options.resume && !options.out) throw new Error('--resume needs --out, the folder of the run to go on with');
  const out = options.out ?? freeRunFolder();
  let config = configOf(options);
  let { steps, data, labels } = options;
  const stored = options.resume ? checkpointFolder(out) : undefined;
  if (stored) {
    const state = await loadTrainerState(stored);
    // What is not said again stays as it was.
    if (!options.config && options.set.length === 0 && options.seed === undefined) config = state.config;
    data ??= state.data;
    labels ??= state.labels?.folder;
    steps ??= state.stopAt;
  }
  const device = await openDevice();
  let interrupted = false;
  const interrupt = () => {
    if (interrupted) process.exit(130);
    interrupted = true;
    console.error('\nstopping after this step (Ctrl-C again to end at once)');
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    const result = await pretrain({
      device,
      config,
      data: data ?? bundledMusic,
      labels,
      out,
      resume: options.resume,
      steps,
      stopped: () => interrupted,
    });
    if (result.report) {
      console.log(`\n${result.report}`);
      console.log(`Curves: ${join(out, 'curves.svg')}`);
    }
    if (!result.finished) process.exitCode = 130;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
    device.close();
  }
}
