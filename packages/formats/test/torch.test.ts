/** Checkpoints made by PyTorch, and pickles that nobody should run. */
import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadTorchStateDict, openTorch, type PickledArray, type PickledObject } from '../src/index.ts';
import { makeCheckpoint, pickle } from './pickles.ts';
import { assertListed, expected, goldenPath, problemOf } from './support.ts';

const torch = suite('PyTorch checkpoints');
const goldens = Object.keys(expected).filter((name) => name.endsWith('.pt'));

torch('what PyTorch saved: dtypes, modules, views, checkpoints, protocols, byte orders', async () => {
  assert.is(goldens.length, 13);
  for (const name of goldens) {
    const file = await openTorch(goldenPath(name));
    // JSON puts the name 7 first.
    assert.equal([...file.tensors.keys()].sort(), Object.keys(expected[name]).sort(), name);
    for (const [key, { dtype, shape }] of file.tensors) {
      assert.equal({ dtype, shape }, { dtype: expected[name][key].dtype, shape: expected[name][key].shape }, key);
      assertListed(await file.read(key), expected[name][key], `${name} ${key}`);
    }
    await file.close();
    if (file.unreadable.size > 0) continue;
    const all = await loadTorchStateDict(readFileSync(goldenPath(name)));
    assert.is(all.size, file.tensors.size);
    for (const [key, tensor] of all) assertListed(tensor, expected[name][key], `${name} ${key}`);
  }
});

torch('rows and conversions of strided views', async () => {
  const file = await openTorch(goldenPath('views.pt'));
  assert.equal((await file.read('transposed', { rows: [2, 4] })).data, Float32Array.of(2, 8, 14, 20, 3, 9, 15, 21));
  assert.equal((await file.read('permuted', { rows: [5, 6], as: 'i32' })).data, Int32Array.of(5, 11, 17, 23));
  assert.equal((await file.read('half', { rows: [1, 2], as: 'f64' })).data, Float64Array.of(2, 8, 14, 20));
  assert.equal((await file.read('expanded', { as: 'u32', rows: [1, 2] })).data, new Uint32Array(5).fill(3));
  assert.equal(file.tensors.get('transposed')!.strides, [1, 6]);
  assert.match(await problemOf(file.read('element', { rows: [0, 1] })), /tensor "element" of shape \[\] has no rows/);
  await file.close();
  const dtypes = await openTorch(goldenPath('dtypes.pt'));
  assert.match(
    await problemOf(dtypes.read('x.U64', { as: 'i32' })),
    /"x\.U64" has the number 18446744073709551615 at index \[0, 1\]/,
  );
  await dtypes.close();
});

torch('everything else that is in a checkpoint', async () => {
  const { content, close } = await openTorch(goldenPath('checkpoint.pt'));
  const found = content as Map<unknown, unknown>;
  assert.equal(found.get('shape'), [2, 3]);
  assert.equal([found.get('dtype'), found.get('device'), found.get('text')], ['torch.float16', 'cpu', 'é🎵']);
  assert.equal(found.get('bytes'), Uint8Array.of(0, 255, 97, 98));
  assert.equal(found.get('set'), new Set([1]));
  assert.equal(found.get('numbers'), [0, -1, 300, 70000, 2 ** 31, -(2 ** 40), 2n ** 70n, 1.5, true, false, null]);
  const groups = (found.get('optimizer') as Map<string, Map<string, unknown>[]>).get('param_groups')!;
  assert.is(groups[0].get('lr'), 0.5);
  await close();
});

