import { isTensor, type Tensor } from '@dawnchorus/tensor';

/**
 * A part of a model: its tensor fields are its parameters, its module fields (also in arrays) its parts. Parameters are
 * named by their path: `layers.0.attention.qProj.weight`.
 */
export abstract class Module {
  /** Every parameter by name, in the order of the fields. */
  namedParameters(prefix = ''): Map<string, Tensor> {
    const found = new Map<string, Tensor>();
    const visit = (value: unknown, path: string) => {
      if (isTensor(value)) found.set(path, value);
      else if (value instanceof Module)
        for (const [name, parameter] of value.namedParameters(`${path}.`)) found.set(name, parameter);
      else if (Array.isArray(value)) for (const [i, item] of value.entries()) visit(item, `${path}.${i}`);
    };
    for (const [name, value] of Object.entries(this)) visit(value, prefix + name);
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

  /** Gives every parameter's memory back. Tied parameters are disposed once. */
  dispose(): void {
    for (const parameter of new Set(this.parameters())) parameter.dispose();
  }
}
