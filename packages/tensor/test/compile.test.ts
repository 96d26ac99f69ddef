import { elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { placeIntervals } from '../src/graph/place.ts';
import * as t from '../src/index.ts';
import { arrayOf, randomFrom, upload } from './arbitraries.ts';
import { device, hasHalf } from './device.ts';

const random = randomFrom(7);
const floats = (...shape: number[]) => upload(arrayOf(shape, random));
const numbers = async (x: t.Tensor) => [...(await x.data())];

const same = async (a: t.Tensor, b: t.Tensor, tolerance = 1e-6) => {
  const [x, y] = [await numbers(a), await numbers(b)];
  assert.equal(a.shape, b.shape);
  const scale = Math.max(1, ...y.map(Math.abs));
  x.forEach((value, i) => {
    assert.ok(Math.abs(value - y[i]) <= tolerance * scale, `element ${i}: ${value} and ${y[i]}`);
  });
};

// First: the tests after it leave tensors to the garbage collector, whose visits would change what is counted here.
test('disposing a compiled function gives its memory back, and it may be called again', async () => {
  const before = device.statistics().liveBytes;
  const x = floats(64, 64);
  const compiled = t.compile((y: t.Tensor) => y.matmul(y).softmax().matmul(y).sum());
  compiled(x).dispose();
  assert.ok(compiled.plannedBytes > 0);
  compiled.dispose();
  x.dispose();
  assert.is(device.statistics().liveBytes, before);
  const again = floats(64, 64);
  const out = compiled(again);
  assert.ok(Number.isFinite(await out.item()));
  compiled.dispose();
  for (const tensor of [again, out]) tensor.dispose();
  assert.is(device.statistics().liveBytes, before);
});

test('arguments and results may be nested, and arguments may be views', async () => {
  const [a, b] = [floats(4, 6), floats(6, 4)];
  const fn = ({ left, right }: { left: t.Tensor; right: t.Tensor[] }, scale: number) => ({
    sum: left.add(right[0]).mul(scale),
    rest: new Map([['product', [left.matmul(right[0].transpose())]]]),
    scale,
  });
  const compiled = t.compile(fn);
  const given = [{ left: a, right: [b.transpose()] }, 3] as const;
  const eager = fn({ ...given[0], right: [...given[0].right] }, 3);
  const out = compiled({ ...given[0], right: [...given[0].right] }, 3);
  await same(out.sum, eager.sum);
  await same(out.rest.get('product')![0], eager.rest.get('product')![0]);
  assert.is(out.scale, 3);
  const part = floats(9, 6).sliceAxis(0, 3, 7);
  await same(
    compiled({ left: part, right: [b.transpose()] }, 3).sum,
    fn({ left: part, right: [b.transpose()] }, 3).sum,
  );
  assert.is(compiled.traces, 1);
});

test('another shape, dtype or plain value is another trace, and the cache is bounded', async () => {
  const compiled = t.compile((x: t.Tensor, by: number) => x.mul(by), { cacheSize: 2 });
  assert.equal(await numbers(compiled(t.tensor([1, 2]), 2)), [2, 4]);
  assert.equal(await numbers(compiled(t.tensor([3, 4]), 2)), [6, 8]);
  assert.is(compiled.traces, 1);
  assert.equal(await numbers(compiled(t.tensor([1, 2]), 5)), [5, 10]);
  assert.equal(await numbers(compiled(t.tensor([1, 2, 3]), 2)), [2, 4, 6]);
  assert.is(compiled.traces, 3);
  const whole = compiled(t.tensor(Int32Array.of(1, 2)), 2);
  assert.is(whole.dtype, 'i32');
  assert.is(compiled.traces, 4);
  // The first was the least recently used of three when a place for the third was needed.
  compiled(t.tensor([1, 2]), 2);
  assert.is(compiled.traces, 5);
});

test('results of one call are not overwritten by the next', async () => {
  const compiled = t.compile((x: t.Tensor) => x.exp().mul(2));
  const first = compiled(t.tensor([0, 1]));
  const second = compiled(t.tensor([2, 3]));
  assert.ok(Math.abs((await numbers(first))[1] - 2 * Math.E) < 1e-5);
  assert.ok(Math.abs((await numbers(second))[0] - 2 * Math.exp(2)) < 1e-4);
});

test('arguments, captured tensors and views of results come back as they are', async () => {
  const weight = floats(3);
  const compiled = t.compile((x: t.Tensor) => [x, weight, x.add(weight).transpose(), x.transpose(), x.add(weight)]);
  const x = floats(2, 3);
  const [same1, same2, turned, view, sum] = compiled(x);
  await same(same1, x, 0);
  await same(same2, weight, 0);
  await same(turned, x.add(weight).transpose(), 0);
  await same(view, x.transpose(), 0);
  await same(sum, x.add(weight), 0);
});

test('elementwise chains become one kernel, products take what follows, reductions what comes before', () => {
  const compiled = t.compile((x: t.Tensor, w: t.Tensor, b: t.Tensor) => ({
    chain: x.mul(2).add(1).tanh().sub(x).square(),
    layer: x.matmul(w).add(b).gelu().add(x.matmul(w)),
    loss: x.sub(1).square().sum({ dim: 1 }),
  }));
  compiled(floats(8, 8), floats(8, 8), floats(8));
  const text = compiled.explain();
  const kernels = text.split('\n').slice(4, -1);
  assert.is(kernels.length, 3, text);
  assert.match(text, /fused(_fours)? .*mul add tanh sub square/);
  assert.match(text, /matmul_register_fused .*matmul add gelu add/);
  assert.match(text, /reduce_rows_fused .*sub square sum/);
  assert.match(text, /1 repeated and 0 dead/);
  assert.match(text, /FLOPs/);
});

test('what nobody needs is not computed, what is computed twice is computed once', () => {
  const compiled = t.compile((x: t.Tensor) => {
    x.matmul(x).exp();
    return x.tanh().sum().add(x.tanh().sum());
  });
  compiled(floats(4, 4));
  assert.match(compiled.explain(), /2 repeated and 2 dead/);
});

test('a broadcast operand is read through its own strides in a joined kernel', async () => {
  const fn = (x: t.Tensor, row: t.Tensor, column: t.Tensor, turned: t.Tensor) =>
    x.mul(row).add(column).sub(turned.transpose()).mul(row);
  const given = [floats(3, 5, 7), floats(7), floats(5, 1), floats(3, 7, 5)] as const;
  await same(t.compile(fn)(...given), fn(...given));
});

test('numbers that WGSL has no literal for are written into kernels all the same', async () => {
  const x = t.tensor([1, -2, 3]);
  for (const value of [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN, 1e39, -0]) {
    for (const dtype of hasHalf ? (['f32', 'f16'] as const) : (['f32'] as const)) {
      const fn = (given: t.Tensor) => t.where(given.gt(0), t.full([3], value, { dtype }), given.cast(dtype).mul(value));
      const compiled = t.compile(fn);
      assert.equal(await compiled(x).toArray(), await fn(x).toArray(), `${value} in ${dtype}`);
      compiled.dispose();
    }
  }
});

test('a call allocates nothing new and the same call gives the same bits', async () => {
  const w = floats(16, 16);
  const compiled = t.compile((x: t.Tensor) => x.matmul(w).tanh().matmul(w).softmax());
  const x = floats(16, 16);
  const results: number[][] = [];
  let allocations = 0;
  for (let k = 0; k < 6; k++) {
    const out = compiled(x);
    results.push(await numbers(out));
    out.dispose();
    if (k === 1) allocations = device.statistics().allocations;
  }
  assert.is(device.statistics().allocations, allocations);
  for (const result of results) assert.equal(result, results[0]);
});

test('memory is shared over time and outputs take over the memory of inputs', () => {
  const compiled = t.compile((x: t.Tensor) => {
    let y = x;
    for (let k = 0; k < 10; k++) y = y.matmul(x).softmax();
    return y.sum();
  });
  compiled(floats(32, 32));
  // Two buffers of 4 KiB go around, where 20 values are made.
  assert.ok(compiled.plannedBytes <= 3 * 4096 + 256, `${compiled.plannedBytes} bytes`);
});

test('random draws are those of the trace, or fresh ones with the step as an argument', async () => {
  const fn = (x: t.Tensor, step: t.Tensor) => t.dropout(x, { p: 0.5, seed: 3, stream: 4, step });
  const compiled = t.compile(fn);
  const x = t.ones([64]);
  const step = (k: number) => t.tensor(Uint32Array.of(k));
  const [first, second, again] = [compiled(x, step(1)), compiled(x, step(2)), compiled(x, step(1))];
  assert.equal(await numbers(first), await numbers(again));
  assert.not.equal(await numbers(first), await numbers(second));
  await same(second, fn(x, step(2)), 0);
  await same(second, t.dropout(x, { p: 0.5, seed: 3, stream: 4 + 2 * 2 ** 20 }), 0);
});

test('changes in place are seen by what comes after them and not by what came before', async () => {
  const counter = t.zeros([]);
  const compiled = t.compile((x: t.Tensor) => {
    const before = x.add(counter);
    t.apply('increment', [counter], {});
    const after = x.add(counter);
    return [before, after];
  });
  for (let k = 0; k < 4; k++) {
    const [before, after] = compiled(t.tensor([0]));
    assert.equal([await before.item(), await after.item()], [k, k + 1]);
  }
  assert.is(await counter.item(), 4);
});

test('a compiled function inside a compiled function is part of it', async () => {
  const inner = t.compile((x: t.Tensor) => x.mul(2));
  const outer = t.compile((x: t.Tensor) => inner(x).add(1));
  assert.equal(await numbers(outer(t.tensor([1, 2]))), [3, 5]);
  assert.is(inner.traces, 0);
});

const throwsStale = (call: () => unknown, ...parts: (string | RegExp)[]) => {
  try {
    call();
  } catch (error) {
    assert.instance(error, t.StaleTraceError);
    for (const part of parts) assert.match((error as Error).message, part);
    return;
  }
  assert.unreachable('no error was thrown');
};

test('a number that changed since the trace is found and named', () => {
  let scale = 2;
  const compiled = t.compile((x: t.Tensor) => x.neg().mul(scale));
  compiled(t.tensor([1]));
  scale = 3;
  throwsStale(() => compiled(t.tensor([1])), 'mul (operation 2)', 'from 2 to 3', 'as an argument');
});

test('so is an attribute, a replaced tensor, another operation, and one more or less', () => {
  let [p, axis, extra] = [0.1, 0, 0];
  let weight = t.tensor([1, 2, 3]);
  let squash = (x: t.Tensor) => x.tanh();
  const make = () =>
    t.compile((x: t.Tensor) => {
      let y = squash(t.dropout(x.mul(weight), { p, seed: 1, stream: 1 }).sum({ dim: axis }));
      for (let k = 0; k < extra; k++) y = y.exp();
      return y;
    });
  const x = floats(3, 3);
  const check = (change: () => void, ...parts: (string | RegExp)[]) => {
    const compiled = make();
    compiled(x);
    change();
    throwsStale(() => compiled(x), ...parts);
  };
  check(() => (p = 0.2), '`p` of dropout', 'from 0.1 to 0.2');
  check(() => (axis = 1), '`axes` of sum', /from \[0\] to \[1\]/);
  check(() => (weight = t.tensor([4, 5, 6])), 'operand 2 of mul', 'another tensor');
  check(() => (squash = (y) => y.sigmoid()), 'became sigmoid, which was tanh');
  check(() => (extra = 1), 'it does more', 'exp');
  check(() => (extra = 0), 'it does less', 'exp');
});

test('a captured tensor that was disposed is named', () => {
  const weight = floats(3, 2);
  const compiled = t.compile((x: t.Tensor) => x.matmul(weight));
  compiled(floats(2, 3));
  weight.dispose();
  throwsStale(() => compiled(floats(2, 3)), 'f32[3, 2]', 'was disposed');
});

test('tensors made of numbers inside the function are compared by their elements', async () => {
  let second = 2;
  const compiled = t.compile((x: t.Tensor) => x.add(t.tensor([1, second])), { verify: 'always' });
  assert.equal(await numbers(compiled(t.tensor([0, 0]))), [1, 2]);
  assert.equal(await numbers(compiled(t.tensor([1, 1]))), [2, 3]);
  second = 5;
  throwsStale(() => compiled(t.tensor([0, 0])), 'element 1', 'from 2 to 5');
});

test('so are those of a typed array that changed where it lies', () => {
  const table = Float32Array.of(1, 2);
  const compiled = t.compile((x: t.Tensor) => x.add(t.tensor(table)));
  compiled(t.tensor([0, 0]));
  table[1] = 7;
  throwsStale(() => compiled(t.tensor([0, 0])), 'element 1', 'from 2 to 7');
});

test('plain data that it returns is compared, too', () => {
  const x = t.tensor([1]);
  let [count, name, extra] = [0, 'a', false];
  const make = () =>
    t.compile((y: t.Tensor) => ({
      y: y.neg(),
      of: [{ count }, new Map([[name, y.exp()]])],
      ...(extra ? { extra } : {}),
    }));
  const check = (change: () => void, ...parts: (string | RegExp)[]) => {
    const compiled = make();
    compiled(x);
    compiled(x);
    compiled(x);
    change();
    throwsStale(() => compiled(x), ...parts);
  };
  check(() => count++, '"count" in "0" in "of" in what it returns changed from 0 to 1');
  check(() => (name = 'b'), 'a key in "1" in "of" in what it returns changed from "a" to "b"');
  check(() => (extra = true), 'what it returns changed from');
  const objects = t.compile((y: t.Tensor) => [y.neg(), new Date(), () => 1]);
  objects(x);
  objects(x);
});

test('a tensor that is passed twice is one argument, as for gradients it is without compiling', async () => {
  const product = (a: t.Tensor, { b }: { b: t.Tensor }) => a.mul(b).sub(b);
  const compiled = t.compile((a: t.Tensor, rest: { b: t.Tensor }) => [
    product(a, rest),
    t.tensor([a.id === rest.b.id ? 1 : 0]),
  ]);
  const [x, y] = [t.tensor([3]), t.tensor([5])];
  for (const [a, b, want] of [
    [x, y, [10, 0]],
    [x, x, [6, 1]],
    [y, y, [20, 1]],
    [y, x, [12, 0]],
    [x, x.retain(), [6, 1]],
  ] as const) {
    assert.equal((await Promise.all(compiled(a, { b }).map(numbers))).flat(), want);
  }
  assert.is(compiled.traces, 2);
});

test('verify: always looks at each call, never at none', () => {
  let scale = 1;
  const x = t.tensor([1]);
  const always = t.compile((y: t.Tensor) => y.mul(scale), { verify: 'always' });
  for (let k = 0; k < 5; k++) always(x);
  scale = 2;
  throwsStale(() => always(x), 'from 1 to 2');
  const never = t.compile((y: t.Tensor) => y.mul(scale), { verify: 'never' });
  never(x);
  scale = 3;
  for (let k = 0; k < 5; k++) never(x);
});

test('reading back, waiting and leaking are errors that say so', async () => {
  const [x, weight] = [t.tensor([1]), t.tensor([2])];
  for (const read of ['data', 'item', 'toArray', 'print'] as const) {
    for (const what of [(y: t.Tensor) => y.exp(), () => weight]) {
      const reading = t.compile((y: t.Tensor) => {
        void what(y)[read]();
        return y.neg();
      });
      assert.throws(() => reading(x), /f32\[1\]\) is read \(by data, item, .* return it .* read it outside/);
    }
  }
  // Of several elements, too: nobody is there to hear of a promise that is rejected.
  const several = t.compile((y: t.Tensor) => {
    void y.item();
    return y.neg();
  });
  assert.throws(() => several(t.tensor([1, 2])), /^item: .* is read \(by data, item, /);
  assert.throws(() => t.compile(async (y: t.Tensor) => y.neg())(x), /the function is async/);
  const waiting = async (y: t.Tensor) => t.tensor([await y.item()]);
  assert.throws(() => t.compile(waiting)(x), /the function is async/);
  let kept: t.Tensor | undefined;
  t.compile((y: t.Tensor) => {
    kept = y.exp().retain();
    return y.neg();
  })(x);
  assert.throws(() => kept!.add(1), /return it from the compiled function instead/);
  kept!.dispose();
  t.compile((y: t.Tensor) => {
    kept = y.exp();
    return y.neg();
  })(x);
  assert.throws(() => kept!.add(1), /made while a function was traced .* return it from the compiled function instead/);
  assert.throws(() => kept!.dispose(), /^dispose: .* made while a function was traced .* return it from the compiled/);
  const disposing = t.compile((y: t.Tensor) => {
    y.dispose();
    return weight.neg();
  });
  assert.throws(() => disposing(x), /disposes its argument f32\[1\]; dispose it after the call/);
});

test('arguments that no trace can be keyed on are errors', () => {
  const compiled = t.compile((_: unknown) => t.ones([1]));
  assert.throws(() => compiled(() => 1), /an argument is a function/);
  assert.throws(() => compiled(new Date(0)), /an argument is a Date/);
  assert.throws(() => compiled(3), /at least one argument must be a tensor/);
});

test('kernels that cannot be made leave nothing behind', () => {
  const broken = t.defineOp({
    name: 'broken',
    infer: ([x]) => [{ dtype: 'f32', shape: x.shape }],
    run(on, _, [out]) {
      const kernel = { ...elementwise.fill, name: 'broken', constants: { MISSING: 'text that no dispatch gives' } };
      on.recorder.dispatch({
        kernel,
        buffers: [out.storage.buffer],
        parameters: { size: 4, bits: 0 },
        grid: [1, 1, 1],
      });
    },
  });
  const x = floats(64, 64);
  const before = device.statistics().liveBytes;
  const { held } = device.recorder.pipelines;
  const compiled = t.compile((y: t.Tensor) =>
    t
      .apply(broken, [y.matmul(y).softmax()], {})[0]
      .softmax()
      .sum(),
  );
  for (let k = 0; k < 2; k++) assert.throws(() => compiled(x), /constant MISSING was not given/);
  assert.is(device.statistics().liveBytes, before);
  assert.is(device.recorder.pipelines.held, held);
  x.dispose();
});

test('an error in the function passes through and leaves nothing behind', () => {
  const x = floats(2, 3);
  const before = device.statistics().liveBytes;
  const compiled = t.compile((y: t.Tensor) => y.exp().matmul(y));
  assert.throws(() => compiled(x), /inner dimensions/);
  assert.throws(() => compiled(x), /inner dimensions/);
  assert.is(device.statistics().liveBytes, before);
  // The engine is not left on paper.
  const y = t.ones([2]);
  assert.equal(y.shape, [2]);
  y.dispose();
});

test('values get memory that nobody else holds meanwhile, and little more than the most that is alive at once', () => {
  const random = randomFrom(5);
  for (let run = 0; run < 200; run++) {
    const intervals = Array.from({ length: 60 }, () => {
      const first = Math.floor(random() * 50);
      return { first, last: first + Math.floor(random() * random() * 30), size: 4 * Math.ceil(random() * 1000) };
    });
    const { place, sizes } = placeIntervals(intervals);
    intervals.forEach((a, i) => {
      assert.ok(sizes[place[i]] >= a.size);
      for (let j = 0; j < i; j++) {
        if (place[j] === place[i]) assert.ok(intervals[j].last < a.first || a.last < intervals[j].first);
      }
    });
    const alive = Array.from({ length: 80 }, (_, at) =>
      intervals.reduce((sum, { first, last, size }) => sum + (first <= at && at <= last ? size : 0), 0),
    );
    const total = sizes.reduce((sum, size) => sum + size, 0);
    assert.ok(total <= 1.5 * Math.max(...alive), `${total} where ${Math.max(...alive)} are alive`);
  }
});

test('what is cheap and read again much later is made again, with the same bits', async () => {
  const fn = (x: t.Tensor) => {
    const base = x.matmul(x);
    const cheap = t.dropout(base.tanh(), { p: 0.1, seed: 1, stream: 1 });
    let y = cheap.matmul(x);
    for (let k = 0; k < 40; k++) y = y.softmax();
    // The base is in memory to the end.
    return y.add(cheap.transpose().matmul(x)).add(base);
  };
  const x = floats(64, 64);
  const compiled = t.compile(fn);
  await same(compiled(x), fn(x));
  assert.match(compiled.explain(), /2 made again/);
});

test.run();
