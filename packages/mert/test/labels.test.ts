/** Labels on disk: made once, also by processes that are killed, and never used where they do not belong. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkAudio, encodeWav, readAudio } from '@dawnchorus/dsp';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ahead, readSpans, recordingOf } from '../src/data/recording.ts';
import { openLabels } from '../src/labels/read.ts';
import { frameCountOf } from '../src/labels/teacher.ts';
import { type LabelEvent, labelFolder } from '../src/labels/write.ts';
import { hostRandom } from '../src/random.ts';
import { fakeTeacher } from './labels-support.ts';
import { messageOf, runner, temporaryFolder, tone, writeFile, writeTone } from './support.ts';

const folder = temporaryFolder();
const data = join(folder, 'music');
const teacher = fakeTeacher();
/** Small enough that the files below fill several. */
const shardBytes = 1500;

for (let i = 0; i < 6; i++) writeTone(join(data, i % 2 ? 'a' : '', `${i}.wav`), 0.3 + 0.37 * i, i);
writeFile(join(data, 'high.wav'), encodeWav([tone(40_000, 3, 44100), tone(40_000, 9, 44100)], 44100));
writeFile(join(data, 'one.wav'), encodeWav(Float32Array.of(0.5), 24000));
writeFile(join(data, 'silent.wav'), encodeWav(new Float32Array(5000), 24000));
writeFile(
  join(data, 'six.wav'),
  encodeWav(
    Array.from({ length: 6 }, (_, c) => tone(4000, c)),
    24000,
  ),
);

/** Broken files, and what is said of each. */
const broken: [string, Uint8Array, RegExp][] = [
  ['bad/cut.wav', encodeWav(tone(20_000, 1), 24000).subarray(0, 9000), /promises|holds|data/],
  ['bad/empty.wav', new Uint8Array(0), /the file has no bytes/],
  ['bad/fast.wav', fastHeader(), /its header says 4294967291 Hz/],
  ['bad/nan.wav', spoilt(), /sample 4999 is NaN/],
  ['bad/none.wav', encodeWav(new Float32Array(0), 24000), /no samples/],
  ['bad/text.wav', new TextEncoder().encode('words'), /no WAV/],
];
for (const [name, bytes] of broken) writeFile(join(data, name), bytes);

function fastHeader(): Uint8Array {
  const bytes = encodeWav(tone(100, 1), 24000);
  new DataView(bytes.buffer).setUint32(24, 4_294_967_291, true);
  return bytes;
}

function spoilt(): Uint8Array {
  const bytes = encodeWav(tone(5000, 1), 24000, { format: 'float32' });
  new DataView(bytes.buffer).setFloat32(bytes.length - 4, Number.NaN, true);
  return bytes;
}

const good = [
  '0.wav',
  '2.wav',
  '4.wav',
  'a/1.wav',
  'a/3.wav',
  'a/5.wav',
  'high.wav',
  'one.wav',
  'silent.wav',
  'six.wav',
];

/** Every file of a folder with a hash of its bytes. */
function contents(path: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(path)
      .sort()
      .map((name) => [
        name,
        createHash('sha256')
          .update(readFileSync(join(path, name)))
          .digest('hex'),
      ]),
  );
}

const whole = join(folder, 'whole');
const events: LabelEvent[] = [];
const wholeResult = await labelFolder({ data, out: whole, teacher, shardBytes, onFile: (event) => events.push(event) });

/** A copy of the labels to damage. */
let copies = 0;
function copy(): string {
  const path = join(folder, `copy-${copies++}`);
  cpSync(whole, path, { recursive: true });
  return path;
}

const spans = suite('parts of a recording');

spans('are those of the whole, with zeros outside, in one pass', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 400 }),
      fc.integer({ min: 1, max: 90 }),
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 70 }),
      async (samples, pieceSamples, step, overlap) => {
        const values = Float32Array.from({ length: samples }, (_, i) => i + 1);
        const wanted = Array.from({ length: Math.ceil(samples / step) + 2 }, (_, i) => ({
          first: (i - 1) * step - overlap,
          end: i * step + overlap,
        }));
        const whole = recordingOf(values);
        const recording = { samples, pieces: () => whole.pieces(pieceSamples) };
        let at = 0;
        for await (const part of readSpans(recording, wanted)) {
          const { first, end } = wanted[at++];
          const expected = Float32Array.from({ length: end - first }, (_, i) => values[first + i] ?? 0);
          assert.equal(part, expected);
        }
        assert.is(at, wanted.length);
      },
    ),
    { numRuns: 150 },
  );
});

