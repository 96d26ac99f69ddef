import { isTensor, type Tensor } from '@dawnchorus/tensor';

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

  /** Every parameter by name, in the order of the fields. */
  namedParameters(prefix = ''): Map<string, Tensor> {
    return this.#named(prefix, (isBuffer) => !isBuffer);
  }

  /** Every buffer by name, in the order of the fields. */
  namedBuffers(prefix = ''): Map<string, Tensor> {
    return this.#named(prefix, (isBuffer) => isBuffer);
  }

  /** Parameters and buffers by name, in the order of the fields: what a checkpoint holds. The tensors are the module's own. */
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
