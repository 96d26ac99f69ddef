import { compile, full, matmul, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrayOf, between, randomFrom, upload } from '../../tensor/test/arbitraries.ts';
import { device } from '../../tensor/test/device.ts';
import type { NDArray } from '../../tensor/test/reference/array.ts';
import * as training from '../../tensor/test/reference/training.ts';
import { nn, optim, valueAndGrad } from '../src/index.ts';

const shapes: Record<string, number[]> = { weight: [7, 5], bias: [7], scale: [], empty: [0, 3], table: [13, 3] };
const names = Object.keys(shapes);

type Arrays = Map<string, NDArray>;
type Settings = Required<Omit<optim.AdamWOptions, 'shardBytes' | 'lossScale' | 'decays'>>;

function draw(seed: number, scale = 1): Arrays {
  const random = randomFrom(seed);
  return new Map(names.map((name) => [name, arrayOf(shapes[name], random, between(-scale, scale))]));
}

const uploadAll = (arrays: Arrays) => new Map([...arrays].map(([name, array]) => [name, upload(array)]));

async function readAll(tensors: ReadonlyMap<string, Tensor>): Promise<number[]> {
  const parts = await Promise.all([...tensors.values()].map((x) => x.data()));
  return parts.flatMap((part) => [...part]);
}

const flatten = (arrays: Arrays) => Float64Array.from([...arrays.values()].flatMap(({ data }) => [...data]));

async function step(optimiser: optim.AdamW, gradients: Arrays, learningRate: number): Promise<number> {
  const uploaded = uploadAll(gradients);
  const norm = optimiser.step(uploaded, learningRate);
  const value = await norm.item();
  for (const x of [...uploaded.values(), norm]) x.dispose();
  return value;
}

/** Every third step is long enough to be clipped. */
const gradientsOf = (t: number) => draw(100 + t, t % 3 === 0 ? 4 : 0.05);
const rate = (t: number) => 0.01 / (1 + t / 10);

/** The same steps in f64. */
function reference(start: Arrays, options: Settings, steps: number): Float64Array {
  const vector = (data: Float64Array): NDArray => ({ dtype: 'f32', shape: [data.length], data });
  const values = flatten(start);
  let state: Float64Array[] = [values, new Float64Array(values.length), new Float64Array(values.length)];
  for (let t = 1; t <= steps; t++) {
    const gradients = flatten(gradientsOf(t));
    const norm = gradients.reduce((total, g) => total + g * g, 0);
    const inputs = [gradients, Float64Array.of(norm), Float64Array.of(t, 1, 0, 1), ...state].map(vector);
    const { betas, ...rest } = options;
    const step = { learningRate: rate(t), growthInterval: 0, ends: true };
    state = training.adamw(inputs, { ...rest, beta1: betas[0], beta2: betas[1], ...step }).slice(2);
  }
  return state[0];
}

async function runSteps(options: optim.AdamWOptions, steps = 20) {
  const parameters = uploadAll(draw(1));
  const optimiser = new optim.AdamW(parameters, options);
  for (let t = 1; t <= steps; t++) await step(optimiser, gradientsOf(t), rate(t));
  return { parameters, optimiser, values: await readAll(parameters) };
}

for (const [what, options] of [
  ['plain', { betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, clipNorm: 0 }],
  ['with weight decay', { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.3, clipNorm: 0 }],
  ['with clipping', { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0.01, clipNorm: 1 }],
] as [string, Settings][]) {
  test(`20 steps of AdamW ${what} agree with an f64 loop`, async () => {
    const { values, optimiser } = await runSteps(options);
    assert.is(await optimiser.steps.item(), 20);
    const expected = reference(draw(1), options, 20);
    assert.is(values.length, expected.length);
    const start = flatten(draw(1));
    values.forEach((value, i) => {
      // Twenty roundings of the parameter, and a ten-thousandth of the way that it went.
      const allowed = 20 * 2 ** -24 * Math.max(1, Math.abs(expected[i])) + 1e-4 * Math.abs(expected[i] - start[i]);
      assert.ok(Math.abs(value - expected[i]) <= allowed, `element ${i} is ${value}, expected ${expected[i]}`);
    });
  });
}

