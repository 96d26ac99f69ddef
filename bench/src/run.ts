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
  readonly engine: Engine;
  readonly prepared: Prepared;
  readonly maxError: number;
  readonly times: number[];
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

/** One pass of one piece of work, and what came of it. */
interface Round {
  readonly work: Work;
  readonly pass: Pass;
  readonly log: RunOptions['log'];
  /** What was wrong with ours. */
  readonly failures: string[];
}

async function runPass(work: Work, pass: Pass, group: Group, options: RunOptions): Promise<string[]> {
  const { engines, log, onResult } = options;
  const round: Round = { work, pass, log, failures: [] };
  const entries = await enter(round, engines);
  await timeInTurns(round, entries, group);
  for (const { engine, prepared, maxError, times, failed } of entries) {
    prepared.dispose();
    if (times.length > 0 && !failed)
      onResult(createResult(work, pass, engine, summarise(times), maxError), work, group);
  }
  return round.failures;
}

/** The engines that have the operation and do it right. */
async function enter(round: Round, engines: readonly Engine[]): Promise<Entry[]> {
  const expected = round.work.expected(round.pass);
  const entries: Entry[] = [];
  for (const engine of engines) {
    const entry = await enterEngine(round, engine, expected);
    if (entry) entries.push(entry);
  }
  return entries;
}

async function enterEngine(
  round: Round,
  engine: Engine,
  expected: ReturnType<Work['expected']>,
): Promise<Entry | undefined> {
  const { work, pass, log } = round;
  const { name } = engine;
  let prepared: Prepared | undefined;
  try {
    prepared = await engine.prepare(work, pass);
    if (!prepared) {
      log(`  ${name}: ${engine.whyNot?.(work) ?? `has no ${work.operation}${work.dtype === 'f16' ? ' in f16' : ''}`}`);
      return undefined;
    }
    const maxError = largestError(expected, await prepared.read());
    const allowed = isOurs(engine) ? work.tolerance : PEER_TOLERANCE[work.dtype];
    if (maxError <= allowed) return { engine, prepared, maxError, times: [], failed: false };
    const problem = `the largest error is ${maxError.toExponential(1)}, more than ${allowed}: not timed`;
    report(round, engine, 'WRONG', problem);
  } catch (error) {
    report(round, engine, 'failed', (error as Error).message);
  }
  prepared?.dispose();
  return undefined;
}

const isOurs = ({ name }: Engine) => name === 'dawnchorus';

/** Tells what is wrong with an engine, and keeps it where it is ours. */
function report({ work, pass, log, failures }: Round, engine: Engine, what: 'WRONG' | 'failed', reason: string): void {
  log(`  ${engine.name}: ${what}: ${reason}`);
  if (isOurs(engine)) failures.push(`${keyOf(work)} ${pass}: ${reason}`);
}

/** Fills the entries with their times; one that fails is told, and not asked again. */
async function timeInTurns(round: Round, entries: readonly Entry[], group: Group): Promise<void> {
  const alive = () => entries.filter(({ failed }) => !failed);
  async function run(entry: Entry): Promise<number> {
    try {
      return await entry.prepared.run();
    } catch (error) {
      report(round, entry.engine, 'failed', (error as Error).message);
      entry.failed = true;
      return 0;
    }
  }
  async function longestRun(): Promise<number> {
    let longest = 0;
    for (const entry of alive()) longest = Math.max(longest, await run(entry));
    return longest;
  }

  // Shaders are compiled; the second call tells how long one takes.
  await longestRun();
  const longest = await longestRun();
  const runs = plannedRuns(longest, group === 'kernels' ? undefined : MODEL_MILLISECONDS);
  if (alive().length > 0 && runs < USUAL_RUNS)
    round.log(`  ${runs} runs, for one takes ${(longest / 1e3).toFixed(1)} s`);
  for (let turn = 0; turn < runs; turn++) {
    for (const entry of alive()) {
      // Not with the caches, and not beside the threads, of the engine before.
      if (longest < SHORT_MILLISECONDS) await run(entry);
      entry.times.push(await run(entry));
    }
  }
}
