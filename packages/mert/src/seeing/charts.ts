/** The curves of a run, as the page draws them. */
import { type LogLine, scalarsOf } from './log.ts';
import type { Run } from './run.ts';

/** A chart: steps, and lines over them. */
export interface Chart {
  title: string;
  /** What the numbers are. */
  unit: string;
  logarithmic?: boolean;
  steps: number[];
  series: { label: string; values: (number | null)[]; dashed?: boolean }[];
}

/** Points of a line; of longer runs, neighbours are averaged. */
const POINTS = 3000;

/** Means of neighbours, so that there are at most `most` points. */
export function thin(values: readonly (number | null)[], most = POINTS): (number | null)[] {
  const size = Math.ceil(values.length / most);
  if (size <= 1) return [...values];
  return Array.from({ length: Math.ceil(values.length / size) }, (_, i) => {
    const some = values.slice(i * size, (i + 1) * size).filter((value): value is number => value !== null);
    return some.length > 0 ? some.reduce((sum, value) => sum + value, 0) / some.length : null;
  });
}

const finite = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null);

/** Columns of a log by name. */
function columnsOf(lines: readonly LogLine[]): Map<string, (number | null)[]> {
  const columns = new Map<string, (number | null)[]>();
  for (const [i, line] of lines.entries()) {
    for (const [name, value] of Object.entries(scalarsOf(line))) {
      let column = columns.get(name);
      if (!column) columns.set(name, (column = Array<number | null>(lines.length).fill(null)));
      column[i] = finite(value);
    }
  }
  return columns;
}

const steady = (steps: number[], value: unknown, label: string): Chart['series'] =>
  finite(value) === null ? [] : [{ label, values: steps.map(() => value as number), dashed: true }];

/** The charts of a run; those that nothing was measured for are left out. */
export function chartsOf({ metrics, data, validation, report }: Run): Chart[] {
  const columns = columnsOf(metrics);
  const steps = thin(metrics.map(({ step }) => step)) as number[];
  const training = (report?.training ?? {}) as Record<string, number>;
  const line = (name: string, label = name): Chart['series'] => {
    const column = columns.get(name);
    return column ? [{ label, values: thin(column) }] : [];
  };
  const list = (name: string, label: string): Chart['series'] =>
    [...columns.keys()]
      .filter((key) => key.startsWith(`${name}/`))
      .flatMap((key) => line(key, `${label} ${key.slice(name.length + 1)}`));
  const chart = (title: string, unit: string, series: Chart['series'], logarithmic = false): Chart => ({
    ...{ title, unit, steps, series },
    ...(logarithmic && { logarithmic }),
  });
  const guess = (name: string, known: unknown, label: string) =>
    columns.has(name) ? line(name, label).map((one) => ({ ...one, dashed: true })) : steady(steps, known, label);
  const charts = [
    chart('Loss', 'nats and squared magnitude', line('loss')),
    chart('Cross-entropy of the codes', 'nats a codebook', [
      ...line('lossRvq', 'codes'),
      ...guess('guessRvq', training.labelFrequencyLoss, 'label frequency'),
    ]),
    chart('Squared error of the constant-Q spectrum', 'squared magnitude', [
      ...line('lossCqt', 'spectrum'),
      ...guess('guessCqtZero', training.cqtZeroLoss, 'silence'),
      ...guess('guessCqtMean', training.cqtMeanLoss, 'mean of each bin'),
      ...guess('guessCqtClip', undefined, 'mean of the clip'),
    ]),
    chart('Accuracy of the codes', 'share', [
      ...line('accuracy', 'mean'),
      ...steady(steps, training.majorityAccuracy, 'most frequent label'),
      ...list('accuracies', 'codebook'),
    ]),
    chart('Cross-entropy by codebook', 'nats', list('lossCodes', 'codebook')),
    chart('Squared error of the mel spectrum', 'squared', line('lossMel', 'spectrum')),
    chart('Feature penalty', 'mean square', line('featurePenalty')),
    chart('Norm of the gradients', '', line('gradNorm', 'before clipping'), true),
    chart('Loss scale', '', line('lossScale'), true),
    chart('Learning rate', '', line('learningRate')),
    chart('Throughput', 'clips a second', line('clipsPerSecond')),
    chart('Largest attention logit by layer', '', list('attentionLogits', 'layer')),
    chart('Activations by layer', 'root mean square', list('activations', 'layer')),
    chart('Gradient norms by layer', '', [...list('layerGradNorms', 'layer'), ...list('partGradNorms', '')], true),
  ];
  if (data.length > 0) {
    const share = data.map((one) => {
      const { waitedSeconds, seconds } = one as unknown as { waitedSeconds?: number; seconds?: number };
      return waitedSeconds === undefined || !seconds ? null : (100 * waitedSeconds) / seconds;
    });
    charts.push({
      title: 'Waiting on data',
      unit: '% of a step',
      steps: thin(data.map(({ step }) => step)) as number[],
      series: [{ label: 'share', values: thin(share) }],
    });
  }
  if (validation.length > 0) {
    const own = columnsOf(validation);
    const kept = ['loss', 'lossRvq', 'lossCqt', 'accuracy'].filter((name) => own.has(name));
    for (const name of kept) {
      charts.push({
        title: `Held out: ${name}`,
        unit: '',
        steps: validation.map(({ step }) => step),
        series: [{ label: name, values: own.get(name) ?? [] }],
      });
    }
  }
  return charts.filter(({ series }) => series.some(({ values }) => values.some((value) => value !== null)));
}
