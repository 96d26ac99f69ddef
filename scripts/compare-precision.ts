/**
 * Trains one small student in f32 and in f16 from the same seed, and once more in f32 at a rate a thousandth higher, which shows
 * how far runs drift apart by themselves: npx tsx scripts/compare-precision.ts [STEPS] [FOLDER]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Line, panel, runSetting, writePicture } from './study.ts';

const steps = Number(process.argv[2] ?? 500);
const folder = process.argv[3] ?? join(tmpdir(), `precision-${steps}`);
mkdirSync(folder, { recursive: true });

const small = ['training.batchSize=2', 'model.numHiddenLayers=2', 'monitor.attention=false'];
const runs = new Map<string, Line[]>();
const settings: [string, string[]][] = [
  ['f32', []],
  ['f16', ['training.precision=f16']],
  ['f32, rate x 1.001', ['optimizer.learningRate=0.003003']],
];
for (const [name, set] of settings)
  runs.set(name, await runSetting(folder, name.replace(/[^\w.]+/g, '-'), steps, [...small, ...set]));

const reference = runs.get('f32')!;
/** Mean distance of a number from the first run's, over windows of 25 steps, and in the last hundred steps. */
function distance(lines: readonly Line[], of: (line: Line) => number) {
  const means = (all: readonly Line[]) =>
    Array.from({ length: Math.floor(all.length / 25) }, (_, i) =>
      all.slice(25 * i, 25 * i + 25).reduce((sum, line) => sum + of(line) / 25, 0),
    );
  const [own, other] = [means(lines), means(reference)];
  const apart = own.map((value, i) => Math.abs(value - other[i]));
  return {
    mean: apart.reduce((sum, x) => sum + x, 0) / apart.length,
    last: apart.slice(-4).reduce((sum, x) => sum + x, 0) / 4,
  };
}
const result = [...runs].slice(1).map(([name, lines]) => ({
  name,
  lossRvq: distance(lines, (line) => line.lossRvq),
  lossCqt: distance(lines, (line) => line.lossCqt),
  skipped: lines.filter(({ gradNorm }) => gradNorm === null || !Number.isFinite(gradNorm)).length,
  end: lines.slice(-25).reduce((sum, { lossRvq }) => sum + lossRvq / 25, 0),
}));
const own = reference.slice(-25).reduce((sum, { lossRvq }) => sum + lossRvq / 25, 0);
console.log(`lossRvq of the last 25 steps in f32: ${own.toFixed(4)}`);
for (const { name, lossRvq, lossCqt, skipped, end } of result) {
  console.log(
    `${name.padEnd(20)} ends at ${end.toFixed(4)}; from f32, by windows of 25 steps: lossRvq ${lossRvq.mean.toFixed(4)} (last hundred ${lossRvq.last.toFixed(4)}), ` +
      `lossCqt ${lossCqt.mean.toFixed(4)}; ${skipped} steps skipped`,
  );
}
writeFileSync(join(folder, 'precision.json'), JSON.stringify({ steps, f32: own, result }, null, 1));
writePicture(join(folder, 'precision.svg'), [
  panel('Cross-entropy of the codes (nats a codebook)', runs, ({ lossRvq }) => lossRvq, 15),
  panel('Squared error of the constant-Q spectrum', runs, ({ lossCqt }) => lossCqt, 15),
]);
console.log(join(folder, 'precision.svg'));