test('clipping and weight decay change the result, so that the loops above compare something', () => {
  const options = { betas: [0.9, 0.98], eps: 1e-6, weightDecay: 0, clipNorm: 0 } as const;
  const plain = reference(draw(1), options, 20);
  for (const change of [{ weightDecay: 0.3 }, { clipNorm: 1 }]) {
    const other = reference(draw(1), { ...options, ...change }, 20);
    assert.ok(plain.some((value, i) => Math.abs(value - other[i]) > 1e-3));
  }
});

test('many shards give what one gives', async () => {
  const options = { clipNorm: 1, weightDecay: 0.1 };
  const one = await runSteps(options);
  assert.is(one.optimiser.shards.length, 1);
  const several = await runSteps({ ...options, shardBytes: 160 });
  assert.equal(
    several.optimiser.shards.map((shard) => [shard.names, shard.size]),
    [
      [['weight'], 35],
      [['bias', 'scale', 'empty'], 8],
      [['table'], 39],
    ],
  );
  // The norm is summed in another order.
  several.values.forEach((value, i) => {
    assert.ok(Math.abs(value - one.values[i]) <= 1e-6, `element ${i}: ${value} and ${one.values[i]}`);
  });
});

test('parameters that do not decay move as without decay, clipped by the norm of all', async () => {
  const options = { clipNorm: 1, weightDecay: 0.3 };
  const [decayed, plain] = [await runSteps(options), await runSteps({ ...options, weightDecay: 0 })];
  for (const shardBytes of [undefined, 160]) {
    const seen: string[] = [];
    const decays = (name: string, { rank }: Tensor) => {
      if (!seen.includes(name)) seen.push(name);
      return rank > 1;
    };
    const { parameters, optimiser } = await runSteps({ ...options, decays, shardBytes });
    assert.equal(seen, [...parameters.keys()]);
    assert.ok(optimiser.shards.length >= 2);
    for (const [name, own] of parameters) {
      const expected = await (own.rank > 1 ? decayed : plain).parameters.get(name)!.data();
      (await own.data()).forEach((value, i) => {
        // The norm is summed in another order.
        assert.ok(Math.abs(value - expected[i]) <= 1e-6, `${name}, element ${i}: ${value} and ${expected[i]}`);
      });
    }
  }
});

test('from the state dictionaries another optimiser goes on to the bit, in shards of its own', async () => {
  const options = { clipNorm: 1, lossScale: { initial: 8, growthInterval: 4 } };
  const whole = await runSteps(options, 6);
  const half = await runSteps(options, 3);
  const read = async (tensors: ReadonlyMap<string, Tensor>) =>
    new Map(
      await Promise.all(
        [...tensors].map(async ([name, x]) => [name, { shape: x.shape, data: await x.data() }] as const),
      ),
    );
  const [moments, weights] = [await read(half.optimiser.stateDict()), await read(half.parameters)];
  assert.is(moments.size, 1 + 2 * weights.size);
  assert.is(half.optimiser.stateDict().get('first.weight'), half.optimiser.stateDict().get('first.weight'));
  const parameters = new Map(
    [...weights].map(([name, { shape, data }]) => [
      name,
      upload({ dtype: 'f32', shape, data: Float64Array.from(data) }),
    ]),
  );
  const optimiser = new optim.AdamW(parameters, { ...options, shardBytes: 160 });
  optimiser.loadStateDict(moments);
  assert.is(await optimiser.steps.item(), 3);
  for (let t = 4; t <= 6; t++) await step(optimiser, gradientsOf(t), rate(t));
  (await readAll(parameters)).forEach((value, i) => {
    assert.ok(Math.abs(value - whole.values[i]) <= 1e-6, `element ${i}: ${value} and ${whole.values[i]}`);
  });
  assert.equal(await optimiser.state.toArray(), await whole.optimiser.state.toArray());
  // In the same shards, and within the device: to the bit.
  const twin = new optim.AdamW(new Map([...half.parameters].map(([name, x]) => [name, x.add(0)])), options);
  twin.loadStateDict(half.optimiser.stateDict());
  for (const own of [twin, half.optimiser]) for (let t = 4; t <= 6; t++) await step(own, gradientsOf(t), rate(t));
  assert.equal(await readAll(twin.stateDict()), await readAll(half.optimiser.stateDict()));
  assert.equal(await twin.shards[0].values.toArray(), await half.optimiser.shards[0].values.toArray());
  moments.delete('second.bias');
  assert.throws(
    () => optimiser.loadStateDict(new Map<string, nn.StateEntry | Tensor>([...moments, ['third.bias', tensor([1])]])),
    /third.bias: is not in the optimiser\n {2}second.bias: missing/,
  );
  const held = device.statistics().liveBytes;
  twin.dispose();
  assert.ok(device.statistics().liveBytes < held);
});

