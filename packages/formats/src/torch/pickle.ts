/**
 * Reads a pickle and runs nothing: of the pickle machine's instructions those that make data, with every name that a
 * pickle asks for looked up in a list. Protocols 2 to 5, without out-of-band buffers.
 * Source: https://docs.python.org/3/library/pickletools.html
 */
import { describe, type Fail } from '../error.ts';
import { PickleBytes } from './pickleBytes.ts';

/** A name on the list: a function from data to data, or a class that is only mentioned. */
export class PickleGlobal {
  readonly name: string;
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;
  constructor(name: string, call?: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** An object of Python that is not made: the name of its class or maker, what that was given, and the state set after. */
export class PickledObject {
  readonly name: string;
  readonly args: readonly unknown[];
  /** Undefined where the pickle sets none. */
  state: unknown;
  constructor(name: string, args: readonly unknown[]) {
    this.name = name;
    this.args = args;
  }
}

export interface PickleHost {
  /** What `module.name` stands for; fails if it is not on the list. */
  global(name: string): unknown;
  /** What an object that is stored elsewhere stands for. */
  persistent(id: unknown): unknown;
  /** Sets the state of an object; false if it has none, so that only what is set on a dictionary may be dropped. */
  build(target: unknown, state: unknown): boolean;
}

/** The last instruction. */
const stop = 0x2e;
/** Groups of values open at once; those of checkpoints are a handful deep. */
const maxMarks = 1000;
/** Bytes of a pickle; those of checkpoints have a hundred or two for each tensor. */
export const maxPickleBytes = 64 * 2 ** 20;
/**
 * What a pickle may make: a value counts 1, and again in a dictionary or set, one that is kept to be recalled 2 more, a list, a dictionary or whatever else
 * takes an object counts 8. One of these costs up to 40 bytes of memory, whatever the instruction: a byte of a pickle can
 * make a dictionary, which takes 200. No array, Map or Set reaches the size at which the engine gives up.
 */
export const maxPickleValues = 2 ** 23;
const objectValues = 8;
const memoValues = 2;

/**
 * Dictionaries become Map, sets Set, lists and tuples Array, bytes Uint8Array, and whole numbers number or, beyond 2^53,
 * bigint. Attributes that a pickle sets on a dictionary are dropped.
 *
 * @throws what `fail` throws, also where memory runs out of an engine's limits.
 */
export function unpickle(bytes: Uint8Array, host: PickleHost, fail: Fail): unknown {
  try {
    return run(bytes, host, fail);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return fail(`its pickle makes more than memory can hold (${error.message})`);
  }
}

function run(bytes: Uint8Array, host: PickleHost, fail: Fail): unknown {
  const input = new PickleBytes(bytes, fail);
  const memo = new Map<number, unknown>();
  const outer: unknown[][] = [];
  let stack: unknown[] = [];
  let left = maxPickleValues;

  const spend = (values: number): void => {
    if ((left -= values) < 0)
      fail(`its pickle makes more than the ${maxPickleValues} values that are allowed; save long lists as tensors`);
  };
  /** Every value that comes onto a stack, and every object, is counted before it is made. */
  const push = (make: () => unknown): void => {
    spend(1);
    stack.push(make());
  };
  const pushObject = (make: () => unknown): void => {
    spend(objectValues);
    stack.push(make());
  };
  const pop = (): unknown => {
    if (stack.length === 0) fail(`its pickle takes a value at byte ${input.at} where there is none`);
    return stack.pop();
  };
  const top = (): unknown => {
    if (stack.length === 0) fail(`its pickle takes a value at byte ${input.at} where there is none`);
    return stack[stack.length - 1];
  };
  const popGroup = (): unknown[] => {
    const items = stack;
    stack = outer.pop() ?? fail(`its pickle ends a group at byte ${input.at} that did not begin`);
    return items;
  };
  const popSeveral = (count: number): unknown[] => Array.from({ length: count }, pop).reverse();
  const get = (index: number): unknown => {
    if (!memo.has(index)) fail(`its pickle recalls value ${index}, which was never kept`);
    return memo.get(index);
  };
  const put = (index: number): void => {
    // Picklers count up from 0, one a value.
    if (index >= input.length) fail(`its pickle keeps value ${index}, more than its ${input.length} bytes can make`);
    spend(memoValues);
    memo.set(index, top());
  };
  const openGroup = (): void => {
    if (outer.length >= maxMarks) fail(`its pickle opens more than ${maxMarks} groups at once`);
    spend(objectValues);
    outer.push(stack);
    stack = [];
  };
  const pushGroup = (): void => {
    const items = popGroup();
    stack.push(items);
  };
  const append = (items: unknown[]): void => {
    const found = top();
    if (!Array.isArray(found)) return void fail(`its pickle appends to ${describe(found)}`);
    for (const item of items) found.push(item);
  };
  const add = (items: unknown[]): void => {
    const found = top();
    if (!(found instanceof Set)) return void fail(`its pickle adds to ${describe(found)}, expected a set`);
    spend(items.length);
    for (const item of items) found.add(item);
  };
  const setItems = (items: unknown[]): void => {
    const found = top();
    if (!(found instanceof Map)) return void fail(`its pickle sets an item of ${describe(found)}`);
    if (items.length % 2 !== 0) fail('its pickle has a key without a value');
    spend(items.length);
    for (let i = 0; i < items.length; i += 2) found.set(items[i], items[i + 1]);
  };
  const dictionary = (): void => {
    const items = popGroup();
    pushObject(() => new Map());
    setItems(items);
  };
  const frozenSet = (): void => {
    const items = popGroup();
    pushObject(() => new Set());
    add(items);
  };
  const build = (): void => {
    const state = pop();
    if (!host.build(top(), state) && !(top() instanceof Map)) {
      fail(`its pickle sets attributes of ${describe(top())}`);
    }
  };
  const call = ([callee, args]: unknown[]): unknown => {
    if (!(callee instanceof PickleGlobal) || callee.call === undefined) {
      return fail(`its pickle calls ${callee instanceof PickleGlobal ? callee.name : describe(callee)}`);
    }
    return Array.isArray(args) ? callee.call(args) : fail(`its pickle calls ${callee.name} with ${describe(args)}`);
  };
  const nameOf = (part: unknown): string =>
    typeof part === 'string' ? part : fail(`its pickle asks for a global called ${describe(part)}`);
  const checkProtocol = (protocol: number): void => {
    if (protocol < 2 || protocol > 5) fail(`its pickle is of protocol ${protocol}, expected 2 to 5`);
  };
  /** A frame is a hint for who reads from a stream. */
  const checkFrame = (length: number): void => {
    if (length > input.length - input.at) fail('its pickle has a frame that is longer than what is left');
  };

  /** By their codes, with the names that pickletools gives them. */
  const instructions: Record<number, () => void> = {
    128: () => checkProtocol(input.uint8()), // PROTO
    149: () => checkFrame(input.uint64()), // FRAME
    40: () => openGroup(), // MARK
    48: () => pop(), // POP
    49: () => popGroup(), // POP_MARK
    50: () => push(() => top()), // DUP
    78: () => push(() => null), // NONE
    136: () => push(() => true), // NEWTRUE
    137: () => push(() => false), // NEWFALSE
    74: () => push(() => input.int32()), // BININT
    75: () => push(() => input.uint8()), // BININT1
    77: () => push(() => input.uint16()), // BININT2
    138: () => push(() => input.integer(input.uint8())), // LONG1
    139: () => push(() => input.integer(input.uint32())), // LONG4
    71: () => push(() => input.float64()), // BINFLOAT
    88: () => push(() => input.text(input.uint32())), // BINUNICODE
    140: () => push(() => input.text(input.uint8())), // SHORT_BINUNICODE
    141: () => push(() => input.text(input.uint64())), // BINUNICODE8
    66: () => pushObject(() => input.binary(input.uint32())), // BINBYTES
    67: () => pushObject(() => input.binary(input.uint8())), // SHORT_BINBYTES
    142: () => pushObject(() => input.binary(input.uint64())), // BINBYTES8
    150: () => pushObject(() => input.binary(input.uint64())), // BYTEARRAY8
    93: () => pushObject(() => []), // EMPTY_LIST
    108: () => pushGroup(), // LIST
    97: () => append([pop()]), // APPEND
    101: () => append(popGroup()), // APPENDS
    41: () => pushObject(() => []), // EMPTY_TUPLE
    116: () => pushGroup(), // TUPLE
    133: () => pushObject(() => popSeveral(1)), // TUPLE1
    134: () => pushObject(() => popSeveral(2)), // TUPLE2
    135: () => pushObject(() => popSeveral(3)), // TUPLE3
    125: () => pushObject(() => new Map()), // EMPTY_DICT
    100: () => dictionary(), // DICT
    115: () => setItems(popSeveral(2)), // SETITEM
    117: () => setItems(popGroup()), // SETITEMS
    143: () => pushObject(() => new Set()), // EMPTY_SET
    145: () => frozenSet(), // FROZENSET
    144: () => add(popGroup()), // ADDITEMS
    104: () => push(() => get(input.uint8())), // BINGET
    106: () => push(() => get(input.uint32())), // LONG_BINGET
    113: () => put(input.uint8()), // BINPUT
    114: () => put(input.uint32()), // LONG_BINPUT
    148: () => put(memo.size), // MEMOIZE
    99: () => pushObject(() => host.global(`${input.line()}.${input.line()}`)), // GLOBAL
    147: () => pushObject(() => host.global(popSeveral(2).map(nameOf).join('.'))), // STACK_GLOBAL
    82: () => pushObject(() => call(popSeveral(2))), // REDUCE
    129: () => pushObject(() => call(popSeveral(2))), // NEWOBJ
    81: () => pushObject(() => host.persistent(pop())), // BINPERSID
    98: () => build(), // BUILD
  };
  for (let code = input.uint8(); code !== stop; code = input.uint8()) {
    const step = instructions[code];
    if (step === undefined) {
      const hex = code.toString(16).padStart(2, '0');
      fail(`its pickle has the instruction 0x${hex} at byte ${input.at - 1}, which is not run`);
    }
    step();
  }
  const result = pop();
  if (stack.length > 0 || outer.length > 0) fail('its pickle ends with values left over');
  if (input.at !== input.length) fail(`its pickle ends at byte ${input.at} of ${input.length}`);
  return result;
}
