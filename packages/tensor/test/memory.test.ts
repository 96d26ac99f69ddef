import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { add, isTensor, matmul, neg, scope, type Tensor, tensor, zeros } from '../src/index.ts';
import { sizeClass } from '../src/memory/pool.ts';
import { integer, randomFrom } from './arbitraries.ts';
import { device } from './device.ts';

const live = () => device.statistics().liveBytes;

// Scalars of numbers are kept for the next time; make those used here before anything is counted.
// What is left to the garbage collector here would change the counts below at any time.
for (const value of [0, 1, 2]) scope(() => void add(zeros([1]), value));

test('views share storage, and the last one gives it back', () => {
  const before = live();
  const x = zeros([8, 16]);
  const one = live() - before;
  assert.ok(one >= 8 * 16 * 4);
  const row = x.sliceAxis(0, 0, 1);
  const views = [x.transpose(), x.sliceAxis(0, 2, 6, 2), x.reshape([128]), x.unsqueeze(0), row.expand([4, 16])];
  assert.is(live() - before, one);
  // The row that was expanded is a handle of its own.
  assert.is(x.storage.references, views.length + 2);
  const { storage } = x;
  x.dispose();
  assert.is(live() - before, one, 'views keep it');
  for (const view of views) assert.is(view.storage, storage);
  for (const view of views) view.dispose();
  assert.is(storage.references, 1);
  row.dispose();
  assert.is(live(), before);
});

test('a second dispose says so; other handles live on', async () => {
  const before = live();
  const x = tensor([1, 2, 3]);
  const y = x.retain();
  x.dispose();
  assert.throws(() => x.dispose(), /dispose: tensor f32\[3\] was disposed before/);
  assert.ok(x.disposed && !y.disposed);
  assert.equal([...(await y.data())], [1, 2, 3]);
  y.dispose();
  assert.is(live(), before);
});

test('reading what is disposed names the function that was called', async () => {
  const x = tensor([1]);
  x.dispose();
  for (const read of ['data', 'item', 'toArray', 'print'] as const) {
    await x[read]().then(
      () => assert.unreachable('it was read'),
      (error) => assert.match(error.message, new RegExp(`^${read}: tensor f32\\[1\\] was used after it was disposed`)),
    );
  }
});

test('using and scopes pass over what is disposed already', () => {
  const before = live();
  {
    using x = zeros([3]);
    x.dispose();
  }
  scope(() => zeros([3]).dispose());
  scope(() => {
    const x = zeros([3]);
    x[Symbol.dispose]();
    return x;
  });
  assert.is(live(), before);
});

test('using gives memory back at the end of the block', () => {
  const before = live();
  {
    using x = zeros([100]);
    using y = neg(x);
    assert.ok(live() > before && !y.disposed);
  }
  assert.is(live(), before);
});

test('a scope disposes what it does not return', async () => {
  const before = live();
  const kept = scope(() => {
    const x = tensor([1, 2, 3]);
    const y = x.mul(x);
    return y.sum();
  });
  assert.is(await kept.item(), 14);
  kept.dispose();
  assert.is(live(), before);
});

test('a scope keeps tensors in arrays, objects and maps', () => {
  const before = live();
  const kept = scope(() => {
    const make = () => zeros([3]);
    make();
    return { list: [make(), [make()]], map: new Map([['a', make()]]), nested: { deep: make() }, number: 3, none: null };
  });
  const all = [kept.list[0] as Tensor, (kept.list[1] as Tensor[])[0], kept.map.get('a')!, kept.nested.deep];
  for (const x of all) assert.ok(isTensor(x) && !x.disposed);
  for (const x of all) x.dispose();
  assert.is(live(), before);
});

test('scopes nest: what the inner one returns belongs to the outer one', () => {
  const before = live();
  let inner: Tensor | undefined;
  const outer = scope(() => {
    inner = scope(() => zeros([5]));
    assert.not.ok(inner.disposed);
    return scope(() => inner!.neg());
  });
  assert.ok(inner!.disposed);
  assert.not.ok(outer.disposed);
  outer.dispose();
  assert.is(live(), before);
});

test('a scope leaves alone what was made outside it, also when that is returned', () => {
  const x = zeros([2]);
  assert.is(
    scope(() => x),
    x,
  );
  assert.not.ok(x.disposed);
  scope(() => x.neg()).dispose();
  assert.not.ok(x.disposed);
  x.dispose();
});

test('a view that leaves a scope keeps its storage', async () => {
  const before = live();
  const view = scope(() =>
    tensor([
      [1, 2],
      [3, 4],
    ]).transpose(),
  );
  assert.equal(await view.toArray(), [
    [1, 3],
    [2, 4],
  ]);
  view.dispose();
  assert.is(live(), before);
});

test('a scope that throws gives everything back', () => {
  const before = live();
  assert.throws(() => scope(() => add(zeros([2]), zeros([3]) as Tensor)), 'broadcast');
  assert.is(live(), before);
});

test('a scope refuses promises', () => {
  const before = live();
  assert.throws(() => scope(async () => zeros([2])), 'promise');
  assert.is(live(), before);
});

