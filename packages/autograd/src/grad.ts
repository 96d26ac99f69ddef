import {
  type Application,
  add,
  apply,
  type DifferentiableOpName,
  formatShape,
  observe,
  ones,
  scope,
  type Tensor,
  unobserved,
  zeros,
} from '@dawnchorus/tensor';
import { rules } from './rules/index.ts';
import type { Rule } from './rules/rule.ts';

/** An operation on the tape. Tensors that its rule does not save are kept as disposed handles, for their shapes. */
interface Entry {
  readonly name: string;
  readonly rule: Rule<unknown>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: unknown;
  readonly saved: readonly Tensor[];
}

/** Operations that make floats of floats and have no rule: passing through them must fail, not stop silently. */
const notDifferentiable = /Backward$|^adamw$/;

function isDifferentiable(name: string): name is DifferentiableOpName {
  return Object.hasOwn(rules, name);
}

/** Listens at the door and keeps what depends on the parameters. */
function record(parameters: readonly Tensor[]) {
  const entries: Entry[] = [];
  const tracked = new Set(parameters.map((parameter) => parameter.id));
  const stop = observe(({ name, inputs, outputs, attributes }: Application) => {
    if (!inputs.some((input) => tracked.has(input.id))) return;
    if (!isDifferentiable(name)) {
      if (notDifferentiable.test(name)) {
        throw new Error(
          `grad: ${name} has no gradient of its own; a gradient of a gradient through it is not supported`,
        );
      }
      return;
    }
    if (outputs[0].dtype !== 'f32') return;
    const rule = rules[name] as Rule<unknown>;
    const saved: Tensor[] = [];
    const keep = (tensors: readonly Tensor[], wanted: boolean) =>
      wanted
        ? tensors.map((tensor) => {
            const alias = tensor.retain();
            saved.push(alias);
            return alias;
          })
        : tensors;
    entries.push({
      name,
      rule,
      inputs: keep(inputs, rule.saves === 'inputs' || rule.saves === 'both'),
      outputs: keep(outputs, rule.saves === 'outputs' || rule.saves === 'both'),
      attributes,
      saved,
    });
    tracked.add(outputs[0].id);
  });
  return { entries, tracked, stop };
}

function release(entries: readonly Entry[]): void {
  for (const entry of entries) for (const tensor of entry.saved) tensor.dispose();
}

/** Walks the tape backwards, freeing what each entry saved as soon as it has been used. */
function backward(
  entries: Entry[],
  tracked: ReadonlySet<number>,
  loss: Tensor,
  wanted: ReadonlySet<number>,
): Map<number, Tensor> {
  const gradients = new Map<number, Tensor>();
  const accumulate = (id: number, gradient: Tensor) => {
    const previous = gradients.get(id);
    gradients.set(id, (previous ? add(previous, gradient) : gradient).retain());
    previous?.dispose();
  };
  try {
    scope(() => accumulate(loss.id, ones([...loss.shape], { device: loss.device })));
    while (entries.length > 0) {
      const entry = entries[entries.length - 1];
      const gradient = gradients.get(entry.outputs[0].id);
      if (gradient) {
        scope(() => {
          const needs = entry.inputs.map(({ id, dtype }) => tracked.has(id) && dtype === 'f32');
          const parts = entry.rule.vjp(gradient, { ...entry, needs });
          parts.forEach((part, i) => {
            if (!part || !needs[i]) return;
            if (formatShape(part.shape) !== formatShape(entry.inputs[i].shape)) {
              throw new Error(
                `grad: the rule of ${entry.name} made ${formatShape(part.shape)} for an input of ${formatShape(entry.inputs[i].shape)}`,
              );
            }
            accumulate(entry.inputs[i].id, part);
          });
        });
        if (!wanted.has(entry.outputs[0].id)) {
          gradient.dispose();
          gradients.delete(entry.outputs[0].id);
        }
      }
      entries.pop();
      release([entry]);
    }
    return gradients;
  } catch (error) {
    for (const gradient of gradients.values()) gradient.dispose();
    throw error;
  }
}

export interface ValueAndGradients<A> {
  /** The loss: a scalar tensor. */
  value: Tensor;
  /** One for each parameter, in order and shape. Zeros where the loss does not depend on it. */
  gradients: Tensor[];
  /** Whatever else `fn` returned. */
  auxiliary: A;
}

/**
 * Runs `fn` and returns its loss with the gradient of the loss with respect to each parameter. Nothing is stored on the
 * parameters. Everything else that `fn` makes is disposed, but for the tensors in what it returns as `auxiliary`.
 *
 * @param fn returns a scalar f32 loss, or `{ loss, auxiliary }`.
 * @throws RangeError when the loss is no scalar, and Error when it does not depend on any parameter.
 */
export function valueAndGrad<A = undefined>(
  fn: () => Tensor | { loss: Tensor; auxiliary: A },
  parameters: readonly Tensor[],
): ValueAndGradients<A> {
  const tape = record(parameters);
  return scope(() => {
    let result: { loss: Tensor; auxiliary: A | undefined };
    try {
      result = scope(() => {
        const returned = fn();
        return 'loss' in returned ? returned : { loss: returned, auxiliary: undefined };
      });
    } catch (error) {
      release(tape.entries);
      throw error;
    } finally {
      tape.stop();
    }
    const { loss, auxiliary } = result;
    try {
      if (loss.size !== 1 || loss.dtype !== 'f32') {
        throw new RangeError(`valueAndGrad: the loss is ${loss}; expected an f32 scalar, e.g. loss.mean()`);
      }
      if (!tape.tracked.has(loss.id))
        throw new Error('valueAndGrad: the loss does not depend on any of the parameters');
    } catch (error) {
      release(tape.entries);
      throw error;
    }
    const wanted = new Set(parameters.map((parameter) => parameter.id));
    let found: Map<number, Tensor>;
    try {
      found = backward(tape.entries, tape.tracked, loss, wanted);
    } catch (error) {
      release(tape.entries);
      throw error;
    }
    try {
      const gradients = parameters.map((parameter) => {
        const gradient = found.get(parameter.id);
        if (!gradient) return zeros(parameter.shape, { device: parameter.device });
        // A view that the enclosing scope owns, in place of the tape's own handle. An enclosing tape sees it made.
        const [dense] = gradient.contiguous ? [gradient] : apply('contiguous', [gradient], {});
        return apply('reshape', [dense], { shape: parameter.shape })[0];
      });
      return { value: loss, gradients, auxiliary: auxiliary as A };
    } finally {
      for (const gradient of found.values()) gradient.dispose();
    }
  });
}

/** The gradients alone. */
export function grad(fn: () => Tensor, parameters: readonly Tensor[]): Tensor[] {
  // The loss may be a tensor that was there before: only a scope knows.
  return scope(() => valueAndGrad(fn, parameters).gradients);
}

/** The same values, through which no gradient flows. */
export function stopGradient(x: Tensor): Tensor {
  return unobserved(() => apply('expand', [x], { shape: x.shape })[0]);
}
