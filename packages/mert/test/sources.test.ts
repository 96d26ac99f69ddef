/** Music in folders, manifests, tar archives and parquet files, and threads that read it. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeWav } from '@dawnchorus/dsp';
import { ByteWriter, parquetWrite } from 'hyparquet-writer';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { dataFolders, listAudio, nameWithin } from '../src/data/collection.ts';
import { openDataset } from '../src/data/dataset.ts';
import { createFeed } from '../src/data/feed.ts';
import { writeManifest } from '../src/data/manifest.ts';
import { tarIndex } from '../src/data/tar.ts';
import { labelsOfCrops } from '../src/labels/crops.ts';
import { openLabels } from '../src/labels/read.ts';
import { labelFolder } from '../src/labels/write.ts';
import { fakeTeacher } from './labels-support.ts';
import { messageOf, temporaryFolder, tone, writeFile } from './support.ts';

const folder = temporaryFolder();
const music = fileURLToPath(new URL('../../../data/music/train', import.meta.url));
const CROP = 6400;

/** Three files, named so that they sort as they are made. */
function writeMusic(root: string): string[] {
  return ['a', 'sub/b', 'c'].map((name, i) => {
    writeFile(join(root, `${name}.wav`), encodeWav(tone(24000 + 3000 * i, i), 24000));
    return `${name}.wav`;
  });
}

const plain = join(folder, 'plain');
const names = writeMusic(plain);

