import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { writeJson, writeSafetensors } from '@dawnchorus/formats';
import { fromHuggingFace } from '../config/index.ts';
import { makeFolder, modelFileNames } from '../folders.ts';
import type { ModelFiles } from './read.ts';

/** How to write a model. */
export interface SaveOptions {
  /**
   * Whose model the folder says it is: `hubert` (default) loads by `HubertModel` and `AutoModel` of transformers without
   * any other code; `mert` is as the released folders are, whose `AutoModel` needs their modeling_MERT.py.
   */
  as?: 'hubert' | 'mert';
  /** Of the tensors; default f32. */
  dtype?: 'f32' | 'f16';
}

/** What transformers' HubertConfig knows of these, in its own words. */
const kinds = {
  hubert: { model_type: 'hubert', architectures: ['HubertModel'] },
  mert: { model_type: 'mert_model', architectures: ['MERTModel'] },
} as const;

/**
 * Writes a model as a folder that transformers loads: config.json, preprocessor_config.json, model.safetensors, and
 * heads.safetensors where there are heads.
 *
 * @throws Error when it is to be a HuBERT and has what that has not: a constant-Q input, or DeepNorm; when the folder holds a
 *   model already; and when a weight is too large for f16. Nothing was written then.
 */
export async function saveModel(folder: string, model: ModelFiles, { as = 'hubert', dtype = 'f32' }: SaveOptions = {}) {
  // Settings that do not make a model are found before anything is written.
  fromHuggingFace(model.config, model.preprocessor);
  const { config } = model;
  const beyond = ['feature_extractor_cqt', 'deepnorm'].filter((key) => config[key] === true);
  if (as === 'hubert' && beyond.length > 0) {
    throw new Error(`${folder}: a HuBERT has no ${beyond.join(' and no ')}; write it as mert`);
  }
  const there = modelFileNames.find((name) => existsSync(join(folder, name)));
  if (there) {
    throw new Error(`${folder}: holds a model already (${there}), which is not overwritten; choose another folder`);
  }
  if (dtype === 'f16') checkHalves(model);
  await makeFolder(folder);
  const { auto_map: _, ...rest } = config;
  const type = dtype === 'f16' ? 'float16' : 'float32';
  await writeTensors(join(folder, 'model.safetensors'), model.weights, dtype);
  // Heads are for going on with training, which is done in f32.
  if (model.heads.size > 0) await writeTensors(join(folder, 'heads.safetensors'), model.heads, 'f32');
  await writeJson(join(folder, 'config.json'), {
    ...rest,
    ...kinds[as],
    // transformers reads this of every model of the family from 4.48 on.
    conv_pos_batch_norm: false,
    // The first is read by transformers from version 5 on, the second by those before.
    dtype: type,
    torch_dtype: type,
    ...(model.dictionaries && { label_symbols: model.dictionaries }),
  });
  await writeJson(join(folder, 'preprocessor_config.json'), model.preprocessor);
}

/** @throws Error that names the first weight that no half can hold. */
function checkHalves({ path, weights }: ModelFiles): void {
  for (const [name, { data }] of weights) {
    const at = (data as Float32Array).findIndex((value) => Math.abs(value) >= HALF_OVERFLOW);
    if (at >= 0)
      throw new Error(`${path}: element ${at} of ${name} is ${data[at]}, too large for f16; write it as f32`);
  }
}

/** What rounds to the infinity of halves. */
const HALF_OVERFLOW = 65520;

function writeTensors(path: string, tensors: ModelFiles['weights'], dtype: 'f32' | 'f16'): Promise<void> {
  const type = dtype === 'f16' ? ('F16' as const) : ('F32' as const);
  return writeSafetensors(
    path,
    [...tensors].map(([name, { shape, data }]) => [
      name,
      { dtype: type, shape: [...shape], data: data as Float32Array },
    ]),
    // transformers refuses a file that does not say this.
    { format: 'pt' },
  );
}
