import { existsSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, readSafetensorsHeader } from '@dawnchorus/formats';
import { scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { rowsOfLatents } from '../codec/codec.ts';
import { loadConfig } from '../config/index.ts';
import { ahead, type Recording, readSpans } from '../data/recording.ts';
import { loadParameters } from '../model/checkpoint.ts';
import { emptyTeacher, type RvqTeacher, SAMPLES_PER_CODE } from '../rvq/teacher.ts';
import { hashTeacher } from './hash.ts';
import { type CropTeacher, defineTeacher, frameCountOf } from './teacher.ts';

/** Of files that do not say what they were trained at. */
const USUAL_RATE = 24000;
/** Frames that are encoded at once: 13 s. */
const CHUNK = 1000;
/** Frames on both sides that a frame depends on: the convolutions reach 1.6 of them. */
const CONTEXT = 2;
/** The file of a run's RVQ-VAE. */
export const RVQ_WEIGHTS = 'rvq.safetensors';

/** The file of weights in a folder, or in that of a run; undefined where neither holds one. */
export const rvqWeightsIn = (folder: string): string | undefined =>
  [join(folder, RVQ_WEIGHTS), join(folder, 'teacher', RVQ_WEIGHTS)].find((path) => existsSync(path));

/** The file of weights: `path` itself, or in it, or in the folder of a run. */
async function weightsPath(path: string): Promise<string> {
  if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  const found = rvqWeightsIn(path);
  if (found) return found;
  throw new Error(
    `${path}: there is no ${RVQ_WEIGHTS} in it; an RVQ teacher is the folder teacher/ of a run of mert pretrain`,
  );
}

/** Mean and what brings a recording to unit variance, over its whole frames: what `RvqTeacher.encode` does with clips. */
async function standardisationOf(recording: Recording, samples: number): Promise<{ mean: number; scale: number }> {
  let [sum, squares, seen] = [0, 0, 0];
  for await (const piece of recording.pieces()) {
    for (const sample of piece.subarray(0, Math.max(0, samples - seen))) {
      sum += sample;
      squares += sample * sample;
    }
    seen += piece.length;
  }
  const mean = sum / samples;
  return { mean, scale: 1 / Math.sqrt(Math.max(0, squares / samples - mean * mean) + 1e-6) };
}

/**
 * The acoustic teacher that `mert pretrain` trains, as a labeller of whole recordings: each is brought to zero mean and
 * unit variance as a whole, in one pass, and encoded in pieces in a second. `sampleRate` is what it was trained at.
 */
export function labelsOfRvq(teacher: RvqTeacher, hash: string, sampleRate = USUAL_RATE): CropTeacher {
  const { codebooks } = teacher.quantizer;
  const grid = { hop: SAMPLES_PER_CODE, framePadding: 0 };
  return defineTeacher({
    name: 'rvq',
    hash,
    sampleRate,
    ...grid,
    codebooks: codebooks.map(({ embed }) => embed.shape[0]),
    adapter: codebooks[0].embed.device.adapter.name,
    async *stream(recording) {
      const frames = frameCountOf(grid, recording.samples);
      if (frames === 0) return;
      const { mean, scale } = await standardisationOf(recording, frames * SAMPLES_PER_CODE);
      const chunks = Array.from({ length: Math.ceil(frames / CHUNK) }, (_, i) => {
        const [first, end] = [i * CHUNK, Math.min(frames, (i + 1) * CHUNK)];
        // The recording's own ends are not moved: layers see zeros beyond them, which are not the codes of silence.
        return { first, end, low: Math.max(0, first - CONTEXT), high: Math.min(frames, end + CONTEXT) };
      });
      const spans = chunks.map(({ low, high }) => ({ first: low * SAMPLES_PER_CODE, end: high * SAMPLES_PER_CODE }));
      let i = 0;
      for await (const samples of ahead(readSpans(recording, spans))) {
        const { first, end, low } = chunks[i++];
        const waveform = samples.map((sample) => (sample - mean) * scale);
        const codes = scope(() => {
          const latents = teacher.autoencoder.encode(tensor(waveform, { shape: [1, waveform.length] }));
          return teacher.quantizer.encode(rowsOfLatents(latents)).codes;
        });
        const labels = new Int32Array((end - first) * codes.length);
        for (const [k, code] of codes.entries()) {
          const own = await code.data();
          code.dispose();
          for (let t = first; t < end; t++) labels[(t - first) * codes.length + k] = own[t - low];
        }
        yield labels;
      }
    },
    encode: (waveform) => teacher.encode(waveform),
    dispose: () => teacher.dispose(),
  });
}

/**
 * Loads the RVQ teacher of a run: `path` is its file rvq.safetensors, the folder that holds it, or the run's.
 *
 * @throws Error that says what is missing or of another shape.
 */
export async function loadRvqTeacher(path: string): Promise<CropTeacher> {
  const file = await weightsPath(path);
  const tensors = await readSafetensors(file);
  const shapeOf = (name: string): readonly number[] => {
    const found = tensors.get(name);
    if (!found) throw new Error(`${file}: holds no ${name}; it is no RVQ teacher of mert pretrain`);
    return found.shape;
  };
  const [codebookSize, dimension] = shapeOf('quantizer.layers.0.codebook.embed');
  const [channels] = shapeOf('down.0.weight');
  const numCodebooks = [...tensors.keys()].filter((name) =>
    /^quantizer\.layers\.\d+\.codebook\.embed$/.test(name),
  ).length;
  const teacher = emptyTeacher({ ...loadConfig().rvq, channels, dimension, codebookSize, numCodebooks }, 0);
  try {
    const named: ReadonlyMap<string, Tensor> = teacher.named();
    // What was read already.
    loadParameters(named, tensors, { path: file });
  } catch (error) {
    teacher.dispose();
    throw error;
  }
  const weights = [...tensors].map(([name, { shape, data }]) => [name, { shape, data }] as const);
  const { metadata } = await readSafetensorsHeader(file);
  const sampleRate = Number(metadata.sampleRate ?? USUAL_RATE);
  const settings = { name: 'rvq', version: 1, ...(sampleRate !== USUAL_RATE && { sampleRate }) };
  return labelsOfRvq(teacher, hashTeacher(settings, weights), sampleRate);
}
