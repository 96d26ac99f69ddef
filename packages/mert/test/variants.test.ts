/** What the published models do not have, or have and never run: each against what it must equal. */
import { nn, valueAndGrad } from '@dawnchorus/autograd';
import { scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { frameCount, type ModelConfig } from '../src/config/index.ts';
import { EncoderLayer } from '../src/model/encoder.ts';
import { Heads } from '../src/model/heads.ts';
import { drawReplacements, maskBatch, maskingAt, mostMasked } from '../src/model/masking.ts';
import { Student } from '../src/model/student.ts';
import { hostRandom } from '../src/random.ts';
import { openTestDevice, relativeError, tinyConfig, tone } from './support.ts';

const device = await openTestDevice();
const variants = suite('variants');

const modelOf = (...set: string[]): ModelConfig => tinyConfig(...set).model;
const valuesOf = async (x: Tensor): Promise<Float32Array> => {
  const values = (await x.data()) as Float32Array;
  x.dispose();
  return values;
};
const studentOf = (model: ModelConfig, sampleRate = 24000) => new Student(model, nn.keySequence(3), { sampleRate });

/** Clips of different lengths, filled up with noise that nobody must hear. */
function padded(lengths: readonly number[]): { waveform: Tensor; clips: Float32Array[] } {
  const longest = Math.max(...lengths);
  const clips = lengths.map((length, i) => tone(length, i + 1));
  const rows = clips.map((clip, i) => {
    const row = tone(longest, 7 + i).map((x, t) => 3 * x + (t % 2));
    row.set(clip);
    return row;
  });
  return {
    waveform: tensor(Float32Array.from(rows.flatMap((row) => [...row])), { shape: [lengths.length, longest] }),
    clips,
  };
}

for (const [name, ...set] of [
  ['group norm, post-LN'],
  ['layer norm, pre-LN', 'model.featExtractNorm=layer', 'model.doStableLayerNorm=true', 'model.convBias=true'],
] as const) {
  variants(`a clip in a padded batch has the features that it has alone: ${name}`, async () => {
    const model = modelOf(...set);
    const student = studentOf(model);
    const lengths = [6000, 8000, 3333];
    const { waveform, clips } = padded(lengths);
    const batch = scope(() => student.forward(waveform, { lengths }).hiddenStates.map((x) => x.retain()));
    for (const [i, clip] of clips.entries()) {
      const frames = frameCount(clip.length, model);
      const alone = scope(() =>
        student.forward(tensor(clip, { shape: [1, clip.length] })).hiddenStates.map((x) => x.retain()),
      );
      for (const [layer, state] of alone.entries()) {
        const expected = await valuesOf(state);
        const made = await valuesOf(batch[layer].select(0, i).sliceAxis(0, 0, frames));
        assert.ok(relativeError(made, expected) < 2e-5, `clip ${i}, layer ${layer}: ${relativeError(made, expected)}`);
      }
    }
    student.dispose();
  });
}

const attentionWith = (relax?: number) => new nn.MultiHeadAttention(64, 2, nn.keySequence(5), { std: 0.6, relax });
const attended = () => tensor(tone(12 * 64, 2), { shape: [1, 12, 64] }).mul(4);

variants('attention relaxation changes nothing but the size of the scores', async () => {
  const [plain, relaxed] = [attentionWith(), attentionWith(32)];
  const x = attended();
  let largest = 0;
  const watched: Tensor[] = [];
  const expected = await valuesOf(
    scope(() =>
      plain.forward(x, { watch: (q, k, s) => watched.push(q.matmul(k.transpose()).mul(s).abs().max().retain()) }),
    ),
  );
  largest = await watched[0].item();
  assert.ok(largest > 20, `logits of ${largest} would test nothing`);
  assert.ok(relativeError(await valuesOf(scope(() => relaxed.forward(x))), expected) < 1e-5);
  // The queries are c times smaller.
  const products = async (of: nn.MultiHeadAttention) => {
    const seen: Tensor[] = [];
    scope(() => of.forward(x, { watch: (q, k) => seen.push(q.matmul(k.transpose()).abs().max().retain()) }));
    return seen[0].item();
  };
  assert.ok(Math.abs((await products(plain)) / (await products(relaxed)) - 32 * Math.sqrt(32)) < 0.1);
  assert.throws(() => attentionWith(0), /relax is 0/);
});

const inHalves = device.features.has('shader-f16') ? variants : variants.skip;
inHalves('attention relaxation keeps scores of halves finite', async () => {
  const [plain, relaxed] = [attentionWith(), attentionWith(32)];
  const x = attended();
  // q and k of hundreds: their products are no halves.
  const half = (of: nn.MultiHeadAttention) =>
    scope(() => {
      const narrow = new Map([...of.namedParameters()].map(([name, own]) => [name, own.cast('f16')]));
      return nn.withParameters(of, narrow, () => of.forward(x.mul(20).cast('f16')).cast('f32'));
    });
  const wide = await valuesOf(scope(() => plain.forward(x.mul(20))));
  const narrow = await valuesOf(half(relaxed));
  assert.ok(narrow.every(Number.isFinite));
  assert.ok(relativeError(narrow, wide) < 0.05, `${relativeError(narrow, wide)}`);
});

variants('DeepNorm scales residuals up and first weights down', async () => {
  const set = ['model.numHiddenLayers=6', 'model.hiddenSize=64', 'model.intermediateSize=128'];
  const layer = new EncoderLayer(modelOf(...set, 'model.deepnorm=true'), nn.keySequence(1));
  const post = new EncoderLayer(modelOf(...set), nn.keySequence(1));
  const deviation = async (x: Tensor) => Math.sqrt(await scope(() => x.square().mean()).item());
  const beta = 48 ** 0.25;
  for (const of of [
    (l: EncoderLayer) => l.feedForward.intermediateDense,
    (l: EncoderLayer) => l.feedForward.outputDense,
    (l: EncoderLayer) => l.attention.outProj,
    (l: EncoderLayer) => l.attention.vProj,
  ]) {
    const ratio = (await deviation(of(post).weight)) / (await deviation(of(layer).weight));
    assert.ok(Math.abs(ratio / beta - 1) < 0.05, `${ratio}`);
  }
  assert.ok(
    Math.abs((await deviation(layer.attention.qProj.weight)) / (await deviation(post.attention.qProj.weight)) - 1) <
      1e-6,
  );
  const x = tensor(tone(5 * 64, 1), { shape: [1, 5, 64] });
  const alpha = 12 ** 0.25;
  const expected = scope(() => {
    const attended = layer.layerNorm.forward(x.mul(alpha).add(layer.attention.forward(x)));
    return layer.finalLayerNorm.forward(attended.mul(alpha).add(layer.feedForward.forward(attended)));
  });
  assert.ok(relativeError(await valuesOf(scope(() => layer.forward(x))), await valuesOf(expected)) < 1e-6);
});

variants('dropped layers pass their input on; which ones is drawn by seed and step, on the GPU', async () => {
  const student = studentOf(
    modelOf(
      'model.layerdrop=0.5',
      'model.numHiddenLayers=6',
      'model.hiddenDropout=0',
      'model.attentionDropout=0',
      'model.featProjDropout=0',
    ),
  );
  const waveform = tensor(tone(2000, 1), { shape: [1, 2000] });
  /** 1 for each layer that was dropped. */
  const dropped = async (step: number | Tensor) => {
    const states = scope(() =>
      student.forward(waveform, { keys: nn.keySequence(9, step) }).hiddenStates.map((x) => x.retain()),
    );
    const values = await Promise.all(states.map(valuesOf));
    return values.slice(1).map((own, i) => Number(relativeError(own, values[i]) === 0));
  };
  const draws = await Promise.all([1, 2, 3, 4, 5, 6, 7, 8].map(dropped));
  const share = draws.flat().reduce((sum, one) => sum + one, 0) / 48;
  assert.ok(share > 0.25 && share < 0.75, `${share}`);
  assert.ok(new Set(draws.map(String)).size > 4);
  assert.equal(await dropped(tensor(Uint32Array.of(3))), draws[2]);
  student.dispose();
});

variants('the constant-Q input has a spectrum a frame, at both rates', async () => {
  for (const sampleRate of [24000, 16000]) {
    const model = modelOf('model.featureExtractorCqt=true');
    const student = studentOf(model, sampleRate);
    assert.equal([...student.featureProjection.projection.weight.shape], [32, 8 + 336]);
    const waveform = tensor(tone(8000, 3, sampleRate), { shape: [1, 8000] });
    const parameters = student.parameters();
    const { gradients } = scope(() => {
      const made = valueAndGrad(() => student.forward(waveform).hiddenStates[2].square().mean(), parameters);
      return { gradients: made.gradients.map((x) => x.retain()) };
    });
    const weight = parameters.indexOf(student.featureProjection.projection.weight);
    // The columns of the spectrum learn, too.
    const columns = await valuesOf(gradients[weight].sliceAxis(1, 8, 344));
    assert.ok(columns.some((value) => Math.abs(value) > 1e-9) && columns.every(Number.isFinite));
    student.dispose();
  }
});

variants(
  'the feature-gradient multiplier scales the gradient of the convolutions alone; layers may be computed again',
  async () => {
    const waveform = tensor(tone(4000, 1), { shape: [1, 4000] });
    const gradients = async (set: string[], recompute = false) => {
      const student = studentOf(modelOf(...set));
      const names = [...student.namedParameters().keys()];
      const all = scope(() => {
        const keys = nn.keySequence(2, 1);
        const { gradients } = valueAndGrad(
          () =>
            student
              .forward(waveform, { keys, recompute })
              .hiddenStates[2].mul(tensor(tone(12 * 32, 4), { shape: [12, 32] }))
              .sum(),
          student.parameters(),
        );
        return gradients.map((x) => x.retain());
      });
      return new Map(await Promise.all(all.map(async (x, i) => [names[i], await valuesOf(x)] as const)));
    };
    const [whole, tenth] = [
      await gradients(['model.featureGradMult=1']),
      await gradients(['model.featureGradMult=0.1']),
    ];
    for (const [name, values] of whole) {
      const factor = name.startsWith('featureExtractor') ? 0.1 : 1;
      assert.ok(
        relativeError(
          tenth.get(name)!,
          values.map((value) => factor * value),
        ) < 1e-5,
        name,
      );
    }
    // The same bits, dropout included.
    for (const [name, values] of await gradients(['model.featureGradMult=1'], true))
      assert.equal(values, whole.get(name), name);
  },
);

const heading = suite('heads');

heading('sets of labels of different sizes are a softmax over their own classes each', async () => {
  const config = {
    hiddenSize: 12,
    numCodebooks: 2,
    codebookSize: 7,
    classes: [7, 4],
    specialClasses: 2,
    finalDim: 6,
    cqtBins: 5,
    logitTemperature: 0.1,
  };
  const heads = new Heads(config, nn.keySequence(1));
  assert.equal([...heads.labelEmbsConcat.shape], [7 + 4 + 4, 6]);
  const frames = tensor(tone(9 * 12, 1), { shape: [9, 12] });
  const codes = [Array.from({ length: 9 }, (_, i) => i % 7), Array.from({ length: 9 }, (_, i) => i % 4)];
  const labels = tensor(codes, { dtype: 'i32' });
  const rowWeights = tensor([0.25, 0.25, 0, 0.25, 0.25, 0, 0, 0, 0]);
  const out = scope(() => {
    const { lossCodes, accuracy } = heads.forward(frames, {
      labels,
      cqt: tensor(new Float32Array(45), { shape: [9, 5] }),
      rowWeights,
    });
    return [lossCodes.retain(), accuracy.retain()];
  });
  const [losses, accuracies] = await Promise.all(out.map(valuesOf));
  const projected = await valuesOf(scope(() => heads.finalProj.forward(frames)));
  const embeddings = await heads.labelEmbsConcat.data();
  const cosine = (a: ArrayLike<number>, b: ArrayLike<number>) => {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = 0; i < 6; i++) [ab, aa, bb] = [ab + a[i] * b[i], aa + a[i] ** 2, bb + b[i] ** 2];
    return ab / Math.sqrt(aa * bb);
  };
  for (const [k, [first, size]] of [
    [0, 9],
    [9, 6],
  ].entries()) {
    let [loss, hits] = [0, 0];
    for (const row of [0, 1, 3, 4]) {
      const own = projected.subarray(row * 12 + k * 6, row * 12 + k * 6 + 6);
      const logits = Array.from(
        { length: size },
        (_, c) => cosine(own, (embeddings as Float32Array).subarray((first + c) * 6, (first + c + 1) * 6)) / 0.1,
      );
      const target = codes[k][row] + 2;
      loss += (Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0)) - logits[target]) / 4;
      hits += Number(logits.indexOf(Math.max(...logits)) === target) / 4;
    }
    assert.ok(Math.abs(losses[k] - loss) < 1e-4, `${losses[k]} ${loss}`);
    assert.ok(Math.abs(accuracies[k] - hits) < 1e-6);
  }
  heads.dispose();
});

