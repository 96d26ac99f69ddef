import { elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { adapterLine } from '../src/device/adapters.ts';
import { add, full, getDefaultDevice, ones, openDevice, Tensor, tensor, where, zeros } from '../src/index.ts';
import { device } from './device.ts';
import { runModule } from './run-module.ts';

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
  const adapter = { vendor: 'maker', architecture: '', driver: 'driver 1.0', matrixUnits: [], source: 'Dawn' as const };
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

test('bytes that do not fit are refused', () => {
  const x = Tensor.allocate(device, 'f32', [64], 'x');
  for (const [offset, data] of [
    [4, new Float32Array(64)],
    [-4, Float32Array.of(1)],
    [2, Float32Array.of(1)],
    [252, Uint8Array.of(1, 2, 3, 4, 5)],
  ] as const) {
    assert.throws(() => device.write(x.storage, offset, data), /write: \d+ bytes do not fit at offset/);
  }
  x.dispose();
});

test('reads beyond the memory of a tensor are errors at the call that say so', async () => {
  const x = tensor([1, 2, 3, 4]);
  for (const [offset, length] of [
    [0, 257],
    [256, 4],
    [-4, 4],
    [0, -1],
    [1.5, 4],
    [Number.NaN, 4],
    [0, Number.NaN],
  ]) {
    assert.match(
      await rejection(device.read(x.storage, offset, length)),
      `read: ${length} bytes at offset ${offset} are not within 256`,
    );
  }
  assert.is((await device.read(x.storage, 255, 1)).byteLength, 1);
  await device.synchronize();
  x.dispose();
});

test('on a closed device errors name what was called', async () => {
  const other = await openDevice({ log: () => {} });
  const on = { device: other };
  const x = tensor([1, 2], on);
  other.close();
  for (const [name, call] of [
    ['add', () => x.add(1)],
    ['where', () => where(x, 1, 2)],
    ['zeros', () => zeros([2], on)],
    ['ones', () => ones([2], on)],
    ['full', () => full([2], 3, on)],
    ['tensor', () => tensor([1], on)],
  ] as const) {
    assert.throws(call, new RegExp(`^${name}\\b[^:]*: the device is closed`));
  }
});

test('shared memory goes up by the raw queue, too, which would end the process', async () => {
  const { code, out } = await runModule(`
    const { runInNewContext } = await import('node:vm');
    const device = await engine.openDevice({ log: () => {} });
    const { queue } = device.gpu;
    const x = engine.tensor([0, 0, 0, 0]);
    const to = x.storage.buffer.gpu;
    for (const Shared of [SharedArrayBuffer, runInNewContext('SharedArrayBuffer')]) {
      const values = new Float32Array(new Shared(32), 8, 4);
      values.set([1, 2, 3, 4]);
      queue.writeBuffer(to, 0, values);
      console.log('view', (await x.data()).join());
      queue.writeBuffer(to, 4, values, 2, 2);
      console.log('part', (await x.data()).join());
      queue.writeBuffer(to, 0, values.buffer, 16, 8);
      console.log('buffer', (await x.data()).join());
    }
    queue.writeBuffer(to, 0, Float32Array.of(5, 6, 7, 8));
    console.log('plain', (await x.data()).join());
    const texture = device.gpu.createTexture({ size: [2, 2], format: 'rgba8unorm', usage: GPUTextureUsage.COPY_DST });
    queue.writeTexture({ texture }, new Uint8Array(new SharedArrayBuffer(16)), { bytesPerRow: 8 }, [2, 2]);
    await device.synchronize();
    console.log('done');
  `);
  assert.is(code, 0, out);
  const lines = ['view 1,2,3,4', 'part 1,3,4,4', 'buffer 3,4,4,4'];
  assert.ok(out.includes([...lines, ...lines, 'plain 5,6,7,8', 'done'].join('\n')), out);
});

test('arrays over shared, resizable and foreign memory go up in a process of their own', async () => {
  const { code, out } = await runModule(`
    const { runInNewContext } = await import('node:vm');
    const device = await engine.openDevice({ log: () => {} });
    const memories = {
      shared: (bytes) => new SharedArrayBuffer(bytes),
      resizable: (bytes) => new ArrayBuffer(bytes, { maxByteLength: 4096 }),
      foreign: (bytes) => new (runInNewContext('ArrayBuffer'))(bytes),
    };
    const arrays = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, Float32Array, Float64Array];
    for (const [kind, memory] of Object.entries(memories)) {
      for (const TypedArray of arrays) {
        const { BYTES_PER_ELEMENT: size, name } = TypedArray;
        const values = new TypedArray(memory(8 * size), 2 * size, 4);
        values.set([1, 2, 3, 4]);
        const x = engine.tensor(values);
        const y = engine.Tensor.allocate(device, 'u32', [8], 'y');
        device.write(y.storage, 0, values);
        // What is written to the array afterwards does not arrive.
        values.fill(9);
        console.log(kind, name, x.dtype, (await x.data()).join(), (await y.data()).slice(0, size).join());
      }
      const view = new DataView(memory(16), 4, 8);
      view.setFloat32(0, 5, true);
      const z = engine.zeros([2]);
      device.write(z.storage, 0, view);
      console.log(kind, 'DataView', (await z.data()).join());
    }
  `);
  assert.is(code, 0, out);
  for (const kind of ['shared', 'resizable', 'foreign']) {
    for (const [name, dtype, words] of [
      ['Int8Array', 'f32', '67305985'],
      ['Uint8Array', 'f32', '67305985'],
      ['Uint8ClampedArray', 'f32', '67305985'],
      ['Int16Array', 'f32', '131073,262147'],
      ['Uint16Array', 'f32', '131073,262147'],
      ['Int32Array', 'i32', '1,2,3,4'],
      ['Uint32Array', 'u32', '1,2,3,4'],
      ['Float32Array', 'f32', '1065353216,1073741824,1077936128,1082130432'],
      ['Float64Array', 'f32', '0,1072693248,0,1073741824,0,1074266112,0,1074790400'],
    ]) {
      assert.match(out, `${kind} ${name} ${dtype} 1,2,3,4 ${words}\n`);
    }
    assert.match(out, `${kind} DataView 5,0\n`);
  }
});

test('an array whose memory is gone says so', () => {
  const x = zeros([4]);
  const transferred = new Float32Array(4);
  structuredClone(transferred, { transfer: [transferred.buffer] });
  const memory = new ArrayBuffer(16, { maxByteLength: 32 } as never) as ArrayBuffer & { resize(bytes: number): void };
  const shrunk = new Float32Array(memory, 8, 2);
  const view = new DataView(memory, 8, 8);
  memory.resize(4);
  for (const gone of [transferred, shrunk, view]) {
    assert.throws(() => device.write(x.storage, 0, gone), /write: the array's memory is gone/);
    if (gone instanceof Float32Array) assert.throws(() => tensor(gone), /tensor: the array's memory is gone/);
  }
  x.dispose();
});

test('storage of another device is refused', async () => {
  const other = await openDevice({ log: () => {} });
  const x = zeros([4]);
  assert.throws(() => other.write(x.storage, 0, Float32Array.of(1)), /write: the storage belongs to another device/);
  assert.match(await rejection(other.read(x.storage, 0, 4)), /read: the storage belongs to another device/);
  other.close();
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
    constants: elementwise.copy.constants,
    buffers: [buffer, buffer],
    parameters: { size: 4, inOffset: 0, outOffset: 0, shape: [4], inStrides: [1], outStrides: [1] },
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
