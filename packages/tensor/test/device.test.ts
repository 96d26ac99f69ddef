import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adapterLine } from '../src/device/adapters.ts';
import { add, getDefaultDevice, linearGrid, openDevice, Tensor, tensor, zeros } from '../src/index.ts';
import { device } from './device.ts';

const rejection = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  return assert.unreachable('nothing was thrown') as never;
};

test('a device says which adapter it is', () => {
  const { adapter } = device;
  assert.ok(adapter.name.length > 0);
  assert.type(adapter.software, 'boolean');
  assert.ok(['browser', 'Dawn', 'bundled SwiftShader'].includes(adapter.source));
  if (adapter.source === 'bundled SwiftShader') assert.ok(adapter.software && adapter.name === 'SwiftShader');
  assert.ok(device.limits.maxStorageBufferBindingSize >= 2 ** 27);
  assert.is(getDefaultDevice(), device);
});

test('opening logs one line; the first device stays the default, and a second has memory of its own', async () => {
  const lines: string[] = [];
  const other = await openDevice({ log: (line) => lines.push(line) });
  assert.equal(lines, [adapterLine(other.adapter)]);
  assert.match(lines[0], /^adapter: .+ through .+/);
  assert.is(lines[0].includes('software adapter'), other.adapter.software);
  assert.is(getDefaultDevice(), device);
  const theirs = tensor([1, 2], { device: other });
  assert.is(theirs.device, other);
  assert.throws(() => add(theirs, zeros([2])), /add: operands live on different devices/);
  assert.equal([...(await theirs.add(1).data())], [2, 3]);
  other.close();
  other.close();
  assert.ok(other.closed);
  assert.throws(() => theirs.neg(), /neg: the device is closed/);
  theirs.dispose();
});

test('the line of a software adapter says what it costs', () => {
  const adapter = { vendor: 'maker', architecture: '', driver: 'driver 1.0', source: 'Dawn' as const };
  assert.is(adapterLine({ ...adapter, name: 'GPU', software: false }), 'adapter: GPU (maker, driver 1.0) through Dawn');
  assert.match(adapterLine({ ...adapter, name: 'CPU', software: true }), /software adapter.*slower/);
});

test('bytes go up and come back, at any offset', async () => {
  const x = Tensor.allocate(device, 'f32', [8], 'x');
  device.write(x.storage, 0, Float32Array.of(0, 1, 2, 3, 4, 5, 6, 7));
  device.write(x.storage, 8, Float32Array.of(20, 30));
  assert.equal([...new Float32Array(await device.read(x.storage, 4, 16))], [1, 20, 30, 4]);
  assert.is((await device.read(x.storage, 0, 0)).byteLength, 0);
  const part = Float32Array.of(9, 9, 50, 60).subarray(2);
  device.write(x.storage, 20, part);
  assert.equal([...(await x.data())], [0, 1, 20, 30, 4, 50, 60, 7]);
  x.dispose();
});

test('reads that overlap in time each get what was recorded before them', async () => {
  const x = tensor([1, 2, 3]);
  const first = x.add(1).data();
  const second = x.mul(2).data();
  x.dispose();
  assert.equal([...(await second)], [2, 4, 6]);
  assert.equal([...(await first)], [2, 3, 4]);
});

/** Binds one buffer for reading and for writing, which WebGPU forbids. */
function invalidDispatch(): void {
  const x = zeros([4]);
  const { buffer } = x.storage;
  device.recorder.dispatch({
    kernel: elementwise.copy,
    constants: { Element: 'alias Element = f32;' },
    buffers: [buffer, buffer],
    parameters: { size: 4, rank: 1, inOffset: 0, outOffset: 0, shape: [4], inStrides: [1], outStrides: [1] },
    grid: [1, 1, 1],
  });
  x.dispose();
}

test('an invalid dispatch is an error at the next await, once', async () => {
  invalidDispatch();
  assert.match(await rejection(device.synchronize()), /GPU error/);
  invalidDispatch();
  assert.match(await rejection(zeros([2]).data()), /GPU error/);
  assert.equal([...(await zeros([2]).data())], [0, 0]);
  await device.synchronize();
});

