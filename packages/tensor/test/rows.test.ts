/**
 * Kernels whose threads share rows, with each way to share them: a few threads a row, as on CPU drivers, and many, joined in
 * workgroup memory or by subgroups. Rows of every length that changes how; memory that held NaN before.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttributesOf, apply, type OpName, scope, type Tensor } from '../src/index.ts';
import { arrayOf, between, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { device, floats } from './device.ts';
import { poisonMemory } from './poison.ts';
import { build, type Expected, type NDArray, toHalf } from './reference/array.ts';
import { crossEntropy, crossEntropyBackward } from './reference/cross-entropy.ts';
import * as norms from './reference/norm.ts';
import * as reductions from './reference/reduce.ts';

poisonMemory();

const lengths = [1, 3, 32, 33, 100, 129, 256, 257, 768, 1031, 3001, 5000];
const threads = [
  { name: 'few threads a row', software: true, subgroups: false },
  { name: 'many threads a row', software: false, subgroups: false },
  { name: 'many threads a row, by subgroups', software: false, subgroups: true },
];

/** Runs `body` with a device that believes to be another. */
async function believing({ software, subgroups }: (typeof threads)[number], body: () => Promise<void>) {
  const before = device.adapter.software;
  const features = new Set([...device.features].filter((name) => subgroups || name !== 'subgroups'));
  Object.assign(device.adapter, { software });
  Object.defineProperty(device, 'features', { value: features, configurable: true });
  try {
    await body();
  } finally {
    Object.assign(device.adapter, { software: before });
    delete (device as { features?: unknown }).features;
  }
}

/** In f16 where an input may be that; both sides see the rounded values. */
const held = (x: NDArray, dtype: 'f32' | 'f16'): NDArray =>
  dtype === 'f16' ? { ...x, dtype, data: x.data.map(toHalf) } : x;

let turn = 0;

/** Every other time behind others of its buffer, at an offset of its own that leaves whole fours whole. */
function place(x: NDArray, i: number): Tensor {
  if (turn % 2 === 0) return upload(x);
  const before = 4 * (i + 1);
  const data = Float64Array.from({ length: before + x.data.length }, (_, k) => (k < before ? 77 : x.data[k - before]));
  return upload({ dtype: x.dtype, shape: [data.length], data })
    .sliceAxis(0, before, data.length)
    .reshape([...x.shape]);
}

async function check<N extends OpName>(
  name: N,
  inputs: readonly NDArray[],
  attributes: AttributesOf<N>,
  expected: readonly Expected[],
): Promise<void> {
  turn++;
  const outputs = scope(() => apply(name, inputs.map(place), attributes));
  const what = `${name} of ${inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(', ')}`;
  for (const [i, out] of outputs.entries()) await assertMatches(`${what}, output ${i}`, out, expected[i]);
  for (const out of outputs) out.dispose();
}

const f32 = (x: NDArray): NDArray => ({ dtype: 'f32', shape: x.shape, data: x.data.map(Math.fround) });

