/** The state of a codec's training run: what its checkpoints hold, and how it goes on. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeJson } from '@dawnchorus/formats';
import { forgetBeginning } from '../training/beginning.ts';
import { writeCheckpoint } from '../training/checkpoints.ts';
import { loadTensors, saveTensors } from '../training/state.ts';
import { readCodecInto, saveCodec } from './load.ts';
import { type CodecTrainConfig, codecTrainSchema } from './train-config.ts';
import { type CodecTrainer, codecTrainingTensors } from './trainer.ts';

/** What a codec's resumed run must know besides its tensors. */
export interface RunState {
  step: number;
  stopAt: number;
  started: boolean;
  /** The optimisers' own counts. */
  optimizerSteps: number;
  discriminatorSteps: number;
  config: CodecTrainConfig;
  data: string;
  files: string[];
}

/** What a run was started with. */
export type CodecBeginning = Pick<RunState, 'config' | 'data' | 'stopAt'>;

/** The latest checkpoint alone stays. */
const KEEP = { keepLast: 1, keepEvery: 0, keepBest: false };

/** The state of the run in a checkpoint's folder. */
export async function readCodecRun(folder: string): Promise<RunState> {
  const path = join(folder, 'trainer.json');
  try {
    const state = JSON.parse(await readFile(path, 'utf8')) as RunState;
    if (state.config?.quantizer === undefined) throw new Error('it is that of another kind of run');
    // Settings that there were none of yet have their defaults.
    return { ...state, config: codecTrainSchema.parse(state.config) };
  } catch (cause) {
    throw new Error(`${path}: cannot be read as the state of a run; resume needs the folder that codec train wrote`, {
      cause,
    });
  }
}

/** Writes a checkpoint of a run into its folder. @returns the checkpoint's. */
export async function saveRun(
  out: string,
  trainer: CodecTrainer,
  state: Omit<RunState, 'started' | 'optimizerSteps' | 'discriminatorSteps'>,
): Promise<string> {
  const written = await writeCheckpoint(out, state.step, KEEP, async (folder) => {
    await saveCodec(folder, trainer.codec);
    await saveTensors(join(folder, 'training.safetensors'), codecTrainingTensors(trainer));
    const full: RunState = {
      ...state,
      started: trainer.started,
      optimizerSteps: (await trainer.optimizer.steps.item()) as number,
      discriminatorSteps: ((await trainer.discriminatorOptimizer?.steps.item()) ?? 0) as number,
    };
    await writeJson(join(folder, 'trainer.json'), full);
  });
  await forgetBeginning(out);
  return written;
}

/** Fills a trainer from a checkpoint. */
export async function restoreRun(trainer: CodecTrainer, folder: string, state: RunState): Promise<void> {
  await readCodecInto(trainer.codec, folder);
  await loadTensors(join(folder, 'training.safetensors'), codecTrainingTensors(trainer));
  trainer.started = state.started;
  trainer.optimizer.setSteps(state.optimizerSteps);
  trainer.discriminatorOptimizer?.setSteps(state.discriminatorSteps);
}
