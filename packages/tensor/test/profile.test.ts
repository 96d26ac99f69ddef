import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  compile,
  DeviceLostError,
  layerNorm,
  matmul,
  ones,
  openDevice,
  type Profile,
  profile,
  scope,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '../src/index.ts';
import { createStampClock } from '../src/kernel/profiler.ts';
import { device } from './device.ts';

const timings = device.features.has('timestamp-query') ? (['gpu', 'wall'] as const) : (['wall'] as const);

const [m, k, n] = [48, 80, 112];
const [a, b] = [ones([m, k]), ones([k, n])];
const step = () => scope(() => sum(matmul(a, b).relu().reshape([m, 7, 16]), { dim: [0, 2] })).dispose();
step();

const rowOf = ({ rows }: Profile, operation: string, kernel?: string) => {
  const found = rows.filter((row) => row.operation === operation && (!kernel || row.kernel === kernel));
  assert.is(found.length, 1, `rows of ${operation}`);
  return found[0];
};

for (const timing of timings) {
  test(`${timing}: kernels by operation, with their bytes and FLOPs`, async () => {
    const result = await profile(
      () => {
        step();
        step();
      },
      { timing },
    );
    assert.is(result.timing, timing);
    const product = rowOf(result, 'matmul');
    assert.match(product.kernel, /^matmul_/);
    assert.is(product.dispatches, 2);
    assert.is(product.flops, 2 * 2 * m * k * n);
    assert.is(product.bytes, 2 * 4 * (m * k + k * n + m * n));
    const relu = rowOf(result, 'relu', device.adapter.software ? 'map_fours' : 'map');
    assert.is(relu.flops, 2 * m * n);
    assert.is(relu.bytes, 2 * 4 * 2 * m * n);
    // Axes that are no neighbours are gathered first: two kernels share what the operation costs.
    const reduction = result.rows.filter(({ operation }) => operation === 'sum');
    assert.is(reduction.length, 2);
    const total = (field: 'bytes' | 'flops') => Math.round(reduction.reduce((sum, row) => sum + row[field], 0));
    assert.is(total('flops'), 2 * m * n);
    assert.is(total('bytes'), 2 * 4 * (m * n + 7));
    for (const row of result.rows) assert.ok(row.milliseconds > 0 && row.milliseconds < result.elapsedMilliseconds);
    assert.ok(result.milliseconds > 0 && result.milliseconds <= result.elapsedMilliseconds * 1.01);
  });

  test(`${timing}: values are what they are without a profile, whatever else the body does`, async () => {
    let values: number[] = [];
    await profile(
      async () => {
        const x = tensor([1, 2, 3, 4]);
        const doubled = x.mul(2);
        // Uploads into memory that recorded work still reads, a trimmed pool and reads in between keep their order.
        device.write(x.storage, 0, Float32Array.of(5, 6, 7, 8));
        const later = x.mul(2);
        x.dispose();
        scope(() => void zeros([3333]).add(1));
        device.pool.trim();
        const first = await doubled.data();
        const second = later.add(doubled);
        values = [...first, ...(await later.data()), ...(await second.data())];
        for (const t of [doubled, later, second]) t.dispose();
      },
      { timing },
    );
    assert.equal(values, [2, 4, 6, 8, 10, 12, 14, 16, 12, 16, 20, 24]);
    await device.synchronize();
  });

  test(`${timing}: a trace file has a track of kernels and one of operations that hold them`, async () => {
    const result = await profile(step, { timing });
    const { traceEvents } = JSON.parse(result.toChromeTrace()) as {
      traceEvents: { name: string; ph: string; pid: number; tid: number; ts: number; dur: number; args: never }[];
    };
    const named = traceEvents.filter(({ ph }) => ph === 'M');
    assert.equal(
      named.map(({ name }) => name),
      ['process_name', 'thread_name', 'thread_name'],
    );
    const track = (tid: number) => traceEvents.filter((event) => event.ph === 'X' && event.tid === tid);
    assert.is(named.length + track(1).length + track(2).length, traceEvents.length);
    assert.equal(
      track(2).map(({ name }) => name),
      ['matmul', 'relu', 'sum'],
    );
    assert.is(track(1).length, 4);
    assert.is(track(1)[0].ts, 0);
    for (const events of [track(1), track(2)]) {
      let free = 0;
      for (const { ts, dur, pid } of events) {
        assert.is(pid, 1);
        assert.ok(ts >= free && dur >= 0, `slices overlap: ${ts} < ${free}`);
        free = ts + dur;
      }
    }
    for (const { ts, dur, args } of track(1)) {
      const holder = track(2).find(({ name }) => name === (args as { operation: string }).operation);
      assert.ok(holder && holder.ts <= ts && ts + dur <= holder.ts + holder.dur + 1e-3);
    }
    // Kernels carry their share: together they cost what the operation does.
    for (const operation of track(2)) {
      const own = track(1).filter(({ args }) => (args as { operation: string }).operation === operation.name);
      assert.is(own.length, operation.name === 'sum' ? 2 : 1);
      for (const field of ['bytes', 'flops'] as const) {
        const of = ({ args }: { args: never }) => (args as Record<typeof field, number>)[field];
        const together = own.reduce((sum, each) => sum + of(each), 0);
        assert.ok(Math.abs(together - of(operation)) <= own.length, `${operation.name}: ${together} ${field}`);
        for (const each of own) assert.ok(of(each) > 0);
      }
    }
    const microseconds = track(1).reduce((total, { dur }) => total + dur, 0);
    assert.ok(microseconds / 1e3 <= result.milliseconds * 1.001);
  });

  test(`${timing}: a compiled function shows what its kernels were joined from`, async () => {
    const fn = compile((x: Tensor) => matmul(x, b).add(1).relu());
    fn(a).dispose();
    const result = await profile(() => fn(a).dispose(), { timing });
    assert.is(result.rows.length, 1);
    assert.is(result.rows[0].operation, 'matmul + add + relu');
    assert.is(result.rows[0].flops, 2 * m * k * n + 2 * m * n);
    fn.dispose();
  });

  test(`${timing}: kernels of one operation share what it costs in compiled functions, too`, async () => {
    const signal = ones([2, 96]);
    const [transform, gathered] = [
      compile((x: Tensor) => x.rfft()),
      compile((x: Tensor) => sum(x.reshape([m, 5, 16]).add(1), { dim: [0, 2] }).mul(2)),
    ];
    for (const [fn, x] of [
      [transform, signal],
      [gathered, a],
    ] as const) {
      fn(x).dispose();
      const result = await profile(
        () => {
          fn(x).dispose();
          fn(x).dispose();
        },
        { timing },
      );
      const lines = fn.explain().split('\n').slice(4, -1);
      assert.ok(lines.length > 1);
      assert.not.ok(
        lines.some((line) => / 0 (FLOP|B) /.test(line)),
        fn.explain(),
      );
      assert.is(result.events.length, 2 * lines.length);
      assert.is(new Set(result.events.map(({ application }) => application)).size, 2 * applicationsIn(lines));
      for (const row of result.rows) {
        assert.ok(row.flops > 0 && row.bytes > 0, `${row.kernel}: ${row.flops} FLOP ${row.bytes} B`);
        assert.ok(row.milliseconds > 0);
      }
    }
    const total = (await profile(() => gathered(a).dispose(), { timing })).rows.reduce(
      (all, row) => all + row.flops,
      0,
    );
    // The sum of each element, one more for the 1 that is added to it, and one for each doubling.
    assert.is(Math.round(total), 2 * m * k + 5);
    for (const each of [transform, gathered, signal]) each.dispose();
  });
}

