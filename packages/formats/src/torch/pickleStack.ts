import { describe, type Fail } from '../error.ts';
import type { PickleBytes } from './pickleBytes.ts';

/** Groups of values open at once; those of checkpoints are a handful deep. */
const maxMarks = 1000;
/**
 * What a pickle may make: a value counts 1, and again in a dictionary or set, one that is kept to be recalled 2 more, a
 * list, a dictionary or whatever else takes an object counts 8. One of these costs up to 40 bytes of memory, whatever the
 * instruction: a byte of a pickle can make a dictionary, which takes 200. No array, Map or Set reaches the size at which
 * the engine gives up.
 */
export const maxPickleValues = 2 ** 23;
const objectValues = 8;
const memoValues = 2;

/**
 * What a pickle's instructions work on: values in groups, one within the other, and values that are kept to be recalled.
 * Every value that comes onto it, and every object, is counted before it is made.
 */
export class PickleStack {
  readonly #input: PickleBytes;
  readonly #fail: Fail;
  readonly #memo = new Map<number, unknown>();
  readonly #outer: unknown[][] = [];
  #items: unknown[] = [];
  #left = maxPickleValues;

  /** @param input - tells where in the pickle something is wrong. */
  constructor(input: PickleBytes, fail: Fail) {
    this.#input = input;
    this.#fail = fail;
  }

  push(make: () => unknown): void {
    this.#spend(1);
    this.#items.push(make());
  }

  pushObject(make: () => unknown): void {
    this.#spend(objectValues);
    this.#items.push(make());
  }

  pop(): unknown {
    this.#checkNotEmpty();
    return this.#items.pop();
  }

  top(): unknown {
    this.#checkNotEmpty();
    return this.#items[this.#items.length - 1];
  }

  popSeveral(count: number): unknown[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  openGroup(): void {
    if (this.#outer.length >= maxMarks) this.#fail(`its pickle opens more than ${maxMarks} groups at once`);
    this.#spend(objectValues);
    this.#outer.push(this.#items);
    this.#items = [];
  }

  popGroup(): unknown[] {
    const items = this.#items;
    this.#items =
      this.#outer.pop() ?? this.#fail(`its pickle ends a group at byte ${this.#input.at} that did not begin`);
    return items;
  }

  /** Ends a group as a list, which was counted when the group was opened. */
  pushGroup(): void {
    const items = this.popGroup();
    this.#items.push(items);
  }

  pushDictionary(): void {
    const items = this.popGroup();
    this.pushObject(() => new Map());
    this.setItems(items);
  }

  pushSet(): void {
    const items = this.popGroup();
    this.pushObject(() => new Set());
    this.add(items);
  }

  /** Values that are kept. */
  get kept(): number {
    return this.#memo.size;
  }

  /** Keeps the topmost value. */
  keep(index: number): void {
    const { length } = this.#input;
    // Picklers count up from 0, one a value.
    if (index >= length) this.#fail(`its pickle keeps value ${index}, more than its ${length} bytes can make`);
    this.#spend(memoValues);
    this.#memo.set(index, this.top());
  }

  recall(index: number): unknown {
    if (!this.#memo.has(index)) this.#fail(`its pickle recalls value ${index}, which was never kept`);
    return this.#memo.get(index);
  }

  /** To the topmost value, a list. */
  append(items: readonly unknown[]): void {
    const found = this.top();
    if (!Array.isArray(found)) return void this.#fail(`its pickle appends to ${describe(found)}`);
    for (const item of items) found.push(item);
  }

  /** To the topmost value, a set. */
  add(items: readonly unknown[]): void {
    const found = this.top();
    if (!(found instanceof Set)) return void this.#fail(`its pickle adds to ${describe(found)}, expected a set`);
    this.#spend(items.length);
    for (const item of items) found.add(item);
  }

  /** Of the topmost value, a dictionary: keys and values by turns. */
  setItems(items: readonly unknown[]): void {
    const found = this.top();
    if (!(found instanceof Map)) return void this.#fail(`its pickle sets an item of ${describe(found)}`);
    if (items.length % 2 !== 0) this.#fail('its pickle has a key without a value');
    this.#spend(items.length);
    for (let i = 0; i < items.length; i += 2) found.set(items[i], items[i + 1]);
  }

  /** The only value that is left. */
  end(): unknown {
    const result = this.pop();
    if (this.#items.length > 0 || this.#outer.length > 0) this.#fail('its pickle ends with values left over');
    return result;
  }

  #spend(values: number): void {
    this.#left -= values;
    if (this.#left < 0) {
      this.#fail(
        `its pickle makes more than the ${maxPickleValues} values that are allowed; save long lists as tensors`,
      );
    }
  }

  #checkNotEmpty(): void {
    if (this.#items.length === 0) {
      this.#fail(`its pickle takes a value at byte ${this.#input.at} where there is none`);
    }
  }
}