for (const way of threads) {
  if (way.subgroups && !device.features.has('subgroups')) continue;
  for (const dtype of floats) {
    test(`softmax of ${dtype} with ${way.name}`, () =>
      believing(way, async () => {
        const random = randomFrom(1);
        for (const length of lengths) {
          const x = held(arrayOf([5, length], random, between(-8, 8)), dtype);
          const g = held(arrayOf([5, length], random), dtype);
          const [y, logs] = [norms.softmax(x), norms.logSoftmax(x)].map((own) => held(f32(own), dtype));
          await check('softmax', [x], {}, [norms.softmax(x)]);
          await check('logSoftmax', [x], {}, [norms.logSoftmax(x)]);
          await check('softmaxBackward', [y, g], {}, [norms.softmaxBackward(y, g)]);
          await check('logSoftmaxBackward', [logs, g], {}, [norms.logSoftmaxBackward(logs, g)]);
        }
      }));

    test(`norms of ${dtype} with ${way.name}`, () =>
      believing(way, async () => {
        const random = randomFrom(2);
        for (const [k, length] of lengths.entries()) {
          const mean = [0, 30, 100, 1000][k % 4];
          const x = held(
            arrayOf([3, length], random, (r) => mean + between(-2, 2)(r)),
            dtype,
          );
          const [weight, bias] = [arrayOf([length], random), arrayOf([length], random)];
          const layout = norms.layerNormLayout(x);
          const forward = norms.norm(x, weight, bias, layout, 1e-5);
          await check('layerNorm', [x, weight, bias], { eps: 1e-5 }, forward);
          const g = held(arrayOf([3, length], random), dtype);
          const centred = held(arrayOf([3, length], random), dtype);
          const statistics = f32(norms.norm(centred, weight, bias, layout, 1e-5)[1]);
          const inputs = [centred, weight, statistics, g];
          await check('layerNormBackward', inputs, {}, norms.normBackward(centred, weight, statistics, g, layout));
        }
        for (const [channels, groups, spatial] of [
          [6, 3, 517],
          [8, 8, 1031],
          [4, 2, 6],
          [6, 2, 1],
          [12, 1, 250],
          [6, 3, 32],
          [8, 8, 64],
          [16, 2, 1],
        ]) {
          const shape = [2, channels, spatial];
          const x = held(
            arrayOf(shape, random, (r) => 30 + between(-2, 2)(r)),
            dtype,
          );
          const [weight, bias] = [arrayOf([channels], random), arrayOf([channels], random)];
          const layout = norms.groupNormLayout(x, groups);
          await check('groupNorm', [x, weight, bias], { groups, eps: 1e-5 }, norms.norm(x, weight, bias, layout, 1e-5));
          const [centred, g] = [held(arrayOf(shape, random), dtype), held(arrayOf(shape, random), dtype)];
          const statistics = f32(norms.norm(centred, weight, bias, layout, 1e-5)[1]);
          await check(
            'groupNormBackward',
            [centred, weight, statistics, g],
            { groups },
            norms.normBackward(centred, weight, statistics, g, layout),
          );
        }
      }));

    test(`cross-entropy of ${dtype} with ${way.name}`, () =>
      believing(way, async () => {
        const random = randomFrom(3);
        for (const [k, length] of lengths.entries()) {
          const rows = [1, 7, 70][k % 3];
          const mean = [0, 500][k % 2];
          const x = held(
            arrayOf([rows, length], random, (r) => mean + between(-8, 8)(r)),
            dtype,
          );
          const target = build([rows], 'i32', (_, i) => (i === 3 ? -100 : (i * 7919 + 31) % length));
          const weight = arrayOf([length], random, between(0.2, 2));
          const g = arrayOf([rows], random);
          for (const attributes of [
            { ignoreIndex: -100, labelSmoothing: 0 },
            { ignoreIndex: 0, labelSmoothing: 0.1 },
          ]) {
            for (const more of [[], [weight]]) {
              const forward = crossEntropy([x, target, ...more], attributes);
              await check('crossEntropy', [x, target, ...more], attributes, forward);
              const given = [x, target, f32(forward[1]), g, ...more];
              await check('crossEntropyBackward', given, attributes, crossEntropyBackward(given, attributes));
            }
          }
        }
      }));

    test(`reductions of ${dtype} with ${way.name}`, () =>
      believing(way, async () => {
        const random = randomFrom(4);
        for (const length of [...lengths, 10_007]) {
          const x = held(arrayOf([3, length], random), dtype);
          const attributes = { axes: [1], keepdim: false };
          const { sum, mean, sumSquares, max, min } = reductions;
          for (const [name, reference] of Object.entries({ sum, mean, sumSquares, max, min })) {
            await check(name as 'sum', [x], attributes, [reference(x, attributes)]);
          }
        }
      }));

    test(`columns of ${dtype} with ${way.name}`, () =>
      believing(way, async () => {
        const random = randomFrom(6);
        for (const shape of [
          [3, 7, 5],
          [1, 40, 300],
          [2, 700, 20],
          [1, 2992, 33],
          [1, 9001, 2],
          [40, 33, 100],
        ]) {
          const x = held(arrayOf(shape, random), dtype);
          const attributes = { axes: [1], keepdim: false };
          const { sum, mean, sumSquares, max, min } = reductions;
          for (const [name, reference] of Object.entries({ sum, mean, sumSquares, max, min })) {
            await check(name as 'sum', [x], attributes, [reference(x, attributes)]);
          }
        }
      }));
  }

  test(`NaN spoils its row and no other with ${way.name}`, () =>
    believing(way, async () => {
      for (const length of [3, 200, 1031]) {
        const x = arrayOf([5, length], randomFrom(5));
        x.data[2 * length + (length >> 1)] = Number.NaN;
        const target = build([5], 'i32', () => 0);
        const [losses] = scope(() =>
          apply('crossEntropy', [upload(x), upload(target)], { ignoreIndex: -1, labelSmoothing: 0 }),
        );
        assert.equal([...(await losses.data())].map(Number.isNaN), [false, false, true, false, false]);
        const [y] = scope(() => apply('softmax', [upload(x)], {}));
        const values = await y.data();
        const spoiled = (i: number) => Math.floor(i / length) === 2;
        assert.ok([...values].every((value, i) => Number.isNaN(value) === spoiled(i)));
        for (const tensor of [losses, y]) tensor.dispose();
      }
    }));
}

test.run();
