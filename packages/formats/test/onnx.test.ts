/** Exported models: their bytes, names and errors, and whole functions against ONNX Runtime. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  apply,
  argsort,
  avgPool2d,
  cast,
  compile,
  concat,
  conv1d,
  countNonzero,
  cumprod,
  cumsum,
  defineOp,
  diagonal,
  dropout,
  einsum,
  expand,
  flip,
  gather,
  groupNorm,
  hardtanh,
  indexSelect,
  layerNorm,
  logsumexp,
  maskedFill,
  matmul,
  maxPool1d,
  median,
  nanToNum,
  norm,
  normal,
  oneHot,
  pad,
  quantile,
  repeatInterleave,
  roll,
  scope,
  segmentSum,
  slice,
  softmax,
  sort,
  stack,
  std,
  type Tensor,
  tensor,
  topk,
  transpose,
  tril,
  where,
} from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { arrayOf, between, randomFrom, upload } from '../../tensor/test/arbitraries.ts';
import { device, hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { exportOnnx, type Lowering, type OnnxOptions, writeOnnx } from '../src/index.ts';
import { encodeModel } from '../src/onnx/model.ts';
import { Message } from '../src/onnx/protobuf.ts';
import { firstDifference, flat, runOnnx } from './onnx-runtime.ts';

const random = randomFrom(5);
const draw = (shape: readonly number[], dtype: 'f32' | 'i32' | 'f16' = 'f32') =>
  upload(arrayOf(shape, random, between(-1, 1), dtype));

async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected an error');
}

/** A message's fields: numbers, or bytes. Written from the format's description, not from the encoder. */
function fieldsOf(bytes: Uint8Array): [field: number, value: bigint | Uint8Array][] {
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  const fields: [number, bigint | Uint8Array][] = [];
  while (at < bytes.length) {
    const key = Number(varint());
    if ((key & 7) === 0) fields.push([key >> 3, varint()]);
    else {
      const length = (key & 7) === 5 ? 4 : Number(varint());
      fields.push([key >> 3, bytes.subarray(at, (at += length))]);
    }
  }
  return fields;
}

const all = (bytes: Uint8Array, field: number) =>
  fieldsOf(bytes).flatMap(([number, value]) => (number === field ? [value] : []));
const messages = (bytes: Uint8Array, field: number) => all(bytes, field) as Uint8Array[];
const text = (bytes: Uint8Array, field: number) => new TextDecoder().decode(messages(bytes, field)[0]);

/** Names and kinds in a model, by onnx.proto's numbers. */
function contents(model: Uint8Array) {
  const [graph] = messages(model, 7);
  return {
    ir: all(model, 1)[0],
    opset: all(messages(model, 8)[0], 2)[0],
    nodes: messages(graph, 1).map((node) => text(node, 4)),
    inputs: messages(graph, 11).map((port) => text(port, 1)),
    outputs: messages(graph, 12).map((port) => text(port, 1)),
    initializers: new Map(
      messages(graph, 5).map((one) => [
        text(one, 8),
        { dims: all(one, 1), type: all(one, 2)[0], raw: messages(one, 9)[0] },
      ]),
    ),
  };
}

/** Exports and runs a function, and compares every output with the eager one. */
async function agrees(what: string, fn: (...inputs: Tensor[]) => unknown, inputs: Tensor[], options: OnnxOptions = {}) {
  const model = await exportOnnx(fn, inputs, options);
  const names = contents(model).inputs;
  const feeds = await Promise.all(inputs.map(async (x, i) => [names[i], await flat(x)] as const));
  const results = await runOnnx(model, Object.fromEntries(feeds));
  const eager = scope(() => fn(...inputs));
  const expected = eager instanceof Map ? [...eager.values()] : Array.isArray(eager) ? eager : [eager];
  for (const [i, name] of contents(model).outputs.entries()) {
    const problem = firstDifference(results.get(name), await flat(expected[i] as Tensor));
    if (problem) assert.unreachable(`${what}: ${name}: ${problem}`);
  }
  for (const output of expected as Tensor[]) if (!output.disposed) output.dispose();
  return model;
}

