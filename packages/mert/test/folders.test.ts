/** Model folders as transformers writes them, what of them is refused before anything is made, and what is never overwritten. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encodeWav } from '@dawnchorus/dsp';
import { readSafetensors, type SafetensorsTensor, writeSafetensors } from '@dawnchorus/formats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { nn } from '../../autograd/src/index.ts';
import { studentShapes } from '../src/config/index.ts';
import { writeManifest } from '../src/data/manifest.ts';
import { embedFiles } from '../src/embed/files.ts';
import { checkNoRun, checkNotInput, checkOutputFile, makeFolder } from '../src/folders.ts';
import { readModelFiles } from '../src/huggingface/read.ts';
import { saveModel } from '../src/huggingface/save.ts';
import { namedForHuggingFace } from '../src/model/checkpoint.ts';
import { loadPretrained } from '../src/model/pretrained.ts';
import { Student } from '../src/model/student.ts';
import { readRun } from '../src/seeing/run.ts';
import { checkpointToResume, prepareRunFolder, writeCheckpoint } from '../src/training/checkpoints.ts';
import { goldenPath, messageOf, openTestDevice, temporaryFolder } from './support.ts';

await openTestDevice();
const folder = temporaryFolder();
const golden = goldenPath('student_post');
const folders = suite('model folders');

/** A copy of the golden model under a name of its own. */
function copyOf(name: string): string {
  const copy = join(folder, name);
  mkdirSync(copy);
  for (const file of ['config.json', 'preprocessor_config.json', 'model.safetensors']) {
    cpSync(join(golden, file), join(copy, file));
  }
  return copy;
}

const readJson = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

function changeConfig(copy: string, changes: object): void {
  const path = join(copy, 'config.json');
  writeFileSync(path, JSON.stringify({ ...readJson(path), ...changes }));
}

/** Writes the weights anew, each as `change` makes it. */
async function changeWeights(
  copy: string,
  change: (tensor: SafetensorsTensor, name: string) => SafetensorsTensor,
): Promise<void> {
  const path = join(copy, 'model.safetensors');
  const weights = await readSafetensors(path);
  await writeSafetensors(
    path,
    [...weights].map(([name, tensor]) => [name, change(tensor, name)] as never),
  );
}

const clip = Float32Array.from({ length: 4000 }, (_, i) => Math.sin(i / 7) + 0.1 * Math.sin(i * i));

async function lastState(path: string): Promise<Float32Array> {
  const model = await loadPretrained(path);
  const states = model.embed(clip);
  const data = (await states.at(-1)!.data()) as Float32Array;
  for (const state of states) state.dispose();
  model.dispose();
  return data;
}

folders('the tensors of a configuration are those of the student that it makes', async () => {
  const { config } = await loadPretrained(golden).then(({ student }) => student);
  const variants = [
    {},
    { featExtractNorm: 'layer' as const, convBias: true },
    { doStableLayerNorm: true, numConvPosEmbeddings: 5, numConvPosEmbeddingGroups: 2 },
    { featureExtractorCqt: true, numHiddenLayers: 1, intermediateSize: 24 },
  ];
  for (const changes of variants) {
    const own = { ...config, ...changes };
    const student = new Student(own, nn.keySequence(0), { sampleRate: 24000 });
    const made = [...namedForHuggingFace(student.stateDict())].map(([name, { shape }]) => `${name} [${shape}]`);
    assert.equal([...studentShapes(own)].map(([name, shape]) => `${name} [${shape}]`).sort(), made.sort());
    student.dispose();
  }
});

folders('weights in several files, as doubles, and beside a processor are the same model', async () => {
  const expected = await lastState(golden);
  const doubles = copyOf('doubles');
  await changeWeights(doubles, (tensor) => ({
    ...tensor,
    dtype: 'F64',
    data: Float64Array.from(tensor.data as Float32Array),
  }));
  assert.equal(await lastState(doubles), expected);

  const shared = copyOf('shared');
  const weights = [...(await readSafetensors(join(shared, 'model.safetensors')))];
  rmSync(join(shared, 'model.safetensors'));
  const fileOf = (i: number) => `model-0000${(i % 3) + 1}-of-00003.safetensors`;
  for (const share of [0, 1, 2]) {
    await writeSafetensors(join(shared, fileOf(share)), weights.filter((_, i) => i % 3 === share) as never);
  }
  const index = join(shared, 'model.safetensors.index.json');
  const map = Object.fromEntries(weights.map(([name], i) => [name, fileOf(i)]));
  writeFileSync(index, JSON.stringify({ weight_map: map }));
  const whole = readJson(join(shared, 'preprocessor_config.json'));
  rmSync(join(shared, 'preprocessor_config.json'));
  writeFileSync(join(shared, 'processor_config.json'), JSON.stringify({ feature_extractor: whole }));
  assert.equal(await lastState(shared), expected);

  rmSync(join(shared, fileOf(1)));
  assert.match(await messageOf(() => readModelFiles(shared)), /00002-of-00003\.safetensors: missing; model\.saf/);
  writeFileSync(index, JSON.stringify({ weight_map: { a: '../elsewhere.safetensors' } }));
  assert.match(
    await messageOf(() => readModelFiles(shared)),
    /names the file "\.\.\/elsewhere\.safetensors"; expected/,
  );
  writeFileSync(join(shared, 'processor_config.json'), '{}');
  assert.match(await messageOf(() => readModelFiles(shared)), /has no feature_extractor/);
});