torch('objects of Python beside the tensors are plain values, in every protocol', async () => {
  for (const protocol of [2, 4, 5]) {
    const { content, close } = await openTorch(goldenPath(`objects${protocol}.pt`));
    const found = content as Map<string, unknown>;
    const array = (name: string): unknown => {
      const { dtype, shape, data } = found.get(name) as PickledArray;
      return [dtype, shape, data];
    };
    assert.equal(found.get('counter'), new Map(Object.entries({ a: 2, b: 1, c: 1 })));
    assert.equal(found.get('complex'), { real: 1.5, imag: -2 });
    assert.equal(found.get('bytearray'), Uint8Array.of(0, 255, 97, 98));
    assert.equal(found.get('nothing'), new Uint8Array());
    assert.equal(found.get('default'), new Map([['a', [1]]]));
    assert.equal(found.get('frozen'), new Set([3]));
    assert.is((found.get('namespace') as Map<string, unknown>).get('lr'), 0.5);
    const paths = ['path', 'relative', 'windows', 'type'].map((name) => found.get(name));
    assert.equal(paths, ['/a/b.txt', 'a/b.txt', 'C:\\a\\b', 'numpy.float32']);
    const range = found.get('range') as PickledObject;
    assert.equal([range.name, range.args, range.state], ['builtins.range', [0, 3, 1], undefined]);
    assert.equal(found.get('numbers'), [1.5, 2.5, -7, true, 9, 0.5]);
    assert.is(found.get('beyond'), 2n ** 63n);
    const pair = found.get('pair') as PickledObject;
    assert.equal([pair.name, pair.args[1]], ['numpy.scalar', new Uint8Array(Float32Array.of(1, 2).buffer)]);
    assert.equal(array('array'), ['<i4', [2, 3], Int32Array.of(0, 1, 2, 3, 4, 5)]);
    assert.equal(array('fortran'), ['<f8', [2, 3], Float64Array.of(0, 1, 2, 3, 4, 5)]);
    assert.equal(array('big'), ['<f4', [3], Float32Array.of(0, 1, 2)]);
    assert.equal(array('bools'), ['|b1', [2], Uint8Array.of(1, 0)]);
    assert.equal(array('empty'), ['<f8', [0, 2], new Float64Array()]);
    assert.equal(array('any'), ['|O8', [2], [null, 'x']]);
    assert.is((found.get('words') as PickledArray).dtype, '<U2');
    const [kind, key, at] = found.get('state') as [string, PickledArray, number];
    assert.equal([kind, key.dtype, key.data.length, at], ['MT19937', '<u4', 624, 624]);
    const names = ['RandomState', 'generator'].map((name) => (found.get(name) as PickledObject).name);
    assert.equal(names, ['numpy.random._pickle.__randomstate_ctor', 'numpy.random._pickle.__generator_ctor']);
    await close();
  }
});

torch('objects of Python that lie are named', async () => {
  const dtype = (kind: string): number[] => reduce(global('numpy', 'dtype'), tuple(text(kind), [0x89], [0x88]));
  const bytes = (count: number): number[] => [0x42, count & 255, count >> 8, 0, 0, ...new Array<number>(count).fill(1)];
  const array = (raw: number[], kind: number[], ...shape: number[]): number[] =>
    reduce(global('numpy._core.numeric', '_frombuffer'), tuple(raw, kind, tuple(...shape.map(number)), text('C')));
  const cases: [number[], RegExp][] = [
    [array(bytes(8), dtype('f4'), 3), /array of shape \[3\] and dtype <f4 of 8 bytes/],
    [array(bytes(8), dtype('f4'), -1), /array of shape \[-1\]/],
    [array(bytes(8), dtype('f4'), 2 ** 31, 2 ** 31), /too many to count/],
    [array(bytes(8), text('f4'), 2), /array of the dtype "f4"/],
    [array(number(1), dtype('U2'), 2), /makes an array of 1/],
    [reduce(global('numpy.core.multiarray', '_reconstruct'), tuple(text('x'))), /array of class "x"/],
    [reduce(global('collections', 'Counter'), tuple(list())), /counter of \[\]/],
    [reduce(global('builtins', 'complex'), tuple(text('1'))), /complex number of "1" and undefined/],
    [reduce(global('pathlib', 'PosixPath'), tuple(number(1))), /path of \[1\]/],
    [build(reduce(global('argparse', 'Namespace'), tuple()), number(1)), /attributes of a namespace to 1/],
    [reduce(global('builtins', 'list'), tuple()), /calls "builtins\.list"/],
  ];
  for (const [body, reason] of cases) assert.match(await problemOf(openTorch(makeCheckpoint(body))), reason);
  // The same bytes made into array after array.
  const many = [...bytes(10_000), 0x71, 0, 0x30, ...dtype('u1'), 0x71, 1, 0x30, 0x5d];
  for (let i = 0; i < 100; i++) many.push(...array([0x68, 0], [0x68, 1], 10_000), 0x61);
  assert.match(await problemOf(openTorch(makeCheckpoint(many))), /copies more than three times the \d+ bytes/);
});

