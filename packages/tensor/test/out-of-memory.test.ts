import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { formatBytes } from '../src/device/errors.ts';
import {
  cachedTable,
  compile,
  matmul,
  OutOfMemoryError,
  ones,
  openDevice,
  scope,
  Tensor,
  tensor,
  zeros,
} from '../src/index.ts';
import { sizeClass } from '../src/memory/pool.ts';
import { device } from './device.ts';
import { runModule } from './run-module.ts';

const MB = 2 ** 20;
const limited = await openDevice({ log: () => {}, memoryLimit: 8 * MB });
const on = { device: limited };

function failure(body: () => unknown): OutOfMemoryError {
  try {
    body();
  } catch (error) {
    assert.instance(error, OutOfMemoryError);
    return error as OutOfMemoryError;
  }
  return assert.unreachable('nothing was thrown') as never;
}

test('bytes read well', () => {
  assert.equal([0, 1, 999, 1000, 3_145_728, 999_950, 2e9].map(formatBytes), [
    '0 bytes',
    '1 byte',
    '999 bytes',
    '1.0 kB',
    '3.1 MB',
    '1.0 MB',
    '2.0 GB',
  ]);
});

test('a limit that is no number of bytes is an error', async () => {
  for (const memoryLimit of [0, -1, Number.NaN]) {
    await openDevice({ memoryLimit }).then(
      () => assert.unreachable('it opened'),
      (error) => assert.match(error.message, 'memoryLimit'),
    );
  }
});

test('beyond the limit the error says what was asked, what is held and by whom', () => {
  const a = zeros([512, 512], on);
  const held = scope(() => [1, 2, 3].map(() => matmul(a, a)));
  const small = zeros([16], on);
  const error = failure(() => zeros([1024, 1025], on));
  assert.is(error.name, 'OutOfMemoryError');
  assert.is(error.label, 'zeros [1024, 1025]');
  assert.is(error.requestedBytes, 1024 * 1025 * 4);
  assert.is(error.held.memoryLimit, 8 * MB);
  assert.is(error.held.liveBytes, limited.statistics().liveBytes);
  assert.is(error.held.liveBytes, 4 * MB + 256);
  assert.equal(error.held.holders, [
    { label: 'matmul [512, 512]', buffers: 3, bytes: 3 * MB },
    { label: 'zeros [512, 512]', buffers: 1, bytes: MB },
    { label: 'zeros [16]', buffers: 1, bytes: 256 },
  ]);
  for (const part of ['4.2 MB asked', '4.2 MB live', 'limit: 8.4 MB', 'matmul [512, 512]: 3 buffers, 3.1 MB']) {
    assert.ok(error.message.includes(part), `"${error.message}" does not mention "${part}"`);
  }
  for (const x of [a, ...held, small]) x.dispose();
});

test('cached buffers make room before anything fails', async () => {
  limited.pool.trim();
  scope(() => {
    zeros([MB], on);
  });
  assert.is(limited.statistics().cachedBytes, 4 * MB);
  // Of another size: with what is cached it would be over the limit.
  const x = zeros([MB + MB / 2], on);
  assert.is(limited.statistics().cachedBytes, 0);
  assert.is(limited.statistics().liveBytes, 6 * MB);
  assert.is((await x.data())[MB], 0);
  x.dispose();
});

test('a size that fits under the limit is not rounded over it', () => {
  limited.pool.trim();
  const rest = 8 * MB - 512 - 100;
  assert.ok(sizeClass(rest) > rest);
  const x = zeros([128], on);
  const y = zeros([rest / 4], on);
  assert.is(limited.statistics().liveBytes, 512 + rest);
  x.dispose();
  y.dispose();
});

test('a size that the adapter can bind is not rounded over what it can bind', async () => {
  const limit = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
  // A quarter of the class below the limit is more than the machine's memory on some adapters.
  if (limit > 2 ** 28) return;
  for (const bytes of [limit, limit - 4]) {
    const buffer = device.pool.acquire(bytes, 'as large as can be');
    assert.ok(buffer.size >= bytes && buffer.size <= limit);
    device.pool.release(buffer);
  }
  assert.throws(() => device.pool.acquire(limit + 4, 'too large'), /too large: .* binds at most \d+ \(max\w+Size\)/);
  device.pool.trim();
  await device.synchronize();
});

