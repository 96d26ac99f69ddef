import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseMidi } from 'midi-file';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keys } from '../src/evaluation/classes.ts';
import { splits, taskNames } from '../src/evaluation/names.ts';
import { checkHeldOut, readProxy } from '../src/evaluation/proxy.ts';
import { proxyKind, proxyKinds } from '../src/proxies/catalogue.ts';
import { chartName, chordTones, drawChart, scaleTones } from '../src/proxies/chart.ts';
import { fontsBySplit, knownFonts } from '../src/proxies/fonts.ts';
import { hashProxy, makeProxy } from '../src/proxies/make.ts';
import { bend, midiFile, noteOff, noteOn } from '../src/proxies/midi.ts';
import { countsOf } from '../src/proxies/plan.ts';
import { findTools, MissingProgram } from '../src/proxies/programs.ts';
import { playSong } from '../src/proxies/song.ts';
import { families, stylesBySplit } from '../src/proxies/styles.ts';
import { hostRandom } from '../src/random.ts';
import { krumhanslKey, majorityClass, trackBeats } from '../src/yardsticks/index.ts';

const fonts = fontsBySplit(knownFonts.map((font) => ({ ...font, path: `/nowhere/${font.file}` })));

test('tasks without an honest proxy are refused, with the reason and what is honest instead', () => {
  assert.throws(
    () => proxyKind('emotion'),
    /no honest proxy: arousal and valence are what listeners felt[\s\S]*--task expression/,
  );
  assert.throws(() => proxyKind('technique'), /no synthesizer here sings[\s\S]*--task articulation/);
  assert.throws(() => proxyKind('singer'), /--task preset/);
  assert.throws(() => proxyKind('mood-tagging'), /no honest proxy[\s\S]*needs its data set/);
  assert.throws(() => proxyKind('tempo'), /there is no task tempo; expected one of tagging, key/);
  for (const task of taskNames) {
    const own = proxyKinds.find(({ kind }) => kind === task);
    if (own) assert.is(own.task, task);
  }
  for (const { name } of proxyKinds) assert.match(name, /^proxy-/);
});

test('what is missing is named with the line that installs it', async () => {
  const path = process.env.PATH;
  process.env.PATH = '/nowhere';
  try {
    await findTools({ songs: true, lineages: [] });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, MissingProgram);
    assert.match(
      (error as Error).message,
      /apt-get install --no-install-recommends fluidsynth mma fluidr3mono-gm-soundfont timgm6mb-soundfont$/,
    );
  } finally {
    process.env.PATH = path;
  }
});

test('no lineage, font, seed or phrase of the test is in training, and a leak is found', () => {
  const counts = countsOf(60);
  for (const kind of proxyKinds.filter((own) => !own.songs)) {
    const plans = kind.plan({ counts, seed: 3, fonts, styles: '' });
    assert.is(plans.length, 60);
    checkHeldOut(plans, kind.heldOut, kind.name);
    for (const split of splits) assert.is(plans.filter((plan) => plan.split === split).length, counts[split]);
    for (const group of kind.heldOut) {
      const leaked = plans.map((plan, i) =>
        i === 0 ? { ...plan, groups: { ...plan.groups, [group]: plans[59].groups[group] } } : plan,
      );
      assert.throws(() => checkHeldOut(leaked, kind.heldOut, kind.name), new RegExp(`${group} .* is in two splits`));
    }
  }
  for (const kind of ['key', 'beats', 'separation']) {
    const { plan, heldOut, name } = proxyKind(kind);
    const plans = plan({ counts, seed: 3, fonts, styles: '', own: true });
    checkHeldOut(plans, heldOut, name);
    const charts = plans.map(({ groups }) => groups.chart);
    assert.is(new Set(charts).size, charts.length);
    // Another seed has other clips; the same one the same.
    const groupsOf = (seed: number) => plan({ counts, seed, fonts, styles: '', own: true }).map(({ groups }) => groups);
    assert.equal(
      groupsOf(3),
      plans.map(({ groups }) => groups),
    );
    assert.not.equal(groupsOf(4), groupsOf(3));
  }
  const { train, valid, test: held } = stylesBySplit('all');
  assert.is(new Set([...train, ...valid, ...held]).size, train.length + valid.length + held.length);
  for (const own of Object.values(families)) {
    for (const styles of [train, valid, held]) assert.ok(own.some((style) => styles.includes(style)));
  }
});

test('charts begin and end on the tonic, by V7, within the key but for dominants', () => {
  for (let seed = 0; seed < 40; seed++) {
    const mode = seed % 2 ? 'major' : 'minor';
    const chart = drawChart(hostRandom(seed), mode, seed % 3 ? 4 : 3);
    assert.is(chart.length, 8);
    assert.is(chart[0][0].degree, 0);
    assert.is(chart[7].at(-1)?.degree, 0);
    assert.equal(chart[6], [{ degree: 7, kind: '7' }]);
    assert.is(chartName(chart), chartName(drawChart(hostRandom(seed), mode, seed % 3 ? 4 : 3)));
  }
  assert.equal(chordTones(9, { degree: 0, kind: 'm7' }), [9, 0, 4]);
  assert.equal(chordTones(0, { degree: 2, kind: 'm7b5' }), [2, 5, 8]);
  assert.equal(scaleTones(2, 'major'), [2, 4, 6, 7, 9, 11, 1]);
});

