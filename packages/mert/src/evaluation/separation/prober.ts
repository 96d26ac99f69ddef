/** Probes of separation: masks on the spectrogram of the mixture, scored as sound. */
import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import { istft, stft, stftConventions } from '@dawnchorus/dsp';
import { add, compile, concat, mul, scope, sqrt, square, type Tensor, tensor } from '@dawnchorus/tensor';
import { hostRandom, sampleWithoutReplacement } from '../../random.ts';
import type { Clip, TaskData } from '../data.ts';
import { HOP } from '../features/source.ts';
import type { FeatureTable } from '../features/table.ts';
import { windowSamples } from '../features/windows.ts';
import { globalSdr } from '../metrics/index.ts';
import { stemNames } from '../names.ts';
import type { Prober } from '../probe/prober.ts';
import { type Scaling, scale, scalingOf, shuffled, usableClips } from '../probe/rows.ts';
import type { Scores } from '../probe/scores.ts';
import type { ProbeSettings } from '../probe/settings.ts';
import { SeparationHead } from './head.ts';
import { createTracks, type Track } from './tracks.ts';

/** Which draws of `hostRandom` order the windows and place what is learned of them. */
const [ORDER, CROP] = [104, 105];
const STEMS = stemNames.length;
/** Windows of validation that are listened to after each pass. */
const VALID_WINDOWS = 16;

