import { type Device, scope } from '@dawnchorus/tensor';
import type { ShapeCase } from './shape-cases.ts';

const SECONDS_A_CASE = 1.5;

/** What is known of one shape. */
export interface ShapeRow {
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

/** Times the model's shapes and a whole step by the wall clock, and their kernels on the GPU. Results are not checked. */
export async function timeShapes(device: Device, cases: readonly ShapeCase[]): Promise<ShapeRow[]> {
  const rows: ShapeRow[] = [];
  console.log(
    `${'case'.padEnd(56)} ${'median ms'.padStart(10)} ${'least ms'.padStart(10)} ${'GFLOP/s'.padStart(9)} ${'GB/s'.padStart(8)}`,
  );
  for (const { name, flops, bytes, prepare } of cases) {
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
    const row: ShapeRow = { name, runs: times.length, least: times[0], median: times[times.length >> 1] };
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
  return rows;
}