/** How many operations the lines of explain() tell of: further kernels of one have ditto marks. */
const applicationsIn = (lines: readonly string[]) => lines.filter((line) => !line.includes('"')).length;

test('stamps tell nanoseconds apart, whatever they are counted from, and count as no time where there are none', () => {
  for (const zero of [1n, 1_790_000_000_123_456_789n, 2n ** 63n]) {
    const clock = createStampClock();
    assert.equal(clock.interval(0n, 0n), { start: 0, end: 0 });
    assert.equal(clock.interval(zero, zero + 1n), { start: 0, end: 0.001 });
    assert.equal(clock.interval(zero + 1234n, zero + 1237n), { start: 1.234, end: 1.237 });
    assert.equal(clock.interval(zero + 3000n, zero + 1000n), { start: 3, end: 3 });
    assert.equal(clock.interval(0n, zero + 5000n), { start: 5, end: 5 });
    assert.equal(clock.interval(zero + 5000n, 0n), { start: 5, end: 5 });
  }
});

test('more dispatches than a query set has room for', async () => {
  const [x, w] = [ones([1, 1]), ones([1, 1])];
  const long = compile((x: Tensor) => {
    let y = x;
    for (let i = 0; i < 1100; i++) y = matmul(y, w);
    return y;
  });
  long(x).dispose();
  const result = await profile(() => long(x).dispose());
  assert.is(rowOf(result, 'matmul').dispatches, 1100);
  long.dispose();
  for (const t of [x, w]) t.dispose();
});