test('step returns the squared norm before clipping', async () => {
  const parameters = uploadAll(draw(1));
  for (const shardBytes of [undefined, 64]) {
    const optimiser = new optim.AdamW(parameters, { clipNorm: 0.5, shardBytes });
    const gradients = draw(9, 2);
    const expected = flatten(gradients).reduce((total, g) => total + g * g, 0);
    const norm = await step(optimiser, gradients, 0.1);
    assert.ok(Math.abs(norm - expected) <= 1e-5 * expected, `${norm}, expected ${expected}`);
  }
});

for (const [what, bad] of [
  ['NaN', Number.NaN],
  ['infinite', Number.POSITIVE_INFINITY],
  ['too large to square', 1e30],
] as const) {
  test(`a gradient that is ${what} in one shard leaves parameters and moments of all as they were`, async () => {
    const parameters = uploadAll(draw(1));
    const optimiser = new optim.AdamW(parameters, { shardBytes: 160, clipNorm: 1 });
    await step(optimiser, gradientsOf(1), 0.1);
    const everything = async () => {
      const moments = optimiser.moments.flatMap(({ first, second }) => [first, second]);
      return [await readAll(parameters), ...(await Promise.all(moments.map(async (x) => [...(await x.data())])))];
    };
    const before = await everything();
    const gradients = draw(3);
    gradients.get('table')!.data[17] = bad;
    assert.not(Number.isFinite(await step(optimiser, gradients, 0.1)));
    assert.equal(await everything(), before);
    assert.is(await optimiser.steps.item(), 1);
    // And the next one counts again.
    await step(optimiser, gradientsOf(2), 0.1);
    assert.is(await optimiser.steps.item(), 2);
    assert.not.equal((await everything())[0], before[0]);
  });
}

test('a step is two dispatches, beside one for each gradient that is put in its place', async () => {
  const dispatches = async (parameters: Map<string, Tensor>, options: optim.AdamWOptions = {}) => {
    const gradients = new Map([...parameters].map(([name, x]) => [name, full(x.shape, 0.5)]));
    const optimiser = new optim.AdamW(parameters, { clipNorm: 1, ...options });
    await device.synchronize();
    const before = device.statistics().dispatches;
    optimiser.step(gradients, 0.1).dispose();
    await device.synchronize();
    return device.statistics().dispatches - before;
  };
  const large = () => new Map([['weight', full([300_007], 1)]]);
  assert.is(await dispatches(large()), 2);
  assert.is(await dispatches(large(), { lossScale: {} }), 2);
  // Of the five one is empty.
  assert.is(await dispatches(uploadAll(draw(1))), 2 + 4);
});

test('a large arena moves as a small one does', async () => {
  // More than one chunk for each workgroup, and a last vector that is cut.
  const size = 300_007;
  for (const software of [true, false]) {
    const before = device.adapter.software;
    Object.assign(device.adapter, { software });
    const random = randomFrom(8);
    const [x, g] = [arrayOf([size], random), arrayOf([size], random)];
    const parameters = new Map([['x', upload(x)]]);
    const optimiser = new optim.AdamW(parameters, { clipNorm: 3, weightDecay: 0.1 });
    const norm = optimiser.step(new Map([['x', upload(g)]]), 0.1);
    Object.assign(device.adapter, { software: before });
    const squared = g.data.reduce((total, value) => total + value * value, 0);
    assert.ok(Math.abs((await norm.item()) - squared) <= 1e-6 * squared);
    const clip = 3 / Math.sqrt(squared);
    (await parameters.get('x')!.data()).forEach((value, i) => {
      const unit = g.data[i] * clip;
      const expected = x.data[i] * (1 - 0.1 * 0.1) - (0.1 * unit) / (Math.abs(unit) + 1e-8);
      assert.ok(Math.abs(value - expected) <= 1e-5, `element ${i} is ${value}, expected ${expected}`);
    });
  }
});

