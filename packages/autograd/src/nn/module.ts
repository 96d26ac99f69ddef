import { isTensor, type Tensor } from '@dawnchorus/tensor';
import { loadState, type StateEntry } from '../state.ts';

export type { StateEntry } from '../state.ts';

/** Of tensors that have several names the first. */
function firstNames(named: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  const seen = new Set<number>();
  return new Map([...named].filter(([, { id }]) => !seen.has(id) && seen.add(id)));
}

/**
 * A part of a model: its tensor fields are its parameters or its buffers, its module fields (also in arrays) its parts.
 * They are named by their path: `layers.0.attention.qProj.weight`.
 */
export abstract class Module {
  /**
   * Names of the fields that are buffers: tensors that belong to the state but that no optimiser changes, such as running
   * averages. A class that adds some to those of its parent says `static override readonly buffers = [...Parent.buffers, …]`.
   */
  static readonly buffers: readonly string[] = [];

  /** Every parameter by name, in the order of the fields; one that several fields hold by its first name alone. */
  namedParameters(prefix = ''): Map<string, Tensor> {
    return firstNames(this.#named(prefix, (isBuffer) => !isBuffer));
  }

  /** Every buffer by name, in the order of the fields, as parameters are. */
  namedBuffers(prefix = ''): Map<string, Tensor> {
    return firstNames(this.#named(prefix, (isBuffer) => isBuffer));
  }

  /**
   * Parameters and buffers by name, in the order of the fields: what a checkpoint holds. Tied ones have all their names. The
   * tensors are the module's own.
   */
  stateDict(prefix = ''): Map<string, Tensor> {
    return this.#named(prefix, () => true);
  }

  #named(prefix: string, wanted: (isBuffer: boolean) => boolean): Map<string, Tensor> {
    const found = new Map<string, Tensor>();
    const { buffers } = this.constructor as typeof Module;
    const visit = (value: unknown, path: string, isBuffer: boolean) => {
      if (isTensor(value)) {
        if (wanted(isBuffer)) found.set(path, value);
      } else if (value instanceof Module) {
        for (const [name, own] of value.#named(`${path}.`, wanted)) found.set(name, own);
      } else if (Array.isArray(value)) {
        for (const [i, item] of value.entries()) visit(item, `${path}.${i}`, isBuffer);
      }
    };
    for (const [name, value] of Object.entries(this)) visit(value, prefix + name, buffers.includes(name));
    return found;
  }

  /**
   * Writes the elements of a file (`readSafetensors`, `loadTorchStateDict`), or those of another module's `stateDict()`, into
   * parameters and buffers, also where these lie in an optimiser's arena.
   *
   * @throws Error that lists all names that are missing or unknown, and shapes and dtypes that differ, before anything is
   *   changed.
   */
  loadStateDict(state: ReadonlyMap<string, StateEntry | Tensor>): void {
    loadState('module', this.stateDict(), state);
  }

  /** Every parameter, in the order of namedParameters. */
  parameters(): Tensor[] {
    return [...this.namedParameters().values()];
  }

  /** How many numbers the parameters hold. */
  parameterCount(): number {
    return this.parameters().reduce((count, parameter) => count + parameter.size, 0);
  }

  /** Gives the memory of every parameter and buffer back. Tied ones are disposed once. */
  dispose(): void {
    for (const tensor of new Set(this.stateDict().values())) tensor.dispose();
  }
}