folders('a configuration of another model is found out before anything is made', async () => {
  const copy = copyOf('other');
  changeConfig(copy, { num_hidden_layers: 1e9 });
  assert.match(
    await messageOf(() => readModelFiles(copy)),
    /num_hidden_layers: expected a number <= 512, got 1000000000/,
  );
  changeConfig(copy, { num_hidden_layers: 500 });
  const many = await messageOf(() => readModelFiles(copy));
  assert.match(many, /num_hidden_layers is 500/);
  assert.match(many, /encoder\.layers\.\d\.attention\.k_proj\.weight: missing/);
  changeConfig(copy, { num_hidden_layers: 1 });
  assert.match(await messageOf(() => readModelFiles(copy)), /encoder\.layers\.1\.\S+: no such tensor in the model/);
  changeConfig(copy, {
    num_hidden_layers: readJson(join(golden, 'config.json')).num_hidden_layers,
    hidden_size: 16000,
  });
  assert.match(
    await messageOf(() => readModelFiles(copy)),
    /other: config\.json num_attention_heads: .* heads of \d+ elements/,
  );
  writeFileSync(join(copy, 'config.json'), 'null');
  assert.match(await messageOf(() => readModelFiles(copy)), /config\.json: holds null; expected an object/);
});

folders('weights that are no numbers are named', async () => {
  const copy = copyOf('nan');
  await changeWeights(copy, (tensor, name) => {
    if (name !== 'encoder.layer_norm.bias') return tensor;
    const data = Float32Array.from(tensor.data as Float32Array);
    data[3] = Number.NaN;
    return { ...tensor, data } as SafetensorsTensor;
  });
  assert.match(await messageOf(() => loadPretrained(copy)), /encoder\.layer_norm\.bias: element 3 is NaN/);
});

