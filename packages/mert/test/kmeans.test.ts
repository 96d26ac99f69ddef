/** K-means against scikit-learn (golden/kmeans: 3000 rows of 12 clusters in 10 dimensions) and against f64 loops. */
import { type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { assign, squaredDistances } from '../src/kmeans/assign.ts';
import { lloyd } from '../src/kmeans/lloyd.ts';
import { miniBatchKMeans, miniBatchStep } from '../src/kmeans/minibatch.ts';
import { kMeansPlusPlus } from '../src/kmeans/plus-plus.ts';
import { hostRandom } from '../src/random.ts';
import { goldenArrays, messageOf, openTestDevice, relativeError } from './support.ts';

await openTestDevice();
const golden = await goldenArrays('kmeans.safetensors');
const [ROWS, DIMENSION, CLUSTERS] = [3000, 10, 12];
const rowsOfGolden = tensor(golden('X'), { shape: [ROWS, DIMENSION] });
const startOfGolden = tensor(Float32Array.from(golden('lloyd/init')), { shape: [CLUSTERS, DIMENSION] });
const floats = async (x: Tensor) => (await x.data()) as Float32Array;
const bestScore = golden('best_possible/score_per_row')[0];

/** Squared distances in f64. */
function distancesOf(x: ArrayLike<number>, centres: ArrayLike<number>, dimension: number): number[][] {
  return Array.from({ length: x.length / dimension }, (_, row) =>
    Array.from({ length: centres.length / dimension }, (_, k) => {
      let sum = 0;
      for (let d = 0; d < dimension; d++) sum += (x[row * dimension + d] - centres[k * dimension + d]) ** 2;
      return sum;
    }),
  );
}

const nearest = (distances: readonly number[]) => distances.indexOf(Math.min(...distances));
const labelsOf = (x: ArrayLike<number>, centres: ArrayLike<number>, dimension: number) =>
  distancesOf(x, centres, dimension).map(nearest);

/** Mean squared distance of the golden rows to centres. */
function score(centres: ArrayLike<number>): number {
  const distances = distancesOf(golden('X'), centres, DIMENSION);
  return distances.reduce((sum, own) => sum + Math.min(...own), 0) / ROWS;
}

/** Normalised mutual information (arithmetic mean) of two labellings. */
function mutualInformation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const joint = new Map<string, number>();
  const [left, right] = [new Map<number, number>(), new Map<number, number>()];
  for (let i = 0; i < a.length; i++) {
    joint.set(`${a[i]} ${b[i]}`, (joint.get(`${a[i]} ${b[i]}`) ?? 0) + 1);
    left.set(a[i], (left.get(a[i]) ?? 0) + 1);
    right.set(b[i], (right.get(b[i]) ?? 0) + 1);
  }
  const entropy = (counts: Iterable<number>) =>
    [...counts].reduce((sum, count) => sum - (count / a.length) * Math.log(count / a.length), 0);
  const [h, ha, hb] = [entropy(joint.values()), entropy(left.values()), entropy(right.values())];
  return (2 * (ha + hb - h)) / (ha + hb);
}

const distances = suite('distances and nearest centres');

distances('are those of f64 loops', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(1, 2, 7, 33, 257),
      fc.constantFrom(1, 3, 16, 39),
      fc.constantFrom(1, 2, 5, 64, 300),
      fc.integer({ min: 0, max: 1 << 20 }),
      async (rows, dimension, clusters, seed) => {
        const random = hostRandom(seed);
        const values = (n: number) => Float32Array.from({ length: n }, () => random.uniform() * 2 - 1);
        const [x, c] = [values(rows * dimension), values(clusters * dimension)];
        const [rowsOf, centres] = [
          tensor(x, { shape: [rows, dimension] }),
          tensor(c, { shape: [clusters, dimension] }),
        ];
        const expected = distancesOf(x, c, dimension);
        assert.ok(relativeError(await floats(squaredDistances(rowsOf, centres)), expected.flat()) < 2e-6);
        const found = assign(rowsOf, centres);
        const labels = (await found.labels.data()) as Int32Array;
        const own = await floats(found.distances);
        for (const [row, label] of labels.entries()) {
          const least = Math.min(...expected[row]);
          assert.ok(expected[row][label] - least < 1e-5, `row ${row}`);
          assert.ok(Math.abs(own[row] - expected[row][label]) < 1e-5);
        }
      },
    ),
    { numRuns: 25 },
  );
});