test('reading a view that is not dense leaves nothing behind', async () => {
  const x = tensor([
    [1, 2],
    [3, 4],
  ]);
  const y = x.transpose();
  const before = live();
  assert.equal([...(await y.data())], [1, 3, 2, 4]);
  assert.is(live(), before);
  // Inside a scope that closes before the data arrives, too.
  const promise = scope(() => {
    const data = x.neg().transpose().data();
    return { data };
  }).data;
  zeros([2, 2]).dispose();
  assert.equal([...(await promise)], [-1, -3, -2, -4]);
  assert.is(live(), before);
  x.dispose();
  y.dispose();
});

test('the peak is counted anew when it is asked for', () => {
  const held = zeros([64]);
  zeros([4096]).dispose();
  const before = device.statistics();
  assert.ok(before.peakBytes > before.liveBytes);
  device.resetPeakBytes();
  assert.equal(device.statistics(), { ...before, peakBytes: before.liveBytes });
  zeros([1024]).dispose();
  assert.is(device.statistics().peakBytes, before.liveBytes + 4096);
  held.dispose();
});

test('a steady loop allocates nothing new', async () => {
  const [x, w] = [zeros([33, 65]), zeros([65, 65])];
  const step = () => scope(() => matmul(matmul(x, w).add(1), w).transpose().softmax().sum({ dim: 0 })).dispose();
  for (let i = 0; i < 3; i++) step();
  const before = device.statistics();
  for (let i = 0; i < 50; i++) step();
  await device.synchronize();
  const after = device.statistics();
  assert.is(after.allocations, before.allocations);
  assert.is(after.pipelines, before.pipelines);
  assert.is(after.liveBytes, before.liveBytes);
  assert.is(after.peakBytes, before.peakBytes);
  assert.ok(after.dispatches > before.dispatches);
  x.dispose();
  w.dispose();
});

test('a step that is repeated finds its bind groups, in whatever order tensors are given back', async () => {
  const make = device.gpu.createBindGroup;
  let made = 0;
  device.gpu.createBindGroup = (descriptor) => {
    made++;
    return make.call(device.gpu, descriptor);
  };
  try {
    const x = zeros([32]);
    const random = randomFrom(1);
    const step = () => {
      const all = [add(x, x)];
      for (let i = 0; i < 9; i++) all.push(add(all[i], x));
      while (all.length > 0) all.splice(integer(random, 0, all.length - 1), 1)[0].dispose();
    };
    step();
    assert.ok(made > 0);
    made = 0;
    for (let i = 0; i < 20; i++) step();
    assert.is(made, 0);
    x.dispose();
  } finally {
    device.gpu.createBindGroup = make;
  }
});

test('an upload into a recycled buffer does not overtake recorded work', async () => {
  const outputs: Tensor[] = [];
  for (let i = 0; i < 20; i++) {
    const x = tensor(new Float32Array(1000).fill(i));
    outputs.push(x.add(1));
    // Its buffer goes to the next upload, while the addition has only been recorded.
    x.dispose();
  }
  for (const [i, out] of outputs.entries()) {
    const data = (await out.data()) as Float32Array;
    assert.ok(
      data.every((value) => value === i + 1),
      `upload ${i} was overtaken: ${data[0]}`,
    );
    out.dispose();
  }
});

test('trimming the pool spares recorded work', async () => {
  const x = tensor([1, 2, 3]);
  const y = scope(() => x.add(1).mul(2));
  device.pool.trim();
  assert.is(device.statistics().cachedBytes, 0);
  assert.equal([...(await y.data())], [4, 6, 8]);
  const z = y.neg();
  assert.equal([...(await z.data())], [-4, -6, -8]);
  for (const t of [x, y, z]) t.dispose();
});

test('rebinding moves a tensor to another storage', async () => {
  const before = live();
  const arena = tensor([9, 8, 7, 6]);
  const x = tensor([[1, 2]]);
  x.rebind(arena.storage, 1);
  assert.equal(await x.toArray(), [[8, 7]]);
  arena.dispose();
  assert.equal(await x.toArray(), [[8, 7]]);
  x.dispose();
  assert.is(live(), before);
});

test('size classes waste an eighth at most', () => {
  for (let bytes = 1; bytes < 2 ** 31; bytes = Math.ceil(bytes * 1.07)) {
    const size = sizeClass(bytes);
    assert.ok(size >= bytes && size % 4 === 0);
    if (bytes > 2048) assert.ok(size <= bytes * 1.126, `${bytes} -> ${size}`);
    assert.is(sizeClass(size), size);
  }
});

test('tensors that nobody disposed are counted as leaks, and their memory comes back', async () => {
  if (!globalThis.gc) {
    const { setFlagsFromString } = await import('node:v8');
    const { runInNewContext } = await import('node:vm');
    setFlagsFromString('--expose-gc');
    globalThis.gc = runInNewContext('gc');
  }
  const before = device.statistics();
  (() => {
    for (let i = 0; i < 10; i++) zeros([1000]);
  })();
  for (let i = 0; i < 50 && device.statistics().leakedTensors < before.leakedTensors + 10; i++) {
    globalThis.gc!();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  assert.ok(device.statistics().leakedTensors >= before.leakedTensors + 10);
  assert.ok(live() <= before.liveBytes);
});

test.run();
