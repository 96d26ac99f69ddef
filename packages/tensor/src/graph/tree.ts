import { isTensor, type Tensor } from '../tensor.ts';

/** Whether a value is an object that holds data and nothing else. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The same nesting of arrays, maps and plain objects with everything else in it replaced. */
export function mapLeaves(value: unknown, replace: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => mapLeaves(item, replace));
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, mapLeaves(item, replace)]));
  if (isPlain(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapLeaves(item, replace)]));
  }
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
