import { openSafetensors, openTorch, type SafetensorsTensor } from '@dawnchorus/formats';
import { openModelFolder } from '#files';
import { fromHuggingFace, type HuggingFaceFiles, type ModelConfig } from '../config/index.ts';
import { checkWeights } from '../model/shapes.ts';
import { dictionariesOf, fairseqFiles } from './fairseq.ts';
import { indexOf, type ModelFolder, modelInMemory, notAModel, weightNames } from './folder.ts';
import { canonicalName, isBeside, isFairseq, isHead } from './names.ts';

/**
 * Where a model is: the path of its folder or of a fairseq checkpoint, in a browser their address; or the bytes of its files by
 * name, e.g. `{ 'config.json': …, 'preprocessor_config.json': …, 'model.safetensors': … }`.
 */
export type ModelPlace = string | Readonly<Record<string, Uint8Array>>;

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

async function readJson(folder: ModelFolder, name: string): Promise<Record<string, unknown>> {
  const path = folder.pathOf(name);
  const bytes = await folder.read(name).catch((cause) => {
    throw notAModel(path, cause);
  });
  const text = new TextDecoder().decode(bytes);
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
async function readPreprocessor(folder: ModelFolder): Promise<Record<string, unknown>> {
  const [own, whole] = ['preprocessor_config.json', 'processor_config.json'];
  if ((await folder.has(own)) || !(await folder.has(whole))) return readJson(folder, own);
  const { feature_extractor: inside } = await readJson(folder, whole);
  if (typeof inside === 'object' && inside !== null) return inside as Record<string, unknown>;
  throw new Error(`${folder.pathOf(whole)}: has no feature_extractor, and there is no preprocessor_config.json`);
}

async function firstOf(folder: ModelFolder, names: readonly string[]): Promise<string | undefined> {
  for (const name of names) if (await folder.has(name)) return name;
  return undefined;
}

/** The file of weights, or those that they are shared out over. */
async function findWeights(folder: ModelFolder): Promise<string[]> {
  const known = await firstOf(folder, weightNames);
  if (known) return [known];
  const index = await firstOf(folder, weightNames.map(indexOf));
  if (index) return sharesOf(folder, index);
  const others = await folder.checkpoints();
  if (others.length === 1) return others;
  throw new Error(
    `${folder.pathOf(weightNames[0])}: missing, and there is no pytorch_model.bin either` +
      (others.length > 1 ? `; of the .pt files give one as the model: ${others.join(', ')}` : ''),
  );
}

/** The files that an index of Hugging Face's lists: `weight_map` from tensors to the files that hold them. */
async function sharesOf(folder: ModelFolder, index: string): Promise<string[]> {
  const { weight_map: map } = await readJson(folder, index);
  const names = typeof map === 'object' && map !== null ? [...new Set(Object.values(map))] : [];
  // Files of this folder alone.
  const odd = names.find((name) => typeof name !== 'string' || /[\\/]/.test(name) || name === '..');
  if (names.length === 0 || odd !== undefined) {
    throw new Error(
      `${folder.pathOf(index)}: ${odd === undefined ? 'has no weight_map' : `names the file ${JSON.stringify(odd)}`}; expected the name of a file beside it for each tensor`,
    );
  }
  for (const name of names) {
    if (!(await folder.has(name)))
      throw new Error(`${folder.pathOf(name)}: missing; ${index} says that it holds weights`);
  }
  return names;
}

/** The tensors of all files together. */
async function readAll(folder: ModelFolder, names: readonly string[]) {
  const [first, ...rest] = await Promise.all(names.map((name) => readTensors(folder, name)));
  for (const [i, own] of rest.entries()) {
    for (const part of ['weights', 'heads'] as const) {
      for (const [name, tensor] of own[part]) {
        if (first[part].has(name)) {
          throw new Error(`${folder.pathOf(names[i + 1])}: ${name} is in another file, too; keep one`);
        }
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

async function readTensors(folder: ModelFolder, fileName: string) {
  await folder.verify(fileName);
  const source = await folder.open(fileName);
  const file = fileName.endsWith('.safetensors') ? await openSafetensors(source) : await openTorch(source);
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
    if (into.has(own)) throw new Error(`${folder.pathOf(fileName)}: has ${own} twice, under two spellings; keep one`);
    into.set(own, asFloats(await file.read(name)));
  }
  return { weights, heads, fairseq, content: 'content' in file ? file.content : undefined };
}

async function readHeads(folder: ModelFolder): Promise<Map<string, SafetensorsTensor>> {
  const heads = new Map<string, SafetensorsTensor>();
  const name = await firstOf(folder, folder.heads);
  if (name === undefined) return heads;
  const file = await openSafetensors(await folder.open(name));
  try {
    for (const own of file.tensors.keys()) if (isHead(own)) heads.set(own, await file.read(own));
  } finally {
    await file.close();
  }
  return heads;
}

/** The model that the files speak of. @throws Error that names the folder. */
function settingsOf(files: HuggingFaceFiles, { path }: ModelFolder): ModelConfig {
  try {
    return fromHuggingFace(files.config, files.preprocessor);
  } catch (cause) {
    throw Object.assign(new Error(`${path}: ${(cause as Error).message}`, { cause }), { name: 'ConfigError' });
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
export async function readModelFiles(model: ModelPlace): Promise<ModelFiles> {
  const folder = typeof model === 'string' ? await openModelFolder(model) : modelInMemory(model);
  const { file: named } = folder;
  const hasSettings = await folder.has('config.json');
  // Of a folder without any, the missing configuration is the better message.
  if (!named && !hasSettings && (await folder.checkpoints()).length === 0) await readJson(folder, 'config.json');
  const json =
    hasSettings && !named?.endsWith('.pt')
      ? { config: await readJson(folder, 'config.json'), preprocessor: await readPreprocessor(folder) }
      : undefined;
  const shares = named ? [named] : await findWeights(folder);
  const path = folder.pathOf(shares[0]);
  const { weights, heads, fairseq, content } = await readAll(folder, shares);
  if (!json && !fairseq) {
    throw new Error(
      `${shares[0]} of ${folder.path}: has no config.json and preprocessor_config.json beside it, and is no fairseq ` +
        'checkpoint, which would hold its own settings',
    );
  }
  const shapes = new Map([...weights, ...heads].map(([name, { shape }]) => [name, shape]));
  const files = json ?? fairseqFiles(content, shapes, path);
  if (heads.size === 0) for (const [name, tensor] of await readHeads(folder)) heads.set(name, tensor);
  checkWeights(settingsOf(files, folder), weights, path);
  const dictionaries = dictionariesOf(content);
  return { ...files, path, weights, heads, ...(dictionaries && { dictionaries }) };
}
