/** Hidden states of sounds and files: windows, batches, layers, pools, formats, rates. */
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { encodeWav } from '@dawnchorus/dsp';
import { readNpy, readSafetensors } from '@dawnchorus/formats';
import { getDefaultDevice } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { parquetReadObjects } from 'hyparquet';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createEmbedder } from '../src/embed/embedder.ts';
import { embedFiles } from '../src/embed/files.ts';
import { layerShape, parseLayers } from '../src/embed/layers.ts';
import { loadMert } from '../src/embed/load.ts';
import { framesOf, planWindows } from '../src/embed/windows.ts';
import { loadPretrained } from '../src/model/pretrained.ts';
import {
  endlessWav,
  goldenPath,
  messageOf,
  openTestDevice,
  relativeError,
  temporaryFolder,
  tone,
  writeFile,
} from './support.ts';

await openTestDevice();
const folder = temporaryFolder();
const golden = goldenPath('student_post');
const model = await loadPretrained(golden);
const FRAME = { reach: 400, hop: 320 };
const DIM = 48;

const windows = suite('windows');

windows('every frame is kept once, and is heard with as much around it as there is', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 400, max: 200_000 }),
      fc.integer({ min: 3, max: 40 }),
      fc.nat(),
      (samples, size, o) => {
        const overlap = o % Math.ceil(size / 2);
        const planned = planWindows(samples, FRAME, size, overlap);
        const frames = framesOf(samples, FRAME);
        let next = 0;
        for (const { span, firstFrame, from, to } of planned) {
          assert.is(from, next);
          assert.ok(to > from && from >= firstFrame);
          assert.ok(to <= firstFrame + framesOf(span.end - span.first, FRAME));
          assert.ok(span.first === firstFrame * 320 && span.end <= samples);
          // A frame stands half an overlap from an edge that is not the recording's.
          if (firstFrame > 0) assert.ok(from - firstFrame >= Math.floor(overlap / 2));
          next = to;
        }
        assert.is(next, frames);
        if (planned.length > 1) assert.is(new Set(planned.map(({ span }) => span.end - span.first)).size, 1);
      },
    ),
  );
});

windows('a window is what its clip alone gives, in batches and without', async () => {
  const signal = tone(24000 + 77, 1);
  const settings = { window: 0.4, overlap: 0.1, layers: [0, 4] as number[] };
  const planned = createEmbedder(model, settings).windows(signal.length);
  assert.ok(planned.length >= 3);
  const frames = framesOf(signal.length, FRAME);
  const expected = new Float32Array(2 * frames * DIM);
  for (const { span, firstFrame, from, to } of planned) {
    const states = model.embed(signal.subarray(span.first, span.end));
    for (const [i, layer] of [0, 4].entries()) {
      const own = (await states[layer].data()) as Float32Array;
      expected.set(own.subarray((from - firstFrame) * DIM, (to - firstFrame) * DIM), (i * frames + from) * DIM);
    }
    for (const state of states) state.dispose();
  }
  const mert = await loadMert(golden);
  for (const batch of [1, 3]) {
    const { data, shape } = await mert.embed({ samples: signal, sampleRate: 24000 }, { ...settings, batch });
    assert.equal(shape, [2, frames, DIM]);
    assert.ok(relativeError(data, expected) < 1e-5, `batch ${batch}`);
  }
  const wrong = (options: object) => messageOf(() => mert.embed({ samples: signal, sampleRate: 24000 }, options));
  assert.match(await wrong({ pool: 'median' }), /pool "median"; expected none, mean, max/);
  assert.match(await wrong({ resample: 'best' }), /resample "best"; expected kaiser64, hann6, never/);
  assert.match(await wrong({ layers: [] }), /layers: none is named/);
  assert.match(await wrong({ layers: [1, 1] }), /layers 1, 1: one is named twice/);
  assert.match(await messageOf(() => mert.embed(null as never)), /the sound is null; expected a path/);
  assert.match(await wrong({ layer: 1 }), /the options are .*layers.*; there is no 'layer'/);
  assert.match(await wrong({ layers: 'last' }), /layers: "last"; expected 'all', 'mean' or numbers in an array/);
  assert.match(await wrong({ layers: [-1] }), /layers -1: this model has layers 0 to /);
  mert.close();
  assert.match(await wrong({}), /the model was closed/);
});

