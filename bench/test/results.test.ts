import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelCases } from '../src/cases/index.ts';
import type { Engine } from '../src/engines/engine.ts';
import { permuted } from '../src/engines/layout.ts';
import { resultPage } from '../src/page/index.ts';
import { ceilingOf, shareOfPeak } from '../src/report.ts';
import { createResult, type Result } from '../src/result.ts';
import { runCases } from '../src/run.ts';
import { mergeRows } from '../src/save.ts';
import { plannedRuns, summarise } from '../src/statistics.ts';
import { type Case, caseOf, largestError, rounded, type Work } from '../src/work.ts';
import '../../packages/tensor/test/seed.ts';

test('the median lies in the middle, and half of the times on each side', () => {
  assert.equal(summarise([3, 1, 2]), { medianMs: 2, minMs: 1, maxMs: 3, runs: 3 });
  assert.equal(summarise([4, 1, 3, 10]), { medianMs: 3.5, minMs: 1, maxMs: 10, runs: 4 });
  assert.throws(() => summarise([]), /no times/);
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 }), (times) => {
      const { medianMs, minMs, maxMs, runs } = summarise(times);
      assert.ok(times.filter((time) => time <= medianMs).length >= times.length / 2);
      assert.ok(times.filter((time) => time >= medianMs).length >= times.length / 2);
      assert.is(minMs, Math.min(...times));
      assert.is(maxMs, Math.max(...times));
      assert.is(runs, times.length);
    }),
  );
});

test('20 runs or more, but for what takes seconds', () => {
  assert.is(plannedRuns(0.1), 100);
  assert.is(plannedRuns(10), 50);
  assert.is(plannedRuns(1000), 20);
  assert.is(plannedRuns(3000), 20);
  assert.is(plannedRuns(6000), 10);
  assert.is(plannedRuns(100_000), 5);
  assert.is(plannedRuns(1000, 10_000), 10);
});

test('errors are relative to the largest element; what is missing or no number is infinitely wrong', () => {
  const expected = [{ what: 'x', size: 4, at: (i: number) => [1, -10, 2, 0][i] }];
  assert.is(largestError(expected, [[1, -10, 2, 0]]), 0);
  assert.is(largestError(expected, [[1, -10, 3, 0]]), 0.1);
  assert.is(largestError(expected, [[1, -10, Number.NaN, 0]]), Infinity);
  assert.is(largestError(expected, [[1, -10, 2]]), Infinity);
  assert.is(largestError(expected, []), Infinity);
  const large = [{ what: 'x', size: 1000, at: () => 1 }];
  const wrongAtTheEnd = new Float32Array(1000).fill(1, 0, 999);
  assert.is(largestError(large, [wrongAtTheEnd]), 1);
});

test('permuted moves axes as a transpose does', () => {
  assert.equal([...permuted([1, 2, 3, 4, 5, 6], [1, 2, 3], [2, 1, 0])], [1, 4, 2, 5, 3, 6]);
  const x = Float32Array.from({ length: 24 }, (_, i) => i);
  assert.equal([...permuted(permuted(x, [2, 3, 4], [2, 0, 1]), [4, 2, 3], [1, 2, 0])], [...x]);
});

const small = (name: string): Work => kernelCases.find((each) => each.name === name)!.make();

test('halves are inputs that halves hold, take half the bytes, and may be further off', () => {
  const [single, half] = ['f32', 'f16'].map(
    (dtype) => kernelCases.find((each) => each.name === 'matmul_512' && each.dtype === dtype)!,
  );
  assert.is(half.bytes, single.bytes / 2);
  assert.equal([single.tolerance, half.tolerance], [1e-5, 2e-3]);
  const { inputs, dtype } = half.make();
  for (const { data, dtype: own } of inputs) {
    assert.is(own, 'f16');
    assert.equal(rounded(data as Float32Array, 'f16'), data);
  }
  const times = { medianMs: 2, minMs: 1, maxMs: 3, runs: 20 };
  assert.is(dtype, 'f16');
  assert.is(createResult(half.make(), 'forward', { name: 'torch', adapter: 'X' }, times, 1e-4).dtype, 'f16');
});

test('a share is of the ceiling that bounds the case', () => {
  const peak = { bytesPerSecond: 1e11, flopsPerSecond: 1e13, matrixFlopsPerSecond: 1e14 };
  assert.is(shareOfPeak({ gflops: 5000, dtype: 'f32' }, peak), 0.5);
  assert.is(shareOfPeak({ gflops: 5000, dtype: 'f16' }, peak), 0.05);
  assert.is(shareOfPeak({ gbps: 20, dtype: 'f16' }, peak), 0.2);
  for (const matrixFlopsPerSecond of [undefined, 1e12]) {
    assert.is(ceilingOf({ gflops: 1, dtype: 'f16' }, { ...peak, matrixFlopsPerSecond }).name, 'FMA');
  }
});

test('a line has the fields that readers count on, and no other', () => {
  const times = { medianMs: 2, minMs: 1, maxMs: 3, runs: 20 };
  const engine = { name: 'dawnchorus', adapter: 'X' } as const;
  const common = 'case pass engine dtype adapter medianMs minMs maxMs runs';
  const product = createResult(small('matmul_512'), 'gradient', engine, times, 1e-7);
  assert.is(Object.keys(product).join(' '), `${common} gflops maxError`);
  assert.is(product.gflops, (3 * 2 * 512 ** 3) / 2e6);
  const chain = createResult(small('chain_100'), 'forward', engine, times, 0);
  assert.is(Object.keys(chain).join(' '), `${common} gbps maxError`);
});

