import type { DevicePeak, Profile } from '@dawnchorus/tensor';
import type { StepResult } from './index.ts';

const percent = (share: number) => `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;

/** A line for each way to do the step, and how they compare. */
export function stepLines(results: readonly StepResult[], peak: DevicePeak): string[] {
  const width = Math.max(...results.map((each) => each.case.length));
  const lines = results.map((each) => {
    const { engine, dtype, medianMs, minMs, maxMs, runs, gflops, clipsPerSecond, peakBytes } = each;
    const rate = gflops === undefined ? '' : `${gflops.toFixed(gflops < 100 ? 1 : 0)} GFLOP/s`;
    const share = gflops === undefined || engine !== 'dawnchorus' ? '' : percent((gflops * 1e9) / peak.flopsPerSecond);
    return [
      `  ${each.case.padEnd(width)}`,
      `${engine} ${dtype}`.padEnd(15),
      `${medianMs.toFixed(1).padStart(9)} ms`,
      `${minMs.toFixed(1)} to ${maxMs.toFixed(1)}`.padEnd(20),
      `${runs} runs`,
      `${clipsPerSecond.toFixed(2).padStart(7)} clips/s`,
      rate.padStart(14),
      share && `${share} of FMA`,
      peakBytes === undefined ? '' : `${(peakBytes / 2 ** 20).toFixed(0)} MiB`,
    ].join('  ');
  });
  const [eager, compiled, student, ...torch] = results;
  lines.push(`compiled / eager: ${(compiled.medianMs / eager.medianMs).toFixed(2)} of the time`);
  if (eager.peakBytes && compiled.peakBytes) {
    lines[lines.length - 1] += `, ${(compiled.peakBytes / eager.peakBytes).toFixed(2)} of the memory`;
  }
  for (const { dtype, medianMs, adapter } of torch) {
    lines.push(
      `student alone, ours / PyTorch ${dtype} on ${adapter}: ${(student.medianMs / medianMs).toFixed(2)} of the time`,
    );
  }
  return lines;
}

const ROWS = 30;

/** A profile's table with its longest rows. */
export function tableOf(profile: Profile): string {
  // Two lines of totals and one of names stand before the rows.
  const lines = String(profile).split('\n');
  const rest = profile.rows.slice(ROWS);
  const left = rest.reduce((sum, { milliseconds }) => sum + milliseconds, 0);
  const bottom = rest.length > 0 ? [`and ${rest.length} more rows: ${left.toFixed(3)} ms`] : [];
  return [...lines.slice(0, 3 + ROWS), ...bottom].join('\n');
}