windows('settings that make no sense are refused', async () => {
  const wrong = (settings: object) => messageOf(() => createEmbedder(model, settings));
  assert.match(await wrong({ window: 1, overlap: 0.5 }), /must be more than twice as long/);
  assert.match(await wrong({ batch: 0 }), /a batch of 0 windows/);
  assert.match(await wrong({ layers: [7] }), /this model has layers 0 to 4/);
});

windows('whichever convolution makes the widest tensor, windows are as long as the adapter holds', () => {
  const { maxStorageBufferBindingSize: limit } = getDefaultDevice().limits;
  const { config } = model.student;
  const hour = 3600 * model.sampleRate;
  for (const wide of [0, 1]) {
    const stride = config.convStride.slice(0, wide + 1).reduce((a, b) => a * b, 1);
    // So many that a quarter of an hour fills what can be bound.
    const channels = Math.ceil((limit * stride * 4) / (4 * hour));
    const convDim = config.convDim.map((_, i) => (i === wide ? channels : 1));
    const own = { ...model, student: { ...model.student, config: { ...config, convDim } } } as typeof model;
    const lines: string[] = [];
    const [first] = createEmbedder(own, { window: 3600, log: (line) => lines.push(line) }).windows(hour);
    const bytes = (seconds: number) => (4 * channels * seconds * model.sampleRate) / stride;
    const seconds = (first.span.end - first.span.first) / model.sampleRate;
    assert.ok(bytes(seconds) <= limit && bytes(seconds + 2) > limit, `${seconds} s, convolution ${wide}`);
    assert.match(lines.join(), /windows of \d+ s in the place of 3600/);
  }
});

const layers = suite('layers');

layers('are numbered, listed, ranged', async () => {
  assert.equal(parseLayers('all'), 'all');
  assert.equal(parseLayers('3'), [3]);
  assert.equal(parseLayers('0,2-4'), [0, 2, 3, 4]);
  for (const text of ['most', '-1', '4-2', '', '1.5']) {
    assert.match(await messageOf(() => parseLayers(text)), /expected all, mean or a layer’s number from 0/, text);
  }
  assert.match(await messageOf(() => parseLayers('1,1')), /named twice/);
  assert.match(await messageOf(() => parseLayers('99999999999-99999999999999')), /no model has a layer 99999999999999/);
  assert.equal(
    [layerShape('all', 5), layerShape([1], 5), layerShape([1, 2], 5), layerShape('mean', 5)],
    [[5], [], [2], []],
  );
});

const files = suite('files');
const music = join(folder, 'music');
const lengths = [8000, 26000, 7000];
for (const [i, length] of lengths.entries()) {
  writeFile(join(music, `${i === 1 ? 'sub/' : ''}${i}.wav`), encodeWav(tone(length, i), 24000, { format: 'float32' }));
}
writeFile(join(music, 'broken.wav'), 'words');
writeFile(join(music, 'short.wav'), encodeWav(tone(300, 1), 24000));
const settings = { model, window: 0.4, overlap: 0.1 };

async function alone(input: string, options: object = {}): Promise<{ shape: number[]; data: Float32Array }> {
  const out = join(folder, 'alone.npy');
  await embedFiles({ ...settings, inputs: [input], out, ...options });
  return (await readNpy(out)) as { shape: number[]; data: Float32Array };
}

files('a folder: a file for each, in batches over files; what cannot be used is listed', async () => {
  const out = join(folder, 'embedded');
  const log: string[] = [];
  const options = { ...settings, inputs: [music], out, batch: 2, log: (line: string) => log.push(line) };
  const result = await embedFiles(options);
  assert.ok(result.finished);
  assert.equal(
    result.written.map(({ out: path }) => path).sort(),
    ['0.npy', '2.npy', 'sub/1.npy'].map((p) => join(out, p)),
  );
  const reasons = result.skipped.map(({ path, reason }) => `${path}: ${reason}`).join('\n');
  assert.match(reasons, /broken\.wav: the file is no WAV/);
  assert.match(reasons, /short\.wav: embed: 300 samples are less than the 400/);
  for (const name of ['0', 'sub/1', '2']) {
    const expected = await alone(join(music, `${name}.wav`));
    const got = await readNpy(join(out, `${name}.npy`));
    assert.equal(got.shape, expected.shape);
    assert.ok(relativeError(got.data as Float32Array, expected.data) < 1e-5, name);
  }
  assert.ok(readdirSync(out).every((name) => !name.endsWith('.tmp')));
  const again = await embedFiles({ ...options, skipExisting: true });
  assert.equal([again.written.length, again.existing], [0, 3]);
  let asked = 0;
  const stopped = await embedFiles({ ...options, out: join(folder, 'stopped'), stopped: () => asked++ > 0 });
  assert.equal([stopped.finished, stopped.written.length], [false, 1]);
  asked = 0;
  const half = join(folder, 'half.parquet');
  const table = await embedFiles({ ...options, out: half, format: 'parquet', stopped: () => asked++ > 0 });
  assert.equal([table.finished, table.written.length, existsSync(half)], [false, 0, false]);
});