test('after an error everything works as before', async () => {
  limited.pool.trim();
  const before = limited.statistics().liveBytes;
  const x = tensor([1, 2, 3], on);
  failure(() => scope(() => x.unsqueeze(1).expand([3, MB]).add(1)));
  // Left to the garbage collector, the sum would be freed in the middle of a later test.
  const sum = x.add(1);
  assert.equal([...(await sum.data())], [2, 3, 4]);
  for (const each of [x, sum]) each.dispose();
  assert.ok(limited.statistics().liveBytes - before <= 256, 'but for the constant 1');
});

/** The adapter answers that it has no memory for what `body` makes: a stand-in for a real one, of which there is a test. */
function withoutMemory<T>(body: () => T): T {
  const { gpu } = limited;
  const pop = gpu.popErrorScope;
  gpu.popErrorScope = async () => {
    await pop.call(gpu);
    return { message: 'VK_ERROR_OUT_OF_DEVICE_MEMORY' } as GPUError;
  };
  try {
    return body();
  } finally {
    gpu.popErrorScope = pop;
  }
}

const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => assert.unreachable('nothing was thrown') as never,
    (error: Error) => {
      assert.instance(error, OutOfMemoryError);
      return error.message;
    },
  );

test('memory that the GPU itself does not have is the same error at the next await', async () => {
  limited.pool.trim();
  scope(() => void zeros([MB / 4], on));
  const x = withoutMemory(() => Tensor.allocate(limited, 'f32', [333_333], 'activations [333333]'));
  assert.match(
    await rejection(limited.synchronize()),
    /activations \[333333\]: out of memory: 1\.\d MB asked for; the GPU has no memory/,
  );
  await limited.synchronize();
  // What was cached is gone, and what there is no memory for is not cached.
  assert.is(limited.statistics().cachedBytes, 0);
  x.dispose();
  assert.is(limited.statistics().cachedBytes, 0);
  const again = Tensor.allocate(limited, 'f32', [333_333], 'again');
  assert.not.ok(again.storage.buffer.broken);
  again.dispose();
});

test('a buffer that is in use again when it turns out that there is none goes when it is released', async () => {
  limited.pool.trim();
  withoutMemory(() => Tensor.allocate(limited, 'f32', [333_333], 'first')).dispose();
  const x = Tensor.allocate(limited, 'f32', [333_333], 'second');
  assert.match(await rejection(limited.synchronize()), /first: out of memory/);
  assert.ok(x.storage.buffer.broken);
  x.dispose();
  assert.is(limited.statistics().cachedBytes, 0);
});

test('a compiled function for which there was no memory is planned anew', async () => {
  const x = ones([64, 64], on);
  const compiled = compile((y: Tensor) => y.matmul(y).softmax().matmul(y).sum());
  const before = limited.statistics().liveBytes;
  withoutMemory(() => compiled(x)).dispose();
  assert.match(await rejection(limited.synchronize()), /out of memory/);
  const out = compiled(x);
  assert.ok(Math.abs((await out.item()) - 64 * 64) < 1);
  assert.is(compiled.traces, 2);
  compiled(x).dispose();
  assert.is(compiled.traces, 2);
  out.dispose();
  compiled.dispose();
  assert.is(limited.statistics().liveBytes, before);
  x.dispose();
});

test('memory of compiled functions is named by the function and the operation', async () => {
  limited.pool.trim();
  const x = ones([256, 256], on);
  const live = limited.statistics().liveBytes;
  const step = compile(function step(y: Tensor) {
    return y.matmul(y).softmax().matmul(y);
  });
  const out = step(x);
  const error = failure(() => zeros([4 * MB], on));
  assert.equal(
    error.held.holders.filter(({ label }) => label.includes('compiled')).map(({ label, bytes }) => [label, bytes]),
    [
      ['compiled function step', limited.statistics().liveBytes - live - MB / 4],
      ['matmul [256, 256] of compiled function step', MB / 4],
    ],
  );
  step.dispose();
  const large = compile((y: Tensor) => y.unsqueeze(2).expand([256, 256, 64]).cumsum({ dim: 0 }).sum());
  assert.is(failure(() => large(x)).label, 'dense copy [256, 256, 64] for cumsum of a compiled function');
  for (const each of [x, out]) each.dispose();
});

