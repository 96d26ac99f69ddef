/** What a student makes of a clip: masks, spectra and attention, to be looked at. */
import { type Cqt, createCqt } from '@dawnchorus/dsp';
import type { SafetensorsTensor } from '@dawnchorus/formats';
import { type Device, matmul, scope, type Tensor, tensor, transpose } from '@dawnchorus/tensor';
import { cqtSettingsAt, cropSamples, frameCount, type PretrainConfig } from '../config/index.ts';
import { dataFolders, openDataset } from '../data/dataset.ts';
import type { Heads } from '../model/heads.ts';
import { maskBatch } from '../model/masking.ts';
import { normaliseWaveform } from '../model/normalise.ts';
import { loadPretrained, type PretrainedModel } from '../model/pretrained.ts';
import type { Student } from '../model/student.ts';
import { drawHeatmap, type Heatmap } from '../pictures/heatmap.ts';
import { encodePng, renderScene } from '../pictures/png.ts';
import type { Scene } from '../pictures/scene.ts';
import { octaveMarks, toDecibels } from '../pictures/spectra.ts';
import { hostRandom, purpose } from '../random.ts';
import { cqtSettings } from '../training/step.ts';
import type { Run } from './run.ts';

/** A picture of a page. */
export interface Picture {
  title: string;
  scene: Scene;
}

const heatmap = (own: Partial<Heatmap> & Pick<Heatmap, 'values' | 'rows' | 'columns' | 'title'>): Scene =>
  drawHeatmap({ range: [0, 1], unit: '', marks: [], start: 0, step: 1 / 75, ...own });

/** A scene as PNG. */
export function pngOf(scene: Scene): { width: number; height: number; png: Uint8Array } {
  const pixels = renderScene(scene);
  return { width: pixels.width, height: pixels.height, png: encodePng(pixels) };
}

/** Weights of attention of a layer's heads, [heads, frames, frames]: the fused kernel keeps none. */
function attentionOf({ student }: PretrainedModel, layer: number, input: Tensor): Tensor {
  const own = student.encoder.layers[layer];
  const x = student.config.doStableLayerNorm ? own.layerNorm.forward(input) : input;
  const { heads, qProj, kProj } = own.attention;
  const [, frames, features] = x.shape;
  const size = features / heads;
  const split = (y: Tensor) => y.reshape([frames, heads, size]).permute([1, 0, 2]);
  const scores = matmul(split(qProj.forward(x)), transpose(split(kProj.forward(x)))).mul(1 / Math.sqrt(size));
  return scores.softmax({ dim: -1 });
}

/** Heads of a layer beside one another, [frames, heads * frames] from below. */
function beside(weights: Float32Array, heads: number, frames: number): Float32Array {
  const all = new Float32Array(weights.length);
  for (let head = 0; head < heads; head++) {
    for (let query = 0; query < frames; query++) {
      const row = weights.subarray((head * frames + query) * frames, (head * frames + query + 1) * frames);
      all.set(row, ((frames - 1 - query) * heads + head) * frames);
    }
  }
  return all;
}

const asTensor = ({ data, shape }: SafetensorsTensor): Tensor => tensor(data as Float32Array, { shape: [...shape] });

interface Seen {
  config: PretrainConfig;
  clip: Float32Array;
  where: string;
}

/** A clip that the run did not learn from, where it held some out. */
async function pickClip(run: Run, data: string | undefined): Promise<Seen> {
  if (!run.checkpoint) throw new Error('the run has no checkpoint yet');
  const { config, data: own } = run.checkpoint.state;
  const { train, valid } = dataFolders(data ?? own);
  const { sampleRate } = config.audio;
  const dataset = await openDataset({
    folder: valid ?? train,
    sampleRate,
    cropSamples: cropSamples(config.audio),
    seed: config.training.seed,
  });
  try {
    for (let i = 0; ; i++) {
      const { samples, path, start } = await dataset.readPlaced(i);
      // Silence has nothing to show.
      if (i < 20 && samples.every((value) => Math.abs(value) < 1e-3)) continue;
      const from = valid ? 'held out' : 'of the music that it learns from';
      return {
        config,
        clip: samples,
        where: `${path.split('/').at(-1)} at ${(start / sampleRate).toFixed(1)} s, ${from}`,
      };
    }
  } finally {
    await dataset.close();
  }
}

/** What is known of a clip of which the student hears some frames only. */
interface Clip {
  samples: Float32Array;
  /** 1 where a frame is masked. */
  mask: Uint8Array;
}

/** A student, and its head for the spectrum where there is one. */
interface Listener {
  student: Student;
  head?: (frames: Tensor) => Tensor;
}

/** What a student makes of a clip: its layers, and the target and the predicted spectrum, [bins, frames] and some more. */
function hear({ student, head }: Listener, { samples, mask }: Clip, config: PretrainConfig, cqt: Cqt) {
  const heard = tensor(normaliseWaveform(samples), { shape: [1, samples.length] });
  const masked = tensor(Uint32Array.from(mask), { shape: [1, mask.length], dtype: 'bool' });
  const { hiddenStates } = student.forward(heard, { mask: masked });
  const last = hiddenStates[hiddenStates.length - 1].reshape([mask.length, -1]);
  const target = cqt.transform(config.targets.cqtNormalize ? heard : tensor(samples, { shape: [1, samples.length] }));
  return { hiddenStates, target, ...(head && { predicted: transpose(head(last)) }) };
}

/** Reads a tensor and gives it back. */
async function take(x: Tensor): Promise<Float32Array> {
  const data = (await x.data()) as Float32Array;
  x.dispose();
  return data;
}

