/** Models in the layouts that there are: Hugging Face's with either spelling of weight norm, HuBERT's, fairseq's; halves. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readAudio } from '@dawnchorus/dsp';
import { readNpy, readSafetensors, type SafetensorsTensor, writeSafetensors } from '@dawnchorus/formats';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeCheckpoint, pickle } from '../../formats/test/pickles.ts';
import { fairseqFiles, parseConvLayers } from '../src/huggingface/fairseq.ts';
import { canonicalName } from '../src/huggingface/names.ts';
import { readModelFiles } from '../src/huggingface/read.ts';
import { saveModel } from '../src/huggingface/save.ts';
import { loadPretrained } from '../src/model/pretrained.ts';
import { goldenPath, messageOf, openTestDevice, relativeError, temporaryFolder } from './support.ts';

await openTestDevice();
const folder = temporaryFolder();
const which = ['student_post', 'student_pre'] as const;

async function hiddenError(model: string, golden: string): Promise<number> {
  const loaded = await loadPretrained(model);
  const { samples } = await readAudio(join(goldenPath(golden), 'input.wav'), { sampleRate: loaded.sampleRate });
  const expected = (await readNpy(join(goldenPath(golden), 'hidden.npy'))).data as Float32Array;
  const states = loaded.embed(samples);
  const each = expected.length / states.length;
  const errors = await Promise.all(
    states.map(async (state, i) =>
      relativeError((await state.data()) as Float32Array, expected.subarray(i * each, (i + 1) * each)),
    ),
  );
  for (const state of states) state.dispose();
  loaded.dispose();
  return Math.max(...errors);
}

/** The names of fairseq, by rules of its own: the other direction of what is tested. */
function fairseqName(name: string, layerNorm: boolean): string {
  return name
    .replace(/^masked_spec_embed$/, 'mask_emb')
    .replace(/^feature_projection\.projection\./, 'post_extract_proj.')
    .replace(/^feature_projection\.layer_norm\./, 'layer_norm.')
    .replace(/^encoder\.pos_conv_embed\.conv\./, 'encoder.pos_conv.0.')
    .replace(/^(feature_extractor\.conv_layers\.\d+)\.conv\./, '$1.0.')
    .replace(/^(feature_extractor\.conv_layers\.\d+)\.layer_norm\./, layerNorm ? '$1.2.1.' : '$1.2.')
    .replace(/^(encoder\.layers\.\d+)\.layer_norm\./, '$1.self_attn_layer_norm.')
    .replace(/^(encoder\.layers\.\d+)\.attention\./, '$1.self_attn.')
    .replace(/^(encoder\.layers\.\d+)\.feed_forward\.intermediate_dense\./, '$1.fc1.')
    .replace(/^(encoder\.layers\.\d+)\.feed_forward\.output_dense\./, '$1.fc2.');
}

const { text, number, dict, list, storage, tensor, build, reduce, global, tuple } = pickle;
const [yes, no] = [[0x88], [0x89]];

/** A checkpoint as fairseq's trainer writes it, of a golden model, with heads, CQT tables, dictionaries and an optimiser. */
async function fairseqCheckpoint(golden: (typeof which)[number], leaveOut = ''): Promise<string> {
  const pre = golden === 'student_pre';
  const config = JSON.parse(readFileSync(join(goldenPath(golden), 'config.json'), 'utf8'));
  const student = await readSafetensors(join(goldenPath(golden), 'model.safetensors'));
  const rest = await readSafetensors(join(goldenPath(golden), 'pretrain.safetensors'));
  const parameters = [...rest].filter(([name]) => name.startsWith('param.'));
  const all: [string, SafetensorsTensor][] = [
    ...[...student].map(([name, value]) => [fairseqName(name, pre), value] as [string, SafetensorsTensor]),
    ...parameters.map(([name, value]) => [fairseqName(name.slice(6), pre), value] as [string, SafetensorsTensor]),
    ['encoder_cqt_model.spec_layer.lenghts', { dtype: 'F32', shape: [2], data: Float32Array.of(1, 2) }],
  ];
  const storages: Record<string, Uint8Array> = {};
  const items = all.flatMap(([name, { shape, data }], i) => {
    storages[`data/${i}`] = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    return [text(name), tensor(storage('FloatStorage', String(i), data.length), 0, [...shape], strides)];
  });
  const moment = tensor(storage('FloatStorage', String(all.length), 1), 0, [1], [1]);
  storages[`data/${all.length}`] = new Uint8Array(4);
  const symbols = ['<s>', '<pad>', '</s>', '<unk>', '7', '3'];
  const dictionary = build(
    reduce(global('fairseq.data.dictionary', 'Dictionary'), tuple()),
    dict(text('symbols'), list(...symbols.map(text)), text('count'), list(...symbols.map(() => number(1)))),
  );
  const entries = {
    _name: text('mert'),
    encoder_attention_heads: number(config.num_attention_heads),
    layer_norm_first: pre ? yes : no,
    conv_feature_layers: text('[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2'),
    logit_temp: number(1),
  };
  const kept = Object.entries(entries).filter(([key]) => key !== leaveOut);
  const body = dict(
    ...[text('args'), [0x4e]],
    ...[
      text('cfg'),
      dict(
        ...[text('model'), dict(...kept.flatMap(([key, value]) => [text(key), value]))],
        ...[text('task'), dict(text('sample_rate'), number(config.sample_rate), text('normalize'), yes)],
      ),
    ],
    ...[text('model'), dict(...items)],
    ...[text('task_state'), dict(text('dictionaries'), list(dictionary))],
    ...[text('last_optimizer_state'), dict(text('exp_avg'), moment)],
  );
  const path = join(folder, `${golden}${leaveOut}.pt`);
  writeFileSync(path, makeCheckpoint(body, storages));
  return path;
}

