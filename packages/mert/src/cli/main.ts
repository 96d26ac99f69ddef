#!/usr/bin/env -S npx tsx
import { Command } from 'commander';
import { collect, fromOne, fromZero, refuseRepeats, threads } from './arguments.ts';
import { codecCommand } from './codec.ts';
import { addConvertCommand } from './convert.ts';
import { cqtCommand } from './cqt.ts';
import { addEmbedCommand } from './embed.ts';
import { addExportCommand } from './export.ts';
import { failureText } from './failures.ts';
import { infoCommand } from './info.ts';
import { kmeansCommand } from './kmeans.ts';
import { addLabelCommand } from './label.ts';
import { addManifestCommand } from './manifest.ts';
import { pictureCommand } from './picture.ts';
import { pretrainCommand } from './pretrain.ts';
import { addProbeCommands } from './probe.ts';
import { proxyCommand } from './proxy.ts';
import { addReportCommand } from './report.ts';
import { tasksCommand } from './tasks.ts';
import { addWatchCommand } from './watch.ts';

const program = new Command('mert')
  .description('Self-supervised pretraining of a music-audio transformer, on the GPU through WebGPU')
  .version('0.1.0')
  .showHelpAfterError('(--help shows the options)');

program
  .command('info')
  .description('the adapter that would run, its features and limits; with --config, a model’s sizes and parameters')
  .option('--json', 'as JSON')
  .option('--config <file>', 'YAML configuration, or the name of a preset')
  .option('--set <key=value>', 'change one setting of it; may be given more than once', collect, [])
  .action(infoCommand);

program
  .command('pretrain')
  .description('pretrain a student on a folder of music; with no options, a small one on the repository’s music')
  .option(
    '--data <dir>',
    'folder of music (audio files, .tar, .parquet), searched recursively, or a manifest (.tsv, .jsonl); train and valid are kept apart',
  )
  .option(
    '--labels <dir>',
    'learn these labels of that music, made by mert label, in the place of a new RVQ-VAE’s codes',
  )
  .option(
    '--teacher <dir>',
    'learn what this teacher says of each crop as it comes: EnCodec (rvq.numCodebooks of it), K-means, or teacher/ of another run',
  )
  .option('--out <dir>', 'where the run goes (default: the first free runs/pretrain-N)')
  .option('--steps <n>', 'stop after this step (default: training.steps of the configuration)', fromOne)
  .option('--config <file>', 'YAML configuration, or the name of a preset (default: small)')
  .option(
    '--set <key=value>',
    'change one setting, e.g. training.batchSize=8; may be given more than once',
    collect,
    [],
  )
  .option('--seed <n>', 'seed of every random draw', fromZero)
  .option(
    '--workers <n>',
    'threads that decode music ahead of the GPU, of no influence on results (default: cores less one, at most 8; 0 on a software adapter)',
    threads,
  )
  .option('--resume', 'go on with the run in --out')
  .action(pretrainCommand);

addEmbedCommand(program);

program
  .command('cqt')
  .description('the musical teacher’s constant-Q magnitudes of an audio file, float32 [bins, frames], as a NumPy file')
  .requiredOption('--input <file>', 'audio: wav, flac, mp3, ogg or opus')
  .option('--out <file>', 'where the .npy goes')
  .option('--picture <file>', 'where a picture of them goes, .png or .svg')
  .action(cqtCommand);

addConvertCommand(program);
addExportCommand(program);
program.addCommand(codecCommand());
program.addCommand(kmeansCommand());
addLabelCommand(program);
addManifestCommand(program);
program.addCommand(pictureCommand());
addProbeCommands(program);

program
  .command('tasks')
  .description('the 14 tasks: data sets, metrics, layouts, classes, splits')
  .option('--json', 'as JSON')
  .action(tasksCommand);
program.addCommand(proxyCommand());
addReportCommand(program);
addWatchCommand(program);

refuseRepeats(program);

// That nobody reads on, as behind `| head`, is no failure, and a run outlives whoever watched it.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

try {
  await program.parseAsync();
} catch (error) {
  console.error(`mert: ${failureText(error)}`);
  if (process.env.DEBUG) console.error(error);
  process.exitCode = 1;
}