test('a loss scale is taken out of the gradients on the GPU', async () => {
  const options = { clipNorm: 1, weightDecay: 0.1 };
  const plain = await runSteps(options, 6);
  const parameters = uploadAll(draw(1));
  const optimiser = new optim.AdamW(parameters, { ...options, lossScale: { initial: 1024, growthInterval: 3 } });
  const scales: number[] = [];
  for (let t = 1; t <= 6; t++) {
    const scale = await optimiser.lossScale.item();
    scales.push(scale);
    const gradients = gradientsOf(t);
    for (const { data } of gradients.values()) for (const i of data.keys()) data[i] *= scale;
    const norm = await step(optimiser, gradients, rate(t));
    const squared = flatten(gradientsOf(t)).reduce((total, g) => total + g * g, 0);
    assert.ok(Math.abs(norm - squared) <= 1e-5 * squared, `${norm}, expected ${squared}`);
  }
  assert.equal(scales, [1024, 1024, 1024, 2048, 2048, 2048]);
  assert.is(await optimiser.lossScale.item(), 4096);
  // Powers of two change no digit.
  assert.equal(await readAll(parameters), plain.values);
});

for (const shardBytes of [undefined, 160]) {
  test(`an overflow halves the loss scale and is not counted (${shardBytes ?? 'one shard'})`, async () => {
    const parameters = uploadAll(draw(1));
    const optimiser = new optim.AdamW(parameters, { shardBytes, lossScale: { initial: 8, growthInterval: 2 } });
    const scales: number[] = [];
    for (const good of [true, false, true, true, false, false, true, true, true]) {
      const gradients = draw(5);
      if (!good) gradients.get('table')!.data[3] = Number.POSITIVE_INFINITY;
      const before = await readAll(parameters);
      await step(optimiser, gradients, 0.01);
      assert.is(JSON.stringify(await readAll(parameters)) === JSON.stringify(before), !good);
      scales.push(await optimiser.lossScale.item());
    }
    // Two good steps in a row double it.
    assert.equal(scales, [8, 4, 4, 8, 4, 2, 2, 4, 4]);
    assert.is(await optimiser.steps.item(), 6);
    optimiser.setLossScale(2 ** -24);
    const bad = draw(5);
    bad.get('weight')!.data[0] = Number.NaN;
    await step(optimiser, bad, 0.01);
    assert.is(await optimiser.lossScale.item(), 2 ** -24);
  });
}

for (const shardBytes of [undefined, 160]) {
  test(`a learning rate in memory that is no number changes nothing (${shardBytes ?? 'one shard'})`, async () => {
    const parameters = uploadAll(draw(1));
    const optimiser = new optim.AdamW(parameters, { shardBytes, lossScale: { initial: 8, growthInterval: 3 } });
    const rates = [0.01, Number.NaN, Number.POSITIVE_INFINITY, 0.01];
    for (const rate of rates) {
      const before = await readAll(parameters);
      optimiser.step(uploadAll(draw(5)), tensor(rate)).dispose();
      assert.is(JSON.stringify(await readAll(parameters)) === JSON.stringify(before), !Number.isFinite(rate));
    }
    // Two good steps, the scale as it was.
    assert.is(await optimiser.steps.item(), 2);
    assert.is(await optimiser.lossScale.item(), 8);
    optimiser.step(uploadAll(draw(5)), tensor(0.01)).dispose();
    assert.is(await optimiser.lossScale.item(), 16);
  });
}

