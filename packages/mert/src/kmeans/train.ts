import { concat, type Device, div, scope, sqrt, sub, type Tensor, tensor, where } from '@dawnchorus/tensor';
import { type Dataset, openDataset, type SkippedFile } from '../data/dataset.ts';
import { type HostRandom, hostRandom, purpose } from '../random.ts';
import { perplexity } from '../rvq/teacher.ts';
import { assign } from './assign.ts';
import { type Feature, type FeatureName, features } from './features.ts';
import { lloyd } from './lloyd.ts';
import { miniBatchKMeans } from './minibatch.ts';
import { kMeansPlusPlus } from './plus-plus.ts';
import type { KMeansStream } from './teacher.ts';

/** How K-means teachers are trained. */
export interface KMeansTraining {
  device: Device;
  /** Folder of music. */
  data: string;
  /** Each with its number of clusters; default that of the feature. */
  streams: readonly { feature: FeatureName; clusters?: number }[];
  /** Default 24,000. */
  sampleRate?: number;
  /** Default 320. */
  hop?: number;
  /** Frames that are drawn from the music and clustered; default 50,000. */
  rows?: number;
  /** Default `minibatch`. */
  method?: 'minibatch' | 'lloyd';
  /** Frames of a minibatch; default 10,000. */
  batchSize?: number;
  /** Passes over the rows at most: of minibatches, default 100, or Lloyd's iterations, default 300. */
  maxEpochs?: number;
  /** Brings features to zero mean and unit variance, each dimension for itself; default false. */
  standardise?: boolean;
  seed?: number;
  /** Told what is going on, in lines for people. */
  log?(line: string): void;
  /** Told of each minibatch, or of Lloyd's last iteration. */
  onStep?(step: { feature: FeatureName; step: number; inertia: number }): void;
}

/** What training told of one feature's clusters. */
export interface StreamReport {
  feature: FeatureName;
  clusters: number;
  /** Mean squared distance of the rows to their centres, and to their mean. */
  inertia: number;
  variance: number;
  /** exp(entropy) of how the rows use the clusters, and how many they use. */
  perplexity: number;
  used: number;
  /** How many rows chose each. */
  counts: Int32Array;
}

/** What training gives: `saveKMeans` writes it, `createKMeansTeacher` takes its streams. */
export interface KMeansTrained {
  sampleRate: number;
  hop: number;
  streams: KMeansStream[];
  reports: StreamReport[];
  rows: number;
  files: number;
  skipped: readonly SkippedFile[];
}

/** Seconds of a crop: short, because frames beside each other are alike. */
const CROP_SECONDS = 2;
/** Crops that are computed together before the next ones are read. */
const CROPS_AT_ONCE = 8;

/** Frames of a feature in a crop, without those that depend on what lies beyond it. */
function rowsOfCrop(feature: Feature, x: Tensor, sampleRate: number, hop: number): Tensor {
  const rows = feature.compute(x, sampleRate, hop).select(0, 0);
  return rows.sliceAxis(0, feature.context, rows.shape[0] - feature.context);
}

/** Frames of all features drawn from the music: one [rows, dimension] a feature. */
async function drawFrames(dataset: Dataset, own: readonly Feature[], rows: number, sampleRate: number, hop: number) {
  const parts: Tensor[][] = own.map(() => []);
  let filled = 0;
  for (let index = 0; filled < rows; index += CROPS_AT_ONCE) {
    const crops = await Promise.all(Array.from({ length: CROPS_AT_ONCE }, (_, i) => dataset.readCrop(index + i)));
    const computed = own.map((feature) =>
      scope(() =>
        concat(crops.map((crop) => rowsOfCrop(feature, tensor(crop, { shape: [1, crop.length] }), sampleRate, hop))),
      ),
    );
    for (const [i, part] of computed.entries()) parts[i].push(part);
    // Features in longer windows have fewer frames in a crop.
    filled += Math.min(...computed.map(({ shape }) => shape[0]));
  }
  const drawn = scope(() => parts.map((list) => concat([concat(list).sliceAxis(0, 0, rows)])));
  for (const part of parts.flat()) part.dispose();
  return drawn;
}

async function floats(x: Tensor): Promise<Float32Array> {
  const data = (await x.data()) as Float32Array;
  x.dispose();
  return data;
}

