import {
  apply,
  formatShape,
  isTensor,
  noteDifferentiated,
  scope,
  type Tensor,
  valueText,
  zeros,
} from '@dawnchorus/tensor';
import { carriesGradient } from './rules/rule.ts';
import { backward, createTape, hearingTapes, listen, releaseTape, type Tape, tracks } from './tape.ts';

/** What a function gave, and the gradients of what it was differentiated with respect to. */
export interface Pullback<T> {
  result: T;
  gradients: Tensor[];
}

function checkParameters(who: string, parameters: readonly Tensor[]): void {
  if (!Array.isArray(parameters))
    throw new TypeError(`${who}: the parameters are ${valueText(parameters)}; expected an array`);
  parameters.forEach((parameter, i) => {
    if (!isTensor(parameter)) {
      throw new TypeError(`${who}: parameter ${i} is ${valueText(parameter)}; expected a tensor`);
    }
    if (parameter.disposed) throw parameter.disposedError(who, i);
    if (!carriesGradient(parameter)) {
      throw new TypeError(
        `${who}: parameter ${i} is ${parameter}; gradients flow to f32 and f16 alone: leave it out or cast it`,
      );
    }
  });
}

/** What the tape found for a parameter, as a view that the enclosing scope owns; zeros where the loss does not depend on it. */
function gradientOf({ id, shape, dtype, device }: Tensor, found: ReadonlyMap<number, Tensor>): Tensor {
  const gradient = found.get(id);
  if (!gradient) return zeros(shape, { dtype, device });
  // In place of the tape's own handle. An enclosing tape sees it made.
  const [dense] = gradient.contiguous ? [gradient] : apply('contiguous', [gradient], {});
  return apply('reshape', [dense], { shape })[0];
}

/**
 * Runs `fn` while a tape listens, asks `seed` for the outputs and their gradients, and walks back to the parameters. All
 * that `fn` makes is disposed, but for the tensors that it returns; what `seed` makes, too.
 */
export function pullBack<T>(
  who: string,
  parameters: readonly Tensor[],
  fn: () => T,
  seed: (result: T, tape: Tape) => readonly (readonly [output: Tensor, gradient: Tensor])[],
): Pullback<T> {
  checkParameters(who, parameters);
  noteDifferentiated(parameters);
  const tape = createTape(parameters);
  return scope(() => {
    let result: T;
    let found: Map<number, Tensor>;
    let outer: Tape[];
    try {
      result = listen(tape, () => scope(fn));
      const seeds = seed(result, tape);
      outer = hearingTapes().filter((own) => seeds.some((pair) => tracks(own, pair)));
      found = backward(tape, seeds, new Set(parameters.map((parameter) => parameter.id)));
    } catch (error) {
      releaseTape(tape);
      throw error;
    }
    try {
      const gradients = parameters.map((parameter) => gradientOf(parameter, found));
      // Where the value depends on what an enclosing call differentiates by, so does its gradient, if only by a derivative
      // of zero that no operation shows: relu's second one, say.
      for (const { tracked } of outer) for (const { id } of gradients) tracked.add(id);
      return { result, gradients };
    } finally {
      for (const gradient of found.values()) gradient.dispose();
    }
  });
}

/** Several outputs, or one. */
export type Outputs = Tensor | readonly Tensor[];

export const listOf = (outputs: Outputs): readonly Tensor[] => (Array.isArray(outputs) ? outputs : [outputs as Tensor]);

/**
 * The vector-Jacobian product: `fn` of the inputs, and the gradient of sum(output * gradient) with respect to each input,
 * in its shape and dtype. Differentiable itself.
 *
 * @param fn from the inputs to one f32 or f16 tensor or several, of any shapes.
 * @param gradient of each output's shape, or a function that makes it of the output.
 * @throws RangeError when a gradient has another shape than its output, Error when no output depends on an input.
 */
export function vjp<T extends Outputs>(
  fn: (...inputs: Tensor[]) => T,
  inputs: readonly Tensor[],
  gradient: NoInfer<T> | ((output: T) => NoInfer<T>),
): { output: T; gradients: Tensor[] } {
  const { result: output, gradients } = pullBack(
    'vjp',
    inputs,
    () => fn(...inputs),
    (result, tape) => {
      const outputs = listOf(result);
      const given = listOf(typeof gradient === 'function' ? gradient(result) : gradient);
      if (given.length !== outputs.length) {
        throw new RangeError(`vjp: ${given.length} gradients for ${outputs.length} outputs; expected one each`);
      }
      given.forEach((own, i) => {
        if (!isTensor(own)) {
          throw new TypeError(
            `vjp: gradient ${i} is ${valueText(own)}; expected a tensor like the output ${outputs[i]}, as in vjp(fn, inputs, gradient)`,
          );
        }
        if (formatShape(own.shape) !== formatShape(outputs[i].shape) || !carriesGradient(own)) {
          throw new RangeError(
            `vjp: gradient ${i} is ${own}, but the output is ${outputs[i]}; expected floats of that shape`,
          );
        }
      });
      const seeds = outputs.map((own, i) => [own, given[i]] as const).filter(([own]) => tape.tracked.has(own.id));
      if (seeds.length === 0) throw new Error('vjp: no output depends on any of the inputs');
      return seeds;
    },
  );
  return { output, gradients };
}
