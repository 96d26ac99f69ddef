import { describe, type Fail, shorten } from '../error.ts';
import { TorchView, UnreadableTensor } from './globals.ts';

/** Levels of dictionaries and lists. */
const maxDepth = 100;
/** Values looked at, and characters of names, beyond some for every byte of the pickle: a few bytes can hold a dictionary
 * a million times over. */
const freeVisits = 100_000;
const freeCharacters = 1_000_000;
const charactersAByte = 16;
/** And how many tensors, visits and characters there may be in whatever pickle. */
const maxTensors = 2 ** 20;
const maxVisits = 2 ** 24;
const maxCharacters = 2 ** 26;

/**
 * Every tensor in dictionaries, lists and tuples, named by the keys and numbers that lead to it with dots between them;
 * a tensor that is the whole file has the empty name. Those that are not read, and names that two tensors have, are in
 * `unreadable` with the reason.
 */
export function nameTensors(
  root: unknown,
  file: string,
  pickleBytes: number,
  fail: Fail,
): { tensors: Map<string, TorchView>; unreadable: Map<string, string> } {
  const tensors = new Map<string, TorchView>();
  const unreadable = new Map<string, string>();
  const path: string[] = [];
  const visitsAllowed = Math.min(pickleBytes + freeVisits, maxVisits);
  const charactersAllowed = Math.min(charactersAByte * pickleBytes + freeCharacters, maxCharacters);
  let visits = 0;
  let characters = 0;
  const add = (tensor: TorchView | UnreadableTensor): void => {
    characters += path.reduce((sum, part) => sum + part.length + 1, 0);
    if (characters > charactersAllowed) fail('the names of its tensors are too long');
    const name = path.join('.');
    if (tensors.size + unreadable.size >= maxTensors) fail(`it names more than ${maxTensors} tensors`);
    const twice = tensors.delete(name) || unreadable.has(name);
    const reason = twice ? 'is the name of two tensors; rename one' : 'reason' in tensor ? tensor.reason : undefined;
    if (reason !== undefined) unreadable.set(name, `${file}: tensor "${shorten(name)}" ${reason}`);
    else if ('storage' in tensor) tensors.set(name, tensor);
  };
  const visit = (value: unknown, key: unknown): void => {
    if (++visits > visitsAllowed) fail('its dictionaries and lists hold each other too many times over');
    if (typeof value !== 'object' || value === null) return;
    path.push(typeof key === 'object' ? describe(key) : String(key));
    if (path.length > maxDepth) {
      fail(`its dictionaries and lists are more than ${maxDepth} deep, at "${shorten(path.slice(0, 8).join('.'))}"`);
    }
    enter(value);
    path.pop();
  };
  const enter = (value: unknown): void => {
    if (value instanceof TorchView || value instanceof UnreadableTensor) add(value);
    else if (Array.isArray(value)) for (const [i, item] of value.entries()) visit(item, i);
    else if (value instanceof Map) for (const [key, item] of value) visit(item, key);
  };
  enter(root);
  return { tensors, unreadable };
}
