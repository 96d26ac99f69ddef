/** Loaders refuse folders that are not as they should be, and splits keep apart what they should. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { encodeWav } from '@dawnchorus/dsp';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LayoutError } from '../src/evaluation/data.ts';
import { splitByArtist } from '../src/evaluation/loaders/giantsteps.ts';
import { findTasks, loadTask } from '../src/evaluation/loaders/index.ts';
import { type TaskName, taskNames } from '../src/evaluation/names.ts';
import { checkHeldOut } from '../src/evaluation/proxy.ts';
import { taskOf, tasks } from '../src/evaluation/tasks.ts';
import * as make from './evaluation-support.ts';
import { messageOf, temporaryFolder, writeFile } from './support.ts';

const root = temporaryFolder();
const place = (name: string) => join(root, name);
const without = (folder: string, ...paths: string[]): string => {
  for (const path of paths) rmSync(join(folder, path), { recursive: true });
  return folder;
};
const refusal = async (name: TaskName, folder: string, partial = false): Promise<string> =>
  messageOf(() => loadTask(name, folder, { partial }));

const layouts = suite('layouts');

layouts('of nothing are refused by every loader, which says what is missing and where it comes from', async () => {
  const empty = temporaryFolder();
  for (const name of taskNames) {
    const message = await refusal(name, empty);
    assert.match(message, 'missing:');
    assert.ok(message.includes(taskOf(name).source), `${name}: ${message}`);
    assert.match(message, /no score means anything/);
    assert.match(await refusal(name, join(empty, 'nowhere')), /is no folder/);
  }
});

layouts('of MagnaTagATune', async () => {
  const folder = make.makeMagnaTagATune(place('MTT'));
  const data = await loadTask('tagging', folder);
  assert.is(data.clips.length, 32);
  assert.is(data.classes.length, 50);
  without(folder, data.clips[0].path.slice(folder.length + 1));
  assert.match(await refusal('tagging', folder), /15 of 16 train.*--partial/s);
  assert.match((await loadTask('tagging', folder, { partial: true })).notes.join(), /15 of 16 train, 8 of 8 valid/);
  without(folder, 'f', 'd');
  assert.match(await refusal('tagging', folder, true), /would mean nothing: no clip of test/);
  writeFile(join(folder, 'annotations_final.csv'), 'clip_id\tmp3_path\n1\t0/a.mp3\n');
  assert.match(await refusal('tagging', folder), /has no column “guitar”/);
});

layouts('of GiantSteps: unsure keys are left out, and artists keep to one split', async () => {
  const folder = make.makeGiantSteps(place('GS'));
  assert.is((await loadTask('key', folder)).clips.length, 32);
  without(folder, join('giantsteps-mtg-key-dataset-fd7b8c5', 'annotations', 'beatport_metadata.txt'));
  assert.match(await refusal('key', folder), /beatport_metadata\.txt/);
  without(folder, 'giantsteps-key-dataset-c8cb8aa');
  assert.match(await refusal('key', folder), /missing: giantsteps-key-dataset\*/);
  const fields = Array.from({ length: 60 }, (_, i) => `Artist ${i}`);
  const alone = splitByArtist(fields);
  const valid = fields.find((field) => alone(field) === 'valid') as string;
  const train = fields.find((field) => alone(field) === 'train') as string;
  const together = splitByArtist([...fields, `${train}, ${valid}`]);
  assert.is(together(train), 'valid');
});

layouts('of GTZAN and GTZAN-Rhythm', async () => {
  const folder = make.makeGtzan(place('GTZAN'), true);
  assert.is((await loadTask('genre', folder)).clips.length, 32);
  const { clips } = await loadTask('beats', folder);
  assert.ok((clips[0].beats ?? []).length > 5 && (clips[0].downbeats ?? []).length > 1);
  const jams = join('GTZAN-Rhythm_v2_ismir2015_lbd', 'jams', `${clips[0].id.split('/')[1]}.jams`);
  writeFile(join(folder, jams), JSON.stringify({ annotations: [] }));
  assert.match(await refusal('beats', folder), /holds no beats/);
  without(folder, jams);
  assert.match(await refusal('beats', folder), /\.jams/);
  without(folder, 'valid_filtered.txt');
  assert.match(await refusal('genre', folder), /valid_filtered\.txt.*dnn-mgr/s);
  writeFile(join(folder, 'valid_filtered.txt'), 'polka/polka.00000.wav\n');
  assert.match(await refusal('genre', folder), /“polka\/polka.00000.wav” does not begin with a genre/);
});