test('a value that the adapter cannot bind is named by its operation', () => {
  const x = ones([256, 256]);
  const extent =
    Math.ceil(Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize) / 2 ** 18) + 1;
  const large = (y: Tensor) => y.unsqueeze(2).expand([256, 256, extent]).cumsum({ dim: 0 });
  const message = new RegExp(
    `^(dense copy|cumsum) \\[256, 256, ${extent}\\] (for cumsum )?of compiled function large: \\d+ bytes .* binds at most`,
  );
  const inside = compile(function large(y: Tensor) {
    return y.unsqueeze(2).expand([256, 256, extent]).cumsum({ dim: 0 }).sum();
  });
  for (const compiled of [compile(large), inside]) {
    assert.throws(() => compiled(x), message);
  }
  // What is joined takes no memory. Where limits are high it takes its time.
  if (extent < 1000) {
    const joined = compile((y: Tensor) => y.unsqueeze(2).expand([256, 256, extent]).add(1).sum({ dim: 2 }));
    joined(x).dispose();
    joined.dispose();
  }
  x.dispose();
});

test('constants that the engine keeps, and functions that have them inside, are made anew, too', async () => {
  const roots = () => cachedTable(limited, 'roots of the test', () => Float32Array.of(1, 2, 3));
  const x = ones([3], on);
  const fn = (y: Tensor) =>
    y
      .gt(7)
      .add(y.mul(roots()).cumsum({ dim: 0 }))
      .sum();
  const compiled = compile(fn);
  limited.pool.trim();
  const failed = withoutMemory(() => [x.mul(7), x.mul(roots()), compiled(x)]);
  for (const each of failed) each.dispose();
  assert.match(await rejection(limited.synchronize()), /out of memory/);
  assert.not.ok(roots().storage.buffer.broken);
  assert.equal([...(await x.mul(7).data())], [7, 7, 7]);
  assert.is(await compiled(x).item(), 10);
  compiled.dispose();
  x.dispose();
});

test('so is reading back for which there is no memory', async () => {
  const x = ones([64], on);
  assert.match(await rejection(withoutMemory(() => x.data())), /readback: out of memory: 256 bytes asked for/);
  assert.is((await x.data())[3], 1);
  x.dispose();
});

test('a GPU whose memory runs out says so, and the process goes on', async () => {
  const { code, out } = await runModule(
    `
    const { execFileSync } = await import('node:child_process');
    const { readFileSync } = await import('node:fs');
    const device = await engine.openDevice({ log: () => {} });
    const x = engine.ones([4]);
    await x.sum().item();
    const used = Number(readFileSync('/proc/self/status', 'utf8').match(/VmSize:\\s+(\\d+)/)[1]) * 1024;
    const limit = (bytes) => execFileSync('prlimit', ['--pid', String(process.pid), '--as=' + bytes]);
    try {
      limit(used + 2e8 + ':');
    } catch {
      console.log('prlimit is not there');
      process.exit(0);
    }
    const big = engine.Tensor.allocate(device, 'f32', [200_000_000], 'big [200000000]');
    await device.synchronize().then(() => console.log('nothing'), (error) => console.log(error.name, error.message));
    limit('unlimited');
    big.dispose();
    console.log('cached', device.statistics().cachedBytes);
    console.log('sum', await x.sum().item());
    console.log('again', await engine.ones([200_000_000]).sum().item());
  `,
    // The bundled SwiftShader allocates at once; other drivers may wait until memory is touched.
    { VK_DRIVER_FILES: '/nonexistent' },
  );
  assert.is(code, 0, out);
  if (out.includes('prlimit is not there')) return;
  assert.match(
    out,
    /OutOfMemoryError big \[200000000\]: out of memory: 800\.0 MB asked for; the GPU has no memory left/,
  );
  assert.match(out, 'cached 0');
  assert.match(out, 'sum 4');
  assert.match(out, 'again 200000000');
});

test.after(() => limited.close());
test.run();