spans(
  'asked for ahead, they come in order, end, and fail where they fail; who stops early frees what they are read from',
  async () => {
    const log: string[] = [];
    async function* numbers(fail: boolean) {
      try {
        for (let i = 0; i < 4; i++) {
          log.push(`make ${i}`);
          if (fail && i === 2) throw new Error('broken');
          yield i;
        }
      } finally {
        log.push('freed');
      }
    }
    for await (const value of ahead(numbers(false))) log.push(`take ${value}`);
    assert.is(log.splice(0).join(), 'make 0,make 1,take 0,make 2,take 1,make 3,take 2,freed,take 3');
    const seen: number[] = [];
    assert.is(
      await messageOf(async () => {
        for await (const value of ahead(numbers(true))) seen.push(value);
      }),
      'broken',
    );
    assert.equal(seen, [0, 1]);
    log.length = 0;
    for await (const value of ahead(numbers(false))) if (value === 1) break;
    assert.is(log.at(-1), 'freed');
  },
);

spans('the labels of a recording do not depend on how it is cut', async () => {
  const waveform = tone(50_001, 4);
  const [fine, coarse] = [fakeTeacher({ chunk: 5 }), fakeTeacher({ chunk: 1000 })];
  const labels = await fine.label(waveform);
  assert.is(labels.length, 3 * frameCountOf(fine, 50_001));
  assert.equal(labels, await coarse.label(waveform));
});

const making = suite('labels of a folder');

making('every file that can be read has its labels, and the others are named with a reason', async () => {
  assert.is(wholeResult.finished, true);
  assert.is(wholeResult.labelled, good.length);
  await using labels = await openLabels(whole, teacher);
  assert.equal([...labels.files.keys()].sort(), good);
  for (const [name, , reason] of broken) assert.match(labels.skipped.get(name) ?? 'nothing', reason, name);
  assert.is(labels.skipped.size, broken.length);
  assert.equal(
    wholeResult.skipped.map(({ path }) => path),
    broken.map(([name]) => name),
  );
  assert.is(events.length, good.length + broken.length);
  assert.equal(events[0], { number: 1, total: 16, path: '0.wav', frames: 23 });
  for (const [path, entry] of labels.files) {
    const info = await checkAudio(join(data, path));
    assert.equal([entry.sampleRate, entry.samples], [info.sampleRate, info.frames]);
    const { samples } = await readAudio(join(data, path), { sampleRate: 24000 });
    assert.equal(await labels.read(path), await teacher.label(samples), path);
  }
  assert.ok(new Set([...labels.files.values()].map(({ shard }) => shard)).size > 2, 'several shards');
  for (const name of readdirSync(whole))
    assert.ok(readFileSync(join(whole, name)).length <= shardBytes || name.endsWith('l'));
  assert.equal(await labels.verify({ data }), []);
});

making('crops are parts of the whole, wherever they lie', async () => {
  await using labels = await openLabels(whole);
  const path = 'a/5.wav';
  const all = await labels.read(path);
  const { frames } = labels.files.get(path)!;
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: frames }), fc.integer({ min: 0, max: frames }), async (a, b) => {
      const [first, end] = [Math.min(a, b), Math.max(a, b)];
      const crop = await labels.crop(path, first * 320, end - first);
      const expected = [0, 1, 2].flatMap((k) => [...all.subarray(k * frames + first, k * frames + end)]);
      assert.equal([...crop], expected);
    }),
    { numRuns: 40 },
  );
});

making('small codebooks take a byte, large ones two', async () => {
  for (const [codebooks, bytes] of [
    [[256], 1],
    [[257, 2], 2],
    [[65536], 2],
  ] as const) {
    const own = fakeTeacher({ codebooks: [...codebooks] });
    const out = join(folder, `bytes-${codebooks[0]}`);
    await labelFolder({ data, out, teacher: own });
    await using labels = await openLabels(out, own);
    const { frames } = labels.files.get('0.wav')!;
    assert.is(labels.files.get('2.wav')!.offset, frames * codebooks.length * bytes);
    const { samples } = await readAudio(join(data, '2.wav'));
    assert.equal(await labels.read('2.wav'), await own.label(samples));
  }
});

