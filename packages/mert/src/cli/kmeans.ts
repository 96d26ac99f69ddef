import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { streamAudio } from '@dawnchorus/dsp';
import { writeNpy } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { Command } from 'commander';
import { dataFolders } from '../data/dataset.ts';
import { checkNotInput, checkOutputFile, makeFolder } from '../folders.ts';
import { type FeatureName, featureNames, features } from '../kmeans/features.ts';
import { createKMeansTeacher, loadKMeansTeacher, saveKMeans } from '../kmeans/teacher.ts';
import { trainKMeans } from '../kmeans/train.ts';
import { labelRecording } from '../labels/teacher.ts';
import { createProgress } from '../training/progress.ts';
import { fromOne, fromZero } from './arguments.ts';

interface TrainOptions {
  data: string;
  out: string;
  features: string;
  clusters?: number[];
  rows: number;
  method: string;
  batch?: number;
  epochs?: number;
  standardise?: boolean;
  seed: number;
  sampleRate: number;
  hop: number;
}

/** What --features and --clusters say. */
function streamsOf({ features: text, clusters: counts }: TrainOptions): { feature: FeatureName; clusters: number }[] {
  const names = text.split(',').map((name) => name.trim());
  if (counts && counts.length !== names.length) {
    throw new Error(`--clusters ${counts}: expected as many numbers as features, ${names.length}`);
  }
  if (new Set(names).size !== names.length) throw new Error(`--features ${text}: names one twice`);
  return names.map((name, i) => {
    const feature = featureNames.find((known) => known === name);
    if (!feature) throw new Error(`--features ${text}: there is no "${name}"; expected ${featureNames.join(', ')}`);
    return { feature, clusters: counts ? counts[i] : features[feature].clusters };
  });
}

/** Trains a K-means teacher and says how its clusters are used. */
async function trainCommand(options: TrainOptions): Promise<void> {
  const { data, out, rows, method, batch, epochs, standardise, seed, sampleRate, hop } = options;
  const streams = streamsOf(options);
  if (method !== 'minibatch' && method !== 'lloyd') throw new Error(`--method ${method}: expected minibatch or lloyd`);
  if (existsSync(join(out, 'kmeans.json')))
    throw new Error(`${out}: already holds a K-means teacher; choose another --out`);
  await makeFolder(out);
  const device = await openDevice();
  try {
    let progress: ReturnType<typeof createProgress> | undefined;
    let of: FeatureName | undefined;
    const batches = Math.ceil(((epochs ?? 100) * rows) / Math.min(rows, batch ?? 10_000));
    const result = await trainKMeans({
      ...{ device, data: dataFolders(data).train, streams, rows, method, standardise, seed, sampleRate, hop },
      ...{ batchSize: batch, maxEpochs: epochs },
      log: (line) => console.error(line),
      onStep({ feature, step, inertia }) {
        if (feature !== of) progress?.end();
        if (feature !== of) progress = createProgress({ label: feature, total: method === 'lloyd' ? step : batches });
        of = feature;
        progress?.update(step, `inertia ${inertia.toPrecision(5)}`);
      },
    });
    progress?.end();
    await saveKMeans(out, result);
    for (const { path, reason } of result.skipped) console.error(`  left out ${path}: ${reason}`);
    for (const { feature, clusters, inertia, variance, perplexity, used } of result.reports) {
      console.error(
        `${feature}: ${used} of ${clusters} clusters in use, perplexity ${perplexity.toFixed(1)}, inertia ${inertia.toPrecision(4)} ` +
          `a frame (${((100 * inertia) / variance).toFixed(1)} % of the variance)`,
      );
    }
    const teacher = createKMeansTeacher(sampleRate, hop, result.streams);
    console.error(`wrote ${out}: teacher kmeans ${teacher.hash.slice(0, 12)}`);
    teacher.dispose();
  } finally {
    device.close();
  }
}

/** Writes the labels of a file: int32 [codebooks, frames]. */
async function labelCommand({ model, input, out }: { model: string; input: string; out: string }): Promise<void> {
  await checkOutputFile('--out', out, '.npy');
  checkNotInput('--out', out, [input]);
  const device = await openDevice();
  try {
    const teacher = await loadKMeansTeacher(model);
    const { sampleRate } = teacher;
    const labels = await streamAudio(input, { sampleRate }, (audio) => labelRecording(teacher, audio));
    const codebooks = teacher.codebooks.length;
    await writeNpy(out, labels, [codebooks, labels.length / codebooks]);
    console.error(`wrote ${out}: int32 [${codebooks}, ${labels.length / codebooks}]`);
  } finally {
    device.close();
  }
}

/** `mert kmeans …` */
export function kmeansCommand(): Command {
  const command = new Command('kmeans').description('K-means teachers: clusters of log-mel, chroma or MFCC frames');
  command
    .command('train')
    .description('cluster the frames of a folder of music; train/ and valid/ in it are kept apart')
    .requiredOption('--data <dir>', 'folder of music, searched recursively')
    .requiredOption('--out <dir>', 'where the teacher goes: kmeans.json and kmeans.safetensors')
    .option('--features <names>', `of ${featureNames.join(', ')}: a codebook for each`, 'logmel,chroma')
    .option('--clusters <numbers>', 'for each feature (default: logmel 300, chroma 200, mfcc 100)', (text) =>
      text.split(',').map(fromOne),
    )
    .option('--rows <n>', 'frames that are drawn from the music and clustered', fromOne, 50_000)
    .option('--method <name>', 'minibatch, or lloyd over all rows', 'minibatch')
    .option('--batch <n>', 'frames of a minibatch (default: 10000)', fromOne)
    .option('--epochs <n>', 'passes over the rows at most (default: 100; 300 of lloyd)', fromOne)
    .option('--standardise', 'bring each dimension to zero mean and unit variance first')
    .option('--seed <n>', 'seed of every random draw', fromZero, 0)
    .option('--sample-rate <hz>', 'that the music is brought to', fromOne, 24000)
    .option('--hop <samples>', 'between neighbouring frames', fromOne, 320)
    .action(trainCommand);
  command
    .command('label')
    .description('the labels of an audio file, int32 [codebooks, frames], as a NumPy file')
    .requiredOption('--model <dir>', 'the teacher’s folder')
    .requiredOption('--input <file>', 'audio: wav, flac, mp3, ogg or opus')
    .requiredOption('--out <file>', 'where the .npy goes')
    .action(labelCommand);
  return command;
}
