import { encodeWav, memorySource, openPieces, type ResampleQuality } from '@dawnchorus/dsp';
import { checkOptions, type Device, getDefaultDevice, openDevice } from '@dawnchorus/tensor';
import { withSound } from '#files';
import type { ModelPlace } from '../huggingface/read.ts';
import { loadPretrained, type PretrainedModel } from '../model/pretrained.ts';
import { createEmbedder, type EmbedSettings } from './embedder.ts';
import { layerShape } from './layers.ts';
import { frameSink, memoryTarget, type Pool, poolSink } from './sinks.ts';

/** Sound: a file's path, in a browser its address; its bytes; or a mono signal with its rate. */
export type AudioInput = string | Uint8Array | { samples: Float32Array; sampleRate: number };

/** How a sound is heard and what of it is wanted. */
export interface EmbedOptions extends Omit<EmbedSettings, 'log'> {
  /** Over time; default none. */
  pool?: Pool;
  /** How sounds of other rates are brought to the model's; default `kaiser64`. `never` makes them an error. */
  resample?: ResampleQuality | 'never';
}

/** Hidden states as an array. */
export interface Embedding {
  data: Float32Array;
  /** `[layers, frames, dim]`; without frames where they are pooled, without layers for one of them or their mean. */
  shape: number[];
  /** Hz that the sound had. */
  sampleRate: number;
}

/** A model that is ready to hear. */
export interface Mert {
  readonly model: PretrainedModel;
  /** Hz of what it hears. */
  readonly sampleRate: number;
  /** Hidden layers, and the input of the first: what `layers` numbers. */
  readonly layers: number;
  readonly dim: number;
  /** Hidden states of a sound of any length: see `createEmbedder` for windows. */
  embed(sound: AudioInput, options?: EmbedOptions): Promise<Embedding>;
  /** Gives its memory back, and closes the device if loadMert opened it. */
  close(): void;
}

const pools: readonly Pool[] = ['none', 'mean', 'max'];
const resamplings: readonly (ResampleQuality | 'never')[] = ['kaiser64', 'hann6', 'never'];

/** Pieces of a signal at another rate, resampled as a file of it would be. */
async function piecesOf(sound: Exclude<AudioInput, string>, rate: number, resample: ResampleQuality | 'never') {
  const options = { sampleRate: rate, ...(resample !== 'never' && { quality: resample }) };
  if (sound instanceof Uint8Array) return openPieces(memorySource(sound), options);
  const { samples, sampleRate } = sound;
  if (!(samples instanceof Float32Array) || !Number.isSafeInteger(sampleRate) || sampleRate < 1) {
    throw new TypeError('a signal is { samples: Float32Array, sampleRate }, its rate in Hz; it is never guessed');
  }
  const bad = samples.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new RangeError(`sample ${bad} is ${samples[bad]}; every sample must be finite`);
  return openPieces(memorySource(encodeWav(samples, sampleRate, { format: 'float32' }), 'signal'), options);
}

/**
 * Loads a model to embed sounds with, and opens a device if none is open.
 *
 * @param place - path of a model folder (`OUT/checkpoint` of `mert pretrain`, or any of Hugging Face's MERT or HuBERT layout)
 *   or of a fairseq checkpoint; in a browser its address. Or the bytes of its files by name.
 * @throws Error that lists what of the checkpoint is missing, unknown or of another shape.
 */
export async function loadMert(place: ModelPlace): Promise<Mert> {
  let own: Device | undefined;
  try {
    getDefaultDevice();
  } catch {
    own = await openDevice();
  }
  const model = await loadPretrained(place).catch((error) => {
    own?.close();
    throw error;
  });
  const { numHiddenLayers, hiddenSize: dim } = model.student.config;
  let closed = false;
  return {
    model,
    sampleRate: model.sampleRate,
    layers: numHiddenLayers + 1,
    dim,
    async embed(sound, options = {}) {
      if (closed) throw new Error('embed: the model was closed');
      checkOptions('embed', options, ['layers', 'pool', 'window', 'overlap', 'batch', 'resample']);
      const { pool = 'none', resample = 'kaiser64', ...settings } = options;
      if (!pools.includes(pool))
        throw new TypeError(`embed: pool ${JSON.stringify(pool)}; expected ${pools.join(', ')}`);
      if (!resamplings.includes(resample))
        throw new TypeError(`embed: resample ${JSON.stringify(resample)}; expected ${resamplings.join(', ')}`);
      if (typeof sound !== 'string' && (typeof sound !== 'object' || sound === null))
        throw new TypeError(
          `embed: the sound is ${sound}; expected a path, the bytes of a file or { samples, sampleRate }`,
        );
      const hear = async (audio: Awaited<ReturnType<typeof openPieces>>): Promise<Embedding> => {
        const from = audio.file.sampleRate;
        if (resample === 'never' && from !== model.sampleRate) {
          throw new Error(`the sound has ${from} Hz, the model hears ${model.sampleRate}; resample it first`);
        }
        const embedder = createEmbedder(model, settings);
        const leading = layerShape(settings.layers ?? 'all', numHiddenLayers + 1);
        const frames = embedder.frames(audio.samples);
        const count = embedder.layers.length * (pool === 'none' ? frames : 1) * dim;
        const target = memoryTarget(count);
        const sink =
          pool === 'none'
            ? frameSink(target, frames, dim)
            : poolSink(pool, embedder.layers.length, dim, async (pooled) => {
                for (const [i, values] of pooled.entries()) target.data.set(values, i * dim);
              });
        await embedder.add(audio, sink);
        await embedder.flush();
        const shape = pool === 'none' ? [...leading, frames, dim] : [...leading, dim];
        return { data: target.data, shape, sampleRate: from };
      };
      if (typeof sound !== 'string') return hear(await piecesOf(sound, model.sampleRate, resample));
      const quality = resample === 'never' ? undefined : resample;
      return withSound(sound, async (bytes) =>
        hear(await openPieces(bytes, { sampleRate: model.sampleRate, ...(quality && { quality }) })),
      );
    },
    close() {
      closed = true;
      model.dispose();
      own?.close();
    },
  };
}