distances('the first centre on ties; more rows than a block', async () => {
  const rows = 8192 + 5;
  const x = tensor(new Float32Array(rows * 2).fill(1), { shape: [rows, 2] });
  const centres = tensor([5, 5, 1, 1, 1, 1], { shape: [3, 2] });
  const { labels } = assign(x, centres);
  assert.ok(((await labels.data()) as Int32Array).every((label) => label === 1));
});

const full = suite('Lloyd');

full('gives scikit-learn’s centres, labels and inertia, an empty cluster on the way included', async () => {
  const result = await lloyd(rowsOfGolden, startOfGolden);
  assert.ok(relativeError(await floats(result.centres), golden('lloyd/centers')) < 1e-6);
  assert.equal([...(await result.labels.data())], [...golden('lloyd/labels')]);
  assert.ok(Math.abs(result.inertia / golden('lloyd/inertia')[0] - 1) < 1e-6);
  assert.is(result.moved, 1);
});

full('a plain k-means, which leaves the empty cluster where it is, is worse: the start is a hard one', async () => {
  const { labels } = await lloyd(rowsOfGolden, startOfGolden);
  const agreement = mutualInformation((await labels.data()) as Int32Array, golden('apply/labels'));
  assert.ok(agreement > 0.9 && agreement < 0.97, String(agreement));
});

full('several empty clusters take different rows, and none is left empty', async () => {
  const x = tensor([0, 1, 2, 3, 10, 11, 30, 31], { shape: [8, 1] });
  const start = tensor([1, 100, 200, 300], { shape: [4, 1] });
  const { labels, centres, moved } = await lloyd(x, start);
  const used = new Set(await labels.data());
  assert.is(used.size, 4);
  assert.is(moved >= 3, true);
  assert.ok((await floats(centres)).every((value) => value < 40));
});

full('fewer distinct rows than clusters end, with clusters that nothing chooses', async () => {
  const x = tensor([1, 1, 1, 2, 2, 2], { shape: [6, 1] });
  const start = tensor([1, 2, 3, 4], { shape: [4, 1] });
  const { labels, inertia } = await lloyd(x, start);
  assert.is(inertia, 0);
  assert.equal([...(await labels.data())], [0, 0, 0, 1, 1, 1]);
});

full('ends at maxIterations, and by tolerance', async () => {
  assert.is((await lloyd(rowsOfGolden, startOfGolden, { maxIterations: 3 })).iterations, 3);
  const loose = await lloyd(rowsOfGolden, startOfGolden, { tolerance: 0.1 });
  assert.ok(loose.iterations < (await lloyd(rowsOfGolden, startOfGolden)).iterations);
});

const start = suite('k-means++');

start('is as good as scikit-learn’s, its centres are rows, and a seed names the draw', async () => {
  const reference = score(
    [...golden('kmeans++/index')].flatMap((row) => [...golden('X').subarray(row * DIMENSION, (row + 1) * DIMENSION)]),
  );
  const scores: number[] = [];
  for (let seed = 0; seed < 8; seed++) {
    const { centres, rows } = kMeansPlusPlus(rowsOfGolden, CLUSTERS, hostRandom(seed));
    const values = await floats(centres);
    const expected = [...((await rows.data()) as Int32Array)].flatMap((row) => [
      ...golden('X').subarray(row * DIMENSION, (row + 1) * DIMENSION),
    ]);
    assert.equal([...values], expected);
    scores.push(score(values));
    const again = kMeansPlusPlus(rowsOfGolden, CLUSTERS, hostRandom(seed));
    assert.equal(await floats(again.centres), values);
  }
  // Rows drawn without looking at distances score 4.7 on the average, greedy k-means++ 0.8.
  const mean = scores.reduce((sum, value) => sum + value, 0) / scores.length;
  assert.ok(mean < 1.5 * reference, `${mean} against ${reference}`);
});

start('draws no row twice while there are others', async () => {
  const x = tensor(
    Float32Array.from({ length: 40 }, (_, i) => i % 20),
    { shape: [40, 1] },
  );
  const { centres } = kMeansPlusPlus(x, 20, hostRandom(5));
  assert.is(new Set(await centres.data()).size, 20);
});

start('works where rows are fewer than clusters have room for', async () => {
  const x = tensor([3, 3, 3, 3], { shape: [4, 1] });
  assert.equal([...(await kMeansPlusPlus(x, 3, hostRandom(0)).centres.data())], [3, 3, 3]);
  assert.equal([...(await kMeansPlusPlus(x, 1, hostRandom(0)).centres.data())], [3]);
});

const batches = suite('minibatches');

