/** Runs to be looked at: event files, pages, the terminal. */
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { toHuggingFace } from '../src/config/index.ts';
import { encodePng } from '../src/pictures/png.ts';
import { chartsOf, thin } from '../src/seeing/charts.ts';
import { followLog, scalarsOf } from '../src/seeing/log.ts';
import { mirrorLogs } from '../src/seeing/mirror.ts';
import { runPage } from '../src/seeing/page.ts';
import { readRun } from '../src/seeing/run.ts';
import { crc32c, createEventFile, maskedCrc } from '../src/seeing/tfevents.ts';
import { sparkline, watchText } from '../src/seeing/watch.ts';
import { messageOf, temporaryFolder, tinyConfig } from './support.ts';

const folder = temporaryFolder();

interface Read {
  step: number;
  version?: string;
  values: Record<string, number>;
  images: Record<string, Uint8Array>;
}

/** Fields of a protocol buffer: a reader of its own. */
function fields(bytes: Buffer): [field: number, value: number | Buffer][] {
  const found: [number, number | Buffer][] = [];
  let at = 0;
  const varint = () => {
    let [value, factor] = [0, 1];
    for (;;) {
      const byte = bytes[at++];
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const [field, wire] = [Math.floor(key / 8), key % 8];
    if (wire === 0) found.push([field, varint()]);
    else if (wire === 1) found.push([field, bytes.readDoubleLE((at += 8) - 8)]);
    else if (wire === 5) found.push([field, bytes.readFloatLE((at += 4) - 4)]);
    else {
      const length = varint();
      found.push([field, bytes.subarray(at, (at += length))]);
    }
  }
  return found;
}

/** An event file, its checksums held against its bytes. */
function readEvents(path: string): Read[] {
  const bytes = readFileSync(path);
  const events: Read[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = Number(bytes.readBigUInt64LE(at));
    assert.is(bytes.readUInt32LE(at + 8), maskedCrc(bytes.subarray(at, at + 8)), 'checksum of a length');
    const data = bytes.subarray(at + 12, at + 12 + length);
    assert.is(bytes.readUInt32LE(at + 12 + length), maskedCrc(data), 'checksum of a record');
    at += 16 + length;
    const event: Read = { step: 0, values: {}, images: {} };
    for (const [field, value] of fields(data)) {
      if (field === 2) event.step = value as number;
      if (field === 3) event.version = String(value);
      if (field !== 5) continue;
      for (const [, one] of fields(value as Buffer)) {
        const parts = new Map(fields(one as Buffer));
        const tag = String(parts.get(1));
        if (parts.has(2)) event.values[tag] = parts.get(2) as number;
        const image = parts.get(4);
        if (image) event.images[tag] = new Map(fields(image as Buffer)).get(4) as Buffer;
      }
    }
    events.push(event);
  }
  return events;
}

const events = suite('event files');

events('checksums are CRC-32C, masked', () => {
  assert.is(crc32c(Buffer.from('123456789')), 0xe3069283);
  // RFC 3720, B.4
  assert.is(crc32c(new Uint8Array(32)), 0x8a9136aa);
  assert.is(maskedCrc(new Uint8Array(32)), (((0x8a9136aa >>> 15) | (0x8a9136aa << 17)) + 0xa282ead8) >>> 0);
});

events('what was written is read back', () => {
  const file = createEventFile(folder);
  file.append(3, 1e9, { loss: 1.5, 'a/b': -2 }, { picture: { width: 2, height: 1, png: Uint8Array.of(1, 2, 3) } });
  file.append(70_000, 1e9 + 1, { loss: Number.NaN });
  file.close();
  assert.match(file.path, /events\.out\.tfevents\.\d+\./);
  const [head, first, second] = readEvents(file.path);
  assert.is(head.version, 'brain.Event:2');
  assert.equal([first.step, first.values], [3, { loss: 1.5, 'a/b': -2 }]);
  assert.equal([...first.images.picture], [1, 2, 3]);
  assert.is(second.step, 70_000);
  assert.ok(Number.isNaN(second.values.loss));
});

events('a disk that is full is told with the file', () => {
  if (!existsSync('/dev/full')) return;
  const path = join(folder, `events.out.tfevents.5.${hostname()}.${process.pid}`);
  symlinkSync('/dev/full', path);
  assert.throws(
    () => createEventFile(folder, 5),
    (error: NodeJS.ErrnoException) => error.code === 'ENOSPC' && error.path === path,
  );
});

const line = (step: number, more: object = {}) =>
  `${JSON.stringify({ step, loss: 10 / step, lossCodes: [step, 2], gradNorm: null, ...more })}\n`;

events('follow the logs, and have no step twice after a run went on from an earlier one', () => {
  const out = join(folder, 'mirrored');
  mkdirSync(out);
  const log = join(out, 'metrics.jsonl');
  const mirror = mirrorLogs(out);
  mirror.update();
  for (const step of [1, 2, 3]) {
    appendFileSync(log, line(step));
    mirror.update();
  }
  appendFileSync(log, '{"step": 4, "lo');
  mirror.update();
  appendFileSync(log, 'ss": 2}\n');
  appendFileSync(join(out, 'data.jsonl'), '{"step":1,"waitedSeconds":0.25}\n');
  mirror.close();
  const read = () => {
    const names = readdirSync(join(out, 'tensorboard'));
    assert.is(names.length, 1);
    return readEvents(join(out, 'tensorboard', names[0])).filter(({ step }) => step > 0);
  };
  const train = () => read().filter(({ values }) => 'train/loss' in values);
  assert.equal(
    train().map(({ step }) => step),
    [1, 2, 3, 4],
  );
  assert.equal(read()[0].values, { 'train/loss': 10, 'train/lossCodes/0': 1, 'train/lossCodes/1': 2 });
  assert.equal(read().find(({ values }) => 'data/waitedSeconds' in values)?.step, 1);
  // Pictures of its steps are in it, those of before in each new file.
  mkdirSync(join(out, 'pictures'));
  const pixels = { width: 3, height: 2, rgb: new Uint8Array(18) };
  writeFileSync(join(out, 'pictures', 'predicted-000002.png'), encodePng(pixels));
  writeFileSync(join(out, 'pictures', 'notes.txt'), '');
  // The run goes on from step 2, in another process, and in this one.
  for (const other of [mirrorLogs(out), undefined]) {
    const own = other ?? mirrorLogs(out);
    if (!other) own.update();
    writeFileSync(log, line(1) + line(2));
    own.update();
    appendFileSync(log, line(3, { loss: 7 }));
    own.close();
    assert.equal(
      train().map(({ step, values }) => [step, values['train/loss']]),
      [
        [1, 10],
        [2, 5],
        [3, 7],
      ],
    );
    const [seen, ...more] = read().filter(({ images }) => 'valid/predicted' in images);
    assert.equal([seen.step, more.length], [2, 0]);
    assert.equal([...seen.images['valid/predicted']], [...encodePng(pixels)]);
  }
});

events('a log is read as it grows, and again when it was cut back and grew past where it was', () => {
  const path = join(folder, 'log.jsonl');
  const log = followLog(path);
  assert.equal(log.read().lines, []);
  writeFileSync(path, `${line(1)}no JSON\n${line(2)}`);
  assert.equal(
    log.read().lines.map(({ step }) => step),
    [1, 2],
  );
  assert.equal(log.read().lines, []);
  writeFileSync(path, line(1) + [5, 6, 7, 8, 9].map((step) => line(step)).join(''));
  const { lines, restarted } = log.read();
  assert.ok(restarted);
  assert.equal(
    lines.map(({ step }) => step),
    [1, 5, 6, 7, 8, 9],
  );
  assert.equal(scalarsOf({ step: 1, a: 2, b: [3, null], c: { d: 4 }, e: 'x' }), { a: 2, 'b/0': 3, 'c/d': 4 });
});

const seeing = suite('a run');
const out = join(folder, 'run');
mkdirSync(join(out, 'checkpoint'), { recursive: true });
const config = tinyConfig();
writeFileSync(
  join(out, 'metrics.jsonl'),
  Array.from({ length: 40 }, (_, i) =>
    line(i + 1, {
      lossRvq: 4 - i / 20,
      lossCqt: 1,
      accuracy: i / 100,
      clipsPerSecond: 5,
      seconds: 2,
      accuracies: [0.1, 0.2],
    }),
  ).join(''),
);
writeFileSync(
  join(out, 'data.jsonl'),
  Array.from(
    { length: 40 },
    (_, i) => `${JSON.stringify({ step: i + 1, seconds: 2, waitedSeconds: i === 0 ? 1 : 0 })}\n`,
  ).join(''),
);
const skipped = [{ path: '/music/</script>.wav', reason: 'the file is no WAV' }];
const music = { data: '/music', files: 3, hours: 1.5, workers: 2, adapter: 'an adapter', skipped };
writeFileSync(join(out, 'data.json'), JSON.stringify(music));
const state = { step: 40, stopAt: 100, optimizerSteps: 40, config, data: '/music', files: [] };
writeFileSync(join(out, 'checkpoint', 'trainer.json'), JSON.stringify(state));
writeFileSync(join(out, 'checkpoint', 'config.json'), JSON.stringify(toHuggingFace(config).config));

seeing('is one page: curves, what was left out, the configuration, and nothing from elsewhere', async () => {
  const page = await runPage(await readRun(out), 'no music');
  assert.not.match(page, /(src|href)="?(https?:)?\/\//);
  assert.not.match(page, /@import|url\(/);
  assert.match(page, 'Pretraining run');
  assert.match(page, 'an adapter');
  assert.match(page, '<th>&lt;/script&gt;.wav</th>');
  assert.match(page, 'hiddenSize: 32');
  assert.match(page, 'No pictures: no music');
  assert.is(page.match(/<script>/g)?.length, 2, 'no data opens another');
  const [, json] = /const charts = (\[.*?\]);\n/s.exec(page) ?? [];
  const titles = (JSON.parse(json) as { title: string }[]).map(({ title }) => title);
  for (const title of ['Loss', 'Accuracy of the codes', 'Throughput', 'Waiting on data', 'Cross-entropy by codebook']) {
    assert.ok(titles.includes(title), title);
  }
  assert.not.ok(titles.includes('Loss scale'), 'nothing was measured for it');
});

seeing('has charts of thousands of points at most', async () => {
  const run = await readRun(out);
  const metrics = Array.from({ length: 100_000 }, (_, i) => ({ step: i + 1, loss: i }));
  const [loss] = chartsOf({ ...run, metrics });
  assert.ok(loss.steps.length <= 3000 && loss.steps.length === loss.series[0].values.length);
  assert.ok(Math.abs((loss.series[0].values[10] as number) - (loss.steps[10] - 1)) < 1e-9);
  assert.equal(thin([1, null, 3, 4], 2), [1, 3.5]);
});

seeing('in the terminal', async () => {
  writeFileSync(join(out, '.lock'), '');
  const run = await readRun(out);
  const lines = watchText(run, 80, run.changed?.getTime());
  assert.ok(lines.every((one) => one.length <= 80));
  const text = lines.join('\n');
  assert.match(text, /step 40 of 100, running, 2 min 00 s left/);
  assert.match(text, /waiting on data +0\.0 % of the last 40 steps|waiting on data +1\.3 % of the last 40 steps/);
  assert.match(text, /1 files left out/);
  assert.match(watchText(run, 80, Date.now() + 1e6)[0], /nothing new for/);
  const rollbacks = [{ fromStep: 30, toStep: 20, reason: 'the loss became NaN', rateFactor: 0.5 }];
  const ended = { ...run, running: false, rollbacks };
  assert.match(watchText(ended, 80)[0], /step 40 of 100, stopped or failed; --resume goes on$/);
  assert.match(watchText(ended, 80).join('\n'), /went back once, last at step 30 to step 20: the loss became NaN/);
  assert.match(watchText({ ...ended, report: {} }, 80)[0], /step 40 of 100, finished$/);
  const report = {
    heldOut: { losses: { loss: null }, baselines: {}, skipped: [{ path: '/music/a.wav', reason: 'no WAV' }] },
  };
  const page = await runPage({ ...ended, report }, 'no music');
  assert.match(page, '<tr><th>loss</th><td>not finite</td></tr>');
  assert.match(page, '<tr><th>30 to 20</th><td>the loss became NaN</td></tr>');
  assert.match(page, '<tr><th>a.wav, held out</th><td>no WAV</td></tr>');
  assert.is(sparkline([0, 1, 2, 3], 4), '▁▃▆█');
  assert.is(sparkline([], 4), '');
  assert.match(await messageOf(() => readRun(join(folder, 'nowhere'))), /holds no run \(metrics\.jsonl is missing\)/);
  const begun = join(folder, 'begun');
  mkdirSync(begun);
  cpSync(join(out, 'metrics.jsonl'), join(begun, 'metrics.jsonl'));
  assert.match(watchText(await readRun(begun)).join('\n'), /no checkpoint yet/);
  assert.is(existsSync(join(begun, 'tensorboard')), false);
});

events.run();
seeing.run();
