/** A live run in the terminal. */
import { formatDuration } from '../training/progress.ts';
import type { Run } from './run.ts';

const bars = '▁▂▃▄▅▆▇█';

/** Numbers as a line of blocks, the last `width` of them, or means of neighbours. */
export function sparkline(values: readonly number[], width: number): string {
  const known = values.filter(Number.isFinite);
  if (known.length === 0) return '';
  const size = Math.max(1, Math.ceil(known.length / width));
  const means = Array.from({ length: Math.ceil(known.length / size) }, (_, i) => {
    const some = known.slice(i * size, (i + 1) * size);
    return some.reduce((sum, value) => sum + value, 0) / some.length;
  });
  const [low, high] = [Math.min(...means), Math.max(...means)];
  return means.map((value) => bars[Math.round(((value - low) / (high - low || 1)) * (bars.length - 1))]).join('');
}

const digits = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value.toPrecision(4) : '–');

/** What is shown of a run, in lines of at most `columns` characters. */
export function watchText(run: Run, columns = 80, now = Date.now()): string[] {
  const { metrics, data, validation, checkpoint, music, report, running, rollbacks, changed } = run;
  const last = metrics.at(-1);
  if (!last) return [`${run.out}: no step yet`];
  const width = Math.max(10, columns - 38);
  const row = (label: string, name: string) => {
    const values = metrics.map((line) => Number(line[name]));
    return `${label.padEnd(16)}${digits(last[name]).padStart(9)}  ${sparkline(values, width)}`;
  };
  const recent = metrics.slice(-50);
  const seconds = recent.reduce((sum, line) => sum + Number(line.seconds), 0) / recent.length;
  const stopAt = checkpoint?.state.stopAt ?? checkpoint?.state.config.training.steps;
  const left = stopAt ? `, ${formatDuration((stopAt - last.step) * seconds)} left` : '';
  const ago = changed ? (now - changed.getTime()) / 1000 : 0;
  const state = report
    ? 'finished'
    : !running
      ? 'stopped or failed; --resume goes on'
      : ago > Math.max(120, 10 * seconds)
        ? `nothing new for ${formatDuration(ago)}`
        : 'running';
  const recentData = data.slice(-50);
  const total = recentData.reduce((sum, line) => sum + Number(line.seconds), 0);
  const waited = recentData.reduce((sum, line) => sum + Number(line.waitedSeconds), 0);
  const held = validation.at(-1);
  return [
    `${run.out}: step ${last.step}${stopAt ? ` of ${stopAt}` : ''}, ${state}${running && !report ? left : ''}`,
    row('loss', 'loss'),
    row('codes, nats', 'lossRvq'),
    row('spectrum', 'lossCqt'),
    row('accuracy', 'accuracy'),
    row('gradient norm', 'gradNorm'),
    row('learning rate', 'learningRate'),
    row('clips a second', 'clipsPerSecond'),
    ...(total > 0
      ? [`waiting on data ${((100 * waited) / total).toFixed(1).padStart(8)} % of the last ${recentData.length} steps`]
      : []),
    ...(held ? [`held out at step ${held.step}: loss ${digits(held.loss)}, accuracy ${digits(held.accuracy)}`] : []),
    ...(rollbacks.length > 0
      ? [
          `went back ${rollbacks.length === 1 ? 'once' : `${rollbacks.length} times`}, last at step ${rollbacks.at(-1)?.fromStep} to step ${rollbacks.at(-1)?.toStep}: ${rollbacks.at(-1)?.reason}`,
        ]
      : []),
    ...(music && music.skipped.length > 0
      ? [`${music.skipped.length} files left out, e.g. ${music.skipped[0].path}`]
      : []),
    ...(checkpoint ? [`checkpoint of step ${checkpoint.state.step} in ${checkpoint.folder}`] : ['no checkpoint yet']),
  ].map((line) => line.slice(0, columns));
}
