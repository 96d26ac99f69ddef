/** Features that are made once, sweeps, ensembles, decoders, and the evaluation of all that is found. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeWav } from '@dawnchorus/dsp';
import { concat } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeBeats, decodeDownbeats } from '../src/evaluation/beats/decode.ts';
import { beatTargets } from '../src/evaluation/beats/prober.ts';
import { evaluate } from '../src/evaluation/evaluate.ts';
import { extractFeatures, StoppedError } from '../src/evaluation/features/extract.ts';
import { controlNames, type FeatureSource, openSource } from '../src/evaluation/features/source.ts';
import { windowSamples } from '../src/evaluation/features/windows.ts';
import { loadTask } from '../src/evaluation/loaders/index.ts';
import { beat } from '../src/evaluation/metrics/index.ts';
import { ensemble } from '../src/evaluation/probe/ensemble.ts';
import { layerChoices, probe } from '../src/evaluation/probe/probe.ts';
import { type ProbeSettings, paperSettings } from '../src/evaluation/probe/settings.ts';
import { published } from '../src/evaluation/published.ts';
import { htmlReport } from '../src/evaluation/report/html.ts';
import { taskOf } from '../src/evaluation/tasks.ts';
import { yardstick } from '../src/evaluation/yardstick.ts';
import * as make from './evaluation-support.ts';
import { messageOf, openTestDevice, temporaryFolder, writeFile } from './support.ts';

const device = await openTestDevice();
const settings: ProbeSettings = { ...paperSettings, rates: [1e-2], seeds: [7], hidden: 16, epochs: 4, layer: 'sweep' };

const features = suite('features');

features('are made once, go on after a stop, and leave out what cannot be read', async () => {
  const root = temporaryFolder();
  const folder = make.makeNsynth(join(root, 'NSynth'));
  let data = await loadTask('instrument', folder);
  // More clips than one part holds, by hearing each three times.
  data = {
    ...data,
    clips: ['a', 'b', 'c'].flatMap((name) => data.clips.map((clip) => ({ ...clip, id: name + clip.id }))),
  };
  writeFileSync(data.clips[5].path, 'no audio');
  let heard = 0;
  const source: FeatureSource = {
    ...make.oracle(),
    hear: (clips) => {
      heard += clips.length;
      return make.oracle().hear(clips);
    },
  };
  const cache = join(root, 'cache');
  let parts = 0;
  const stopped = () => parts === 1;
  const error = await extractFeatures(source, data, { cache, stopped, onPart: () => parts++ }).catch((own) => own);
  assert.instance(error, StoppedError);
  assert.is(heard, 62);
  const table = await extractFeatures(source, data, { cache });
  assert.is(heard, 93);
  assert.is(table.skipped.length, 3);
  assert.match(table.skipped[0].reason, /no audio|not-audio|is no WAV/);
  await extractFeatures(source, data, { cache });
  assert.is(heard, 93);
  const [clip] = data.clips;
  assert.equal([...(await table.read(clip.id, [0], 0, 1))], [1, 0, 0, 0]);
  // Another file under the same name is another data set.
  writeFile(clip.path, encodeWav(make.codedTone(2), 24000));
  assert.equal([...(await (await extractFeatures(source, data, { cache })).read(clip.id, [0], 0, 1))], [0, 0, 1, 0]);
  assert.is(readdirSync(join(cache, readdirSync(cache)[0])).length, 2);
});

features('come from encoders and controls, 75 frames a second', async () => {
  const clips = [make.codedTone(1, 0.4), make.codedTone(3, 0.4)];
  for (const name of controlNames) {
    const source = await openSource(name, device);
    const states = source.hear(clips);
    assert.equal(states.shape, [1, 2, 31, source.dimension], name);
    assert.ok(((await states.data()) as Float32Array).every(Number.isFinite), name);
    states.dispose();
    source.dispose();
  }
  const random = await openSource('random', device);
  const states = random.hear(clips);
  assert.equal(states.shape, [random.layers, 2, 29, random.dimension]);
  random.dispose();
  states.dispose();
  assert.match(await messageOf(() => openSource('nowhere', device)), /no model folder nowhere/);
});

features('of windows: the rest is dropped, but not in separation', () => {
  const second = 24000;
  assert.equal(windowSamples(taskOf('emotion'), 12 * second), [5 * second, 5 * second]);
  assert.equal(windowSamples(taskOf('emotion'), 3 * second), [3 * second]);
  assert.equal(windowSamples(taskOf('separation'), 7 * second), [6 * second, second]);
  assert.equal(windowSamples(taskOf('genre'), 7 * second), [7 * second]);
});

const choices = suite('choices');

choices('of layers', async () => {
  const source = { ...make.oracle(), layers: 3, firstSummed: 1 };
  assert.equal(layerChoices(source, 'sweep'), [0, 1, 2, 'weighted']);
  assert.equal(layerChoices(source, 'weighted'), ['weighted']);
  assert.equal(layerChoices({ ...source, layers: 1, firstSummed: 0 }, 'sweep'), [0]);
  assert.match(await messageOf(() => layerChoices(source, 3)), /has layers 0 to 2/);
});

choices('of a sweep are those of the layer that knows the answer, and a sum finds it', async () => {
  const root = temporaryFolder();
  const data = await loadTask('instrument', make.makeNsynth(join(root, 'NSynth')));
  const own = make.oracle();
  // Layer 1 knows, layers 0 and 2 hear nothing.
  const source: FeatureSource = {
    ...own,
    ...{ layers: 3, firstSummed: 0, name: 'three', hash: 'three'.padEnd(64, '0') },
    hear: (clips) => {
      const known = own.hear(clips);
      return concat([known.mul(0), known, known.mul(0)]);
    },
  };
  const result = await probe({
    device,
    source,
    data,
    cache: join(root, 'cache'),
    settings: { ...settings, epochs: 60, patience: 60, rates: [3e-2] },
  });
  assert.is(result.metrics.accuracy.mean, 1);
  assert.ok(result.chosen.layer === 1 || result.chosen.layer === 'weighted');
  assert.equal(
    result.layers.map(({ layer }) => layer),
    [0, 1, 2, 'weighted'],
  );
  assert.is(result.layers[1].valid, 1);
  assert.ok(result.layers[0].valid < 0.5);
});

choices('of ensembles', () => {
  const truth = [1, 0];
  const windows = [
    [3, 0],
    [0, 1],
    [0, 1],
  ].map((logits) => ({ song: 'a', truth, logits: Float64Array.from(logits) }));
  const predicted = (strategy: Parameters<typeof ensemble>[1]) => ensemble(windows, strategy)[0].logits;
  assert.equal([...predicted('gmean')], [1, 2 / 3]);
  assert.equal([...predicted('vote')], [1 / 3, 2 / 3]);
  assert.equal([...predicted('max')], [3, 1]);
  assert.ok(predicted('mean')[0] < predicted('mean')[1]);
});

const decoder = suite('beat decoder');

decoder('finds steady beats over its range of tempi, from noisy activations too', () => {
  for (const bpm of [58, 90, 120, 168, 208]) {
    const beats = Array.from({ length: Math.floor((20 * bpm) / 60) }, (_, i) => 0.2 + (i * 60) / bpm);
    const targets = beatTargets(
      { id: '', path: '', split: 'test', song: '', beats, downbeats: beats.filter((_, i) => i % 3 === 1) },
      1500,
    );
    const noise = (t: number) => 0.04 * (1 + Math.sin(t * 12.9898));
    const activation = (column: number) =>
      Float64Array.from({ length: 1500 }, (_, t) => Math.min(0.99, 0.9 * targets[2 * t + column] + noise(t)));
    const found = decodeBeats(activation(0), { framesPerSecond: 75 });
    assert.ok(beat(beats, found).f70ms > 0.97, `${bpm} bpm: ${beat(beats, found).f70ms}`);
    const bars = decodeDownbeats(found, activation(1), 75);
    assert.ok(
      beat(
        beats.filter((_, i) => i % 3 === 1),
        bars,
      ).f70ms > 0.9,
      `${bpm} bpm: bars`,
    );
  }
  assert.equal(decodeBeats(new Float64Array(100), { framesPerSecond: 75 }), []);
  assert.throws(() => decodeBeats([1], { framesPerSecond: 75, minBpm: 300 }), /expected intervals/);
});

const whole = suite('evaluation');

whole('fills one table, goes on where it was, and loses nothing to a task that fails', async () => {
  const root = temporaryFolder();
  make.makeNsynth(join(root, 'NSynth'));
  make.makeEmoMusic(join(root, 'EMO'));
  const broken = make.makeMagnaTagATune(join(root, 'MTT'));
  for (const digit of ['d', 'f'])
    for (const name of readdirSync(join(broken, digit))) writeFileSync(join(broken, digit, name), 'x');
  const lines: string[] = [];
  const run = () =>
    evaluate({
      ...{ device, model: 'logmel', tasks: ['tagging', 'key', 'emotion', 'pitch'], data: root, out: join(root, 'out') },
      ...{
        settings: { ...settings, seeds: [7, 8] },
        controls: ['shuffled', 'yardstick'],
        log: (line) => lines.push(line),
      },
    });
  const report = await run();
  assert.equal(
    report.tasks.map(({ task }) => task),
    ['tagging', 'emotion', 'pitch'],
  );
  assert.match(report.tasks[0].failed[0].error, /no clip of test can be heard/);
  assert.equal(
    report.missing.map(({ task }) => task),
    ['key'],
  );
  assert.equal(
    report.tasks[1].results.map(({ name }) => name),
    ['logmel', 'shuffled labels'],
  );
  assert.equal(
    report.tasks[2].results.map(({ name }) => name),
    ['logmel', 'shuffled labels', 'yardstick'],
  );
  assert.ok(report.tasks[2].results[0].result.metrics.accuracy.spread !== null);
  const read = (name: string) => readFileSync(join(root, 'out', name), 'utf8');
  assert.match(read('report.md'), /\| key \| GiantSteps \(missing\) \| weighted_score \|.*63\.5/);
  assert.match(read('report.md'), /pitch \| NSynth \| accuracy \| \d+\.\d ± \d+\.\d/);
  assert.match(read('report.md'), /tagging \(MagnaTagATune\), logmel: failed/);
  const html = read('report.html');
  assert.match(html, /confusion matrix/);
  assert.not.match(html, /<script|src=|href=/);
  const json = JSON.parse(read('report.json'));
  assert.is(json.tasks.length, 3);
  lines.length = 0;
  assert.equal((await run()).tasks[1], report.tasks[1]);
  assert.is(lines.filter((line) => line.includes('done before')).length, 4);
});

whole('probes keys under any of their names, and names a class that is none', async () => {
  const root = temporaryFolder();
  const data = await loadTask('key', make.makeGiantSteps(join(root, 'GS')));
  const named = (classes: string[]) =>
    probe({
      ...{
        device,
        source: make.oracle(),
        cache: join(root, 'cache'),
        settings: { ...settings, epochs: 40, rates: [3e-2] },
      },
      data: { ...data, classes },
    });
  const sharps = ['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B'];
  const found = await named(['major', 'minor'].flatMap((mode) => sharps.map((tonic) => `${tonic} ${mode}`)));
  assert.is(found.metrics.weighted_score.mean, 1);
  const message = await messageOf(() => named(['C major', 'D-flat major', 'D major', 'H major']));
  assert.match(
    message,
    /GiantSteps: its first metric is weighted_score, but .*“D-flat major” is no key; expected a tonic and a mode/,
  );
});

whole('credits no class with what a yardstick takes for another', async () => {
  const root = temporaryFolder();
  make.makeNsynth(join(root, 'NSynth'));
  make.makeGiantSteps(join(root, 'GS'));
  const cases = [
    // Tones of about 120 to 192 Hz, and neither pitches nor keys that are anywhere near.
    { data: await loadTask('pitch', join(root, 'NSynth')), classes: ['97', '98', '99', '100'], first: 60 },
    { data: await loadTask('key', join(root, 'GS')), classes: ['E major', 'C# major', 'A minor', 'C minor'], first: 0 },
  ];
  for (const { data, classes, first } of cases) {
    const clips = data.clips.map((clip) => ({ ...clip, classes: clip.classes?.map((k) => k - first) }));
    const result = await yardstick({ ...data, classes, clips });
    assert.ok(result);
    for (const [metric, { mean }] of Object.entries(result.metrics)) assert.is(mean, 0, `${data.name}: ${metric}`);
    // Two clips of each class, all in the column of what is none of them.
    assert.equal(result.confusion, Array(4).fill([0, 0, 0, 0, 2]));
    assert.equal(
      result.perClass.map(({ values, examples }) => [values.recall, examples]),
      Array(4).fill([0, 2]),
    );
    const task = { ...{ task: data.task.name, data: data.name, proxy: false, folder: '' }, failed: [] };
    const results = [{ name: 'yardstick', result }];
    const html = htmlReport({ model: 'none', settings, tasks: [{ ...task, results }], missing: [] });
    assert.match(html, `${classes[0]} taken for ${classes[0]}: 0 of 2`);
  }
});

whole('knows what was published', () => {
  assert.is(published('beats', 'f70ms', 'MERT-95M'), 0.883);
  assert.is(published('separation', 'sdr_bass', 'MERT-330M'), 3.6);
  assert.is(published('beats', 'f70ms', 'CLMR'), undefined);
  assert.is(published('emotion', 'r2_valence', 'MULE'), 0.607);
});

features.run();
choices.run();
decoder.run();
whole.run();