test('WGSL that does not compile is an error at the next await that shows the line', async () => {
  const x = zeros([4]);
  device.recorder.dispatch({
    kernel: { ...elementwise.fill, name: 'broken', source: 'fn main() { let x: u32 = 1.5; }' },
    constants: { Element: '', fromBits: '' },
    buffers: [x.storage.buffer],
    parameters: { size: 4, bits: 0 },
    grid: [1, 1, 1],
  });
  assert.match(await rejection(device.synchronize()), /GPU error.*let x: u32 = 1\.5/s);
  x.dispose();
});

test('a grid over the limit is an error at once', () => {
  const x = zeros([4]);
  const tooMany = device.limits.maxComputeWorkgroupsPerDimension + 1;
  assert.throws(
    () =>
      device.recorder.dispatch({
        kernel: elementwise.fill,
        constants: { Element: 'alias Element = f32;' },
        buffers: [x.storage.buffer],
        parameters: { size: 4, bits: 0 },
        grid: [1, tooMany, 1],
      }),
    /kernel fill: grid .* over this adapter's limit/,
  );
  x.dispose();
});

test('a long row of workgroups folds into two dimensions', () => {
  assert.equal(linearGrid(65_535), [65_535, 1, 1]);
  for (const count of [65_536, 65_537, 200_003, 3_000_017]) {
    const [x, y] = linearGrid(count);
    assert.ok(x <= 65_535 && x * y >= count && x * y < count + y, `${count} -> ${x} x ${y}`);
  }
});

/** Runs a module in a process of its own. */
function runModule(
  source: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; out: string; ms: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-test-'));
  const file = join(folder, 'main.mts');
  const index = fileURLToPath(new URL('../src/index.ts', import.meta.url));
  writeFileSync(file, `const engine = await import(${JSON.stringify(index)});\n${source}\n`);
  const start = performance.now();
  const child = spawn(process.execPath, [...process.execArgv, file], {
    // The test runner asks for colours, which would stand in the printed numbers.
    env: { ...process.env, FORCE_COLOR: '0', ...env },
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (out += data));
  const timer = setTimeout(() => child.kill('SIGKILL'), 30_000);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      rmSync(folder, { recursive: true });
      resolve({ code, out, ms: performance.now() - start });
    });
  });
}

test('a process ends by itself when its work is done', async () => {
  const { code, out } = await runModule(`
    await engine.openDevice();
    const x = engine.ones([100, 100]);
    console.log('total', await x.matmul(x).sum().item());
  `);
  assert.is(code, 0, out);
  assert.match(out, 'total 1000000');
  assert.match(out, /^adapter: /m);
});

test('a process ends by itself when a device was opened and nothing done', async () => {
  const { code, out } = await runModule('await engine.openDevice({ log: () => {} });');
  assert.is(code, 0, out);
});

test('tensors before a device say to open one', async () => {
  const { code, out } = await runModule('engine.zeros([1]);');
  assert.is(code, 1);
  assert.match(out, /no device is open; call `await openDevice\(\)` first/);
});

test('where nothing is found the error lists what was tried and what to install', async () => {
  // No Vulkan driver, and a resolver that knows no @sparticuz/chromium.
  const { out } = await runModule(
    `
    const { default: Module } = await import('node:module');
    const resolve = Module._resolveFilename;
    Module._resolveFilename = function (request, ...rest) {
      if (request.startsWith('@sparticuz/')) throw new Error('not found');
      return resolve.call(this, request, ...rest);
    };
    await engine.openDevice({ log: () => {} }).then(
      (device) => console.log('found', device.adapter.software),
      (error) => console.log('error', error.message),
    );
    process.exit(0);
  `,
    { VK_DRIVER_FILES: '/nonexistent' },
  );
  // A machine whose driver is no Vulkan one finds it all the same.
  if (out.includes('found false')) return;
  assert.match(out, 'error openDevice: no WebGPU adapter was found');
  assert.match(out, '- a hardware adapter through Dawn: none');
  assert.match(out, '- a software adapter installed on the system: none');
  assert.match(out, '@sparticuz/chromium is not installed');
  assert.match(out, 'mesa-vulkan-drivers');
});

test.run();
