/** Pictures: files that decode to what was drawn, and what is drawn where. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import { encodeWav } from '@dawnchorus/dsp';
import { writeNpy } from '@dawnchorus/formats';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { labelFolder } from '../src/labels/write.ts';
import { colorAt, drawHeatmap, type Heatmap } from '../src/pictures/heatmap.ts';
import { encodePng, renderScene } from '../src/pictures/png.ts';
import type { Pixels, Scene } from '../src/pictures/scene.ts';
import { spectrumHeatmap, spectrumKinds } from '../src/pictures/spectra.ts';
import { toSvg } from '../src/pictures/svg.ts';
import { countLabels, drawUsage, summarise, usageText } from '../src/pictures/usage.ts';
import { fakeTeacher } from './labels-support.ts';
import { messageOf, openTestDevice, runner, temporaryFolder, tone, writeFile, writeTone } from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();

/** The checksum of PNG, bit by bit. */
function checksum(bytes: Uint8Array): number {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

/** A PNG file without filters as pixels, its chunks checked. */
function decodePng(file: Uint8Array): Pixels {
  const bytes = Buffer.from(file);
  assert.is(bytes.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    assert.is(bytes.readUInt32BE(at + 8 + length), checksum(bytes.subarray(at + 4, at + 8 + length)));
    chunks.set(bytes.toString('latin1', at + 4, at + 8), bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  assert.equal([...chunks.keys()], ['IHDR', 'IDAT', 'IEND']);
  const header = chunks.get('IHDR')!;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  assert.equal([...header.subarray(8)], [8, 2, 0, 0, 0]);
  const rows = inflateSync(chunks.get('IDAT')!);
  assert.is(rows.length, height * (1 + 3 * width));
  const rgb = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    assert.is(rows[y * (1 + 3 * width)], 0);
    rgb.set(rows.subarray(y * (1 + 3 * width) + 1, (y + 1) * (1 + 3 * width)), 3 * y * width);
  }
  return { width, height, rgb };
}

const files = suite('files');

files('PNG decodes to its pixels', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer(),
      (width, height, seed) => {
        const rgb = Uint8Array.from({ length: 3 * width * height }, (_, i) => Math.imul(i + seed, 2654435761) >>> 24);
        assert.equal(decodePng(encodePng({ width, height, rgb })), { width, height, rgb });
      },
    ),
    { numRuns: 40 },
  );
});

files('rectangles, images and letters lie where they are put', () => {
  const image = { width: 2, height: 1, rgb: Uint8Array.of(1, 2, 3, 4, 5, 6) };
  const scene: Scene = {
    width: 40,
    height: 30,
    items: [
      { kind: 'rect', x: 1, y: 2, width: 3, height: 0.2, color: '#ff0080' },
      { kind: 'image', x: 39, y: 5, image },
      { kind: 'text', x: 10, y: 20, text: 'I', color: '#000000' },
    ],
  };
  const { rgb } = renderScene(scene);
  const at = (x: number, y: number) => [...rgb.subarray(3 * (40 * y + x), 3 * (40 * y + x) + 3)];
  assert.equal(
    [at(1, 2), at(3, 2), at(4, 2), at(1, 3)],
    [
      [255, 0, 128],
      [255, 0, 128],
      [255, 255, 255],
      [255, 255, 255],
    ],
  );
  assert.equal(at(39, 5), [1, 2, 3]);
  // The stem of the letter, and beside it.
  assert.equal(
    [at(14, 20), at(10, 20), at(20, 20)],
    [
      [0, 0, 0],
      [255, 255, 255],
      [255, 255, 255],
    ],
  );
});

files('SVG stands alone, and escapes what is written in it', () => {
  const image = { width: 1, height: 1, rgb: Uint8Array.of(9, 8, 7) };
  const text = toSvg({
    width: 10,
    height: 10,
    items: [
      { kind: 'text', x: 1, y: 2, text: 'a<b & "c"', anchor: 'end' },
      { kind: 'image', x: 0, y: 0, image },
    ],
  });
  assert.match(
    text,
    /<text x="1" y="2" dominant-baseline="central" text-anchor="end" fill="#222222">a&lt;b &amp; &quot;c&quot;<\/text>/,
  );
  const data = /href="data:image\/png;base64,([^"]+)"/.exec(text)![1];
  assert.equal(decodePng(Buffer.from(data, 'base64')), image);
});

const maps = suite('heat maps');

const blank = { title: 't', range: [0, 1] as [number, number], unit: '', marks: [], start: 0, step: 0.1 };