torch('tensors of kinds that are not read leave the others readable', async () => {
  const file = await openTorch(goldenPath('unread.pt'));
  const reasons: Record<string, RegExp> = {
    complex: /unread\.pt: tensor "complex" is of complex numbers, .*torch\.view_as_real/,
    conjugate: /is of complex numbers/,
    complex32: /is of complex numbers/,
    float8: /is of dtype torch\.float8_e4m3fn, which is not read/,
    coo: /is sparse, which is not read; save its to_dense/,
    csr: /is sparse/,
    quantized: /is quantised, which is not read; save its dequantize/,
    channels: /is quantised/,
    meta: /has no elements/,
    nested: /is nested/,
    parameter: /is of complex numbers/,
    1: /is the name of two tensors; rename one/,
  };
  assert.equal([...file.unreadable.keys()].sort(), Object.keys(reasons).sort());
  for (const [name, reason] of Object.entries(reasons)) assert.match(await problemOf(file.read(name)), reason);
  assert.is((file.content as Map<unknown, unknown>).get('dtype'), 'torch.float8_e5m2');
  assert.match(await problemOf(loadTorchStateDict(goldenPath('unread.pt'))), /openTorch reads the others/);
  assert.is((await loadTorchStateDict(goldenPath('unread.pt'), { prefix: 'plain' })).size, 1);
  await file.close();
});

torch('a state dict within a checkpoint', async () => {
  const model = await loadTorchStateDict(goldenPath('checkpoint.pt'), { prefix: 'model.' });
  assert.equal([...model.keys()], ['weight', 'plain']);
  assert.match(
    await problemOf(loadTorchStateDict(goldenPath('checkpoint.pt'), { prefix: 'net.' })),
    /no tensor whose name begins with "net\."; they begin with model, optimizer, list, 7/,
  );
});

torch('what is not read is named', async () => {
  const reasons: Record<string, RegExp> = {
    'bad-legacy.pt': /before 1\.6 \(torch\.save with _use_new_zipfile_serialization=False\); load it in PyTorch/,
    'bad-module.pt': /asks for torch\.nn\.modules\.container\.Sequential, which is not on the list .*state_dict\(\)/,
    'stored.npz': /holds 0 files NAME\/data\.pkl, expected one/,
    'expected.json': /it has no directory at its end/,
  };
  for (const [name, reason] of Object.entries(reasons))
    assert.match(await problemOf(openTorch(goldenPath(name))), reason);
  assert.match(await problemOf(openTorch(goldenPath('missing.pt'))), /cannot open PyTorch checkpoint/);
});

const { dict, tuple, list, text, number, global, reduce, tensor, storage, persistent, build, memoized } = pickle;

torch('no name outside the list is found, however it is asked for', async () => {
  for (const [module, name] of [
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['__builtin__', 'exec'],
    ['torch', 'load'],
    ['torch._utils', '__getattribute__'],
    ['collections', 'OrderedDict.__init__'],
    ['', 'constructor'],
    ['', '__proto__'],
    ['toString', ''],
    ['torch.hub', 'load'],
  ]) {
    const call = reduce(global(module, name), tuple(text('echo')));
    const reason = `asks for ${module}.${name}, which is not on the list`;
    assert.match(await problemOf(openTorch(makeCheckpoint(call))), reason);
    const stacked = [text(module), text(name), [0x93]].flat();
    assert.match(await problemOf(openTorch(makeCheckpoint(stacked))), reason);
  }
});

