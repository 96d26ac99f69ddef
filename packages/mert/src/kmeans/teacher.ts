import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readSafetensors, writeJson, writeSafetensors } from '@dawnchorus/formats';
import { div, nearestCode, pad, scope, stack, sub, type Tensor, tensor } from '@dawnchorus/tensor';
import { z } from 'zod';
import { ahead, readSpans, type Span } from '../data/recording.ts';
import { makeFolder } from '../folders.ts';
import { hashTeacher } from '../labels/hash.ts';
import { type CropTeacher, defineTeacher, frameCountOf } from '../labels/teacher.ts';
import { type Feature, type FeatureName, featureNames, features } from './features.ts';

/** Frames that are labelled at once: 7 s. */
const CHUNK = 512;

const configSchema = z.strictObject({
  format: z.literal('dawnchorus-kmeans'),
  version: z.literal(1),
  sampleRate: z.int().min(1000),
  hop: z.int().positive(),
  streams: z
    .array(
      z.strictObject({
        feature: z.enum(featureNames as [FeatureName, ...FeatureName[]]),
        clusters: z.int().min(1).max(65536),
        /** Whether features are brought to zero mean and unit variance first, each dimension for itself. */
        standardised: z.boolean(),
      }),
    )
    .min(1),
});

/** What a K-means teacher is: kmeans.json. */
type KMeansConfig = z.output<typeof configSchema>;

/** The clusters of one feature. */
export interface KMeansStream {
  feature: FeatureName;
  /** f32 [clusters, dimension], of standardised features where there are `scale`s. */
  centres: Float32Array;
  clusters: number;
  /** Mean and standard deviation of each dimension. */
  scale?: { mean: Float32Array; deviation: Float32Array };
}

/** The file that says what a K-means teacher is. */
export const KMEANS_CONFIG = 'kmeans.json';
const WEIGHTS = 'kmeans.safetensors';

/** A stream's tensors, as they are in the file. */
function tensorsOf({ feature, centres, clusters, scale }: KMeansStream) {
  const dimension = features[feature].dimension;
  const own: [string, { shape: number[]; data: Float32Array }][] = [
    [`${feature}.centres`, { shape: [clusters, dimension], data: centres }],
  ];
  if (scale) {
    own.push([`${feature}.mean`, { shape: [dimension], data: scale.mean }]);
    own.push([`${feature}.deviation`, { shape: [dimension], data: scale.deviation }]);
  }
  return own;
}

/** The mean of rows: distances are counted from it, because what is near zero loses less in their products. */
function meanOf(centres: Float32Array, dimension: number): Float32Array {
  const sums = new Float64Array(dimension);
  for (const [i, value] of centres.entries()) sums[i % dimension] += value;
  return Float32Array.from(sums, (sum) => (sum * dimension) / centres.length);
}

function configOf(sampleRate: number, hop: number, streams: readonly KMeansStream[]): KMeansConfig {
  return {
    format: 'dawnchorus-kmeans',
    version: 1,
    sampleRate,
    hop,
    streams: streams.map(({ feature, clusters, scale }) => ({ feature, clusters, standardised: scale !== undefined })),
  };
}

/** Writes a K-means teacher into a folder: kmeans.json and kmeans.safetensors. */
export async function saveKMeans(
  folder: string,
  { sampleRate, hop, streams }: { sampleRate: number; hop: number; streams: readonly KMeansStream[] },
): Promise<void> {
  await makeFolder(folder);
  await writeSafetensors(
    join(folder, WEIGHTS),
    streams.flatMap(tensorsOf).map(([name, { shape, data }]) => [name, { dtype: 'F32' as const, shape, data }]),
  );
  await writeJson(join(folder, KMEANS_CONFIG), configOf(sampleRate, hop, streams));
}

