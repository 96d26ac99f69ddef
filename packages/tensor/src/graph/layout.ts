import type { PooledBuffer } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import type { Lowered, Lowering } from './lowered.ts';
import type { View } from './optimize.ts';
import { placeIntervals } from './place.ts';

/** Which memory a buffer that existed on paper gets: that of an argument, of a result, or of what is made on the way. */
export type Place =
  | { readonly kind: 'argument' | 'result'; readonly index: number }
  | { readonly kind: 'intermediate'; readonly index: number };

/** What a call gets back: a view of an argument, of a captured tensor, or of memory of its own. */
export interface ResultPlace {
  readonly view: View;
  readonly from: 'argument' | 'captured' | 'result';
  readonly index: number;
}

/** Memory that is to be had. */
interface Block {
  readonly size: number;
  readonly label: string;
}

/** Where everything that a plan reads and writes lies. */
export interface Layout {
  readonly results: readonly ResultPlace[];
  /** Memory that each call has of its own, for its results. */
  readonly made: readonly Block[];
  /** Memory of the plan, shared over time by what is made on the way. */
  readonly intermediates: readonly Block[];
  /** Bytes that the same values would take side by side. */
  readonly unsharedBytes: number;
  placeOf(buffer: PooledBuffer): Place;
}

/** The dispatches between the first that binds a value and the last. */
interface Lifetime extends Block {
  readonly first: number;
  last: number;
}

/** Lays out the memory of lowered units. `argumentIndex`: arguments by their storages; `called`: the function, for labels. */
export function layOut(
  outputs: readonly View[],
  argumentIndex: ReadonlyMap<Storage, number>,
  { dispatches, inPlace }: Lowering,
  called: string,
): Layout {
  const rootOf = ({ id }: PooledBuffer) => follow(inPlace, id);
  const places = new Map<number, Place>();
  for (const [storage, index] of argumentIndex) places.set(storage.buffer.id, { kind: 'argument', index });
  const { results, storages } = placeResults(outputs, argumentIndex);
  for (const [index, { buffer }] of storages.entries()) places.set(rootOf(buffer), { kind: 'result', index });
  const lifetimes = lifetimesOf(dispatches, rootOf, places);
  const values = [...lifetimes.values()];
  const { place, sizes } = placeIntervals(values);
  for (const [i, root] of [...lifetimes.keys()].entries()) places.set(root, { kind: 'intermediate', index: place[i] });
  return {
    results,
    made: storages.map(({ buffer: { size, label } }) => ({ size, label: `${label} of ${called}` })),
    intermediates: sizes.map((size, k) => {
      const largest = values.find((value, i) => place[i] === k && value.size === size);
      return { size, label: `${largest?.label} of ${called}` };
    }),
    unsharedBytes: values.reduce((sum, { size }) => sum + size, 0),
    placeOf: (buffer) => places.get(rootOf(buffer)) as Place,
  };
}

/** Which buffer takes over which, to the end of the chain. */
function follow(chain: ReadonlyMap<number, number>, id: number): number {
  let at = id;
  for (let next = chain.get(at); next !== undefined; next = chain.get(at)) at = next;
  return at;
}

/** Where outputs are, and the storages among them that a call makes. */
function placeResults(outputs: readonly View[], argumentIndex: ReadonlyMap<Storage, number>) {
  const storages: Storage[] = [];
  const results = outputs.map((view): ResultPlace => {
    const argument = argumentIndex.get(view.storage);
    if (argument !== undefined) return { view, from: 'argument', index: argument };
    if (!isVirtual(view.storage.buffer)) return { view, from: 'captured', index: 0 };
    let index = storages.indexOf(view.storage);
    if (index < 0) index = storages.push(view.storage) - 1;
    return { view, from: 'result', index };
  });
  return { results, storages };
}

/** Lifetimes of the values that have no place yet, by the buffers that they begin in. */
function lifetimesOf(
  dispatches: readonly Lowered[],
  rootOf: (buffer: PooledBuffer) => number,
  places: ReadonlyMap<number, Place>,
): Map<number, Lifetime> {
  const lifetimes = new Map<number, Lifetime>();
  dispatches.forEach(({ buffers, operations }, at) => {
    for (const buffer of buffers) {
      if (!isVirtual(buffer)) continue;
      const root = rootOf(buffer);
      if (places.has(root)) continue;
      const lifetime = lifetimes.get(root);
      if (lifetime) {
        lifetime.last = at;
      } else {
        // Memory that an operation takes beside its outputs does not say for which.
        const named = operations.some((name) => buffer.label.startsWith(name));
        const label = named ? buffer.label : `${buffer.label} for ${operations.join(' + ')}`;
        lifetimes.set(root, { first: at, last: at, size: buffer.size, label });
      }
    }
  });
  return lifetimes;
}
