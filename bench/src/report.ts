import type { DevicePeak } from '@dawnchorus/tensor';
import { bytesOf, flopsOf, type Result } from './result.ts';
import type { Work } from './work.ts';

const figure = (value: number) => (value < 10 ? value.toFixed(2) : value < 100 ? value.toFixed(1) : value.toFixed(0));
const percent = (share: number) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** One line for people. `peak` is the adapter's; PyTorch's is another machine's. */
export function resultLine(result: Result, work: Work, peak: DevicePeak): string {
  const { engine, pass, medianMs, minMs, maxMs, runs, maxError } = result;
  const gflops = flopsOf(work, pass) / medianMs / 1e6;
  const gbps = bytesOf(work, pass) / medianMs / 1e6;
  const share = engine === 'torch' ? undefined : shareOfPeak(result, peak);
  const cells = [
    engine.padEnd(14),
    `${figure(medianMs).padStart(8)} ms`,
    `${figure(minMs).padStart(8)} to ${figure(maxMs).padEnd(7)}`,
    `${String(runs).padStart(4)} runs`,
    gflops > 0 ? `${figure(gflops).padStart(7)} GFLOP/s` : ' '.repeat(15),
    `${figure(gbps).padStart(7)} GB/s`,
    share === undefined
      ? ''.padStart(16)
      : `${percent(share).padStart(6)} of ${ceilingOf(result, peak).name.padEnd(6)}`,
    `error ${maxError.toExponential(1)}`,
  ];
  return `  ${cells.join('  ')}`;
}

/** What bounds a case: copying, f32 multiply-adds, or for halves matrix units where there are some that are faster. */
export function ceilingOf({ gflops, dtype }: Pick<Result, 'gflops' | 'dtype'>, peak: DevicePeak) {
  if (gflops === undefined) return { name: 'copy', perSecond: peak.bytesPerSecond };
  const { flopsPerSecond, matrixFlopsPerSecond = 0 } = peak;
  if (dtype === 'f16' && matrixFlopsPerSecond > flopsPerSecond) {
    return { name: 'matrix', perSecond: matrixFlopsPerSecond };
  }
  return { name: 'FMA', perSecond: flopsPerSecond };
}

/** What the case reaches of the ceiling that bounds it. */
export function shareOfPeak(result: Pick<Result, 'gflops' | 'gbps' | 'dtype'>, peak: DevicePeak): number {
  return ((result.gflops ?? result.gbps ?? 0) * 1e9) / ceilingOf(result, peak).perSecond;
}
