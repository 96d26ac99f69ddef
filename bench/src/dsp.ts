/** The teachers and what is under them beside plain dense products and, where there is one, PyTorch: shares of their time. */
import { appendFileSync, writeFileSync } from 'node:fs';
import type { Device } from '@dawnchorus/tensor';
import { dspCases } from './cases/dsp.ts';
import { dawnchorusEngine } from './engines/dawnchorus.ts';
import { denseEngine } from './engines/dense.ts';
import type { Engine, EngineName, Timing } from './engines/engine.ts';
import { MissingPeer } from './engines/install.ts';
import { torchEngine } from './engines/torch.ts';
import { short } from './page/svg.ts';
import { resultLine } from './report.ts';
import type { Result } from './result.ts';
import { runCases } from './run.ts';

export interface DspOptions {
  timing: Timing;
  json?: string;
  log(line: string): void;
}

/** A result of ours with what others take for the same. */
export interface DspResult extends Result {
  /** Our time over theirs. */
  ofDense?: number;
  ofTorch?: number;
}

const share = (value: number | undefined) => (value === undefined ? '–' : `${short(100 * value)} %`);

/** All methods of the constant-Q transform have one yardstick, which takes seconds. */
const familyOf = ({ case: name }: Result) => name.split('_')[0];

/** A table of our time as a share of the others'. */
function shareLines(results: readonly DspResult[]): string[] {
  const rows = results.map(({ case: name, medianMs, ofDense, ofTorch }) => [
    name,
    `${short(medianMs)} ms`,
    share(ofDense),
    ofDense === undefined ? '' : `${short(1 / ofDense)} times as fast`,
    share(ofTorch),
  ]);
  const all = [['case', 'ours', 'of dense products', '', "of PyTorch's time"], ...rows];
  const widths = all[0].map((_, column) => Math.max(...all.map((row) => row[column].length)));
  return all.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column])).join('  ')}`.trimEnd());
}

async function openTorch(timing: Timing, log: (line: string) => void): Promise<Engine[]> {
  try {
    return [await torchEngine(timing)];
  } catch (error) {
    if (!(error instanceof MissingPeer)) throw error;
    log(`torch: skipped: ${error.message}`);
    return [];
  }
}

/** Checks and times everything. Returns our results, and what was wrong. */
export async function benchDsp(device: Device, { timing, json, log }: DspOptions) {
  const peak = await device.peak();
  const torch = await openTorch(timing, log);
  const all: Result[] = [];
  if (json) writeFileSync(json, '');
  try {
    const failures = await runCases(dspCases(device.adapter.software), {
      engines: [dawnchorusEngine(device, timing), denseEngine(device, timing), ...torch],
      log,
      onResult(result, work) {
        log(resultLine(result, work, peak));
        if (json) appendFileSync(json, `${JSON.stringify(result)}\n`);
        all.push(result);
      },
    });
    const results = all
      .filter(({ engine }) => engine === 'dawnchorus')
      .map((result): DspResult => {
        const of = (engine: EngineName) => {
          const others = all.filter((each) => each.engine === engine && familyOf(each) === familyOf(result));
          const other = others.find((each) => each.case === result.case) ?? others[0];
          return other && result.medianMs / other.medianMs;
        };
        return { ...result, ofDense: of('dense'), ofTorch: of('torch') };
      });
    log('');
    for (const line of shareLines(results)) log(line);
    return { results, failures, peak };
  } finally {
    for (const engine of torch) engine.close();
  }
}
