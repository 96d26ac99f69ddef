import { Command } from 'commander';
import { taskNames } from '../evaluation/names.ts';
import { proxyKinds, refusals } from '../proxies/catalogue.ts';
import { makeProxy } from '../proxies/make.ts';
import { createProgress } from '../training/progress.ts';
import { collect, fromZero, wholeNumber } from './arguments.ts';
import { untilInterrupted } from './interrupt.ts';

interface MakeCommandOptions {
  task: string;
  out: string;
  clips?: number;
  seed: number;
  font: string[];
  lineage: string[];
  ownMusic?: boolean;
}

/** Dropped clips that are named one by one; of more there is a number. */
const NAMED = 10;

/** Makes a proxy, or goes on with it. Ctrl-C stops after a batch; a second one ends at once, with nothing lost. */
async function makeCommand({ task, out, clips, seed, font, lineage, ownMusic }: MakeCommandOptions): Promise<void> {
  const interrupt = untilInterrupted('this batch', '; either way the same command goes on');
  let progress: ReturnType<typeof createProgress> | undefined;
  try {
    const result = await makeProxy({
      ...{ task, out, seed, fonts: font, ownMusic, stopped: interrupt.stopped },
      ...(lineage.length > 0 && { lineages: lineage }),
      ...(clips !== undefined && { clips }),
      onClips(done, total) {
        progress ??= createProgress({ label: 'proxy', total, initial: done });
        progress.update(done, 'clips');
      },
    });
    progress?.end();
    const { kind, finished, dropped } = result;
    for (const line of dropped.slice(0, NAMED)) console.error(`  left out ${line}`);
    if (dropped.length > NAMED) console.error(`  and ${dropped.length - NAMED} more, see proxy.json`);
    const { train, valid, test } = result.clips;
    const counts = `${train} clips train, ${valid} valid, ${test} test`;
    if (!finished) {
      console.error(`stopped: ${counts}; the same command goes on`);
      process.exitCode = 130;
      return;
    }
    console.error(`wrote ${out}: ${kind.name}, ${counts}`);
    console.error(kind.description);
  } finally {
    interrupt.dispose();
  }
}

/** Prints what can be made, and what cannot. */
function listCommand({ json = false }: { json?: boolean }): void {
  const without = taskNames.flatMap((task) => {
    const own = refusals[task];
    return own ? [{ task, why: own.why, instead: own.instead ?? null }] : [];
  });
  if (json) {
    const kinds = proxyKinds.map(({ kind, task, name, description, heldOut, clips, songs }) => ({
      ...{ kind, task, name, description, heldOut, clips },
      needs: songs ? ['mma', 'fluidsynth', 'sound fonts'] : ['fluidsynth', 'sound fonts'],
      standsIn: kind === task,
    }));
    console.log(JSON.stringify({ proxies: kinds, withoutProxy: without }, null, 2));
    return;
  }
  for (const { kind, task, name, description } of proxyKinds) {
    const beside = kind === task ? '' : ` (beside ${task}, which it does not stand in for)`;
    console.log(`${kind.padEnd(20)}${name}${beside}\n${' '.repeat(20)}${description}`);
  }
  console.log('\nWithout an honest proxy:');
  for (const { task, why } of without) console.log(`${task.padEnd(20)}${why}`);
}

/** `mert proxy …` */
export function proxyCommand(): Command {
  const command = new Command('proxy').description(
    'labelled data sets, generated, that stand in for those of the tasks where they are not there',
  );
  command
    .command('make')
    .description('make the proxy of a task; goes on where it was when called again')
    .requiredOption('--task <name>', 'a task of mert tasks, or expression, articulation, preset; see mert proxy list')
    .requiredOption('--out <dir>', 'where it goes')
    .option('--clips <n>', 'clips in all splits together (default: the number that the kind has)', (text) =>
      wholeNumber(text, 3),
    )
    .option('--seed <n>', 'seed of every draw', fromZero, 1)
    .option(
      '--font <path>',
      'a sound font, or a folder of them, beside those that are installed; may be given more than once',
      collect,
      [],
    )
    .option(
      '--lineage <letter>',
      'use fonts of this lineage alone: F or O, and T or S for the test; may be given more than once',
      collect,
      [],
    )
    .option('--own-music', 'of key, beats and separation: a few accompaniments of our own, without mma')
    .action(makeCommand);
  command
    .command('list')
    .description('what can be made, and for which tasks there can be no honest proxy')
    .option('--json', 'as JSON')
    .action(listCommand);
  return command;
}