const hf = suite('models in other layouts');

for (const golden of which) {
  hf(`${golden}: a fairseq checkpoint, its heads and dictionaries, and what is written of it`, async () => {
    const path = await fairseqCheckpoint(golden);
    assert.ok((await hiddenError(path, golden)) < 1e-4);
    const files = await readModelFiles(path);
    const rest = await readSafetensors(join(goldenPath(golden), 'pretrain.safetensors'));
    const heads = ['final_proj.weight', 'final_proj.bias', 'label_embs_concat'];
    heads.push('encoder_cqt_model.fc.weight', 'encoder_cqt_model.fc.bias');
    assert.equal([...files.heads.keys()].sort(), heads.sort());
    for (const name of heads) assert.equal(files.heads.get(name)?.data, rest.get(`param.${name}`)?.data, name);
    assert.equal(files.dictionaries, [['<s>', '<pad>', '</s>', '<unk>', '7', '3']]);

    const out = join(folder, `${golden}-written`);
    await saveModel(out, files);
    const config = JSON.parse(readFileSync(join(out, 'config.json'), 'utf8'));
    assert.equal([config.model_type, config.architectures], ['hubert', ['HubertModel']]);
    assert.ok((await hiddenError(out, golden)) < 1e-4);
    const again = await readModelFiles(out);
    assert.equal([...again.heads.keys()].sort(), heads.sort());
  });
}

hf('halves, and a HuBERT inside another model with the newer names', async () => {
  const files = await readModelFiles(goldenPath('student_post'));
  const half = join(folder, 'half');
  await saveModel(half, files, { as: 'mert', dtype: 'f16' });
  const written = await readSafetensors(join(half, 'model.safetensors'));
  assert.ok([...written.values()].every(({ dtype }) => dtype === 'F16'));
  const error = await hiddenError(half, 'student_post');
  assert.ok(error > 1e-6 && error < 5e-3, String(error));

  const inside = join(folder, 'inside');
  cpSync(half, inside, { recursive: true });
  const newer = (name: string) =>
    `hubert.${name
      .replace('weight_g', 'parametrizations.weight.original0')
      .replace('weight_v', 'parametrizations.weight.original1')}`;
  const head = { dtype: 'F32' as const, shape: [2, 48], data: new Float32Array(96) };
  await writeSafetensors(join(inside, 'model.safetensors'), [
    ...[...files.weights].map(
      ([name, { shape, data }]) =>
        [newer(name), { dtype: 'F32' as const, shape: [...shape], data: data as Float32Array }] as const,
    ),
    ['lm_head.weight', head],
  ]);
  assert.ok((await hiddenError(inside, 'student_post')) < 1e-4);
});

hf('what is missing, unknown or of another shape is said at once', async () => {
  const copy = join(folder, 'wrong');
  cpSync(goldenPath('student_pre'), copy, { recursive: true });
  const weights = new Map(await readSafetensors(join(copy, 'model.safetensors')));
  const missing = [...weights.keys()].filter((name) => name.startsWith('encoder.layers.2.'));
  for (const name of missing) weights.delete(name);
  weights.set('encoder.extra.weight', { dtype: 'F32', shape: [1], data: Float32Array.of(1) });
  const bias = weights.get('feature_projection.projection.bias')!;
  weights.set('feature_projection.projection.bias', { ...bias, shape: [8, 8] });
  await writeSafetensors(
    join(copy, 'model.safetensors'),
    [...weights].map(([name, { shape, data }]) => [name, { dtype: 'F32', shape, data: data as Float32Array }]),
  );
  const message = await messageOf(() => loadPretrained(copy));
  assert.is(missing.length, 16);
  for (const name of missing) assert.match(message, `${name}: missing`);
  assert.match(message, 'encoder.extra.weight: no such tensor in the model');
  assert.match(message, 'feature_projection.projection.bias: shape [8, 8] in the file, [64] in the model');
});