test('songs of our own have their beats, parts and pitch classes', async () => {
  const chart = drawChart(hostRandom(5), 'major', 4);
  const groove = { style: 'own-push', name: 'own-push', metre: 4 as const, family: undefined };
  const plan = { seed: 5, groove, chart, tonic: 3, mode: 'major' as const, tempo: 120, drift: 0, melody: 73 };
  const song = await playSong(plan);
  assert.is(song.beats.length, 2 * 8 * 4);
  assert.ok(song.beats.every((time, i) => Math.abs(time - i / 2) < 1e-9));
  assert.is(song.downbeats.length, 16);
  assert.equal([...new Set(song.messages.map(({ part }) => part))].sort(), ['bass', 'drums', 'melody', 'other']);
  const bass = song.notes.filter(({ channel }) => channel === 1);
  for (const { start, pitch } of bass) {
    const bar = chart[Math.floor((start + 0.1) / 2) % 8];
    const tones = bar.flatMap((chord) => chordTones(3, chord));
    assert.ok(tones.includes(pitch % 12), `bass ${pitch} at ${start}`);
  }
  const drifting = await playSong({ ...plan, drift: 0.08 });
  const steps = drifting.beats.slice(1).map((time, i) => time - drifting.beats[i]);
  assert.ok(steps.every((step) => step > 0.5 / 1.081 && step < 0.5 / 0.919));
  assert.ok(Math.max(...steps) - Math.min(...steps) > 0.01);
});

test('segments become a MIDI file that ends in silence', () => {
  const messages = [noteOn(0.5, 2, 60, 90), bend(0.6, 2, -2), noteOff(1, 2, 60)];
  const { header, tracks } = parseMidi(midiFile([{ at: 3, segment: { messages, seconds: 2 } }], 6));
  assert.is(header.ticksPerBeat, 9600);
  let tick = 0;
  const events = tracks[0].map((event) => ({ time: (tick += event.deltaTime) / 19200, event }));
  const at = (type: string) => events.filter(({ event }) => event.type === type).map(({ time }) => time);
  assert.equal(at('noteOn'), [3.5]);
  assert.equal(at('noteOff'), [4]);
  assert.is(events.filter(({ time, event }) => time === 6 && event.type === 'controller').length, 16);
});

test('yardsticks: profiles know keys, beats follow a pulse, the commonest class is found', () => {
  for (const [i, key] of keys.entries()) {
    const scale = scaleTones(i % 12, i < 12 ? 'major' : 'minor');
    const chroma = Array.from({ length: 12 }, (_, c) => (c === i % 12 ? 2 : scale.includes(c) ? 1 : 0));
    chroma[((i % 12) + 7) % 12] += 0.5;
    chroma[((i % 12) + (i < 12 ? 4 : 3)) % 12] += 0.4;
    assert.is(krumhanslKey(chroma), key);
  }
  assert.throws(() => krumhanslKey([1, 2]), /2 pitch classes; expected 12/);
  const onsets = Array.from({ length: 400 }, (_, t) => (t % 40 === 7 ? 1 : 0.02 * ((t * 7919) % 13)));
  const beats = trackBeats(onsets, 39);
  assert.ok(beats.length >= 9 && beats.every((t) => Math.abs(((((t - 7) % 40) + 60) % 40) - 20) <= 1), beats.join(' '));
  assert.equal(trackBeats(new Float64Array(50), 10), []);
  assert.throws(() => trackBeats(onsets, 0), /a period of 0 frames/);
  assert.is(majorityClass([2, 1, 1, 2, 2]), 2);
  assert.throws(() => majorityClass([]), /no labels/);
});

test('proxies are made, the same each time, and go on where they were stopped', async () => {
  try {
    await findTools({ songs: true });
  } catch (error) {
    console.log(`SKIPPED: ${(error as Error).message.split('\n').join(' ')}`);
    return;
  }
  const root = mkdtempSync(join(tmpdir(), 'dawnchorus-proxies-'));
  const folder = (name: string) => join(root, name);
  try {
    for (const [task, clips] of [
      ['pitch', 6],
      ['separation', 3],
      ['tagging', 5],
    ] as const) {
      const result = await makeProxy({ task, clips, out: folder(task), seed: 2 });
      assert.ok(result.finished);
      const { description, clips: made } = await readProxy(folder(task));
      assert.is(made.length, clips);
      assert.ok(description.name.startsWith('proxy-') && made.every(({ groups }) => groups.lineage !== undefined));
      checkHeldOut(made, description.heldOut);
      assert.equal(readdirSync(folder(task)).sort(), ['audio', 'clips.jsonl', 'proxy.json']);
    }
    // Stopped after the first of two fonts; the same call goes on, to the same files as in one go.
    const beats = { task: 'beats', clips: 3, seed: 2 };
    let asked = 0;
    const first = await makeProxy({ ...beats, out: folder('two'), stopped: () => asked++ > 0 });
    assert.not(first.finished);
    assert.throws(() => readFileSync(join(folder('two'), 'proxy.json')));
    const other = await makeProxy({ ...beats, seed: 3, out: folder('two') }).catch((error: Error) => error.message);
    assert.match(String(other), /was begun with other settings/);
    assert.ok((await makeProxy({ ...beats, out: folder('two') })).finished);
    await makeProxy({ ...beats, out: folder('one') });
    assert.is(await hashProxy(folder('two')), await hashProxy(folder('one')));
    const again = await makeProxy({ ...beats, out: folder('one') }).catch((error: Error) => error.message);
    assert.match(String(again), /already holds a proxy/);
  } finally {
    rmSync(root, { recursive: true });
  }
});

test.run();