/** The picture's own pixels. */
function plotOf(heatmap: Heatmap): Pixels {
  const item = drawHeatmap(heatmap).items.find(({ kind }) => kind === 'image');
  return (item as { image: Pixels }).image;
}

maps('the first row is the lowest, and a single loud cell is seen in any size', () => {
  for (const [rows, columns] of [
    [2, 3],
    [12, 40],
    [384, 1000],
    [1025, 5000],
  ]) {
    for (const [row, column] of [
      [0, 0],
      [rows - 1, columns - 1],
      [Math.floor(rows / 2), Math.floor(columns / 3)],
    ]) {
      const values = new Float32Array(rows * columns);
      values[row * columns + column] = 1;
      const { width, height, rgb } = plotOf({ ...blank, values, rows, columns });
      const bright: number[][] = [];
      for (let i = 0; i < width * height; i++) if (rgb[3 * i] > 200) bright.push([i % width, Math.floor(i / width)]);
      assert.ok(bright.length > 0, `${rows} x ${columns}: ${row}, ${column}`);
      for (const [x, y] of bright) {
        assert.ok(Math.abs((x + 0.5) / width - (column + 0.5) / columns) <= 0.5 / columns + 1 / width);
        assert.ok(Math.abs(1 - (y + 0.5) / height - (row + 0.5) / rows) <= 0.5 / rows + 1 / height);
      }
    }
  }
});

maps('colours go from black to light yellow, NaN is dark, and nothing cannot be drawn', async () => {
  assert.equal(
    [colorAt(-1), colorAt(0), colorAt(Number.NaN)],
    [
      [0, 0, 4],
      [0, 0, 4],
      [0, 0, 4],
    ],
  );
  assert.equal(colorAt(2), [252, 253, 191]);
  assert.match(
    await messageOf(() => drawHeatmap({ ...blank, values: [], rows: 0, columns: 0 })),
    /there is nothing to draw/,
  );
});

const sounds = suite('spectra');

const pure = (hz: number, samples = 24_000) =>
  Float32Array.from({ length: samples }, (_, i) => 0.5 * Math.sin((2 * Math.PI * hz * i) / 24000));

/** The row that is largest in the middle of a heat map. */
function loudest({ values, rows, columns }: Heatmap): number {
  const own = Array.from({ length: rows }, (_, row) => values[row * columns + Math.floor(columns / 2)]);
  return own.indexOf(Math.max(...own));
}

sounds('a tone is where it belongs in each', async () => {
  const sound = { samples: pure(880), sampleRate: 24000, start: 0, title: 'a' };
  const rows = await Promise.all(
    spectrumKinds.map(async (kind) => loudest(await spectrumHeatmap(device, kind, sound))),
  );
  const [spectrogram, mel, chroma, cqt] = rows;
  assert.is(spectrogram, Math.round((880 * 2048) / 24000));
  assert.is(chroma, 9);
  assert.ok(Math.abs(cqt - 48 * Math.log2(880 / 32.7)) <= 1);
  const marks = (await spectrumHeatmap(device, 'mel', sound)).marks;
  const [below, above] = [marks.find(({ text }) => text === '500 Hz')!, marks.find(({ text }) => text === '1 kHz')!];
  assert.ok(mel > below.at && mel < above.at);
});

sounds('silence and a single sample are drawn, nothing is not', async () => {
  for (const samples of [new Float32Array(5000), Float32Array.of(0.5)]) {
    for (const kind of spectrumKinds) {
      const heatmap = await spectrumHeatmap(device, kind, { samples, sampleRate: 24000, start: 0, title: 's' });
      assert.ok(Array.from(heatmap.values).every(Number.isFinite), kind);
      assert.ok(renderScene(drawHeatmap(heatmap)).rgb.length > 0);
    }
  }
  const nothing = { samples: new Float32Array(0), sampleRate: 24000, start: 0, title: 'n' };
  assert.match(await messageOf(() => spectrumHeatmap(device, 'mel', nothing)), /n: there are no samples to draw/);
});

const usages = suite('use of codebooks');

usages('entries in use, perplexity and entropy', () => {
  const even = summarise({ counts: [5, 5, 5, 5] });
  assert.equal(
    { ...even, perplexity: Math.round(1e9 * even.perplexity) / 1e9 },
    { size: 4, used: 4, total: 20, perplexity: 4, evenness: 1 },
  );
  const one = summarise({ counts: [0, 9, 0, 0] });
  assert.equal([one.used, one.perplexity, one.evenness], [1, 1, 0]);
  assert.is(summarise({ counts: [3] }).evenness, 1);
  assert.is(summarise({ counts: [0, 0] }).used, 0);
  assert.is(usageText(2, one), 'codebook 2: 1 of 4 used, perplexity 1.0, entropy 0 %');
  const usage = [{ counts: new Float64Array(3) }, { counts: new Float64Array(3) }];
  countLabels(usage, Int32Array.of(0, 0, 2, 1, 1, 1));
  assert.equal([...usage[0].counts, ...usage[1].counts], [2, 0, 1, 0, 3, 0]);
});

