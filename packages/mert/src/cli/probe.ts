import { homedir } from 'node:os';
import { join } from 'node:path';
import { writeJson } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { type Command, InvalidArgumentError } from 'commander';
import { evaluate } from '../evaluation/evaluate.ts';
import { StoppedError } from '../evaluation/features/extract.ts';
import { controlNames, openSource } from '../evaluation/features/source.ts';
import { loadTask } from '../evaluation/loaders/index.ts';
import { isTaskName, type TaskName, taskNames } from '../evaluation/names.ts';
import { type ProbeResult, probe } from '../evaluation/probe/probe.ts';
import { type ProbeSettings, paperSettings, quickSettings } from '../evaluation/probe/settings.ts';
import { formatScore, terminalTable } from '../evaluation/report/table.ts';
import { checkNoRun, checkOutputFile } from '../folders.ts';
import { createProgress } from '../training/progress.ts';
import { fromOne, fromZero } from './arguments.ts';
import { untilInterrupted } from './interrupt.ts';

/** Where features are kept unless told otherwise. */
const ownCache = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'dawnchorus', 'features');

interface Learning {
  layer: ProbeSettings['layer'];
  rates?: number[];
  seeds: number;
  seed: number;
  epochs?: number;
  patience?: number;
  quick?: boolean;
  standardise?: boolean;
  partial?: boolean;
  cache?: string;
}

function parseLayer(text: string): ProbeSettings['layer'] {
  if (text === 'weighted' || text === 'sweep') return text;
  const layer = Number(text);
  if (text.trim() === '' || !Number.isInteger(layer) || layer < 0) {
    throw new InvalidArgumentError('expected a layer’s number from 0, weighted or sweep.');
  }
  return layer;
}

function parseRates(text: string): number[] {
  const rates = text.split(',').map(Number);
  if (rates.length === 0 || !rates.every((rate) => rate > 0 && Number.isFinite(rate))) {
    throw new InvalidArgumentError('expected numbers above 0, such as 1e-4,1e-3.');
  }
  return rates;
}

function settingsOf(options: Learning, shuffleLabels = false): ProbeSettings {
  const { layer, rates, seeds, seed, epochs, patience, quick, standardise } = options;
  const base = quick ? quickSettings : paperSettings;
  return {
    ...base,
    layer,
    shuffleLabels,
    rates: rates ?? base.rates,
    seeds: Array.from({ length: seeds }, (_, i) => seed + i),
    epochs: epochs ?? base.epochs,
    patience: patience ?? base.patience,
    standardise,
  };
}

function withLearning(command: Command): Command {
  return command
    .option('--rates <list>', 'learning rates to choose from (default: the paper’s six)', parseRates)
    .option('--seeds <n>', 'heads that learn anew at what was chosen', fromOne, 3)
    .option('--seed <n>', 'the first of their seeds', fromZero, 1234)
    .option('--epochs <n>', 'passes over the training clips at most (default: the task’s)', fromOne)
    .option('--patience <n>', 'passes without a better validation score before the end (default: the task’s)', fromOne)
    .option('--quick', 'four rates, 40 passes, a small separation head: for small data on slow machines')
    .option('--standardise', 'bring features to zero mean and unit variance (default: only those of controls)')
    .option('--no-standardise', 'leave features as they are')
    .option('--partial', 'score what is there of an incomplete data set, where that means something')
    .option('--cache <dir>', 'where features are kept');
}

function printResult(result: ProbeResult): void {
  const { chosen, clips, metrics, chance, notes, source, skipped } = result;
  const details = Object.entries(chosen.details).map(([name, value]) => `, ${name} ${value}`);
  console.log(
    `${result.task} on ${result.data}${result.shuffledLabels ? ', shuffled labels' : ''}: ${source.name}, layer ${chosen.layer}, rate ${chosen.rate}${details.join('')}; ${clips.train} + ${clips.valid} + ${clips.test} clips`,
  );
  for (const [name, { mean, spread }] of Object.entries(metrics)) {
    const other = chance[name] === undefined ? '' : `   without features ${formatScore(name, chance[name])}`;
    console.log(`  ${name.padEnd(16)} ${formatScore(name, mean, spread)}${other}`);
  }
  for (const { layer, valid, test } of result.layers.length > 1 ? result.layers : []) {
    const [main] = Object.keys(test);
    console.log(
      `  layer ${String(layer).padEnd(8)} validation ${valid.toFixed(4)}   test ${formatScore(main, test[main])}`,
    );
  }
  for (const note of notes) console.log(`  note: ${note}`);
  for (const { id, reason } of skipped.slice(0, 10)) console.log(`  left out ${id}: ${reason}`);
}

/** Says that a command was stopped by Ctrl-C and goes on when called again. */
function stoppedHere(error: unknown): boolean {
  if (!(error instanceof StoppedError)) return false;
  console.error(error.message);
  process.exitCode = 130;
  return true;
}

interface ProbeCommandOptions extends Learning {
  model: string;
  task: string;
  data: string;
  shuffleLabels?: boolean;
  json?: boolean;
  out?: string;
}

