/** npz files made by NumPy, ours, and archives that lie. */
import { closeSync, ftruncateSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openFile } from '../src/bytes.ts';
import type { Fail } from '../src/error.ts';
import { type NpyArray, openNpz, readNpy, readNpz, writeNpz } from '../src/index.ts';
import { encodeNpyHeader } from '../src/npyHeader.ts';
import { crc32, portableCrc32 } from '../src/zip/crc32.ts';
import { readDirectory } from '../src/zip/directory.ts';
import { writeZip, type ZipSource } from '../src/zip/write.ts';
import { assertListed, expected, goldenPath, problemOf, temporaryFile } from './support.ts';
import { makeZip } from './zips.ts';

const file = temporaryFile();
const npz = suite('npz');

npz('files of NumPy: stored, deflated, zip64, sizes behind the data', async () => {
  for (const name of ['stored.npz', 'compressed.npz', 'zip64.npz', 'piped.npz', 'mixed.npz']) {
    const opened = await openNpz(goldenPath(name));
    assert.equal([...opened.tensors.keys()], Object.keys(expected[name]), name);
    for (const [key, { dtype, shape }] of opened.tensors) {
      assert.equal({ dtype, shape }, { dtype: expected[name][key].dtype, shape: expected[name][key].shape });
      assertListed(await opened.read(key), expected[name][key], `${name} ${key}`);
    }
    await opened.close();
  }
});

npz('rows and conversions, out of order', async () => {
  for (const name of ['stored.npz', 'compressed.npz']) {
    const opened = await openNpz(readFileSync(goldenPath(name)));
    assert.equal((await opened.read('noise', { rows: [300, 400] })).data.length, 100);
    const { data, shape } = await opened.read('a', { rows: [1, 3], as: 'i32' });
    assert.equal(
      [[...data], shape],
      [
        [4, 5, 6, 7, 8, 9, 10, 11],
        [2, 4],
      ],
    );
    assert.equal((await opened.read('fortran', { rows: [1, 2] })).data, Float32Array.of(3, 4, 5));
    assert.match(
      await problemOf(opened.read('deep/name é', { as: 'i32' })),
      /array "deep\/name é" has the number 1099511627776 at index \[0\]/,
    );
    assert.match(await problemOf(opened.read('nothing')), /holds no tensor "nothing"; it holds "a"/);
  }
});

npz('arrays that are not read do not hide their neighbours', async () => {
  const opened = await openNpz(goldenPath('mixed.npz'));
  assert.equal([...opened.unreadable.keys()], ['words', 'objects']);
  assert.match(await problemOf(opened.read('objects')), /array "objects" cannot be read: .*Python objects/);
  await opened.close();
  assert.match(await problemOf(readNpz(goldenPath('mixed.npz'))), /array "words".*strings/);
});

npz('what is written is read', async () => {
  const arrays = fc.uniqueArray(
    fc.tuple(
      fc.string({ unit: 'grapheme' }),
      fc.array(fc.float(), { maxLength: 40 }),
      fc.constantFrom('<f4', '<f2', '<f8'),
    ),
    { selector: ([name]) => name, maxLength: 6 },
  );
  await fc.assert(
    fc.asyncProperty(arrays, fc.boolean(), async (list, compress) => {
      const sources = list.map(
        ([name, values, dtype]) =>
          [
            name,
            async () => ({ data: Float32Array.from(values), shape: [1, values.length], dtype: dtype as '<f4' }),
          ] as const,
      );
      await writeNpz(file('round.npz'), sources, { compress });
      const found = await readNpz(file('round.npz'));
      assert.equal(
        [...found.keys()],
        list.map(([name]) => name),
      );
      for (const [name, values, dtype] of list) {
        const array = found.get(name) as NpyArray;
        assert.is(array.dtype, dtype);
        assert.equal(array.shape, [1, values.length]);
        if (dtype !== '<f2') assert.equal([...array.data].map(Number), values.map(Math.fround));
      }
    }),
    { numRuns: 60 },
  );
});

