/**
 * Post-LN, pre-LN and DeepNorm, with attention relaxation and without, clipped at 10 and at 1, in half precision and at a rate
 * that is meant to hurt: npx tsx scripts/stability-study.ts [STEPS] [FOLDER] writes docs/stability.svg and a table.
 */
import { mkdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Line, panel, runSetting, writePicture } from './study.ts';

const steps = Number(process.argv[2] ?? 100);
const folder = process.argv[3] ?? join(tmpdir(), `stability-${steps}`);
mkdirSync(folder, { recursive: true });

const precision = process.env.DAWNCHORUS_STUDY_PRECISION ?? 'f16';
const hard = [
  `training.precision=${precision}`,
  'optimizer.learningRate=0.01',
  'training.lossScale=65536',
  'model.numHiddenLayers=12',
];
const pre = ['model.doStableLayerNorm=true'];
const settings: [string, string[]][] = [
  ['post-LN, clip 10', ['optimizer.clipNorm=10']],
  ['post-LN, clip 1', ['optimizer.clipNorm=1']],
  ['pre-LN, clip 10', [...pre, 'optimizer.clipNorm=10']],
  ['pre-LN, clip 1', [...pre, 'optimizer.clipNorm=1']],
  ['pre-LN, clip 1, relaxed', [...pre, 'optimizer.clipNorm=1', 'model.attentionRelax=32']],
  ['DeepNorm, clip 10', ['model.deepnorm=true', 'optimizer.clipNorm=10']],
  ['DeepNorm, clip 1', ['model.deepnorm=true', 'optimizer.clipNorm=1']],
];
const runs = new Map<string, Line[]>();
for (const [name, set] of settings) {
  runs.set(name, await runSetting(folder, name.replace(/[^\w]+/g, '-'), steps, [...hard, ...set]));
}

const last = (lines: readonly Line[], of: (line: Line) => number) => {
  const end = lines.slice(-20);
  return end.reduce((sum, line) => sum + of(line) / end.length, 0);
};
const largest = (values: readonly number[]) => values.reduce((most, x) => Math.max(most, x ?? 0), 0);
console.log(
  '| setting | codes, last 20 steps | CQT | largest gradient norm | largest logit | largest activation | skipped |',
);
console.log('|---|---|---|---|---|---|---|');
for (const [name, lines] of runs) {
  const finite = lines.filter(({ gradNorm }) => gradNorm !== null);
  console.log(
    `| ${name} | ${last(lines, (line) => line.lossRvq).toFixed(3)} | ${last(lines, (line) => line.lossCqt).toFixed(3)} | ` +
      `${largest(finite.map(({ gradNorm }) => gradNorm)).toFixed(1)} | ${largest(lines.flatMap((line) => line.attentionLogits ?? [])).toFixed(1)} | ` +
      `${largest(lines.flatMap((line) => line.activations ?? [])).toFixed(1)} | ${lines.length - finite.length} |`,
  );
}
const path = fileURLToPath(new URL('../docs/stability.svg', import.meta.url));
writePicture(path, [
  panel('Cross-entropy of the codes (nats a codebook)', runs, ({ lossRvq }) => lossRvq, 9),
  panel(
    'Logarithm (base 10) of the gradient norm',
    runs,
    ({ gradNorm }) => (gradNorm > 0 ? Math.log10(gradNorm) : Number.NaN),
    9,
  ),
  panel('Largest attention logit of any layer', runs, ({ attentionLogits = [] }) => Math.max(...attentionLogits), 9),
  panel('Logarithm (base 2) of the loss scale', runs, ({ lossScale = 1 }) => Math.log2(lossScale)),
]);
console.log(path);
