import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { nn } from '@dawnchorus/autograd';
import { loadTorchStateDict, readSafetensors, writeJson, writeSafetensors } from '@dawnchorus/formats';
import { makeFolder } from '../folders.ts';
import { checkAgainstChecksums } from '../training/checkpoints.ts';
import { Codec } from './codec.ts';
import { type CodecConfig, codecFromHuggingFace, codecToHuggingFace } from './config.ts';
import { inferConfig } from './infer.ts';
import { canonicalName } from './names.ts';
import { expectedTensors, fillCodec, type Weights } from './weights.ts';

/** The names that files of weights have, the better first; then any with these endings. */
const names = ['model.safetensors', 'pytorch_model.bin'];
const endings = ['.safetensors', '.th', '.pt', '.pth', '.bin'];

/** The file of weights in a folder, or the file itself. */
async function weightsPath(path: string): Promise<string> {
  const status = await stat(path).catch((cause) => {
    throw new Error(`${path}: there is no such file or folder; a codec's folder holds its weights and config.json`, {
      cause,
    });
  });
  if (!status.isDirectory()) return path;
  const files = (await readdir(path)).sort();
  const known = names.find((name) => files.includes(name));
  if (known) return join(path, known);
  for (const ending of endings) {
    const found = files.filter((name) => extname(name) === ending);
    if (found.length === 1) return join(path, found[0]);
    if (found.length > 1) {
      throw new Error(
        `${path}: has ${found.length} files ${ending} (${found.join(', ')}); give one of them as the model`,
      );
    }
  }
  throw new Error(`${path}: has no model.safetensors, and no other weights (${endings.join(' ')})`);
}

async function readWeights(path: string): Promise<Weights> {
  return extname(path) === '.safetensors' ? readSafetensors(path) : loadTorchStateDict(path);
}

async function readConfig(path: string): Promise<CodecConfig> {
  let json: unknown;
  try {
    json = JSON.parse(await readFile(path, 'utf8'));
  } catch (cause) {
    throw new Error(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  return codecFromHuggingFace(json, path);
}

/**
 * Loads EnCodec from a folder or a file of weights: Hugging Face's layout (model.safetensors or pytorch_model.bin, with
 * config.json) or encodec's own (a `.th` file), with weight norm in any of its spellings. Without a config.json the shapes
 * tell the architecture. Weights beside a checksums.json are held against it.
 *
 * @throws Error that lists all tensors that are missing, unknown or of another shape.
 */
export async function loadCodec(path: string): Promise<Codec> {
  const file = await weightsPath(path);
  if (file !== path) await checkAgainstChecksums(path, basename(file));
  const weights = await readWeights(file);
  const beside = file === path ? undefined : join(path, 'config.json');
  const config =
    beside !== undefined && existsSync(beside)
      ? await readConfig(beside)
      : inferConfig(new Map([...weights].map(([name, { shape }]) => [canonicalName(name), shape])));
  const codec = new Codec(config, nn.keySequence(0));
  try {
    fillCodec(codec, weights, file);
  } catch (error) {
    codec.dispose();
    throw error;
  }
  return codec;
}

/** Fills a codec from a folder that `saveCodec` wrote. */
export async function readCodecInto(codec: Codec, folder: string): Promise<void> {
  const file = join(folder, 'model.safetensors');
  fillCodec(codec, await readSafetensors(file), file);
}

/** Writes a codec as a folder in Hugging Face's layout: config.json, preprocessor_config.json, model.safetensors. */
export async function saveCodec(folder: string, codec: Codec): Promise<void> {
  await makeFolder(folder);
  const { config, preprocessor } = codecToHuggingFace(codec.config);
  await writeSafetensors(
    join(folder, 'model.safetensors'),
    expectedTensors(codec).map(({ name, shape, tensor }) => [
      name,
      {
        dtype: 'F32' as const,
        shape: [...shape],
        data: async () => (tensor ? ((await tensor.data()) as Float32Array) : Float32Array.of(1)),
      },
    ]),
    { format: 'pt' },
  );
  await writeJson(join(folder, 'config.json'), config);
  await writeJson(join(folder, 'preprocessor_config.json'), preprocessor);
}