files(
  'broken archives in a folder are left out and listed; one that is given by its own name is an error',
  async () => {
    const own = join(folder, 'archives');
    const good = writeFile(join(own, 'good.wav'), encodeWav(tone(9000, 1), 24000));
    const broken = ['a.tar', 'b.parquet'].map((name) => writeFile(join(own, name), 'words'));
    for (const out of ['archives-out', 'archives.npy', 'archives.parquet']) {
      const { written, skipped } = await embedFiles({ ...settings, inputs: [own], out: join(folder, out) });
      assert.equal(
        written.map(({ input }) => input),
        [good],
      );
      assert.equal(skipped, [
        { path: broken[0], reason: 'ends inside a block, after 5 bytes; fetch or write the archive again' },
        { path: broken[1], reason: skipped[1].reason },
      ]);
      assert.match(skipped[1].reason, /^is no parquet file/);
    }
    const wrong = (input: string) =>
      messageOf(() => embedFiles({ ...settings, inputs: [input], out: join(folder, 'none') }));
    assert.match(await wrong(broken[0]), /a\.tar: ends inside a block/);
    rmSync(good);
    assert.match(
      await wrong(own),
      /archives: no audio files .* there\n {2}.*a\.tar: ends inside .*\n {2}.*b\.parquet: is no/,
    );
  },
);

files('a file that promises more than it holds is left out, not planned for', async () => {
  const own = join(folder, 'liars');
  writeFile(join(own, 'endless.wav'), endlessWav());
  writeFile(join(own, 'good.wav'), encodeWav(tone(9000, 1), 24000));
  const { written, skipped } = await embedFiles({ ...settings, inputs: [own], out: join(folder, 'liars-out') });
  assert.is(written.length, 1);
  assert.equal(
    skipped.map(({ path }) => path),
    [join(own, 'endless.wav')],
  );
  assert.match(skipped[0].reason, /promises 1152921504606847000 bytes of samples but the file holds 18000/);
});

files('pools, layers and formats agree', async () => {
  const input = join(music, 'sub/1.wav');
  const all = await alone(input);
  const [count, frames, dim] = all.shape;
  assert.equal([count, dim], [5, DIM]);
  const at = (layer: number, frame: number, i: number) => all.data[(layer * frames + frame) * dim + i];
  const pooled = (layer: number, how: 'mean' | 'max') =>
    Float32Array.from({ length: dim }, (_, i) => {
      const values = Array.from({ length: frames }, (_, frame) => at(layer, frame, i));
      return how === 'max' ? Math.max(...values) : values.reduce((sum, value) => sum + value, 0) / frames;
    });
  for (const pool of ['mean', 'max'] as const) {
    const several = await alone(input, { pool, layers: [1, 3] });
    assert.equal(several.shape, [2, dim]);
    assert.ok(relativeError(several.data, Float32Array.of(...pooled(1, pool), ...pooled(3, pool))) < 1e-6);
    assert.equal((await alone(input, { pool, layers: [3] })).shape, [dim]);
  }
  const single = await alone(input, { layers: [2] });
  assert.equal(single.shape, [frames, dim]);
  assert.equal(single.data, all.data.subarray(2 * frames * dim, 3 * frames * dim));

  const tensors = join(folder, 'one.safetensors');
  await embedFiles({ ...settings, inputs: [input], out: tensors, dtype: 'F16' });
  const tensor = (await readSafetensors(tensors)).get('hidden_states');
  assert.equal([tensor?.dtype, tensor?.shape], ['F16', all.shape]);
  assert.ok(relativeError(tensor?.data as Float32Array, all.data) < 1e-3);

  const rowsOf = async (path: string) => {
    const { asyncBufferFromFile } = await import('hyparquet');
    return parquetReadObjects({ file: await asyncBufferFromFile(path) });
  };
  const table = join(folder, 'frames.parquet');
  await embedFiles({ ...settings, inputs: [input], out: table, layers: [0, 2] });
  const rows = await rowsOf(table);
  assert.is(rows.length, 2 * frames);
  for (const row of [rows[0], rows[rows.length - 1], rows[7]]) {
    const { path, layer, frame, seconds, embedding } = row as Record<string, number> & { embedding: number[] };
    assert.is(path as unknown, input);
    assert.ok(Math.abs(seconds - (320 * frame + 200) / 24000) < 1e-9);
    assert.equal(
      embedding,
      Array.from({ length: dim }, (_, i) => at(layer, frame, i)),
    );
  }
  const together = join(folder, 'tracks.parquet');
  const result = await embedFiles({ ...settings, inputs: [music], out: together, pool: 'mean', layers: 'mean' });
  assert.equal([result.written.length, result.skipped.length], [3, 2]);
  const tracks = await rowsOf(together);
  assert.equal(
    tracks.map(({ path }) => path),
    ['0.wav', '2.wav', 'sub/1.wav'].map((name) => join(music, name)),
  );
  assert.ok(tracks.every(({ layer, embedding }) => layer === -1 && (embedding as number[]).length === dim));
});

