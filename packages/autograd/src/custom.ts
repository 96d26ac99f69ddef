import { observe, scope, type Tensor, zeros } from '@dawnchorus/tensor';
import { carriesGradient, checkGradients } from './rules/rule.ts';
import {
  addEntry,
  aliasOf,
  aside,
  type Entry,
  hearingTapes,
  retainAll,
  type Tape,
  tracks,
  withoutTapes,
} from './tape.ts';
import { listOf, type Outputs } from './vjp.ts';

/** What is known of a call when its gradient is taken. */
export interface CustomVjpContext {
  /** Shapes and dtypes of the inputs; elements only of those that were saved. */
  readonly inputs: readonly Tensor[];
  /** Which inputs a gradient is wanted for; the others may be undefined. */
  readonly needs: readonly boolean[];
}

/** A function and its vector-Jacobian product. */
export interface CustomVjp<T extends Outputs> {
  /** Names the rule in errors; `customVjp` by default. */
  name?: string;
  /**
   * Computes the output, one tensor or several, and names what the backward pass needs: inputs, outputs, or anything else
   * made on the way. It uses no tensor that depends on what is differentiated but its inputs.
   */
  forward(...inputs: Tensor[]): { output: T; saved?: readonly Tensor[] };
  /**
   * From the gradient of each output (zeros where the loss does not depend on it) to those of the inputs, in order and
   * shape; undefined where there is none.
   */
  backward(gradient: T, saved: readonly Tensor[], context: CustomVjpContext): readonly (Tensor | undefined)[];
}

/** Refuses what the rule could not give a gradient to. */
function refuseCaptures(name: string, inputs: readonly Tensor[], tapes: readonly Tape[]): () => void {
  const own = new Set(inputs.map(({ id }) => id));
  return observe((application) => {
    const stray = application.inputs.find((x) => !own.has(x.id) && tapes.some((tape) => tracks(tape, [x])));
    if (!stray) return;
    throw new Error(
      `${name}: forward uses ${stray} in ${application.name}, which is differentiated but no input of the function; ` +
        'make it an input, or wrap it in stopGradient where it needs no gradient',
    );
  });
}

/**
 * A function with a gradient of your own, as JAX's `custom_vjp`: for gradients that are cheaper or steadier than those of
 * the operations inside, or that are meant to differ from them. `backward` is differentiated in turn where somebody asks
 * for a gradient of a gradient; what it uses must then be differentiable.
 *
 *     const reverse = customVjp({
 *       forward: (x) => ({ output: x }),
 *       backward: (gradient) => [gradient.neg()],
 *     });
 *
 * @throws Error when `forward` uses a tensor that is differentiated and no input, or `backward` makes a gradient of
 * another shape than the input.
 */
export function customVjp<T extends Outputs = Tensor>(rule: CustomVjp<T>): (...inputs: Tensor[]) => T {
  const name = rule.name ?? 'customVjp';
  return (...inputs) =>
    scope(() => {
      const hearing = hearingTapes();
      const tapes = hearing.filter((tape) => tracks(tape, inputs));
      const stop = refuseCaptures(name, inputs, hearing);
      let result: ReturnType<typeof rule.forward>;
      try {
        result = withoutTapes(() => rule.forward(...inputs));
      } finally {
        stop();
      }
      if (!result?.output) {
        throw new TypeError(`${name}: forward returned no { output }; expected { output, saved }`);
      }
      // Names of their own: forward may return an input, or what somebody else made.
      const made = listOf(result.output);
      const several = Array.isArray(result.output);
      const outputs = made.map(aliasOf);
      const saved = (result.saved ?? []).map((x) => outputs[made.findIndex(({ id }) => id === x.id)] ?? x);
      for (const tape of tapes) addEntry(tape, entryOf(name, rule, inputs, outputs, saved, tapes.length > 1, several));
      return (several ? outputs : outputs[0]) as T;
    });
}

function entryOf<T extends Outputs>(
  name: string,
  rule: CustomVjp<T>,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  saved: readonly Tensor[],
  nested: boolean,
  several: boolean,
): Entry {
  const kept = retainAll(saved);
  // Tapes know inputs and outputs. For a gradient of a gradient, forward makes the rest again in their hearing.
  const known = new Set([...inputs, ...outputs].map(({ id }) => id));
  const again = nested && saved.some((x) => !known.has(x.id) && carriesGradient(x)) ? retainAll(inputs) : [];
  return {
    name,
    inputs,
    outputs,
    saved: [...kept, ...again],
    vjp(gradients, needs) {
      const { device } = gradients.find(Boolean)!;
      const given = outputs.map(({ shape, dtype }, i) => gradients[i] ?? zeros(shape, { dtype, device }));
      let elements = kept;
      if (again.length > 0 && hearingTapes().some((tape) => tracks(tape, again))) {
        const made = aside(() => rule.forward(...again)).saved ?? [];
        elements = kept.map((x, i) => (known.has(x.id) ? x : made[i]));
      }
      const parts = rule.backward((several ? given : given[0]) as T, elements, { inputs, needs });
      checkGradients(`${name}: backward`, parts, inputs.length);
      return parts;
    },
  };
}