making('a second call does nothing, and one with new and repaired files adds those', async () => {
  const music = join(folder, 'growing');
  const out = join(folder, 'growing-labels');
  mkdirSync(music);
  copyFileSync(join(data, '2.wav'), join(music, 'b.wav'));
  writeFile(join(music, 'c.wav'), 'words');
  assert.is((await labelFolder({ data: music, out, teacher })).skipped.length, 1);
  const before = contents(out);
  const again = await labelFolder({ data: music, out, teacher });
  assert.equal([again.labelled, again.already, again.skipped.length], [0, 1, 1]);
  assert.equal(contents(out), before);
  copyFileSync(join(data, '0.wav'), join(music, 'a.wav'));
  copyFileSync(join(data, '4.wav'), join(music, 'c.wav'));
  const added = await labelFolder({ data: music, out, teacher });
  assert.equal([added.labelled, added.already, added.skipped.length], [2, 1, 0]);
  await using labels = await openLabels(out, teacher);
  assert.equal([...labels.files.keys()], ['b.wav', 'a.wav', 'c.wav']);
  assert.is(labels.skipped.size, 0);
  assert.equal(await labels.verify({ data: music }), []);
  renameSync(join(music, 'a.wav'), join(music, 'd.wav'));
  assert.equal((await labelFolder({ data: music, out, teacher })).gone, ['a.wav']);
});