/** A window of a track. */
interface Window {
  clip: Clip;
  /** Samples. */
  start: number;
  length: number;
  /** Rows of its features. */
  row: number;
  rows: number;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const framesOf = (samples: number): number => Math.floor(samples / HOP) + 1;
/** Magnitudes of spectra [..., 2]; a little is added, for the root's slope at zero is infinite. */
const magnitudesOf = (spectra: Tensor): Tensor =>
  sqrt(add(add(square(spectra.select(-1, 0)), square(spectra.select(-1, 1))), 1e-12));

function scoreTracks(found: readonly { track: Track; estimates: readonly Float32Array[] }[]): Scores {
  const perStem = stemNames.map((_, k) =>
    mean(found.map(({ track, estimates }) => globalSdr(track.stems[k], estimates[k]))),
  );
  return {
    metrics: { sdr: mean(perStem), ...Object.fromEntries(stemNames.map((name, k) => [`sdr_${name}`, perStem[k]])) },
    perClass: stemNames.map((name, k) => ({ name, values: { sdr: perStem[k] }, examples: found.length })),
  };
}

/** Opens a task of separation. */
export function separationProber(
  data: TaskData,
  table: FeatureTable,
  settings: ProbeSettings,
  standardise: boolean,
): Prober {
  const { task } = data;
  const { hidden, lstmLayers, batchSize, rate: ownRate, frames: cropFrames, compiled, nFft } = settings.separation;
  const bins = nFft / 2 + 1;
  const stftOptions = { ...stftConventions.librosa, nFft, hopLength: HOP };
  const usable = usableClips(data, table);
  const clips = settings.shuffleLabels ? shuffled(usable, settings.seeds[0]) : usable;
  const trackOf = createTracks();

  const windowsOf = async (of: readonly Clip[]): Promise<Window[]> => {
    const windows: Window[] = [];
    for (const clip of of) {
      const rows = table.clips.get(clip.id)?.rows ?? [];
      let [start, row] = [0, 0];
      for (const [i, length] of windowSamples(task, (await trackOf(clip)).mixture.length).entries()) {
        windows.push({ clip, start, length, row, rows: rows[i] });
        start += length;
        row += rows[i];
      }
    }
    return windows;
  };

  return {
    counts: { train: clips.train.length, valid: clips.valid.length, test: clips.test.length },
    rates: [ownRate],
    sumOnly: !settings.separation.sweepLayers,
    async open(layers) {
      const width = layers.length * table.dimension;
      const train = await windowsOf(clips.train);
      let units: Scaling | undefined;
      /** Features of some frames of a window; there may be one or two frames fewer than spectra, which count as zero. */
      const read = async ({ clip, row, rows }: Window, first: number, count: number): Promise<Float32Array> => {
        const out = new Float32Array(count * width);
        const have = Math.max(0, Math.min(count, rows - first));
        const x = await table.read(clip.id, layers, row + first, have);
        out.set(units ? scale(x, units) : x);
        return out;
      };
      if (standardise) {
        const first = train.slice(0, 100);
        const all = new Float32Array(first.reduce((sum, { rows }) => sum + rows, 0) * width);
        let at = 0;
        for (const window of first) {
          all.set(await read(window, 0, window.rows), at);
          at += window.rows * width;
        }
        units = scalingOf(all, width);
      }
      const shape = { layers: layers.length, dimension: table.dimension, bins, hidden, lstmLayers };

      /** Windows of one length -> their stems, [windows * 4, samples]. */
      const estimatorOf = (head: SeparationHead) => {
        const estimateStems = (mixtures: Tensor, x: Tensor): Tensor => {
          const [windows, frames] = x.shape;
          const spectra = stft(mixtures, stftOptions).permute([0, 2, 1, 3]);
          const magnitudes = magnitudesOf(spectra);
          const masks = head.forward(x, magnitudes).div(magnitudes.unsqueeze(2));
          const masked = mul(masks.unsqueeze(-1), spectra.unsqueeze(2)).permute([0, 2, 3, 1, 4]);
          const length = mixtures.shape[1];
          return istft(masked.reshape([windows * STEMS, bins, frames, 2]), { ...stftOptions, length });
        };
        return compiled ? compile(estimateStems, { cacheSize: 6 }) : estimateStems;
      };
      type Estimator = ReturnType<typeof estimatorOf>;

      /** Estimates of the stems of windows, in order, those of one length together. */
      const estimate = async (estimator: Estimator, of: readonly Window[]): Promise<Float32Array[][]> => {
        const found = new Array<Float32Array[]>(of.length);
        const byLength = new Map<number, number[]>();
        for (const [i, { length }] of of.entries()) byLength.set(length, [...(byLength.get(length) ?? []), i]);
        for (const [length, members] of byLength) {
          const frames = framesOf(length);
          for (let at = 0; at < members.length; at += batchSize) {
            const own = members.slice(at, at + batchSize);
            const [sound, x] = [new Float32Array(own.length * length), new Float32Array(own.length * frames * width)];
            for (const [k, i] of own.entries()) {
              const { mixture } = await trackOf(of[i].clip);
              sound.set(mixture.subarray(of[i].start, of[i].start + length), k * length);
              x.set(await read(of[i], 0, frames), k * frames * width);
            }
            const shape = [own.length, frames, layers.length, table.dimension];
            const out = scope(() => estimator(tensor(sound, { shape: [own.length, length] }), tensor(x, { shape })));
            const samples = (await out.data()) as Float32Array;
            out.dispose();
            for (const [k, i] of own.entries()) {
              found[i] = stemNames.map((_, stem) =>
                samples.slice((k * STEMS + stem) * length, (k * STEMS + stem + 1) * length),
              );
            }
          }
        }
        return found;
      };

      /** Scores of whole tracks. */
      const separate = async (estimator: Estimator, of: readonly Clip[]) => {
        const found: { track: Track; estimates: Float32Array[] }[] = [];
        for (const clip of of) {
          const track = await trackOf(clip);
          const estimates = stemNames.map(() => new Float32Array(track.mixture.length));
          const windows = await windowsOf([clip]);
          for (const [i, stems] of (await estimate(estimator, windows)).entries()) {
            for (const [k, own] of estimates.entries()) own.set(stems[k], windows[i].start);
          }
          found.push({ track, estimates });
        }
        return scoreTracks(found);
      };

      const allValid = await windowsOf(clips.valid);
      const apart = Math.max(1, Math.ceil(allValid.length / VALID_WINDOWS));
      const watched = allValid.filter((_, i) => i % apart === 0);
      /** SDR of some windows of validation, each as if it were a track. */
      const watch = async (estimator: Estimator): Promise<number> => {
        const found: { track: Track; estimates: Float32Array[] }[] = [];
        for (const [i, estimates] of (await estimate(estimator, watched)).entries()) {
          const { clip, start, length } = watched[i];
          const { mixture, stems } = await trackOf(clip);
          const part = (samples: Float32Array) => samples.subarray(start, start + length);
          found.push({ track: { mixture: part(mixture), stems: stems.map(part) }, estimates });
        }
        return scoreTracks(found).metrics.sdr;
      };

      /** Mixture and stems around some frames of windows, [windows * 5, samples], and their features. */
      const batchOf = async (of: readonly Window[], pass: number, seed: number) => {
        const frames = Math.min(cropFrames, ...of.map(({ length }) => framesOf(length)));
        const samples = (frames - 1) * HOP;
        const sound = new Float32Array(of.length * (1 + STEMS) * samples);
        const x = new Float32Array(of.length * frames * width);
        for (const [i, window] of of.entries()) {
          const random = hostRandom(seed, CROP, pass, window.start, i);
          const first = random.integer(0, framesOf(window.length) - frames);
          const { mixture, stems } = await trackOf(window.clip);
          const start = window.start + first * HOP;
          for (const [k, own] of [mixture, ...stems].entries()) {
            sound.set(own.subarray(start, start + samples), (i * (1 + STEMS) + k) * samples);
          }
          x.set(await read(window, first, frames), i * frames * width);
        }
        return { frames, samples, sound, x };
      };

      return {
        async train(rate, seed, checkStopped) {
          const head = new SeparationHead(shape, nn.keySequence(seed));
          const parameters = head.namedParameters();
          const estimator = estimatorOf(head);
          const optimizer = new optim.AdamW(parameters, { weightDecay: 0 });
          const learnBatch = (sound: Tensor, x: Tensor, number: Tensor, learningRate: Tensor): Tensor => {
            const keys = nn.keySequence(seed, number);
            const spectra = stft(sound, stftOptions);
            const [batch, frames] = [x.shape[0], x.shape[1]];
            const magnitudes = magnitudesOf(spectra)
              .reshape([batch, 1 + STEMS, bins, frames])
              .permute([0, 3, 1, 2]);
            const target = magnitudes.narrow(2, 1, STEMS);
            const { value, gradients } = valueAndGrad(
              () => nn.mseLoss(head.forward(x, magnitudes.select(2, 0), keys), target),
              [...parameters.values()],
            );
            optimizer.step(new Map([...parameters.keys()].map((name, i) => [name, gradients[i]])), learningRate);
            return value;
          };
          const step = compiled ? compile(learnBatch) : learnBatch;
          const { epochs = task.schedule.epochs, patience = task.schedule.patience } = settings;
          const copy = (): Tensor[] =>
            [...head.stateDict().values()].map((own) => scope(() => concat([own.reshape([-1])]).retain()));
          let best: Tensor[] | undefined;
          let [bestScore, bestPass, since, number, passes, current] = [Number.NEGATIVE_INFINITY, 0, 0, 0, 0, rate];
          for (let pass = 1; pass <= epochs && pass - bestPass <= patience; pass++) {
            passes = pass;
            const order = sampleWithoutReplacement(hostRandom(seed, ORDER, pass), train.length, train.length);
            // Batch norm needs company: what is left over joins no batch of its own unless it is all there is.
            for (let at = 0; at < order.length; at += batchSize) {
              const own = order.slice(at, at + batchSize);
              if (at > 0 && own.length < batchSize) break;
              const { frames, samples, sound, x } = await batchOf(
                own.map((k) => train[k]),
                pass,
                seed,
              );
              number++;
              scope(() =>
                step(
                  tensor(sound, { shape: [own.length * (1 + STEMS), samples] }),
                  tensor(x, { shape: [own.length, frames, layers.length, table.dimension] }),
                  tensor(Uint32Array.of(number)),
                  tensor([current]),
                ),
              );
            }
            const score = await watch(estimator);
            if (score > bestScore + 1e-4) {
              for (const own of best ?? []) own.dispose();
              best = copy();
              [bestScore, bestPass, since] = [score, pass, 0];
            } else if (++since > task.schedule.plateau) [current, since] = [current / 2, 0];
            checkStopped?.();
          }
          await restore(head, best);
          for (const own of best ?? []) own.dispose();
          disposeCompiled(step);
          return {
            ...{ valid: bestScore, pass: bestPass, passes },
            async judge() {
              const valid = await separate(estimator, clips.valid);
              return { valid: valid.metrics, test: await separate(estimator, clips.test), details: {} };
            },
            dispose() {
              disposeCompiled(estimator);
              optimizer.dispose();
              head.dispose();
            },
          };
        },
      };
    },
    /** The mixture, scaled as fits best in training. */
    async chance() {
      const [product, energy] = [new Float64Array(STEMS), new Float64Array(1)];
      for (const clip of usable.train) {
        const { mixture, stems } = await trackOf(clip);
        for (const [i, sample] of mixture.entries()) {
          energy[0] += sample * sample;
          for (let k = 0; k < STEMS; k++) product[k] += sample * stems[k][i];
        }
      }
      const found: { track: Track; estimates: Float32Array[] }[] = [];
      for (const clip of usable.test) {
        const track = await trackOf(clip);
        found.push({
          track,
          estimates: stemNames.map((_, k) => track.mixture.map((sample) => (sample * product[k]) / energy[0])),
        });
      }
      return scoreTracks(found).metrics;
    },
    dispose: () => {},
  };
}

/** Gives the memory of a function back that may have been compiled. */
function disposeCompiled(fn: object): void {
  if ('dispose' in fn && typeof fn.dispose === 'function') fn.dispose();
}

/** Writes a copy of a module's state back into it. */
async function restore(head: nn.Module, copy: readonly Tensor[] | undefined): Promise<void> {
  if (!copy) return;
  for (const [i, own] of [...head.stateDict().values()].entries()) {
    const data = await copy[i].data();
    own.device.write(own.storage, own.offset * 4, data as Float32Array<ArrayBuffer>);
  }
}