/** Spectra in decibels below the loudest of the target, [bins, frames], with what a picture of them says. */
async function decibelsOf(target: Tensor, predicted: Tensor | undefined, frames: number, config: PretrainConfig) {
  const all = await take(target);
  const spectra = all.length / cqtSettings.bins;
  // There is a spectrum more than frames, or two.
  const wanted = Float32Array.from(
    { length: cqtSettings.bins * frames },
    (_, i) => all[Math.floor(i / frames) * spectra + (i % frames)],
  );
  const largest = wanted.reduce((most, value) => Math.max(most, value), 1e-9);
  const decibels = (values: Float32Array) =>
    toDecibels(Float32Array.from([...values.map((value) => Math.max(0, value)), largest])).subarray(0, values.length);
  return {
    target: decibels(wanted),
    ...(predicted && { predicted: decibels(await take(predicted)) }),
    common: {
      ...{ rows: cqtSettings.bins, columns: frames, step: cqtSettings.hopLength / config.audio.sampleRate },
      marks: octaveMarks(cqtSettings.bins, cqtSettings.binsPerOctave),
      ...{ range: [-60, 0] as [number, number], unit: 'dB' },
    },
  };
}

/** The mask that a clip is looked at with: always the same. */
function maskOf(samples: Float32Array, config: PretrainConfig): Uint8Array {
  const frames = frameCount(samples.length, config.model);
  return maskBatch(hostRandom(config.training.seed, purpose.mask, 0), 1, frames, config.masking)[0];
}

/**
 * The constant-Q spectrum of a clip, and what a student that is being trained says of it where it hears only the frames that
 * are not masked.
 */
export async function seePrediction(
  { student, heads }: { student: Student; heads: Heads },
  cqt: Cqt,
  samples: Float32Array,
  config: PretrainConfig,
): Promise<{ target: Scene; predicted: Scene }> {
  const mask = maskOf(samples, config);
  const listener = { student, head: (frames: Tensor) => heads.encoderCqtModel.fc.forward(frames) };
  const { target, predicted } = scope(() => {
    const heard = hear(listener, { samples, mask }, config, cqt);
    return { target: heard.target, predicted: heard.predicted };
  });
  const seen = await decibelsOf(target, predicted, mask.length, config);
  return {
    target: heatmap({ ...seen.common, title: 'constant-Q of a held-out clip', values: seen.target }),
    predicted: heatmap({
      ...{ ...seen.common, title: 'predicted constant-Q' },
      values: seen.predicted as Float32Array,
    }),
  };
}

/** Layers whose attention is shown: the first, the middle and the last. */
const shownLayers = (count: number) => [...new Set([0, Math.floor((count - 1) / 2), count - 1])];
const SHOWN_HEADS = 4;

/**
 * Pictures of what the student of a run's checkpoint makes of a clip: the target and the predicted constant-Q spectrum, the
 * mask over what is heard, and attention.
 *
 * @param data - the music, where it is no longer where it was.
 * @throws Error when there is no checkpoint, or the music cannot be read.
 */
export async function seeClip(device: Device, run: Run, data?: string): Promise<Picture[]> {
  const { config, clip, where } = await pickClip(run, data);
  const model = await loadPretrained((run.checkpoint as { folder: string }).folder);
  const mask = maskOf(clip, config);
  const frames = mask.length;
  const cqt = createCqt(device, cqtSettingsAt(config.audio.sampleRate));
  const [weight, bias] = ['weight', 'bias'].map((part) => model.heads.get(`encoder_cqt_model.fc.${part}`));
  const head = weight && bias && ((last: Tensor) => matmul(last, transpose(asTensor(weight))).add(asTensor(bias)));
  const layers = shownLayers(config.model.numHiddenLayers);
  const result = scope(() => {
    const heard = hear({ student: model.student, head }, { samples: clip, mask }, config, cqt);
    return {
      ...{ target: heard.target, predicted: heard.predicted },
      attention: layers.map((layer) => attentionOf(model, layer, heard.hiddenStates[layer])),
    };
  });
  const { target, predicted, common } = await decibelsOf(result.target, result.predicted, frames, config);
  const pictures: Picture[] = [
    {
      title: 'Target: what the musical teacher hears in the whole clip',
      scene: heatmap({ ...common, title: `constant-Q of ${where}`, values: target }),
    },
  ];
  if (predicted) {
    pictures.push({
      title: 'Prediction: what the student says where it heard only the frames that are not masked',
      scene: heatmap({ ...common, title: 'predicted constant-Q', values: predicted }),
    });
  }
  const shown = target.map((value, i) => (mask[i % frames] ? -60 : value));
  const share = mask.reduce((sum, one) => sum + one, 0) / frames;
  pictures.push({
    title: `Mask: ${(100 * share).toFixed(0)} % of the frames are replaced by the learnt mask (dark columns)`,
    scene: heatmap({ ...common, title: `spans of ${config.masking.length} frames`, values: shown }),
  });
  for (const [i, layer] of layers.entries()) {
    const weights = await take(result.attention[i]);
    const heads = Math.min(SHOWN_HEADS, weights.length / frames ** 2);
    const values = beside(weights.subarray(0, heads * frames ** 2), heads, frames);
    const strong = [...values].sort((a, b) => a - b)[Math.floor(0.995 * values.length)] || 1;
    pictures.push({
      title: `Attention of layer ${layer + 1}, heads 1 to ${heads}`,
      scene: heatmap({
        ...{ rows: frames, columns: heads * frames, values, step: common.step },
        title: 'each row, from above, is a frame that asks; columns are the frames it attends to, head after head',
        range: [0, strong],
      }),
    });
  }
  cqt.dispose();
  model.dispose();
  return pictures;
}
