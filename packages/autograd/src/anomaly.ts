import {
  callStack,
  flattenTree,
  formatShape,
  isfinite,
  isnan,
  scope,
  stack,
  type Tensor,
  unobserved,
} from '@dawnchorus/tensor';
import { carriesGradient } from './rules/rule.ts';
import type { Entry } from './tape.ts';
import { watching } from './watch.ts';

/** NaNs, and elements that are finite, of one tensor: [2] i32 on the GPU until all is over. */
interface Count {
  readonly counts: Tensor;
  readonly size: number;
  readonly what: string;
  nans: number;
  infinities: number;
}

interface Call {
  readonly entry: Entry;
  readonly inputs: readonly (Count | undefined)[];
  readonly outputs: readonly (Count | undefined)[];
  readonly stack: readonly string[];
}

interface Step {
  readonly call: Call | undefined;
  readonly entry: Entry;
  readonly given: readonly (Count | undefined)[];
  readonly parts: readonly (Count | undefined)[];
}

/** A NaN or an infinity, and who made it. */
export class AnomalyError extends Error {
  override name = 'AnomalyError';
  /** The operation, custom rule or checkpoint that made it of finite numbers. */
  readonly operation: string;
  /** Where it did: in its own computation, or in that of its gradient. */
  readonly pass: 'forward' | 'backward';

  constructor(message: string, operation: string, pass: 'forward' | 'backward') {
    super(message);
    this.operation = operation;
    this.pass = pass;
  }
}

const isBad = (count: Count | undefined): boolean => count !== undefined && count.nans + count.infinities > 0;

const describe = (count: Count) =>
  [count.nans > 0 && `${count.nans} NaN`, count.infinities > 0 && `${count.infinities} infinite`]
    .filter(Boolean)
    .join(' and ')
    .concat(` of ${count.size} in ${count.what}`);

const list = (tensors: readonly Tensor[]) => tensors.map(({ dtype, shape }) => dtype + formatShape(shape)).join(', ');

const signature = ({ name, inputs, outputs }: Entry) => `${name}(${list(inputs)}) -> ${list(outputs)}`;

const place = ({ stack: frames }: Call) => frames.map((frame) => `\n      at ${frame}`).join('');

function createDetector() {
  const all: Count[] = [];
  const byId = new Map<number, Count>();
  const calls: Call[] = [];
  const callOf = new Map<Entry, Call>();
  const steps: Step[] = [];

  function count(x: Tensor | undefined, what: string): Count | undefined {
    if (!x || !carriesGradient(x) || x.size === 0) return undefined;
    const counts = unobserved(() => scope(() => stack([isnan(x).sum(), isfinite(x).sum()]).retain()));
    const made = { counts, size: x.size, what: `${what}, ${x.dtype}${formatShape(x.shape)}`, nans: 0, infinities: 0 };
    all.push(made);
    return made;
  }

  function known(x: Tensor, what: string): Count | undefined {
    const found = byId.get(x.id) ?? count(x, what);
    if (found) byId.set(x.id, found);
    return found;
  }

  return {
    forward(entry: Entry) {
      const call = {
        entry,
        inputs: entry.inputs.map((x, i) => known(x, `input ${i}`)),
        outputs: entry.outputs.map((x, i) => known(x, `output ${i}`)),
        stack: callStack(),
      };
      calls.push(call);
      callOf.set(entry, call);
    },
    backward(entry: Entry, given: readonly (Tensor | undefined)[], parts: readonly (Tensor | undefined)[]) {
      steps.push({
        entry,
        call: callOf.get(entry),
        given: given.map((x, i) => count(x, `the gradient of output ${i}`)),
        parts: parts.map((x, i) => count(x, `the gradient of input ${i}`)),
      });
    },
    result: (tensors: readonly Tensor[]) => tensors.map((x, i) => count(x, `result ${i}`)),
    async read() {
      for (const own of all) {
        const [nans, finite] = await own.counts.data();
        own.nans = nans;
        own.infinities = own.size - finite - nans;
      }
    },
    dispose() {
      for (const { counts } of all) counts.dispose();
    },
    calls,
    steps,
  };
}

type Detector = ReturnType<typeof createDetector>;

/** The call in the forward pass that first made something bad of what was not, or that bad numbers first came into. */
function firstInForward(calls: readonly Call[]): Call | undefined {
  return calls.find(({ outputs, inputs }) => outputs.some(isBad) || inputs.some(isBad));
}

function forwardMessage(call: Call): string {
  const input = call.inputs.find(isBad);
  if (input) return `bad numbers came into ${signature(call.entry)}: ${describe(input)}; it was called${place(call)}`;
  return `${signature(call.entry)} made them: ${describe(call.outputs.find(isBad)!)}; it was called${place(call)}`;
}

function findAnomaly({ calls, steps }: Detector, results: readonly (Count | undefined)[]): AnomalyError | undefined {
  const early = firstInForward(calls);
  const step =
    steps.find(({ given, parts }) => parts.some(isBad) && !given.some(isBad)) ??
    steps.find(({ parts }) => parts.some(isBad));
  if (step) {
    const { entry, call, parts } = step;
    const where = call ? `; it was called${place(call)}` : '';
    const message = `the backward pass of ${signature(entry)} made ${describe(parts.find(isBad)!)}${where}`;
    const met = call && [...call.inputs, ...call.outputs].some(isBad);
    if (met && early) {
      return new AnomalyError(
        `detectAnomaly: ${message}\n  The forward pass was bad already: ${forwardMessage(early)}`,
        early.entry.name,
        'forward',
      );
    }
    return new AnomalyError(`detectAnomaly: ${message}\n  The forward pass of it was finite.`, entry.name, 'backward');
  }
  const result = results.find(isBad);
  if (!result) return undefined;
  if (!early) {
    const message = `detectAnomaly: ${describe(result)}, made by nothing that is differentiated`;
    return new AnomalyError(message, 'unknown', 'forward');
  }
  return new AnomalyError(
    `detectAnomaly: ${describe(result)}. In the forward pass ${forwardMessage(early)}`,
    early.entry.name,
    'forward',
  );
}

/**
 * Runs `fn`, which calls `grad`, `valueAndGrad` or `vjp`, and looks at every number that they differentiate: in the
 * forward pass and in gradients. For finding out where a NaN comes from: each operation costs several more and is
 * remembered with its call stack. Infinities that leave results and gradients finite, as in a mask before a softmax, are
 * no anomaly.
 *
 * @param fn runs a step and returns what it returns; no promise, and nothing compiled.
 * @throws AnomalyError when a gradient or a tensor in the result is not finite. It names the operation that made the first
 * such number of finite ones, with shapes, how many there are, and the call in the forward pass; where the forward pass
 * was to blame, it says so. The tensors of the result are disposed.
 */
export async function detectAnomaly<T>(fn: () => T): Promise<T> {
  const detector = createDetector();
  try {
    const result = watching(detector, fn);
    if (result instanceof Promise) {
      throw new TypeError(
        'detectAnomaly: the function returned a promise; wait for what it needs before, and read results after',
      );
    }
    const tensors = flattenTree(result);
    try {
      const results = detector.result(tensors);
      await detector.read();
      const anomaly = findAnomaly(detector, results);
      if (anomaly) throw anomaly;
    } catch (error) {
      for (const tensor of tensors) tensor[Symbol.dispose]();
      throw error;
    }
    return result;
  } finally {
    detector.dispose();
  }
}
