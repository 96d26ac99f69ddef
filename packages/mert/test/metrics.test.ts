/** Metrics against mir_eval and scikit-learn (golden/metrics.json), to 1e-9, and against their definitions. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  averagePrecision,
  beat,
  classification,
  eventFMeasure,
  globalSdr,
  key_matrix,
  keyNames,
  keyScore,
  multilabel,
  r2,
  rocAuc,
  sdr,
  weightedKeyScore,
} from '../src/evaluation/metrics/index.ts';
import { goldenPath, messageOf } from './support.ts';

const golden = JSON.parse(readFileSync(goldenPath('metrics.json'), 'utf8'));
const near = (actual: number, expected: number) =>
  assert.ok(Math.abs(actual - expected) <= 1e-9, `${actual} instead of ${expected}`);
const allNear = (actual: readonly number[], expected: readonly number[]) => {
  assert.is(actual.length, expected.length);
  for (const [i, value] of actual.entries()) near(value, expected[i]);
};

const beats = suite('beat F-measure');

beats('is that of mir_eval', () => {
  const { ref, est, f70ms, f70ms_trimmed } = golden.beat;
  near(beat(ref, est).f70ms, f70ms);
  near(beat(ref, est).f70ms_trimmed, f70ms_trimmed);
});

beats('matches one to one, as many as can be', () => {
  // The best matching found by trying all.
  const best = (ref: readonly number[], est: readonly number[], i = 0, used = new Set<number>()): number => {
    if (i === ref.length) return 0;
    let most = best(ref, est, i + 1, used);
    for (const [j, time] of est.entries()) {
      if (used.has(j) || !(ref[i] >= time - 0.07 && ref[i] <= time + 0.07)) continue;
      most = Math.max(most, 1 + best(ref, est, i + 1, new Set([...used, j])));
    }
    return most;
  };
  const times = fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(times, times, (a, b) => {
      const [ref, est] = [a, b].map((list) => list.map((n) => n * 0.02).sort((x, y) => x - y));
      near(eventFMeasure(ref, est), (2 * best(ref, est)) / (ref.length + est.length));
    }),
  );
});

beats('is 0 without beats, and leaves out those before 5 s', () => {
  assert.is(eventFMeasure([], [1]), 0);
  assert.is(eventFMeasure([1], []), 0);
  assert.is(eventFMeasure([], []), 0);
  assert.equal(beat([1, 6], [6]), { f70ms: 2 / 3, f70ms_trimmed: 1 });
});

beats('refuses lists that do not ascend', async () => {
  assert.match(await messageOf(() => eventFMeasure([2, 1], [1])), /ref is no list of ascending seconds/);
  assert.match(await messageOf(() => eventFMeasure([1], [Number.NaN])), /est is no list/);
});

const keys = suite('key score');

keys('is that of mir_eval for all pairs', () => {
  assert.equal(keyNames, golden.key_matrix.order);
  assert.is(key_matrix.order, keyNames);
  for (const [i, row] of key_matrix.ref_row_est_col.entries()) allNear(row, golden.key_matrix.ref_row_est_col[i]);
});

keys('reads names of keys and averages over songs', async () => {
  assert.is(keyScore('C# minor', 'db MINOR'), 1);
  near(weightedKeyScore(['C major', 'A minor'], ['G major', 'C major']), 0.4);
  assert.match(await messageOf(() => keyScore('H major', 'C major')), /“H major” is no key/);
  // As mir_eval scores an estimate without a key.
  assert.is(weightedKeyScore(['C major', 'A minor'], ['C major', undefined]), 0.5);
  assert.match(await messageOf(() => weightedKeyScore([], [])), /one at least/);
});

const tags = suite('ROC-AUC and average precision');

tags('are those of scikit-learn, ties included', () => {
  const { y, s, roc_auc_macro, ap_macro, roc_auc_per_class, ap_per_class } = golden.multilabel;
  const scores = multilabel(y, s);
  near(scores.roc_auc_macro, roc_auc_macro);
  near(scores.ap_macro, ap_macro);
  allNear(scores.roc_auc_per_class, roc_auc_per_class);
  allNear(scores.ap_per_class, ap_per_class);
});

tags('are those of their definitions', () => {
  const rows = fc.array(fc.tuple(fc.integer({ min: 0, max: 1 }), fc.integer({ min: 0, max: 4 })), { minLength: 1 });
  fc.assert(
    fc.property(rows, (pairs) => {
      const [truth, scores] = [pairs.map(([y]) => y), pairs.map(([, s]) => s)];
      let [wins, count] = [0, 0];
      for (const [y, s] of pairs) {
        for (const [other, t] of pairs) {
          if (y === 1 && other === 0) {
            wins += s > t ? 1 : s === t ? 0.5 : 0;
            count++;
          }
        }
      }
      if (count === 0) assert.ok(Number.isNaN(rocAuc(truth, scores)));
      else near(rocAuc(truth, scores), wins / count);
      const positives = truth.filter((y) => y === 1).length;
      if (positives === 0) return assert.ok(Number.isNaN(averagePrecision(truth, scores)));
      let [sum, before] = [0, 0];
      for (const threshold of [...new Set(scores)].sort((a, b) => b - a)) {
        const above = pairs.filter(([, s]) => s >= threshold);
        const hits = above.filter(([y]) => y === 1).length;
        sum += ((hits - before) / positives) * (hits / above.length);
        before = hits;
      }
      near(averagePrecision(truth, scores), sum);
    }),
  );
});

tags('leave classes out that have one kind of label', async () => {
  const scores = multilabel(
    [
      [0, 1, 1],
      [0, 1, 0],
    ],
    [
      [1, 2, 3],
      [4, 5, 1],
    ],
  );
  assert.equal(scores.roc_auc_per_class, [Number.NaN, Number.NaN, 1]);
  assert.is(scores.roc_auc_macro, 1);
  assert.is(scores.ap_macro, 1);
  assert.match(await messageOf(() => multilabel([[0]], [[1, 2]])), /the same shape/);
  assert.match(await messageOf(() => multilabel([[2]], [[1]])), /label 0 is 2/);
  assert.match(await messageOf(() => multilabel([[1]], [[Number.NaN]])), /score 0 is not a number/);
});

const others = suite('R2, classes and SDR');

others('R2 is that of scikit-learn', async () => {
  const { t, p, per_output, uniform_average } = golden.r2;
  allNear(r2(t, p).per_output, per_output);
  near(r2(t, p).uniform_average, uniform_average);
  assert.equal(r2([[1], [1]], [[1], [1]]).per_output, [1]);
  assert.equal(r2([[1], [1]], [[1], [2]]).per_output, [0]);
  // Seventeen times 0.3 has a mean beside it.
  const constant = Array.from({ length: 17 }, () => [0.3]);
  assert.equal(
    r2(
      constant,
      constant.map(([value]) => [value + 0.1]),
    ).per_output,
    [0],
  );
  assert.equal(r2(constant, constant).per_output, [1]);
  assert.match(await messageOf(() => r2([[1]], [[1]])), /two clips at least/);
});

others('accuracy, F1 and confusions are those of scikit-learn', async () => {
  // sklearn.metrics.f1_score([0, 0, 1, 2], [0, 1, 1, 1], average='macro') is 0.38888888888888884
  const scores = classification([0, 0, 1, 2], [0, 1, 1, 1], 4);
  near(scores.accuracy, 0.5);
  near(scores.f1_macro, (2 / 3 + 1 / 2 + 0) / 3);
  assert.equal(scores.recall_per_class, [0.5, 1, 0, Number.NaN]);
  assert.equal(scores.confusion[0], [1, 1, 0, 0]);
  assert.match(await messageOf(() => classification([4], [0], 4)), /whole numbers below 4/);
  assert.match(await messageOf(() => classification([0], [5], 4)), /4 for none of them/);
});

others('a guess that is none of the classes is wrong, and no class', () => {
  const scores = classification([0, 0, 1, 1], [2, 0, 1, 2], 2);
  near(scores.accuracy, 0.5);
  near(scores.f1_macro, 2 / 3);
  assert.equal(scores.recall_per_class, [0.5, 0.5]);
  // The last column.
  assert.equal(scores.confusion, [
    [1, 0, 1],
    [0, 1, 1],
  ]);
});

others('SDR is the ratio of energies', async () => {
  const ref = Float64Array.of(1, -2, 3, 0.5);
  const est = ref.map((value, i) => 0.9 * value + [0.1, -0.1, 0.05, 0.2][i]);
  const energy = ref.reduce((sum, value) => sum + value ** 2, 0);
  const error = ref.reduce((sum, value, i) => sum + (value - est[i]) ** 2, 0);
  near(sdr(ref, est).sdr_plain_db, 10 * Math.log10(energy / error));
  // Scale-invariant: louder estimates score the same, and a scaled reference is perfect.
  near(
    sdr(
      ref,
      est.map((value) => 3 * value),
    ).sisdr_db,
    sdr(ref, est).sisdr_db,
  );
  assert.ok(
    sdr(
      ref,
      ref.map((value) => 0.1 * value),
    ).sisdr_db > 200,
  );
  near(globalSdr(ref, est), 10 * Math.log10((energy + 1e-7) / (error + 1e-7)));
  assert.is(globalSdr([0, 0], [0, 0]), 0);
  assert.match(await messageOf(() => sdr([1], [1, 2])), /1 samples of the reference and 2/);
});

beats.run();
keys.run();
tags.run();
others.run();
