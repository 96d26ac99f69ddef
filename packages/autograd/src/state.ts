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

/**
 * Writes elements into tensors of the same names, where they lie. `holder` is what messages call the owner.
 *
 * @throws Error that lists all names that are missing or unknown, and shapes and dtypes that differ, before anything is
 *   changed.
 */
export function loadState(
  holder: string,
  own: ReadonlyMap<string, Tensor>,
  state: ReadonlyMap<string, StateEntry | Tensor>,
): void {
  const problems = [...state.keys()].filter((name) => !own.has(name)).map((name) => `${name}: is not in the ${holder}`);
  const found: [Tensor, Float32Array | Int32Array | Tensor][] = [];
  for (const [name, tensor] of own) {
    const entry = state.get(name);
    const data = entry && (isTensor(entry) ? sameKind(tensor, entry) : elementsOf(tensor, entry.data));
    if (!entry) problems.push(`${name}: missing`);
    else if (!sameShape(entry.shape, tensor.shape)) {
      problems.push(`${name}: is ${formatShape(entry.shape)}, in the ${holder} ${formatShape(tensor.shape)}`);
    } else if (!data) {
      const kind = isTensor(entry)
        ? `${entry.dtype} tensor of ${entry.device.adapter.name}`
        : entry.data.constructor.name;
      problems.push(
        `${name}: is a ${kind}, in the ${holder} ${tensor.dtype}; ${isTensor(entry) ? 'cast it' : 'read it with as'}`,
      );
    } else found.push([tensor, data]);
  }
  if (problems.length > 0) throw new Error(`loadStateDict: the state does not fit:\n  ${problems.join('\n  ')}`);
  for (const [to, data] of found) {
    if (isTensor(data)) copyElements(data, to);
    else to.device.write(to.storage, to.offset * 4, data as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>);
  }
}
