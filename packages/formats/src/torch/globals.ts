/** The names that a pickle of tensors may ask for, and what they stand for here. Nothing of Python is run. */
import { type ElementType, elementCount, elementTypes, isShape } from '../elements.ts';
import { describe, type Fail, shorten } from '../error.ts';
import { reach } from '../layout.ts';
import { PickleGlobal, type PickleHost } from './pickle.ts';
import { maxPickleValues } from './pickleStack.ts';
import { pythonGlobals } from './python.ts';

/** Elements in a file of the archive; tensors are views of them. `type` is undefined where each tensor says its own. */
export class TorchStorage {
  readonly entry: string;
  readonly type: ElementType | undefined;
  readonly bytes: number;
  /** What is said of tensors of it, where its elements are not read. */
  readonly unread: string | undefined;
  constructor(entry: string, type: ElementType | undefined, bytes: number, unread?: string) {
    this.entry = entry;
    this.type = type;
    this.bytes = bytes;
    this.unread = unread;
  }
}

/** A sound tensor of a kind that is not read. */
export class UnreadableTensor {
  /** What follows its name in an error: `is sparse; …`. */
  readonly reason: string;
  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A tensor before its elements are read: a strided view of a storage that others may share. */
export class TorchView {
  readonly dtype: ElementType;
  readonly shape: readonly number[];
  /** In elements. */
  readonly strides: readonly number[];
  readonly storageOffset: number;
  /** @internal */
  readonly storage: TorchStorage;
  constructor(dtype: ElementType, shape: number[], strides: number[], storageOffset: number, storage: TorchStorage) {
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.storageOffset = storageOffset;
    this.storage = storage;
  }
}

/** A storage class that a pickle names. */
export class StorageClass extends PickleGlobal {
  readonly type: ElementType | undefined;
  readonly unread: string | undefined;
  constructor(name: string, type: ElementType | undefined, unread?: string) {
    super(name);
    this.type = type;
    this.unread = unread;
  }
}

const storages: Record<string, ElementType | undefined> = {
  'torch.DoubleStorage': 'F64',
  'torch.FloatStorage': 'F32',
  'torch.HalfStorage': 'F16',
  'torch.BFloat16Storage': 'BF16',
  'torch.LongStorage': 'I64',
  'torch.IntStorage': 'I32',
  'torch.ShortStorage': 'I16',
  'torch.CharStorage': 'I8',
  'torch.ByteStorage': 'U8',
  'torch.BoolStorage': 'BOOL',
  'torch.storage.UntypedStorage': undefined,
};

const dtypes: Record<string, ElementType | undefined> = {
  'torch.float64': 'F64',
  'torch.float32': 'F32',
  'torch.float16': 'F16',
  'torch.bfloat16': 'BF16',
  'torch.int64': 'I64',
  'torch.int32': 'I32',
  'torch.int16': 'I16',
  'torch.int8': 'I8',
  'torch.uint64': 'U64',
  'torch.uint32': 'U32',
  'torch.uint16': 'U16',
  'torch.uint8': 'U8',
  'torch.bool': 'BOOL',
};

/** Dtypes whose tensors are not read; as values of a setting they stand as their names. */
const unreadDtypes = /^torch\.(complex\d+|float[48]_\w+|u?int[1-7]|q(u?)int\w+|bits\w+)$/;
const unreadStorages = /^torch\.(Complex(Float|Double)|QU?Int\w+)Storage$/;

const unread = {
  complex: 'is of complex numbers, which are not read; save torch.view_as_real of it',
  quantized: 'is quantised, which is not read; save its dequantize()',
};

/** Functions that make tensors of other kinds. */
const unreadTensors: Readonly<Record<string, string>> = {
  'torch._utils._rebuild_sparse_tensor': 'is sparse, which is not read; save its to_dense()',
  'torch._utils._rebuild_qtensor': unread.quantized,
  'torch._utils._rebuild_nested_tensor': 'is nested, which is not read; save its unbind()',
  'torch._utils._rebuild_meta_tensor_no_storage': 'has no elements, as it is on the meta device',
};

/** Names that say how sparse and quantised tensors are kept. */
const kinds = /^torch\.(per_(tensor|channel)_\w+|strided|sparse_\w+)$/;

/** Dimensions that a tensor may have; PyTorch's limit. */
const maxDimensions = 64;

/**
 * Looks names up. A dtype is its name as text, a device too; other names are functions or classes.
 *
 * @param pickleBytes - how many items, and bytes, the functions may copy, up to what a pickle may make. One a byte of the
 * pickle is plenty for those that checkpoints hold; without it a few bytes could have a long list copied again and again.
 */
export function torchGlobals(pickleBytes: number, fail: Fail): Pick<PickleHost, 'global' | 'build'> {
  const allowed = Math.min(pickleBytes, maxPickleValues);
  let copied = 0;
  let copiedBytes = 0;
  const spend = (items: number): void => {
    if ((copied += items) > allowed) fail(`it copies more than the ${allowed} values that its pickle has room for`);
  };
  const python = pythonGlobals(
    {
      items: spend,
      bytes: (count) => {
        // Text becomes bytes, those become an array, and that is put in order.
        if ((copiedBytes += count) > 3 * pickleBytes) {
          fail(`it copies more than three times the ${pickleBytes} bytes that its pickle has`);
        }
      },
    },
    fail,
  );
  const array = (items: unknown, what: string): unknown[] => {
    if (!Array.isArray(items)) return fail(`it makes ${what} of ${describe(items)}`);
    spend(items.length);
    return items;
  };
  const dictionary = ([pairs = []]: readonly unknown[]): Map<unknown, unknown> => {
    const sound = array(pairs, 'a dictionary').every((pair) => Array.isArray(pair) && pair.length === 2);
    return sound ? new Map(pairs as [unknown, unknown][]) : fail('it makes a dictionary of what are no pairs');
  };
  const device = ([kind, index]: readonly unknown[]): string => {
    const sound = typeof kind === 'string' && (index === undefined || typeof index === 'number');
    return sound
      ? [kind, ...(index === undefined ? [] : [index])].join(':')
      : fail(`it makes a device of ${describe(kind)}`);
  };
  const parameter = ([data]: readonly unknown[]): unknown =>
    isTensor(data) ? data : fail(`it makes a parameter of ${describe(data)}`);
  const functions: Record<string, ((args: readonly unknown[]) => unknown) | undefined> = {
    'collections.OrderedDict': dictionary,
    'torch.Size': ([sizes]) => (isShape(sizes) ? sizes : fail(`it makes a shape of ${describe(sizes)}`)),
    'torch.device': device,
    'torch._utils._rebuild_tensor': (args) => rebuild(args, undefined, undefined, fail),
    'torch._utils._rebuild_tensor_v2': (args) => rebuild(args, undefined, args[6], fail),
    'torch._utils._rebuild_tensor_v3': (args) => rebuild(args, args[6], args[7], fail),
    'torch._utils._rebuild_parameter': parameter,
    'torch._utils._rebuild_parameter_with_state': parameter,
    'torch.serialization._get_layout': ([name]) => name,
    // A tensor with attributes of its own, which are dropped.
    'torch._tensor._rebuild_from_type_v2': ([rebuilder, type, args]) => {
      const known = type instanceof PickleGlobal && tensorClasses.includes(type.name);
      if (!known || !(rebuilder instanceof PickleGlobal) || rebuilder.call === undefined || !Array.isArray(args)) {
        return fail('it makes a tensor of a class other than Tensor and Parameter');
      }
      const made = rebuilder.call(args);
      return isTensor(made) ? made : fail(`it makes a tensor of ${describe(made)}`);
    },
  };
  const global = (name: string): unknown => {
    if (Object.hasOwn(dtypes, name) || unreadDtypes.test(name) || kinds.test(name)) return name;
    if (Object.hasOwn(storages, name)) return new StorageClass(name, storages[name]);
    if (unreadStorages.test(name)) {
      return new StorageClass(name, undefined, name.includes('Complex') ? unread.complex : unread.quantized);
    }
    if (Object.hasOwn(unreadTensors, name)) {
      return new PickleGlobal(name, () => new UnreadableTensor(unreadTensors[name]));
    }
    if (Object.hasOwn(functions, name)) return new PickleGlobal(name, functions[name]);
    if (tensorClasses.includes(name)) return new PickleGlobal(name);
    const found = python.find(name);
    if (found !== undefined) return typeof found === 'string' ? found : new PickleGlobal(name, found);
    return fail(
      `it asks for ${shorten(name)}, which is not on the list of what is read (dense tensors, dictionaries, lists, ` +
        'numbers, text); save model.state_dict() in place of objects with code',
    );
  };
  return { global, build: python.build };
}

const tensorClasses = ['torch.Tensor', 'torch.nn.parameter.Parameter', 'torch.nn.parameter.Buffer'];

function isTensor(value: unknown): value is TorchView | UnreadableTensor {
  return value instanceof TorchView || value instanceof UnreadableTensor;
}

/** Source: torch/_utils.py; the arguments are storage, offset, size, stride, requires_grad, backward_hooks. */
function rebuild(
  args: readonly unknown[],
  dtype: unknown,
  metadata: unknown,
  fail: Fail,
): TorchView | UnreadableTensor {
  const [storage, offset, shape, strides] = args;
  if (!(storage instanceof TorchStorage)) return fail(`it makes a tensor of ${describe(storage)}, expected a storage`);
  if (storage.unread !== undefined) return new UnreadableTensor(storage.unread);
  if (typeof dtype === 'string' && unreadDtypes.test(dtype)) {
    return new UnreadableTensor(
      dtype.startsWith('torch.complex') ? unread.complex : `is of dtype ${dtype}, which is not read; save its float()`,
    );
  }
  if (metadata instanceof Map && [...metadata.values()].some(Boolean)) {
    return new UnreadableTensor('has elements that are to be negated or conjugated; resolve that before saving');
  }
  const type = typeof dtype === 'string' && Object.hasOwn(dtypes, dtype) ? dtypes[dtype] : storage.type;
  if (type === undefined || (dtype === undefined) !== (storage.type !== undefined)) {
    return fail(`it makes a tensor of dtype ${describe(dtype)}, which is not read`);
  }
  if (!isShape(shape) || !isShape(strides) || shape.length !== strides.length || shape.length > maxDimensions) {
    return fail(`it makes a tensor of shape ${describe(shape)} and strides ${describe(strides)}`);
  }
  if (typeof offset !== 'number' || !isShape([offset])) {
    return fail(`it makes a tensor that begins at element ${describe(offset)} of its storage`);
  }
  const held = Math.floor(storage.bytes / elementTypes[type].bytes);
  const last = elementCount(shape, (problem) => fail(`a tensor ${problem}`)) === 0 ? -1 : reach({ shape, strides });
  if (!(offset + last < held || last < 0)) {
    fail(
      `a tensor of shape [${shape}] and strides [${strides}] at element ${offset} reaches beyond the ${held} of its storage`,
    );
  }
  return new TorchView(type, [...shape], [...strides], offset, storage);
}