npz('a file that NumPy has read, to the byte', async () => {
  // numpy.load and zipfile.testzip found ours.npz and ours-compressed.npz good when they were added.
  const { data, shape } = await readNpy(goldenPath('f4.npy'));
  const arrays = [
    ['x', { data: data as Float32Array, shape }],
    ['half é', { data: data as Float32Array, shape, dtype: '<f2' as const }],
    ['ids', { data: Int32Array.of(3, -4), shape: [2], dtype: '<i8' as const }],
    ['empty', { data: new Uint8Array(), shape: [0, 2] }],
    ['zeros', { data: new Float64Array(1000), shape: [10, 100] }],
  ] as const;
  await writeNpz(file('ours.npz'), arrays);
  assert.is(readFileSync(file('ours.npz'), 'hex'), readFileSync(goldenPath('ours.npz'), 'hex'));
  await writeNpz(file('ours.npz'), arrays, { compress: true });
  assert.ok(statSync(file('ours.npz')).size < statSync(goldenPath('ours.npz')).size / 4);
  for (const name of [file('ours.npz'), goldenPath('ours-compressed.npz')]) {
    const found = await readNpz(name);
    assert.equal(
      [...found.keys()],
      arrays.map(([key]) => key),
    );
    assert.equal(found.get('ids'), { dtype: '<i8', shape: [2], data: BigInt64Array.of(3n, -4n) });
    assertListed(found.get('x')!, expected['f4.npy'], name);
  }
});

npz('what cannot be written is refused', async () => {
  const array = { data: Float32Array.of(1), shape: [1] };
  assert.match(await problemOf(writeNpz(file('x.npz'), [['a', array], ['a', array]])), /array "a" occurs twice/); // biome-ignore format: short
  assert.match(
    await problemOf(writeNpz(file('x.npz'), [['a', { ...array, shape: [2] }]])),
    /array "a": 1 elements do not fill/,
  );
  assert.match(await problemOf(writeNpz(file('x.npz'), [['a'.repeat(70000), array]])), /too long for zip/);
});

npz('an entry beyond 4 GiB, in a sparse file', async () => {
  const first = encodeNpyHeader('<f4', [1_100_000_000]);
  const second = Buffer.concat([encodeNpyHeader('<i4', [3]), new Uint8Array(Int32Array.of(1, -2, 3).buffer)]);
  const path = file('sparse.npz');
  const { parts, directory } = makeZip([
    { name: 'first.npy', data: first, size: first.length + 4_400_000_000 },
    { name: 'second.npy', data: second, size: second.length },
  ]);
  const descriptor = openSync(path, 'w');
  for (const { at, bytes } of [...parts, directory]) writeSync(descriptor, bytes, 0, bytes.length, at);
  closeSync(descriptor);
  assert.ok(parts.at(-1)!.at > 2 ** 32);
  if (statSync(path).blocks * 512 > 2 ** 28) console.log('  (the file system has no sparse files)');
  const opened = await openNpz(path);
  assert.equal(opened.tensors.get('first')!.shape, [1_100_000_000]);
  assert.equal((await opened.read('second')).data, Int32Array.of(1, -2, 3));
  await opened.close();
  ftruncateSync(openSync(path, 'r+'), 2 ** 32);
  assert.match(await problemOf(openNpz(path)), /has no directory at its end/);
});

npz('more entries and more bytes than 16 and 32 bits count', async () => {
  const data = encodeNpyHeader('|u1', [0]);
  async function* many(): AsyncGenerator<ZipSource> {
    for (let i = 0; i < 65_600; i++) yield { name: `${i}.npy`, bytes: data.length, chunks: [data] };
  }
  const chunks: Uint8Array[] = [];
  for await (const chunk of writeZip(many(), false)) chunks.push(chunk);
  const entries = await readDirectory(await openFile(Buffer.concat(chunks), 'archive'), assert.unreachable as Fail);
  assert.is(entries.size, 65_600);
  assert.ok(entries.has('65599.npy'));

  // Zeros of more than 4 GiB, of which only the pieces that are no data are kept, go into a sparse file.
  const zeros = new Uint8Array(2 ** 20);
  const header = encodeNpyHeader('|u1', [4097 * 2 ** 20]);
  async function* large(): AsyncGenerator<ZipSource> {
    yield {
      name: 'large.npy',
      bytes: header.length + 4097 * 2 ** 20,
      chunks: [header, ...new Array(4097).fill(zeros)],
    };
    yield { name: 'last.npy', bytes: 2 + data.length, chunks: [encodeNpyHeader('|u1', [2]), Uint8Array.of(7, 8)] };
  }
  const path = file('large.npz');
  const descriptor = openSync(path, 'w');
  let at = 0;
  for await (const chunk of writeZip(large(), false)) {
    if (chunk !== zeros) writeSync(descriptor, chunk, 0, chunk.length, at);
    at += chunk.length;
  }
  closeSync(descriptor);
  const opened = await openNpz(path);
  assert.equal(opened.tensors.get('large')!.shape, [4097 * 2 ** 20]);
  assert.equal([...(await opened.read('last')).data], [7, 8]);
  await opened.close();
});

