import { normal, tensor, zeros } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertMatches } from '../../tensor/test/compare.ts';
import { build, type NDArray } from '../../tensor/test/reference/array.ts';
import '../../tensor/test/device.ts';
import { grad, nn } from '../src/index.ts';

const keys = nn.keySequence(7);

type Matrix = number[][];

async function matrices(layer: nn.Linear): Promise<{ weight: Matrix; bias: number[] }> {
  return { weight: (await layer.weight.toArray()) as Matrix, bias: (await layer.bias!.toArray()) as number[] };
}

const project = (x: Matrix, { weight, bias }: { weight: Matrix; bias: number[] }): Matrix =>
  x.map((row) => weight.map((w, o) => w.reduce((total, value, i) => total + value * row[i], bias[o])));

/** Attention of one clip, step by step, head by head. */
async function attend(
  x: Matrix,
  layer: nn.MultiHeadAttention,
  visible: (key: number, query: number) => boolean = () => true,
  source = x,
): Promise<Matrix> {
  const { heads, qProj, kProj, vProj, outProj } = layer;
  const [query, key, value] = [
    project(x, await matrices(qProj)),
    project(source, await matrices(kProj)),
    project(source, await matrices(vProj)),
  ];
  const size = x[0].length / heads;
  const mixed = x.map((_, t) => {
    const out: number[] = [];
    for (let h = 0; h < heads; h++) {
      const columns = Array.from({ length: size }, (_, i) => h * size + i);
      const powers = key.map((row, s) => {
        const score = columns.reduce((total, c) => total + query[t][c] * row[c], 0) / Math.sqrt(size);
        return visible(s, t) ? Math.exp(score) : 0;
      });
      const total = powers.reduce((a, b) => a + b);
      for (const c of columns) out.push(powers.reduce((sum, power, s) => sum + (power / total) * value[s][c], 0));
    }
    return out;
  });
  return project(mixed, await matrices(outProj));
}

const toArray = (clips: Matrix[]): NDArray =>
  build([clips.length, clips[0].length, clips[0][0].length], 'f32', ([b, t, c]) => clips[b][t][c]);

const tolerance = { relative: 1e-5, peak: true };
const [batch, time, features] = [2, 5, 12];
const x = normal([batch, time, features], keys.next());

for (const heads of [1, 3, 4]) {
  test(`attention with ${heads} heads agrees with a plain loop`, async () => {
    const layer = new nn.MultiHeadAttention(features, heads, keys, { std: 0.5 });
    const clips = (await x.toArray()) as Matrix[];
    const expected = await Promise.all(clips.map((clip) => attend(clip, layer)));
    await assertMatches('attention', layer.forward(x), toArray(expected), tolerance);
  });
}

test('what is not visible is not attended to, and gets no gradient from other steps', async () => {
  const layer = new nn.MultiHeadAttention(features, 3, keys, { std: 0.5 });
  const shown = [
    [1, 1, 0, 1, 0],
    [0, 0, 1, 0, 1],
  ];
  const visible = tensor(shown, { dtype: 'bool' });
  const clips = (await x.toArray()) as Matrix[];
  const expected = await Promise.all(clips.map((clip, b) => attend(clip, layer, (s) => shown[b][s] === 1)));
  await assertMatches('attention', layer.forward(x, { visible }), toArray(expected), tolerance);

  // The output at step 0 of a clip: steps that are neither 0 nor visible have no part in it.
  const [gradient] = grad(() => layer.forward(x, { visible }).sliceAxis(1, 0, 1).square().sum(), [x]);
  const rows = (await gradient.toArray()) as Matrix[];
  for (let b = 0; b < batch; b++) {
    for (let t = 0; t < time; t++) {
      const part = t === 0 || shown[b][t] === 1;
      assert.is(
        rows[b][t].some((value) => value !== 0),
        part,
        `clip ${b}, step ${t}`,
      );
    }
  }
});

test('a step may attend to those before it alone, and to another sequence', async () => {
  const layer = new nn.MultiHeadAttention(features, 3, keys, { std: 0.5 });
  const [source, steps] = [normal([batch, 7, features], keys.next()), 7];
  const [clips, sources] = [(await x.toArray()) as Matrix[], (await source.toArray()) as Matrix[]];
  const before = await Promise.all(clips.map((clip) => attend(clip, layer, (s, t) => s <= t)));
  await assertMatches('causal', layer.forward(x, { causal: true }), toArray(before), tolerance);
  const other = await Promise.all(clips.map((clip, b) => attend(clip, layer, undefined, sources[b])));
  await assertMatches('another sequence', layer.forward(x, { source }), toArray(other), tolerance);
  const shown = Array.from({ length: batch }, (_, b) => Array.from({ length: steps }, (_, s) => Number(s > b)));
  const some = await Promise.all(clips.map((clip, b) => attend(clip, layer, (s) => shown[b][s] === 1, sources[b])));
  const visible = tensor(shown, { dtype: 'bool' });
  await assertMatches('some of it', layer.forward(x, { source, visible }), toArray(some), tolerance);
  assert.throws(
    () => layer.forward(x, { source: source.narrow(0, 0, 1) }),
    /source is .*expected \[2, keys, features\]/,
  );
});

test('attention drops weights while training, the same ones for the same key', async () => {
  const layer = new nn.MultiHeadAttention(features, 3, keys, { dropout: 0.5 });
  const read = async (key?: nn.KeySequence) => [...(await layer.forward(x, { keys: key }).data())];
  assert.equal(await read(nn.keySequence(3)), await read(nn.keySequence(3)));
  assert.not.equal(await read(nn.keySequence(3)), await read(nn.keySequence(4)));
  const clips = (await x.toArray()) as Matrix[];
  const expected = await Promise.all(clips.map((clip) => attend(clip, layer)));
  await assertMatches('attention', layer.forward(x), toArray(expected), tolerance);
});

test('features that do not divide into heads are an error', () => {
  const layer = new nn.MultiHeadAttention(6, 3, keys);
  assert.throws(() => layer.forward(zeros([1, 2, 5])), /Linear: x is \[1, 2, 5\]; expected \[\.\.\., 6\]/);
  assert.throws(() => new nn.MultiHeadAttention(10, 3, keys), /10 features do not divide into 3 heads/);
});

test.run();