layouts('of EmoMusic', async () => {
  const folder = make.makeEmoMusic(place('EMO'));
  const data = await loadTask('emotion', folder);
  assert.equal(
    ['train', 'valid', 'test'].map((split) => data.clips.filter((clip) => clip.split === split).length),
    [16, 8, 8],
  );
  without(folder, 'static_annotations.csv');
  assert.match(await refusal('emotion', folder), /static_annotations\.csv/);
  writeFile(join(folder, 'static_annotations.csv'), 'song_id,mean_arousal,mean_valence\n0,high,1\n');
  assert.match(await refusal('emotion', folder), /static_annotations\.csv:2: “high” is no number/);
});

layouts('of NSynth', async () => {
  const folder = make.makeNsynth(place('NSynth'));
  assert.equal((await loadTask('pitch', folder)).clips[0].classes, [60]);
  writeFile(join(folder, 'nsynth-valid', 'examples.json'), '{"a": {"pitch": 200, "instrument_family_str": "kazoo"}}');
  assert.match(await refusal('pitch', folder), /a has pitch 200/);
  assert.match(await refusal('instrument', folder), /“kazoo”/);
  writeFile(join(folder, 'nsynth-valid', 'examples.json'), '{');
  assert.match(await refusal('pitch', folder), /is not JSON/);
});

layouts('of VocalSet: singers of the test are heard in no other split', async () => {
  const folder = make.makeVocalSet(place('VocalSet'));
  const { clips } = await loadTask('technique', folder);
  const singers = (test: boolean) =>
    new Set(clips.filter((clip) => (clip.split === 'test') === test).map(({ id }) => id.split('/')[0]));
  assert.equal([...singers(true)].sort(), ['female2', 'female8', 'male10', 'male3', 'male5']);
  assert.not([...singers(true)].some((singer) => singers(false).has(singer)));
  without(folder, join('FULL', 'male11'));
  assert.match(await refusal('singer', folder), /of singer m11/);
});

layouts('of MTG-Jamendo', async () => {
  const folder = make.makeJamendo(place('MTG'), 'genre');
  const data = await loadTask('genre-tagging', folder);
  assert.equal(data.classes, ['tag0', 'tag1', 'tag2', 'tag3']);
  assert.match(data.notes.join(), /4 tags; the official lists have 87/);
  assert.match(await refusal('mood-tagging', folder), /autotagging_moodtheme-train\.tsv/);
});

layouts('of MUSDB18, and MPEG-4 files are told what to do about', async () => {
  const folder = make.makeMusdb18(place('MUSDB18'));
  const { clips } = await loadTask('separation', folder);
  assert.is(clips.filter((clip) => clip.split === 'valid').length, 2);
  without(folder, join('test', 'W', 'bass.wav'));
  assert.match(await refusal('separation', folder), /W\/bass\.wav/);
  writeFile(join(folder, 'train', 'A.stem.mp4'), 'x');
  assert.match(await refusal('separation', folder), /MPEG-4 is not read.*musdbconvert/);
});

const proxies = suite('proxies');

const clip = (path: string, split: string, label: unknown, groups: Record<string, unknown> = {}) => ({
  path,
  split,
  label,
  groups,
});
function makeProxy(name: string, description: object, clips: readonly object[]): string {
  const folder = place(name);
  writeFile(join(folder, 'clips.jsonl'), clips.map((own) => JSON.stringify(own)).join('\n'));
  writeFile(join(folder, 'proxy.json'), JSON.stringify(description));
  for (const own of clips) {
    writeFile(join(folder, (own as { path: string }).path), encodeWav(make.codedTone(0, 0.2), 24000));
  }
  return folder;
}

