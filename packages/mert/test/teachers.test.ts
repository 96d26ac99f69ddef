/**
 * Teachers that label whole recordings: the features of the K-means variant against librosa and torchaudio
 * (golden/kmeans_features), and labels in pieces against labels of the whole.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAudio } from '@dawnchorus/dsp';
import { readSafetensors, writeSafetensors } from '@dawnchorus/formats';
import { compile, pad, type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadCodec, saveCodec } from '../src/codec/load.ts';
import { encodeTrack } from '../src/codec/stream.ts';
import { recordingOf } from '../src/data/recording.ts';
import { type FeatureName, features } from '../src/kmeans/features.ts';
import { createKMeansTeacher, loadKMeansTeacher, saveKMeans } from '../src/kmeans/teacher.ts';
import { trainKMeans } from '../src/kmeans/train.ts';
import { loadTeacher, teacherNameAt } from '../src/labels/load.ts';
import { openLabels } from '../src/labels/read.ts';
import { loadRvqTeacher } from '../src/labels/rvq.ts';
import { byCodebook, type CropTeacher, frameCountOf, type Teacher } from '../src/labels/teacher.ts';
import { labelFolder } from '../src/labels/write.ts';
import { hostRandom } from '../src/random.ts';
import { emptyTeacher } from '../src/rvq/teacher.ts';
import { saveTensors } from '../src/training/state.ts';
import {
  goldenArrays,
  goldenPath,
  messageOf,
  openTestDevice,
  relativeError,
  temporaryFolder,
  tinyConfig,
  tone,
  writeTone,
} from './support.ts';

const device = await openTestDevice();
const golden = await goldenArrays('kmeans_features.safetensors');
const folder = temporaryFolder();
const floats = async (x: Tensor) => (await x.data()) as Float32Array;

/** A melody, so that labels change all the time. */
function melody(samples: number, seed: number): Float32Array {
  const random = hostRandom(seed, 99);
  const notes = Array.from({ length: Math.ceil(samples / 3000) }, () => tone(3000, random.integer(0, 23)));
  return Float32Array.from(
    { length: samples },
    (_, i) => notes[Math.floor(i / 3000)][i % 3000] * (0.3 + 0.7 * ((i % 3000) / 3000)),
  );
}

const computing = suite('features');

for (const [name, hop, columns] of [
  ['logmel', 320, 5],
  ['chroma', 320, 5],
] as [FeatureName, number, number][]) {
  computing(`${name} of a recording with zeros beyond its ends is that of librosa and torchaudio`, async () => {
    const { before, compute, dimension, window } = features[name];
    const after = window(24000) - before;
    const x = pad(tensor(golden('x'), { shape: [1, 24000] }), [before, after]);
    const rows = await floats(compute(x, 24000, hop));
    assert.is(rows.length, 76 * dimension);
    const kept = Math.ceil(76 / columns);
    const own = Float32Array.from(
      { length: dimension * kept },
      (_, i) => rows[(i % kept) * columns * dimension + Math.floor(i / kept)],
    );
    assert.ok(relativeError(own, golden(name)) < 1e-4);
  });
}

computing('mfcc has HuBERT’s 39 numbers', async () => {
  const rows = await floats(features.mfcc.compute(tensor(golden('x'), { shape: [1, 24000] }), 24000, 240));
  const own = Float32Array.from({ length: 20 * 39 }, (_, i) => rows[Math.floor(i / 39) * 5 * 39 + (i % 39)]);
  assert.ok(relativeError(own, golden('hubert39')) < 1e-4);
});