test('the table says how it was timed and compares with the peak', async () => {
  const lines = String(await profile(step, { timing: 'wall' })).split('\n');
  assert.match(lines[0], /ms in kernels of .* ms; wall time from submit to done.*no timestamps/);
  assert.match(lines[1], /^peak, measured: [\d.]+ GB\/s, \d+ GFLOP\/s \(f32\)(, \d+ GFLOP\/s \(matrix units, f16\))?$/);
  assert.match(lines[2], /^operation +kernel +dispatches +ms +of time +MB +GB\/s +of peak +MFLOP +GFLOP\/s +of peak$/);
  assert.ok(lines.slice(3).some((line) => /^matmul +matmul_\w+ +1 +[\d.]+ +[\d.]+ % +[\d.]+ /.test(line)));
  assert.ok(new Set(lines.slice(2).map(({ length }) => length)).size === 1, 'columns line up');
});

test('the peak is measured once, and leaves the memory figures alone', async () => {
  const other = await openDevice({ log: () => {} });
  const before = other.statistics();
  const peak = await other.peak();
  assert.is(await other.peak(), peak);
  assert.ok(peak.bytesPerSecond > 1e8 && peak.bytesPerSecond < 1e14, String(peak.bytesPerSecond));
  assert.ok(peak.flopsPerSecond > 1e8 && peak.flopsPerSecond < 1e16, String(peak.flopsPerSecond));
  // Of adapters with units that multiply f16 into f32 alone.
  const { matrixFlopsPerSecond } = peak;
  const unit = other.adapter.matrixUnits.find(({ component, result }) => component === 'f16' && result === 'f32');
  assert.is(matrixFlopsPerSecond !== undefined, unit !== undefined);
  if (matrixFlopsPerSecond) assert.ok(matrixFlopsPerSecond > 1e8 && matrixFlopsPerSecond < 1e17);
  const { liveBytes, cachedBytes, peakBytes, allocations } = other.statistics();
  assert.equal([liveBytes, cachedBytes, peakBytes, allocations], [0, 0, 0, 0]);
  assert.is(before.allocations, 0);
  other.close();
});

test('the peak is measured in the memory that the limit leaves', async () => {
  const memoryLimit = 2 ** 20;
  for (const held of [0, 200_000, 262_144]) {
    const other = await openDevice({ log: () => {}, memoryLimit });
    const x = zeros([held], { device: other });
    const { gpu } = other;
    const create = gpu.createBuffer;
    let bytes = 0;
    gpu.createBuffer = (descriptor) => {
      if (descriptor.usage & GPUBufferUsage.STORAGE) bytes += descriptor.size;
      return create.call(gpu, descriptor);
    };
    const { bytesPerSecond, flopsPerSecond } = await other.peak();
    assert.ok(bytesPerSecond > 0 && flopsPerSecond > 1e8);
    const left = memoryLimit - other.statistics().liveBytes;
    assert.ok(bytes > 0.9 * left && bytes <= Math.max(512, left), `${bytes} bytes where ${left} are left`);
    x.dispose();
    other.close();
  }
});

test('an adapter without timestamps is timed by the wall, labelled as such', async () => {
  const other = await openDevice({ log: () => {} });
  Object.defineProperty(other.gpu, 'features', { value: new Set() });
  const [x, w] = [ones([64, 64], { device: other }), ones([64], { device: other })];
  const result = await other.profile(() => scope(() => void layerNorm(x, w, w)));
  assert.is(result.timing, 'wall');
  assert.is(rowOf(result, 'layerNorm').dispatches, 1);
  other.close();
});

test('an error in the body ends the profile; one inside another is refused', async () => {
  const rejection = (promise: Promise<unknown>) =>
    promise.then(
      () => assert.unreachable(),
      (error: Error) => error,
    );
  const error = await rejection(
    profile(() => {
      step();
      throw new RangeError('on purpose');
    }),
  );
  assert.instance(error, RangeError);
  assert.match((await rejection(profile(() => profile(step))))?.message ?? '', /another profile .* is under way/);
  assert.is(rowOf(await profile(step), 'matmul').dispatches, 1);
});

for (const timing of timings) {
  test(`${timing}: a device lost in a profile is told, and nothing hangs`, async () => {
    const other = await openDevice({ log: () => {} });
    const x = ones([64, 64], { device: other });
    const lost = other.profile(
      async () => {
        const y = x.matmul(x);
        other.gpu.destroy();
        await y.data();
      },
      { timing },
    );
    await lost.then(
      () => assert.unreachable('it resolved'),
      (error) => assert.instance(error, DeviceLostError),
    );
  });
}

test.after(() => {
  a.dispose();
  b.dispose();
});
test.run();
