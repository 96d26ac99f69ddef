import { extname } from 'node:path';
import { openDevice } from '@dawnchorus/tensor';
import type { Command } from 'commander';
import { embedFiles } from '../embed/files.ts';
import { parseLayers } from '../embed/layers.ts';
import { embedFormats } from '../embed/outputs.ts';
import { checkNotInput } from '../folders.ts';
import { loadPretrained } from '../model/pretrained.ts';
import { createProgress } from '../training/progress.ts';
import { aboveZero, collect, fromOne, oneOf, seconds } from './arguments.ts';
import { untilInterrupted } from './interrupt.ts';

interface Options {
  model: string;
  input: string[];
  out: string;
  layers: string;
  pool: string;
  window: number;
  overlap: number;
  batch?: number;
  resample: string;
  format?: string;
  dtype: string;
  skipExisting?: boolean;
  json?: boolean;
}

/** Files that are named one by one. */
const NAMED = 20;

/** Writes hidden states of files. */
async function embedCommand(options: Options): Promise<void> {
  const layers = parseLayers(options.layers);
  const pool = oneOf('--pool', options.pool, ['none', 'mean', 'max'] as const);
  const resample = oneOf('--resample', options.resample, ['kaiser64', 'hann6', 'never'] as const);
  const dtype = oneOf('--dtype', options.dtype, ['f32', 'f16'] as const);
  const format = options.format === undefined ? undefined : oneOf('--format', options.format, embedFormats);
  checkNotInput('--out', options.out, [], options.model);
  const device = await openDevice();
  const interrupt = untilInterrupted('this file');
  const log = (line: string) => console.error(line);
  let progress: ReturnType<typeof createProgress> | undefined;
  try {
    const model = await loadPretrained(options.model);
    const { input, out, window, overlap, batch, skipExisting } = options;
    const result = await embedFiles({
      ...{ model, inputs: input, out, layers, pool, window, overlap, batch, resample, format, skipExisting, log },
      dtype: dtype === 'f16' ? 'F16' : 'F32',
      stopped: interrupt.stopped,
      onFile(number, total) {
        if (total === 1) return;
        progress ??= createProgress({ label: 'embed', total });
        progress.update(number, '');
      },
    });
    progress?.end();
    const { written, skipped, existing } = result;
    for (const { path, reason } of skipped.slice(0, NAMED)) log(`  left out ${path}: ${reason}`);
    if (skipped.length > NAMED) log(`  and ${skipped.length - NAMED} more`);
    if (options.json) console.log(JSON.stringify(result));
    if (!result.finished) {
      log(
        extname(out) === '.parquet' && written.length === 0
          ? `stopped: ${out} was not written, since half a table would look like a whole one; a folder as --out can go on`
          : `stopped: ${written.length} files written; with --skip-existing the same command goes on`,
      );
      process.exitCode = 130;
      return;
    }
    if (written.length + existing === 0) throw new Error(`${input.join(', ')}: none of the files can be used`);
    const [first] = written;
    const type = `float${dtype === 'f16' ? 16 : 32}`;
    if (written.length === 1 && skipped.length + existing === 0)
      log(`wrote ${out}: ${type} [${first.shape.join(', ')}]`);
    else log(`wrote ${out}: ${written.length} files, ${existing} were there, ${skipped.length} left out`);
  } finally {
    interrupt.dispose();
    device.close();
  }
}

/** `mert embed` */
export function addEmbedCommand(program: Command): void {
  program
    .command('embed')
    .description('hidden states of audio files of any length, as NumPy, safetensors or parquet files')
    .requiredOption(
      '--model <path>',
      'model folder in Hugging Face’s MERT layout, e.g. OUT/checkpoint; or a fairseq .pt',
    )
    .requiredOption(
      '--input <file>',
      'audio (wav, flac, mp3, ogg or opus), a folder of it, a manifest or an archive; may be given more than once',
      collect,
    )
    .requiredOption('--out <path>', 'a .npy, .safetensors or .parquet; of several files a folder, or one .parquet')
    .option(
      '--layers <which>',
      'all: [layers + 1, frames, dim]; mean over layers, or one layer’s number: [frames, dim]; or several: 3,6 or 4-8',
      'all',
    )
    .option('--pool <how>', 'over time: none, mean or max', 'none')
    .option('--window <seconds>', 'longer files are heard in windows of this length', aboveZero, 30)
    .option('--overlap <seconds>', 'of one window and the next, each of which gives half of it', seconds, 2)
    .option('--batch <n>', 'windows at once (default: 4; 1 on a software adapter)', fromOne)
    .option('--resample <how>', 'files of other rates: kaiser64, hann6, or never, which refuses them', 'kaiser64')
    .option('--format <name>', 'of the files in a folder: npy, safetensors or parquet (default: npy)')
    .option('--dtype <type>', 'f32 or f16', 'f32')
    .option('--skip-existing', 'leave files alone whose output is there')
    .option('--json', 'say what was written as JSON on standard output')
    .action(embedCommand);
}
