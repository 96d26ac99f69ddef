import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically, writeJson } from '@dawnchorus/formats';
import { nameWithin } from '../data/collection.ts';
import type { SkippedFile } from '../data/dataset.ts';
import type { Baselines } from './baselines.ts';
import { drawCurves, smooth } from './curves.ts';
import type { Rollback } from './divergence.ts';
import { formatDuration } from './progress.ts';
import type { HeldOut } from './validation.ts';

/** A line of metrics.jsonl. */
export interface MetricsLine {
  step: number;
  loss: number;
  lossRvq: number;
  lossCqt: number;
  accuracy: number;
  gradNorm: number;
  learningRate: number;
  clipsPerSecond: number;
  seconds: number;
  /** What the mean spectrum of each clip scores on the batch. */
  guessCqtClip?: number;
}

export interface Losses {
  loss: number;
  lossRvq: number;
  lossCqt: number;
  accuracy: number;
}

export interface ReportInput {
  adapter: string;
  steps: number;
  seconds: number;
  /** The music, as it was given. */
  data: string;
  files: number;
  hours: number;
  skipped: readonly SkippedFile[];
  silentCrops: number;
  skippedSteps: number;
  training: Baselines;
  heldOut?: HeldOut;
  /** Returns of the run to earlier steps. */
  rollbacks: readonly Rollback[];
  checkpoint: string;
}

export async function readMetricsLog(path: string): Promise<MetricsLine[]> {
  const text = await readFile(path, 'utf8');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as MetricsLine);
}

function mean(lines: readonly MetricsLine[]): Losses {
  const of = (key: keyof Losses) => lines.reduce((sum, line) => sum + (line[key] ?? Number.NaN), 0) / lines.length;
  return { loss: of('loss'), lossRvq: of('lossRvq'), lossCqt: of('lossCqt'), accuracy: of('accuracy') };
}

const number = (value: number) =>
  Number.isFinite(value) ? value.toFixed(Math.abs(value) < 0.1 ? 4 : 3) : String(value);
const percent = (value: number) => `${(100 * value).toFixed(1)} %`;

const clipMean = ({ cqtClipLoss }: Baselines) =>
  cqtClipLoss === undefined ? '' : `, ${number(cqtClipLoss)} mean of each clip`;

const count = (n: number, one: string, many: string) => `${n} ${n === 1 ? one : many}`;

/** How far a loss fell, in words and figures. */
function fall(from: number, to: number): string {
  if (!Number.isFinite(from - to)) return `${number(from)} -> ${number(to)}`;
  return `${number(from)} -> ${number(to)} (${to <= from ? '-' : '+'}${Math.abs(100 * (1 - to / from)).toFixed(0)} %)`;
}

/** Of each measure its name, how it changed, and what a guess would score. */
const measureRows = (first: Losses, last: Losses, training: Baselines): string[][] => [
  ['loss', fall(first.loss, last.loss), ''],
  [
    'lossRvq (nats a codebook)',
    fall(first.lossRvq, last.lossRvq),
    `${number(training.labelFrequencyLoss)} label frequency`,
  ],
  [
    'accuracy',
    `${percent(first.accuracy)} -> ${percent(last.accuracy)}`,
    `${percent(training.majorityAccuracy)} most frequent label`,
  ],
  [
    'lossCqt',
    fall(first.lossCqt, last.lossCqt),
    `${number(training.cqtMeanLoss)} mean of each bin, ${number(training.cqtZeroLoss)} silence${clipMean(training)}`,
  ],
];

/** What the held-out music scored by each measure. */
const heldOutColumn = ({ losses, baselines }: HeldOut): string[] => [
  number(losses.loss),
  `${number(losses.lossRvq)} (label frequency ${number(baselines.labelFrequencyLoss)})`,
  `${percent(losses.accuracy)} (most frequent label ${percent(baselines.majorityAccuracy)})`,
  `${number(losses.lossCqt)} (mean of each bin ${number(baselines.cqtMeanLoss)}${clipMean(baselines)})`,
];

/** The measures as a Markdown table. */
function measureTable(first: Losses, last: Losses, { training, heldOut }: ReportInput): string {
  const rows = [['measure', 'training: first -> last', 'a guess would score'], ...measureRows(first, last, training)];
  const column = heldOut && ['held out', ...heldOutColumn(heldOut)];
  const [header, ...others] = rows.map((row, i) => `| ${[...row, ...(column ? [column[i]] : [])].join(' | ')} |`);
  return [header, `|${'---|'.repeat(column ? 4 : 3)}`, ...others].join('\n');
}

