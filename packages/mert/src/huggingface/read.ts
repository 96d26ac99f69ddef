import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { openSafetensors, openTorch, type SafetensorsTensor } from '@dawnchorus/formats';
import { fromHuggingFace, type HuggingFaceFiles, type ModelConfig } from '../config/index.ts';
import { indexOf, weightNames } from '../folders.ts';
import { checkWeights } from '../model/shapes.ts';
import { checkAgainstChecksums } from '../training/checkpoints.ts';
import { dictionariesOf, fairseqFiles } from './fairseq.ts';
import { canonicalName, isBeside, isFairseq, isHead } from './names.ts';

/** A model as its files have it, before any of it is on the device. */
export interface ModelFiles extends HuggingFaceFiles {
  /** The file of weights, or the first of several. */
  path: string;
  /** The student's tensors, and whatever else is there that is no known part of a model, by the names inside. */
  weights: Map<string, SafetensorsTensor>;
  /** The heads of pretraining, where they are: `final_proj.weight`, `label_embs_concat`, `encoder_cqt_model.fc.weight`, … */
  heads: Map<string, SafetensorsTensor>;
  /** Symbols of the classes of each codebook, as a fairseq checkpoint lists them. */
  dictionaries?: string[][];
}

async function readJson(path: string): Promise<Record<string, unknown>> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (cause) {
    throw new Error(
      `${path}: cannot be read; a model folder holds config.json, preprocessor_config.json and the weights`,
      { cause },
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new Error(`${path}: holds ${text.trim().slice(0, 40)}; expected an object of settings: { … }`);
  }
  return value as Record<string, unknown>;
}

/** From version 5 on, transformers writes what a processor holds into one file. */
async function readPreprocessor(folder: string): Promise<Record<string, unknown>> {
  const [own, whole] = ['preprocessor_config.json', 'processor_config.json'].map((name) => join(folder, name));
  if (existsSync(own) || !existsSync(whole)) return readJson(own);
  const { feature_extractor: inside } = await readJson(whole);
  if (typeof inside === 'object' && inside !== null) return inside as Record<string, unknown>;
  throw new Error(`${whole}: has no feature_extractor, and there is no preprocessor_config.json`);
}

/** The file of weights, or those that they are shared out over. */
async function findWeights(folder: string): Promise<string[]> {
  const known = weightNames.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (known) return [known];
  const index = weightNames.map((name) => join(folder, indexOf(name))).find((path) => existsSync(path));
  if (index) return sharesOf(folder, index);
  const others = (await readdir(folder)).filter((name) => extname(name) === '.pt').sort();
  if (others.length === 1) return [join(folder, others[0])];
  throw new Error(
    `${join(folder, weightNames[0])}: missing, and there is no pytorch_model.bin either` +
      (others.length > 1 ? `; of the .pt files give one as the model: ${others.join(', ')}` : ''),
  );
}

/** The files that an index of Hugging Face's lists: `weight_map` from tensors to the files that hold them. */
async function sharesOf(folder: string, index: string): Promise<string[]> {
  const { weight_map: map } = await readJson(index);
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  // Files of this folder alone.
  const odd = names.find((name) => typeof name !== 'string' || basename(name) !== name);
  if (names.length === 0 || odd !== undefined) {
    throw new Error(
      `${index}: ${odd === undefined ? 'has no weight_map' : `names the file ${JSON.stringify(odd)}`}; expected the name of a file beside it for each tensor`,
    );
  }
  const paths = names.map((name) => join(folder, name as string));
  const missing = paths.find((path) => !existsSync(path));
  if (missing) throw new Error(`${missing}: missing; ${basename(index)} says that it holds weights`);
  return paths;
}

/** The tensors of all files together. */
async function readAll(paths: readonly string[]) {
  const [first, ...rest] = await Promise.all(paths.map(readTensors));
  for (const [i, own] of rest.entries()) {
    for (const part of ['weights', 'heads'] as const) {
      for (const [name, tensor] of own[part]) {
        if (first[part].has(name)) throw new Error(`${paths[i + 1]}: ${name} is in another file, too; keep one`);
        first[part].set(name, tensor);
      }
    }
  }
  return first;
}

/** Doubles are weights like others, and floats here, as halves are. */
function asFloats(tensor: SafetensorsTensor): SafetensorsTensor {
  return tensor.data instanceof Float64Array
    ? { ...tensor, dtype: 'F32', data: Float32Array.from(tensor.data) }
    : tensor;
}

