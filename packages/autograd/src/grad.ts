import { detach, ones, scope, type Tensor } from '@dawnchorus/tensor';
import './rules/index.ts';
import { carriesGradient } from './rules/rule.ts';
import { pullBack } from './vjp.ts';

/** What `valueAndGrad` returns. */
export interface ValueAndGradients<A, G = Tensor[]> {
  /** The loss: a scalar tensor. */
  value: Tensor;
  /** One for each parameter, in its order or by its name, shape and dtype. Zeros where the loss does not depend on it. */
  gradients: G;
  /** Whatever else `fn` returned. */
  auxiliary: A;
}

/**
 * Runs `fn` and returns its loss with the gradient of the loss with respect to each parameter. Nothing is stored on the
 * parameters. Everything else that `fn` makes is disposed, but for the tensors in what it returns as `auxiliary`.
 * Gradients can be differentiated in turn, by calls within calls; second derivatives that are zero everywhere are zeros.
 *
 * @param fn returns a scalar loss, f32 or f16, or `{ loss, auxiliary }`.
 * @param parameters by name, as `namedParameters()` of a module, for gradients by name, which an optimiser takes; or in an array.
 * @throws RangeError when the loss is no scalar, TypeError when a parameter is neither f32 nor f16, and Error when the loss does not
 * depend on any parameter.
 */
export function valueAndGrad<A = undefined>(
  fn: () => Tensor | { loss: Tensor; auxiliary: A },
  parameters: readonly Tensor[],
): ValueAndGradients<A>;
export function valueAndGrad<A = undefined>(
  fn: () => Tensor | { loss: Tensor; auxiliary: A },
  parameters: ReadonlyMap<string, Tensor>,
): ValueAndGradients<A, Map<string, Tensor>>;
export function valueAndGrad<A>(
  fn: () => Tensor | { loss: Tensor; auxiliary: A },
  parameters: readonly Tensor[] | ReadonlyMap<string, Tensor>,
): ValueAndGradients<A, Tensor[] | Map<string, Tensor>> {
  const named = parameters instanceof Map ? (parameters as ReadonlyMap<string, Tensor>) : undefined;
  const { result, gradients } = pullBack(
    'valueAndGrad',
    named ? [...named.values()] : (parameters as readonly Tensor[]),
    () => {
      const returned = fn();
      if (typeof returned !== 'object' || returned === null) {
        throw new TypeError(`valueAndGrad: the function returned ${returned}; expected a loss, or { loss, auxiliary }`);
      }
      return 'loss' in returned ? returned : { loss: returned, auxiliary: undefined };
    },
    ({ loss }, tape) => {
      if (loss.size !== 1 || !carriesGradient(loss)) {
        throw new RangeError(`valueAndGrad: the loss is ${loss}; expected an f32 or f16 scalar, e.g. loss.mean()`);
      }
      if (!tape.tracked.has(loss.id))
        throw new Error('valueAndGrad: the loss does not depend on any of the parameters');
      return [[loss, ones(loss.shape, { dtype: loss.dtype, device: loss.device })]];
    },
  );
  return {
    value: result.loss,
    gradients: named ? new Map([...named.keys()].map((name, i) => [name, gradients[i]])) : gradients,
    auxiliary: result.auxiliary as A,
  };
}

/** The gradients alone. */
export function grad(fn: () => Tensor, parameters: readonly Tensor[]): Tensor[];
export function grad(fn: () => Tensor, parameters: ReadonlyMap<string, Tensor>): Map<string, Tensor>;
export function grad(
  fn: () => Tensor,
  parameters: readonly Tensor[] | ReadonlyMap<string, Tensor>,
): Tensor[] | Map<string, Tensor> {
  // The loss may be a tensor that was there before: only a scope knows.
  return scope(() => valueAndGrad(fn, parameters as readonly Tensor[]).gradients);
}

/** The same values, through which no gradient flows: JAX's name of `detach`. */
export function stopGradient(x: Tensor): Tensor {
  return detach(x);
}
