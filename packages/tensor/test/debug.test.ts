import { elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  add,
  apply,
  compile,
  defineOp,
  type LeakGroup,
  openDevice,
  scope,
  type Tensor,
  tensor,
  zeros,
} from '../src/index.ts';
import { device as plain } from './device.ts';

const device = await openDevice({ log: () => {}, debug: true });
const on = { device };
const MB = 2 ** 20;

if (!globalThis.gc) {
  const { setFlagsFromString } = await import('node:v8');
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  globalThis.gc = runInNewContext('gc');
}

async function rejection(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  return assert.unreachable('nothing was thrown') as never;
}

/** The number of the line of this file that calls it. */
function line(): number {
  const [, , caller] = (new Error().stack as string).split('\n');
  return Number(caller.match(/debug\.test\.ts:(\d+)/)?.[1]);
}

const groupAt = (groups: readonly LeakGroup[], at: number) =>
  groups.find(({ site }) => site.includes(`debug.test.ts:${at}:`));

const total = () => device.leakReport().live.reduce((sum, { bytes }) => sum + bytes, 0);

/** Makes tensors for a caller. */
function makeActivations(): Tensor[] {
  return [1, 2, 3].map(() => zeros([MB / 4], on));
}

test('the report groups live tensors by the line of the caller, with exact bytes', () => {
  const activations = makeActivations();
  const [at, x] = [line(), zeros([4, 4], on)];
  const { live } = device.leakReport();
  assert.is(live[0].tensors, 3);
  assert.is(live[0].bytes, 3 * MB);
  assert.is(live[0].example, 'f32[262144]');
  assert.match(live[0].site, /debug\.test\.ts:\d+:\d+/);
  const own = groupAt(live, at);
  assert.is(own?.tensors, 1);
  assert.is(own?.bytes, 256);
  assert.is(total(), device.statistics().liveBytes);
  for (const t of [...activations, x]) t.dispose();
  assert.not.ok(groupAt(device.leakReport().live, at));
  assert.is(total(), device.statistics().liveBytes);
});

test('memory that views share counts once, and stays with a view that is left', () => {
  const x = zeros([MB / 4], on);
  const [at, view] = [line(), x.reshape([512, -1])];
  assert.is(groupAt(device.leakReport().live, at)?.bytes, 0);
  x.dispose();
  assert.is(groupAt(device.leakReport().live, at)?.bytes, MB);
  assert.is(total(), device.statistics().liveBytes);
  view.dispose();
});

test('live and peak bytes are those of a device without debug mode', async () => {
  const work = (on: { device: typeof device }) => {
    on.device.pool.trim();
    on.device.resetPeakBytes();
    const before = on.device.statistics();
    const out = scope(() => {
      const x = zeros([100, 300], on);
      return x.matmul(x.transpose()).softmax().add(1).sum({ dim: 0 });
    });
    const after = on.device.statistics();
    out.dispose();
    return [after.liveBytes - before.liveBytes, after.peakBytes - before.peakBytes];
  };
  for (const each of [device, plain]) add(zeros([1], { device: each }), 1).dispose();
  assert.equal(work({ device }), work({ device: plain }));
  await device.synchronize();
});

