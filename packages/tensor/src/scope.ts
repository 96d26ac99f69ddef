import { flattenTree } from './graph/tree.ts';
import { runInScope } from './memory/scope.ts';

/**
 * Runs `body` and disposes every tensor that was made in it, but for those it returns (alone, or in arrays, maps and
 * plain objects). Scopes nest; what an inner one returns belongs to the outer one.
 *
 * @throws TypeError when `body` is async: read tensors back outside.
 */
export function scope<T>(body: () => T): T {
  return runInScope(body, flattenTree);
}
