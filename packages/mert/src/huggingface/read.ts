import { existsSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { openSafetensors, openTorch, type SafetensorsTensor } from '@dawnchorus/formats';
import type { HuggingFaceFiles } from '../config/index.ts';
import { checkAgainstChecksums } from '../training/checkpoints.ts';
import { dictionariesOf, fairseqFiles } from './fairseq.ts';
import { canonicalName, isBeside, isFairseq, isHead } from './names.ts';

/** A model as its files have it, before any of it is on the device. */
export interface ModelFiles extends HuggingFaceFiles {
  /** The file of weights. */
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
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw new Error(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Names that Hugging Face gives to files of weights, the better first. */
const weightNames = ['model.safetensors', 'pytorch_model.bin'];

async function findWeights(folder: string): Promise<string> {
  const known = weightNames.map((name) => join(folder, name)).find((path) => existsSync(path));
  if (known) return known;
  const sharded = weightNames.map((name) => join(folder, `${name}.index.json`)).find((path) => existsSync(path));
  if (sharded) throw new Error(`${sharded}: weights in several files are not read; save them in one`);
  const others = (await readdir(folder)).filter((name) => extname(name) === '.pt').sort();
  if (others.length === 1) return join(folder, others[0]);
  throw new Error(
    `${join(folder, weightNames[0])}: missing, and there is no pytorch_model.bin either` +
      (others.length > 1 ? `; of the .pt files give one as the model: ${others.join(', ')}` : ''),
  );
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
    into.set(own, await file.read(name));
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

/**
 * Reads a model: a folder in Hugging Face's MERT or HuBERT layout (config.json, preprocessor_config.json, and
 * model.safetensors or pytorch_model.bin, with weight norm in either spelling), or a fairseq checkpoint, alone or with
 * those two files beside it. Heads are found in the checkpoint, in heads.safetensors or in the state of a run of
 * `mert pretrain`.
 *
 * @throws Error that says which file is missing or what in it is wrong.
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
      ? { config: await readJson(configPath), preprocessor: await readJson(join(folder, 'preprocessor_config.json')) }
      : undefined;
  const file = status.isDirectory() ? await findWeights(folder) : path;
  if (status.isDirectory()) await checkAgainstChecksums(folder, basename(file));
  const { weights, heads, fairseq, content } = await readTensors(file);
  if (!json && !fairseq) {
    throw new Error(
      `${basename(file)} of ${folder}: has no config.json and preprocessor_config.json beside it, and is no fairseq ` +
        'checkpoint, which would hold its own settings',
    );
  }
  const shapes = new Map([...weights, ...heads].map(([name, { shape }]) => [name, shape]));
  const files = json ?? fairseqFiles(content, shapes, file);
  if (heads.size === 0) for (const [name, tensor] of await readHeads(folder)) heads.set(name, tensor);
  const dictionaries = dictionariesOf(content);
  return { ...files, path: file, weights, heads, ...(dictionaries && { dictionaries }) };
}