/** What is to be known of a run besides its figures, a paragraph each. */
function remarks(input: ReportInput, table: string, measured: number): string[] {
  const { steps, skippedSteps, rollbacks, silentCrops } = input;
  const found: string[] = [];
  if (skippedSteps > 0) {
    found.push(`${count(skippedSteps, 'step was', 'steps were')} skipped because a gradient was not finite.`);
  }
  for (const { fromStep, toStep, reason } of rollbacks) {
    found.push(`At step ${fromStep} the run went back to step ${toStep}: ${reason}.`);
  }
  const missing = steps - measured;
  if (missing > 0) {
    found.push(
      `metrics.jsonl lacks ${missing} of the ${count(steps, 'step', 'steps')}, the first ones where the run went on without it: ` +
        'time, curves, first and last are of those that it has.',
    );
  }
  if (/NaN|Infinity/.test(table)) {
    found.push(
      'NaN and Infinity stand where losses were not finite, of all steps that a mean is of or of one; report.json has null there.',
    );
  }
  if (silentCrops > 0) {
    found.push(`${count(silentCrops, 'crop was', 'crops were')} silent; training used what there is.`);
  }
  return found;
}

/** The files that were left out, with the reasons. */
function leftOut({ data, skipped, heldOut }: ReportInput): string {
  const files = [
    ...skipped.map(({ path, reason }) => `- ${nameWithin(data, path)}: ${reason}`),
    ...(heldOut?.skipped ?? []).map(({ path, reason }) => `- ${nameWithin(data, path)}, held out: ${reason}`),
  ];
  if (files.length === 0) return 'No file was left out.';
  return `${count(files.length, 'file was', 'files were')} left out:\n\n${files.join('\n')}`;
}

/** The report as text: Markdown that also reads well in a terminal. */
export function reportText(input: ReportInput, lines: readonly MetricsLine[]): string {
  const { steps, seconds, adapter, files, hours, heldOut, checkpoint } = input;
  const window = Math.max(1, Math.min(10, Math.floor(lines.length / 4)));
  const table = measureTable(mean(lines.slice(0, window)), mean(lines.slice(-window)), input);
  const paragraphs = [
    '# Pretraining report',
    `${steps} steps in ${formatDuration(seconds)} on ${adapter}; ${files} files, ${(hours * 60).toFixed(1)} min of audio.`,
    table,
    `First and last are means over ${window} steps.${heldOut ? ` Held out: ${heldOut.files} files that training never saw.` : ''}`,
    ...remarks(input, table, lines.length),
    leftOut(input),
    `Checkpoint: ${checkpoint}`,
  ];
  return `${paragraphs.join('\n\n')}\n`;
}

/** Curves of the losses over a run's steps, beside what guesses score: an SVG picture. */
function curvesOf(lines: readonly MetricsLine[], training: Baselines): string {
  const window = Math.max(1, Math.floor(lines.length / 20));
  const curve = (key: keyof Losses) => {
    // A log that begins late leaves a gap.
    const values = Array<number>(lines.at(-1)?.step ?? 0).fill(Number.NaN);
    for (const line of lines) values[line.step - 1] = line[key] ?? Number.NaN;
    return smooth(values, window);
  };
  return drawCurves([
    {
      title: 'Cross-entropy of the codes (nats a codebook)',
      series: [{ label: 'lossRvq', color: '#1f77b4', values: curve('lossRvq') }],
      references: [{ label: 'label frequency', value: training.labelFrequencyLoss }],
    },
    {
      title: 'Squared error of the constant-Q spectrum',
      series: [{ label: 'lossCqt', color: '#d62728', values: curve('lossCqt') }],
      references: [{ label: 'mean of each bin', value: training.cqtMeanLoss }],
    },
    {
      title: 'Accuracy of the codes',
      series: [{ label: 'accuracy', color: '#2ca02c', values: curve('accuracy') }],
      references: [{ label: 'most frequent label', value: training.majorityAccuracy }],
    },
  ]);
}

/** Writes report.md, report.json and curves.svg into a run's folder; returns the report's text. */
export async function writeReport(out: string, input: ReportInput): Promise<string> {
  const lines = await readMetricsLog(join(out, 'metrics.jsonl'));
  const text = reportText(input, lines);
  const svg = curvesOf(lines, input.training);
  await writeAtomically(join(out, 'report.md'), [new TextEncoder().encode(text)]);
  await writeAtomically(join(out, 'curves.svg'), [new TextEncoder().encode(svg)]);
  // JSON turns what is not finite into null, and such a number does not undo a run that has ended.
  await writeJson(join(out, 'report.json'), JSON.parse(JSON.stringify(input)));
  return text;
}