torch('pickles that lie are named', async () => {
  const eight = new Uint8Array(32);
  const cases: [number[], RegExp][] = [
    [
      tensor(storage('FloatStorage', '0', 8), 0, [9], [1]),
      /shape \[9\] and strides \[1\] at element 0 reaches beyond the 8/,
    ],
    [tensor(storage('FloatStorage', '0', 8), 7, [2], [1]), /at element 7 reaches beyond/],
    [tensor(storage('FloatStorage', '0', 8), 1, [2, 2], [5, 3]), /reaches beyond the 8/],
    [tensor(storage('FloatStorage', '0', 8), -1, [2], [1]), /begins at element -1/],
    [tensor(storage('FloatStorage', '0', 8), 0, [-2], [1]), /shape \[-2\]/],
    [tensor(storage('FloatStorage', '0', 8), 0, [2], [-1]), /strides \[-1\]/],
    [tensor(storage('FloatStorage', '0', 8), 0, [2, 2], [1]), /shape \[2,2\] and strides \[1\]/],
    [tensor(storage('FloatStorage', '0', 8), 0, [2 ** 31, 2 ** 31], [0, 0]), /too many to count/],
    [
      tensor(storage('FloatStorage', '0', 8), 0, new Array(65).fill(1), new Array(65).fill(1)),
      /makes a tensor of shape/,
    ],
    [
      tensor(storage('FloatStorage', '0', 7), 0, [1], [1]),
      /storage "x\/data\/0" has 32 bytes, but 7 elements of torch\.FloatStorage take 28/,
    ],
    [
      tensor(storage('DoubleStorage', '0', 8), 0, [1], [1]),
      /has 32 bytes, but 8 elements of torch\.DoubleStorage take 64/,
    ],
    [tensor(storage('FloatStorage', '1', 8), 0, [1], [1]), /storage "x\/data\/1", which is not in the archive/],
    [tensor(storage('FloatStorage', '../data.pkl', 8), 0, [1], [1]), /not in the archive/],
    [tensor(storage('FloatStorage', '0', -8), 0, [1], [1]), /asks for the stored object/],
    [tensor(number(3), 0, [1], [1]), /makes a tensor of 3, expected a storage/],
    [persistent(text('storage')), /stored object "storage"/],
    [persistent(tuple(text('module'), number(1))), /stored object \["module",1\]/],
    [reduce(number(1), tuple()), /its pickle calls 1/],
    [reduce(global('torch', 'FloatStorage'), tuple()), /its pickle calls torch\.FloatStorage/],
    [reduce(global('torch', 'Tensor'), tuple()), /its pickle calls torch\.Tensor/],
    [reduce(global('collections', 'OrderedDict'), number(2)), /calls collections\.OrderedDict with 2/],
    [reduce(global('collections', 'OrderedDict'), tuple(list(number(2)))), /what are no pairs/],
    [reduce(global('torch', 'Size'), tuple(list(text('a')))), /makes a shape of \["a"\]/],
    [reduce(global('_codecs', 'encode'), tuple(text('a'), text('utf-8'))), /other than as latin1/],
    [reduce(global('torch', 'device'), tuple(list())), /makes a device of \[\]/],
    [
      reduce(
        global('torch._tensor', '_rebuild_from_type_v2'),
        tuple(global('collections', 'OrderedDict'), global('torch', 'Tensor'), tuple(), dict()),
      ),
      /tensor of a dictionary of 0/,
    ],
    [build(list(), dict()), /sets attributes of \[\]/],
    [
      dict(text('a'), tensor(storage('FloatStorage', '0', 8), 0, [1], [1]), text('a.b'), number(1)).slice(0, -1),
      /ends with values left over|needs/,
    ],
    [[...number(1), ...number(1)], /values left over/],
    [[], /takes a value/],
    [[0x28], /takes a value/],
    [[0x74], /ends a group at byte \d+ that did not begin/],
    [[0x68, 0], /recalls value 0, which was never kept/],
    [[...number(1), 0x72, 255, 255, 255, 255], /keeps value 4294967295, more than its/],
    [[0x58, 255, 255, 255, 255], /needs 4294967295 bytes/],
    [[0x8d, 255, 255, 255, 255, 255, 255, 255, 255], /needs 18446744073709552000 bytes/],
    [[0x8b, 255, 255, 255, 127], /whole number of 2147483647 bytes, at most 1024/],
    [[0x95, 255, 0, 0, 0, 0, 0, 0, 0], /frame that is longer/],
    [[0x58, 1, 0, 0, 0, 0xff], /is not UTF-8/],
    [[0x69], /instruction 0x69 at byte 2, which is not run/],
    [[0x82, 1], /instruction 0x82/],
    [[0x49, 0x31, 10], /instruction 0x49/],
    [new Array(2000).fill(0x28), /more than 1000 groups/],
    [[...number(1), 0x2e, ...number(2)], /ends at byte 8 of 14/],
    [[...list(), ...number(1), ...number(2), 0x73], /sets an item of \[\]/],
    [[...dict(), ...number(1), 0x61], /appends to a dictionary of 0/],
    [[...dict(), 0x28, ...number(1), 0x90], /adds to a dictionary/],
    [[...dict(), 0x28, ...number(1), 0x75], /key without a value/],
  ];
  for (const [body, reason] of cases) {
    assert.match(await problemOf(openTorch(makeCheckpoint(body, { 'data/0': eight }))), reason, String(reason));
  }
  const sound = dict(text('a'), tensor(storage('FloatStorage', '0', 8), 2, [2, 3], [3, 1]));
  const file = await openTorch(makeCheckpoint(sound, { 'data/0': eight }));
  assert.equal((await file.read('a')).shape, [2, 3]);
});

