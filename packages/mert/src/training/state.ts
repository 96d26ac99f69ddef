import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, writeJson, writeSafetensors } from '@dawnchorus/formats';
import type { Tensor } from '@dawnchorus/tensor';
import { configSchema, type PretrainConfig, renamePretraining, toHuggingFace } from '../config/index.ts';
import { loadParameters, namedForHuggingFace } from '../model/checkpoint.ts';

/** What a resumed run must know besides its tensors. */
export interface TrainerState {
  /** Steps done. */
  step: number;
  /** The optimiser's own count. */
  optimizerSteps: number;
  config: PretrainConfig;
  /** The step at which the run was to end. */
  stopAt: number;
  /** Folder of the training files, by name, so that a resumed run draws the same ones. */
  data: string;
  files: string[];
  /** Samples of each, and samples a second, so that one in another's place is noticed; not in older checkpoints. */
  samples?: number[];
  sampleRates?: number[];
  /** `training.steps` as the run was given it, before a later end raised it; not in older checkpoints. */
  givenSteps?: number;
  /** The labels that the run learns from, where it has no teacher of its own: their folder, and their teacher's hash. */
  labels?: { folder: string; teacher: string };
  /** The teacher that labels crops as they come, where it was made before the run: its path, and its hash. */
  teacher?: { path: string; hash: string };
  /** The loss on the held-out music that was measured last, and at which step. */
  heldOutLoss?: number;
  heldOutStep?: number;
  /** Whether its last steps were bad: a run that goes back for having diverged does not go back to it. */
  suspicious?: boolean;
}

export interface CheckpointParts {
  /** The student, written under Hugging Face's names as `model.safetensors`. */
  student: ReadonlyMap<string, Tensor>;
  /** Everything else that training needs: heads, moments, label counts. */
  training: ReadonlyMap<string, Tensor>;
  /** The student's averaged weights, where there are any: a model folder of their own, `ema`. */
  averaged?: ReadonlyMap<string, Tensor>;
}

/** Saves tensors, f32 or i32, under Hugging Face's spelling of their names. */
export async function saveTensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  await writeSafetensors(
    path,
    [...namedForHuggingFace(tensors)].map(([name, tensor]) => [
      name,
      tensor.dtype === 'i32'
        ? { dtype: 'I32' as const, shape: [...tensor.shape], data: async () => (await tensor.data()) as Int32Array }
        : { dtype: 'F32' as const, shape: [...tensor.shape], data: async () => (await tensor.data()) as Float32Array },
    ]),
    { format: 'pt', ...metadata },
  );
}

/** Fills tensors from a file that saveTensors wrote. */
export async function loadTensors(
  path: string,
  tensors: ReadonlyMap<string, Tensor>,
  optional: readonly string[] = [],
): Promise<void> {
  loadParameters(tensors, await readSafetensors(path), { path, optional });
}

/**
 * Fills a checkpoint's folder: a Hugging Face model folder (config.json, preprocessor_config.json, model.safetensors) with
 * what training needs beside it (training.safetensors, trainer.json), and the averaged weights as a model folder inside.
 */
export async function fillCheckpoint(folder: string, parts: CheckpointParts, state: TrainerState): Promise<void> {
  const { config, preprocessor } = toHuggingFace(state.config);
  const writeModel = async (place: string, student: ReadonlyMap<string, Tensor>) => {
    await mkdir(place, { recursive: true });
    await saveTensors(join(place, 'model.safetensors'), student);
    await writeJson(join(place, 'config.json'), config);
    await writeJson(join(place, 'preprocessor_config.json'), preprocessor);
  };
  await writeModel(folder, parts.student);
  if (parts.averaged) await writeModel(join(folder, 'ema'), parts.averaged);
  await saveTensors(join(folder, 'training.safetensors'), parts.training);
  await writeJson(join(folder, 'trainer.json'), state);
}

/** Values that were built in before they became settings, where a run's configuration lacks them. */
const builtIn: Record<string, Record<string, unknown>> = {
  targets: { specialClasses: 0 },
  checkpoint: { keepLast: 1 },
  divergence: { rollback: false },
};

/** A run's configuration under the names and with the settings of today. */
function configOf(stored: unknown): PretrainConfig {
  const renamed = renamePretraining(stored) as Record<string, Record<string, unknown>>;
  const old = !('monitor' in renamed);
  const filled = { ...renamed };
  if (old) for (const [name, fields] of Object.entries(builtIn)) filled[name] = { ...fields, ...renamed[name] };
  return configSchema.parse(filled);
}

export async function loadTrainerState(folder: string): Promise<TrainerState> {
  const path = join(folder, 'trainer.json');
  try {
    const state = JSON.parse(await readFile(path, 'utf8')) as TrainerState;
    // Settings that there were none of yet have the values that were built in then: their defaults.
    return { ...state, config: configOf(state.config) };
  } catch (cause) {
    throw new Error(`${path}: cannot be read as the state of a run; resume needs the folder that pretrain wrote`, {
      cause,
    });
  }
}

/** Fills a trainer's tensors from a checkpoint's folder. @throws Error that lists what does not fit, before anything changes. */
export async function loadCheckpoint(folder: string, parts: CheckpointParts): Promise<void> {
  await loadTensors(join(folder, 'model.safetensors'), parts.student);
  // Checkpoints from before half precision say the steps in trainer.json alone.
  await loadTensors(join(folder, 'training.safetensors'), parts.training, ['optimizer.state']);
}