/** A teacher whose centres are frames of music. */
async function musicalTeacher(names: readonly FeatureName[], clusters: number, hop = 320): Promise<Teacher> {
  const x = tensor(melody(60_000, 5), { shape: [1, 60_000] });
  const streams = await Promise.all(
    names.map(async (feature) => {
      const { compute, dimension } = features[feature];
      const rows = await floats(compute(x, 24000, hop));
      const centres = new Float32Array(clusters * dimension);
      for (let k = 0; k < clusters; k++) {
        centres.set(rows.subarray(k * 5 * dimension, (k * 5 + 1) * dimension), k * dimension);
      }
      return { feature, clusters, centres };
    }),
  );
  return createKMeansTeacher(24000, hop, streams);
}

/** Labels [codebooks, frames] of a whole at once, by f64 loops over its features. */
async function labelsAtOnce(
  waveform: Float32Array,
  names: readonly FeatureName[],
  centresOf: Map<string, Float32Array>,
) {
  const streams: { labels: number[]; gap: number[] }[] = [];
  for (const name of names) {
    const { before, compute, dimension, window } = features[name];
    const after = before === 0 ? 0 : window(24000) - before;
    const x = pad(tensor(waveform, { shape: [1, waveform.length] }), [before, after]);
    const rows = await floats(compute(x, 24000, 320));
    const centres = centresOf.get(name)!;
    const [labels, gap]: [number[], number[]] = [[], []];
    for (let t = 0; t < rows.length / dimension; t++) {
      const distances = Array.from({ length: centres.length / dimension }, (_, k) => {
        let sum = 0;
        for (let d = 0; d < dimension; d++) sum += (rows[t * dimension + d] - centres[k * dimension + d]) ** 2;
        return sum;
      });
      const sorted = [...distances].sort((a, b) => a - b);
      labels.push(distances.indexOf(sorted[0]));
      gap.push((sorted[1] - sorted[0]) / (sorted[1] + 1e-9));
    }
    streams.push({ labels, gap });
  }
  return streams;
}

const clustering = suite('K-means teachers');

clustering(
  'label in pieces what f64 loops label at once: the pair of MERT’s variant, and MFCC with their deltas',
  async () => {
    for (const names of [['logmel', 'chroma'], ['mfcc']] as FeatureName[][]) {
      const own = await musicalTeacher(names, 12);
      const out = join(folder, `pair-${names.length}`);
      // More than two pieces, and an end off the grid.
      const waveform = melody(320 * 1100 + 77, 6);
      const labels = await own.label(waveform);
      const frames = frameCountOf(own, waveform.length);
      assert.is(frames, names.length === 2 ? 1101 : 1 + Math.floor((waveform.length - 600) / 320));
      assert.is(labels.length, names.length * frames);
      const x = tensor(melody(60_000, 5), { shape: [1, 60_000] });
      const centres = new Map<string, Float32Array>();
      for (const feature of names) {
        const { compute, dimension } = features[feature];
        const rows = await floats(compute(x, 24000, 320));
        centres.set(
          feature,
          Float32Array.from(
            { length: 12 * dimension },
            (_, i) => rows[Math.floor(i / dimension) * 5 * dimension + (i % dimension)],
          ),
        );
      }
      await saveKMeans(out, {
        sampleRate: 24000,
        hop: 320,
        streams: names.map((feature) => ({ feature, clusters: 12, centres: centres.get(feature)! })),
      });
      for (const [k, { labels: expected, gap }] of (await labelsAtOnce(waveform, names, centres)).entries()) {
        assert.is(expected.length, frames);
        let compared = 0;
        for (const [t, label] of expected.entries()) {
          if (gap[t] < 1e-3) continue;
          compared++;
          assert.is(labels[k * frames + t], label, `${names[k]}, frame ${t}`);
        }
        assert.ok(compared > 0.9 * frames);
        assert.ok(new Set(expected).size > 6);
      }
      const loaded = await loadKMeansTeacher(out);
      assert.is(loaded.hash, own.hash);
      assert.equal(await loaded.label(waveform), labels);
    }
  },
);