batches('three steps give the centres and counts of the recipe', async () => {
  let state = { centres: startOfGolden, counts: tensor(new Float32Array(CLUSTERS)) };
  for (let i = 0; i < 3; i++) state = await miniBatchStep(state, rowsOfGolden.sliceAxis(0, i * 1000, (i + 1) * 1000));
  // The recipe in f64 gives the golden's centres to 1e-9; ours are f32, which alone rounds them by 6e-8.
  const exact = Float64Array.from(golden('lloyd/init'));
  const counts = new Float64Array(CLUSTERS);
  const x = golden('X');
  for (let i = 0; i < 3; i++) {
    const batch = x.slice(i * 1000 * DIMENSION, (i + 1) * 1000 * DIMENSION);
    const labels = labelsOf(batch, exact, DIMENSION);
    for (let k = 0; k < CLUSTERS; k++) {
      const own = labels.flatMap((label, row) => (label === k ? [row] : []));
      for (let d = 0; d < DIMENSION; d++) {
        const sum = own.reduce((total, row) => total + batch[row * DIMENSION + d], 0);
        const at = k * DIMENSION + d;
        if (own.length > 0) exact[at] = (exact[at] * counts[k] + sum) / (counts[k] + own.length);
      }
      counts[k] += own.length;
    }
  }
  assert.ok(relativeError(exact, golden('minibatch_manual/centers_after3')) < 1e-9);
  assert.ok(relativeError(await floats(state.centres), exact) < 2e-7);
  assert.equal([...(await state.counts.data())], [...golden('minibatch_manual/weights_after3')]);
});

batches('find the clusters: within 1.05 of the best score, and the generating labels', async () => {
  const result = await miniBatchKMeans(rowsOfGolden, {
    clusters: CLUSTERS,
    random: hostRandom(7),
    batchSize: 500,
    maxEpochs: 20,
  });
  const centres = await floats(result.centres);
  assert.ok(score(centres) < 1.05 * bestScore, `${score(centres)} against ${bestScore}`);
  const agreement = mutualInformation(labelsOf(golden('X'), centres, DIMENSION), golden('apply/labels'));
  assert.ok(agreement >= 0.99, String(agreement));
  assert.ok(result.steps <= 120);
});

batches('the same seed gives the same bits, another one others', async () => {
  const run = async (seed: number) =>
    floats(
      (await miniBatchKMeans(rowsOfGolden, { clusters: 12, random: hostRandom(seed), batchSize: 300, maxSteps: 5 }))
        .centres,
    );
  const [first, second, other] = [await run(1), await run(1), await run(2)];
  assert.equal(first, second);
  assert.not.equal(first, other);
});

batches('a centre that takes nothing is moved to where rows are', async () => {
  const state = { centres: tensor([0, 99], { shape: [2, 1] }), counts: tensor([0, 0]) };
  const batch = tensor([0, 0.5, 5, 1], { shape: [4, 1] });
  const next = await miniBatchStep(state, batch);
  assert.is(next.moved, 1);
  assert.equal([...(await next.centres.data())], [1.625, 5]);
  assert.equal([...(await next.counts.data())], [4, 0]);
  assert.ok(Math.abs(next.inertia - (0.25 + 25 + 1) / 4) < 1e-6);
});

const mistakes = suite('mistakes');

mistakes('are told with shapes and a remedy', async () => {
  const x = tensor([1, 2, 3], { shape: [3, 1] });
  assert.match(
    await messageOf(() => kMeansPlusPlus(x, 4, hostRandom(0))),
    /3 rows are too few for 4 clusters; give at least as many rows, or ask for fewer clusters/,
  );
  assert.match(
    await messageOf(() => kMeansPlusPlus(x, 0, hostRandom(0))),
    /0 clusters; expected a whole number from 1/,
  );
  assert.match(
    await messageOf(() => lloyd(x, tensor([1, 2], { shape: [1, 2] }))),
    /the start is \[1,2\]; expected \[clusters, 1\]/,
  );
  assert.match(
    await messageOf(() => lloyd(tensor([1, Number.NaN, 3], { shape: [3, 1] }), tensor([1], { shape: [1, 1] }))),
    /not finite \(NaN or infinite\)/,
  );
  assert.match(
    await messageOf(() =>
      miniBatchKMeans(tensor([1, Number.NaN, 3], { shape: [3, 1] }), { clusters: 1, random: hostRandom(0) }),
    ),
    /not finite \(NaN or infinite\)/,
  );
  assert.match(
    await messageOf(() => miniBatchKMeans(x, { clusters: 1, random: hostRandom(0), starts: 0 })),
    /starts is 0; expected a whole number from 1/,
  );
});

for (const tests of [distances, full, start, batches, mistakes]) tests.run();
