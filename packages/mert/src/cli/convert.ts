import type { Command } from 'commander';
import { checkNotInput } from '../folders.ts';
import { readModelFiles } from '../huggingface/read.ts';
import { saveModel } from '../huggingface/save.ts';
import { oneOf } from './arguments.ts';

interface Options {
  model: string;
  out: string;
  as: string;
  dtype: string;
}

/** Writes a model in another layout. */
async function convertCommand({ model, out, as, dtype }: Options): Promise<void> {
  const options = {
    as: oneOf('--as', as, ['hubert', 'mert'] as const),
    dtype: oneOf('--dtype', dtype, ['f32', 'f16'] as const),
  };
  checkNotInput('--out', out, [], model);
  const files = await readModelFiles(model);
  await saveModel(out, files, options);
  const heads = files.heads.size > 0 ? `, ${files.heads.size} tensors of heads` : '';
  console.error(`wrote ${out}: ${files.weights.size} tensors of the student${heads}, as ${as}, ${dtype}`);
}

/** `mert convert` */
export function addConvertCommand(program: Command): void {
  program
    .command('convert')
    .description('write a model, fairseq’s checkpoints too, as a folder that Hugging Face’s transformers loads')
    .requiredOption('--model <path>', 'model folder, or a fairseq checkpoint (.pt)')
    .requiredOption('--out <dir>', 'where the folder goes')
    .option('--as <kind>', 'hubert: loads by HubertModel and AutoModel; mert: as the released folders are', 'hubert')
    .option('--dtype <type>', 'f32 or f16', 'f32')
    .action(convertCommand);
}
