/** Probes of separation: masks on the spectrogram of the mixture, scored as sound. */
import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import { istft, stft, stftConventions } from '@dawnchorus/dsp';
import { add, compile, concat, mul, scope, sqrt, square, type Tensor, tensor } from '@dawnchorus/tensor';
import type { Clip, TaskData } from '../data.ts';
import { HOP } from '../features/source.ts';
import type { FeatureTable } from '../features/table.ts';
import { globalSdr } from '../metrics/index.ts';
import { type Split, stemNames } from '../names.ts';
import type { Prober, Trained } from '../probe/prober.ts';
import { probedClips } from '../probe/rows.ts';
import type { Scores } from '../probe/scores.ts';
import type { ProbeSettings, SeparationSettings } from '../probe/settings.ts';
import {
  batchesOf,
  chunks,
  type ExampleSource,
  readCrops,
  readMixtures,
  scalingOfWindows,
  uploadBatch,
  type Window,
  windowsOf,
} from './examples.ts';
import { SeparationHead } from './head.ts';
import { createTracks, type Track } from './tracks.ts';

const STEMS = stemNames.length;
/** Windows whose frames scale the features. */
const SCALING_WINDOWS = 100;
/** Windows of validation that are listened to after each pass. */
const VALID_WINDOWS = 16;

/** A task with the features of some layers. */
interface Session {
  readonly settings: ProbeSettings;
  readonly source: ExampleSource;
  readonly clips: Record<Split, Clip[]>;
  readonly train: readonly Window[];
  /** Windows of validation that are listened to after each pass. */
  readonly watched: readonly Window[];
}

/** A track, and its stems as they were found. */
interface Separated {
  track: Track;
  estimates: readonly Float32Array[];
}

/** Mixtures of one length and their features -> their stems, [windows * 4, samples]. */
type Estimator = (mixtures: Tensor, x: Tensor) => Tensor;

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
const stftOptionsOf = ({ nFft }: SeparationSettings) => ({ ...stftConventions.librosa, nFft, hopLength: HOP });
/** Magnitudes of spectra [..., 2]; a little is added, for the root's slope at zero is infinite. */
const magnitudesOf = (spectra: Tensor): Tensor =>
  sqrt(add(add(square(spectra.select(-1, 0)), square(spectra.select(-1, 1))), 1e-12));

/** Opens a task of separation. */
export function separationProber(
  data: TaskData,
  table: FeatureTable,
  settings: ProbeSettings,
  standardise: boolean,
): Prober {
  const { task } = data;
  const { usable, clips, counts } = probedClips(data, table, settings);
  const trackOf = createTracks();
  return {
    counts,
    rates: [settings.separation.rate],
    sumOnly: !settings.separation.sweepLayers,
    async open(layers) {
      const unscaled = { task, table, layers, trackOf };
      const train = await windowsOf(unscaled, clips.train);
      const scaling = standardise ? await scalingOfWindows(unscaled, train.slice(0, SCALING_WINDOWS)) : undefined;
      const source = { ...unscaled, scaling };
      const valid = await windowsOf(source, clips.valid);
      const apart = Math.max(1, Math.ceil(valid.length / VALID_WINDOWS));
      const session = { settings, source, clips, train, watched: valid.filter((_, i) => i % apart === 0) };
      return { train: (rate, seed, checkStopped) => learn(session, rate, seed, checkStopped) };
    },
    chance: () => scoreMixtures(usable.train, usable.test, trackOf),
    dispose: () => {},
  };
}

function scoreTracks(found: readonly Separated[]): Scores {
  const perStem = stemNames.map((_, k) =>
    mean(found.map(({ track, estimates }) => globalSdr(track.stems[k], estimates[k]))),
  );
  return {
    metrics: { sdr: mean(perStem), ...Object.fromEntries(stemNames.map((name, k) => [`sdr_${name}`, perStem[k]])) },
    perClass: stemNames.map((name, k) => ({ name, values: { sdr: perStem[k] }, examples: found.length })),
  };
}