/** An engine that gives what it is told to. */
function fakeEngine(name: Engine['name'], values: (work: Work) => number[]): Engine & { timed: number } {
  const engine = {
    name,
    adapter: 'none',
    timed: 0,
    prepare: async (work: Work) => ({
      run: async () => ++engine.timed,
      read: async () => [values(work)],
      dispose() {},
    }),
    close() {},
  };
  return engine;
}

const double: Case = caseOf(
  {
    name: 'double',
    about: 'x 2',
    passes: ['forward'],
    dtype: 'f32',
    operation: 'elementwise',
    settings: {},
    flops: 2,
    bytes: 16,
    largest: 8,
    bound: 'memory',
    tolerance: 1e-5,
  },
  () => ({
    inputs: [{ shape: [2], dtype: 'f32', data: Float32Array.of(1, 2) }],
    expected: () => [{ what: 'output', size: 2, at: (i) => 2 * (i + 1) }],
  }),
);

test('engines take turns; a wrong result is told, fails where it is ours, and is not timed', async () => {
  const [right, wrong] = [() => [2, 4], () => [2, 5]];
  const results: Result[] = [];
  const lines: string[] = [];
  const go = (engines: Engine[]) =>
    runCases([double], { engines, log: (line) => lines.push(line), onResult: (result) => results.push(result) });

  const [ours, peer] = [fakeEngine('dawnchorus', right), fakeEngine('torch', wrong)];
  assert.equal(await go([ours, peer]), []);
  assert.equal(
    results.map(({ engine }) => engine),
    ['dawnchorus'],
  );
  assert.is(peer.timed, 0);
  assert.ok(lines.some((line) => /torch: WRONG: the largest error is 2.5e-1/.test(line)));

  results.length = 0;
  const broken = fakeEngine('dawnchorus', wrong);
  const failures = await go([broken, fakeEngine('torch', right)]);
  assert.match(failures.join(), /double_f32 forward: the largest error/);
  assert.is(broken.timed, 0);
  assert.equal(
    results.map(({ engine }) => engine),
    ['torch'],
  );
});

test('an engine that breaks while it is timed is told and left, and the others go on', async () => {
  const results: Result[] = [];
  const lines: string[] = [];
  const broken: Engine = {
    name: 'tfjs-webgpu',
    adapter: 'none',
    prepare: async () => ({
      run: () => Promise.reject(new Error('out of luck')),
      read: async () => [[2, 4]],
      dispose() {},
    }),
    close() {},
  };
  const engines = [fakeEngine('dawnchorus', () => [2, 4]), broken];
  const failures = await runCases([double], {
    engines,
    log: (line) => lines.push(line),
    onResult: (result) => results.push(result),
  });
  assert.equal(failures, []);
  assert.equal(
    results.map(({ engine }) => engine),
    ['dawnchorus'],
  );
  assert.is(lines.filter((line) => /tfjs-webgpu: failed: out of luck/.test(line)).length, 1);
});

test('the page draws every case without anything from elsewhere', () => {
  const work = small('matmul_512');
  const times = { medianMs: 2, minMs: 1, maxMs: 3, runs: 20 };
  const entries = (['dawnchorus', 'tfjs-webgpu'] as const).map((name) => ({
    work,
    group: 'kernels' as const,
    result: createResult(work, 'forward', { name, adapter: 'a<b' }, times, 0),
  }));
  const page = resultPage(entries, 'a<b', { bytesPerSecond: 1e10, flopsPerSecond: 1e11 });
  assert.match(page, /matmul_512 forward/);
  assert.match(page, /a&lt;b/);
  assert.not.match(page, /NaN|Infinity|undefined|https?:|<script/);
  const two = { bytesPerSecond: 1e10, flopsPerSecond: 1e11, matrixFlopsPerSecond: 1e12 };
  assert.match(resultPage(entries, 'a', two), /matrix units, f16: 1 TFLOP\/s/);
  assert.not.match(page, /matrix units, f16:/);
  assert.not.match(resultPage([], 'none', { bytesPerSecond: 1e10, flopsPerSecond: 1e11 }), /NaN|Infinity/);
});

test('figures of cases that a run leaves out stay', () => {
  const row = (name: string, medianMs: number) =>
    createResult(
      small(name),
      'forward',
      { name: 'dawnchorus', adapter: 'a' },
      { medianMs, minMs: 1, maxMs: 3, runs: 20 },
      0,
    );
  const first = mergeRows([], [row('matmul_512', 1), row('matmul_1024', 2)], '2020-01-01');
  const second = mergeRows(first, [row('matmul_512', 3)], '2020-01-02');
  const told = second.map(({ case: name, medianMs, date }) => [name, medianMs, date]);
  assert.equal(told, [
    ['matmul_1024', 2, '2020-01-01'],
    ['matmul_512', 3, '2020-01-02'],
  ]);
  const [undated] = mergeRows([row('matmul_2048', 4)], [row('matmul_512', 3)], '2020-01-02', '2019-12-31');
  assert.is(undated.date, '2019-12-31');
});

test.run();