/** @throws RangeError when a feature occurs twice, or sizes do not agree. */
function checkStreams(streams: readonly KMeansStream[]): void {
  const names = streams.map(({ feature }) => feature);
  if (new Set(names).size !== names.length || names.length === 0) {
    throw new RangeError(`kmeans: features ${names.join(', ') || 'none'}; expected one or more, each once`);
  }
  for (const [name, { shape, data }] of streams.flatMap(tensorsOf)) {
    if (data.length !== shape.reduce((a, b) => a * b, 1) || !data.every(Number.isFinite)) {
      throw new RangeError(`kmeans: ${name} must hold [${shape}] finite numbers, and has ${data.length} numbers`);
    }
  }
}

/** A stream's clusters on the device. */
interface Clusters extends Disposable {
  feature: Feature;
  adapter: string;
  /** The nearest centres of rows [rows, dimension], the first on ties: i32 [rows]. */
  nearest(rows: Tensor): Tensor;
}

function uploadClusters({ feature: name, clusters, centres, scale }: KMeansStream): Clusters {
  const feature: Feature = features[name];
  const { dimension } = feature;
  const held: Tensor[] = [];
  const upload = (data: Float32Array, shape: number[]) => {
    held.push(tensor(data, { shape }));
    return held[held.length - 1];
  };
  const middle = meanOf(centres, dimension);
  const about = upload(
    centres.map((value, i) => value - middle[i % dimension]),
    [clusters, dimension],
  );
  const shift = upload(middle, [dimension]);
  const mean = scale && upload(scale.mean, [dimension]);
  const deviation = scale && upload(scale.deviation, [dimension]);
  return {
    feature,
    adapter: about.device.adapter.name,
    nearest(rows) {
      const scaled = mean && deviation ? div(sub(rows, mean), deviation) : rows;
      return nearestCode(sub(scaled, shift), about).codes;
    },
    [Symbol.dispose]() {
      for (const each of held) each.dispose();
    },
  };
}

/** Frames [first, end) of recordings that have `frames` of them. */
interface Frames {
  first: number;
  end: number;
  frames: number;
}

/** Frames in chunks that are labelled at once. */
const chunksOf = (frames: number): Frames[] =>
  Array.from({ length: Math.ceil(frames / CHUNK) }, (_, i) => {
    return { first: i * CHUNK, end: Math.min(frames, (i + 1) * CHUNK), frames };
  });

/**
 * The teacher of given clusters: a codebook for each feature, whose labels are the nearest centres, the first on ties.
 *
 * @throws RangeError when a feature occurs twice, or sizes do not agree.
 */