/** Scores of the mixture, scaled as fits best in training. */
async function scoreMixtures(
  train: readonly Clip[],
  test: readonly Clip[],
  trackOf: ExampleSource['trackOf'],
): Promise<Record<string, number>> {
  const [product, energy] = [new Float64Array(STEMS), new Float64Array(1)];
  for (const clip of train) {
    const { mixture, stems } = await trackOf(clip);
    for (const [i, sample] of mixture.entries()) {
      energy[0] += sample * sample;
      for (let k = 0; k < STEMS; k++) product[k] += sample * stems[k][i];
    }
  }
  const found: Separated[] = [];
  for (const clip of test) {
    const track = await trackOf(clip);
    found.push({
      track,
      estimates: stemNames.map((_, k) => track.mixture.map((sample) => (sample * product[k]) / energy[0])),
    });
  }
  return scoreTracks(found).metrics;
}

function createEstimator(head: SeparationHead, settings: SeparationSettings): Estimator {
  const stftOptions = stftOptionsOf(settings);
  const estimateStems = (mixtures: Tensor, x: Tensor): Tensor => {
    const [windows, frames] = x.shape;
    const spectra = stft(mixtures, stftOptions).permute([0, 2, 1, 3]);
    const magnitudes = magnitudesOf(spectra);
    const masks = head.forward(x, magnitudes).div(magnitudes.unsqueeze(2));
    const masked = mul(masks.unsqueeze(-1), spectra.unsqueeze(2)).permute([0, 2, 3, 1, 4]);
    const length = mixtures.shape[1];
    return istft(masked.reshape([windows * STEMS, head.shape.bins, frames, 2]), { ...stftOptions, length });
  };
  return settings.compiled ? compile(estimateStems, { cacheSize: 6 }) : estimateStems;
}