const description = {
  proxy: true,
  task: 'instrument',
  name: 'proxy-notes',
  classes: ['flute', 'harp'],
  heldOut: ['lineage', 'seed'],
};
const notes = ['train', 'valid', 'test'].flatMap((split, i) =>
  ['flute', 'harp'].map((label, k) =>
    clip(`${split}-${label}.wav`, split, label, { lineage: split === 'test' ? 'B' : 'A', seed: 2 * i + k }),
  ),
);

proxies('are read, and go by their own name', async () => {
  const folder = makeProxy('proxy-notes', description, notes);
  const data = await loadTask('instrument', folder);
  assert.is(data.name, 'proxy-notes');
  assert.ok(data.proxy);
  assert.match(data.notes[0], /a proxy/);
  assert.match(await refusal('pitch', folder), /a proxy of the task instrument, not of pitch/);
  assert.equal(
    findTasks(root, ['instrument']).map((own) => own.folder),
    [place('NSynth'), folder],
  );
});

proxies('that tell the test by heart are refused', async () => {
  const leak = (groups: object) => [...notes, clip('more.wav', 'test', 'harp', { lineage: 'B', seed: 99, ...groups })];
  const message = (clips: readonly object[], more: object = {}) =>
    refusal('instrument', makeProxy('leak', { ...description, ...more }, clips));
  assert.match(await message(leak({ seed: 0 })), /seed 0 is in two splits, by train-flute\.wav and more\.wav/);
  assert.match(await message(leak({ lineage: 'A' })), /lineage A is in two splits/);
  assert.match(await message(leak({ lineage: undefined })), /more\.wav does not say its lineage/);
  // A song stays within one split, whatever else is held out.
  const songs = notes.map((own) => ({ ...own, groups: { ...own.groups, song: 'one' } }));
  assert.match(await message(songs), /song one is in two splits/);
  assert.not.throws(() =>
    checkHeldOut(
      [
        { path: 'a', split: 'train', groups: { seed: 1 } },
        { path: 'b', split: 'valid', groups: { seed: 1 } },
      ],
      ['seed'],
    ),
  );
});

proxies('that are damaged say where', async () => {
  const message = (more: object, clips: readonly object[] = notes) =>
    refusal('instrument', makeProxy('damaged', { ...description, ...more }, clips));
  assert.match(await message({ name: 'NSynth' }), /name: must begin with proxy-/);
  assert.match(await message({ task: 'chess' }), /proxy\.json: task/);
  assert.match(await message({}, [...notes, clip('x.wav', 'dev', 'harp')]), /clips\.jsonl:7: split/);
  assert.match(
    await message({ heldOut: [] }, [...notes, clip('x.wav', 'train', 'kazoo')]),
    /"kazoo"; expected of the classes/,
  );
  assert.match(
    await message({ heldOut: [] }, [...notes, clip('x.wav', 'train', ['flute', 'harp'])]),
    /expected one class/,
  );
  assert.match(await message({ heldOut: [] }, [{ ...notes[0], path: '../x.wav' }]), /leaves the folder/);
  const folder = makeProxy('lost', description, notes);
  without(folder, 'test-harp.wav');
  assert.match(await refusal('instrument', folder, true), /proxy-notes.*no clip in train or test/s);
});

const table = suite('tasks');

table('are 14, each with all that is needed to read it', async () => {
  assert.equal(
    tasks.map(({ name }) => name),
    [...taskNames],
  );
  for (const task of tasks) assert.ok(task.layout.length > 0 && task.metrics.length > 0 && task.split.length > 0);
  assert.match(await messageOf(() => taskOf('chess')), /no task chess; expected one of tagging/);
  assert.ok(new LayoutError(tasks[0], 'x', ['y'], 'z').missing.length === 1);
});

layouts.run();
proxies.run();
table.run();
