/** Kernels, the models' shapes and the engine, timed: `npm run bench -- --help` says how. */
import { appendFileSync, writeFileSync } from 'node:fs';
import { type Device, peakText } from '@dawnchorus/tensor';
import { openAdapter } from './adapter.ts';
import { allCases } from './cases/index.ts';
import { casesFor } from './choose.ts';
import { benchDsp } from './dsp.ts';
import { engineRows } from './engine.ts';
import { dawnchorusEngine } from './engines/dawnchorus.ts';
import type { Timing } from './engines/engine.ts';
import { openPeers } from './engines/peers.ts';
import { checkWritable, filterCases, type Options, parseOptions, UsageError, usage } from './options.ts';
import { type PageEntry, resultPage } from './page/index.ts';
import { resultLine } from './report.ts';
import { runCases } from './run.ts';
import { saveResults } from './save.ts';
import { benchStep } from './step/index.ts';
import { stepConfig } from './step/setting.ts';
import { tuneCases, tuneStep } from './tune.ts';
import type { Case } from './work.ts';

const log = (line: string) => console.log(line);

async function benchEngine(device: Device, { save }: Options): Promise<void> {
  const rows = await engineRows(device, log);
  for (const { name, value, unit, target } of rows) {
    const wanted = target === undefined ? '' : `  (target: under ${target})`;
    log(`${name.padEnd(60)} ${value.toFixed(2).padStart(10)} ${unit}${wanted}`);
  }
  if (save) log(`wrote ${saveResults(device, 'engine', rows)}`);
}

async function timeStep(device: Device, options: Options): Promise<void> {
  const { json, save } = options;
  if (json) writeFileSync(json, '');
  const results = await benchStep(device, { ...options, log });
  if (json) appendFileSync(json, results.map((result) => `${JSON.stringify(result)}\n`).join(''));
  if (save) log(`wrote ${saveResults(device, results[1].case.replace('_', '-'), results, await device.peak())}`);
}

/** The clock that was asked for, else the GPU's where it has one and it `may` be used. */
function timingFor(device: Device, { timing }: Options, may: boolean): Timing {
  const hasTimestamps = device.features.has('timestamp-query');
  if (timing === 'gpu' && !hasTimestamps) throw new UsageError('bench: --timing gpu: this adapter has no timestamps');
  return timing ?? (may && hasTimestamps ? 'gpu' : 'wall');
}

async function timeDsp(device: Device, options: Options): Promise<void> {
  // PyTorch on the CPU, beside a software adapter, has no other clock than the wall's.
  const timing = timingFor(device, options, !device.adapter.software);
  const { results, failures, peak } = await benchDsp(device, { timing, json: options.json, log });
  if (options.save) log(`wrote ${saveResults(device, 'dsp', results, peak)}`);
  tellFailures(failures);
}

function tellFailures(failures: readonly string[]): void {
  if (failures.length === 0) return;
  console.error(`\n${failures.length} failed:\n${failures.map((line) => `  ${line}`).join('\n')}`);
  process.exitCode = 1;
}

async function benchKernels(device: Device, wanted: readonly Case[], options: Options): Promise<void> {
  const { json, html, peers, save, large } = options;
  const cases = casesFor(device, wanted, { large, log });
  const peak = await device.peak();
  log(`ceilings, measured: ${peakText(peak)}`);
  // Only like compares with like, and not every peer can be timed on the GPU.
  const timing = timingFor(device, options, !peers);
  const names = { gpu: "the GPU's timestamps, chains by the wall clock", wall: 'the wall clock, with the wait' };
  log(`timed by ${names[timing]}; milliseconds: the median, and the least to the most`);
  const engines = [dawnchorusEngine(device, timing), ...(peers ? await openPeers(device, timing, log) : [])];
  const entries: PageEntry[] = [];
  let written = '';
  if (json) writeFileSync(json, '');
  try {
    const failures = await runCases(cases, {
      engines,
      log,
      onResult(result, work, group) {
        log(resultLine(result, work, peak));
        if (json) appendFileSync(json, `${JSON.stringify(result)}\n`);
        entries.push({ result, work, group });
        // As they come: a run that is stopped has what it measured.
        if (save) written = saveResults(device, 'kernels', [result], peak);
      },
    });
    if (html) writeFileSync(html, resultPage(entries, device.adapter.name, peak));
    if (written) log(`wrote ${written}`);
    tellFailures(failures);
  } finally {
    for (const engine of engines.slice(1)) engine.close();
  }
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  if (options.help) return log(usage);
  const { command, filter, json, html, adapter } = options;
  const cases = command === 'kernels' || command === 'tune' ? filterCases(allCases, filter) : [];
  // Before minutes of work, not after them.
  if (json) checkWritable('--json', json);
  if (html) checkWritable('--html', html);
  if (command === 'step' || options.config) stepConfig(options);
  const device = await openAdapter(adapter, log);
  if (command === 'engine') await benchEngine(device, options);
  else if (command === 'dsp') await timeDsp(device, options);
  else if (command === 'step') await timeStep(device, options);
  else if (command === 'tune' && options.config) await tuneStep(device, options, log);
  else if (command === 'tune') await tuneCases(device, casesFor(device, cases, { large: options.large, log }), log);
  else await benchKernels(device, cases, options);
  device.close();
}

try {
  await main();
} catch (error) {
  const told = error instanceof UsageError || (error as Error).name === 'ConfigError';
  console.error(told ? (error as Error).message : error);
  process.exitCode = 1;
}
// Peers leave things open that would keep the process.
process.exit();