const encoding = suite('encoding');

encoding('fields by the examples of the format', () => {
  const hex = (message: Message) => Buffer.concat(message.chunks).toString('hex');
  assert.is(hex(new Message().int(1, 150)), '089601');
  assert.is(hex(new Message().string(2, 'testing')), '120774657374696e67');
  assert.is(hex(new Message().message(3, new Message().int(1, 150))), '1a03089601');
  assert.is(hex(new Message().int(1, -2)), '08feffffffffffffffff01');
  assert.is(hex(new Message().float(2, 1)), '150000803f');
  assert.is(hex(new Message().int(20, 0)), 'a00100');
  const long = new Message().bytes(1, new Uint8Array(300)).int(2, 1);
  assert.is(long.length, 1 + 2 + 300 + 2);
});

encoding('a model over the limit is refused', () => {
  const data = new Uint8Array(1000);
  const model = { name: 'big', opset: 17, nodes: [], inputs: [], outputs: [] };
  const initializers = [{ name: 'w', dtype: 'f32' as const, shape: [250], data }];
  assert.ok(encodeModel({ ...model, initializers }, 2000).length > 0);
  assert.throws(
    () => encodeModel({ ...model, initializers }, 1000),
    /takes 1\d\d\d bytes.*at most 1000; store parameters as f16/,
  );
});

encoding.run();

const files = suite('models');

files('names, constants and versions', async () => {
  const w = tensor([
    [1, 2],
    [3, 4],
  ]);
  const b = tensor([5, 6]);
  const inputs = [tensor([[1, 1]])];
  const fn = (x: Tensor) => ({ logits: matmul(x, transpose(w)).add(b), hidden: [x.mul(w.detach().slice(0)), w] });
  const parameters = new Map([
    ['linear.weight', w],
    ['linear.unused', b.mul(1)],
  ]);
  const before = device.statistics().liveBytes;
  const model = contents(await exportOnnx(fn, inputs, { parameters, inputNames: ['x'] }));
  assert.is(device.statistics().liveBytes, before);
  assert.equal(model.inputs, ['x']);
  assert.equal(model.outputs, ['logits', 'hidden.0', 'hidden.1']);
  assert.is(model.ir, 8n);
  assert.is(model.opset, 17n);
  const weight = model.initializers.get('linear.weight');
  assert.equal(weight?.dims, [2n, 2n]);
  assert.is(weight?.type, 1n);
  assert.equal(Buffer.from(weight?.raw ?? []).toString('hex'), '0000803f000000400000404000008040');
  const others = [...model.initializers.values()].filter(({ type }) => type === 1n);
  assert.is(others.length, 2, 'a weight that is used twice is stored once, one that is not used never');
  assert.ok(model.initializers.has('parameter0'));

  const named = contents(await exportOnnx((x) => [x, x.neg()], inputs, { outputNames: ['same', 'less'], opset: 22 }));
  assert.equal([named.inputs, named.outputs, named.opset, named.ir], [['input0'], ['same', 'less'], 22n, 10n]);
  assert.equal(contents(await exportOnnx((x) => x.neg(), inputs)).outputs, ['output']);
  assert.equal(contents(await exportOnnx((x) => [x.neg(), x], inputs)).outputs, ['output0', 'output1']);
});

files('what no result needs is left out', async () => {
  const unused = tensor([1, 2]);
  const { nodes, initializers } = contents(
    await exportOnnx(
      (x) => {
        normal([2], { seed: 1, stream: 1 }).mul(unused);
        return layerNorm(x, tensor([1, 2]), tensor([0, 0]));
      },
      [tensor([[3, 4]])],
    ),
  );
  assert.equal(nodes, ['ReduceMean', 'Sub', 'LayerNormalization', 'Identity']);
  assert.is([...initializers.values()].filter(({ type }) => type === 1n).length, 2);
});

