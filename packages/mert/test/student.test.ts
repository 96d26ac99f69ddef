/**
 * The student against torchaudio's wav2vec 2.0 model with the same weights, and its gradients against PyTorch's. In
 * student_post/pretrain.safetensors the gradients of feature_extractor.* are not those of the original file, where these
 * nine tensors are wrong by nine orders of magnitude: they were computed again with PyTorch 2 in double precision, and
 * two independent implementations agree on them.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { nn, valueAndGrad } from '@dawnchorus/autograd';
import { readAudio } from '@dawnchorus/dsp';
import { readNpy, readSafetensors, type SafetensorsTensor, writeSafetensors } from '@dawnchorus/formats';
import { scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { makeCheckpoint, pickle } from '../../formats/test/pickles.ts';
import { countParameters, fromHuggingFace, loadConfig } from '../src/config/index.ts';
import { loadParameters, namedForHuggingFace } from '../src/model/checkpoint.ts';
import { Heads } from '../src/model/heads.ts';
import { normaliseWaveform } from '../src/model/normalise.ts';
import { objective } from '../src/model/objective.ts';
import { loadPretrained } from '../src/model/pretrained.ts';
import { Student } from '../src/model/student.ts';
import { loadTensors, saveTensors } from '../src/training/state.ts';
import { createTrainer, disposeTrainer } from '../src/training/step.ts';
import {
  goldenArrays,
  goldenPath,
  messageOf,
  openTestDevice,
  relativeError,
  temporaryFolder,
  tinyConfig,
  tone,
} from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();
const CODEBOOKS = 3;

function configOf(which: string) {
  const json = (name: string) => JSON.parse(readFileSync(join(goldenPath(which), name), 'utf8'));
  return fromHuggingFace(json('config.json'), json('preprocessor_config.json'));
}

function writeTensors(path: string, tensors: ReadonlyMap<string, SafetensorsTensor>): Promise<void> {
  return writeSafetensors(
    path,
    [...tensors].map(([name, { shape, data }]) => [
      name,
      { dtype: 'F32' as const, shape, data: async () => data as Float32Array },
    ]),
  );
}

async function largestHiddenError(states: readonly Tensor[], expected: Float32Array): Promise<number> {
  const each = expected.length / states.length;
  const errors = await Promise.all(
    states.map(async (state, i) =>
      relativeError((await state.data()) as Float32Array, expected.subarray(i * each, (i + 1) * each)),
    ),
  );
  return Math.max(...errors);
}

/** The golden pretraining batch: heads, targets of the masked frames, and gradients of the whole model. */
async function pretrainingCase(which: string) {
  const config = configOf(which);
  const keys = nn.keySequence(1);
  const student = new Student({ ...config, featureGradMult: 1 }, keys);
  const sizes = { numCodebooks: CODEBOOKS, codebookSize: 20, finalDim: 16, cqtBins: 336 };
  const heads = new Heads({ hiddenSize: config.hiddenSize, logitTemperature: 0.1, ...sizes }, keys);
  const weights = await readSafetensors(join(goldenPath(which), 'model.safetensors'));
  loadParameters(student.namedParameters(), weights, { path: which, optional: ['masked_spec_embed'] });
  const path = join(goldenPath(which), 'pretrain.safetensors');
  const rest = new Map([['maskedSpecEmbed', student.maskedSpecEmbed], ...heads.namedParameters()]);
  loadParameters(rest, await readSafetensors(path), { path, prefix: 'param.' });

  const golden = await goldenArrays(`${which}/pretrain.safetensors`);
  const mask = golden('mask');
  const frames = mask.length / 2;
  const rows = [...mask.keys()].filter((at) => mask[at] === 1);
  const labelAt = (book: number, at: number) =>
    golden('labels')[(Math.floor(at / frames) * CODEBOOKS + book) * frames + (at % frames)];
  const labels = Array.from({ length: CODEBOOKS }, (_, book) => rows.map((at) => labelAt(book, at))).flat();
  const cqt = rows.flatMap((at) => [...golden('cqt_target').subarray(at * 336, (at + 1) * 336)]);
  const input = golden('input');
  const batch = {
    waveform: tensor(input, { shape: [2, input.length / 2] }),
    mask: tensor(Uint32Array.from(mask), { shape: [2, frames], dtype: 'bool' }),
    rows: tensor(Int32Array.from(rows)),
    labels: tensor(Int32Array.from(labels), { shape: [CODEBOOKS, rows.length] }),
    cqt: tensor(Float32Array.from(cqt), { shape: [rows.length, 336] }),
  };
  return { golden, student, heads, batch };
}

