/** Hidden states of recordings of any length, in windows and batches. */
import { getDefaultDevice } from '@dawnchorus/tensor';
import { type Recording, readSpans } from '../data/recording.ts';
import type { PretrainedModel } from '../model/pretrained.ts';
import { type HiddenStateChoice, layerIndices } from './layers.ts';
import type { Sink } from './sinks.ts';
import { framesOf, planWindows, type Window } from './windows.ts';

/** How recordings are heard. */
export interface EmbedSettings {
  /** Seconds of a window; a shorter recording is heard whole. Default 30. */
  window?: number;
  /** Seconds that two windows overlap; default 2. */
  overlap?: number;
  /**
   * Windows that are computed at once; default 1 on a software adapter, else 4. Shorter files are padded to the longest of
   * their batch, which changes nothing but rounding.
   */
  batch?: number;
  layers?: HiddenStateChoice;
  /** Told of what is decided for the user, e.g. shorter windows where the adapter cannot hold them. */
  log?(line: string): void;
}

/** Embeds recordings one after another; windows of several may be computed together. */
export interface Embedder {
  /** Numbers of the layers that sinks get; -1 for the mean of all. */
  readonly layers: readonly number[];
  readonly dim: number;
  /** Frames of so many samples. */
  frames(samples: number): number;
  /** Windows of so many samples. */
  windows(samples: number): Window[];
  /**
   * Hears a recording, and gives what it finds to the sink, which is finished then. It may still wait for other windows
   * when this returns: see `flush`.
   *
   * @throws what the recording throws, after the sink was aborted.
   */
  add(recording: Recording, sink: Sink): Promise<void>;
  /** Computes what waits. */
  flush(): Promise<void>;
}

interface Job {
  window: Window;
  samples: Float32Array;
  sink: Sink;
  last: boolean;
  /** Shared by the windows of a recording. */
  owner: { dropped: boolean };
}

/** Samples of a window that the adapter can hold: its widest tensor is what one of the convolutions makes. */
function longestWindow({ student: { config } }: PretrainedModel, batch: number): number {
  const { maxStorageBufferBindingSize } = getDefaultDevice().limits;
  let hop = 1;
  const limits = config.convDim.map((channels, i) => {
    hop *= config.convStride[i];
    return Math.floor(maxStorageBufferBindingSize / (4 * channels * batch)) * hop;
  });
  return Math.min(...limits);
}

/**
 * An embedder of a model.
 *
 * @throws RangeError for settings that make no sense; Error for layers that the model has not.
 */
export function createEmbedder(model: PretrainedModel, settings: EmbedSettings = {}): Embedder {
  const { window = 30, overlap = 2, layers: choice = 'all', log = () => {} } = settings;
  const { config } = model.student;
  const { frame, sampleRate } = model;
  const dim = config.hiddenSize;
  const indices = layerIndices(choice, config.numHiddenLayers + 1);
  const batch = settings.batch ?? (getDefaultDevice().adapter.software ? 1 : 4);
  if (!Number.isSafeInteger(batch) || batch < 1)
    throw new RangeError(`a batch of ${batch} windows; expected 1 or more`);
  let windowFrames = framesOf(Math.round(window * sampleRate), frame);
  const overlapFrames = Math.round((overlap * sampleRate) / frame.hop);
  if (!(overlap >= 0) || !(windowFrames > 2 * overlapFrames)) {
    throw new RangeError(
      `windows of ${window} s with overlaps of ${overlap} s; a window must be more than twice as long, and a frame at least`,
    );
  }
  const most = framesOf(longestWindow(model, batch), frame);
  if (most < windowFrames) {
    const seconds = Math.floor((most * frame.hop) / sampleRate);
    if (framesOf(seconds * sampleRate, frame) <= 2 * overlapFrames) {
      throw new RangeError(
        `this adapter holds windows of ${seconds} s at most in batches of ${batch}; lower the batch`,
      );
    }
    log(`windows of ${seconds} s in the place of ${window}: this adapter holds no longer ones in batches of ${batch}`);
    windowFrames = framesOf(seconds * sampleRate, frame);
  }

  let waiting: Job[] = [];
  let running: Promise<void> = Promise.resolve();

  async function compute(jobs: Job[]): Promise<void> {
    const states = model.embedBatch(jobs.map(({ samples }) => samples));
    const wanted = new Set(indices);
    const values = await Promise.all(
      states.map(async (state, i) => {
        const data = wanted.has(i) ? ((await state.data()) as Float32Array) : undefined;
        state.dispose();
        return data;
      }),
    );
    const size = (values[indices[0]] as Float32Array).length / jobs.length;
    for (const [b, { window: own, samples, sink, last, owner }] of jobs.entries()) {
      if (owner.dropped) continue;
      const real = framesOf(samples.length, frame) * dim;
      const layers = indices.map((i) => (values[i] as Float32Array).subarray(b * size, b * size + real));
      await sink.write(own, choice === 'mean' ? [meanOf(layers)] : layers);
      if (last) await sink.finish();
    }
  }

  /** One batch is computed at a time; the next is read meanwhile. */
  async function run(): Promise<void> {
    const jobs = waiting;
    waiting = [];
    await running;
    running = jobs.length > 0 ? compute(jobs) : Promise.resolve();
    // Whoever waits for it gets the error.
    running.catch(() => {});
  }

  return {
    layers: choice === 'mean' ? [-1] : indices,
    dim,
    frames: (samples) => framesOf(samples, frame),
    windows: (samples) => planWindows(samples, frame, windowFrames, overlapFrames),
    async add(recording, sink) {
      const owner = { dropped: false };
      try {
        if (framesOf(recording.samples, frame) === 0) {
          throw new RangeError(
            `embed: ${recording.samples} samples are less than the ${frame.reach} that one frame needs; use a longer clip`,
          );
        }
        const windows = planWindows(recording.samples, frame, windowFrames, overlapFrames);
        let next = 0;
        for await (const samples of readSpans(
          recording,
          windows.map(({ span }) => span),
        )) {
          const job = { window: windows[next], samples, sink, last: ++next === windows.length, owner };
          if (!fitTogether([...waiting.map((one) => one.samples.length), samples.length])) await run();
          waiting.push(job);
          if (waiting.length === batch) await run();
        }
      } catch (error) {
        owner.dropped = true;
        waiting = waiting.filter((job) => job.owner !== owner);
        await running.catch(() => {});
        await sink.abort();
        throw error;
      }
    },
    async flush() {
      await run();
      await running;
    },
  };
}

/** Whether clips of such lengths are computed together: else most of the shorter ones would be padding. */
const fitTogether = (lengths: readonly number[]): boolean => 2 * Math.min(...lengths) > Math.max(...lengths);

function meanOf(layers: readonly Float32Array[]): Float32Array {
  return Float32Array.from({ length: layers[0].length }, (_, i) => {
    let sum = 0;
    for (const layer of layers) sum += layer[i];
    return sum / layers.length;
  });
}
