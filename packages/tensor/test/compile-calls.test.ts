/** What a compiled function takes and refuses, and what becomes of it when a device goes or memory ends. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { device } from './device.ts';

const quiet = { log: () => {} };
const numbers = async (x: t.Tensor) => [...(await x.data())];

test('tensors of another device lead to another trace', async () => {
  const compiled = t.compile((x: t.Tensor) => x.square().sum());
  const other = await t.openDevice(quiet);
  for (const on of [device, other, device, other]) {
    const out = compiled(t.tensor([1, 2, 3], { device: on }));
    assert.is(out.device, on);
    assert.is(await out.item(), 14);
  }
  assert.is(compiled.traces, 2);
  compiled.dispose();
  other.close();
});

test('a cache that holds nothing is an error', () => {
  for (const cacheSize of [0, -1, 1.5, Number.NaN]) {
    assert.throws(
      () => t.compile((x: t.Tensor) => x, { cacheSize }),
      /cacheSize is .*; expected a whole number from 1/,
    );
  }
});

test('an argument that was disposed is named', () => {
  const compiled = t.compile((x: t.Tensor) => x.square());
  const x = t.tensor([3]);
  compiled(x).dispose();
  x.dispose();
  assert.throws(() => compiled(x), /tensor f32\[1\] was used after it was disposed/);
  compiled.dispose();
});

test('an argument changes in place where it lies, and by no other name', async () => {
  const increment = t.compile((x: t.Tensor, y: t.Tensor) => {
    t.apply('increment', [x], {});
    return x.add(y);
  });
  const [x, y] = [t.tensor([1]), t.tensor([10])];
  assert.equal([await increment(x, y).item(), await increment(x, y).item(), await x.item()], [12, 13, 3]);
  const row = t.tensor([1, 2, 3]);
  assert.throws(() => increment(row.sliceAxis(0, 1, 2), y), /argument 1 .*f32\[1\], is changed in place .* is a view/);
  assert.throws(
    () => increment(x, x.reshape([1, 1])),
    /shares memory with argument 2, .* changes one of them in place/,
  );
  assert.equal([await increment(x, x).item(), await x.item()], [8, 4]);
  const counter = t.tensor([0]);
  const counts = t.compile((given: t.Tensor) => {
    t.apply('increment', [counter], {});
    return given.add(counter);
  });
  assert.is(await counts(x).item(), 5);
  assert.throws(() => counts(counter), /argument 1 .* shares memory with a tensor from outside/);
  assert.is(await counter.item(), 1);
  assert.equal(await numbers(row), [1, 2, 3]);
});

test('what reads before a change and after it are two computations, whatever they are joined with', async () => {
  const counter = t.tensor([0]);
  const compiled = t.compile((x: t.Tensor) => {
    const before = x.add(counter).mul(2);
    t.apply('increment', [counter], {});
    const after = x.add(counter).mul(2);
    t.apply('increment', [counter], {});
    return before.sub(after).mul(x.add(counter));
  });
  assert.equal(await numbers(compiled(t.tensor([1, 2]))), [-6, -8]);
  assert.equal(await numbers(compiled(t.tensor([1, 2]))), [-10, -12]);
});

test('results that are equal are tensors of their own, as without compiling', async () => {
  const fn = (p: t.Tensor) => {
    const product = p.matmul(p);
    const again = p.matmul(p);
    const [first, second] = [t.zeros(p.shape), t.zeros(p.shape)];
    return {
      moments: [first, second, t.zeros(p.shape)],
      products: [product, again, product.add(1), again.add(1).transpose()],
      sorted: [t.topk(p, 1), t.topk(p, 1)].map(({ values, indices }) => [values, indices]),
      // Two names of one tensor stay that.
      same: [product, product.reshape([-1])],
    };
  };
  const x = t.tensor([
    [1, 2],
    [3, 4],
  ]);
  const compiled = t.compile(fn);
  for (let call = 0; call < 2; call++) {
    const out = compiled(x);
    const storages = [...out.moments, ...out.products, ...out.sorted.flat()].map(({ storage }) => storage);
    assert.is(new Set(storages).size, storages.length);
    for (const each of out.same) assert.is(each.storage, out.products[0].storage);
    device.write(out.moments[0].storage, 0, Float32Array.of(9));
    device.write(out.products[0].storage, 0, Float32Array.of(9));
    assert.equal(await Promise.all(out.moments.map(numbers)), [
      [9, 0, 0, 0],
      [0, 0, 0, 0],
      [0, 0, 0, 0],
    ]);
    assert.equal(await Promise.all(out.products.map(numbers)), [
      [9, 10, 15, 22],
      [7, 10, 15, 22],
      [8, 11, 16, 23],
      [8, 16, 11, 23],
    ]);
    assert.equal(await numbers(out.same[1]), [9, 10, 15, 22]);
    assert.equal(await Promise.all(out.sorted.flat().map(numbers)), [
      [2, 4],
      [1, 1],
      [2, 4],
      [1, 1],
    ]);
  }
  // What is equal is computed once and copied.
  assert.is(compiled.explain().match(/matmul_\w+ /g)?.length, 1, compiled.explain());
  compiled.dispose();
});

test('a lost device is said at the call, and everything may still be disposed', async () => {
  const own = await t.openDevice(quiet);
  const w = t.ones([4, 4], { device: own });
  const compiled = t.compile((x: t.Tensor) => x.matmul(w).softmax());
  const x = t.ones([4, 4], { device: own });
  compiled(x).dispose();
  own.gpu.destroy();
  await own.gpu.lost;
  assert.throws(
    () => compiled(x),
    (error: Error) => error instanceof t.DeviceLostError,
  );
  compiled.dispose();
  for (const tensor of [w, x]) tensor.dispose();
  assert.is(own.statistics().liveBytes, 0);
  own.close();
  // On a new device the function is traced anew, and says where its captured tensors are.
  assert.throws(() => compiled(t.ones([4, 4])), /disposed/);
});

test('a call for whose results there is no memory gives back what it took', async () => {
  const MB = 2 ** 20;
  const limited = await t.openDevice({ ...quiet, memoryLimit: 9 * MB });
  const compiled = t.compile((x: t.Tensor) => [x.add(1), x.mul(2), x.exp()]);
  const x = t.ones([MB / 2], { device: limited });
  const first = compiled(x);
  for (const out of first) out.dispose();
  const hog = t.ones([MB / 2], { device: limited });
  const before = limited.statistics().liveBytes;
  for (let k = 0; k < 3; k++)
    assert.throws(
      () => compiled(x),
      (error: Error) => error instanceof t.OutOfMemoryError,
    );
  assert.is(limited.statistics().liveBytes, before);
  hog.dispose();
  const [sum] = compiled(x);
  assert.is((await sum.data())[7], 2);
  compiled.dispose();
  limited.close();
});

test.run();