clustering('one sample, silence and too short a recording have the labels that are due', async () => {
  const pair = await musicalTeacher(['logmel', 'chroma'], 4);
  assert.is((await pair.label(Float32Array.of(0.3))).length, 2);
  const silent = await pair.label(new Float32Array(5000));
  assert.is(silent.length, 2 * 16);
  assert.is(new Set(silent.subarray(0, 16)).size, 1);
  const cepstral = await musicalTeacher(['mfcc'], 4);
  assert.is((await cepstral.label(tone(599, 1))).length, 0);
  assert.is((await cepstral.label(tone(600, 1))).length, 1);
  assert.is((await cepstral.label(tone(920, 1))).length, 2);
});

clustering('features on other grids share the frames that all of them have', async () => {
  const both = await musicalTeacher(['logmel', 'mfcc'], 3);
  const waveform = tone(10_000, 2);
  const labels = await both.label(waveform);
  const frames = 1 + Math.floor((10_000 - 600) / 320);
  assert.is(labels.length, 2 * frames);
  const logmel = await musicalTeacher(['logmel'], 3);
  assert.equal(labels.subarray(0, frames), (await logmel.label(waveform)).subarray(0, frames));
});

// Twelve pitches, some files of each: what the chroma stream must tell apart.
const music = join(folder, 'tones');
for (let i = 0; i < 24; i++) writeTone(join(music, `${String(i).padStart(2, '0')}.wav`), 2.2, i);
const training = { device, data: music, seed: 3, rows: 3000, batchSize: 600, maxEpochs: 6 };
const trained = await trainKMeans({
  ...training,
  streams: [
    { feature: 'chroma', clusters: 12 },
    { feature: 'logmel', clusters: 24 },
  ],
});

clustering('training tells pitches apart', async () => {
  const teacher = createKMeansTeacher(24000, 320, trained.streams);
  const byPitch = new Map<number, Map<number, number>>();
  for (let i = 0; i < 24; i++) {
    const { samples } = await readAudio(join(music, `${String(i).padStart(2, '0')}.wav`));
    const labels = await teacher.label(samples);
    const counts = byPitch.get((i * 7) % 12) ?? new Map<number, number>();
    for (const label of labels.subarray(5, labels.length / 2 - 5)) counts.set(label, (counts.get(label) ?? 0) + 1);
    byPitch.set((i * 7) % 12, counts);
  }
  // Frames of a pitch class fall into few clusters, and different ones.
  const main = [...byPitch.values()].map((counts) => [...counts].sort((a, b) => b[1] - a[1])[0]);
  assert.ok(new Set(main.map(([label]) => label)).size >= 10);
  for (const counts of byPitch.values()) {
    const all = [...counts.values()];
    assert.ok(Math.max(...all) / all.reduce((a, b) => a + b) > 0.45);
  }
  for (const report of trained.reports) {
    assert.ok(report.inertia < 0.5 * report.variance, `${report.feature}: ${report.inertia} of ${report.variance}`);
    assert.ok(report.used > report.clusters / 2 && report.perplexity > 4);
    assert.is(
      report.counts.reduce((a, b) => a + b, 0),
      3000,
    );
  }
});

clustering('the same seed gives the same teacher, another seed, Lloyd and standardised features others', async () => {
  const data = join(folder, 'few tones');
  for (let i = 0; i < 6; i++) writeTone(join(data, `${i}.wav`), 2.2, i);
  const streams = [{ feature: 'chroma', clusters: 12 }] as const;
  const hashOf = async (more: object) => {
    const result = await trainKMeans({ ...training, data, rows: 700, batchSize: 200, streams, ...more });
    return createKMeansTeacher(24000, 320, result.streams).hash;
  };
  const first = await hashOf({});
  assert.is(await hashOf({}), first);
  const others = [await hashOf({ seed: 4 }), await hashOf({ method: 'lloyd' }), await hashOf({ standardise: true })];
  assert.is(new Set([first, ...others]).size, 4);
});