for (const which of ['student_post', 'student_pre']) {
  const golden = suite(which);

  golden('hidden states of the model folder', async () => {
    const model = await loadPretrained(goldenPath(which));
    const { samples } = await readAudio(join(goldenPath(which), 'input.wav'), { sampleRate: model.sampleRate });
    const expected = await readNpy(join(goldenPath(which), 'hidden.npy'));
    const states = model.embed(samples);
    assert.equal([states.length, ...states[0].shape], expected.shape);
    assert.ok((await largestHiddenError(states, expected.data as Float32Array)) < 1e-4);
    for (const state of states) state.dispose();
  });

  golden('losses, accuracy and every gradient', async () => {
    const { golden: expected, student, heads, batch } = await pretrainingCase(which);
    const named = namedForHuggingFace(new Map([...student.namedParameters(), ...heads.namedParameters()]));
    const { value, gradients, auxiliary } = valueAndGrad(() => {
      const output = objective(student, heads, batch, { cqtWeight: 1, featurePenaltyWeight: 10 });
      return { loss: output.loss, auxiliary: output };
    }, [...named.values()]);

    const measured: [string, Tensor][] = [
      ['loss', value],
      ['loss_codes', auxiliary.lossCodes],
      ['loss_cqt', auxiliary.lossCqt],
      ['feature_penalty', auxiliary.featurePenalty],
      ['accuracy', auxiliary.accuracy],
    ];
    for (const [name, of] of measured) {
      assert.ok(relativeError((await of.data()) as Float32Array, expected(name)) < 1e-5, name);
    }

    const largest = (values: Float32Array) => values.reduce((most, one) => Math.max(most, Math.abs(one)), 0);
    const references = [...named.keys()].map((name) => expected(`grad.${name}`));
    const largestOfAll = Math.max(...references.map(largest));
    for (const [i, name] of [...named.keys()].entries()) {
      const error = relativeError((await gradients[i].data()) as Float32Array, references[i]);
      // Softmax does not change when all keys shift alike, so this gradient is zero, and the reference is rounding.
      const zero = name.endsWith('k_proj.bias');
      const scale = zero ? largest(references[i]) / largestOfAll : 1;
      assert.ok(error * scale < (zero ? 1e-6 : 1e-3), `gradient of ${name}: error ${error} of its largest`);
    }
  });

  golden('parameters carry the names of the file, and no others', async () => {
    const names = [...namedForHuggingFace(new Student(configOf(which), nn.keySequence(1)).namedParameters()).keys()];
    const inFile = [...(await readSafetensors(join(goldenPath(which), 'model.safetensors'))).keys()];
    assert.equal(names.filter((name) => name !== 'masked_spec_embed').sort(), inFile.sort());
  });

  golden.run();
}

const loading = suite('loading weights');

loading('the positional convolution under its newer names', async () => {
  const copy = join(folder, 'parametrised');
  await cp(goldenPath('student_post'), copy, { recursive: true });
  const path = join(copy, 'model.safetensors');
  const weights = await readSafetensors(path);
  const newer = (name: string) =>
    name
      .replace('weight_g', 'parametrizations.weight.original0')
      .replace('weight_v', 'parametrizations.weight.original1');
  const renamed = new Map([...weights].map(([name, weight]) => [newer(name), weight]));
  assert.ok(renamed.has('encoder.pos_conv_embed.conv.parametrizations.weight.original1'));
  await writeTensors(path, renamed);
  const { samples } = await readAudio(join(copy, 'input.wav'), { sampleRate: 24000 });
  const expected = await readNpy(join(copy, 'hidden.npy'));
  const states = (await loadPretrained(copy)).embed(samples);
  assert.ok((await largestHiddenError(states, expected.data as Float32Array)) < 1e-4);
});