test('a loop without a scope: the report names the line whose tensors were garbage-collected', async () => {
  const before = device.statistics();
  let at = 0;
  (() => {
    const x = zeros([1000], on);
    for (let i = 0; i < 20; i++) {
      at = line() + 1;
      x.mul(2);
    }
    x.dispose();
  })();
  for (let i = 0; i < 100 && device.statistics().leakedTensors < before.leakedTensors + 20; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const report = device.leakReport();
  const group = groupAt(report.collected, at);
  assert.is(group?.tensors, 20);
  assert.is(group?.bytes, 20 * 4096);
  assert.is(group?.example, 'f32[1000]');
  assert.not.ok(groupAt(report.live, at));
  assert.match(String(report), /^live: \d+ tensors, /);
  assert.match(
    String(report),
    /collected without dispose: \d+ tensors, [\d.]+ kB\n +20 +81\.9 kB {2}f32\[1000\] at .*debug\.test\.ts:/,
  );
});

test('without debug mode there is no report, and errors say how to learn more', () => {
  assert.throws(() => plain.leakReport(), /openDevice\(\{ debug: true \}\)/);
  const x = zeros([2]);
  x.dispose();
  assert.throws(
    () => x.neg(),
    /neg: input 0, tensor f32\[2\], was used after it was disposed \(openDevice\(\{ debug: true \}\) tells where\)/,
  );
});

test('a use after disposal names the operation, where the tensor was disposed, and where it was made', () => {
  const [made, x] = [line(), zeros([2, 3], on)];
  const y = zeros([2, 3], on);
  const [disposed] = [line(), x.dispose()];
  for (const [use, name, index] of [
    [() => y.add(x), 'add', 1],
    [() => x.reshape([6]), 'reshape', 0],
    [() => x.dispose(), 'dispose', undefined],
  ] as const) {
    let message = '';
    try {
      use();
    } catch (error) {
      ({ message } = error as Error);
    }
    assert.ok(message.startsWith(`${name}: ${index === undefined ? '' : `input ${index}, `}tensor f32[2, 3]`), message);
    assert.match(
      message,
      new RegExp(`disposed.* at .*debug\\.test\\.ts:${disposed}:.*made at .*debug\\.test\\.ts:${made}:`),
    );
  }
  y.dispose();
});

test('a tensor that gets its elements back is reported again, by the line that made it', () => {
  const [at, x] = [line(), zeros([MB / 4], on)];
  const kept = x.retain();
  x.dispose();
  x.revive(kept);
  kept.dispose();
  const group = groupAt(device.leakReport().live, at);
  assert.is(group?.tensors, 1);
  assert.is(total(), device.statistics().liveBytes);
  const [disposed] = [line(), x.dispose()];
  assert.not.ok(groupAt(device.leakReport().live, at));
  assert.throws(
    () => x.neg(),
    new RegExp(`disposed at .*debug\\.test\\.ts:${disposed}:.*made at .*debug\\.test\\.ts:${at}:`),
  );
});

test('what a scope disposed names the line of the scope', () => {
  let x: Tensor | undefined;
  const at = line() + 1;
  scope(() => {
    x = zeros([2], on);
  });
  assert.throws(() => x?.neg(), new RegExp(`disposed at .*debug\\.test\\.ts:${at}:`));
});

/** Binds its input for reading and for writing, which WebGPU forbids. */
const broken = defineOp({
  name: 'broken',
  infer: ([x]) => [{ dtype: 'f32', shape: x.shape }],
  run(device, [x], [out]) {
    device.recorder.dispatch({
      kernel: elementwise.fill,
      constants: elementwise.fill.constants,
      buffers: [out.storage.buffer],
      parameters: { size: 4, bits: 0 },
      grid: [1, 1, 1],
    });
    device.recorder.dispatch({
      kernel: { ...elementwise.fill, name: 'misbound', bindings: { out: 'readWrite', again: 'read' } } as never,
      constants: elementwise.fill.constants,
      buffers: [x.storage.buffer, x.storage.buffer],
      parameters: { size: 4, bits: 0 } as never,
      grid: [1, 1, 1],
    });
  },
});

test('an error of the GPU names the operation, its kernels and shapes, and the line that called it', async () => {
  const x = tensor([1, 2, 3, 4], on);
  const [at, [out]] = [line(), apply(broken, [x], {})];
  // Right operations before and after are not blamed.
  const y = x.add(1);
  const message = await rejection(out.data());
  assert.match(
    message,
    /^GPU error in broken\(Tensor\(f32\[4\]\)\) -> Tensor\(f32\[4\]\), kernel fill, misbound, called at /,
  );
  assert.match(message, `debug.test.ts:${at}:`);
  assert.equal([...(await y.data())], [2, 3, 4, 5]);
  for (const t of [x, out, y]) t.dispose();
});

test('WGSL that does not compile names the operation too', async () => {
  const x = tensor([1, 2, 3, 4], on);
  const untyped = defineOp({
    name: 'untyped',
    infer: ([x]) => [{ dtype: 'f32', shape: x.shape }],
    run(device, _inputs, [out]) {
      device.recorder.dispatch({
        kernel: { ...elementwise.fill, name: 'untyped_kernel', source: 'fn main() { let x: u32 = 1.5; }' },
        constants: elementwise.fill.constants,
        buffers: [out.storage.buffer],
        parameters: { size: 4, bits: 0 },
        grid: [1, 1, 1],
      });
    },
  });
  const [out] = apply(untyped, [x], {});
  const message = await rejection(device.synchronize());
  assert.match(message, /GPU error in untyped\(.*kernel untyped_kernel.*let x: u32 = 1\.5/s);
  for (const t of [x, out]) t.dispose();
});

test('an error of a replayed kernel names it, the operations in it, and the line that called the function', async () => {
  const [x, w] = [
    tensor(
      [
        [1, 2],
        [3, 4],
      ],
      on,
    ),
    zeros([2, 2], on),
  ];
  const compiled = compile((y: Tensor) => apply(broken, [y.matmul(w).add(1)], {})[0].mul(2));
  compiled(x).dispose();
  await rejection(device.synchronize());
  // The second call finds everything made.
  const [at, out] = [line(), compiled(x)];
  const message = await rejection(out.data());
  assert.match(message, /^GPU error in kernel misbound \(broken\), 3 of 4 in a compiled function, called at /);
  assert.match(message, `debug.test.ts:${at}:`);
  compiled.dispose();
  for (const t of [x, w, out]) t.dispose();
});

test('memory of compiled functions is reported by the function and the line that called it first', () => {
  const x = zeros([64, 64], on);
  const step = compile(function step(y: Tensor) {
    return y.matmul(y).softmax().matmul(y).sum();
  });
  const [at, out] = [line(), step(x)];
  const group = device.leakReport().live.find(({ site }) => site.includes('compiled function step'));
  assert.match(
    group?.site ?? '',
    new RegExp(`^\\(memory of compiled function step, first called at .*debug\\.test\\.ts:${at}:`),
  );
  assert.is(group?.bytes, step.plannedBytes);
  assert.is(total(), device.statistics().liveBytes);
  step.dispose();
  assert.not.ok(device.leakReport().live.some(({ site }) => site.includes('compiled function')));
  for (const t of [x, out]) t.dispose();
});

test('so does WGSL of joined operations that does not compile', async () => {
  const x = tensor([1, 2], on);
  const nonsense = defineOp({
    name: 'nonsense',
    infer: ([x]) => [{ dtype: 'f32', shape: x.shape }],
    map: () => 'let y: u32 = 1.5; return a;',
    run() {},
  });
  const compiled = compile((y: Tensor) => apply(nonsense, [y.exp()], {})[0].neg());
  const out = compiled(x);
  const message = await rejection(out.data());
  assert.match(
    message,
    /^GPU error in kernel fused \(exp \+ nonsense \+ neg\), 1 of 1 in a compiled function, called at /,
  );
  assert.match(message, 'let y: u32 = 1.5');
  compiled.dispose();
  for (const t of [x, out]) t.dispose();
});

test('without debug mode errors say how to learn more', async () => {
  const x = zeros([4]);
  const [out] = apply(broken, [x], {});
  assert.match(await rejection(out.data()), /GPU error: .*writable usage.*openDevice\(\{ debug: true \}\) names/s);
  await plain.synchronize();
  for (const t of [x, out]) t.dispose();
});

test.after(() => device.close());
test.run();
