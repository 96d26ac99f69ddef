import type { EngineName } from './engines/engine.ts';
import type { Summary } from './statistics.ts';
import type { Pass, Precision, Work } from './work.ts';

/** A case as one engine ran it: a line of `--json`. */
export interface Result extends Summary {
  case: string;
  pass: Pass;
  engine: EngineName;
  dtype: Precision;
  /** Name of the adapter that it ran on. */
  adapter: string;
  /** Of the median; one of the two, by what bounds the case. */
  gflops?: number;
  gbps?: number;
  /** The largest error against f64, relative to the largest element. */
  maxError: number;
}

/** Gradients of both factors of a product are two more of its size; others pass over their memory as many times. */
const gradientFactor = 3;

export const flopsOf = (work: Pick<Work, 'flops'>, pass: Pass) =>
  work.flops * (pass === 'gradient' ? gradientFactor : 1);
export const bytesOf = (work: Pick<Work, 'bytes'>, pass: Pass) =>
  work.bytes * (pass === 'gradient' ? gradientFactor : 1);

export function createResult(
  work: Work,
  pass: Pass,
  engine: { name: EngineName; adapter: string },
  times: Summary,
  maxError: number,
): Result {
  const { medianMs, minMs, maxMs, runs } = times;
  const rate =
    work.bound === 'arithmetic'
      ? { gflops: flopsOf(work, pass) / medianMs / 1e6 }
      : { gbps: bytesOf(work, pass) / medianMs / 1e6 };
  return {
    case: work.name,
    pass,
    engine: engine.name,
    dtype: work.dtype,
    adapter: engine.adapter,
    medianMs,
    minMs,
    maxMs,
    runs,
    ...rate,
    maxError,
  };
}