/** A tar archive by hand: ustar, with pax and GNU long names, a folder and a file that is no audio. */
function tarOf(files: [name: string, bytes: Uint8Array, long?: 'pax' | 'gnu'][]): Uint8Array {
  const blocks: Buffer[] = [];
  const header = (name: string, size: number, kind: string) => {
    const block = Buffer.alloc(512);
    block.write(name.slice(0, 100), 0);
    block.write('0000644\0', 100);
    block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
    block.write('        ', 148);
    block.write(kind, 156);
    block.write('ustar\x0000', 257);
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    blocks.push(block);
  };
  const content = (bytes: Uint8Array) => {
    blocks.push(Buffer.from(bytes), Buffer.alloc((512 - (bytes.length % 512)) % 512));
  };
  header('folder/', 0, '5');
  for (const [name, bytes, long] of files) {
    if (long === 'gnu') {
      header('././@LongLink', name.length + 1, 'L');
      content(Buffer.from(`${name}\0`));
    } else if (long === 'pax') {
      const body = ` path=${name}\n`;
      const record = `${body.length + 2}${body}`;
      assert.is(record.length, Number.parseInt(record, 10), 'a length of two digits');
      header('PaxHeader', record.length, 'x');
      content(Buffer.from(record));
    }
    header(long ? 'short' : name, bytes.length, '0');
    content(bytes);
  }
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

const bytesOf = (name: string) => new Uint8Array(readFileSync(join(plain, name)));
const archives = join(folder, 'archives');
mkdirSync(archives);
writeFileSync(
  join(archives, 'one.tar'),
  tarOf([
    ['./a.wav', bytesOf('a.wav')],
    ['a.json', Buffer.from('{}')],
    ['a folder with a longish name, pax form/b.wav', bytesOf('sub/b.wav'), 'pax'],
    [`${'long/'.repeat(30)}c.wav`, bytesOf('c.wav'), 'gnu'],
  ]),
);

async function writeParquet(path: string, struct: boolean, rows = names): Promise<void> {
  const bytes = rows.map(bytesOf);
  const writer = new ByteWriter();
  await parquetWrite({
    writer,
    columnData: [
      { name: 'title', data: rows },
      { name: 'audio', data: struct ? bytes.map((own, i) => ({ bytes: own, path: rows[i] })) : bytes },
    ],
    schema: struct
      ? [
          { name: 'root', num_children: 2 },
          { name: 'title', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
          { name: 'audio', num_children: 2, repetition_type: 'OPTIONAL' },
          { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
          { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
        ]
      : [
          { name: 'root', num_children: 2 },
          { name: 'title', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' },
          { name: 'audio', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' },
        ],
    rowGroupSize: 2,
  });
  writeFileSync(path, writer.getBytes());
}
await writeParquet(join(archives, 'struct.parquet'), true);
await writeParquet(join(archives, 'plain.parquet'), false);

const manifests = join(folder, 'manifests');
mkdirSync(manifests);
const lengths = [24000, 27000, 30000];
writeFileSync(join(manifests, 'all.tsv'), `${plain}\n${names.map((name, i) => `${name}\t${lengths[i]}`).join('\n')}\n`);
writeFileSync(
  join(manifests, 'all.jsonl'),
  names.map((name, i) => JSON.stringify({ path: join(plain, name), sampleRate: 24000, frames: lengths[i] })).join('\n'),
);

const options = { sampleRate: 24000, cropSamples: CROP, seed: 5 };
async function crops(data: string, workers = 0, count = 12): Promise<Float32Array[]> {
  const dataset = await openDataset({ ...options, folder: data, workers });
  const read = await Promise.all(Array.from({ length: count }, (_, i) => dataset.readCrop(i)));
  assert.equal(dataset.skipped, []);
  await dataset.close();
  return read;
}

const sources = suite('sources of music');

sources('a manifest, an archive and a data set give the crops of the same files in the same order', async () => {
  // By name, the folder has another order.
  const expected = await crops(join(manifests, 'all.tsv'));
  for (const data of ['manifests/all.jsonl', 'archives/one.tar', 'archives/struct.parquet', 'archives/plain.parquet']) {
    assert.equal(await crops(join(folder, data)), expected, data);
  }
});

sources('what they list', async () => {
  const keys = async (data: string) => (await listAudio(data)).map(({ key }) => key);
  assert.equal(await keys(plain), ['a.wav', 'c.wav', 'sub/b.wav']);
  assert.equal(await keys(join(manifests, 'all.tsv')), names);
  const inTar = ['a.wav', 'a folder with a longish name, pax form/b.wav', `${'long/'.repeat(30)}c.wav`];
  const rows = (name: string) => [0, 1, 2].map((row) => `${name}/${row}`);
  assert.equal(await keys(archives), [
    ...inTar.map((name) => `one.tar/${name}`),
    ...rows('plain.parquet'),
    ...rows('struct.parquet'),
  ]);
  const train = join(folder, 'fairseq');
  mkdirSync(train);
  for (const name of ['train', 'valid']) cpSync(join(manifests, 'all.tsv'), join(train, `${name}.tsv`));
  assert.equal(await keys(train), [...names, ...names]);
});

sources('GNU tar’s own archives', async () => {
  const path = join(folder, 'gnu.tar');
  execFileSync('tar', ['-cf', path, '-C', plain, '.']);
  const entries = await tarIndex(path);
  assert.equal(entries.map(({ name }) => name).sort(), ['a.wav', 'c.wav', 'sub/b.wav']);
  for (const { name, offset, bytes } of entries) {
    assert.equal(readFileSync(path).subarray(offset, offset + bytes), readFileSync(join(plain, name)));
  }
  execFileSync('tar', ['-czf', join(folder, 'packed.tar'), '-C', plain, '.']);
  assert.match(
    await messageOf(() => tarIndex(join(folder, 'packed.tar'))),
    /is compressed.*unpack it to a plain \.tar/,
  );
  writeFileSync(join(folder, 'cut.tar'), readFileSync(path).subarray(0, 3000));
  const cut = (bytes: number) => {
    writeFileSync(join(folder, 'cut.tar'), readFileSync(path).subarray(0, bytes));
    return messageOf(() => tarIndex(join(folder, 'cut.tar')));
  };
  assert.match(await cut(3000), /ends inside a file/);
  const last = entries.at(-1)!;
  const end = last.offset + Math.ceil(last.bytes / 512) * 512;
  assert.match(
    await cut(entries[1].offset - 100),
    /ends inside a block, after \d+ bytes; fetch or write the archive again/,
  );
  assert.match(await cut(end), /ends without the blocks of zeros that close it/);
  assert.match(await cut(0), /ends without the blocks of zeros that close it, after 0 bytes/);
  writeFileSync(join(folder, 'cut.tar'), readFileSync(path).subarray(0, end + 512));
  assert.equal(await tarIndex(join(folder, 'cut.tar')), entries, 'one of the two is enough');
});

sources('manifests that make no sense are named by file and line', async () => {
  const wrong = async (name: string, text: string) => messageOf(() => listAudio(writeFile(join(folder, name), text)));
  assert.match(await wrong('x.tsv', 'a.wav\t3\n'), /x\.tsv:1: expected the folder/);
  assert.match(await wrong('y.tsv', `${plain}\na.wav\n`), /y\.tsv:2: expected a path, a tab and a number of samples/);
  assert.match(await wrong('x.jsonl', '{"path":"a.wav"}\n{"p":1}'), /x\.jsonl:2: expected an object with a "path"/);
  assert.match(await wrong('y.jsonl', '{"path":"a.wav","frames":"many"}'), /y\.jsonl:1: "frames" is "many"/);
  assert.match(await wrong('z.jsonl', '{'), /z\.jsonl:1: is not JSON/);
  for (const place of [
    { offset: -512, bytes: 100 },
    { offset: 512, bytes: -1 },
  ]) {
    const line = JSON.stringify({ path: 'x.tar', name: 'a.wav', ...place });
    assert.match(await wrong('v.jsonl', line), /v\.jsonl:1: an "offset" into an archive is a whole number from 0/);
  }
  assert.match(await wrong('x.parquet', 'words'), /x\.parquet: is no parquet file/);
  assert.match(await wrong('x.docx', 'words'), /x\.docx: is no folder, manifest/);
});

sources('files that are not what the manifest says, or are gone, are left out and listed', async () => {
  const path = join(manifests, 'off.tsv');
  writeFileSync(path, `${plain}\na.wav\t90000\nsub/b.wav\t27001\ngone.wav\t24000\n`);
  const dataset = await openDataset({ ...options, folder: path });
  assert.is(dataset.files.length, 1);
  const reasons = dataset.skipped.map(({ reason }) => reason).join('\n');
  assert.match(
    reasons,
    /the manifest \S*off\.tsv says 90000 samples, the file has 24000 samples at 24000 Hz; make the manifest again/,
  );
  assert.match(reasons, /cannot be read/);
  // Taken at its word by a manifest that tells all, and found out when it is read.
  const told = join(manifests, 'told.jsonl');
  const lines = ['a.wav', 'gone.wav'].map((name) => ({ path: join(plain, name), sampleRate: 24000, frames: 24000 }));
  writeFileSync(told, lines.map((line) => JSON.stringify(line)).join('\n'));
  for (const workers of [0, 2]) {
    const trusting = await openDataset({ ...options, folder: told, workers });
    assert.is(trusting.files.length, 2);
    for (let i = 0; i < 4; i++) assert.is((await trusting.readCrop(i)).length, CROP);
    assert.equal(
      trusting.skipped.map(({ path }) => path),
      [join(plain, 'gone.wav')],
    );
    await trusting.close();
  }
});

sources('what a manifest says wrong of a file is found when it is read', async () => {
  const path = join(manifests, 'wrong.jsonl');
  const lines = [
    { path: join(plain, 'a.wav'), sampleRate: 24000, frames: 24000 },
    { path: join(plain, 'c.wav'), sampleRate: 8000, frames: 30000 },
    { path: join(plain, 'sub/b.wav'), sampleRate: 24000, frames: 90000 },
  ];
  writeFileSync(path, lines.map((line) => JSON.stringify(line)).join('\n'));
  for (const workers of [0, 2]) {
    const dataset = await openDataset({ ...options, folder: path, workers });
    assert.is(dataset.files.length, 3);
    for (let i = 0; i < 9; i++) await dataset.readPlaced(i);
    const reasons = dataset.skipped.map(({ reason }) => reason).sort();
    assert.match(
      reasons[0],
      /^the manifest \S*wrong\.jsonl says 8000 Hz, the file has 30000 samples at 24000 Hz; make the/,
    );
    assert.match(
      reasons[1],
      /^the manifest \S*wrong\.jsonl says 90000 samples, the file has 27000 samples at 24000 Hz/,
    );
    assert.is(reasons.length, 2);
    await dataset.close();
  }
});

sources('of entries of one name the last counts, as tar unpacks them', async () => {
  const path = join(folder, 'doubled.tar');
  writeFileSync(path, tarOf(names.map((name, i) => [i < 2 ? 'same.wav' : 'other.wav', bytesOf(name)])));
  const items = await listAudio(path);
  assert.equal(
    items.map(({ key }) => key),
    ['doubled.tar/same.wav', 'doubled.tar/other.wav'],
  );
  const [{ place }] = items;
  assert.ok(place.kind === 'tar' && place.bytes === bytesOf(names[1]).length);
  // So a manifest that was made of all its entries.
  const list = join(folder, 'doubled.jsonl');
  const lines = (await tarIndex(path)).map(({ name, offset, bytes }) => ({ path: 'doubled.tar', name, offset, bytes }));
  writeFileSync(list, lines.map((line) => JSON.stringify(line)).join('\n'));
  assert.equal(
    (await listAudio(list)).map((item) => item.place),
    items.map((item) => item.place),
  );
});

sources(
  'files of one path in different places are not taken for each other, whatever the number of threads',
  async () => {
    // Columns of a row have one path.
    const path = join(folder, 'columns.parquet');
    const writer = new ByteWriter();
    await parquetWrite({ writer, columnData: ['audio', 'x'].map((name, i) => ({ name, data: [bytesOf(names[i])] })) });
    writeFileSync(path, writer.getBytes());
    const list = join(folder, 'columns.jsonl');
    const lines = ['audio', 'x'].map((column) => JSON.stringify({ path: 'columns.parquet', row: 0, column }));
    writeFileSync(list, lines.join('\n'));
    const found = await crops(list, 0, 8);
    assert.equal(await crops(list, 2, 8), found);
    const separate = join(folder, 'separate.tsv');
    writeFileSync(
      separate,
      `${plain}\n${names
        .slice(0, 2)
        .map((name, i) => `${name}\t${lengths[i]}\n`)
        .join('')}`,
    );
    assert.equal(await crops(separate, 0, 8), found);
  },
);

sources('what in a folder cannot be listed is left out and named', async () => {
  const data = join(folder, 'odd');
  cpSync(plain, data, { recursive: true });
  writeFileSync(join(data, 'cut.tar'), readFileSync(join(archives, 'one.tar')).subarray(0, 3000));
  writeFileSync(join(data, 'words.parquet'), 'words');
  symlinkSync('nowhere', join(data, 'gone.wav'));
  symlinkSync('nowhere', join(data, 'notes.txt'));
  writeFileSync(Buffer.concat([Buffer.from(`${data}/`), Buffer.of(0xe9), Buffer.from('.wav')]), bytesOf('a.wav'));
  const dataset = await openDataset({ ...options, folder: data });
  assert.is(dataset.files.length, 3);
  const told = Object.fromEntries(dataset.skipped.map(({ path, reason }) => [nameWithin(data, path), reason]));
  assert.equal(Object.keys(told).sort(), ['cut.tar', 'gone.wav', 'words.parquet', '\ufffd.wav']);
  assert.match(told['cut.tar'], /^ends inside a file/);
  assert.match(told['words.parquet'], /^is no parquet file/);
  assert.match(told['gone.wav'], /is a link to nothing/);
  assert.match(told['\ufffd.wav'], /has a name that is not UTF-8; rename it/);
  const made = await writeManifest({ data, out: join(folder, 'odd.jsonl') });
  assert.equal([made.files, made.skipped.length], [3, 4]);
  const labelled = await labelFolder({ data, out: join(folder, 'odd-labels'), teacher: fakeTeacher() });
  assert.equal([labelled.labelled, labelled.skipped.length], [3, 4]);
  // One that is given by its own name is an error.
  assert.match(await messageOf(() => openDataset({ ...options, folder: join(data, 'cut.tar') })), /ends inside a file/);
});

sources('a reason does not name its file again', async () => {
  const data = join(folder, 'reasons');
  mkdirSync(data);
  const writer = new ByteWriter();
  await parquetWrite({ writer, columnData: [{ name: 'audio', data: [bytesOf('a.wav'), null, Uint8Array.of(1)] }] });
  writeFileSync(join(data, 'p.parquet'), writer.getBytes());
  const dataset = await openDataset({ ...options, folder: data });
  assert.equal(
    dataset.skipped.map(({ path }) => nameWithin(data, path)),
    ['p.parquet/1', 'p.parquet/2'],
  );
  assert.is(dataset.skipped[0].reason, 'row 1 holds no audio, its bytes are null');
  for (const { reason } of dataset.skipped) assert.not.match(reason, data);
  assert.is(nameWithin(join(data, 'p.parquet'), join(data, 'p.parquet', '1')), 'p.parquet/1');
  assert.is(nameWithin(data, '/elsewhere/a.wav'), '/elsewhere/a.wav');
});

sources('the manifest valid belongs to one that is called train, and to no other', async () => {
  const data = join(folder, 'names');
  mkdirSync(data);
  for (const name of ['train', 'pretrain', 'valid']) cpSync(join(manifests, 'all.tsv'), join(data, `${name}.tsv`));
  assert.is(dataFolders(join(data, 'train.tsv')).valid, join(data, 'valid.tsv'));
  assert.is(dataFolders(join(data, 'pretrain.tsv')).valid, undefined);
});

sources('a name that is no part of a line needs a .jsonl', async () => {
  const data = join(folder, 'lines');
  writeFile(join(data, 'a\tb.wav'), bytesOf('a.wav'));
  const tsv = join(folder, 'lines.tsv');
  const make = () => writeManifest({ data, out: tsv, sampleRate: 24000 });
  assert.match(
    await messageOf(make),
    /lines\.tsv: a \.tsv cannot hold ".*a\\tb\.wav", a name with a tab.*write a \.jsonl/,
  );
  writeFile(join(data, 'a\nb.wav'), bytesOf('a.wav'));
  rmSync(join(data, 'a\tb.wav'));
  assert.match(await messageOf(make), /write a \.jsonl/);
  const out = join(folder, 'lines.jsonl');
  assert.is((await writeManifest({ data, out })).files, 1);
  assert.equal(
    (await listAudio(out)).map(({ key }) => key),
    ['lines/a\nb.wav'],
  );
});

sources('the number of threads changes nothing', async () => {
  const data = join(folder, 'mixed');
  mkdirSync(data);
  cpSync(plain, join(data, 'plain'), { recursive: true });
  cpSync(archives, join(data, 'archives'), { recursive: true });
  for (const file of ['audio.flac', 'audio.ogg']) {
    const found = (await listAudio(music)).find(({ path }) => path.endsWith(file.slice(5)));
    if (found) cpSync(found.path, join(data, file));
  }
  writeFile(join(data, 'broken.wav'), readFileSync(join(plain, 'a.wav')).subarray(0, 9000));
  const read = async (workers: number) => {
    const dataset = await openDataset({ ...options, folder: data, workers });
    const all = await Promise.all(Array.from({ length: 30 }, (_, i) => dataset.readPlaced(i)));
    assert.is(dataset.skipped.length, 1);
    assert.match(dataset.skipped[0].reason, /promises/);
    await dataset.close();
    return all;
  };
  const [alone, one, three] = [await read(0), await read(1), await read(3)];
  assert.ok(alone.some(({ path }) => /\.(ogg|flac)$/.test(path)));
  assert.equal(one, alone);
  assert.equal(three, alone);
});

sources('mert manifest’s lists stand for what they were made of', async () => {
  for (const [data, name] of [
    [plain, 'plain.jsonl'],
    [archives, 'archives.jsonl'],
    [plain, 'plain.tsv'],
  ] as const) {
    const out = join(folder, 'made', name);
    mkdirSync(join(folder, 'made'), { recursive: true });
    const result = await writeManifest({ data, out, ...(name.endsWith('tsv') && { sampleRate: 24000 }) });
    assert.equal(result.skipped, []);
    assert.equal(await crops(out), await crops(data), name);
  }
  const train = join(folder, 'made', 'train.jsonl');
  const split = await writeManifest({ data: archives, out: train, validShare: 0.4, seed: 2 });
  const { train: first, valid } = dataFolders(train);
  assert.is(first, train);
  assert.is((await listAudio(valid!)).length, split.valid);
  assert.is((await listAudio(train)).length, 9 - split.valid);
  assert.equal(dataFolders(join(folder, 'made')), { train, valid });
  const wrong = (options: object) => messageOf(() => writeManifest({ data: plain, out: 'x.tsv', ...options }));
  assert.match(await wrong({}), /does not say the rate of its files; give --sample-rate/);
  assert.match(await wrong({ data: archives, sampleRate: 24000 }), /cannot say what lies in archives; write a \.jsonl/);
  assert.match(await wrong({ sampleRate: 16000 }), /none of its 3 files can be used/);
  assert.match(await wrong({ out: 'a.csv' }), /end in \.jsonl or \.tsv/);
  assert.match(await wrong({ out: 'a.jsonl', validShare: 0.5 }), /is to be called train\.jsonl/);
  assert.match(
    await wrong({ out: 'train.jsonl', validShare: 1e-9 }),
    /0 of 3 files would be held out; take another share \(--valid\) or another draw \(--seed\)/,
  );
});

sources('labels are the same wherever the music lies', async () => {
  const teacher = fakeTeacher();
  const labelled = async (data: string, name: string) => {
    const out = join(folder, 'labels', name);
    mkdirSync(join(folder, 'labels'), { recursive: true });
    const result = await labelFolder({ data, out, teacher });
    assert.is(result.labelled, 3);
    assert.is((await labelFolder({ data, out, teacher })).already, 3);
    const labels = await openLabels(out);
    assert.equal(await labels.verify({ data }), []);
    const keys = new Map((await listAudio(data)).map(({ path, key }) => [path, key]));
    const crops = labelsOfCrops(labels, keys, { sampleRate: 24000, hop: 320, frames: 19 });
    const dataset = await openDataset({ ...options, folder: data, latestStart: crops.latestStart });
    crops.check(dataset.files);
    const all = await Promise.all(Array.from({ length: 9 }, async (_, i) => crops.of(await dataset.readPlaced(i))));
    await labels.close();
    return all;
  };
  const expected = await labelled(join(manifests, 'all.tsv'), 'tsv');
  for (const name of ['archives/one.tar', 'archives/struct.parquet', 'manifests/all.jsonl']) {
    assert.equal(await labelled(join(folder, name), name.replace('/', '-')), expected, name);
  }
});

sources('a file that a manifest names twice, or an archive holds twice, is labelled once', async () => {
  const twice = join(folder, 'twice.tsv');
  writeFileSync(twice, `${plain}\n${'a.wav\t24000\n'.repeat(2)}c.wav\t30000\n`);
  for (const [data, out] of [
    [twice, 'twice-labels'],
    [join(folder, 'doubled.tar'), 'doubled-labels'],
  ] as const) {
    const to = { data, out: join(folder, out), teacher: fakeTeacher() };
    assert.is((await labelFolder(to)).labelled, 2);
    const labels = await openLabels(to.out);
    assert.equal(await labels.verify({ data }), []);
    await labels.close();
    assert.is((await labelFolder(to)).already, 2);
  }
});

sources('what is read ahead comes in order, and waiting is told', async () => {
  const asked: number[] = [];
  const feed = createFeed({
    first: 3,
    last: 8,
    ahead: 2,
    read: async (n) => {
      asked.push(n);
      await new Promise((resolve) => setTimeout(resolve, n === 4 ? 80 : 1));
      return n;
    },
  });
  assert.equal(asked, [3, 4]);
  const taken = [];
  for (let got = await feed.take(); got; got = await feed.take()) taken.push(got);
  assert.equal(
    taken.map(({ value }) => value),
    [3, 4, 5, 6, 7, 8],
  );
  assert.ok(taken[1].waited > 0.04 && taken[3].waited < 0.04);
});

sources.run();
