/** Runs of one small student under several settings, on the same music and teacher, side by side. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadConfig, pretrain } from '../packages/mert/src/index.ts';
import { drawCurves, smooth } from '../packages/mert/src/training/curves.ts';
import type { MetricsLine } from '../packages/mert/src/training/report.ts';
import { getDefaultDevice, openDevice } from '../packages/tensor/src/index.ts';

const music = fileURLToPath(new URL('../data/music', import.meta.url));

/** A line of a run's metrics, with what each layer does. */
export type Line = MetricsLine & {
  lossScale?: number;
  attentionLogits?: number[];
  activations?: number[];
};

/** A student of 64 x 4 layers on crops of half a second: what two CPU cores train in minutes. */
const base = [
  'audio.cropSeconds=0.5',
  'model.numHiddenLayers=4',
  'mixture.lengthRange=[3000, 6000]',
  'rvq.steps=40',
  'training.batchSize=4',
  'checkpoint.every=0',
  'divergence.afterSteps=100000000',
];

/** Lines of the run of some settings; the folder keeps runs, so that a study that was stopped goes on. */
export async function runSetting(folder: string, name: string, steps: number, set: readonly string[]): Promise<Line[]> {
  const out = join(folder, name);
  const read = (): Line[] =>
    readFileSync(join(out, 'metrics.jsonl'), 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  if (existsSync(join(out, 'report.json'))) return read();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  // One teacher for all: labels are the same then.
  const teacher = join(folder, 'teacher');
  if (existsSync(teacher)) cpSync(teacher, join(out, 'teacher'), { recursive: true });
  const config = loadConfig({
    preset: 'small',
    set: [...base, `training.steps=${steps}`, 'optimizer.warmupSteps=20', ...set],
  });
  console.log(`${name}: ${set.join(' ')}`);
  await openDevice({ log() {} });
  const device = getDefaultDevice()!;
  await pretrain({ device, config, data: music, out, resume: existsSync(teacher), log() {} });
  if (!existsSync(teacher)) cpSync(join(out, 'teacher'), teacher, { recursive: true });
  device.close();
  return read();
}

const colors = ['#1f77b4', '#d62728', '#2ca02c', '#9467bd', '#ff7f0e', '#8c564b', '#e377c2', '#17becf'];

/** A chart of one number of each run by step. */
export function panel(
  title: string,
  runs: ReadonlyMap<string, readonly Line[]>,
  value: (line: Line) => number,
  window = 1,
) {
  return {
    title,
    series: [...runs].map(([label, lines], i) => ({
      label,
      color: colors[i % colors.length],
      values: smooth(lines.map(value), window),
    })),
  };
}

/** Writes charts, one below the other, as SVG. */
export function writePicture(path: string, panels: Parameters<typeof drawCurves>[0]): void {
  writeFileSync(path, drawCurves(panels));
}
