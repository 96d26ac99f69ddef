import { join } from 'node:path';
import { writeAtomically } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import type { Command } from 'commander';
import { checkOutputFile } from '../folders.ts';
import { runPage } from '../seeing/page.ts';
import { type Picture, seeClip } from '../seeing/pictures.ts';
import { type Run, readRun } from '../seeing/run.ts';

interface Options {
  run: string;
  out?: string;
  data?: string;
  pictures: boolean;
}

async function picturesOf(run: Run, { data, pictures }: Options): Promise<Picture[] | string> {
  if (!pictures) return 'they were not asked for';
  if (!run.checkpoint) return 'the run has no checkpoint yet';
  const device = await openDevice();
  try {
    return await seeClip(device, run, data);
  } catch (error) {
    // A page without pictures is better than none.
    const { message } = error as Error;
    console.error(`no pictures: ${message}`);
    return message;
  } finally {
    device.close();
  }
}

/** Writes a run as a page. */
async function reportCommand(options: Options): Promise<void> {
  const run = await readRun(options.run);
  if (options.out !== undefined) await checkOutputFile('--out', options.out, '.html');
  const page = new TextEncoder().encode(await runPage(run, await picturesOf(run, options)));
  const out = options.out ?? join(options.run, 'report.html');
  await writeAtomically(out, [page], { what: 'report', bytes: page.length });
  console.error(`wrote ${out}: ${run.metrics.length} steps, ${(page.length / 1e6).toFixed(1)} MB, needs no other file`);
}

/** `mert report` */
export function addReportCommand(program: Command): void {
  program
    .command('report')
    .description('a run as one HTML page: curves, spectra, masks, attention, codes, files left out, configuration')
    .requiredOption('--run <dir>', 'the --out of mert pretrain, also while it runs')
    .option('--out <file>', 'where the page goes (default: report.html in the run’s folder)')
    .option('--data <path>', 'the music, where it is no longer where it was')
    .option('--no-pictures', 'leave out what needs the model and the music')
    .action(reportCommand);
}