test('a compiled step sees its own loss scale', async () => {
  const run = async (wrap: <A extends unknown[], R>(fn: (...args: A) => R) => (...args: A) => R) => {
    const parameters = new Map([['w', tensor([3, -2])]]);
    const optimiser = new optim.AdamW(parameters, {
      weightDecay: 0,
      lossScale: { initial: 2 ** 20, growthInterval: 2 },
    });
    const [w] = parameters.values();
    const train = wrap((x: Tensor, learningRate: Tensor) => {
      const { gradients, auxiliary } = valueAndGrad(() => {
        const loss = w.mul(x).square().sum();
        return { loss: loss.mul(optimiser.lossScale), auxiliary: loss };
      }, [w]);
      return [auxiliary, optimiser.step(new Map([['w', gradients[0]]]), learningRate)];
    });
    const seen: number[] = [];
    for (const factor of [1, 1e13, 1, 1, 1, 1e15, 1]) {
      const [loss, norm] = train(tensor([factor, 1]), tensor([0.1]));
      seen.push(await loss.item(), await norm.item(), await optimiser.lossScale.item(), await optimiser.steps.item());
      seen.push(...(await w.data()));
    }
    return seen;
  };
  const [eager, compiled] = [await run((fn) => fn), await run(compile)];
  assert.equal(
    eager.filter((_, i) => i % 6 === 3),
    [1, 1, 2, 3, 4, 4, 5],
  );
  assert.equal(compiled.length, eager.length);
  compiled.forEach((value, i) => {
    const same = Object.is(value, eager[i]) || Math.abs(value - eager[i]) <= 1e-6 * Math.abs(eager[i]);
    assert.ok(same, `number ${i} is ${value}, eagerly ${eager[i]}`);
  });
});

test('parameters become views of one storage, which updates and other views share', async () => {
  const parameters = uploadAll(draw(1));
  const strided = upload(draw(1).get('weight')!).transpose();
  parameters.set('strided', strided);
  const before = await readAll(parameters);
  const optimiser = new optim.AdamW(parameters);
  const [shard] = optimiser.shards;
  let offset = 0;
  for (const [name, parameter] of parameters) {
    assert.is(parameter.storage, shard.values.storage, name);
    assert.is(parameter.offset, offset, name);
    assert.ok(parameter.contiguous, name);
    offset += parameter.size;
  }
  assert.is(shard.size, offset);
  assert.equal(await readAll(parameters), before);
  assert.equal([...(await shard.values.data())], before);

  const weight = parameters.get('weight')!;
  const views = [weight.transpose(), weight.sliceAxis(0, 2, 5).retain(), weight.retain()];
  const gradients = new Map(
    [...parameters].map(([name, x]) => [name, tensor(new Float32Array(x.size).fill(1), { shape: x.shape })]),
  );
  optimiser.step(gradients, 0.5);
  const after = (await weight.toArray()) as number[][];
  assert.not.equal(after.flat(), before.slice(0, 35));
  assert.equal(await views[0].transpose().toArray(), after);
  assert.equal(await views[1].toArray(), after.slice(2, 5));
  assert.equal(await views[2].toArray(), after);
});

