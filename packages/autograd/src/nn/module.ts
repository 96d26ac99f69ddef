import { formatShape, isTensor, sameShape, scope, type Tensor } from '@dawnchorus/tensor';

/** Elements of a parameter or buffer as files have them: floats, or whole numbers for buffers that count. */
export interface StateEntry {
  readonly shape: readonly number[];
  readonly data: ArrayBufferView;
}

/** The elements as the tensor holds them; undefined where it holds others. PyTorch counts in 64 bits. */
function elementsOf({ dtype }: Tensor, data: ArrayBufferView): Float32Array | Int32Array | undefined {
  if (dtype === 'f32') return data instanceof Float32Array ? data : undefined;
  if (dtype !== 'i32') return undefined;
  if (data instanceof BigInt64Array) return Int32Array.from(data, Number);
  return data instanceof Int32Array ? data : undefined;
}

/** A tensor whose elements can be copied as they are. */
const sameKind = (own: Tensor, other: Tensor): Tensor | undefined =>
  other.dtype === own.dtype && other.device === own.device ? other : undefined;

/** Copies elements within a device, four bytes each. */
function copyElements(from: Tensor, to: Tensor): void {
  if (from.storage === to.storage && from.offset === to.offset) return;
  scope(() => {
    // No buffer is copied into itself.
    const dense = from.contiguous && from.storage.buffer !== to.storage.buffer ? from : from.add(0);
    const bytes = 4 * to.size;
    if (bytes > 0) to.device.copy(dense.storage, 4 * dense.offset, to.storage, 4 * to.offset, bytes);
  });
}

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
    const own = this.stateDict();
    const problems = [...state.keys()].filter((name) => !own.has(name)).map((name) => `${name}: is not in the module`);
    const found: [Tensor, Float32Array | Int32Array | Tensor][] = [];
    for (const [name, tensor] of own) {
      const entry = state.get(name);
      const data = entry && (isTensor(entry) ? sameKind(tensor, entry) : elementsOf(tensor, entry.data));
      if (!entry) problems.push(`${name}: missing`);
      else if (!sameShape(entry.shape, tensor.shape)) {
        problems.push(`${name}: is ${formatShape(entry.shape)}, in the module ${formatShape(tensor.shape)}`);
      } else if (!data) {
        const kind = isTensor(entry)
          ? `${entry.dtype} tensor of ${entry.device.adapter.name}`
          : entry.data.constructor.name;
        problems.push(
          `${name}: is a ${kind}, in the module ${tensor.dtype}; ${isTensor(entry) ? 'cast it' : 'read it with as'}`,
        );
      } else found.push([tensor, data]);
    }
    if (problems.length > 0) throw new Error(`loadStateDict: the state does not fit:\n  ${problems.join('\n  ')}`);
    for (const [own, data] of found) {
      if (isTensor(data)) copyElements(data, own);
      else own.device.write(own.storage, own.offset * 4, data as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>);
    }
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