const masking = suite('masking options');
const plan = {
  probability: 0.6,
  length: 4,
  minMasks: 2,
  replace: 0.3,
  replaceFrom: 'sample',
  keep: 0.2,
  schedule: [],
} as const;

masking('masked frames are kept, replaced without repetition, or masked, by their shares', () => {
  const masks = maskBatch(hostRandom(1), 20, 200, plan);
  const total = masks.flatMap((mask) => [...mask]).reduce((sum, x) => sum + x, 0);
  for (const replaceFrom of ['sample', 'batch'] as const) {
    const { hidden, from } = drawReplacements(hostRandom(2), masks, { ...plan, replaceFrom });
    const replaced = [...from.keys()].filter((at) => from[at] !== at);
    assert.ok(Math.abs(replaced.length / total - 0.3) < 0.04);
    assert.ok(Math.abs(hidden.flatMap((row) => [...row]).reduce((sum, x) => sum + x, 0) / total - 0.5) < 0.04);
    for (const at of replaced) {
      assert.is(masks[Math.floor(at / 200)][at % 200], 1);
      assert.is(hidden[Math.floor(at / 200)][at % 200], 0);
      if (replaceFrom === 'sample') assert.is(Math.floor(from[at] / 200), Math.floor(at / 200));
    }
    const sources = replaced.map((at) => from[at]);
    assert.is(new Set(sources).size, sources.length);
    assert.is(
      replaceFrom === 'batch',
      sources.some((source, i) => Math.floor(source / 200) !== Math.floor(replaced[i] / 200)),
    );
  }
});

masking('a schedule changes probability and length from its steps on, and no batch outgrows the room for it', () => {
  const schedule = [
    { fromStep: 5, length: 10 },
    { fromStep: 9, probability: 0.2 },
  ];
  const at = (step: number) => {
    const { probability, length } = maskingAt({ ...plan, schedule }, step);
    return [probability, length];
  };
  assert.equal([1, 4, 5, 8, 9, 100].map(at), [
    [0.6, 4],
    [0.6, 4],
    [0.6, 10],
    [0.6, 10],
    [0.2, 10],
    [0.2, 10],
  ]);
  for (const frames of [37, 74, 374]) {
    const most = mostMasked({ ...plan, schedule }, frames);
    assert.ok(most < frames);
    for (let step = 1; step < 30; step++) {
      for (const mask of maskBatch(hostRandom(step), 3, frames, maskingAt({ ...plan, schedule }, step))) {
        assert.ok(mask.reduce((sum, x) => sum + x, 0) <= most);
      }
    }
  }
});

masking.after(() => device.close());
variants.run();
heading.run();
masking.run();