folders('a written folder says its dtype in both spellings, and is never written over', async () => {
  const copy = copyOf('bfloat');
  changeConfig(copy, { dtype: 'bfloat16', torch_dtype: 'bfloat16' });
  const files = await readModelFiles(copy);
  const out = join(folder, 'written');
  await saveModel(out, files);
  const { dtype, torch_dtype: older } = readJson(join(out, 'config.json'));
  assert.equal([dtype, older], ['float32', 'float32']);
  const before = readFileSync(join(out, 'model.safetensors'));
  assert.match(
    await messageOf(() => saveModel(out, files, { dtype: 'f16' })),
    /written: holds a model already \(config/,
  );
  assert.equal(readFileSync(join(out, 'model.safetensors')), before);

  const bias = files.weights.get('encoder.layer_norm.bias') as SafetensorsTensor;
  const huge = { ...bias, data: Float32Array.from(bias.data as Float32Array, () => 1e6) } as SafetensorsTensor;
  const large = { ...files, weights: new Map(files.weights).set('encoder.layer_norm.bias', huge) };
  const halves = join(folder, 'halves');
  assert.match(
    await messageOf(() => saveModel(halves, large, { dtype: 'f16' })),
    /element 0 of encoder\.layer_norm\.bias is 1000000, too large for f16/,
  );
  assert.not.ok(existsSync(join(halves, 'config.json')));
});

folders('nothing is written over what it is made from', async () => {
  const copy = copyOf('read');
  const wav = join(folder, 'a.wav');
  writeFileSync(wav, encodeWav(clip, 24000));
  const model = await loadPretrained(copy);
  const bytes = readFileSync(wav);
  assert.match(
    await messageOf(() => embedFiles({ model, inputs: [wav], out: wav })),
    /--out .*a\.wav: is what is read/,
  );
  assert.equal(readFileSync(wav), bytes);
  model.dispose();
  const link = join(folder, 'link');
  symlinkSync(copy, link);
  const check =
    (path: string, from = copy) =>
    () =>
      checkNotInput('--out', path, [], from);
  assert.throws(check(copy), /is what is read, which would be overwritten/);
  assert.throws(check(link), /is what is read/);
  assert.throws(check(join(copy, 'model.safetensors')), /is a file of the model/);
  assert.throws(check(join(link, 'config.json')), /is a file of the model/);
  assert.throws(check(join(copy, 'config.json'), join(copy, 'model.safetensors')), /is a file of the model/);
  check(join(copy, 'model.onnx'))();
  check(join(folder, 'model.safetensors'))();
});

folders('nothing of a run, no log and no list is taken for something to be written over', async () => {
  const run = join(folder, 'run');
  mkdirSync(run);
  const place = (name: string) => join(run, name);
  writeFileSync(place('metrics.jsonl'), '{"step":1,"loss":2}\n');
  writeFileSync(place('song.ogg'), 'music');
  assert.match(await messageOf(() => checkOutputFile('--out', place('metrics.jsonl'), '.html')), /is no \.html file/);
  assert.match(await messageOf(() => checkOutputFile('--out', place('song.ogg'), '.npy')), /is no \.npy file/);
  await checkOutputFile('--out', place('new.html'), '.html');
  assert.throws(() => checkNoRun('--out', run), /holds a run \(metrics\.jsonl\)/);
  checkNoRun('--out', join(run, 'evaluation'));

  const music = join(folder, 'music');
  mkdirSync(music);
  for (const name of ['a.wav', 'b.wav', 'c.wav']) writeFileSync(join(music, name), encodeWav(clip, 24000));
  assert.match(
    await messageOf(() => writeManifest({ data: music, out: place('metrics.jsonl') })),
    /is no manifest and would be overwritten/,
  );
  assert.is(readFileSync(place('metrics.jsonl'), 'utf8'), '{"step":1,"loss":2}\n');
  const list = join(music, 'train.jsonl');
  await writeManifest({ data: music, out: list });
  await writeManifest({ data: music, out: list });
  assert.match(await messageOf(() => writeManifest({ data: list, out: list })), /is what is read/);

  const own = join(folder, 'own');
  mkdirSync(own);
  writeFileSync(join(own, 'report.md'), 'mine');
  const begin = () => prepareRunFolder({ out: own, others: [] }, () => {});
  assert.match(await messageOf(begin), /holds a report\.md of its own/);
  rmSync(join(own, 'report.md'));
  assert.is(await begin(), undefined);
});

folders('a run whose only checkpoint is damaged says what of it is', async () => {
  const out = join(folder, 'damaged');
  await writeCheckpoint(out, 1, { keepLast: 1, keepEvery: 0, keepBest: false }, async (aside) =>
    writeFileSync(join(aside, 'trainer.json'), '{"step":1}'),
  );
  assert.is(await checkpointToResume(out), join(out, 'checkpoint'));
  writeFileSync(join(out, 'checkpoint', 'trainer.json'), '{"step":1} ');
  assert.match(await messageOf(() => checkpointToResume(out)), /no checkpoint of this run is whole:\n.*trainer\.json/);
  assert.is(await checkpointToResume(join(folder, 'nowhere')), undefined);
});

folders('a log of which no line can be read is no run without steps', async () => {
  const run = join(folder, 'log');
  mkdirSync(run);
  const log = join(run, 'metrics.jsonl');
  writeFileSync(log, '<html>\n<body>\n');
  assert.match(await messageOf(() => readRun(run)), /none of its lines tells of a step/);
  writeFileSync(log, '{"step":1,"lo');
  assert.equal((await readRun(run)).metrics, []);
});

folders('folders are made one in the other, or what is in the way is said', async () => {
  const deep = join(folder, 'x', 'y', 'z');
  await makeFolder(deep);
  await makeFolder(deep);
  assert.ok(existsSync(deep));
  writeFileSync(join(deep, 'file'), '');
  assert.match(await messageOf(() => makeFolder(join(deep, 'file', 'more'))), /cannot be made: .*file is a file/);
  // Where Node's own way of making several never returns.
  if (existsSync('/proc/self')) assert.match(await messageOf(() => makeFolder('/proc/none/more')), /cannot be made: E/);
});

folders.after(() => rmSync(folder, { recursive: true }));
folders.run();