hf('what cannot be told is asked for, and mistakes are named', async () => {
  const path = await fairseqCheckpoint('student_pre', 'layer_norm_first');
  assert.match(await messageOf(() => loadPretrained(path)), /settings do not say layer_norm_first.*put config\.json/);
  const bare = join(folder, 'bare');
  mkdirSync(bare);
  cpSync(join(goldenPath('student_post'), 'model.safetensors'), join(bare, 'model.safetensors'));
  assert.match(await messageOf(() => loadPretrained(bare)), /config\.json: cannot be read; a model folder holds/);
  assert.match(
    await messageOf(() => loadPretrained(join(bare, 'model.safetensors'))),
    /model\.safetensors.*has no config\.json.*is no fairseq checkpoint/,
  );
  writeFileSync(join(bare, 'config.json'), '{');
  assert.match(await messageOf(() => loadPretrained(bare)), /config\.json: is not JSON/);
  rmSync(bare, { recursive: true });
  const files = await readModelFiles(goldenPath('student_post'));
  const deep = { ...files, config: { ...files.config, deepnorm: true } };
  assert.match(await messageOf(() => saveModel(join(folder, 'deep'), deep)), /deepnorm/);
});

hf('names', () => {
  assert.is(
    canonicalName('mert.encoder.layers.3.fc1.bias', true),
    'encoder.layers.3.feed_forward.intermediate_dense.bias',
  );
  assert.is(canonicalName('layer_norm.weight', true), 'feature_projection.layer_norm.weight');
  assert.is(canonicalName('encoder.layer_norm.weight', true), 'encoder.layer_norm.weight');
  assert.is(
    canonicalName('feature_extractor.conv_layers.4.2.1.bias', true),
    'feature_extractor.conv_layers.4.layer_norm.bias',
  );
  assert.equal(parseConvLayers('[(512,10,5)] + [(512,3,2)] * 2 + [(512,2,2)]'), [
    [512, 10, 5],
    [512, 3, 2],
    [512, 3, 2],
    [512, 2, 2],
  ]);
  assert.is(parseConvLayers('import os'), undefined);
});

/** What fairseq's settings make of convolutions with these kernels. */
function convolutionsOf(kernels: readonly number[], setting?: unknown): Record<string, unknown> {
  const shapes = new Map(kernels.map((k, i) => [`feature_extractor.conv_layers.${i}.conv.weight`, [16, 16, k]]));
  const model = new Map<string, unknown>([
    ...([
      ['encoder_attention_heads', 4],
      ['layer_norm_first', false],
    ] as const),
    ...(setting === undefined ? [] : [['conv_feature_layers', setting] as const]),
  ]);
  const content = new Map([
    [
      'cfg',
      new Map([
        ['model', model],
        ['task', new Map([['sample_rate', 24000]])],
      ]),
    ],
  ]);
  return fairseqFiles(content, shapes, 'a.pt').config as Record<string, unknown>;
}

hf('strides are those that fairseq is told, with factors on either side', () => {
  const layers = [...Array(6).keys()].map(() => [16, 3, 2]);
  assert.equal(parseConvLayers('3 * [(16, 3, 2), (16,3,2)]'), layers);
  assert.equal(parseConvLayers('2*[(16,3,2)] + [(16,3,2),] * 2 + 1 * [(16,3,2)] * 2'), layers);
  assert.equal(convolutionsOf([3, 3, 3], '3 * [(16, 3, 4)]').conv_stride, [4, 4, 4]);
  for (const text of ['[(16,3,2), (16,3)]', '[(16,3,2)] * n', '[16,3,2]', '']) {
    assert.is(parseConvLayers(text), undefined, text);
  }
});

hf('strides are not made up for a setting that cannot be read or is of other weights', async () => {
  for (const setting of ['[(16, 3, 2)] * n', '', [[16, 3, 2]]]) {
    const message = await messageOf(() => convolutionsOf([10, 3, 3, 3, 3, 2, 2], setting));
    assert.match(message, `a.pt: its setting conv_feature_layers is “${setting}”`);
    assert.match(message, '[(512,3,2)] * 4 or 4 * [(512,3,2)]');
  }
  assert.match(
    await messageOf(() => convolutionsOf([3, 3], '[(16, 3, 2)] * 3')),
    /a\.pt: its setting conv_feature_layers is .*kernels 3,3,3, but those of the weights are 3,3;/,
  );
});

hf('without that setting strides are the usual ones of the usual kernels, and asked for of others', async () => {
  assert.ok((await hiddenError(await fairseqCheckpoint('student_post', 'conv_feature_layers'), 'student_post')) < 1e-4);
  assert.equal(convolutionsOf([10, 3, 3, 3, 3, 2, 2]).conv_stride, [5, 2, 2, 2, 2, 2, 2]);
  for (const kernels of [[3, 3, 3], [10, 3, 3, 3, 3, 2, 3], []]) {
    assert.match(
      await messageOf(() => convolutionsOf(kernels)),
      /settings do not say conv_feature_layers.*put config\.json/,
    );
  }
});

hf.run();
