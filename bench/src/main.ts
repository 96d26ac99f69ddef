/**
 * Times kernels and the whole training step on the adapter that opens.
 *
 *   npm run bench                 every case, at sizes that suit the adapter
 *   npm run bench -- engine       host cost of a call and a replayed dispatch; a training step eager and compiled
 *   npm run bench -- conv matmul  only cases whose name has one of these words
 *   npm run bench -- --save       also writes bench/results/<adapter>.json
 *   npm run bench -- --large      MERT-95M sizes whatever the adapter; --small the opposite
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { openDevice, scope } from '@dawnchorus/tensor';
import { benchCases } from './cases.ts';
import { engineRows } from './engine.ts';

const SECONDS_A_CASE = 1.5;
const words = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const flag = (name: string) => process.argv.includes(`--${name}`);

const device = await openDevice({ log: (line) => console.log(line) });
const small = flag('small') || (device.adapter.software && !flag('large'));

interface Row {
  name: string;
  runs: number;
  /** Milliseconds of a call with its wait: the smallest and the median. */
  least: number;
  median: number;
  gflops?: number;
  gigabytesPerSecond?: number;
  /** Milliseconds on the GPU by kernel. */
  kernels?: Record<string, number>;
}

if (words.includes('engine')) {
  const engine = await engineRows(device, (line) => console.log(line));
  for (const { name, value, unit, target } of engine) {
    const wanted = target === undefined ? '' : `  (target: under ${target})`;
    console.log(`${name.padEnd(60)} ${value.toFixed(2).padStart(10)} ${unit}${wanted}`);
  }
  if (flag('save')) saveResults('engine', engine);
  device.close();
  process.exit(0);
}

const rows: Row[] = [];
console.log(
  `${'case'.padEnd(56)} ${'median ms'.padStart(10)} ${'least ms'.padStart(10)} ${'GFLOP/s'.padStart(9)} ${'GB/s'.padStart(8)}`,
);
for (const { name, flops, bytes, prepare } of benchCases(small)) {
  if (words.length > 0 && !words.some((word) => name.includes(word))) continue;
  const call = prepare(device);
  const once = async () => {
    let result: unknown;
    scope(() => {
      result = call();
    });
    await result;
    await device.synchronize();
  };
  await once();
  const times: number[] = [];
  const end = performance.now() + SECONDS_A_CASE * 1000;
  while (times.length < 3 || (performance.now() < end && times.length < 200)) {
    const start = performance.now();
    await once();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const row: Row = { name, runs: times.length, least: times[0], median: times[times.length >> 1] };
  if (flops) row.gflops = flops / row.median / 1e6;
  if (bytes) row.gigabytesPerSecond = bytes / row.median / 1e6;
  if (device.features.has('timestamp-query')) {
    const kernels: Record<string, number> = {};
    for (const { kernel, milliseconds } of (await device.profile(once)).rows) {
      kernels[kernel] = Number(((kernels[kernel] ?? 0) + milliseconds).toFixed(4));
    }
    row.kernels = kernels;
  }
  rows.push(row);
  const cell = (value: number | undefined, width: number) =>
    (value === undefined ? '' : value.toFixed(2)).padStart(width);
  console.log(
    `${name.padEnd(56)} ${cell(row.median, 10)} ${cell(row.least, 10)} ${cell(row.gflops, 9)} ${cell(row.gigabytesPerSecond, 8)}`,
  );
}

if (flag('save')) saveResults('', rows);
device.close();

/** Writes figures with the machine's name. */
function saveResults(kind: string, figures: readonly unknown[]): void {
  const folder = fileURLToPath(new URL('../results/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const adapter = device.adapter.name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '');
  const file = `${folder}${kind ? `${kind}-` : ''}${adapter}.json`;
  const machine = { adapter: device.adapter, processor: cpus()[0]?.model, cores: cpus().length, node: process.version };
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(file, `${JSON.stringify({ date, machine, rows: figures }, null, 2)}\n`);
  console.log(`wrote ${file}`);
}
