/** The small proxies in data/proxies are whole, and their labels are right by yardsticks that know nothing of them. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readAudio } from '@dawnchorus/dsp';
import { openDevice } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { keyIndex, weightedKeyScore } from '../src/evaluation/metrics/index.ts';
import { checkHeldOut, readProxy } from '../src/evaluation/proxy.ts';
import { chordTones } from '../src/proxies/chart.ts';
import { krumhanslKey, meanChroma, notePitches, onsetBeats } from '../src/yardsticks/index.ts';

const root = fileURLToPath(new URL('../../../data/proxies', import.meta.url));
const device = await openDevice({ log() {} });
const clipsOf = async (task: string) => {
  const folder = join(root, task);
  const { clips } = await readProxy(folder);
  const audio = (i: number) => readAudio(join(folder, clips[i].path), { sampleRate: 24000 });
  return { clips, audio };
};

test('every clip is there, of its length and not silent; nothing of the test is in training', async () => {
  let bytes = 0;
  for (const task of readdirSync(root).filter((name) => statSync(join(root, name)).isDirectory())) {
    const { description, clips } = await readProxy(join(root, task));
    assert.match(description.name, /^proxy-/);
    assert.ok(description.heldOut.includes('lineage') && description.heldOut.includes('seed'));
    checkHeldOut(clips, description.heldOut);
    const files = readdirSync(join(root, task, 'audio'));
    assert.equal(files.sort(), clips.map(({ path }) => path.slice('audio/'.length)).sort());
    for (const split of ['train', 'valid', 'test'])
      assert.ok(
        clips.some((clip) => clip.split === split),
        split,
      );
    for (const { path, beats } of clips) {
      const { size } = statSync(join(root, task, path));
      assert.ok(size > 2000, `${path} has ${size} bytes`);
      bytes += size;
      if (beats) assert.ok(beats.every((time, i) => time >= 0 && time < 10 && (i === 0 || time > beats[i - 1])));
    }
  }
  assert.ok(bytes < 4e6, `${bytes} bytes`);
});

test('notes have the pitch that is written', async () => {
  const { clips, audio } = await clipsOf('pitch');
  const some = clips.map((_, i) => i).filter((i) => i % 4 === 0);
  const waveforms = await Promise.all(some.map(async (i) => (await audio(i)).samples));
  for (const { length } of waveforms) assert.is(length, 4 * 24000);
  const found = await notePitches(waveforms, 24000);
  const right = some.filter((i, k) => Number(clips[i].label) === found[k]).length;
  assert.ok(right >= 0.9 * some.length, `${right} of ${some.length}`);
});

/** How long each pitch class sounds by the chart: eight bars, `degree.kind` of one or two chords each. */
function chartClasses(tonic: number, chart: string): number[] {
  const classes = new Array<number>(12).fill(0);
  for (const bar of chart.split('|')) {
    const chords = bar.split(' ');
    for (const chord of chords) {
      const [degree, kind = ''] = chord.split('.');
      const tones = chordTones(tonic, { degree: Number(degree), kind });
      for (const [i, tone] of tones.entries()) classes[tone] += (i === 0 ? 2 : 1) / chords.length;
    }
  }
  return classes;
}

test('songs are in the key that is written: by their charts, and where what sounds fits these best', async () => {
  const { clips, audio } = await clipsOf('key');
  const charts = clips.map(({ label, groups }) => chartClasses(keyIndex(String(label)) % 12, String(groups.chart)));
  const score = weightedKeyScore(
    clips.map(({ label }) => String(label)),
    charts.map(krumhanslKey),
  );
  assert.ok(score > 0.9, `weighted score of the charts ${score}`);
  const shifts: number[] = [];
  for (let i = 0; i < clips.length; i += 2) {
    const chroma = await meanChroma((await audio(i)).samples, 24000);
    const mean = chroma.reduce((sum, value) => sum + value, 0) / 12;
    const fit = (shift: number) =>
      charts[i].reduce((sum, value, c) => sum + value * (chroma[(c + shift) % 12] - mean), 0);
    const fits = Array.from({ length: 12 }, (_, shift) => fit(shift));
    shifts.push(fits.indexOf(Math.max(...fits)));
  }
  // Harmonics make some sound a fifth higher.
  const share = (...of: number[]) => shifts.filter((shift) => of.includes(shift)).length / shifts.length;
  assert.ok(share(0) >= 0.6 && share(0, 7) >= 0.8, `semitones from what is written: ${shifts.join(' ')}`);
});

test('beats are where they are written, by onsets', async () => {
  const { clips, audio } = await clipsOf('beats');
  let hits = 0;
  const some = clips.map((clip, i) => ({ ...clip, i })).filter(({ i }) => i % 2 === 0);
  for (const { i, beats } of some) {
    const found = await onsetBeats((await audio(i)).samples, 24000);
    // Half or double time is no fault of the labels.
    const near = found.filter((time) => (beats as number[]).some((own) => Math.abs(own - time) <= 0.07)).length;
    const offbeats = (beats as number[]).slice(1).map((own, k) => (own + (beats as number[])[k]) / 2);
    const half = found.filter((time) => offbeats.some((own) => Math.abs(own - time) <= 0.07)).length;
    if ((near + half) / found.length > 0.8 && near / found.length > 0.45) hits++;
  }
  assert.ok(hits >= 0.7 * some.length, `${hits} of ${some.length}`);
});

test.after(() => device.close());
test.run();