usages('bars are as high as entries are frequent, the most frequent first', () => {
  const { items } = drawUsage('t', [{ counts: [1, 4, 0, 2] }]);
  const bars = items.flatMap((item) => (item.kind === 'rect' && item.color === '#3b6ea8' ? [item] : []));
  assert.equal(
    bars.map(({ height }) => height / 70),
    [1, 0.5, 0.25],
  );
  assert.ok(bars[0].x < bars[1].x && bars[1].x < bars[2].x);
});

const commands = suite('mert picture');

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));
const root = fileURLToPath(new URL('../../..', import.meta.url));
const mert = (...options: string[]) => {
  const { status, stderr } = spawnSync(process.execPath, [runner, main, ...options], { cwd: root });
  return { code: status, stderr: String(stderr) };
};
const song = writeFile(join(folder, 'song.wav'), encodeWav(tone(30_000, 3), 24000));

commands('writes PNG and SVG of sounds', () => {
  const png = join(folder, 'song.png');
  const drawn = mert('picture', 'chroma', '--input', song, '--out', png, '--duration', '1');
  assert.is(drawn.code, 0, drawn.stderr);
  assert.match(drawn.stderr, /wrote .*song\.png: chroma, 1\.0 s from 0 s on/);
  const { width, height } = decodePng(readFileSync(png));
  assert.equal([width, height], [1240, 484]);
  const svg = join(folder, 'cqt.svg');
  const beside = mert('cqt', '--input', song, '--picture', svg);
  assert.is(beside.code, 0, beside.stderr);
  assert.match(readFileSync(svg, 'utf8'), /song\.wav: constant-Q, 48 bins an octave/);
});

commands('draws the use of codebooks from folders of labels and NumPy files', async () => {
  writeTone(join(folder, 'music', 'a.wav'), 1, 2);
  const labels = join(folder, 'labels');
  await labelFolder({ data: join(folder, 'music'), out: labels, teacher: fakeTeacher({ codebooks: [16, 4] }) });
  const png = join(folder, 'usage.png');
  const { code, stderr } = mert('picture', 'usage', '--input', labels, '--out', png);
  assert.is(code, 0, stderr);
  assert.match(stderr, /codebook 0: \d+ of 16 used[\s\S]*codebook 1: \d of 4 used/);
  assert.is(decodePng(readFileSync(png)).height, 50 + 2 * 110 + 10);
  const npy = join(folder, 'labels.npy');
  await writeNpy(npy, Int32Array.of(0, 1, 1, 5, 5, 5), [2, 3]);
  assert.match(
    mert('picture', 'usage', '--input', npy, '--out', join(folder, 'u.svg')).stderr,
    /codebook 0: 2 of 6 used/,
  );
  assert.match(
    mert('picture', 'usage', '--input', npy, '--out', join(folder, 'v.svg'), '--size', '4').stderr,
    /has labels from 0 to 5; expected 0 to 3/,
  );
});

commands('mistakes end with status 1 and a remedy', () => {
  const cases: [string[], RegExp][] = [
    [
      ['picture', 'mel', '--input', song, '--out', 'x.jpg'],
      /x\.jpg: pictures are written as \.png or \.svg; choose a name that ends so/,
    ],
    [['cqt', '--input', song, '--picture', 'x.gif'], /x\.gif: pictures are written as/],
    [['cqt', '--input', song], /give --out, --picture or both/],
    [
      ['picture', 'mel', '--input', song, '--out', join(folder, 'x.png'), '--start', '99'],
      /start is 99 s but the audio is only 1\.25 s long/,
    ],
    [
      ['picture', 'mel', '--input', song, '--out', join(folder, 'x.png'), '--start', '-1'],
      /expected seconds, 0 or more/,
    ],
    [['picture', 'waterfall'], /unknown command 'waterfall'/],
  ];
  for (const [options, message] of cases) {
    const { code, stderr } = mert(...options);
    assert.match(stderr, message);
    assert.is(code, 1);
    assert.not.match(stderr, / at .*\.ts:/, 'no stack trace');
  }
  assert.is(existsSync(join(folder, 'x.png')), false);
});

for (const tests of [files, maps, sounds, usages, commands]) tests.run();