export function createKMeansTeacher(sampleRate: number, hop: number, streams: readonly KMeansStream[]): CropTeacher {
  checkStreams(streams);
  const codebooks = streams.map(uploadClusters);
  // Frames that all features have.
  const framePadding = Math.min(
    ...codebooks.map(({ feature }) => hop + 2 * feature.before - feature.window(sampleRate)),
  );
  const grid = { hop, framePadding };

  /** The first frame of a feature that these frames depend on, and the samples [start, stop) of all of them. */
  function reachOf({ context, before, window }: Feature, { first, end, frames }: Frames) {
    const [low, high] = [Math.max(0, first - context), Math.min(frames, end + context)];
    return { low, start: low * hop - before, stop: (high - 1) * hop - before + window(sampleRate) };
  }

  /** The samples that these frames depend on. */
  function spanOf(chunk: Frames): Span {
    const reaches = codebooks.map(({ feature }) => reachOf(feature, chunk));
    return {
      first: Math.min(...reaches.map(({ start }) => start)),
      end: Math.max(...reaches.map(({ stop }) => stop)),
    };
  }

  /** Labels of these frames, i32 [batch * frames] a codebook, given x [batch, samples] from `origin` on. */
  function codesOf(x: Tensor, origin: number, chunk: Frames): Tensor[] {
    return codebooks.map(({ feature, nearest }) => {
      const { low, start, stop } = reachOf(feature, chunk);
      const all = feature.compute(x.sliceAxis(1, start - origin, stop - origin), sampleRate, hop);
      return nearest(all.sliceAxis(1, chunk.first - low, chunk.end - low).reshape([-1, feature.dimension]));
    });
  }

  /** Labels [frames, codebooks] of these frames, given the samples that they depend on. */
  async function labelChunk(samples: Float32Array, chunk: Frames): Promise<Int32Array> {
    const codes = scope(() => codesOf(tensor(samples, { shape: [1, samples.length] }), spanOf(chunk).first, chunk));
    const labels = new Int32Array((chunk.end - chunk.first) * codebooks.length);
    for (const [i, code] of codes.entries()) {
      const own = await code.data();
      code.dispose();
      for (let t = 0; t < own.length; t++) labels[t * codebooks.length + i] = own[t];
    }
    return labels;
  }

  return defineTeacher({
    name: 'kmeans',
    hash: hashTeacher(configOf(sampleRate, hop, streams), streams.flatMap(tensorsOf)),
    sampleRate,
    hop,
    framePadding,
    codebooks: streams.map(({ clusters }) => clusters),
    adapter: codebooks[0].adapter,
    async *stream(recording) {
      const chunks = chunksOf(frameCountOf(grid, recording.samples));
      let next = 0;
      for await (const samples of ahead(readSpans(recording, chunks.map(spanOf)))) {
        yield await labelChunk(samples, chunks[next++]);
      }
    },
    encode(waveform) {
      const [batch, samples] = waveform.shape;
      const frames = frameCountOf(grid, samples);
      const whole = { first: 0, end: frames, frames };
      const { first, end } = spanOf(whole);
      const padded = pad(waveform, [-first, end - samples]);
      return stack(codesOf(padded, first, whole).map((codes) => codes.reshape([batch, frames])));
    },
    dispose() {
      for (const each of codebooks) each[Symbol.dispose]();
    },
  });
}

/** @throws Error when the file is not there, or says something else. */
async function readConfig(path: string): Promise<KMeansConfig> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new Error(`${path}: cannot be read; a K-means teacher is the folder that mert kmeans train wrote`, { cause });
  }
  const parsed = configSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issues = parsed.error.issues.map(({ path: at, message }) => `\n  ${at.join('.') || 'it'}: ${message}`);
  throw new Error(`${path}: is no K-means teacher:${issues.join('')}`);
}

/**
 * Loads a K-means teacher from the folder that `mert kmeans train` wrote.
 *
 * @throws Error that says what of the folder is missing or does not fit.
 */
export async function loadKMeansTeacher(folder: string): Promise<CropTeacher> {
  const { sampleRate, hop, streams } = await readConfig(join(folder, KMEANS_CONFIG));
  const tensors = await readSafetensors(join(folder, WEIGHTS));
  const problems: string[] = [];
  const expected = new Set<string>();
  const take = (name: string, shape: number[]): Float32Array => {
    expected.add(name);
    const found = tensors.get(name);
    if (!found) problems.push(`${name} [${shape}] is missing`);
    else if (found.dtype !== 'F32' || found.shape.join() !== shape.join()) {
      problems.push(`${name} is ${found.dtype} [${found.shape}], expected F32 [${shape}]`);
    }
    return (found?.data ?? new Float32Array(0)) as Float32Array;
  };
  const loaded = streams.map(({ feature, clusters, standardised }): KMeansStream => {
    const { dimension } = features[feature];
    const centres = take(`${feature}.centres`, [clusters, dimension]);
    if (!standardised) return { feature, clusters, centres };
    const scale = { mean: take(`${feature}.mean`, [dimension]), deviation: take(`${feature}.deviation`, [dimension]) };
    return { feature, clusters, centres, scale };
  });
  for (const name of tensors.keys()) if (!expected.has(name)) problems.push(`${name} is not expected`);
  if (problems.length > 0)
    throw new Error(`${join(folder, WEIGHTS)}: does not fit ${KMEANS_CONFIG}:\n  ${problems.join('\n  ')}`);
  return createKMeansTeacher(sampleRate, hop, loaded);
}
