import { nn } from '@dawnchorus/autograd';
import type { SafetensorsTensor } from '@dawnchorus/formats';
import { scope, type Tensor } from '@dawnchorus/tensor';
import { fromHuggingFace, type ModelConfig } from '../config/index.ts';
import { stackClips } from '../data/batch.ts';
import { type ModelFiles, type ModelPlace, readModelFiles } from '../huggingface/read.ts';
import { loadParameters } from './checkpoint.ts';
import { normaliseWaveform } from './normalise.ts';
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
  /**
   * The same of several clips: layers + 1 of f32 [clips, frames, hiddenSize]. Where they differ in length, frames behind a
   * clip's end are padding, and those before it are what the clip gives alone.
   */
  embedBatch(clips: readonly Float32Array[]): Tensor[];
  /** Samples that one frame hears, and samples from one frame to the next: frame i begins at sample i * hop. */
  frame: { readonly reach: number; readonly hop: number };
  /** The heads of pretraining by name, where the checkpoint has them. */
  heads: ReadonlyMap<string, SafetensorsTensor>;
  /** Gives its tensors back. */
  dispose(): void;
}

/**
 * Loads a model: a folder in Hugging Face's MERT or HuBERT layout, with model.safetensors or pytorch_model.bin, a fairseq
 * checkpoint, or the bytes of such files (see `readModelFiles`).
 *
 * @throws Error that lists every tensor that is missing, unknown or of another shape.
 */
export async function loadPretrained(model: ModelPlace): Promise<PretrainedModel> {
  return placeModel(await readModelFiles(model));
}

/** The same of files that were read. */
function placeModel(files: ModelFiles): PretrainedModel {
  const config = fromHuggingFace(files.config, files.preprocessor);
  const student = new Student(config, nn.keySequence(0), { sampleRate: config.sampleRate });
  try {
    loadParameters(student.stateDict(), files.weights, {
      path: files.path,
      optional: ['masked_spec_embed'],
      only: true,
    });
  } catch (error) {
    student.dispose();
    throw error;
  }
  const frame = frameOf(config);
  const forward = (clips: readonly Float32Array[]): Tensor[] => {
    const short = clips.find(({ length }) => length < frame.reach);
    if (short) {
      throw new RangeError(
        `embed: ${short.length} samples are less than the ${frame.reach} that one frame needs; use a longer clip`,
      );
    }
    const heard = config.doNormalize ? clips.map(normaliseWaveform) : clips;
    const lengths = clips.map(({ length }) => length);
    const longest = Math.max(...lengths);
    if (lengths.every((length) => length === longest)) {
      return scope(() => student.forward(stackClips(heard)).hiddenStates);
    }
    const padded = heard.map((clip) => {
      const whole = new Float32Array(longest);
      whole.set(clip);
      return whole;
    });
    return scope(() => student.forward(stackClips(padded), { lengths }).hiddenStates);
  };
  return {
    student,
    sampleRate: config.sampleRate,
    doNormalize: config.doNormalize,
    frame,
    heads: files.heads,
    embedBatch: forward,
    embed: (samples) => scope(() => forward([samples]).map((state) => state.reshape(state.shape.slice(1)))),
    dispose: () => student.dispose(),
  };
}

/** Samples that one frame hears, and samples from one to the next. */
function frameOf({ convKernel, convStride }: ModelConfig): PretrainedModel['frame'] {
  return {
    reach: convKernel.reduceRight((length, kernel, i) => (length - 1) * convStride[i] + kernel, 1),
    hop: convStride.reduce((product, stride) => product * stride, 1),
  };
}
