import { isTensor, type Tensor } from '../tensor.ts';

function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** The same nesting of arrays, maps and plain objects with each tensor replaced; other values stay. */
export function mapTensors(value: unknown, replace: (tensor: Tensor) => unknown): unknown {
  if (isTensor(value)) return replace(value);
  if (Array.isArray(value)) return value.map((item) => mapTensors(item, replace));
  if (value instanceof Map) return new Map([...value].map(([key, item]) => [key, mapTensors(item, replace)]));
  if (typeof value === 'object' && value !== null && isPlain(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, mapTensors(item, replace)]));
  }
  return value;
}

/** The tensors in a nesting, in the order in which mapTensors meets them. */
export function flattenTree(value: unknown): Tensor[] {
  const tensors: Tensor[] = [];
  mapTensors(value, (tensor) => tensors.push(tensor));
  return tensors;
}
