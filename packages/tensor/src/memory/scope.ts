import type { Tensor } from '../tensor.ts';

/** Scopes that are open, innermost last. Each holds the tensors made while it was innermost. */
const scopes: Set<Tensor>[] = [];

/** Called by every new tensor. */
export function registerInScope(tensor: Tensor): void {
  scopes.at(-1)?.add(tensor);
}

/** Called when a tensor is disposed early, so that its scope does not hold on to it. */
export function forgetInScope(tensor: Tensor): void {
  for (const scope of scopes) scope.delete(tensor);
}

/** Runs `body`, then disposes every tensor made in it but those that `body` returns. See `scope` in index.ts. */
export function runInScope<T>(body: () => T, tensorsIn: (value: unknown) => Iterable<Tensor>): T {
  const scope = new Set<Tensor>();
  scopes.push(scope);
  const kept = new Set<Tensor>();
  try {
    const result = body();
    if (result instanceof Promise) {
      throw new TypeError('scope: the body returned a promise; read tensors back outside the scope');
    }
    for (const tensor of tensorsIn(result)) kept.add(tensor);
    return result;
  } finally {
    scopes.pop();
    for (const tensor of scope) {
      if (kept.has(tensor)) registerInScope(tensor);
      else tensor[Symbol.dispose]();
    }
  }
}
