import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type ConfigSources,
  classesOf,
  configSchema,
  cropSamples,
  frameCount,
  fromHuggingFace,
  loadConfig,
  presets,
  toHuggingFace,
} from '../src/config/index.ts';
import { editDistance, nearest } from '../src/config/suggest.ts';
import '../../tensor/test/seed.ts';

const folder = mkdtempSync(join(tmpdir(), 'mert-config-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const path = join(folder, 'run.yaml');

function yaml(lines: string[]): string {
  writeFileSync(path, lines.join('\n'));
  return path;
}

/** The lines of the error, with the folder left out. */
function problems(act: () => unknown): string[] {
  try {
    act();
  } catch (error) {
    assert.is((error as Error).name, 'ConfigError', (error as Error).stack);
    return (error as Error).message.replaceAll(`${folder}/`, '').split('\n');
  }
  return [];
}

const problemsOf = (lines: string[], more: ConfigSources = {}): string[] =>
  problems(() => loadConfig({ file: yaml(lines), ...more }));
const problemsOfSet = (...set: string[]): string[] => problems(() => loadConfig({ set }));

const load = suite('loading');

load('an empty file is valid and gives the defaults', () => {
  const defaults = loadConfig();
  for (const lines of [[], ['# nothing'], ['model:', '  # hiddenSize: 3', 'training:']]) {
    assert.equal(loadConfig({ file: yaml(lines) }), defaults);
  }
  assert.equal(defaults, configSchema.parse({}));
  assert.is(defaults.model.hiddenSize, 768);
});

load('options cover the file, the file covers the preset, field by field', () => {
  const file = yaml(['training:', '  steps: 200', '  seed: 5', 'mixture: {lengthRange: [10, 20]}']);
  const config = loadConfig({
    preset: 'small',
    file,
    set: ['training.seed=6', 'training.seed=7', 'mixture.numberRange=[2, 2]'],
  });
  assert.is(config.training.steps, 200);
  assert.is(config.training.seed, 7);
  const preset = loadConfig({ preset: 'small' });
  assert.is.not(preset.model.hiddenSize, loadConfig().model.hiddenSize);
  assert.is(config.training.batchSize, preset.training.batchSize);
  assert.equal(config.mixture.lengthRange, [10, 20]);
  assert.equal(config.mixture.numberRange, [2, 2]);
  assert.is(config.model.hiddenSize, preset.model.hiddenSize);
  assert.is(config.model.numConvPosEmbeddings, 128);
});

load('options cover the configuration of a run', () => {
  const base = loadConfig({ preset: 'small' });
  const config = loadConfig({ base, set: ['training.steps=70'] });
  assert.equal(config, { ...base, training: { ...base.training, steps: 70 } });
});

load('sizes that no memory holds are told', () => {
  assert.equal(problemsOfSet('model.hiddenSize=100000000', 'model.numHiddenLayers=99999', 'training.batchSize=1e9'), [
    '--set model.hiddenSize=100000000: expected a number <= 16384, got 100000000',
    '--set model.numHiddenLayers=99999: expected a number <= 512, got 99999',
    '--set training.batchSize=1e9: expected a number <= 65536, got 1000000000',
  ]);
});

load('any valid number survives the way through a file or an option', () => {
  fc.assert(
    fc.property(fc.double({ min: 1e-12, max: 1e6, noNaN: true }), fc.nat(0xffffffff), (learningRate, seed) => {
      const written = loadConfig({
        file: yaml(['optimizer:', `  learningRate: ${learningRate}`, 'training:', `  seed: ${seed}`]),
      });
      const set = loadConfig({ set: [`optimizer.learningRate=${learningRate}`, `training.seed=${seed}`] });
      for (const config of [written, set]) {
        assert.is(config.optimizer.learningRate, learningRate);
        assert.is(config.training.seed, seed);
      }
    }),
    { numRuns: 50 },
  );
});

load('every problem of a file is reported, each at its line and column', () => {
  const found = problemsOf([
    'model:',
    '  hiddenSize: "768"',
    '  numAttentionHeads: 7.5',
    '  convDim: [1, 2]',
    '  convKernel: [10, 3, 3, x, 3, 2, 2]',
    '  featExtractNorm: batch',
    '  hidden_dropout: 0.1',
    '  layerdrop: 1.5',
    '  numHidenLayers: 3',
    'masking: 3',
    'audoi: {}',
    'audio: { sampleRate: 44100 }',
    'mixture: { lengthRange: [5, 3], numberRange: [1, 2, 3] }',
    'training:',
    '  hiddenSize: 3',
    '  seed:',
    '  wrong: 1',
    'rvq.decay: 0.9',
  ]);
  const known = Object.keys(loadConfig().training).join(', ');
  assert.equal(found, [
    'run.yaml:2:15 model.hiddenSize: expected a number, got the string "768"',
    'run.yaml:3:22 model.numAttentionHeads: expected an integer, got 7.5',
    'run.yaml:4:12 model.convDim: expected a list of 7 values, got 2: [1,2]',
    'run.yaml:5:26 model.convKernel.3: expected a number, got the string "x"',
    'run.yaml:6:20 model.featExtractNorm: expected "group" or "layer", got the string "batch"',
    'run.yaml:7:3 model.hidden_dropout: unknown key "hidden_dropout"; did you mean "hiddenDropout"?',
    'run.yaml:8:14 model.layerdrop: expected a number < 1, got 1.5',
    'run.yaml:9:3 model.numHidenLayers: unknown key "numHidenLayers"; did you mean "numHiddenLayers"?',
    'run.yaml:10:10 masking: expected a section of keys, got 3',
    'run.yaml:11:1 audoi: unknown key "audoi"; did you mean "audio"?',
    'run.yaml:12:22 audio.sampleRate: must be 24000 Hz (75 frames a second) or 16000 Hz (50), as the published models have it (resample the audio), got 44100',
    'run.yaml:13:25 mixture.lengthRange: [5,3] must be [least, greatest]; swap the two',
    'run.yaml:13:46 mixture.numberRange: expected a list of 2 values, got 3: [1,2,3]',
    'run.yaml:15:3 training.hiddenSize: unknown key "hiddenSize"; did you mean "hiddenSize" in section "model"?',
    'run.yaml:16:8 training.seed: expected a number, got nothing',
    `run.yaml:17:3 training.wrong: unknown key "wrong"; known here: ${known}`,
    'run.yaml:18:1 rvq.decay: unknown key "rvq.decay"; did you mean "decay" in section "rvq"?',
  ]);
});

load('positions hold behind comments, aliases and Windows line ends', () => {
  assert.equal(problemsOf(['# é\r', 'training: # here\r', '\r', '    steps:    -1 # there\r']), [
    'run.yaml:4:15 training.steps: expected a number > 0, got -1',
  ]);
  assert.equal(problemsOf(['rvq: &shared', '  steps: 100000', '  batchSize: 0', 'training: *shared']), [
    'run.yaml:3:14 rvq.batchSize: expected a number > 0, got 0',
    'run.yaml:3:14 training.batchSize: expected a number > 0, got 0',
  ]);
});

load('bad YAML is reported with its place', () => {
  assert.equal(problemsOf(['training:', '  steps: 100000', '  steps: 200000', '  sed: 3']), [
    'run.yaml:3:3: this key occurs twice; remove one',
    'run.yaml:4:3 training.sed: unknown key "sed"; did you mean "seed"?',
  ]);
  const [first] = problemsOf(['training:', '  steps: [1', 'model: {}']);
  assert.match(first!, /^run.yaml:3:1: Flow sequence/);
  assert.match(problemsOf(['training: *nowhere'])[0]!, /^run.yaml:1:1: Unresolved alias/);
  assert.equal(problemsOf(['training:', '  steps: 2', '---', 'training:', '  steps: 3']), [
    'run.yaml:3:1: a second document begins here, after ---; a configuration is one: join them, or remove one',
  ]);
  assert.equal(problemsOf(['- 1']), ['run.yaml:1:1: expected a section of keys, got [1]']);
  assert.equal(problemsOf(['text']), ['run.yaml:1:1: expected a section of keys, got the string "text"']);
});

load('fields are checked against each other, at the one that was set', () => {
  const cases: [lines: string[], expected: RegExp][] = [
    [
      ['model: {numAttentionHeads: 7}'],
      /^run.yaml:1:28 model.numAttentionHeads: model.hiddenSize \(768\) must be a multiple of .*\(7\)$/,
    ],
    [
      ['model: {hiddenSize: 24}'],
      /^run.yaml:1:21 model.hiddenSize: .* multiple of model.numConvPosEmbeddingGroups \(16\)$/,
    ],
    [['model:', '  convStride: [5,2,2,2,2,2,3]'], /^run.yaml:2:15 model.convStride: .* multiply to 320, .* gives 480$/],
    [
      ['mixture:', '  lengthRange: [12000, 120001]'],
      /^run.yaml:2:16 mixture.lengthRange: .* 120001 samples, but a crop of 5 s has 120000;/,
    ],
    [['mixture:', '  numberRange: [3, 1]'], /^run.yaml:2:16 mixture.numberRange: \[3,1\] must be \[least, greatest\]/],
    [
      ['training: {steps: 31999}'],
      /^run.yaml:1:19 training.steps: optimizer.warmupSteps \(32000\) must be at most training.steps \(31999\)/,
    ],
    [
      ['training: {batchSize: 1}'],
      /^run.yaml:1:23 training.batchSize: .*set mixture.probability to 0 or training.batchSize to 2/,
    ],
    [
      ['rvq: {cropSeconds: 0.01}'],
      /^run.yaml:1:20 rvq.cropSeconds: a crop of 0.01 s is shorter than one code of 320 samples/,
    ],
    [
      ['masking: {length: 374}'],
      /^run.yaml:1:19 masking.length: a crop of 5 s has 374 frames, expected more than masking.length \(374\)/,
    ],
    [['masking: {minMasks: 75}'], /^run.yaml:1:21 masking.minMasks: .* could cover all 374 frames/],
  ];
  for (const [lines, expected] of cases) {
    const found = problemsOf(lines);
    assert.is(found.length, 1, found.join('\n'));
    assert.match(found[0]!, expected);
  }
  const fine = [
    ['mixture:', '  lengthRange: [12000, 120000]'],
    ['training: {steps: 32000}'],
    ['training: {batchSize: 1}', 'mixture: {probability: 0}'],
    ['masking: {length: 373, minMasks: 1}'],
    ['masking: {minMasks: 74}'],
  ];
  for (const lines of fine) {
    assert.equal(problemsOf(lines), []);
  }
});

load('a wrong field is not compared with others', () => {
  assert.equal(problemsOf(['model: {hidenSize: 770, numAttentionHeads: 7}']), [
    'run.yaml:1:9 model.hidenSize: unknown key "hidenSize"; did you mean "hiddenSize"?',
  ]);
  assert.is(problemsOf(['training: {steps: ten, batchSize: 1}']).length, 2);
});

load('a problem between layers is reported in the upper one', () => {
  const lines = ['model: {hiddenSize: 112}', 'training: {steps: 5}'];
  const { warmupSteps } = loadConfig({ preset: 'small' }).optimizer;
  assert.equal(problemsOf(lines, { preset: 'small', set: ['model.numAttentionHeads=3'] }), [
    `run.yaml:2:19 training.steps: optimizer.warmupSteps (${warmupSteps}) must be at most training.steps (5); lower it or train longer`,
    '--set model.numAttentionHeads=3: model.hiddenSize (112) must be a multiple of model.numAttentionHeads (3)',
  ]);
});

load('problems of options name the option', () => {
  const set = [
    'trainin.steps=3',
    'steps',
    'model.hiddenSize=[',
    'model=3',
    'rvq.decay=',
    '=3',
    'optimizer.betas=0.9,0.98',
    'batchSize=8',
  ];
  assert.equal(problemsOfSet(...set), [
    '--set trainin.steps=3: unknown key "trainin"; did you mean "training"?',
    '--set steps: expected key=value, e.g. --set training.steps=1000',
    '--set model.hiddenSize=[: the value is not YAML: Flow sequence must end with a ]',
    '--set model=3: expected a section of keys, got 3',
    '--set rvq.decay=: expected a number, got nothing',
    '--set =3: expected key=value, e.g. --set training.steps=1000',
    '--set optimizer.betas=0.9,0.98: expected a list, got the string "0.9,0.98"',
    '--set batchSize=8: unknown key "batchSize"; did you mean "batchSize" in section "rvq" or "training"?',
  ]);
  for (const name of ['__proto__.polluted', 'model.__proto__', 'constructor', 'model.toString']) {
    assert.match(problemsOfSet(`${name}=1`)[0]!, /: unknown key /);
  }
  assert.is(({} as Record<string, unknown>).polluted, undefined);
});

load('missing files and presets are named', () => {
  assert.throws(
    () => loadConfig({ file: join(folder, 'none.yaml') }),
    /cannot read configuration .*none.yaml: there is no such file/,
  );
  assert.equal(
    problems(() => loadConfig({ preset: 'smal' })),
    [
      'there is no preset "smal"; did you mean "small"? known: medium-kmeans, mert-330m-rvq, mert-95m-kmeans, mert-95m-rvq, small, small-kmeans',
    ],
  );
  assert.throws(() => loadConfig({ preset: '../test' }), /there is no preset/);
});

const preset = suite('presets');

preset('are valid from any working folder', () => {
  const before = process.cwd();
  process.chdir(tmpdir());
  try {
    assert.equal(presets(), [
      'medium-kmeans',
      'mert-330m-rvq',
      'mert-95m-kmeans',
      'mert-95m-rvq',
      'small',
      'small-kmeans',
    ]);
    for (const name of presets()) {
      loadConfig({ preset: name });
    }
  } finally {
    process.chdir(before);
  }
});

load('a field under the name that it had before is taken, and its problems are at that place', () => {
  assert.is(loadConfig({ set: ['training.checkpointEvery=7'] }).checkpoint.every, 7);
  assert.is(loadConfig({ set: ['training.checkpointEvery=7', 'checkpoint.every=8'] }).checkpoint.every, 8);
  assert.equal(problemsOf(['training:', '  checkpointEvery: never']), [
    'run.yaml:2:20 training.checkpointEvery: expected a number, got the string "never"',
  ]);
});

load('what contradicts itself is said where it stands', () => {
  const found = (...set: string[]) => problemsOf([], { set }).map((line) => line.replace(/^--set [^:]*: /, ''));
  assert.match(found('model.deepnorm=true', 'model.doStableLayerNorm=true')[0], /DeepNorm is a form of post-LN/);
  assert.match(found('model.attentionRelax=0')[0], /expected a number above 0, 32 as published, or -1/);
  assert.match(found('masking.replace=0.7', 'masking.keep=0.5')[0], /shares of the same frames/);
  assert.match(found('masking.schedule=[{fromStep: 5}, {fromStep: 5}]')[0], /entry 2 begins at step 5/);
  assert.match(found('masking.schedule=[{fromStep: 5, length: 900}]')[0], /could cover all 374/);
  assert.match(found('mixture.snr=[3, -3]')[0], /swap the two/);
  assert.match(found('checkpoint.keepBest=true')[0], /set validation\.every/);
});

preset('have the published values', () => {
  const base = loadConfig({ preset: 'mert-95m-rvq' });
  assert.equal(base, loadConfig(), 'the defaults are MERT-95M');
  assert.is(cropSamples(base.audio), 120000);
  assert.is(frameCount(120000, base.model), 374);
  const large = loadConfig({ preset: 'mert-330m-rvq' });
  assert.is(cropSamples(large.audio), 122880);
  assert.is(frameCount(122880, large.model), 383);
  assert.equal([large.model.hiddenSize, large.model.numHiddenLayers, large.model.finalDim], [1024, 24, 128]);
  assert.equal([large.optimizer.learningRate, large.optimizer.clipNorm], [1.5e-3, 1]);
  assert.equal([large.mixture.lengthRange, large.model.doStableLayerNorm], [[12000, 36000], true]);
});

preset('frames are counted as unpadded convolutions do', () => {
  const { model } = loadConfig();
  const counts = [399, 400, 719, 720, 24000, 72000].map((samples) => frameCount(samples, model));
  assert.equal(counts, [0, 1, 1, 2, 74, 224]);
  assert.is(frameCount(1, model), 0);
});

const suggestions = suite('suggestions');

suggestions('edit distance', () => {
  assert.is(editDistance('kitten', 'sitting'), 3);
  assert.is(editDistance('', 'abc'), 3);
  const word = fc.string({ maxLength: 6, unit: fc.constantFrom('a', 'b', 'c') });
  fc.assert(
    fc.property(word, word, word, (a, b, c) => {
      assert.is(editDistance(a, b), editDistance(b, a));
      assert.is(editDistance(a, b) === 0, a === b);
      assert.ok(editDistance(a, c) <= editDistance(a, b) + editDistance(b, c));
    }),
  );
});

suggestions('come only if near', () => {
  assert.is(nearest('hiden', ['layerdrop', 'hiddenSize']), 'hiddenSize');
  assert.is(nearest('Hidden-Size', ['layerdrop', 'hiddenSize']), 'hiddenSize');
  assert.is(nearest('zzz', ['layerdrop', 'hiddenSize']), undefined);
});

const huggingFace = suite('Hugging Face');

const json = (name: string): Record<string, unknown> =>
  JSON.parse(readFileSync(new URL(`golden/${name}.json`, import.meta.url), 'utf8'));

huggingFace('reads models of both norms', () => {
  const post = fromHuggingFace(json('student_post/config'), json('student_post/preprocessor_config'));
  assert.equal(post, {
    hiddenSize: 48,
    numHiddenLayers: 4,
    numAttentionHeads: 4,
    intermediateSize: 160,
    convDim: [32, 32, 32, 32, 32, 32, 32],
    convKernel: [10, 3, 3, 3, 3, 2, 2],
    convStride: [5, 2, 2, 2, 2, 2, 2],
    convBias: false,
    featExtractNorm: 'group',
    numConvPosEmbeddings: 128,
    numConvPosEmbeddingGroups: 16,
    doStableLayerNorm: false,
    hiddenDropout: 0,
    attentionDropout: 0,
    activationDropout: 0,
    featProjDropout: 0,
    layerdrop: 0,
    layerNormEps: 1e-5,
    finalDim: 64,
    logitTemperature: 0.1,
    featureGradMult: 0.1,
    deepnorm: false,
    attentionRelax: -1,
    featureExtractorCqt: false,
    featureExtractorCqtBins: 336,
    sampleRate: 24000,
    doNormalize: true,
  });
  const pre = fromHuggingFace(json('student_pre/config'), json('student_pre/preprocessor_config'));
  assert.equal([pre.hiddenSize, pre.featExtractNorm, pre.doStableLayerNorm, pre.convBias], [64, 'layer', true, true]);
});

huggingFace('writes every field that the golden files have, and reads itself', () => {
  for (const name of presets()) {
    const config = loadConfig({ preset: name });
    const files = JSON.parse(JSON.stringify(toHuggingFace(config))) as ReturnType<typeof toHuggingFace>;
    assert.equal(fromHuggingFace(files.config, files.preprocessor), {
      ...config.model,
      sampleRate: config.audio.sampleRate,
      doNormalize: true,
    });
    for (const [written, golden] of [
      [files.config, json('student_post/config')],
      [files.preprocessor, json('student_post/preprocessor_config')],
    ]) {
      for (const [key, value] of Object.entries(golden!)) {
        assert.is(typeof written![key], typeof value, key);
      }
    }
    assert.equal(files.config.architectures, ['MERTModel']);
    assert.is((files.config.dawnchorus as Record<string, unknown>).num_codebooks, classesOf(config).length);
  }
});

huggingFace('variants of the architecture survive the way there and back', () => {
  for (const set of [
    ['model.deepnorm=true', 'model.attentionRelax=32'],
    ['model.featureExtractorCqt=true', 'model.doStableLayerNorm=true', 'model.featExtractNorm=layer'],
  ]) {
    const config = loadConfig({ preset: 'small', set });
    const files = JSON.parse(JSON.stringify(toHuggingFace(config))) as ReturnType<typeof toHuggingFace>;
    const { sampleRate: _, doNormalize: __, ...model } = fromHuggingFace(files.config, files.preprocessor);
    assert.equal(model, config.model);
  }
});

huggingFace('a field that is missing or mistyped is named', () => {
  const config = json('student_post/config');
  const preprocessor = json('student_post/preprocessor_config');
  const optional = new Set([
    ...[
      'architectures',
      'hidden_act',
      'feat_extract_activation',
      'feature_extractor_cqt',
      'feature_extractor_cqt_bins',
    ],
    ...['deepnorm', 'attention_relax', 'sample_rate', 'feat_proj_layer_norm', 'initializer_range'],
    ...['hidden_dropout', 'attention_dropout', 'layerdrop'],
  ]);
  for (const key of Object.keys(config)) {
    const found = problems(() => fromHuggingFace({ ...config, [key]: undefined }, preprocessor));
    assert.is(found.length, optional.has(key) ? 0 : 1, key);
    assert.ok(
      found.every((line) => line.startsWith(`config.json ${key}: `) && line.endsWith('it is missing')),
      found[0],
    );
  }
  const wrong = {
    hidden_size: '48',
    conv_dim: [32],
    deepnorm: 'yes',
    hidden_act: 'relu',
    extra: 3,
    layer_norm_eps: null,
  };
  assert.equal(problems(() => fromHuggingFace({ ...config, ...wrong }, { do_normalize: 1 })).sort(), [
    'config.json conv_dim: expected a list of 7 values, got 1: [32]',
    'config.json deepnorm: expected true or false, got the string "yes"',
    'config.json hidden_act: expected "gelu", got the string "relu"',
    'config.json hidden_size: expected a number, got the string "48"',
    'config.json layer_norm_eps: expected a number, got nothing',
    'preprocessor_config.json do_normalize: expected true or false, got 1',
    'preprocessor_config.json sampling_rate: expected a number, it is missing',
  ]);
  assert.equal(
    problems(() => fromHuggingFace({ ...config, num_attention_heads: 5 }, { ...preprocessor, sampling_rate: 16000 })),
    [
      'config.json hidden_size: 48 must be a multiple of num_attention_heads (5)',
      'preprocessor_config.json sampling_rate: 16000 differs from sample_rate 24000 of config.json; are both of one model?',
    ],
  );
  assert.equal(
    problems(() => fromHuggingFace(null, preprocessor)),
    ['config.json: expected a section of keys, got nothing'],
  );
});

for (const tests of [load, preset, suggestions, huggingFace]) {
  tests.run();
}