torch('names that meet, and files within that are wrong', async () => {
  const data = { 'data/0': new Uint8Array(32) };
  const one = tensor(storage('FloatStorage', '0', 8), 0, [1], [1]);
  const twice = dict(text('a'), dict(text('b'), one), text('a.b'), one);
  const meeting = await openTorch(makeCheckpoint(twice, data));
  assert.equal([...meeting.tensors.keys()], []);
  assert.match(await problemOf(meeting.read('a.b')), /tensor "a\.b" is the name of two tensors; rename one/);
  assert.match(
    await problemOf(openTorch(makeCheckpoint(one, { ...data, byteorder: Buffer.from('middle') }))),
    /byteorder is "middle"/,
  );
  const wrong = makeCheckpoint(one, data, { 'data/0': { crc: 5 } });
  const file = await openTorch(wrong);
  assert.match(await problemOf(file.read('')), /entry "x\/data\/0" has the checksum [0-9a-f]{8}, expected 00000005/);
  assert.is((await (await openTorch(wrong, { checksum: false })).read('')).data.length, 1);
  const squeezed = makeCheckpoint(one, data, { 'data/0': { method: 8, size: 32 } });
  assert.match(await problemOf((await openTorch(squeezed)).read('')), /is compressed, which torch\.save never does/);
});

torch('little pickles of much: depth, sharing, copies, expansion', async () => {
  let deep: number[] = list();
  for (let i = 0; i < 900; i++) deep = list(deep);
  assert.match(await problemOf(openTorch(makeCheckpoint(deep))), /more than 100 deep/);
  // Each list holds the one before it ten times.
  const laughs = memoized(30, 10);
  const start = performance.now();
  assert.match(await problemOf(openTorch(makeCheckpoint(laughs))), /hold each other too many times over/);
  assert.ok(performance.now() - start < 5000);
  const cycle = [...list(), 0x71, 0, 0x68, 0, 0x61];
  assert.match(await problemOf(openTorch(makeCheckpoint(cycle))), /more than 100 deep/);
  const long = 'x'.repeat(10_000);
  const encodes = [...text(long), 0x71, 0, 0x30];
  for (let i = 0; i < 100; i++) {
    encodes.push(...global('_codecs', 'encode'), 0x68, 0, ...text('latin1'), 0x86, 0x52, 0x30);
  }
  assert.match(await problemOf(openTorch(makeCheckpoint([...encodes, ...list()]))), /copies more than three times/);

  const data = { 'data/0': new Uint8Array(32) };
  const wide = tensor(storage('FloatStorage', '0', 8), 3, [2 ** 15, 2 ** 15], [0, 0]);
  const file = await openTorch(makeCheckpoint(wide, data));
  assert.match(
    await problemOf(file.read('')),
    /makes 4294967296 bytes of a storage of 32, at most 1048576 are allowed/,
  );
  const less = await openTorch(makeCheckpoint(tensor(storage('FloatStorage', '0', 8), 3, [1000], [0]), data), {
    maxExpandedBytes: 3999,
  });
  assert.match(await problemOf(less.read('')), /at most 3999 are allowed/);
  const sharing = dict(
    text('a'),
    tensor(storage('FloatStorage', '0', 8), 0, [8], [1]),
    text('b'),
    tensor(storage('FloatStorage', '0', 8), 4, [4], [1]),
  );
  assert.is((await loadTorchStateDict(makeCheckpoint(sharing, data))).size, 2);
});

torch('many views of one storage are one array, or few', async () => {
  const megabyte = 2 ** 20;
  const data = { 'data/0': new Uint8Array(megabyte) };
  const kept = [...storage('FloatStorage', '0', megabyte / 4), 0x71, 0, 0x30];
  const many = (view: (i: number) => [offset: number, count: number]): Uint8Array => {
    const items = Array.from({ length: 2000 }, (_, i) => [
      text(`t${i}`),
      tensor([0x68, 0], view(i)[0], [view(i)[1]], [1]),
    ]);
    return makeCheckpoint([...kept, ...dict(...items.flat())], data);
  };
  const tied = await loadTorchStateDict(many(() => [0, megabyte / 4]));
  assert.is(tied.size, 2000);
  assert.is(new Set([...tied.values()].map((one) => one.data)).size, 1);
  const shifted = many((i) => [i, megabyte / 4 - i]);
  const problem = await problemOf(loadTorchStateDict(shifted));
  assert.match(
    problem,
    /its tensors make \d{10} bytes more than the storages that they are views of, at most \d{7} are/,
  );
  assert.is((await (await openTorch(shifted)).read('t1999')).data.length, megabyte / 4 - 1999);
  assert.is((await loadTorchStateDict(shifted, { maxExpandedBytes: 2 ** 31, prefix: 't199' })).size, 11);
  const expanded = dict(
    ...Array.from({ length: 100 }, (_, i) => [text(`t${i}`), tensor([0x68, 0], i, [10_000], [0])]).flat(),
  );
  assert.match(await problemOf(loadTorchStateDict(makeCheckpoint([...kept, ...expanded], data))), /bytes more than/);
});

torch.run();