clustering('standardised features are labelled by what was learnt of them, and survive the file', async () => {
  const result = await trainKMeans({ ...training, streams: [{ feature: 'logmel', clusters: 8 }], standardise: true });
  const out = join(folder, 'standardised');
  await saveKMeans(out, result);
  const loaded = await loadKMeansTeacher(out);
  const waveform = melody(40_000, 8);
  const labels = await loaded.label(waveform);
  assert.equal(labels, await createKMeansTeacher(24000, 320, result.streams).label(waveform));
  const { scale, ...plain } = result.streams[0];
  assert.ok(scale);
  assert.not.equal(labels, await createKMeansTeacher(24000, 320, [plain]).label(waveform));
});

clustering('mistakes of training and of files are named', async () => {
  assert.match(
    await messageOf(() => trainKMeans({ ...training, rows: 1e9, streams: [{ feature: 'chroma' }] })),
    /1000000000 rows; this adapter has room for 1 to \d+ of 264 numbers/,
  );
  assert.match(
    await messageOf(() => trainKMeans({ ...training, rows: 100, streams: [{ feature: 'chroma' }] })),
    /200 clusters of chroma; expected 1 to 100, and no more than rows/,
  );
  const none = join(folder, 'none');
  mkdirSync(none, { recursive: true });
  assert.match(
    await messageOf(() => trainKMeans({ ...training, data: none, streams: [{ feature: 'mfcc' }] })),
    /no audio files/,
  );
  assert.match(
    await messageOf(() => loadKMeansTeacher(none)),
    /kmeans\.json: cannot be read; a K-means teacher is the folder/,
  );

  const damaged = join(folder, 'damaged');
  await saveKMeans(damaged, trained);
  const weights = await readSafetensors(join(damaged, 'kmeans.safetensors'));
  weights.delete('chroma.centres');
  await writeSafetensors(join(damaged, 'kmeans.safetensors'), [
    ['logmel.centres', { dtype: 'F32', shape: [1, 229], data: new Float32Array(229) }],
    ['other', { dtype: 'F32', shape: [1], data: new Float32Array(1) }],
  ]);
  assert.match(
    await messageOf(() => loadKMeansTeacher(damaged)),
    /chroma\.centres \[12,264\] is missing\n\s+logmel\.centres is F32 \[1,229\], expected F32 \[24,229\]\n\s+other is not expected/,
  );
  const json = JSON.parse(readFileSync(join(damaged, 'kmeans.json'), 'utf8'));
  writeFileSync(
    join(damaged, 'kmeans.json'),
    JSON.stringify({ ...json, hop: 0, streams: [{ feature: 'cqt', clusters: 2, standardised: false }] }),
  );
  assert.match(
    await messageOf(() => loadKMeansTeacher(damaged)),
    /is no K-means teacher:\n {2}hop: [\s\S]*\n {2}streams\.0\.feature: /,
  );
});

const acoustic = suite('the RVQ teacher');

const run = join(folder, 'run');
const rvq = emptyTeacher({ ...tinyConfig().rvq, channels: 4, dimension: 8, numCodebooks: 3, codebookSize: 32 }, 1);
{
  const random = hostRandom(1);
  for (const [i, codebook] of rvq.quantizer.codebooks.entries()) {
    codebook.embed = tensor(
      Float32Array.from({ length: 32 * 8 }, () => (random.uniform() - 0.5) * 0.6 ** (i + 1)),
      { shape: [32, 8] },
    );
  }
  mkdirSync(join(run, 'teacher'), { recursive: true });
  await saveTensors(join(run, 'teacher', 'rvq.safetensors'), rvq.named());
}

