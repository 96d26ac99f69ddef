import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { readRun } from '../seeing/run.ts';
import { watchText } from '../seeing/watch.ts';
import { aboveZero } from './arguments.ts';

interface Options {
  run: string;
  every: number;
  once?: boolean;
}

/** Shows a run until it ends. */
async function watchCommand({ run, every, once }: Options): Promise<void> {
  if (!existsSync(run)) throw new Error(`${run}: there is no such folder; give the --out of mert pretrain`);
  const { stdout } = process;
  let drawn = 0;
  for (;;) {
    const seen = await readRun(run).catch((error: Error) => {
      // A run that has just begun has no metrics yet.
      if (once || !existsSync(run)) throw error;
      return undefined;
    });
    const lines = seen ? watchText(seen, Math.min(120, stdout.columns ?? 100)) : [`${run}: waiting for the first step`];
    if (stdout.isTTY && drawn > 0) stdout.write(`\x1b[${drawn}A\x1b[J`);
    stdout.write(`${lines.join('\n')}\n${stdout.isTTY || once ? '' : '\n'}`);
    drawn = lines.length;
    if (once || (seen && (seen.report || !seen.running)) || !stdout.writable) return;
    await new Promise((resolve) => setTimeout(resolve, 1000 * every));
  }
}

/** `mert watch` */
export function addWatchCommand(program: Command): void {
  program
    .command('watch')
    .description('follow a run in the terminal until it ends; Ctrl-C ends the watching, not the run')
    .requiredOption('--run <dir>', 'the --out of mert pretrain')
    .option('--every <seconds>', 'how often it is looked at', aboveZero, 2)
    .option('--once', 'show it once')
    .action(watchCommand);
}