making('the manifest names the adapter, and lines of files name another one', async () => {
  const out = join(folder, 'adapters');
  let left = 1;
  const one = { ...teacher, adapter: 'one' };
  await labelFolder({ data, out, teacher: one, shardBytes, stopped: () => left-- <= 0 });
  await labelFolder({ data, out, teacher: { ...teacher, adapter: 'two' }, shardBytes });
  const lines = readFileSync(join(out, 'manifest.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  const labelled = lines.slice(1).filter(({ skipped }) => skipped === undefined);
  assert.is(lines[0].adapter, 'one');
  assert.equal([...new Set(labelled.map(({ adapter }) => adapter))], [undefined, 'two']);
});

making('stopping between files and going on leaves what an unbroken run leaves', async () => {
  const out = join(folder, 'stopped');
  for (let calls = 0; ; calls++) {
    let left = 8; // Broken files are tried again in each call.
    const { finished } = await labelFolder({ data, out, teacher, shardBytes, stopped: () => left-- <= 0 });
    if (finished) break;
    assert.ok(calls < 20);
  }
  assert.equal(contents(out), contents(whole));
});

const killing = suite('a killed process');

const child = fileURLToPath(new URL('labels-child.ts', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));

/** Labels in a process that is killed `milliseconds` after it has begun, if it still runs. */
function labelAndKill(out: string, pause: number, milliseconds: number): Promise<{ killed: boolean; text: string }> {
  return new Promise((resolve) => {
    const process_ = spawn(process.execPath, [runner, child, data, out, String(pause)], { cwd: root });
    let text = '';
    let timer: NodeJS.Timeout | undefined;
    for (const stream of [process_.stdout, process_.stderr]) {
      stream.on('data', (bytes) => {
        text += bytes;
        if (text.includes('ready')) timer ??= setTimeout(() => process_.kill('SIGKILL'), milliseconds);
      });
    }
    process_.on('close', (_, signal) => {
      clearTimeout(timer);
      resolve({ killed: signal === 'SIGKILL', text });
    });
  });
}

killing(
  'at random moments, the next one goes on, and the labels are those of an unbroken run to the byte',
  async () => {
    const random = hostRandom(20);
    let kills = 0;
    for (let round = 0; round < 2; round++) {
      const out = join(folder, `killed-${round}`);
      for (let calls = 0; ; calls++) {
        assert.ok(calls < 40, 'it never ends');
        // Less and less haste, so that the last call comes to its end.
        const { killed, text } = await labelAndKill(out, 8, random.integer(0, 150 * (calls + 1)));
        if (!killed) {
          assert.match(text, /"finished":true/);
          break;
        }
        kills++;
        // What is said to be there is there, at every moment.
        if (existsSync(join(out, 'manifest.jsonl'))) {
          await using labels = await openLabels(out, teacher);
          assert.equal(await labels.verify({ data }), []);
        }
      }
      assert.equal(contents(out), contents(whole));
    }
    assert.ok(kills >= 4, `${kills} kills`);
  },
);

killing('in the middle of a line or of a file’s labels leaves nothing behind', async () => {
  const random = hostRandom(4);
  const manifest = readFileSync(join(whole, 'manifest.jsonl'));
  const firstLine = manifest.indexOf(10) + 1;
  for (let i = 0; i < 12; i++) {
    const out = copy();
    // A line cut short, and labels of which no line tells yet, in the same shard and in a next one.
    writeFileSync(join(out, 'manifest.jsonl'), manifest.subarray(0, random.integer(firstLine, manifest.length - 1)));
    const shards = readdirSync(out).filter((name) => name.endsWith('.bin'));
    appendFileSync(join(out, shards[shards.length - 1]), 'half of something');
    if (i % 2) writeFileSync(join(out, 'labels-00042.bin'), 'more');
    writeFileSync(join(out, '.manifest.jsonl.99.abcd.tmp'), 'half a manifest');
    await labelFolder({ data, out, teacher, shardBytes });
    assert.equal(contents(out), contents(whole), String(i));
  }
});

killing('leaves a lock that the next one takes over; that of a living one is respected', async () => {
  const out = copy();
  writeFileSync(join(out, '.lock'), `${hostname()}\n${2 ** 22 + 1}\n123\n`);
  for (const name of ['.lock.4194305.ab', '.lock.4194305.cd.stale']) {
    writeFileSync(join(out, name), name.endsWith('ab') ? '' : `${hostname()}\n4194305\n123\n`);
  }
  await labelFolder({ data, out, teacher, shardBytes });
  assert.equal(contents(out), contents(whole));
  // This process's number, but another process's start: the number was used again.
  writeFileSync(join(out, '.lock'), `${hostname()}\n${process.pid}\n1\n`);
  if (existsSync('/proc/self/stat')) await labelFolder({ data, out, teacher, shardBytes });
  const slow = fakeTeacher({ pause: 20 });
  const fresh = join(folder, 'two-at-once');
  const results = await Promise.allSettled(
    [1, 2].map(() => labelFolder({ data, out: fresh, teacher: slow, shardBytes })),
  );
  assert.equal(results.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const refused = results.find(({ status }) => status === 'rejected') as PromiseRejectedResult;
  assert.match(String(refused.reason), /two-at-once: process \d+ on .* is writing labels here; wait for it/);
  assert.equal(contents(fresh), contents(whole));
});

const refusing = suite('what is refused');

const other = fakeTeacher({ version: 2 });

refusing('labels of another teacher, by whoever reads or goes on with them', async () => {
  const message = /labels are of another teacher \(hash [0-9a-f]{12} there, [0-9a-f]{12} here\)/;
  assert.match(await messageOf(() => openLabels(whole, other)), message);
  assert.match(await messageOf(() => labelFolder({ data, out: whole, teacher: other })), message);
  const expectations = { codebooks: [1024], hop: 160, sampleRate: 16000 };
  assert.match(
    await messageOf(() => openLabels(whole, expectations)),
    /sampleRate 24000 there, 16000 here; hop 320 there, 160 here; codebooks \[1024,300,7\] there, \[1024\] here/,
  );
  assert.match(
    await messageOf(() => labelFolder({ data, out: whole, teacher, resample: 'hann6' })),
    /were resampled by kaiser64, not hann6/,
  );
});

refusing('crops off the grid or beyond the end, and files without labels', async () => {
  await using labels = await openLabels(whole);
  const cases: [Promise<unknown>, RegExp][] = [
    [labels.crop('0.wav', 100, 1), /a crop at sample 100 is not on the labels’ grid; begin at a multiple of 320/],
    [labels.crop('0.wav', 320, 23), /0\.wav: has 23 labels, not 1 to 24/],
    [labels.crop('0.wav', -320, 1), /not on the labels’ grid/],
    [labels.crop('new.wav', 0, 1), /new\.wav: has no labels in .*; run mert label again, which adds what is missing/],
    [labels.crop('bad/nan.wav', 0, 1), /has no labels, because it could not be read \(sample 4999 is NaN/],
  ];
  for (const [action, message] of cases) assert.match(await messageOf(() => action), message);
});

refusing('music that is not what was labelled: all files that do not agree are listed', async () => {
  await using labels = await openLabels(whole);
  labels.check(await Promise.all(good.map(async (path) => [path, await checkAudio(join(data, path))] as const)));
  const message = await messageOf(() =>
    labels.check([
      ['0.wav', { sampleRate: 24000, frames: 7201 }],
      ['high.wav', { sampleRate: 48000, frames: 40_000 }],
      ['new.wav', { sampleRate: 24000, frames: 7200 }],
      ['2.wav', { sampleRate: 24000, frames: 24_960 }],
    ]),
  );
  assert.match(message, /the labels are not of this music \(3 files\)/);
  assert.match(message, /0\.wav: has 7201 samples at 24000 Hz; 7200 at 24000 Hz were labelled/);
  assert.match(message, /high\.wav: has 40000 samples at 48000 Hz; 40000 at 44100 Hz were labelled/);
  assert.match(message, /new\.wav: has no labels/);
  assert.not.match(message, /2\.wav/);
});

refusing('a file that changed since: when going on by its size, when verified by its content', async () => {
  const music = join(folder, 'changing');
  cpSync(data, music, { recursive: true });
  const out = copy();
  writeTone(join(music, '0.wav'), 0.3, 11);
  await using labels = await openLabels(out);
  assert.equal((await labels.verify({ data: music })).length, 1);
  assert.match((await labels.verify({ data: music }))[0], /^0\.wav: is another file than the one that was labelled/);
  writeTone(join(music, '2.wav'), 0.2, 11);
  assert.match(
    await messageOf(() => labelFolder({ data: music, out, teacher })),
    /1 files are not what they were[\s\S]*2\.wav: 49964 bytes when it was labelled, 9644 now/,
  );
  assert.match((await labels.verify({ data: music }))[1], /^2\.wav: has 4800 samples/);
  unlinkSync(join(music, '4.wav'));
  assert.match((await labels.verify({ data: music }))[2], /4\.wav: the file cannot be read/);
});

refusing('damaged shards: labels outside a codebook, other labels, labels that are gone', async () => {
  const flipped = copy();
  const shard = join(flipped, 'labels-00000.bin');
  const bytes = readFileSync(shard);
  // The third codebook has 7 entries; its label of frame 2 of the first file.
  bytes.writeUInt16LE(7, 2 * (2 * 3 + 2));
  writeFileSync(shard, bytes);
  await using labels = await openLabels(flipped, teacher);
  const message = /0\.wav: label 7 at frame 2 is not in codebook 2, which has 7: labels-00000\.bin is damaged/;
  assert.match(await messageOf(() => labels.crop('0.wav', 640, 1)), message);
  await labels.crop('0.wav', 960, 1);
  assert.match((await labels.verify())[0], message);
  bytes.writeUInt16LE(bytes.readUInt16LE(16) ^ 1, 16);
  writeFileSync(shard, bytes);
  const quiet = copy();
  const own = readFileSync(join(quiet, 'labels-00000.bin'));
  own.writeUInt16LE(own.readUInt16LE(0) ^ 1, 0);
  writeFileSync(join(quiet, 'labels-00000.bin'), own);
  await using changed = await openLabels(quiet);
  assert.equal(await changed.verify(), ['0.wav: its labels are not those that were written: the shard is damaged']);
  const short = copy();
  truncateSync(join(short, 'labels-00001.bin'), 100);
  for (const action of [() => openLabels(short), () => labelFolder({ data, out: short, teacher })]) {
    assert.match(
      await messageOf(action),
      /labels-00001\.bin: has 100 bytes where the manifest tells of \d+; labels are lost/,
    );
  }
  unlinkSync(join(short, 'labels-00001.bin'));
  assert.match(await messageOf(() => openLabels(short)), /labels-00001\.bin: has 0 bytes/);
});

refusing('damaged manifests, by line', async () => {
  const lines = readFileSync(join(whole, 'manifest.jsonl'), 'utf8').split('\n');
  const change = (at: number, edit: (entry: Record<string, unknown>) => void) => {
    const value = JSON.parse(lines[at]);
    edit(value);
    return lines.with(at, JSON.stringify(value)).join('\n');
  };
  const cases: [string, RegExp][] = [
    ['', /the manifest is empty/],
    ['{"format":"other"}\n', /manifest\.jsonl:1: it is no manifest of labels/],
    [change(0, (header) => Object.assign(header, { version: 2 })), /:1: it is of version 2/],
    [change(0, (header) => Object.assign(header, { bytesPerLabel: 1 })), /:1: bytesPerLabel is 1, expected 2/],
    [lines.with(2, 'half').join('\n'), /:3: "half\\n" is no JSON/],
    [lines.with(2, lines[1]).join('\n'), /:3: 0\.wav is there twice/],
    [lines.toSpliced(1, 1).join('\n'), /:2: .*2\.wav: its labels are not behind those of the line before/],
    [
      change(2, (entry) => Object.assign(entry, { frames: 3 })),
      /:3: 2\.wav: 24960 samples at 24000 Hz have 78 labels, not 3/,
    ],
    [change(2, (entry) => Object.assign(entry, { teacher: other.hash })), /:3: 2\.wav: its labels are of teacher/],
    [change(2, (entry) => Object.assign(entry, { offset: -1 })), /must be whole numbers/],
    [change(2, (entry) => Object.assign(entry, { sha256: 'x' })), /sha256 must be 64 hexadecimal digits/],
  ];
  for (const [text, message] of cases) {
    const out = copy();
    writeFileSync(join(out, 'manifest.jsonl'), text);
    for (const action of [() => openLabels(out), () => labelFolder({ data, out, teacher })]) {
      assert.match(await messageOf(action), message);
    }
  }
});

refusing('folders that hold something else, no labels or no music', async () => {
  const filled = join(folder, 'filled');
  writeFile(join(filled, 'letter.txt'), 'words');
  assert.match(
    await messageOf(() => labelFolder({ data, out: filled, teacher })),
    /holds other files \(letter\.txt\) and no labels/,
  );
  assert.match(
    await messageOf(() => openLabels(filled)),
    /holds no labels \(manifest\.jsonl is missing\); make them with mert label/,
  );
  assert.match(await messageOf(() => openLabels(join(folder, 'nowhere'))), /holds no labels/);
  const none = join(folder, 'no-music');
  mkdirSync(none);
  assert.match(await messageOf(() => labelFolder({ data: none, out: join(folder, 'x'), teacher })), /no audio files/);
  assert.match(
    await messageOf(() => labelFolder({ data: join(folder, 'absent'), out: join(folder, 'x'), teacher })),
    /cannot be read/,
  );
});

refusing('teachers that give what cannot be, and nothing of it stays', async () => {
  const out = join(folder, 'wrong-teacher');
  const spoil = (edit: (labels: Int32Array) => Int32Array) => ({
    ...teacher,
    async *stream(recording: Parameters<typeof teacher.stream>[0]) {
      for await (const piece of teacher.stream(recording)) yield edit(piece);
    },
  });
  const outside = spoil((labels) => labels.fill(7, 5, 6));
  assert.match(
    await messageOf(() => labelFolder({ data, out, teacher: outside })),
    /teacher fake gave label 7 in codebook 2 of 7 at frame 1/,
  );
  assert.match(
    await messageOf(() => labelFolder({ data, out, teacher: spoil((labels) => labels.subarray(3)) })),
    /teacher fake gave \d+ labels where 23 were due/,
  );
  await labelFolder({ data, out, teacher, shardBytes });
  assert.equal(contents(out), contents(whole));
  assert.match(
    await messageOf(() => labelFolder({ data, out: join(folder, 'y'), teacher: { ...teacher, codebooks: [70000] } })),
    /codebooks are \[70000\]; expected one size or more, each 1 to 65536/,
  );
});

for (const tests of [spans, making, killing, refusing]) tests.run();