async function readTensors(path: string) {
  const file = extname(path) === '.safetensors' ? await openSafetensors(path) : await openTorch(path);
  await using _closed = { [Symbol.asyncDispose]: () => file.close() };
  const all = [...file.tensors.keys()];
  // A training run keeps its state beside the model; a bare state dict is the model.
  const inside = all.some((name) => name.startsWith('model.')) && 'content' in file;
  const names = inside ? all.filter((name) => name.startsWith('model.')) : all;
  const fairseq = isFairseq(names);
  const weights = new Map<string, SafetensorsTensor>();
  const heads = new Map<string, SafetensorsTensor>();
  for (const name of names) {
    const own = canonicalName(inside ? name.slice('model.'.length) : name, fairseq);
    if (isBeside(own)) continue;
    const into = isHead(own) ? heads : weights;
    if (into.has(own)) throw new Error(`${path}: has ${own} twice, under two spellings; keep one`);
    into.set(own, asFloats(await file.read(name)));
  }
  return { weights, heads, fairseq, content: 'content' in file ? file.content : undefined };
}

async function readHeads(folder: string): Promise<Map<string, SafetensorsTensor>> {
  const heads = new Map<string, SafetensorsTensor>();
  const path = ['heads.safetensors', 'training.safetensors']
    .map((name) => join(folder, name))
    .find((p) => existsSync(p));
  if (path === undefined) return heads;
  const file = await openSafetensors(path);
  try {
    for (const name of file.tensors.keys()) if (isHead(name)) heads.set(name, await file.read(name));
  } finally {
    await file.close();
  }
  return heads;
}

/** The model that the files speak of. @throws Error that names the folder. */
function settingsOf(files: HuggingFaceFiles, folder: string): ModelConfig {
  try {
    return fromHuggingFace(files.config, files.preprocessor);
  } catch (cause) {
    throw Object.assign(new Error(`${folder}: ${(cause as Error).message}`, { cause }), { name: 'ConfigError' });
  }
}

/**
 * Reads a model: a folder in Hugging Face's MERT or HuBERT layout (config.json, preprocessor_config.json, and
 * model.safetensors or pytorch_model.bin, whole or in several files, with weight norm in either spelling), or a fairseq
 * checkpoint, alone or with those two files beside it. Heads are found in the checkpoint, in heads.safetensors or in the state of a run of
 * `mert pretrain`.
 *
 * @throws Error that says which file is missing or what in it is wrong, and lists all weights that do not fit the settings or
 *   are not finite.
 */
export async function readModelFiles(path: string): Promise<ModelFiles> {
  const status = await stat(path).catch((cause) => {
    throw new Error(
      `${path}: cannot be read; a model folder holds config.json, preprocessor_config.json and the weights`,
      { cause },
    );
  });
  const folder = status.isDirectory() ? path : dirname(path);
  const configPath = join(folder, 'config.json');
  // Of a folder without any, the missing configuration is the better message.
  if (
    status.isDirectory() &&
    !existsSync(configPath) &&
    !(await readdir(folder)).some((name) => name.endsWith('.pt'))
  ) {
    await readJson(configPath);
  }
  const json =
    existsSync(configPath) && (status.isDirectory() || extname(path) !== '.pt')
      ? { config: await readJson(configPath), preprocessor: await readPreprocessor(folder) }
      : undefined;
  const shares = status.isDirectory() ? await findWeights(folder) : [path];
  const [file] = shares;
  if (status.isDirectory()) for (const share of shares) await checkAgainstChecksums(folder, basename(share));
  const { weights, heads, fairseq, content } = await readAll(shares);
  if (!json && !fairseq) {
    throw new Error(
      `${basename(file)} of ${folder}: has no config.json and preprocessor_config.json beside it, and is no fairseq ` +
        'checkpoint, which would hold its own settings',
    );
  }
  const shapes = new Map([...weights, ...heads].map(([name, { shape }]) => [name, shape]));
  const files = json ?? fairseqFiles(content, shapes, file);
  if (heads.size === 0) for (const [name, tensor] of await readHeads(folder)) heads.set(name, tensor);
  checkWeights(settingsOf(files, folder), weights, file);
  const dictionaries = dictionariesOf(content);
  return { ...files, path: file, weights, heads, ...(dictionaries && { dictionaries }) };
}
