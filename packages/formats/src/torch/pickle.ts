/**
 * Reads a pickle and runs nothing: of the pickle machine's instructions those that make data, with every name that a
 * pickle asks for looked up in a list. Protocols 2 to 5, without out-of-band buffers.
 * Source: https://docs.python.org/3/library/pickletools.html
 */
import { describe, type Fail } from '../error.ts';
import { PickleBytes } from './pickleBytes.ts';
import { PickleStack } from './pickleStack.ts';

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
/** Bytes of a pickle; those of checkpoints have a hundred or two for each tensor. */
export const maxPickleBytes = 64 * 2 ** 20;

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
  const stack = new PickleStack(input, fail);

  const build = (): void => {
    const state = stack.pop();
    if (!host.build(stack.top(), state) && !(stack.top() instanceof Map)) {
      fail(`its pickle sets attributes of ${describe(stack.top())}`);
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
    40: () => stack.openGroup(), // MARK
    48: () => stack.pop(), // POP
    49: () => stack.popGroup(), // POP_MARK
    50: () => stack.push(() => stack.top()), // DUP
    78: () => stack.push(() => null), // NONE
    136: () => stack.push(() => true), // NEWTRUE
    137: () => stack.push(() => false), // NEWFALSE
    74: () => stack.push(() => input.int32()), // BININT
    75: () => stack.push(() => input.uint8()), // BININT1
    77: () => stack.push(() => input.uint16()), // BININT2
    138: () => stack.push(() => input.integer(input.uint8())), // LONG1
    139: () => stack.push(() => input.integer(input.uint32())), // LONG4
    71: () => stack.push(() => input.float64()), // BINFLOAT
    88: () => stack.push(() => input.text(input.uint32())), // BINUNICODE
    140: () => stack.push(() => input.text(input.uint8())), // SHORT_BINUNICODE
    141: () => stack.push(() => input.text(input.uint64())), // BINUNICODE8
    66: () => stack.pushObject(() => input.binary(input.uint32())), // BINBYTES
    67: () => stack.pushObject(() => input.binary(input.uint8())), // SHORT_BINBYTES
    142: () => stack.pushObject(() => input.binary(input.uint64())), // BINBYTES8
    150: () => stack.pushObject(() => input.binary(input.uint64())), // BYTEARRAY8
    93: () => stack.pushObject(() => []), // EMPTY_LIST
    108: () => stack.pushGroup(), // LIST
    97: () => stack.append([stack.pop()]), // APPEND
    101: () => stack.append(stack.popGroup()), // APPENDS
    41: () => stack.pushObject(() => []), // EMPTY_TUPLE
    116: () => stack.pushGroup(), // TUPLE
    133: () => stack.pushObject(() => stack.popSeveral(1)), // TUPLE1
    134: () => stack.pushObject(() => stack.popSeveral(2)), // TUPLE2
    135: () => stack.pushObject(() => stack.popSeveral(3)), // TUPLE3
    125: () => stack.pushObject(() => new Map()), // EMPTY_DICT
    100: () => stack.pushDictionary(), // DICT
    115: () => stack.setItems(stack.popSeveral(2)), // SETITEM
    117: () => stack.setItems(stack.popGroup()), // SETITEMS
    143: () => stack.pushObject(() => new Set()), // EMPTY_SET
    145: () => stack.pushSet(), // FROZENSET
    144: () => stack.add(stack.popGroup()), // ADDITEMS
    104: () => stack.push(() => stack.recall(input.uint8())), // BINGET
    106: () => stack.push(() => stack.recall(input.uint32())), // LONG_BINGET
    113: () => stack.keep(input.uint8()), // BINPUT
    114: () => stack.keep(input.uint32()), // LONG_BINPUT
    148: () => stack.keep(stack.kept), // MEMOIZE
    99: () => stack.pushObject(() => host.global(`${input.line()}.${input.line()}`)), // GLOBAL
    147: () => stack.pushObject(() => host.global(stack.popSeveral(2).map(nameOf).join('.'))), // STACK_GLOBAL
    82: () => stack.pushObject(() => call(stack.popSeveral(2))), // REDUCE
    129: () => stack.pushObject(() => call(stack.popSeveral(2))), // NEWOBJ
    81: () => stack.pushObject(() => host.persistent(stack.pop())), // BINPERSID
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
  const result = stack.end();
  if (input.at !== input.length) fail(`its pickle ends at byte ${input.at} of ${input.length}`);
  return result;
}