/** Clusters rows [rows, dimension] of one feature. */
async function clusterRows(
  rows: Tensor,
  feature: FeatureName,
  clusters: number,
  random: HostRandom,
  training: KMeansTraining,
): Promise<{ stream: KMeansStream; report: StreamReport }> {
  const { method = 'minibatch', batchSize, maxEpochs, standardise = false, onStep } = training;
  // About their mean: the products that distances are made of lose less.
  const { mean, deviation, centred } = scope(() => {
    const mean = rows.mean({ dim: 0 });
    const spread = sqrt(sub(rows, mean).square().mean({ dim: 0 }));
    const deviation = where(spread.gt(0), spread, 1);
    const centred = sub(rows, mean);
    return { mean, deviation, centred: standardise ? div(centred, deviation) : centred };
  });
  let centres: Tensor;
  if (method === 'lloyd') {
    const start = kMeansPlusPlus(centred, clusters, random);
    const result = await lloyd(centred, start.centres, { maxIterations: maxEpochs });
    onStep?.({ feature, step: result.iterations, inertia: result.inertia / rows.shape[0] });
    for (const each of [start.centres, start.rows, result.labels]) each.dispose();
    centres = result.centres;
  } else {
    const result = await miniBatchKMeans(centred, {
      ...{ clusters, random, batchSize, maxEpochs },
      onStep: (step, inertia) => onStep?.({ feature, step, inertia }),
    });
    result.counts.dispose();
    centres = result.centres;
  }
  const found = assign(centred, centres);
  const labels = (await found.labels.data()) as Int32Array;
  const counts = new Int32Array(clusters);
  for (const label of labels) counts[label]++;
  const [inertia, variance] = scope(() => [found.distances.mean(), centred.square().sum({ dim: 1 }).mean()]);
  const report = {
    ...{ feature, clusters, counts },
    inertia: await inertia.item(),
    variance: await variance.item(),
    perplexity: perplexity(labels, clusters),
    used: counts.filter((count) => count > 0).length,
  };
  const raw = standardise ? centres.retain() : scope(() => centres.add(mean));
  const stream: KMeansStream = { feature, clusters, centres: await floats(raw) };
  if (standardise) {
    stream.scale = {
      mean: ((await mean.data()) as Float32Array).slice(),
      deviation: ((await deviation.data()) as Float32Array).slice(),
    };
  }
  for (const each of [mean, deviation, centred, centres, inertia, variance, ...Object.values<Tensor>({ ...found })]) {
    each.dispose();
  }
  return { stream, report };
}

/**
 * Trains a K-means teacher on frames drawn from a folder of music: from short crops of all files, the files in equal shares.
 * Edges of crops are left out, so that no frame sees silence that is not in the music. The same music, settings and seed
 * give the same bits on one adapter.
 *
 * @throws RangeError when a setting is out of range; Error when no file of the folder can be used.
 */
export async function trainKMeans(training: KMeansTraining): Promise<KMeansTrained> {
  const { device, data, streams, sampleRate = 24000, hop = 320, rows = 50_000, seed = 0, log = () => {} } = training;
  const own: Feature[] = streams.map(({ feature }) => features[feature]);
  const largest = Math.max(...own.map(({ dimension }) => dimension));
  const most = Math.floor(device.limits.maxStorageBufferBindingSize / (4 * largest));
  if (!Number.isInteger(rows) || rows < 1 || rows > most) {
    throw new RangeError(`kmeans: ${rows} rows; this adapter has room for 1 to ${most} of ${largest} numbers`);
  }
  for (const { feature, clusters = features[feature].clusters } of streams) {
    if (!Number.isInteger(clusters) || clusters < 1 || clusters > Math.min(rows, 65536)) {
      throw new RangeError(
        `kmeans: ${clusters} clusters of ${feature}; expected 1 to ${Math.min(rows, 65536)}, and no more than rows`,
      );
    }
  }
  const cropSamples = Math.round((CROP_SECONDS * sampleRate) / hop) * hop;
  const dataset = await openDataset({ folder: data, sampleRate, cropSamples, seed });
  log(`data: ${dataset.files.length} files, ${(dataset.seconds / 60).toFixed(1)} min, from ${data}`);
  const drawn = await drawFrames(dataset, own, rows, sampleRate, hop);
  log(
    `features: ${rows} frames of ${streams.map(({ feature }) => `${feature}-${features[feature].dimension}`).join(', ')}`,
  );
  const result: KMeansTrained = {
    ...{ sampleRate, hop, rows, streams: [], reports: [] },
    files: dataset.files.length,
    skipped: dataset.skipped,
  };
  for (const [i, { feature, clusters = features[feature].clusters }] of streams.entries()) {
    const random = hostRandom(seed, purpose.kmeans, i);
    const { stream, report } = await clusterRows(drawn[i], feature, clusters, random, training);
    drawn[i].dispose();
    result.streams.push(stream);
    result.reports.push(report);
  }
  return result;
}