files('rates are checked: resampled with a word, or refused', async () => {
  const input = writeFile(join(folder, 'cd.wav'), encodeWav(tone(17640, 2, 44100), 44100, { format: 'float32' }));
  const log: string[] = [];
  const { shape } = await alone(input, { log: (line: string) => log.push(line) });
  assert.equal(shape, [5, framesOf(9600, FRAME), DIM]);
  assert.match(log.join('\n'), /cd\.wav: 44100 Hz, resampled to the model’s 24000 Hz \(kaiser64\)/);
  const refused = await messageOf(() => alone(input, { resample: 'never' }));
  assert.match(refused, /has 44100 Hz, the model hears 24000/);
  const mert = await loadMert(golden);
  const signal = { samples: tone(24000, 1) } as { samples: Float32Array; sampleRate: number };
  assert.match(await messageOf(() => mert.embed(signal)), /its rate in Hz; it is never guessed/);
  const nan = { samples: Float32Array.of(...tone(999, 1), Number.NaN), sampleRate: 24000 };
  assert.match(await messageOf(() => mert.embed(nan)), /sample 999 is NaN/);
  assert.match(await messageOf(() => mert.embed(join(folder, 'none.wav'))), /none\.wav: there is no such file/);
  const { data, shape: whole, sampleRate } = await mert.embed(join(golden, 'input.wav'));
  const hidden = await readNpy(join(golden, 'hidden.npy'));
  assert.equal([whole, sampleRate], [hidden.shape, 24000]);
  assert.ok(relativeError(data, hidden.data as Float32Array) < 1e-4);
  mert.close();
});

files('an output that does not suit is refused before anything is heard', async () => {
  const wrong = (options: object) =>
    messageOf(() => embedFiles({ ...settings, inputs: [music], out: 'x', ...options }));
  assert.match(await wrong({ out: 'x.parquet', format: 'npy' }), /the name says parquet, --format npy/);
  assert.match(await wrong({ out: 'x.npy' }), /5 files go into a folder, or into one \.parquet/);
  assert.match(await wrong({ out: 'x.parquet', dtype: 'F16' }), /floats of 32 bits/);
  mkdirSync(join(folder, 'twice'));
  for (const name of ['a.wav', 'a.flac']) writeFileSync(join(folder, 'twice', name), 'x');
  assert.match(await wrong({ inputs: [join(folder, 'twice')] }), /would both be written to x\/a\.npy/);
  assert.is(existsSync('x'), false);
});

files('a long recording takes the memory of a window', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const seconds = 40;
  const recording = {
    samples: seconds * 24000,
    async *pieces() {
      for (let i = 0; i < seconds; i++) yield tone(24000, i);
    },
  };
  const embedder = createEmbedder(model, { window: 1, overlap: 0.2, layers: [4] });
  let [most, frames, written] = [0, 0, 0];
  const start = process.memoryUsage().arrayBuffers;
  await embedder.add(recording, {
    async write({ from, to }) {
      frames += to - from;
      if (++written % 10 > 0) return;
      collect();
      most = Math.max(most, process.memoryUsage().arrayBuffers - start);
    },
    finish: async () => {},
    abort: async () => {},
  });
  await embedder.flush();
  assert.is(frames, framesOf(recording.samples, FRAME));
  // All samples are 3.8 MB.
  assert.ok(most < 2.5e6, `${most} bytes`);
});

windows.run();
layers.run();
files.run();