acoustic('labels in pieces what it encodes at once, wherever its file is named', async () => {
  const waveform = melody(320 * 2100 + 99, 9);
  const codes = rvq.encode(tensor(waveform, { shape: [1, waveform.length] }));
  assert.equal([...codes.shape], [3, 1, 2100]);
  const all = await codes.data();
  const expected = [0, 1, 2].map((k) => all.subarray(k * 2100, (k + 1) * 2100));
  const teachers = await Promise.all(
    [run, join(run, 'teacher'), join(run, 'teacher', 'rvq.safetensors')].map((path) => loadTeacher('rvq', path)),
  );
  const labels = await teachers[0].label(waveform);
  assert.equal(teachers[0].codebooks, [32, 32, 32]);
  assert.is(labels.length, 3 * 2100);
  // Sums in another order may tip a near tie, and then the stages after it.
  const wrong = (k: number, from: number, to: number) =>
    Array.from({ length: to - from }, (_, t) => labels[k * 2100 + from + t] !== expected[k][from + t]).filter(Boolean)
      .length;
  for (let k = 0; k < 3; k++) {
    assert.ok(wrong(k, 0, 2100) <= 4, `codebook ${k}: ${wrong(k, 0, 2100)}`);
    // Where pieces meet, nothing is different.
    for (const seam of [1000, 2000]) assert.ok(wrong(k, seam - 3, seam + 3) <= 1);
    assert.ok(new Set(expected[k]).size > 8);
  }
  assert.is(new Set(teachers.map(({ hash }) => hash)).size, 1);
  assert.is((await teachers[0].label(tone(319, 1))).length, 0);
});

acoustic('labels music at the rate that it was trained at', async () => {
  const path = join(folder, 'slow', 'rvq.safetensors');
  mkdirSync(join(folder, 'slow'), { recursive: true });
  await saveTensors(path, rvq.named(), { sampleRate: '16000' });
  const [slow, usual] = [await loadTeacher('rvq', path), await loadTeacher('rvq', run)];
  assert.equal([slow.sampleRate, usual.sampleRate], [16000, 24000]);
  assert.is.not(slow.hash, usual.hash);
});

acoustic('what is no RVQ teacher is refused', async () => {
  assert.match(await messageOf(() => loadRvqTeacher(folder)), /there is no rvq\.safetensors in it/);
  const other = goldenPath('kmeans.safetensors');
  assert.match(
    await messageOf(() => loadRvqTeacher(other)),
    /holds no quantizer\.layers\.0\.codebook\.embed; it is no RVQ teacher/,
  );
  await assert.ok(
    await messageOf(() => loadTeacher('rvq', run, { bandwidth: 6 })).then((text) => text.includes('are for encodec')),
  );
});

const codec = suite('EnCodec as a teacher');

codec('gives the codes of mert codec encode', async () => {
  const path = goldenPath('codec_encodec.th');
  const own = await loadTeacher('encodec', path, { codebooks: 2 });
  const model = await loadCodec(path);
  const waveform = melody(9001, 3);
  const { codes, frames } = await encodeTrack(model, [waveform], { codebooks: 2 });
  assert.equal(own.codebooks, [model.config.codebookSize, model.config.codebookSize]);
  assert.is(frameCountOf(own, waveform.length), frames);
  assert.equal(await own.label(waveform), codes);
  const pieces: Int32Array[] = [];
  for await (const piece of own.stream(recordingOf(waveform))) pieces.push(piece);
  assert.equal(byCodebook(Int32Array.from(pieces.flatMap((piece) => [...piece])), 2), codes);
  assert.is((await loadTeacher('encodec', path, { codebooks: 2 })).hash, own.hash);
  assert.is.not((await loadTeacher('encodec', path, { codebooks: 1 })).hash, own.hash);
});

