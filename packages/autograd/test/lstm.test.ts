/** The LSTM against its equations in f64, its gradients against central differences, in every mode. */
import { arange, compile, concat, observe, scope, type Tensor, tensor, where, zeros } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  arrayOf,
  between,
  integer,
  pick,
  type Random,
  randomFrom,
  runs,
  upload,
} from '../../tensor/test/arbitraries.ts';
import { assertMatches } from '../../tensor/test/compare.ts';
import { device, hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { build, type NDArray, toHalf } from '../../tensor/test/reference/array.ts';
import { checkpoint, grad, gradcheck, nn, optim, valueAndGrad } from '../src/index.ts';
import { checkGradients } from './check.ts';

const numbers = async (x: Tensor) => [...(await x.data())];
const keys = nn.keySequence(11);
const logistic = (x: number) => 1 / (1 + Math.exp(-x));

interface Sizes {
  time: number;
  batch: number;
  features: number;
  size: number;
}

/** One direction by the equations, step by step and number by number: x[t][b] -> h[t][b], and the last cell. */
function direction(
  x: number[][][],
  parameters: NDArray[],
  hidden: number[][],
  cell: number[][],
  reverse: boolean,
): { output: number[][][]; cell: number[][] } {
  const [weightIh, weightHh, biasIh, biasHh] = parameters;
  const size = weightHh.shape[1];
  let [h, c] = [hidden, cell];
  const output = new Array<number[][]>(x.length);
  const times = x.map((_, t) => t);
  for (const t of reverse ? times.reverse() : times) {
    const next = x[t].map((row, b) => {
      const gate = (k: number, j: number) => {
        const at = k * size + j;
        const fromInput = row.reduce((sum, value, i) => sum + value * weightIh.data[at * row.length + i], 0);
        const fromState = h[b].reduce((sum, value, i) => sum + value * weightHh.data[at * size + i], 0);
        return fromInput + fromState + (biasIh ? biasIh.data[at] + biasHh.data[at] : 0);
      };
      return c[b].map((old, j) => {
        const kept = logistic(gate(1, j)) * old + logistic(gate(0, j)) * Math.tanh(gate(2, j));
        return [logistic(gate(3, j)) * Math.tanh(kept), kept];
      });
    });
    h = next.map((row) => row.map(([own]) => own));
    c = next.map((row) => row.map(([, own]) => own));
    output[t] = h;
  }
  return { output, cell: c };
}

interface LstmDraw {
  sizes: Sizes;
  options: nn.LSTMOptions & { numLayers: number; bidirectional: boolean };
  batched: boolean;
  /** x, hidden and cell where there is a state, then the parameters. */
  inputs: NDArray[];
  withState: boolean;
  random: Random;
}

function drawLstm(seed: number): LstmDraw {
  const random = randomFrom(seed);
  const batched = random() < 0.8;
  const sizes = {
    time: pick(random, [1, 2, 3, 5]),
    batch: batched ? integer(random, 1, 3) : 1,
    features: integer(random, 1, 5),
    size: integer(random, 1, 4),
  };
  const options = {
    numLayers: integer(random, 1, 3),
    bidirectional: random() < 0.5,
    bias: random() < 0.7,
    batchFirst: random() < 0.5,
  };
  const { time, batch, features, size } = sizes;
  const directions = options.bidirectional ? 2 : 1;
  const state = [options.numLayers * directions, ...(batched ? [batch] : []), size];
  const withState = random() < 0.5;
  const shapes = Array.from({ length: options.numLayers * directions }, (_, i) => [
    [4 * size, i < directions ? features : directions * size],
    [4 * size, size],
    ...(options.bias ? [[4 * size], [4 * size]] : []),
  ]).flat();
  const steps = !batched ? [time] : options.batchFirst ? [batch, time] : [time, batch];
  return {
    sizes,
    options,
    batched,
    withState,
    random,
    inputs: [
      arrayOf([...steps, features], random),
      ...(withState ? [arrayOf(state, random, between(-1, 1)), arrayOf(state, random)] : []),
      ...shapes.map((shape) => arrayOf(shape, random, between(-1, 1))),
    ],
  };
}

/** What the equations give: output, hidden and cell. */
function expectedOf({ sizes, options, batched, withState }: LstmDraw, inputs: NDArray[]): NDArray[] {
  const { time, batch, features, size } = sizes;
  const { numLayers, bidirectional, bias, batchFirst } = options;
  const x = inputs[0];
  const [hidden, cell] = withState ? inputs.slice(1, 3) : [];
  const parameters = inputs.slice(withState ? 3 : 1);
  const transposed = batched && batchFirst === true;
  const range = (length: number) => Array.from({ length }, (_, i) => i);
  let sequence = range(time).map((t) =>
    range(batch).map((b) =>
      range(features).map((f) => x.data[(transposed ? b * time + t : t * batch + b) * features + f]),
    ),
  );
  const state = (from: NDArray | undefined, at: number) =>
    range(batch).map((b) => range(size).map((j) => from?.data[(at * batch + b) * size + j] ?? 0));
  const [lastHidden, lastCell]: number[][][][] = [[], []];
  for (let layer = 0; layer < numLayers; layer++) {
    const passes = (bidirectional ? [false, true] : [false]).map((reverse, d) => {
      const at = layer * (bidirectional ? 2 : 1) + d;
      const count = bias ? 4 : 2;
      const own = parameters.slice(at * count, (at + 1) * count);
      const pass = direction(sequence, own, state(hidden, at), state(cell, at), reverse);
      lastHidden.push(pass.output[reverse ? 0 : time - 1]);
      lastCell.push(pass.cell);
      return pass.output;
    });
    sequence = range(time).map((t) => range(batch).map((b) => passes.flatMap((output) => output[t][b])));
  }
  const flat = (shape: number[], values: number[]) => build(shape, 'f32', (_, i) => values[i]);
  const width = size * (bidirectional ? 2 : 1);
  const laid = transposed ? range(batch).map((b) => sequence.map((step) => step[b])) : sequence;
  const steps = !batched ? [time] : transposed ? [batch, time] : [time, batch];
  const ends = [lastHidden.length, ...(batched ? [batch] : []), size];
  return [flat([...steps, width], laid.flat(2)), flat(ends, lastHidden.flat(2)), flat(ends, lastCell.flat(2))];
}

/** The layer with the parameters of the draw. */
function run({ sizes, options, withState }: LstmDraw, inputs: Tensor[]): Tensor[] {
  const layer = new nn.LSTM(sizes.features, sizes.size, keys, options);
  const names = [...layer.namedParameters().keys()];
  layer.dispose();
  const [hidden, cell] = withState ? inputs.slice(1, 3) : [];
  const parameters = inputs.slice(withState ? 3 : 1);
  assert.is(parameters.length, names.length);
  names.forEach((name, i) => {
    Object.assign(layer, { [name]: parameters[i] });
  });
  const out = layer.forward(inputs[0], { hidden, cell });
  return [out.output, out.hidden, out.cell];
}

const describe = ({ sizes, options, batched, withState }: LstmDraw) =>
  JSON.stringify({ ...sizes, ...options, batched, withState });

const draws = fc.nat().map((seed) => drawLstm(seed));
const tolerance = { relative: 1e-5, peak: true };

test('LSTM: output, state and every gradient are those of the equations', async () => {
  await fc.assert(
    fc.asyncProperty(draws, async (draw) => {
      const what = describe(draw);
      const outputs = scope(() => run(draw, draw.inputs.map(upload)));
      const expected = expectedOf(draw, draw.inputs);
      for (const [i, own] of outputs.entries()) {
        await assertMatches(`${what}: output ${i}`, own, expected[i], tolerance);
        own.dispose();
      }
      // All three in one: rows of a table.
      const rows = (list: NDArray[]) => {
        const all = list.flatMap(({ data }) => [...data]);
        return build([all.length], 'f32', (_, i) => all[i]);
      };
      const subject = {
        what,
        run: (inputs: Tensor[]) => concat(run(draw, inputs).map((own) => own.reshape([-1]))),
        reference: (inputs: NDArray[]) => rows(expectedOf(draw, inputs)),
      };
      await checkGradients(subject, draw.inputs, draw.random);
    }),
    { ...runs, numRuns: Math.ceil(runs.numRuns / 2) },
  );
});

(hasHalf ? test : test.skip)(`an LSTM in f16 stays f16 and near the equations${unlessHalf}`, async () => {
  await fc.assert(
    fc.asyncProperty(draws, async (draw) => {
      const inputs = draw.inputs.map((x) => ({ ...x, data: x.data.map(toHalf) }));
      const outputs = scope(() =>
        run(
          draw,
          inputs.map((x) => upload({ ...x, dtype: 'f16' })),
        ),
      );
      const expected = expectedOf(draw, inputs);
      for (const [i, own] of outputs.entries()) {
        // Every gate, cell and state of up to fifteen steps after one another is rounded.
        await assertMatches(describe(draw), own, { ...expected[i], dtype: 'f16' }, { relative: 1e-2, peak: true });
        own.dispose();
      }
    }),
    { ...runs, numRuns: 6 },
  );
  const layer = new nn.LSTM(3, 2, keys);
  const x = upload(arrayOf([4, 2, 3], randomFrom(1))).cast('f16');
  assert.is(layer.forward(x).output.dtype, 'f32');
  layer.weightIhL0 = layer.weightIhL0.cast('f16');
  const state = tensor(new Array(4).fill(0.5), { shape: [1, 2, 2], dtype: 'f16' });
  const parameters = [...layer.parameters(), state];
  const gradients = grad(() => layer.forward(x, { hidden: state, cell: state }).output.sum(), parameters);
  assert.equal(
    gradients.map(({ dtype }) => dtype),
    parameters.map(({ dtype }) => dtype),
  );
});

type Wrap = <F extends (...inputs: Tensor[]) => Tensor[]>(fn: F) => (...inputs: Tensor[]) => Tensor[];
const plain: Wrap = (fn) => fn;
const once: Wrap = (fn) => checkpoint(fn) as never;

const deep = new nn.LSTM(3, 4, keys, { numLayers: 3, bidirectional: true, dropout: 0.4 });
const sequence = upload(arrayOf([6, 2, 3], randomFrom(5)));

const step =
  (wrap: Wrap) =>
  (x: Tensor, number: Tensor): Tensor[] => {
    const draws = nn.keySequence(3, number);
    const { value, gradients } = valueAndGrad(() => {
      const [output, hidden] = wrap((y) => {
        const out = deep.forward(y, { keys: draws });
        return [out.output, out.hidden];
      })(x);
      return output.square().sum().add(hidden.sum());
    }, deep.parameters());
    return [value, ...gradients];
  };

test('eagerly, checkpointed and compiled an LSTM with dropout gives the same, and other masks in other steps', async () => {
  const at = (n: number) => tensor(Uint32Array.of(n));
  const compiled = compile(step(plain), { verify: 'always' });
  const firsts: number[] = [];
  for (const n of [1, 2]) {
    const expected = await Promise.all(step(plain)(sequence, at(n)).map(numbers));
    firsts.push(expected[0][0]);
    assert.equal(await Promise.all(step(once)(sequence, at(n)).map(numbers)), expected);
    const replayed = await Promise.all(compiled(sequence, at(n)).map(numbers));
    replayed.forEach((list, i) => {
      const peak = Math.max(...expected[i].map(Math.abs));
      list.forEach((value, k) => {
        assert.ok(Math.abs(value - expected[i][k]) <= 1e-5 * peak, `result ${i}: ${value}, eagerly ${expected[i][k]}`);
      });
    });
  }
  assert.not.equal(firsts[0], firsts[1]);
  compiled.dispose();
});

test('dropout is between layers, and while keys are given', async () => {
  const single = new nn.LSTM(3, 4, nn.keySequence(1), { dropout: 0.9 });
  const same = (a: Tensor, b: Tensor) => Promise.all([numbers(a), numbers(b)]);
  const [a, b] = await same(single.forward(sequence).output, single.forward(sequence, { keys }).output);
  assert.equal(a, b);
  const [c, d] = await same(deep.forward(sequence).output, deep.forward(sequence).output);
  assert.equal(c, d);
});

test('a state carried over continues the sequence', async () => {
  const layer = new nn.LSTM(3, 4, keys, { numLayers: 2 });
  const whole = layer.forward(sequence);
  const first = layer.forward(sequence.sliceAxis(0, 0, 4));
  const second = layer.forward(sequence.sliceAxis(0, 4), first);
  const read = async (x: Tensor) => ({ dtype: x.dtype, shape: x.shape, data: Float64Array.from(await x.data()) });
  await assertMatches('output', second.output, await read(whole.output.sliceAxis(0, 4)), tolerance);
  await assertMatches('cell', second.cell, await read(whole.cell), tolerance);
});

test('with lengths each sequence gives what it gives alone, whatever pads it', async () => {
  const sizes = [4, 1, 0, 6];
  const lengths = tensor(sizes, { dtype: 'u32' });
  const layer = new nn.LSTM(3, 4, keys, { numLayers: 2, bidirectional: true });
  const parameters = layer.parameters();
  const [full, hidden, cell] = [
    [6, 4, 3],
    [4, 4, 4],
    [4, 4, 4],
  ].map((shape, i) => upload(arrayOf(shape, randomFrom(20 + i))));
  const padded = where(arange(6).unsqueeze(1).lt(lengths).unsqueeze(2), full, Number.NaN);
  const loss = (own: nn.LSTMState & { output: Tensor }) =>
    concat([own.output, own.hidden, own.cell].map((x) => x.reshape([-1])));
  const step = (x: Tensor) => {
    const { value, gradients, auxiliary } = valueAndGrad(() => {
      const all = layer.forward(x, { lengths, hidden, cell });
      return { loss: loss(all).square().sum(), auxiliary: all };
    }, parameters);
    return { value, gradients, ...auxiliary };
  };
  const found = step(padded);
  const close = async (what: string, own: Tensor, expected: Tensor) => {
    const data = Float64Array.from(await expected.data());
    await assertMatches(what, own, { dtype: 'f32', shape: expected.shape, data }, tolerance);
  };
  const alone = valueAndGrad(() => {
    const each = sizes.map((size, b) => {
      const state = { hidden: hidden.narrow(1, b, 1), cell: cell.narrow(1, b, 1) };
      return size === 0
        ? { output: zeros([0, 1, 8]), ...state }
        : layer.forward(full.narrow(1, b, 1).sliceAxis(0, 0, size), state);
    });
    return { loss: concat(each.map(loss)).square().sum(), auxiliary: each };
  }, parameters);
  for (const [b, own] of alone.auxiliary.entries()) {
    const rest = zeros([6 - sizes[b], 1, 8]);
    await close(`output of ${sizes[b]}`, found.output.narrow(1, b, 1), concat([own.output, rest]));
    await close(`hidden of ${sizes[b]}`, found.hidden.narrow(1, b, 1), own.hidden);
    await close(`cell of ${sizes[b]}`, found.cell.narrow(1, b, 1), own.cell);
  }
  for (const [i, own] of found.gradients.entries()) await close(`gradient ${i}`, own, alone.gradients[i]);
  const compiled = compile(step);
  for (const [i, own] of compiled(padded).gradients.entries())
    await close(`compiled gradient ${i}`, own, found.gradients[i]);
  compiled.dispose();
});

test('gradients of gradients go through lengths', async () => {
  const layer = new nn.LSTM(2, 2, keys, { bidirectional: true });
  const lengths = tensor([1, 3], { dtype: 'i32' });
  const x = upload(arrayOf([3, 2, 2], randomFrom(9)));
  const penalty = (input: Tensor) =>
    grad(() => layer.forward(input, { lengths }).output.square().sum(), [input, layer.weightHhL0]).reduce(
      (sum, own) => sum.add(own.square().sum()),
      tensor(0),
    );
  await gradcheck(penalty, [x]);
});

test('the input meets its weight once, and so does the gradient of each weight', () => {
  const counts = (time: number) => {
    const seen: Record<string, number> = {};
    const x = sequence.sliceAxis(0, 0, time);
    const stop = observe(({ name }) => {
      seen[name] = (seen[name] ?? 0) + 1;
    });
    const layer = new nn.LSTM(3, 4, keys);
    const gradients = grad(() => layer.forward(x).output.sum(), layer.parameters());
    stop();
    for (const own of gradients) own.dispose();
    layer.dispose();
    return seen;
  };
  const [three, six] = [counts(3), counts(6)];
  // One product of the input, one a step forwards and one backwards; two weight gradients.
  assert.equal([three.matmul, six.matmul], [1 + 3 + 3 + 2, 1 + 6 + 6 + 2]);
  assert.is(three.unslice ?? 0, six.unslice ?? 0);
});

test('gradients of gradients', async () => {
  const layer = new nn.LSTM(2, 2, keys, { bidirectional: true });
  const x = upload(arrayOf([3, 1, 2], randomFrom(9)));
  const penalty = (input: Tensor) =>
    grad(() => layer.forward(input).output.square().sum(), [input, layer.weightHhL0]).reduce(
      (sum, own) => sum.add(own.square().sum()),
      tensor(0),
    );
  await gradcheck(penalty, [x]);
});

test('steady training holds what it held', () => {
  const at = tensor(Uint32Array.of(1));
  const once = () => scope(() => void step(plain)(sequence, at));
  once();
  const held = device.statistics().liveBytes;
  for (let i = 0; i < 3; i++) once();
  assert.is(device.statistics().liveBytes, held);
});

class Recall extends nn.Module {
  lstm = new nn.LSTM(2, 12, nn.keySequence(21), { batchFirst: true });
  out = new nn.Linear(12, 1, nn.keySequence(22));

  forward(x: Tensor): Tensor {
    const { hidden } = this.lstm.forward(x);
    return this.out.forward(hidden.select(0, 0));
  }
}

test('an LSTM learns to recall what came first', async () => {
  const net = new Recall();
  const parameters = net.namedParameters();
  const optimizer = new optim.AdamW(parameters, { weightDecay: 0 });
  const x = arrayOf([16, 8, 2], randomFrom(4), between(-1, 1));
  const target = build([16, 1], 'f32', ([b]) => (x.data[b * 16] > 0 ? 1 : 0));
  const learn = compile((input: Tensor, wanted: Tensor) => {
    const { value, gradients } = valueAndGrad(
      () => nn.binaryCrossEntropyWithLogits(net.forward(input), wanted),
      parameters,
    );
    optimizer.step(gradients, 2e-2);
    return value;
  });
  const [input, wanted] = [upload(x), upload(target)];
  const losses: number[] = [];
  for (let i = 0; i < 120; i++) losses.push(await learn(input, wanted).item());
  assert.ok(losses[119] < 0.05, `the loss went from ${losses[0]} to ${losses[119]}`);
  learn.dispose();
});

test('parameters have PyTorch’s names, order, shapes and range', async () => {
  const layer = new nn.LSTM(3, 4, keys, { numLayers: 2, bidirectional: true });
  const kinds = ['weightIh', 'weightHh', 'biasIh', 'biasHh'];
  const names = ['L0', 'L0Reverse', 'L1', 'L1Reverse'].flatMap((suffix) => kinds.map((kind) => kind + suffix));
  assert.equal([...layer.namedParameters().keys()], names);
  const shapes = [...layer.namedParameters().values()].map(({ shape }) => [...shape]);
  assert.equal(shapes.slice(4, 12), [[16, 3], [16, 4], [16], [16], [16, 8], [16, 4], [16], [16]]);
  for (const parameter of layer.parameters()) {
    const largest = Math.max(...(await numbers(parameter)).map(Math.abs));
    assert.ok(largest <= 0.5 && largest > 0.3, `largest ${largest}`);
  }
  assert.equal([...new nn.LSTM(3, 4, keys, { bias: false }).namedParameters().keys()], ['weightIhL0', 'weightHhL0']);
});

test('errors of the LSTM name what was wrong', () => {
  const layer = new nn.LSTM(3, 4, keys, { numLayers: 2 });
  const state = tensor(new Array(16).fill(0), { shape: [2, 2, 4] });
  const cases: [() => unknown, RegExp][] = [
    [
      () => layer.forward(tensor([1, 2, 3])),
      /LSTM: the input is .*\[3\].*; expected floats \[time, batch, 3\] or \[time, 3\]/,
    ],
    [() => layer.forward(sequence.reshape([6, 3, 2])), /the input is .*\[6, 3, 2\]/],
    [
      () => new nn.LSTM(3, 4, keys, { batchFirst: true }).forward(sequence.unsqueeze(0)),
      /expected floats \[batch, time, 3\]/,
    ],
    [() => layer.forward(sequence.sliceAxis(0, 0, 0)), /expected one step at least/],
    [() => layer.forward(sequence, { hidden: state }), /give both or neither/],
    [
      () => layer.forward(sequence, { hidden: state, cell: state.sliceAxis(0, 0, 1) }),
      /cell is \[1, 2, 4\]; expected \[2, 2, 4\]/,
    ],
    [
      () => layer.forward(sequence.select(1, 0), { hidden: state, cell: state }),
      /hidden is \[2, 2, 4\]; expected \[2, 4\]/,
    ],
    [() => new nn.LSTM(3, 0, keys), /hiddenSize is 0; expected a whole number from 1/],
    [() => layer.forward(sequence.cast('i32')), /the input is .*i32.*; expected floats/],
    [
      () => layer.forward(sequence, { lengths: tensor([6, 5, 4], { dtype: 'i32' }) }),
      /lengths is .*\[3\].*; expected i32 or u32 \[2\], a number for each sequence/,
    ],
    [() => layer.forward(sequence, { lengths: tensor([6, 5]) }), /lengths is f32; expected i32 or u32/],
    [() => layer.forward(sequence, { lengths: [6, 5] as never }), /lengths is \[6, 5\]; expected i32 or u32 \[2\]/],
    [
      () => layer.forward(sequence.select(1, 0), { lengths: tensor([6], { dtype: 'i32' }) }),
      /lengths is .*; expected none without a batch/,
    ],
  ];
  for (const [run, message] of cases) assert.throws(run, message);
});

test.run();