/** Estimates of the stems of windows, in order, those of one length together. */
async function estimate(
  { source, settings }: Session,
  estimator: Estimator,
  windows: readonly Window[],
): Promise<Float32Array[][]> {
  const found = new Array<Float32Array[]>(windows.length);
  const byLength = new Map<number, number[]>();
  for (const [i, { length }] of windows.entries()) byLength.set(length, [...(byLength.get(length) ?? []), i]);
  for (const [length, members] of byLength) {
    for (const own of chunks(members, settings.separation.batchSize)) {
      const batch = await readMixtures(
        source,
        own.map((i) => windows[i]),
      );
      const out = scope(() => estimator(...uploadBatch(batch)));
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
}

/** Scores of whole tracks. */
async function scoreClips(session: Session, estimator: Estimator, clips: readonly Clip[]): Promise<Scores> {
  const found: Separated[] = [];
  for (const clip of clips) {
    const track = await session.source.trackOf(clip);
    const estimates = stemNames.map(() => new Float32Array(track.mixture.length));
    const windows = await windowsOf(session.source, [clip]);
    for (const [i, stems] of (await estimate(session, estimator, windows)).entries()) {
      for (const [k, own] of estimates.entries()) own.set(stems[k], windows[i].start);
    }
    found.push({ track, estimates });
  }
  return scoreTracks(found);
}

/** SDR of some windows of validation, each as if it were a track. */
async function watch(session: Session, estimator: Estimator): Promise<number> {
  const { source, watched } = session;
  const found: Separated[] = [];
  for (const [i, estimates] of (await estimate(session, estimator, watched)).entries()) {
    const { clip, start, length } = watched[i];
    const { mixture, stems } = await source.trackOf(clip);
    const part = (samples: Float32Array) => samples.subarray(start, start + length);
    found.push({ track: { mixture: part(mixture), stems: stems.map(part) }, estimates });
  }
  return scoreTracks(found).metrics.sdr;
}

function createHead({ source: { layers, table }, settings }: Session, seed: number): SeparationHead {
  const { hidden, lstmLayers, nFft } = settings.separation;
  const shape = { layers: layers.length, dimension: table.dimension, bins: nFft / 2 + 1, hidden, lstmLayers };
  return new SeparationHead(shape, nn.keySequence(seed));
}

/** An optimizer of a head, and its step towards the magnitudes of the stems. */
function createStep(head: SeparationHead, settings: SeparationSettings, seed: number) {
  const parameters = head.namedParameters();
  const optimizer = new optim.AdamW(parameters, { weightDecay: 0 });
  const stftOptions = stftOptionsOf(settings);
  const learnBatch = (sound: Tensor, x: Tensor, number: Tensor, learningRate: Tensor): Tensor => {
    const keys = nn.keySequence(seed, number);
    const spectra = stft(sound, stftOptions);
    const [batch, frames] = [x.shape[0], x.shape[1]];
    const magnitudes = magnitudesOf(spectra)
      .reshape([batch, 1 + STEMS, head.shape.bins, frames])
      .permute([0, 3, 1, 2]);
    const target = magnitudes.narrow(2, 1, STEMS);
    const { value, gradients } = valueAndGrad(
      () => nn.mseLoss(head.forward(x, magnitudes.select(2, 0), keys), target),
      parameters,
    );
    optimizer.step(gradients, learningRate);
    return value;
  };
  return { optimizer, step: settings.compiled ? compile(learnBatch) : learnBatch };
}

/** Trains a head until validation stops getting better, and gives back the best that it was. */
async function learn(
  session: Session,
  rate: number,
  seed: number,
  checkStopped: (() => void) | undefined,
): Promise<Trained> {
  const { settings, source, clips } = session;
  const { schedule } = source.task;
  const { batchSize, frames } = settings.separation;
  const head = createHead(session, seed);
  const estimator = createEstimator(head, settings.separation);
  const { optimizer, step } = createStep(head, settings.separation, seed);
  const { epochs = schedule.epochs, patience = schedule.patience } = settings;
  let best: Tensor[] | undefined;
  let [bestScore, bestPass, since, number, passes, current] = [Number.NEGATIVE_INFINITY, 0, 0, 0, 0, rate];
  for (let pass = 1; pass <= epochs && pass - bestPass <= patience; pass++) {
    passes = pass;
    for (const own of batchesOf(session.train, batchSize, seed, pass)) {
      const batch = await readCrops(source, own, frames, pass, seed);
      number++;
      scope(() => step(...uploadBatch(batch), tensor(Uint32Array.of(number)), tensor([current])));
    }
    const score = await watch(session, estimator);
    if (score > bestScore + 1e-4) {
      for (const own of best ?? []) own.dispose();
      best = copyState(head);
      [bestScore, bestPass, since] = [score, pass, 0];
    } else if (++since > schedule.plateau) [current, since] = [current / 2, 0];
    checkStopped?.();
  }
  await restore(head, best);
  for (const own of best ?? []) own.dispose();
  disposeCompiled(step);
  return {
    ...{ valid: bestScore, pass: bestPass, passes },
    async judge() {
      const valid = await scoreClips(session, estimator, clips.valid);
      return { valid: valid.metrics, test: await scoreClips(session, estimator, clips.test), details: {} };
    },
    dispose() {
      disposeCompiled(estimator);
      optimizer.dispose();
      head.dispose();
    },
  };
}

/** Gives the memory of a function back that may have been compiled. */
function disposeCompiled(fn: object): void {
  if ('dispose' in fn && typeof fn.dispose === 'function') fn.dispose();
}

const copyState = (head: nn.Module): Tensor[] =>
  [...head.stateDict().values()].map((own) => scope(() => concat([own.reshape([-1])]).retain()));

/** Writes a copy of a module's state back into it. */
async function restore(head: nn.Module, copy: readonly Tensor[] | undefined): Promise<void> {
  if (!copy) return;
  for (const [i, own] of [...head.stateDict().values()].entries()) {
    const data = await copy[i].data();
    own.device.write(own.storage, own.offset * 4, data as Float32Array<ArrayBuffer>);
  }
}