files('indices that are known need no guard', async () => {
  const x = draw([4, 6]);
  const guarded = (model: Uint8Array) => contents(model).nodes.includes('Where');
  assert.not(guarded(await agrees('rows', (y) => indexSelect(y, 0, tensor(Int32Array.of(3, 0))), [x])));
  assert.not(guarded(await agrees('sort', (y) => sort(y, { dim: 0 }).values, [x])));
  assert.ok(guarded(await agrees('outside', (y) => indexSelect(y, 0, tensor(Int32Array.of(4, 3))), [x])));
  assert.ok(guarded(await agrees('below', (y) => indexSelect(y, 0, tensor(Int32Array.of(3, -1))), [x])));
  assert.ok(guarded(await agrees('input', (y, i) => indexSelect(y, 1, i), [x, tensor(Int32Array.of(5, 6))])));
});

files('a written file holds the same bytes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'onnx-'));
  try {
    const path = join(folder, 'model.onnx');
    const inputs = [draw([2, 3])];
    await writeOnnx(path, (x) => x.gelu(), inputs, { opset: 20 });
    assert.equal(new Uint8Array(readFileSync(path)), await exportOnnx((x) => x.gelu(), inputs, { opset: 20 }));
    assert.match(
      await messageOf(writeOnnx(join(folder, 'none', 'a'), (x) => x, inputs)),
      /cannot write ONNX model.*no folder/,
    );
    assert.equal(readdirSync(folder), ['model.onnx']);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

files('a gelu is one node where the opset has it', async () => {
  const inputs = [draw([3])];
  const nodesIn = async (opset: number) => contents(await exportOnnx((x) => x.gelu(), inputs, { opset })).nodes;
  assert.equal(await nodesIn(20), ['Gelu', 'Identity']);
  assert.ok((await nodesIn(19)).includes('Erf'));
});

(hasHalf ? files : files.skip)(`halves stay halves${unlessHalf}`, async () => {
  const w = draw([3, 2], 'f16');
  const model = await agrees('halves', (x) => softmax(matmul(x, w).relu()), [draw([4, 3], 'f16')], {
    parameters: new Map([['w', w]]),
  });
  const { type, raw } = contents(model).initializers.get('w') ?? {};
  assert.equal([type, raw?.length], [10n, 12]);
});

files.run();

const functions = suite('functions');

const image = draw([2, 3, 7, 6]);
const rows = draw([3, 8]);
const words = tensor(Int32Array.of(4, 0, 2, 2, 1));
const table = draw([5, 3]);

const cases: Record<string, [fn: (...inputs: Tensor[]) => unknown, inputs: Tensor[]]> = {
  'sorts and selections': [
    (x) => [
      sort(x, { descending: true }).indices,
      ...Object.values(topk(x, 3)),
      median(x, { dim: 1 }),
      quantile(x, 0.3, { dim: 0 }),
    ],
    [rows],
  ],
  statistics: [
    (x) => [std(x, { dim: 1 }), logsumexp(x, { dim: 0 }), norm(x), x.var({ dim: 0 }), x.argmax({ dim: 1 })],
    [rows],
  ],
  arrangements: [
    (x) => [
      pad(x, [1, 2, 0, 3], { value: 2 }),
      roll(x, [1, -2], [0, 1]),
      flip(x, [0, 1]),
      stack([x, x.neg()], 1),
      repeatInterleave(x, 2, { dim: 1 }),
      diagonal(x),
      tril(x),
    ],
    [rows],
  ],
  slices: [
    (x) => [
      slice(x, [1], [null, null, -2]),
      slice(x, 1, [1, 7, 3]),
      slice(x, [], tensor(Int32Array.of(-1, 2))),
      slice(x, null, '...', 3),
    ],
    [rows],
  ],
  embedding: [
    (i, t) => [indexSelect(t, 0, i), oneHot(i, { classes: 5 }), segmentSum(indexSelect(t, 0, i), i, { count: 5 })],
    [words, table],
  ],
  pooling: [
    (x) => [avgPool2d(x, 3, { padding: 1, countIncludePad: false }), maxPool1d(x.reshape([6, 7, 6]), 2)],
    [image],
  ],
  'windows in the padding alone': [
    (x) => [
      ...apply('maxPool2d', [x], { kernel: [2, 2], stride: [1, 1], padding: [1, 1], dilation: [3, 6] }),
      ...apply('maxPool2d', [x], { kernel: [2, 3], stride: [2, 1], padding: [1, 0], dilation: [8, 2] }),
    ],
    [image],
  ],
  masks: [
    (x, i) => [
      softmax(where(tril(x.eq(x).cast('f32')).gt(0), x, -1e9)),
      cumsum(i, { dim: 0 }),
      argsort(i),
      i.remainder(3),
      cast(x.mul(10), 'i32').clamp({ min: -3, max: 3 }),
      gather(x, 1, expand(i.slice([0, 3]).reshape([3, 1]), [3, 2])),
    ],
    [rows, words],
  ],
  logic: [
    (x) => [
      x.gt(0).any({ dim: 1 }),
      x.gt(0).all(),
      countNonzero(x.lt(0.2), { dim: 0 }),
      nanToNum(where(x.gt(0), x.log().neg().log(), Number.NaN)),
      maskedFill(x, x.lt(0), 7),
      hardtanh(x.mul(3)),
    ],
    [rows],
  ],
  'digits beside zero': [(x) => [x.expm1(), x.log1p()], [tensor([1e-6, -2e-6, 3e-7])]],
  products: [(x, t) => [einsum('ij,kj->ik', x.reshape([8, 3]), t), cumprod(x, { dim: 1 })], [rows, table]],
  'a compiled function': [compile((x: Tensor) => x.exp().sum({ dim: 1 })) as (x: Tensor) => Tensor, [rows]],
};

for (const [name, [fn, inputs]] of Object.entries(cases)) {
  for (const opset of [17, 22])
    functions(`${name} in opset ${opset}`, async () => void (await agrees(name, fn, inputs, { opset })));
}

functions('a transformer block', async () => {
  const [batch, time, width, heads] = [2, 9, 16, 4];
  const weights = { q: 0, k: 0, v: 0, out: 0, up: 0, down: 0 };
  const parameters = new Map(
    Object.keys(weights).map((name) => [name, draw([width, name === 'up' ? 4 * width : width])]),
  );
  parameters.set('down', draw([4 * width, width]));
  for (const name of ['gain', 'shift']) parameters.set(name, draw([width]));
  const p = (name: string) => parameters.get(name) as Tensor;
  const block = (x: Tensor, visible: Tensor) => {
    const normed = layerNorm(x, p('gain'), p('shift'));
    const [q, k, v] = ['q', 'k', 'v'].map((name) =>
      matmul(normed, p(name))
        .reshape([batch, time, heads, width / heads])
        .permute([0, 2, 1, 3]),
    );
    const scores = where(visible.reshape([batch, 1, 1, time]), matmul(q, transpose(k)).mul(0.5), -3e38);
    const mixed = matmul(softmax(scores), v).permute([0, 2, 1, 3]).reshape([batch, time, width]);
    const y = x.add(matmul(mixed, p('out')));
    return y.add(matmul(matmul(layerNorm(y, p('gain'), p('shift')), p('up')).gelu(), p('down')));
  };
  const visible = draw([batch, time]).gt(-0.5);
  for (const opset of [17, 20]) {
    const model = await agrees('block', block, [draw([batch, time, width]), visible], { opset, parameters });
    for (const name of parameters.keys()) assert.ok(contents(model).initializers.has(name), name);
  }
});

functions('a convolutional extractor', async () => {
  const [first, second, gain, shift] = [draw([8, 1, 10]), draw([8, 4, 3]), draw([8]), draw([8])];
  const extractor = (x: Tensor) => {
    const y = groupNorm(conv1d(x.reshape([2, 1, -1]), first, { stride: 5 }), 8, gain, shift).gelu();
    const z = conv1d(y, second, { stride: 2, padding: 1, groups: 2, bias: shift }).gelu();
    return { z, pooled: concat([z.mean({ dim: 2 }), z.max({ dim: 2 })], 1) };
  };
  await agrees('extractor', (x) => Object.values(extractor(x)), [draw([2, 400]).add(3)]);
});

functions.run();

const errors = suite('errors');
const x = tensor([
  [1, 2],
  [3, 4],
]);
const error = (fn: (...inputs: Tensor[]) => unknown, options?: OnnxOptions, inputs = [x]) =>
  messageOf(exportOnnx(fn, inputs, options));

errors('operations without a form name themselves and the line that called them', async () => {
  const here = /onnx\.test\.ts:\d+/;
  const drawn = await error((y) => dropout(y, { p: 0.5, seed: 1, stream: 1 }));
  assert.match(
    drawn,
    /^exportOnnx: dropout, called at .*cannot be exported: it draws random numbers; pass them as an input/,
  );
  assert.match(drawn, here);
  assert.match(await error((y) => y.mul(normal([2], { seed: 1, stream: 1 }))), /normal, called at/);
  const counter = tensor([0]).reshape([]);
  const counting = await error((y) => {
    apply('increment', [counter], {});
    return y.neg();
  });
  assert.match(counting, /^exportOnnx: increment, .*changes a tensor in place/);
  assert.match(counting, here);
  assert.is(await counter.item(), 0);
  assert.match(
    await error((y) => apply('softmaxBackward', [y, y], {})),
    /softmaxBackward.*export the forward function/,
  );
  assert.match(
    await error((y) => y.cast('i32').bitwiseAnd(3)),
    /bitwiseAnd.*opset 17 has no BitwiseAnd; export with \{ opset: 18 \}/,
  );
});

errors("kernels of one's own need a lowering", async () => {
  const halve = defineOp({
    name: 'halve',
    infer: ([y]) => [{ dtype: y.dtype, shape: y.shape }],
    run: () => {},
  });
  const fn = (y: Tensor) => apply(halve, [y], {})[0];
  assert.match(
    await error(fn),
    /^exportOnnx: halve, .*no operation of the engine; say it in ONNX nodes by \{ lowerings: \{ halve: … \} \}/,
  );
  const lowering: Lowering<Record<never, never>> = (onnx, [y]) => [onnx.node('Mul', [y, onnx.scalar(0.5, 'f32')])];
  const model = await exportOnnx(fn, [x], { lowerings: { halve: lowering } });
  const results = await runOnnx(model, { input0: await flat(x) });
  assert.equal([...(results.get('output')?.data as Float32Array)], [0.5, 1, 1.5, 2]);
});

errors('misuse', async () => {
  assert.match(await error(async (y) => y.data()), /the function is async; it cannot wait or read elements back/);
  assert.match(await error((y) => y, {}, []), /at least one input/);
  assert.match(await error(() => 3), /returns no tensor/);
  assert.match(await error((y) => y, { opset: 16 }), /opset 16; expected a whole number from 17 to 22/);
  assert.match(await error((y) => y, { opset: 23 }), /opset 23/);
  assert.match(await error((y) => y, { inputNames: ['a', 'b'] }), /2 names for 1 inputs/);
  assert.match(await error((y) => [y, y], { outputNames: ['a'] }), /1 names for 2 outputs/);
  assert.match(
    await error((y) => y, { inputNames: ['a'], outputNames: ['a'] }),
    /"a" does not name one input or output alone/,
  );
  assert.match(await error((y) => matmul(y, tensor([1, 2, 3]).reshape([3, 1]))), /matmul: inner dimensions 2 and 3/);
});

errors('tensors without elements', async () => {
  const none = tensor([], { shape: [0, 2] });
  assert.match(await error((y) => y, {}, [none]), /input0 is \[0, 2\], without elements/);
  assert.match(await error((y) => concat([y, none], 0)), /is \[0, 2\], without elements/);
  assert.match(
    await error((y) => y.sliceAxis(0, 1, 1).sum()),
    /the result of slice, called at .*onnx\.test\.ts.* is \[0, 2\], without/,
  );
});

errors.run();