async function probeCommand(options: ProbeCommandOptions): Promise<void> {
  const { model, task, data: folder, shuffleLabels, json, out, partial } = options;
  if (!isTaskName(task)) throw new Error(`--task ${task}: expected one of ${taskNames.join(', ')}`);
  if (out !== undefined) await checkOutputFile('--out', out);
  const data = await loadTask(task, folder, { partial });
  const device = await openDevice();
  const interrupt = untilInterrupted('this part of the features, or this pass', '; the same command goes on');
  try {
    const source = await openSource(model, device);
    let progress: ReturnType<typeof createProgress> | undefined;
    const result = await probe({
      ...{ device, source, data, settings: settingsOf(options, shuffleLabels), cache: options.cache ?? ownCache },
      stopped: interrupt.stopped,
      log: (line) => console.error(line),
      onPart(done, total) {
        progress ??= createProgress({ label: 'features', total, initial: done - 1 });
        progress.update(done, source.name);
        if (done === total) progress.end();
      },
    });
    source.dispose();
    if (json) console.log(JSON.stringify(result, null, 2));
    else printResult(result);
    if (out !== undefined) await writeJson(out, result);
  } catch (error) {
    if (!stoppedHere(error)) throw error;
  } finally {
    interrupt.dispose();
    device.close();
  }
}

interface EvaluateCommandOptions extends Learning {
  model: string;
  tasks: string;
  data: string;
  out: string;
  controls: string;
  json?: boolean;
}

function tasksOf(text: string): TaskName[] {
  if (text === 'all') return [...taskNames];
  return text.split(',').map((name) => {
    if (!isTaskName(name))
      throw new Error(`--tasks ${name}: expected all, or some of ${taskNames.join(', ')}, with commas`);
    return name;
  });
}

function controlsOf(text: string, model: string): string[] {
  const random =
    model.startsWith('random') || (controlNames as readonly string[]).includes(model) ? 'random' : `random:${model}`;
  const names: Record<string, string> = {
    random,
    shuffled: 'shuffled',
    yardstick: 'yardstick',
    ...Object.fromEntries(controlNames.map((name) => [name, name])),
  };
  const wanted = text === 'all' ? Object.keys(names) : text === 'none' ? [] : text.split(',');
  return wanted.map((name) => {
    if (names[name] === undefined)
      throw new Error(`--controls ${name}: expected all, none, or some of ${Object.keys(names).join(', ')}`);
    return names[name];
  });
}

async function evaluateCommand(options: EvaluateCommandOptions): Promise<void> {
  const { model, data, out, cache, partial } = options;
  const [tasks, controls] = [tasksOf(options.tasks), controlsOf(options.controls, model)];
  checkNoRun('--out', out);
  const device = await openDevice();
  const interrupt = untilInterrupted('this part of the features, or this pass', '; the same command goes on');
  try {
    let progress: ReturnType<typeof createProgress> | undefined;
    const report = await evaluate({
      ...{ device, model, tasks, data, out, cache, partial, controls, settings: settingsOf(options) },
      stopped: interrupt.stopped,
      log: (line) => console.error(line),
      onPart(done, total) {
        progress ??= createProgress({ label: 'features', total, initial: done - 1 });
        progress.update(done, '');
        if (done !== total) return;
        progress.end();
        progress = undefined;
      },
    });
    console.log(options.json ? JSON.stringify(report, null, 2) : terminalTable(report));
    console.error(`wrote ${join(out, 'report.html')}, report.md and report.json`);
    if (report.tasks.some(({ failed }) => failed.length > 0)) process.exitCode = 1;
  } catch (error) {
    if (!stoppedHere(error)) throw error;
  } finally {
    interrupt.dispose();
    device.close();
  }
}

const modelHelp = 'a model folder; or a control: random, random:PRESET, random:FOLDER, logmel, cqt, chroma';

/** `mert probe` and `mert evaluate` */
export function addProbeCommands(program: Command): void {
  withLearning(
    program
      .command('probe')
      .description('train a small head on frozen features of a task’s clips, and score it (mert tasks lists them)')
      .requiredOption('--model <what>', modelHelp)
      .requiredOption('--task <name>', 'one of the 14 tasks')
      .requiredOption('--data <dir>', 'the data set’s folder in its own layout, or a proxy')
      .option(
        '--layer <which>',
        'a layer’s number; weighted: a learned sum; sweep: whichever is best on validation',
        parseLayer,
        'weighted',
      )
      .option('--shuffle-labels', 'deal the labels of training and validation out anew: scores must fall to chance')
      .option('--out <file>', 'also write the result as JSON')
      .option('--json', 'print the result as JSON'),
  ).action(probeCommand);
  withLearning(
    program
      .command('evaluate')
      .description('probe all tasks that are found, beside controls and published results; goes on where it was')
      .requiredOption('--model <what>', modelHelp)
      .requiredOption('--data <root>', 'folder of data sets and proxies')
      .requiredOption('--out <dir>', 'where report.html, report.md, report.json, results and features go')
      .option('--tasks <list>', 'all, or names with commas', 'all')
      .option('--controls <list>', 'all, none, or some of random, logmel, cqt, chroma, shuffled, yardstick', 'all')
      .option('--layer <which>', 'a layer’s number, weighted, or sweep', parseLayer, 'sweep')
      .option('--json', 'print the report as JSON'),
  ).action(evaluateCommand);
}
