import type { Engine, Prepared } from './engines/engine.ts';
import { createResult, type Result } from './result.ts';
import { plannedRuns, summarise, USUAL_RUNS } from './statistics.ts';
import { type Case, type Group, keyOf, largestError, type Pass, type Precision, type Work } from './work.ts';

/** A peer further off than this did other work. */
const PEER_TOLERANCE: Readonly<Record<Precision, number>> = { f32: 1e-3, f16: 1e-2 };

/** Runs that are over so soon have one in front that is not timed. */
const SHORT_MILLISECONDS = 100;

/** Of one case of the models: there are many of them. */
const MODEL_MILLISECONDS = 5000;

export interface RunOptions {
  engines: readonly Engine[];
  log(line: string): void;
  onResult(result: Result, work: Work, group: Group): void;
}

/** One engine at one case. */
interface Entry {
  engine: Engine;
  prepared: Prepared;
  maxError: number;
  times: number[];
  failed: boolean;
}

/**
 * Checks every engine's result against f64, then times them in turns, so that whatever else the machine does falls on all
 * of them. Ours is not timed where its result is wrong. Returns what was wrong.
 */
export async function runCases(cases: readonly Case[], options: RunOptions): Promise<string[]> {
  const failures: string[] = [];
  const total = cases.reduce((sum, { passes }) => sum + passes.length, 0);
  let number = 0;
  for (const each of cases) {
    const work = each.make();
    for (const pass of each.passes) {
      options.log(`[${++number}/${total}] ${keyOf(each)} ${pass}: ${each.about}`);
      failures.push(...(await runPass(work, pass, each.group, options)));
    }
  }
  return failures;
}

async function runPass(
  work: Work,
  pass: Pass,
  group: Group,
  { engines, log, onResult }: RunOptions,
): Promise<string[]> {
  const failures: string[] = [];
  const expected = work.expected(pass);
  const entries: Entry[] = [];
  function fail({ name }: Engine, reason: string): void {
    log(`  ${name}: failed: ${reason}`);
    if (name === 'dawnchorus') failures.push(`${keyOf(work)} ${pass}: ${reason}`);
  }
  for (const engine of engines) {
    const own = engine.name === 'dawnchorus';
    let prepared: Prepared | undefined;
    try {
      prepared = await engine.prepare(work, pass);
      if (!prepared) {
        log(
          `  ${engine.name}: ${engine.whyNot?.(work) ?? `has no ${work.operation}${work.dtype === 'f16' ? ' in f16' : ''}`}`,
        );
        continue;
      }
      const maxError = largestError(expected, await prepared.read());
      const allowed = own ? work.tolerance : PEER_TOLERANCE[work.dtype];
      if (maxError <= allowed) {
        entries.push({ engine, prepared, maxError, times: [], failed: false });
        continue;
      }
      const problem = `the largest error is ${maxError.toExponential(1)}, more than ${allowed}: not timed`;
      log(`  ${engine.name}: WRONG: ${problem}`);
      if (own) failures.push(`${keyOf(work)} ${pass}: ${problem}`);
    } catch (error) {
      fail(engine, (error as Error).message);
    }
    prepared?.dispose();
  }
  /** One run of an engine; one that fails is told, and not asked again. */
  async function run(entry: Entry): Promise<number> {
    try {
      return await entry.prepared.run();
    } catch (error) {
      fail(entry.engine, (error as Error).message);
      entry.failed = true;
      return 0;
    }
  }
  const alive = () => entries.filter(({ failed }) => !failed);
  // Shaders are compiled; the second call tells how long one takes.
  let longest = 0;
  for (let k = 0; k < 2; k++) {
    longest = 0;
    for (const entry of alive()) longest = Math.max(longest, await run(entry));
  }
  const runs = plannedRuns(longest, group === 'kernels' ? undefined : MODEL_MILLISECONDS);
  if (alive().length > 0 && runs < USUAL_RUNS) log(`  ${runs} runs, for one takes ${(longest / 1e3).toFixed(1)} s`);
  for (let round = 0; round < runs; round++) {
    for (const entry of alive()) {
      // Not with the caches, and not beside the threads, of the engine before.
      if (longest < SHORT_MILLISECONDS) await run(entry);
      entry.times.push(await run(entry));
    }
  }
  for (const { engine, prepared, maxError, times, failed } of entries) {
    prepared.dispose();
    if (times.length > 0 && !failed)
      onResult(createResult(work, pass, engine, summarise(times), maxError), work, group);
  }
  return failures;
}
