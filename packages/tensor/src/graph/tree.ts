import { isTensor, type Tensor } from '../tensor.ts';

/** Whether a value is an object that holds data and nothing else. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** Deeper nestings count as such that contain themselves, of which there would be no end. */
const DEEPEST = 256;

/**
 * The same nesting of arrays, maps and plain objects with everything else in it replaced.
 *
 * @throws RangeError for one that contains itself.
 */
export function mapLeaves(value: unknown, replace: (leaf: unknown) => unknown, depth = 0): unknown {
  if (depth > DEEPEST) {
    throw new RangeError(
      `compile, scope: an argument or result contains itself, or is nested over ${DEEPEST} deep; pass plain data that does not`,
    );
  }
  const inside = (item: unknown) => mapLeaves(item, replace, depth + 1);
  if (Array.isArray(value)) return value.map(inside);
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, inside(item)]));
  if (isPlain(value)) return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, inside(item)]));
  return replace(value);
}

/** The same nesting with each tensor replaced; other values stay. */
export function mapTensors(value: unknown, replace: (tensor: Tensor) => unknown): unknown {
  return mapLeaves(value, (leaf) => (isTensor(leaf) ? replace(leaf) : leaf));
}

/** The tensors in a nesting, in the order in which mapTensors meets them. */
export function flattenTree(value: unknown): Tensor[] {
  const tensors: Tensor[] = [];
  mapTensors(value, (tensor) => tensors.push(tensor));
  return tensors;
}