npz('archives that lie are named', async () => {
  const array = Buffer.concat([encodeNpyHeader('<f4', [4]), new Uint8Array(16)]);
  const other = Buffer.concat([encodeNpyHeader('|u1', [64]), new Uint8Array(64)]);
  const make = (change: Partial<Parameters<typeof makeZip>[0][number]>, options = {}): Uint8Array =>
    makeZip(
      [
        { name: 'a.npy', data: array, ...change },
        { name: 'b.npy', data: other },
      ],
      options,
    ).whole();
  const deflated = deflateRawSync(array);
  const cases: [Uint8Array, RegExp][] = [
    [make({ crc: 1 }), /entry "a\.npy" has the checksum [0-9a-f]{8}, expected 00000001/],
    [make({ crc: 1, method: 8, data: deflated, size: array.length }), /has the checksum/],
    [make({ method: 8, data: deflated, size: array.length - 1 }), /inflates to more than the 143 bytes/],
    [
      make({ method: 8, data: deflated.subarray(0, -1), size: array.length }),
      /cannot be inflated \(unexpected end of file\)/,
    ],
    [
      make({ method: 8, data: Buffer.concat([deflated, Buffer.of(0)]), size: array.length }),
      /has 1 bytes behind the end/,
    ],
    [
      make({ method: 8, data: deflateRawSync(Buffer.concat([array, array])), size: array.length }),
      /inflates to more than the 144 bytes/,
    ],
    [make({ method: 8, data: deflated, size: 2 ** 31 }), /declares 2147483648 bytes, more than \d+ can inflate to/],
    [make({ size: 2 ** 31 }), /is stored in 144 bytes, but declares 2147483648/],
    [make({ method: 12 }), /compressed by method 12, expected 0/],
    [make({ flags: 1 }), /is encrypted/],
    [make({ name: 'b.npy' }), /entry "b\.npy" occurs twice/],
    [make({ localName: 'c.npy' }), /entry "a\.npy" at byte 0 is not what the directory says/],
    [
      make({}, { sameOffsets: true }),
      /entry "a\.npy" of 144 bytes at 0 reaches beyond 0, where what follows it begins/,
    ],
    [make({}, { count: 3 }), /entry 2 of its directory of 3 is broken/],
    [make({}, { count: 60000 }), /cannot hold 60000 entries/],
    [make({}, { count: 1 }), /bytes behind its 1 entries/],
    [make({}, { count: 0xffff }), /needs a zip64 record, but has no sound one/],
    [make({}).subarray(1), /does not end at/],
    [make({}).subarray(0, -1), /has no directory at its end/],
    [Buffer.from('not a zip'), /has no directory/],
    [make({ data: Buffer.from('no array'), size: 8 }), /array "a": it does not begin with the bytes/],
    [make({ data: Buffer.concat([array, array]), size: 288 }), /takes 16 bytes, but 160 follow/],
  ];
  for (const [bytes, reason] of cases) assert.match(await problemOf(readNpz(bytes)), reason);
  assert.is((await readNpz(make({}))).size, 2);
  assert.is((await readNpz(make({ method: 8, data: deflated, size: array.length, crc: crc32(array) }))).size, 2);
});

npz('a compressed array is inflated up to a limit, which may be raised', async () => {
  await writeNpz(file('zeros.npz'), [['z', { data: new Float32Array(100_000), shape: [100_000] }]], { compress: true });
  const opened = await openNpz(file('zeros.npz'), { maxInflatedBytes: 100_000 });
  assert.match(
    await problemOf(opened.read('z')),
    /inflates to 400128 bytes, at most 100000 are allowed; raise maxInflatedBytes/,
  );
  await opened.close();
  assert.is((await readNpz(file('zeros.npz'), { maxInflatedBytes: 400_128 })).get('z')!.data.length, 100_000);
});

npz('the checksum is that of zip', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(100), (bytes, at) => {
      for (const each of [crc32, portableCrc32]) {
        assert.is(each(bytes.subarray(at), each(bytes.subarray(0, at))), crcByBits(bytes));
      }
    }),
  );
  assert.is(crc32(Buffer.from('123456789')), 0xcbf43926);
});

/** The definition: division of polynomials over two elements. */
function crcByBits(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}

npz.run();