codec('its labels are kept with how the music was resampled', async () => {
  const data = join(folder, 'one');
  mkdirSync(data, { recursive: true });
  copyFileSync(join(music, '00.wav'), join(data, 'a.wav'));
  const teacher = await loadTeacher('encodec', goldenPath('codec_encodec.th'));
  const out = join(folder, 'codes');
  await labelFolder({ data, out, teacher });
  const header = JSON.parse(readFileSync(join(out, 'manifest.jsonl'), 'utf8').split('\n')[0]);
  assert.is(header.resample, 'hann6');
  await using labels = await openLabels(out, teacher);
  const { samples } = await readAudio(join(data, 'a.wav'));
  assert.equal(await labels.read('a.wav'), await teacher.label(samples));
  assert.equal(await labels.verify({ data }), []);
});

const crops = suite('teachers of crops');

const kmeans = join(folder, 'kmeans-of-crops');
await saveKMeans(kmeans, {
  sampleRate: 24000,
  hop: 320,
  streams: (['logmel', 'chroma', 'mfcc'] as const).map((feature, i) => {
    const random = hostRandom(i, 3);
    const centres = Float32Array.from({ length: 9 * features[feature].dimension }, () => random.uniform() * 4 - 6);
    return { feature, clusters: 9, centres };
  }),
});

/** The random codec, with entries among its own latents: all others are nearest to one or two. */
const livelyCodec = join(folder, 'codec-of-crops');
{
  const model = await loadCodec(goldenPath('codec_encodec.th'));
  const waveform = tensor(melody(9600, 5), { shape: [1, 9600] });
  const { codebooks } = model.quantizer;
  for (const [i, codebook] of codebooks.entries()) {
    const rows = model
      .latents(waveform)
      .select(0, 0)
      .permute([1, 0])
      .sliceAxis(0, 3 * i, 24 + 3 * i, 3);
    codebook.embed = i === 0 ? rows.add(0) : rows.sub(rows.mean({ dim: 0 })).mul(0.5 ** i);
  }
  await saveCodec(livelyCodec, model);
}

for (const [name, path] of [
  ['kmeans', kmeans],
  ['rvq', run],
  ['encodec', livelyCodec],
] as const) {
  crops(`${name} labels each crop of a batch as a recording of its own, compiled as well`, async () => {
    assert.is(teacherNameAt(path), name);
    const teacher: CropTeacher = await loadTeacher(name, path);
    const compiled = compile((x: Tensor) => teacher.encode(x));
    for (const samples of [6000, 12_077]) {
      // The second as quiet as no other: what is made of a batch must not be of all of it.
      const clips = [melody(samples, 1), melody(samples, 2).map((x) => x * 0.1), melody(samples, 3)];
      const frames = frameCountOf(teacher, samples);
      const expected = await Promise.all(clips.map((clip) => teacher.label(clip)));
      const used = new Set(expected.flatMap((own) => [...own])).size;
      assert.ok(used > 4, `${used} labels in all`);
      const x = tensor(Float32Array.from(clips.flatMap((clip) => [...clip])), { shape: [3, samples] });
      // Compiled in one length alone: each other has kernels of its own.
      for (const encode of samples === 6000 ? [teacher.encode, compiled] : [teacher.encode]) {
        const codes = encode(x);
        assert.equal([...codes.shape, codes.dtype], [teacher.codebooks.length, 3, frames, 'i32']);
        const all = await codes.data();
        let wrong = 0;
        for (let k = 0; k < teacher.codebooks.length; k++) {
          for (let b = 0; b < 3; b++) {
            for (let t = 0; t < frames; t++) {
              if (all[(k * 3 + b) * frames + t] !== expected[b][k * frames + t]) wrong++;
            }
          }
        }
        // Sums in another order may tip a near tie, and then the stages after it.
        assert.ok(wrong <= 0.01 * all.length, `${wrong} of ${all.length}`);
      }
    }
    compiled.dispose();
    teacher.dispose();
  });
}

crops('a path that is nowhere is no teacher', async () => {
  assert.match(
    await messageOf(() => teacherNameAt(join(folder, 'nowhere'))),
    /nowhere: there is no such file or folder; a teacher is/,
  );
});

for (const tests of [computing, clustering, acoustic, codec, crops]) tests.run();