test('misuse is an error', () => {
  assert.throws(() => new optim.AdamW(new Map()), /there are no parameters/);
  assert.throws(
    () => optim.createArena(new Map([['labels', tensor(Int32Array.of(1))]])),
    /labels is i32; parameters are f32/,
  );
  const optimiser = new optim.AdamW(new Map([['weight', tensor([1, 2])]]));
  for (const lossScale of [{ initial: 0 }, { initial: 2 ** 25 }, { growthInterval: 1.5 }]) {
    const parameters = new Map([['weight', tensor([1, 2])]]);
    assert.throws(
      () => new optim.AdamW(parameters, { lossScale }),
      /AdamW: a loss scale of .*; expected a number above 0/,
    );
  }
  assert.throws(() => optimiser.step(new Map(), 0.1), /AdamW: the gradient of weight is missing/);
  const one = new Map([['weight', tensor([1, 2])]]);
  assert.throws(() => optimiser.step(one, Number.NaN), /AdamW: the learning rate is NaN; expected a finite number/);
  const misspelt = { weight_decay: 0 } as optim.AdamWOptions;
  assert.throws(
    () => new optim.AdamW(one, misspelt),
    /AdamW: the options are .*weightDecay.*; there is no 'weight_decay'/,
  );
  for (const gradient of [tensor([1]), tensor([[1, 2]]), tensor(Int32Array.of(1, 2)), [1, 2] as never]) {
    assert.throws(
      () => optimiser.step(new Map([['weight', gradient]]), 0.1),
      /AdamW: the gradient of weight is .*; expected f32 or f16 \[2\], as the parameter/,
    );
  }
  const more = new Map([...one, ['bias', tensor([1])]] as const);
  assert.throws(() => optimiser.step(more, 0.1), /AdamW: there is a gradient of "bias", but no such parameter/);
  const untyped = optimiser as unknown as Record<string, (...args: unknown[]) => unknown>;
  assert.throws(() => untyped.step([tensor([1, 2])], 0.1), /AdamW: the gradients are \[Tensor.*; expected a Map of/);
  assert.throws(() => untyped.step(one), /AdamW: the learning rate is undefined; expected a finite number from 0/);
  assert.throws(() => optimiser.step(one, -0.1), /AdamW: the learning rate is -0.1/);
  for (const count of [-1, 0.5, '1']) assert.throws(() => untyped.setSteps(count), /AdamW.setSteps: the count is/);
  const Untyped = optim.AdamW as unknown as new (parameters: unknown) => unknown;
  const module = new nn.Linear(2, 2, nn.keySequence(1));
  assert.throws(() => new Untyped(module), /AdamW: the parameters are a Linear; expected a Map .*namedParameters\(\)/);
  assert.throws(() => new Untyped({ w: tensor([1]) }), /AdamW: the parameters are \{.*; expected a Map/);
  assert.throws(() => new Untyped(new Map([['w', 3]])), /AdamW: w is 3; expected an f32 tensor/);
});

const settings: [setting: Record<string, unknown>, message: RegExp][] = [
  [{ betas: [0.9] }, /^AdamW: betas is \[0.9\]; expected two numbers in \[0, 1\)/],
  [{ betas: [0.9, 1] }, /^AdamW: betas is \[0.9, 1\]/],
  [{ betas: [-0.1, 0.9] }, /^AdamW: betas/],
  [{ betas: [Number.NaN, 0.9] }, /^AdamW: betas/],
  [{ betas: 0.9 }, /^AdamW: betas is 0.9/],
  [{ eps: -1 }, /^AdamW: eps is -1; expected a finite number from 0/],
  [{ weightDecay: -1 }, /^AdamW: weightDecay is -1; expected a finite number from 0/],
  [{ weightDecay: Number.POSITIVE_INFINITY }, /^AdamW: weightDecay is Infinity/],
  [{ clipNorm: -1 }, /^AdamW: clipNorm is -1; expected a finite number above 0, or 0 for never/],
  [{ clipNorm: '1' }, /^AdamW: clipNorm is "1"/],
  [{ lr: 0.1 }, /^AdamW: there is no option 'lr'; the learning rate goes with each step/],
  [{ decays: ['bias'] }, /^AdamW: decays is \["bias"\]; expected a function/],
];

for (const [setting, message] of settings) {
  test(`AdamW with ${JSON.stringify(setting)} is an error`, () => {
    assert.throws(
      () => new optim.AdamW(new Map([['w', tensor([1])]]), setting),
      (error: Error) => message.test(error.message) || assert.unreachable(error.message),
    );
  });
}

test('polynomialDecay needs its numbers', () => {
  const decay = optim.polynomialDecay as unknown as (options?: unknown) => unknown;
  assert.throws(() => decay(), /polynomialDecay: .*'peak' must be given/);
  assert.throws(() => decay({ peak: 1, totalSteps: 9 }), /polynomialDecay: .*'warmupSteps' must be given/);
  assert.throws(() => decay({ peak: 1, totalSteps: 9, warmup: 1 }), /polynomialDecay: .*there is no 'warmup'/);
  assert.throws(() => decay({ peak: '1', warmupSteps: 1, totalSteps: 9 }), /polynomialDecay: peak is "1"/);
});

test('polynomialDecay follows fairseq', () => {
  /** PolynomialDecayLRSchedule.step_update: warmup_factor = num_updates / warmup_updates, and so on. */
  const fairseq = (step: number, lr: number, warmup: number, total: number, power: number, end: number) => {
    if (warmup > 0 && step <= warmup) return (step / warmup) * lr;
    if (step >= total) return end;
    const remaining = 1 - (step - warmup) / (total - warmup);
    return (lr - end) * remaining ** power + end;
  };
  for (const [peak, warmupSteps, totalSteps, power, end] of [
    [5e-4, 32_000, 400_000, 1, 0],
    [1.5e-3, 10, 50, 2, 1e-5],
    [1e-3, 0, 20, 1, 0],
  ]) {
    const schedule = optim.polynomialDecay({ peak, warmupSteps, totalSteps, power, end });
    for (const step of [0, 1, 2, 9, 10, 11, 19, 20, 49, 50, 51, 31_999, 32_000, 32_001, 399_999, 400_000, 500_000]) {
      const expected = fairseq(step, peak, warmupSteps, totalSteps, power, end);
      assert.ok(
        Math.abs(schedule(step) - expected) <= 1e-12 * peak,
        `step ${step}: ${schedule(step)}, not ${expected}`,
      );
    }
    assert.is(schedule(warmupSteps), peak);
    assert.is(schedule(totalSteps), end);
  }
  const plain = optim.polynomialDecay({ peak: 1, warmupSteps: 4, totalSteps: 8 });
  assert.equal([1, 2, 3, 4, 5, 6, 7, 8].map(plain), [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0]);
});

test('cosineDecay warms up and goes down along half a cosine', () => {
  const schedule = optim.cosineDecay({ peak: 1, warmupSteps: 4, totalSteps: 8, end: 0.2 });
  const root = 0.4 * Math.SQRT1_2;
  const expected = [0, 0.25, 0.5, 0.75, 1, 0.6 + root, 0.6, 0.6 - root, 0.2, 0.2];
  expected.forEach((rate, step) => {
    assert.ok(Math.abs(schedule(step) - rate) < 1e-12, `step ${step}: ${schedule(step)}, not ${rate}`);
  });
  assert.is(optim.cosineDecay({ peak: 2, warmupSteps: 0, totalSteps: 10 })(5), 1);
  assert.throws(
    () => optim.cosineDecay({ peak: 1, totalSteps: 9 } as never),
    /cosineDecay: .*'warmupSteps' must be given/,
  );
});

test('a small regression converges to the weights that made its data', async () => {
  const random = randomFrom(5);
  const x = upload(arrayOf([64, 3], random));
  const truth = tensor([[1.5], [-2], [0.5]]);
  const target = matmul(x, truth).add(0.75);
  const model = new nn.Linear(3, 1, nn.keySequence(1));
  const parameters = model.namedParameters();
  const optimiser = new optim.AdamW(parameters, { weightDecay: 0, clipNorm: 1 });
  const schedule = optim.polynomialDecay({ peak: 0.2, warmupSteps: 10, totalSteps: 150 });
  let last = 0;
  for (let t = 1; t <= 150; t++) {
    const { value, gradients } = valueAndGrad(() => nn.mseLoss(model.forward(x), target), parameters);
    const norm = optimiser.step(gradients, schedule(t));
    if (t === 150) last = await value.item();
    for (const made of [value, norm, ...gradients.values()]) made.dispose();
  }
  assert.ok(last < 1e-4, `loss ${last}`);
  const found = [...(await model.weight.data()), ...(await model.bias!.data())];
  [1.5, -2, 0.5, 0.75].forEach((value, i) => {
    assert.ok(Math.abs(found[i] - value) < 1e-2, `${found}`);
  });
});

test('an optimiser whose parameters another has taken over says so', async () => {
  const w = tensor([1, 2]);
  const [first, gradients] = [new optim.AdamW(new Map([['w', w]])), new Map([['w', tensor([1, 1])]])];
  first.step(gradients, 0.1);
  const second = new optim.AdamW(new Map([['w', w]]));
  assert.throws(() => first.step(gradients, 0.1), /AdamW: w has moved to an optimiser that was made later/);
  const before = [...(await w.data())];
  second.step(gradients, 0.1);
  assert.not.equal([...(await w.data())], before);
});

test.run();
