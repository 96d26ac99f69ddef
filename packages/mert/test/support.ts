import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeWav } from '@dawnchorus/dsp';
import { readSafetensors } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { loadConfig, type PretrainConfig } from '../src/config/index.ts';
import '../../tensor/test/seed.ts';

/** What Node is given to run a TypeScript file of the repository, which comes next. */
export const runner = fileURLToPath(new URL('../../../scripts/run.mjs', import.meta.url));

export { relativeError } from '../../dsp/test/golden.ts';

/** A device, opened without a word. */
export const openTestDevice = () => openDevice({ log: () => {} });

export const goldenPath = (name: string): string => fileURLToPath(new URL(`golden/${name}`, import.meta.url));

/** The float or integer arrays of a safetensors file in golden/, by name. */
export async function goldenArrays(name: string): Promise<(key: string) => Float32Array> {
  const tensors = await readSafetensors(goldenPath(name));
  return (key) => {
    const found = tensors.get(key);
    if (!found) throw new Error(`${name} holds no ${key}`);
    return found.data as Float32Array;
  };
}

/** A folder that goes when the process ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mert-test-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export async function messageOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected an error');
}

/** A sine with a few overtones whose pitch depends on `seed`, in [-1, 1]. */
export function tone(samples: number, seed: number, sampleRate = 24000): Float32Array {
  const frequency = 110 * 2 ** (((seed * 7) % 24) / 12);
  return Float32Array.from({ length: samples }, (_, n) => {
    const angle = (2 * Math.PI * frequency * n) / sampleRate;
    return 0.5 * Math.sin(angle) + 0.2 * Math.sin(2 * angle + seed) + 0.1 * Math.sin(3 * angle);
  });
}

/** A WAV file of a few samples at 24 kHz whose RF64 header promises 2^59 of them. */
export function endlessWav(): Buffer {
  const wav = Buffer.from(encodeWav(tone(9000, 1), 24000));
  wav.writeUInt32LE(0xffffffff, 40);
  const sizes = Buffer.from(`ds64\x1c${'\0'.repeat(31)}`, 'latin1');
  sizes.writeBigUInt64LE(2n ** 60n, 16);
  return Buffer.concat([Buffer.from('RF64\xff\xff\xff\xffWAVE', 'latin1'), sizes, wav.subarray(12)]);
}

export function writeFile(path: string, bytes: Uint8Array | string): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, bytes);
  return path;
}

/** Writes a mono 24 kHz WAV file, folders included. */
export const writeTone = (path: string, seconds: number, seed: number): string =>
  writeFile(path, encodeWav(tone(Math.round(seconds * 24000), seed), 24000));

/** Options that make a pretraining small enough for a test. */
export const tinySettings = [
  'audio.cropSeconds=0.5',
  'model.hiddenSize=32',
  'model.numHiddenLayers=2',
  'model.numAttentionHeads=2',
  'model.intermediateSize=64',
  'model.convDim=[8, 8, 8, 8, 8, 8, 8]',
  'model.numConvPosEmbeddings=16',
  'model.numConvPosEmbeddingGroups=4',
  'model.finalDim=8',
  'targets.specialClasses=0',
  'mixture.lengthRange=[2000, 4000]',
  'rvq.numCodebooks=2',
  'rvq.codebookSize=8',
  'rvq.dimension=8',
  'rvq.channels=4',
  'rvq.steps=6',
  'rvq.batchSize=2',
  'rvq.cropSeconds=0.25',
  'optimizer.warmupSteps=2',
  'optimizer.learningRate=0.002',
  'training.steps=6',
  'training.batchSize=2',
  'checkpoint.every=0',
];

export const tinyConfig = (...more: string[]): PretrainConfig => loadConfig({ set: [...tinySettings, ...more] });
