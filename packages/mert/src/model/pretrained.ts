import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { nn } from '@dawnchorus/autograd';
import { loadTorchStateDict, readSafetensors } from '@dawnchorus/formats';
import { scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { fromHuggingFace } from '../config/index.ts';
import { normaliseWaveform } from '../data/batch.ts';
import { loadParameters } from './checkpoint.ts';
import { Student } from './student.ts';

/** A student read from a folder, ready to embed clips. */
export interface PretrainedModel {
  student: Student;
  /** Hz */
  sampleRate: number;
  /** Whether clips are brought to zero mean and unit variance first. */
  doNormalize: boolean;
  /**
   * Hidden states of a mono clip at the model's rate: layers + 1 of f32 [frames, hiddenSize], as Hugging Face's
   * `output_hidden_states`. The caller disposes them.
   *
   * @throws RangeError when the clip is shorter than one frame's reach.
   */
  embed(samples: Float32Array): Tensor[];
}

async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new Error(
      `${path}: cannot be read; a model folder holds config.json, preprocessor_config.json and the weights`,
      { cause },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Weights under the names that Hugging Face gives their files, the better first. */
async function readWeights(folder: string) {
  const [safetensors, pickled] = ['model.safetensors', 'pytorch_model.bin'].map((name) => join(folder, name));
  if (existsSync(safetensors)) return { path: safetensors, weights: await readSafetensors(safetensors) };
  if (existsSync(pickled)) return { path: pickled, weights: await loadTorchStateDict(pickled) };
  throw new Error(`${safetensors}: missing, and there is no pytorch_model.bin either`);
}

/** Loads a model folder in Hugging Face's MERT layout, with model.safetensors or pytorch_model.bin. */
export async function loadPretrained(folder: string): Promise<PretrainedModel> {
  const preprocessorPath = join(folder, 'preprocessor_config.json');
  const config = fromHuggingFace(await readJson(join(folder, 'config.json')), await readJson(preprocessorPath));
  const { path, weights } = await readWeights(folder);
  const student = new Student(config, nn.keySequence(0));
  const state = student.stateDict();
  const optional = ['masked_spec_embed'];
  loadParameters(state, weights, { path, optional });
  const reach = config.convKernel.reduceRight((length, kernel, i) => (length - 1) * config.convStride[i] + kernel, 1);
  return {
    student,
    sampleRate: config.sampleRate,
    doNormalize: config.doNormalize,
    embed(samples) {
      if (samples.length < reach) {
        throw new RangeError(
          `embed: ${samples.length} samples are less than the ${reach} that one frame needs; use a longer clip`,
        );
      }
      const heard = config.doNormalize ? normaliseWaveform(samples) : samples;
      return scope(() => {
        const { hiddenStates } = student.forward(tensor(heard, { shape: [1, heard.length] }));
        return hiddenStates.map((state) => state.reshape(state.shape.slice(1)));
      });
    },
  };
}
