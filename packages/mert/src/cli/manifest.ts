import type { Command } from 'commander';
import { writeManifest } from '../data/manifest.ts';
import { checkOutputFile } from '../folders.ts';
import { createProgress } from '../training/progress.ts';
import { fromOne, fromZero, share } from './arguments.ts';

interface Options {
  data: string;
  out: string;
  sampleRate?: number;
  valid?: number;
  seed: number;
}

/** Files that are named one by one. */
const NAMED = 20;

/** Lists a collection of music in a file. */
async function manifestCommand({ data, out, sampleRate, valid, seed }: Options): Promise<void> {
  await checkOutputFile('--out', out);
  let progress: ReturnType<typeof createProgress> | undefined;
  const result = await writeManifest({
    ...{ data, out, sampleRate, validShare: valid, seed },
    onFile(number, total) {
      progress ??= createProgress({ label: 'manifest', total });
      progress.update(number, '');
    },
  });
  progress?.end();
  for (const { path, reason } of result.skipped.slice(0, NAMED)) console.error(`  left out ${path}: ${reason}`);
  if (result.skipped.length > NAMED) console.error(`  and ${result.skipped.length - NAMED} more`);
  const held = result.valid > 0 ? `, ${result.valid} of them held out` : '';
  console.error(
    `wrote ${out}: ${result.files} files${held}, ${result.hours.toFixed(2)} h; ${result.skipped.length} left out`,
  );
}

/** `mert manifest` */
export function addManifestCommand(program: Command): void {
  program
    .command('manifest')
    .description('list a collection of music with rates and lengths, so that training need not look at each file again')
    .requiredOption('--data <path>', 'folder of music, searched recursively, archives too; or another manifest')
    .requiredOption('--out <file>', 'train.jsonl, or train.tsv as fairseq has them')
    .option('--sample-rate <hz>', 'leave out files of other rates; a .tsv needs it', fromOne)
    .option('--valid <share>', 'hold out this share of the files, in valid.jsonl or valid.tsv beside --out', share)
    .option('--seed <n>', 'of the draw of those', fromZero, 0)
    .action(manifestCommand);
}
