import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type Device,
  DeviceLostError,
  getDefaultDevice,
  ones,
  openDevice,
  scope,
  tensor,
  zeros,
} from '../src/index.ts';
import { runModule } from './run-module.ts';

const quiet = { log: () => {} };

async function rejection(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  return assert.unreachable('nothing was thrown') as never;
}

/** The GPU goes away. Nothing here called `close`, so the device cannot tell it from a crash of the driver. */
async function lose(device: Device): Promise<void> {
  device.gpu.destroy();
  await device.gpu.lost;
}

test('everything that waits is rejected when the device is lost, and nothing hangs', async () => {
  const device = await openDevice(quiet);
  const x = ones([256, 256], { device });
  const y = x.matmul(x);
  const waiting = [y.data(), y.sum().item(), device.synchronize(), device.read(x.storage, 0, 16), y.toArray()];
  device.gpu.destroy();
  for (const error of await Promise.all(waiting.map(rejection))) {
    assert.instance(error, DeviceLostError);
    assert.is(error.name, 'DeviceLostError');
    assert.is((error as DeviceLostError).reason, 'destroyed');
    assert.match(error.message, /the GPU device was lost \(destroyed\).*openDevice\(\).*checkpoint/);
  }
  assert.ok(device.lost);
  device.close();
});

test('a wait whose own promise never settles is rejected too', async () => {
  const device = await openDevice(quiet);
  device.gpu.queue.onSubmittedWorkDone = () => new Promise(() => {});
  const waiting = rejection(device.synchronize());
  await lose(device);
  assert.instance(await waiting, DeviceLostError);
});

test('later operations say that the device is lost, at the door', async () => {
  const device = await openDevice(quiet);
  const x = tensor([1, 2, 3, 4], { device });
  await lose(device);
  for (const use of [
    () => x.add(x),
    () => x.reshape([2, 2]),
    () => zeros([2], { device }),
    () => tensor([1], { device }),
    () => device.write(x.storage, 0, Float32Array.of(1)),
  ]) {
    assert.throws(use, (error: Error) => error instanceof DeviceLostError);
  }
  for (const wait of [() => x.data(), () => device.synchronize()]) {
    assert.instance(await rejection(wait()), DeviceLostError);
  }
  // Memory can still be given back, by every way.
  scope(() => x);
  x.dispose();
  device.pool.trim();
  assert.is(device.statistics().liveBytes, 0);
  device.close();
  device.close();
});

test('a new device opens in the same process, becomes the default, and works', async () => {
  const first = await openDevice(quiet);
  for (let i = 0; i < 3; i++) {
    const lost = getDefaultDevice();
    await lose(lost);
    const device = await openDevice(quiet);
    assert.is.not(device, lost);
    assert.is(getDefaultDevice(), device);
    const x = ones([33, 17]);
    assert.is(await x.matmul(x.transpose()).sum().item(), 33 * 33 * 17);
    x.dispose();
  }
  assert.ok(first.lost);
  getDefaultDevice().close();
});

test('closing rejects what waits, as no loss', async () => {
  const device = await openDevice(quiet);
  const waiting = rejection(ones([64, 64], { device }).data());
  device.close();
  const error = await waiting;
  assert.not.instance(error, DeviceLostError);
  assert.match(error.message, 'closed');
  assert.not.ok(device.lost);
});

test('reads do not pile up: a settled wait is forgotten', async () => {
  const device = await openDevice(quiet);
  const x = zeros([4], { device });
  for (let i = 0; i < 5; i++) await x.data();
  await lose(device);
  // The loss has nobody left to tell; an unhandled rejection would end the process.
  await new Promise((resolve) => setTimeout(resolve, 20));
});

test('a process whose device was lost ends by itself', async () => {
  const { code, out } = await runModule(`
    const device = await engine.openDevice({ log: () => {} });
    const x = engine.ones([64, 64]);
    const data = x.data();
    device.gpu.destroy();
    await data.catch((error) => console.log(error.name));
    await engine.openDevice({ log: () => {} });
    console.log('again', await engine.ones([2, 2]).sum().item());
  `);
  assert.is(code, 0, out);
  assert.match(out, 'DeviceLostError');
  assert.match(out, 'again 4');
});

test.run();