loading("weights in PyTorch's own format", async () => {
  const copy = join(folder, 'pickled');
  await cp(goldenPath('student_post'), copy, { recursive: true });
  const weights = [...(await readSafetensors(join(copy, 'model.safetensors')))];
  const { text, dict, storage, tensor: pickled } = pickle;
  const items = weights.flatMap(([name, { shape, data }], i) => {
    const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
    return [text(name), pickled(storage('FloatStorage', String(i), data.length), 0, [...shape], strides)];
  });
  const storages = weights.map(([, { data }], i) => [`data/${i}`, new Uint8Array(data.buffer)] as const);
  writeFileSync(join(copy, 'pytorch_model.bin'), makeCheckpoint(dict(...items), Object.fromEntries(storages)));
  await rm(join(copy, 'model.safetensors'));
  const { samples } = await readAudio(join(copy, 'input.wav'), { sampleRate: 24000 });
  const expected = await readNpy(join(copy, 'hidden.npy'));
  const states = (await loadPretrained(copy)).embed(samples);
  assert.ok((await largestHiddenError(states, expected.data as Float32Array)) < 1e-4);
});

loading('lists what is missing or has another shape, and changes nothing', async () => {
  const student = new Student(configOf('student_post'), nn.keySequence(5));
  const parameters = student.namedParameters();
  const read = () =>
    Promise.all([...parameters.values()].map(async (one) => [...((await one.data()) as Float32Array)]));
  const before = await read();
  const weights = new Map(await readSafetensors(join(goldenPath('student_post'), 'model.safetensors')));
  weights.delete('encoder.layers.1.layer_norm.bias');
  const projection = weights.get('feature_projection.projection.weight')!;
  weights.set('feature_projection.projection.weight', { ...projection, shape: [32, 48] });
  const options = { path: 'a/model.safetensors', optional: ['masked_spec_embed'] };
  const message = await messageOf(() => loadParameters(parameters, weights, options));
  assert.match(message, /a\/model\.safetensors: the checkpoint does not fit/);
  assert.match(message, 'encoder.layers.1.layer_norm.bias: missing');
  assert.match(message, 'feature_projection.projection.weight: shape [32, 48] in the file, [48, 32] in the model');
  assert.not.match(message, /masked_spec_embed/);
  assert.equal(await read(), before);

  const all = await messageOf(() => loadParameters(parameters, new Map(), options));
  assert.is(all.match(/: missing$/gm)?.length, parameters.size - 1);
  assert.equal(await read(), before);
});

loading('buffers are saved with the parameters, and read from PyTorch’s whole numbers too', async () => {
  const make = () => new nn.BatchNorm1d(3, { momentum: null });
  const [trained, empty, other] = [make(), make(), make()];
  for (const step of [1, 2])
    trained.forward(
      tensor([
        [step, 2, 3],
        [4, 5, -step],
      ]),
      { training: true },
    );
  const path = join(folder, 'norm.safetensors');
  await saveTensors(path, trained.stateDict());
  const file = await readSafetensors(path);
  assert.equal([...file.keys()].sort(), ['bias', 'num_batches_tracked', 'running_mean', 'running_var', 'weight']);
  await loadTensors(path, empty.stateDict());
  const count = { dtype: 'I64' as const, shape: [], data: BigInt64Array.of(2n) };
  loadParameters(other.stateDict(), new Map([...file, ['num_batches_tracked', count]]), { path });
  for (const [name, tensor] of trained.stateDict()) {
    for (const copy of [empty, other])
      assert.equal(await copy.stateDict().get(name)?.data(), await tensor.data(), name);
  }
  assert.is(await other.numBatchesTracked?.item(), 2);
  const wrong = new Map([
    ...file,
    ['num_batches_tracked', { dtype: 'F32' as const, shape: [], data: Float32Array.of(1) }],
  ]);
  const message = await messageOf(() => loadParameters(other.stateDict(), wrong as typeof file, { path }));
  assert.match(message, 'num_batches_tracked: dtype F32 in the file, expected I32 or I64');
});

loading('a folder without a model says what one holds', async () => {
  assert.match(await messageOf(() => loadPretrained(join(folder, 'nothing'))), /cannot be read; a model folder holds/);
  const copy = join(folder, 'no-weights');
  await cp(goldenPath('student_post'), copy, {
    recursive: true,
    filter: (path) => !path.endsWith('model.safetensors'),
  });
  assert.match(await messageOf(() => loadPretrained(copy)), /model\.safetensors: missing/);
});

