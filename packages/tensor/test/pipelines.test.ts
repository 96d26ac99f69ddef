/** Compiled kernels are kept for the next time, but not without bound. */
import { defineKernel, elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply, compile, defineOp, ones, openDevice, type Tensor, tensor, withDense } from '../src/index.ts';
import { createPipelineCache } from '../src/kernel/pipelines.ts';
import { device } from './device.ts';

const { fill } = elementwise;
/** Kernels that differ by a constant, as joined ones do. */
const numbered = (count: number) => ({ ...fill.constants, number: `// ${count}` });

test('of pipelines that nobody holds the least recently used goes', () => {
  const cache = createPipelineCache(device.gpu, 3);
  const get = (n: number) => cache.get(fill, numbered(n));
  const [first, second] = [get(1), get(2)];
  get(3);
  assert.is(get(1), first);
  get(4);
  assert.is(cache.count, 3);
  assert.is(get(1), first);
  assert.is.not(get(2), second);
  for (let n = 0; n < 20; n++) get(n);
  assert.is(cache.count, 3);
});

/** An operation `scale` whose kernel, of that name too, multiplies by a factor. */
const scaled = (factor: string) => {
  const kernel = defineKernel({
    name: 'scale',
    source: `
      struct Params { size: u32, offset: u32 }
      @group(0) @binding(0) var<uniform> params: Params;
      @group(0) @binding(1) var<storage, read> x: array<f32>;
      @group(0) @binding(2) var<storage, read_write> out: array<f32>;
      @compute @workgroup_size(64)
      fn main(@builtin(global_invocation_id) id: vec3<u32>) {
        if (id.x < params.size) { out[id.x] = ${factor} * x[params.offset + id.x]; }
      }`,
    bindings: { x: 'read', out: 'readWrite' },
    parameters: { size: 'u32', offset: 'u32' },
    constants: {},
  });
  const op = defineOp({
    name: 'scale',
    infer: ([x]) => [{ dtype: 'f32', shape: x.shape }],
    run(own, inputs, [out]) {
      withDense(own, inputs, ([x]) =>
        own.recorder.dispatch({
          kernel,
          buffers: [x.storage.buffer, out.storage.buffer],
          parameters: { size: out.size, offset: x.offset },
          grid: [1, 1, 1],
        }),
      );
    },
  });
  return (x: Tensor) => apply(op, [x], {})[0];
};
const of = async (y: Tensor) => [...(await y.data())];

test('kernels of one name are told apart, eagerly and compiled', async () => {
  const [triple, half, again] = [scaled('3.0'), scaled('0.5'), scaled('3.0')];
  const x = tensor([1, 2, 4]);
  assert.equal(
    [await of(triple(x)), await of(half(x)), await of(again(x))],
    [
      [3, 6, 12],
      [0.5, 1, 2],
      [3, 6, 12],
    ],
  );
  const both = compile((y: Tensor) => [triple(y), half(y), half(triple(y))]);
  assert.equal(await Promise.all(both(x).map(of)), [
    [3, 6, 12],
    [0.5, 1, 2],
    [1.5, 3, 6],
  ]);
  both.dispose();
});

// Browsers tell of a kernel that does not compile some time later.
const inNode = typeof process === 'undefined' ? test.skip : test;
inNode('a kernel that was mended under its name is another', async () => {
  const x = tensor([1, 2, 4]);
  const broken = scaled('nothing');
  let refused = false;
  await of(broken(x)).catch(() => {
    refused = true;
  });
  assert.ok(refused);
  assert.equal(await of(scaled('2.0')(x)), [2, 4, 8]);
});

test('what is held stays, and counts', () => {
  const cache = createPipelineCache(device.gpu, 3);
  const hold = (n: number) => cache.hold(fill, numbered(n));
  const held = [1, 2, 3, 4, 5].map(hold);
  assert.is(hold(5), held[4]);
  for (let n = 10; n < 20; n++) cache.get(fill, numbered(n));
  assert.equal([cache.count, cache.held], [8, 5]);
  held.forEach((pipeline, i) => {
    assert.is(hold(i + 1), pipeline);
    cache.release(pipeline);
  });
  for (const pipeline of held) cache.release(pipeline);
  // One was held twice.
  assert.equal([cache.count, cache.held], [4, 1]);
  cache.release(held[4]);
  assert.equal([cache.count, cache.held], [3, 0]);
});

test('functions that are disposed hold none', async () => {
  const own = await openDevice({ log: () => {} });
  const { pipelines } = own.recorder;
  const x = ones([4, 4], { device: own });
  const fn = (y: Tensor) => y.matmul(y).add(1).softmax().mul(y).sum();
  const [first, second] = [compile(fn), compile(fn)];
  for (const out of [first(x), second(x), x.neg()]) out.dispose();
  const { held } = pipelines;
  assert.ok(held > 0);
  assert.ok(own.statistics().pipelines > held);
  first.dispose();
  assert.is(pipelines.held, held);
  second.dispose();
  assert.is(pipelines.held, 0);
  assert.is(own.statistics().pipelines, pipelines.count);
  own.close();
});

test('another shape of each call leaves no more than the bound', async () => {
  const own = await openDevice({ log: () => {} });
  const cache = createPipelineCache(own.gpu, 8);
  // As the recorder's own, but with a small bound.
  Object.assign(own.recorder.pipelines, { get: cache.get, hold: cache.hold, release: cache.release });
  for (let n = 1; n <= 30; n++) {
    const x = ones([n, 3], { device: own });
    const fn = compile((y: Tensor) =>
      y
        .transpose()
        .add(y.reshape([3, n]))
        .mul(2),
    );
    const out = fn(x);
    assert.is((await out.data())[0], 4);
    for (const each of [fn, out, x]) each.dispose();
  }
  assert.equal([cache.held, cache.count], [0, 8]);
  own.close();
});

test.run();
