import { type RandomKey, repeating, scope, type Tensor } from '@dawnchorus/tensor';
import { recordKeys, replayKeys } from './nn/key-replay.ts';
import { describe, differenceOf, followSteps, type Step, sameTaken, type Taken } from './steps.ts';
import { addEntry, aliasOf, aside, type Entry, hearingTapes, isAside, type Tape, withoutTapes } from './tape.ts';
import { listOf, type Outputs } from './vjp.ts';

/** What the first run of a function used and did. */
interface FirstRun {
  readonly steps: readonly Step[];
  readonly keys: readonly RandomKey[];
  /** Every tensor from outside, itself: the function will ask for the very same handle. */
  readonly used: readonly Tensor[];
  /** Where its results come from. */
  readonly results: readonly Taken[];
}

function firstRun<T extends Outputs>(inputs: readonly Tensor[], body: () => T): { result: T; run: FirstRun } {
  const steps: Step[] = [];
  const keys: RandomKey[] = [];
  const used = new Set(inputs);
  const following = followSteps((step, operands) => {
    steps.push(step);
    operands.forEach((operand, i) => {
      if (step.operands[i].from === 'outside') used.add(operand);
    });
  });
  try {
    const result = withoutTapes(() => recordKeys(keys, () => scope(body)));
    const results = listOf(result).map(following.takenAs);
    // What is gone by now was a handle of the function's own.
    return { result, run: { steps, keys, used: [...used].filter((x) => !x.disposed), results } };
  } finally {
    following.stop();
  }
}

function differs(what: string): never {
  throw new Error(
    `checkpoint: run again for the backward pass, the function did something else: ${what}. It may depend on nothing ` +
      'that changes in between; random keys come from nn.keySequence, or are the same every time, and withParameters goes ' +
      'around valueAndGrad, not inside it',
  );
}

let running = 0;

/**
 * Runs what a function does to the world beside its result (running statistics, say): once, and not again when the function
 * is run again for its gradient. What it makes is disposed.
 */
export function sideEffect(body: () => void): void {
  if (running === 0 && !isAside()) aside(() => scope(body));
}

/** Runs the function again and compares every step, and where the results come from, with the first run. */
function secondRun({ steps, keys, results }: FirstRun, body: () => Outputs): Outputs {
  let at = 0;
  const following = followSteps((now) => {
    const before = steps[at++];
    if (!before) differs(`it went on with ${describe(now)} where the first run had ended`);
    const difference = differenceOf(before, now, at);
    if (difference) differs(difference);
  });
  running++;
  try {
    const result = repeating(() => replayKeys(keys, body));
    if (at < steps.length) differs(`it ended before step ${at + 1}, ${describe(steps[at])}`);
    const now = listOf(result).map(following.takenAs);
    const other = now.findIndex((taken, i) => !results[i] || !sameTaken(results[i], taken));
    if (other >= 0 || now.length !== results.length) differs('it returned other tensors');
    return result;
  } finally {
    running--;
    following.stop();
  }
}

/** Runs `body` with tensors alive that may have been disposed since, and lets them go again. */
function revived<T>(tensors: readonly Tensor[], handles: readonly Tensor[], body: () => T): T {
  const gone = tensors.map((x) => x.disposed);
  try {
    tensors.forEach((x, i) => {
      if (gone[i]) x.revive(handles[i]);
    });
    return body();
  } finally {
    tensors.forEach((x, i) => {
      if (gone[i]) x[Symbol.dispose]();
    });
  }
}

function entryOf(tape: Tape, run: FirstRun, outputs: readonly Tensor[], again: () => Outputs): Entry | undefined {
  const { used } = run;
  const inputs = used.filter(({ id }) => tape.tracked.has(id));
  if (inputs.length === 0) return undefined;
  const handles = used.map((x) => x.retain());
  return {
    name: 'checkpoint',
    inputs,
    outputs,
    saved: handles,
    recompute: () => listOf(revived(used, handles, () => secondRun(run, again))),
  };
}

/**
 * The same function, whose intermediate results are not kept for the backward pass but computed again when it gets there:
 * memory for time (Chen et al., "Training deep nets with sublinear memory cost", 2016). What the function takes from
 * outside is kept, be it an input, a parameter or anything else that it refers to, and all of it gets its gradient. Values
 * and gradients are those of the function itself, bit for bit, dropout included: keys from `nn.keySequence` are handed out
 * again. Checkpoints nest.
 *
 *     const block = checkpoint((x) => layer.forward(x, { keys }));
 *
 * @param fn from tensors to one tensor or several. It runs once more for each backward pass and has to do the same then;
 * tensors that it stores elsewhere are disposed after it.
 * @throws Error in the backward pass when the second run does anything else than the first.
 */
export function checkpoint<T extends Outputs>(fn: (...inputs: Tensor[]) => T): (...inputs: Tensor[]) => T {
  return (...inputs) =>
    scope(() => {
      const tapes = hearingTapes();
      const { result, run } = firstRun(inputs, () => fn(...inputs));
      const outputs = listOf(result).map(aliasOf);
      for (const tape of tapes) {
        const entry = entryOf(tape, run, outputs, () => fn(...inputs));
        if (entry) addEntry(tape, entry);
      }
      return (Array.isArray(result) ? outputs : outputs[0]) as T;
    });
}