loading('a batch of clips of different lengths has the states of each alone', async () => {
  for (const which of ['student_post', 'student_pre']) {
    const model = await loadPretrained(goldenPath(which));
    const clips = [5000, 3210, 400].map((length, i) => tone(length, i));
    const together = model.embedBatch(clips);
    for (const [i, clip] of clips.entries()) {
      for (const [layer, state] of model.embed(clip).entries()) {
        const own = together[layer].select(0, i).sliceAxis(0, 0, state.shape[0]);
        const [made, expected] = await Promise.all([own.data(), state.data()]);
        assert.ok(
          relativeError(made as Float32Array, expected as Float32Array) < 2e-5,
          `${which}, clip ${i}, layer ${layer}`,
        );
      }
    }
    assert.match(
      await messageOf(() => model.embedBatch([clips[0], new Float32Array(399)])),
      /399 samples are less than/,
    );
  }
});

loading('a clip shorter than a frame is refused, one of exactly a frame is not', async () => {
  const model = await loadPretrained(goldenPath('student_post'));
  assert.match(await messageOf(() => model.embed(new Float32Array(399))), /399 samples are less than the 400/);
  const states = model.embed(normaliseWaveform(Float32Array.from({ length: 400 }, (_, n) => Math.sin(n / 5))));
  assert.equal(states[0].shape, [1, 48]);
  assert.ok((await states[4].data()).every(Number.isFinite));
});

loading.run();

const presets = suite('published sizes');

/** Layers are alike, so two small models say what the large one holds, without its memory. */
function parameterCount(preset: string): number {
  const { model } = loadConfig({ preset });
  const counts = [1, 2].map((numHiddenLayers) =>
    scope(() => {
      const student = new Student({ ...model, numHiddenLayers }, nn.keySequence(0));
      const count = student.parameterCount();
      student.dispose();
      return count;
    }),
  );
  return counts[0] + (model.numHiddenLayers - 1) * (counts[1] - counts[0]);
}

presets("the extractor's norms have an epsilon of their own, as in Hugging Face's HuBERT", () => {
  for (const norm of ['group', 'layer']) {
    const { model } = tinyConfig('model.layerNormEps=0.5', `model.featExtractNorm=${norm}`);
    const student = new Student(model, nn.keySequence(0));
    const { featureExtractor, featureProjection, encoder } = student;
    const own = featureExtractor.convLayers.flatMap(({ layerNorm }) => (layerNorm ? [layerNorm.eps] : []));
    assert.equal(own, Array(norm === 'group' ? 1 : model.convDim.length).fill(1e-5));
    const others = [featureProjection, encoder, encoder.layers[0]].map(({ layerNorm }) => layerNorm.eps);
    assert.equal(others, [0.5, 0.5, 0.5]);
    student.dispose();
  }
});

presets('MERT-95M', () => assert.is(parameterCount('mert-95m-rvq'), 94_371_712));
presets('MERT-330M', () => assert.is(parameterCount('mert-330m-rvq'), 315_428_992));

presets('are counted without the model, heads included', () => {
  const count = (preset: string) => countParameters(loadConfig({ preset }));
  assert.equal([count('mert-95m-rvq').encoder, count('mert-95m-rvq').pretraining], [94_371_712, 95_550_160]);
  assert.equal([count('mert-330m-rvq').encoder, count('mert-330m-rvq').pretraining], [315_428_992, 317_875_664]);
  assert.is(count('mert-95m-kmeans').encoder, 94_371_712);
  for (const more of [
    [],
    ['model.featExtractNorm=layer', 'model.convBias=true', 'model.doStableLayerNorm=true', 'loss.melWeight=1'],
    ['model.featureExtractorCqt=true', 'targets.classes=[5, 7, 3]', 'targets.specialClasses=4'],
  ]) {
    const config = tinyConfig(...more);
    const trainer = createTrainer(config);
    const { encoder, pretraining } = countParameters(config);
    assert.is(trainer.student.parameterCount(), encoder);
    assert.is(trainer.student.parameterCount() + trainer.heads.parameterCount(), pretraining);
    disposeTrainer(trainer);
  }
});

presets.after(() => device.close());
presets.run();
