/** npy and safetensors files made by NumPy and by safetensors itself, and what is wrong with files that nobody made. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type NpyDtype,
  openNpy,
  openSafetensors,
  readNpy,
  readSafetensors,
  readSafetensorsHeader,
  writeNpy,
  writeSafetensors,
} from '../src/index.ts';
import { assertListed, expected, goldenPath, problemOf, temporaryFile } from './support.ts';

const file = temporaryFile();
const goldens = (suffix: string): string[] => Object.keys(expected).filter((name) => name.endsWith(suffix));

const npy = suite('npy of NumPy');

npy('every dtype, byte order, order and version', async () => {
  assert.ok(goldens('.npy').length >= 25);
  for (const name of goldens('.npy')) {
    assertListed(await readNpy(goldenPath(name)), expected[name], name);
    assertListed(await readNpy(readFileSync(goldenPath(name))), expected[name], `${name} in memory`);
  }
});

npy('what we write has the bytes that NumPy writes', async () => {
  // 1.0, C order: all but these.
  const others = /^(big|fortran|empty-fortran|version)/;
  for (const name of goldens('.npy').filter((one) => !others.test(one))) {
    const { dtype, shape, data } = await readNpy(goldenPath(name));
    await writeNpy(file(name), data, shape, { dtype });
    assert.ok(readFileSync(file(name)).equals(readFileSync(goldenPath(name))), name);
  }
});

npy('arrays of other kinds are refused by name', async () => {
  const reasons: Record<string, RegExp> = {
    'bad-object.npy':
      /elements are "\|O" \(Python objects, whose bytes are a program that is never run\), expected one of <f8/,
    'bad-structured.npy': /elements are records of several fields/,
    'bad-text.npy': /elements are "<U2" \(strings\)/,
    'bad-complex.npy': /elements are "<c8" \(complex numbers/,
    'bad-date.npy': /elements are "<M8\[D\]" \(dates\)/,
  };
  for (const [name, reason] of Object.entries(reasons)) {
    assert.match(await problemOf(readNpy(goldenPath(name))), reason);
  }
  assert.is(readdirSync(goldenPath('')).filter((name) => /^bad.*npy$/.test(name)).length, Object.keys(reasons).length);
});

npy('any rows of it, in any conversion', async () => {
  const conversions = { f64: Float64Array, f32: Float32Array, i32: Int32Array };
  for (const name of ['i4.npy', 'big-i8.npy', 'fortran.npy', 'fortran-big.npy', 'u2.npy', 'big-f2.npy']) {
    const opened = await openNpy(goldenPath(name));
    const whole = await opened.read();
    const width = whole.data.length / whole.shape[0];
    for (let begin = 0; begin <= whole.shape[0]; begin++) {
      for (let end = begin; end <= whole.shape[0]; end++) {
        const due = Array.from(whole.data.subarray(begin * width, end * width), Number);
        for (const [as, array] of Object.entries(conversions)) {
          const part = await opened.read({ rows: [begin, end], as: as as keyof typeof conversions });
          assert.equal(part.shape, [end - begin, ...whole.shape.slice(1)]);
          assert.instance(part.data, array);
          assert.equal([...part.data], [...array.from(due)], `${name} ${begin}:${end} ${as}`);
        }
      }
    }
    for (const rows of [
      [1, 0],
      [-1, 0],
      [0, 99],
      [0, 0.5],
    ] as [number, number][]) {
      assert.match(await problemOf(opened.read({ rows })), /has no rows \[.*\]; expected \[begin, end\]/);
    }
    await opened.close();
  }
  const scalar = await openNpy(goldenPath('scalar.npy'));
  assert.match(await problemOf(scalar.read({ rows: [0, 0] })), /of shape \[\] has no rows/);
  assert.match(await problemOf(scalar.read({ as: 'f16' as 'f32' })), /cannot be converted to "f16"/);
  await scalar.close();
});

npy('a conversion that loses a whole number names it and where it is', async () => {
  const values = BigInt64Array.of(1n, 2n, 3n, -5_000_000_000n, 2n ** 31n, -(2n ** 31n));
  await writeNpy(file('wide.npy'), values, [3, 2]);
  const wide = await openNpy(file('wide.npy'));
  assert.match(
    await problemOf(wide.read({ as: 'i32' })),
    /wide\.npy: the array has the number -5000000000 at index \[1, 1\], which i32 cannot hold/,
  );
  assert.match(await problemOf(wide.read({ as: 'i32', rows: [2, 3] })), /number 2147483648 at index \[2, 0\]/);
  assert.equal([...(await wide.read({ as: 'i32', rows: [0, 1] })).data], [1, 2]);
  assert.match(await problemOf(wide.read({ as: 'u32' })), /number -5000000000 at index/);
  assert.equal([...(await wide.read({ as: 'f64' })).data], [1, 2, 3, -5e9, 2 ** 31, -(2 ** 31)]);
  await wide.close();
  for (const [value, reason] of [
    [0.5, /the value 0.5 at index \[0\]/],
    [Number.NaN, /the value NaN/],
    [4294967296, /the number 4294967296/],
  ] as const) {
    await writeNpy(file('f.npy'), Float64Array.of(value), [1]);
    const opened = await openNpy(file('f.npy'));
    assert.match(await problemOf(opened.read({ as: 'u32' })), reason);
    await opened.close();
  }
});

npy('conversions across many blocks, in Fortran order too', async () => {
  const data = Float32Array.from({ length: 300_001 }, (_, i) => (i * 7919) % 2048);
  await writeNpy(file('blocks.npy'), data, [data.length], { dtype: '<f2' });
  assert.equal((await readNpy(file('blocks.npy'))).data, data);
  const opened = await openNpy(file('blocks.npy'));
  assert.equal(
    (await opened.read({ as: 'i32', rows: [131_000, 300_001] })).data,
    Int32Array.from(data.subarray(131_000)),
  );
  await opened.close();
});

npy('broken headers are named', async () => {
  const build = (dictionary: string | Uint8Array, dataBytes: number, version = [1, 0], length?: number): Uint8Array => {
    const text = Buffer.from(dictionary as string);
    const size = Buffer.alloc(version[0] === 1 ? 2 : 4);
    size.writeUIntLE(length ?? text.length, 0, size.length);
    return Buffer.concat([
      Buffer.from('\x93NUMPY', 'latin1'),
      Buffer.from(version),
      size,
      text,
      Buffer.alloc(dataBytes),
    ]);
  };
  const header = (shape: string, rest = ''): string =>
    `{'descr': '<f4', 'fortran_order': False, 'shape': ${shape}${rest}}`;
  const cases: [Uint8Array, RegExp][] = [
    [build(header('(2,)'), 8, [1, 1]), /version 1\.1, expected 1\.0/],
    [build(header('(2,)'), 8, [2, 0], 2 ** 32 - 1), /header should end at byte 4294967307 but the file at/],
    [build(' '.repeat(10_001), 0, [2, 0]), /header has 10001 bytes, expected at most 10000/],
    [build(header('(2)'), 8), /expected a dictionary/],
    [build(header('(-2,)'), 8), /expected a dictionary/],
    [build(header('(2 2,)'), 8), /expected a dictionary/],
    [build(header('(2,,)'), 8), /expected a dictionary/],
    [build(header('(99999999999999999999,)'), 8), /expected a dictionary/],
    [build(header('(9007199254740991, 9007199254740991)'), 8), /whose elements are too many to count/],
    [build(header('(4294967296, 4294967296)'), 0), /whose elements are too many to count/],
    [build(header('(2,)', ", 'shape': (2,)"), 8), /key shape twice/],
    [build(header('(2,)', ", 'other': 1"), 8), /expected a dictionary/],
    [build(`${header('(2,)')} x`, 8), /expected a dictionary/],
    [build(header('(2,)').slice(0, -1), 8), /expected a dictionary/],
    [build("{'descr': '<f4', 'shape': (2,)}", 8), /expected a dictionary/],
    [build(header('(2,)').replace('<f4', '<f16'), 8), /"<f16" \(floats of this size\)/],
    [build(header('(2,)').replace('<f4', '|f4'), 8), /elements are "\|f4"/],
    [build(header('(2,)').replace('<f4', 'constructor'), 8), /elements are "constructor"/],
    [build(header('(2,)').replace("'<f4'", "('<f4', (2,))"), 8), /records of several fields/],
    [build(Buffer.from([0xff, 0xfe]), 8, [3, 0]), /not text in UTF-8/],
  ];
  for (const [bytes, reason] of cases) assert.match(await problemOf(readNpy(bytes)), reason);
  // Spellings that are sound: Python 2's long numbers, other spaces, other quotes, no comma at the end.
  for (const sound of [
    header('(2L,)'),
    header(' ( 2 , ) '.trim()),
    header('(1, 2)', ', '),
    header('(2,)').replaceAll("'", '"'),
  ]) {
    assert.is((await readNpy(build(sound, 8))).data.length, 2, sound);
  }
  // Behind a zero the size of the others does not matter.
  assert.is((await readNpy(build(header('(0, 9007199254740991, 9007199254740991)'), 0))).data.length, 0);
  assert.match(await problemOf(readNpy(goldenPath(''))), /cannot open npy file .*not a regular file/);
});

npy('what cannot be written is refused', async () => {
  const f32 = Float32Array.of(1, 2);
  const wrong: [() => Promise<void>, RegExp][] = [
    [() => writeNpy(file('x.npy'), f32, [2], { dtype: '<i4' }), /must be a Int32Array, got Float32Array/],
    [() => writeNpy(file('x.npy'), f32, [2], { dtype: '>f4' as NpyDtype }), /dtype >f4 is none of/],
    [() => writeNpy(file('x.npy'), f32, [-2]), /shape \[-2\] is not a list/],
    [() => writeNpy(file('x.npy'), Uint8Array.of(2), [1], { dtype: '|b1' }), /must be 0 or 1/],
  ];
  for (const [write, reason] of wrong) assert.match(await problemOf(write()), reason);
  for (const [dtype, data, due] of [
    ['<i8', Int32Array.of(-1, 5), [-1n, 5n]],
    ['<u8', Uint32Array.of(4294967295, 5), [4294967295n, 5n]],
    ['<f4', Float64Array.of(0.1, 1e300), [Math.fround(0.1), Number.POSITIVE_INFINITY]],
    ['<f8', Float32Array.of(0.5, -0), [0.5, -0]],
    ['<f2', Float32Array.of(1 + 2 ** -11, 70000), [1, Number.POSITIVE_INFINITY]],
  ] as const) {
    await writeNpy(file('made.npy'), data, [2], { dtype });
    const found = await readNpy(file('made.npy'));
    assert.is(found.dtype, dtype);
    assert.equal([...found.data], [...due]);
  }
});

const safetensors = suite('safetensors of the library');

safetensors('every dtype; metadata; one at a time', async () => {
  const opened = await openSafetensors(goldenPath('all.safetensors'));
  assert.equal(opened.metadata, { format: 'pt' });
  const listed = expected['all.safetensors'];
  assert.equal([...opened.tensors.keys()].sort(), Object.keys(listed).sort());
  for (const [name, { dtype, shape }] of opened.tensors) {
    assert.equal({ dtype, shape }, { dtype: listed[name].dtype, shape: listed[name].shape });
    assertListed(await opened.read(name), listed[name], name);
  }
  assert.equal([...(await opened.read('x.F16', { as: 'f64', rows: [0, 1] })).data], [0, -0, 1.5]);
  assert.match(
    await problemOf(opened.read('x.I64', { as: 'i32' })),
    /tensor "x\.I64" has the number -9223372036854775808 at index \[0, 0\]/,
  );
  assert.match(await problemOf(opened.read('y')), /holds no tensor "y"; it holds "x\..* and 10 more/);
  await opened.close();
});

safetensors('what we write of it is the same to the byte', async () => {
  // Both sort by element size; the library then by name, we by the order given.
  const tensors = await readSafetensors(goldenPath('all.safetensors'));
  const names = [...(await readSafetensorsHeader(goldenPath('all.safetensors'))).tensors]
    .sort(([, a], [, b]) => a.offsets[0] - b.offsets[0])
    .map(([name]) => name);
  await writeSafetensors(
    file('again.safetensors'),
    names.map((name) => [name, tensors.get(name)!]),
    { format: 'pt' },
  );
  assert.is(readFileSync(file('again.safetensors'), 'latin1'), readFileSync(goldenPath('all.safetensors'), 'latin1'));
});

safetensors('lying headers are named', async () => {
  const build = (json: string, dataBytes: number): Uint8Array => {
    const text = Buffer.from(json);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(text.length));
    return Buffer.concat([length, text, Buffer.alloc(dataBytes)]);
  };
  const tensor = (shape: unknown, begin: unknown, end: unknown, dtype = 'F32'): string =>
    `{"dtype":"${dtype}","shape":${shape},"data_offsets":[${begin},${end}]}`;
  const cases: [Uint8Array, RegExp][] = [
    [build(`{"a":${tensor('[1]', 0, 4)},"a":${tensor('[1]', 0, 4)}}`, 4), /the key "a" occurs twice/],
    [build(`{"a":${tensor('[1]', 0, 4)},"\\u0061":${tensor('[1]', 0, 4)}}`, 4), /the key "a" occurs twice/],
    [build(`{"a":{"dtype":"F32","dtype":"I32","shape":[1],"data_offsets":[0,4]}}`, 4), /the key "dtype" occurs twice/],
    [build(`{"a":${tensor('[1]', -4, 0)}}`, 4), /data_offsets \[-4,0\]/],
    [build(`{"a":${tensor('[1]', 0, '4.5')}}`, 4), /data_offsets \[0,4.5\]/],
    [build(`{"a":${tensor('[1]', 0, '"4"')}}`, 4), /data_offsets \[0,"4"\]/],
    [build(`{"a":${tensor('[1]', 0, '1e400')}}`, 4), /data_offsets \[0,Infinity\]/],
    [build(`{"a":${tensor('[9007199254740991,9007199254740991]', 0, 4)}}`, 4), /too many to count/],
    [build(`{"a":${tensor('[4294967296,4294967296,4294967296,4294967296]', 0, 0)}}`, 0), /too many to count/],
    [build(`{"a":${'['.repeat(50_000)}${']'.repeat(50_000)}}`, 0), /its header is more than 3 levels deep at byte \d+/],
    [build(`{"a":${tensor('{}', 0, 4)}}`, 4), /has shape an object/],
    [build('"text"', 0), /header is "text"/],
    [build('{"__metadata__":{"a":"b"},"__metadata__":{}}', 0), /key "__metadata__" occurs twice/],
  ];
  for (const [bytes, reason] of cases) assert.match(await problemOf(readSafetensors(bytes)), reason);
  assert.is(
    (await readSafetensors(build(`{"a":${tensor('[0,5]', 0, 0)},"__proto__":${tensor('[]', 0, 4)}}`, 4))).size,
    2,
  );
  // Keys within strings are no keys.
  assert.is(
    (
      await readSafetensors(
        build(`{"a\\"\\\\":${tensor('[0]', 0, 0)},"__metadata__":{"x":"{\\"y\\":1,\\"y\\":2}"}}`, 0),
      )
    ).size,
    1,
  );
});

safetensors('whole numbers of 32 bits are written as 64 when asked', async () => {
  await writeSafetensors(file('made.safetensors'), [
    ['i', { dtype: 'I64', shape: [2], data: Int32Array.of(-7, 7) }],
    ['f', { dtype: 'F32', shape: [1], data: Float64Array.of(0.1) }],
    ['10', { dtype: 'U64', shape: [1], data: Uint32Array.of(4294967295) }],
    ['2', { dtype: 'F64', shape: [1], data: Float32Array.of(0.5) }],
  ]);
  const found = await readSafetensors(file('made.safetensors'));
  assert.equal(found.get('i')!.data, BigInt64Array.of(-7n, 7n));
  assert.equal(found.get('f')!.data, Float32Array.of(0.1));
  assert.equal(found.get('10')!.data, BigUint64Array.of(4294967295n));
  assert.equal(found.get('2')!.data, Float64Array.of(0.5));
});

safetensors('reads the rows that are asked for and nothing else', async () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 3 });
  await fc.assert(
    fc.asyncProperty(shapes, fc.nat(), fc.nat(), async (shape, a, b) => {
      const count = shape.reduce((product, size) => product * size, 1);
      const data = Int32Array.from({ length: count }, (_, i) => i);
      await writeSafetensors(file('rows.safetensors'), [
        ['pad', { dtype: 'F32', shape: [1], data: Float32Array.of(9) }],
        ['x', { dtype: 'I32', shape, data }],
      ]);
      const [begin, end] = [a % (shape[0] + 1), b % (shape[0] + 1)].sort((x, y) => x - y);
      const opened = await openSafetensors(file('rows.safetensors'));
      const width = count / shape[0];
      assert.equal((await opened.read('x', { rows: [begin, end] })).data, data.subarray(begin * width, end * width));
      await opened.close();
    }),
    { numRuns: 60 },
  );
});

safetensors('a file that shrinks while it is open is an error', async () => {
  await writeSafetensors(file('shrinks.safetensors'), [['x', { dtype: 'F32', shape: [4], data: new Float32Array(4) }]]);
  const opened = await openSafetensors(file('shrinks.safetensors'));
  writeFileSync(file('shrinks.safetensors'), '');
  assert.match(await problemOf(opened.read('x')), /ended at byte \d+ while it was read/);
  await opened.close();
});

for (const tests of [npy, safetensors]) tests.run();
