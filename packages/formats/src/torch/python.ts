/**
 * Objects of Python that checkpoints hold beside their tensors, as plain values. Nothing is made that runs: a counter is
 * its dictionary, a path its text, and what has no counterpart is what the pickle says of it.
 */
import { describe, type Fail } from '../error.ts';
import { numpyGlobals } from './numpy.ts';
import { PickledObject } from './pickle.ts';

/** Work that a pickle may ask for, beyond which these fail. */
export interface Budget {
  /** Items that are copied. */
  items(count: number): void;
  /** Bytes that are copied. */
  bytes(count: number): void;
}

type Make = (args: readonly unknown[]) => unknown;

/** Types that are only mentioned; they stand as their names, as dtypes do. */
const mentioned = new Set([
  ...['int', 'float', 'bool', 'str', 'bytes', 'list', 'dict', 'tuple', 'object'].map((name) => `builtins.${name}`),
  ...['MT19937', 'PCG64', 'PCG64DXSM', 'Philox', 'SFC64'].map(
    (name) => `numpy.random._${name.toLowerCase().replace('dxsm', '')}.${name}`,
  ),
  'numpy.ndarray',
  'numpy.random.bit_generator.SeedSequence',
  ...['bool', 'bool_', 'str_', 'bytes_', 'float16', 'float32', 'float64', 'complex64', 'complex128'].map(
    (name) => `numpy.${name}`,
  ),
  ...['int', 'uint'].flatMap((kind) => [8, 16, 32, 64].map((bits) => `numpy.${kind}${bits}`)),
]);

/** What stands as a `PickledObject`. */
const objects = new Set([
  'builtins.range',
  'builtins.slice',
  // What the labels of a training run stand for: symbols and counts.
  'fairseq.data.dictionary.Dictionary',
  'numpy.dtype',
  'numpy.random._pickle.__randomstate_ctor',
  'numpy.random._pickle.__generator_ctor',
  'numpy.random._pickle.__bit_generator_ctor',
  'numpy.random.bit_generator.__pyx_unpickle_SeedSequence',
]);

/** Names as Python 3 and NumPy 2 have them. */
function modern(name: string): string {
  return name
    .replace(/^__builtin__\.(xrange$)?/, (_, range) => `builtins.${range ? 'range' : ''}`)
    .replace(/^numpy\.core\./, 'numpy._core.')
    .replace(/^pathlib\._local\./, 'pathlib.');
}

/**
 * @returns `find`: what a name stands for: a function, text for a type that is only mentioned, or undefined; and `build`,
 * which sets the state of what those functions made, and says whether it was theirs.
 */
export function pythonGlobals(
  budget: Budget,
  fail: Fail,
): { find(name: string): Make | string | undefined; build(target: unknown, state: unknown): boolean } {
  const namespaces = new WeakSet<object>();
  const numpy = numpyGlobals(budget, fail);
  const items = (values: unknown, what: string): unknown[] => {
    if (!Array.isArray(values)) return fail(`it makes ${what} of ${describe(values)}`);
    budget.items(values.length);
    return values;
  };
  const set: Make = ([values = []]) => new Set(items(values, 'a set'));
  /** How protocol 2 has bytes: as text of the same codes. */
  const encode: Make = ([text, encoding]) => {
    const codes =
      typeof text === 'string' && (encoding === 'latin1' || encoding === 'latin-1')
        ? text
        : fail('it encodes text other than as latin1');
    budget.bytes(codes.length);
    const bytes = new Uint8Array(codes.length);
    for (let i = 0; i < codes.length; i++) {
      const code = codes.charCodeAt(i);
      bytes[i] = code < 256 ? code : fail(`it encodes ${describe(codes[i])} as latin1`);
    }
    return bytes;
  };
  const bytes: Make = ([value = new Uint8Array(), encoding]) => {
    if (typeof value === 'string') return encode([value, encoding]);
    return value instanceof Uint8Array ? value : fail(`it makes bytes of ${describe(value)}`);
  };
  const counter: Make = ([counts = new Map()]) =>
    counts instanceof Map ? counts : fail(`it makes a counter of ${describe(counts)}`);
  const complex: Make = ([real, imag]) =>
    typeof real === 'number' && typeof imag === 'number'
      ? { real, imag }
      : fail(`it makes a complex number of ${describe(real)} and ${describe(imag)}`);
  const namespace: Make = () => {
    const attributes = new Map();
    namespaces.add(attributes);
    return attributes;
  };
  const path =
    (separator: string): Make =>
    (parts) => {
      if (!parts.every((part) => typeof part === 'string')) return fail(`it makes a path of ${describe(parts)}`);
      budget.bytes(parts.reduce((sum, part) => sum + part.length + 1, 0));
      const root = parts[0]?.endsWith(separator) ? '' : separator;
      return parts.length < 2 ? (parts[0] ?? '.') : parts[0] + root + parts.slice(1).join(separator);
    };
  const makers: Record<string, Make> = {
    '_codecs.encode': encode,
    'builtins.set': set,
    'builtins.frozenset': set,
    'builtins.bytes': bytes,
    'builtins.bytearray': bytes,
    'builtins.complex': complex,
    'collections.Counter': counter,
    // Its argument is what makes missing values.
    'collections.defaultdict': () => new Map(),
    'argparse.Namespace': namespace,
    'pathlib.PurePosixPath': path('/'),
    'pathlib.PosixPath': path('/'),
    'pathlib.PureWindowsPath': path('\\'),
    'pathlib.WindowsPath': path('\\'),
    ...numpy.makers,
  };
  const build = (target: unknown, state: unknown): boolean => {
    if (numpy.build(target, state)) return true;
    if (target instanceof PickledObject) {
      target.state = state;
      return true;
    }
    if (!(target instanceof Map) || !namespaces.has(target)) return false;
    if (!(state instanceof Map)) return fail(`its pickle sets attributes of a namespace to ${describe(state)}`);
    budget.items(state.size);
    for (const [key, value] of state) target.set(key, value);
    return true;
  };
  const find = (asked: string): Make | string | undefined => {
    const name = modern(asked);
    if (Object.hasOwn(makers, name)) return makers[name];
    if (objects.has(name)) return (args) => new PickledObject(name, args);
    return mentioned.has(name) ? name : undefined;
  };
  return { find, build };
}
