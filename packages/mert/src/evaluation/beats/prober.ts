/** Probes of beats: frames, in crops of clips, and a decoder behind the head. */
import { getDefaultDevice } from '@dawnchorus/tensor';
import { hostRandom } from '../../random.ts';
import type { Clip, TaskData } from '../data.ts';
import { HOP, SAMPLE_RATE } from '../features/source.ts';
import type { FeatureTable } from '../features/table.ts';
import { beat } from '../metrics/index.ts';
import type { Weights } from '../probe/head.ts';
import type { Prober } from '../probe/prober.ts';
import { probedClips, type Scaling, scale, scalingOf } from '../probe/rows.ts';
import type { Scores } from '../probe/scores.ts';
import type { ProbeSettings } from '../probe/settings.ts';
import { createMachines, learn } from '../probe/train.ts';
import { decodeBeats, decodeDownbeats } from './decode.ts';

const FRAMES_PER_SECOND = SAMPLE_RATE / HOP;
/** Crops in a step: with the paper's 64 a step would hold 48,000 rows. */
const CROPS = 8;
/** Which draws of `hostRandom` place the crops. */
const CROP = 103;
/** What is said of the frames before and after a beat while learning, the nearest first (MARBLE). */
const smear = [0.95, 0.5];
/** Clips whose frames scale the features. */
const SCALING_CLIPS = 100;
/** Beats a second of the metronome that stands for chance. */
const METRONOME = 2;

/** Targets of every frame, [frames, 2]: beats and downbeats. */
export function beatTargets({ beats = [], downbeats = [] }: Clip, frames: number): Float32Array {
  const targets = new Float32Array(frames * 2);
  for (const [column, times] of [beats, downbeats].entries()) {
    const put = (frame: number, value: number) => {
      const at = frame * 2 + column;
      if (frame >= 0 && frame < frames) targets[at] = Math.max(targets[at], value);
    };
    for (const time of times) {
      const frame = Math.round(FRAMES_PER_SECOND * time);
      put(frame, 1);
      for (const [i, value] of smear.entries()) {
        put(frame - 1 - i, value);
        put(frame + 1 + i, value);
      }
    }
  }
  return targets;
}

const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));
const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Scores of clips from what was found in each. */
export function scoreClips(
  found: readonly { clip: Clip; beats: readonly number[]; downbeats: readonly number[] }[],
): Scores {
  const own = found.map(({ clip, beats }) => beat(clip.beats ?? [], beats));
  const bars = found.filter(({ clip }) => (clip.downbeats ?? []).length > 0);
  return {
    metrics: {
      f70ms: mean(own.map(({ f70ms }) => f70ms)),
      f70ms_trimmed: mean(own.map(({ f70ms_trimmed }) => f70ms_trimmed)),
      ...(bars.length > 0 && {
        f70ms_downbeats: mean(bars.map(({ clip, downbeats }) => beat(clip.downbeats ?? [], downbeats).f70ms)),
      }),
    },
    perClass: [],
  };
}

/** Opens a task of beats. */
export function beatProber(data: TaskData, table: FeatureTable, settings: ProbeSettings, standardise: boolean): Prober {
  const { task } = data;
  const { usable, clips, counts } = probedClips(data, table, settings);
  const framesOf = (clip: Clip): number => table.clips.get(clip.id)?.rows[0] ?? 0;
  const { hidden, cropSeconds, validClips } = settings.beats;
  const crop = Math.min(Math.round(cropSeconds * FRAMES_PER_SECOND), ...clips.train.map(framesOf));
  const shape = { dimension: table.dimension, hidden, outputs: 2, dropout: settings.dropout };
  const machines = createMachines(shape, task.kind);

  return {
    counts,
    async open(layers) {
      const width = layers.length * table.dimension;
      const machine = machines.of(layers.length);
      let units: Scaling | undefined;
      const read = async (clip: Clip, first: number, count: number): Promise<Float32Array> => {
        const x = await table.read(clip.id, layers, first, count);
        return units ? scale(x, units) : x;
      };
      if (standardise) {
        const parts = await Promise.all(clips.train.slice(0, SCALING_CLIPS).map((clip) => read(clip, 0, crop)));
        const all = new Float32Array(parts.length * crop * width);
        for (const [i, part] of parts.entries()) all.set(part, i * crop * width);
        units = scalingOf(all, width);
      }
      const targets = clips.train.map((clip) => beatTargets(clip, framesOf(clip)));
      const room = getDefaultDevice().limits.maxStorageBufferBindingSize / 4;
      const crops = Math.max(1, Math.min(CROPS, Math.floor(room / (crop * Math.max(width, hidden)))));
      const find = async (weights: Weights, of: readonly Clip[]) => {
        const found: { clip: Clip; beats: number[]; downbeats: number[] }[] = [];
        for (const clip of of) {
          const logits = await machine.predict(weights, await read(clip, 0, framesOf(clip)));
          const column = (k: number) =>
            Float64Array.from({ length: logits.length / 2 }, (_, t) => sigmoid(logits[2 * t + k]));
          const beats = decodeBeats(column(0), { framesPerSecond: FRAMES_PER_SECOND });
          found.push({ clip, beats, downbeats: decodeDownbeats(beats, column(1), FRAMES_PER_SECOND) });
        }
        return scoreClips(found);
      };
      return {
        async train(rate, seed, checkStopped) {
          const learned = await learn({
            ...{ machine, task, rate, seed, checkStopped },
            settings: { ...settings, batchSize: Math.min(crops, settings.batchSize) },
            batches: {
              examples: clips.train.length,
              async read(examples, pass) {
                const x = new Float32Array(examples.length * crop * width);
                const target = new Float32Array(examples.length * crop * 2);
                for (const [i, k] of examples.entries()) {
                  const clip = clips.train[k];
                  const first = hostRandom(seed, CROP, pass, k).integer(0, framesOf(clip) - crop);
                  x.set(await read(clip, first, crop), i * crop * width);
                  target.set(targets[k].subarray(first * 2, (first + crop) * 2), i * crop * 2);
                }
                return { x, target, rows: examples.length * crop };
              },
            },
            validate: async (weights) => (await find(weights, clips.valid.slice(0, validClips))).metrics.f70ms,
          });
          return {
            ...learned,
            async judge() {
              const [valid, test] = [await find(learned.weights, clips.valid), await find(learned.weights, clips.test)];
              return { valid: valid.metrics, test, details: {} };
            },
          };
        },
      };
    },
    chance() {
      const tick = (clip: Clip) =>
        Array.from({ length: Math.floor((framesOf(clip) / FRAMES_PER_SECOND) * METRONOME) }, (_, i) => i / METRONOME);
      return scoreClips(
        usable.test.map((clip) => ({ clip, beats: tick(clip), downbeats: tick(clip).filter((_, i) => i % 4 === 0) })),
      ).metrics;
    },
    dispose: () => machines.dispose(),
  };
}
