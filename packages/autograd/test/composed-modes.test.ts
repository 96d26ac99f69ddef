/**
 * Every function that is made of several operations, in every mode: compiled, it gives what it gives eagerly; its gradient
 * is the same recomputed, to the bit, and compiled; and in f16 it is what f32 makes of the same halves.
 */
import * as t from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { differenceFromEager } from '../../tensor/test/compare.ts';
import { floats } from '../../tensor/test/device.ts';
import { checkpoint, grad } from '../src/index.ts';

type Made = t.Tensor | readonly t.Tensor[];

interface Composed {
  /** Shapes of the inputs, which are floats. */
  readonly shapes: readonly (readonly number[])[];
  readonly run: (...inputs: t.Tensor[]) => Made;
  /** Whether a gradient flows; false for whole numbers and booleans. */
  readonly gradient?: boolean;
  /** How far f16 may be from f32, in units of 2^-11 of the largest element. */
  readonly units?: number;
}

const index = t.tensor(Int32Array.of(2, 0, -1, 2));
const places = t.tensor(Int32Array.of(2, 0, 1, 2));
const mask = t.tensor(
  [
    [1, 0, 1, 0, 0],
    [0, 1, 1, 0, 1],
    [0, 0, 0, 1, 1],
  ],
  { dtype: 'bool' },
);

const of = (shape: readonly number[], run: (x: t.Tensor) => Made, extra: Partial<Composed> = {}): Composed => ({
  shapes: [shape],
  run,
  ...extra,
});
const ofTwo = (
  a: readonly number[],
  b: readonly number[],
  run: (a: t.Tensor, b: t.Tensor) => Made,
  extra: Partial<Composed> = {},
): Composed => ({ shapes: [a, b], run, ...extra });
const flags = { gradient: false };

/** By the name of the function; several uses where it takes several ways. */
const composed: Record<string, readonly Composed[]> = {
  norm: [2, 1, 3, 0.5, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY].map((p) =>
    of([3, 5], (x) => t.norm(x, { p, dim: 1 }), { units: 4 }),
  ),
  variance: [of([3, 5], (x) => t.variance(x)), of([3, 5], (x) => x.var({ dim: 0, keepdim: true, correction: 0 }))],
  std: [of([3, 5], (x) => t.std(x, { dim: 1 })), of([3, 5], (x) => t.std(x))],
  logsumexp: [of([3, 5], (x) => t.logsumexp(x)), of([3, 5], (x) => t.logsumexp(x, { dim: -1, keepdim: true }))],
  any: [of([3, 5], (x) => t.any(x.gt(1), { dim: 1 }), flags)],
  all: [of([3, 5], (x) => t.all(x.lt(1), { dim: 0 }), flags)],
  countNonzero: [of([3, 5], (x) => t.countNonzero(x.relu(), { dim: 1 }), flags)],
  median: [of([3, 5], (x) => t.median(x)), of([3, 4], (x) => t.median(x, { dim: 1, keepdim: true }))],
  quantile: [of([3, 5], (x) => t.quantile(x, 0.3), { units: 4 }), of([3, 5], (x) => t.quantile(x, 0.5, { dim: 1 }))],
  sort: [of([3, 5], (x) => t.sort(x).values), of([3, 5], (x) => t.sort(x, { dim: 0, descending: true }).values)],
  topk: [of([3, 5], (x) => t.topk(x, 2).values), of([3, 5], (x) => t.topk(x, 2, { dim: 0, largest: false }).values)],
  cumprod: [
    of([3, 5], (x) => t.cumprod(x, { dim: 1 }), { units: 8 }),
    of([3, 5], (x) => t.cumprod(x, { dim: 0, reverse: true }), { units: 8 }),
  ],
  segmentSum: [of([4, 3], (x) => t.segmentSum(x, places, { count: 3 }))],
  bincount: [of([4], (x) => t.bincount(places, { count: 3, weights: x }))],

  pad: [
    of([3, 5], (x) => t.pad(x, [1, 2])),
    of([3, 5], (x) => t.pad(x, [1, 2, -1, 1], { value: 2 })),
    of([3, 5], (x) => t.pad(x, [1, 2, 1, 1], { mode: 'reflect' })),
    of([3, 5], (x) => t.pad(x, [1, 2, 1, 1], { mode: 'replicate' })),
    of([3, 5], (x) => t.pad(x, [1, 2, 1, 1], { mode: 'circular' })),
  ],
  roll: [of([3, 5], (x) => t.roll(x, 2)), of([3, 5], (x) => t.roll(x, [1, -2], [0, 1]))],
  tril: [of([2, 3, 5], (x) => t.tril(x)), of([3, 5], (x) => t.tril(x, { diagonal: 1 }))],
  triu: [of([2, 3, 5], (x) => t.triu(x)), of([3, 5], (x) => t.triu(x, { diagonal: -1 }))],
  diagonal: [
    of([3, 5], (x) => t.diagonal(x, { offset: 1 })),
    of([2, 3, 5], (x) => t.diagonal(x, { dim1: 1, dim2: 2 })),
  ],
  matrixTrace: [of([3, 5], (x) => t.matrixTrace(x)), of([4, 3, 5], (x) => t.matrixTrace(x, { dim1: 2, dim2: 1 }))],
  repeat: [of([3, 5], (x) => t.repeat(x, [2, 1, 2]))],
  tile: [of([3, 5], (x) => t.tile(x, [2, 3]))],
  repeatInterleave: [of([3, 5], (x) => t.repeatInterleave(x, 2, { dim: 0 }))],
  split: [of([3, 5], (x) => t.split(x, 2, { dim: 1 })), of([3, 5], (x) => t.split(x, [1, 2]))],
  chunk: [of([3, 5], (x) => t.chunk(x, 2, { dim: 1 }))],
  maskedFill: [of([3, 5], (x) => t.maskedFill(x, mask, 7))],
  stack: [ofTwo([3, 5], [3, 5], (x, y) => t.stack([x, y, x], 1))],
  slice: [
    of([3, 5], (x) => t.slice(x, [null, null, -2], [1, 4])),
    of([3, 5], (x) => t.slice(x, index)),
    of([3, 5], (x) => t.slice(x, '...', places, null)),
    of([3, 5], (x) => t.slice(x, places, places)),
  ],
  select: [of([3, 5], (x) => t.select(x, 1, -2))],
  narrow: [of([3, 5], (x) => t.narrow(x, 1, 1, 3))],
  sliceAxis: [of([3, 5], (x) => t.sliceAxis(x, 1, 1, undefined, 2))],
  indexAdd: [ofTwo([3, 5], [4, 5], (x, y) => t.indexAdd(x, 0, places, y))],
  scatterAdd: [ofTwo([3, 5], [1, 5], (x, y) => t.scatterAdd(x, 0, t.zeros([1, 5], { dtype: 'i32' }), y))],
  transpose: [of([3, 5], (x) => t.transpose(x))],
  squeeze: [of([3, 1, 5], (x) => t.squeeze(x))],
  unsqueeze: [of([3, 5], (x) => t.unsqueeze(x, [0, 2]))],
  flatten: [of([2, 3, 5], (x) => t.flatten(x, 1))],
  unflatten: [of([3, 4], (x) => t.unflatten(x, 1, [2, -1]))],
  movedim: [of([2, 3, 5], (x) => t.movedim(x, 0, -1))],
  broadcastTo: [of([3, 1], (x) => t.broadcastTo(x, [2, 3, 5]))],
  meshgrid: [ofTwo([3], [5], (x, y) => t.meshgrid([x, y]))],

  hardtanh: [of([3, 5], (x) => t.hardtanh(x, { min: -0.5, max: 0.7 }))],
  nanToNum: [
    of([3, 5], (x) => t.nanToNum(t.log(x), { nan: 2 })),
    of([3, 5], (x) => t.nanToNum(x.maximum(0).reciprocal(), { posinf: 3 }), flags),
  ],
  softplus: [of([3, 5], (x) => t.softplus(x, { beta: 3 })), of([3, 5], (x) => t.softplus(x))],
  clamp: [of([3, 5], (x) => t.clamp(x, { max: 0.5 }))],
  elu: [of([3, 5], (x) => t.elu(x, { alpha: 0.4 }))],
  gelu: [of([3, 5], (x) => t.gelu(x, { approximate: 'tanh' }))],
  leakyRelu: [of([3, 5], (x) => t.leakyRelu(x, { slope: 0.3 }))],
  softmax: [of([3, 5], (x) => t.softmax(x, { dim: 0 }))],
  logSoftmax: [of([3, 5], (x) => t.logSoftmax(x, { dim: 0 }))],

  matmul: [
    ofTwo([5], [5], (x, y) => t.matmul(x, y)),
    ofTwo([2, 3, 5], [5], (x, y) => t.matmul(x, y)),
    ofTwo([5], [2, 5, 3], (x, y) => t.matmul(x, y)),
  ],
  dot: [ofTwo([5], [5], (x, y) => t.dot(x, y))],
  inner: [ofTwo([3, 5], [2, 5], (x, y) => t.inner(x, y))],
  outer: [ofTwo([3], [5], (x, y) => t.outer(x, y))],
  tensordot: [
    ofTwo([2, 3, 5], [5, 3, 4], (x, y) =>
      t.tensordot(x, y, [
        [1, 2],
        [1, 0],
      ]),
    ),
  ],
  einsum: [
    ofTwo([2, 3, 5], [2, 5, 4], (x, y) => t.einsum('bij,bjk->bik', x, y)),
    ofTwo([3, 3], [3], (x, y) => t.einsum('ii,i->', x, y)),
  ],

  conv1d: [
    ofTwo([2, 3, 7], [4, 3, 3], (x, w) =>
      t.conv1d(x, w, { padding: 1, bias: t.ones([4], { dtype: x.dtype as 'f32' }) }),
    ),
  ],
  conv2d: [ofTwo([2, 2, 5, 4], [3, 2, 2, 2], (x, w) => t.conv2d(x, w, { stride: 2, bias: w.sum({ dim: [1, 2, 3] }) }))],
  convTranspose1d: [
    ofTwo([2, 3, 4], [3, 2, 3], (x, w) => t.convTranspose1d(x, w, { stride: 2, bias: w.sum({ dim: [0, 2] }) })),
    ofTwo([2, 3, 4], [3, 2, 3], (x, w) => t.convTranspose1d(x, w, { dilation: 3, padding: 2, outputPadding: 2 })),
  ],
  convTranspose2d: [
    ofTwo([1, 2, 3, 4], [2, 3, 2, 2], (x, w) => t.convTranspose2d(x, w, { stride: 2, outputPadding: 1 })),
  ],
  avgPool1d: [of([2, 3, 7], (x) => t.avgPool1d(x, 3, { stride: 2, padding: 1 }))],
  avgPool2d: [
    of([1, 2, 5, 4], (x) => t.avgPool2d(x, 2)),
    of([1, 2, 5, 4], (x) => t.avgPool2d(x, 3, { stride: 2, padding: 1, countIncludePad: false })),
  ],
  maxPool1d: [of([2, 3, 7], (x) => t.maxPool1d(x, 3, { stride: 2, padding: 1 }))],
  maxPool2d: [of([1, 2, 5, 4], (x) => t.maxPool2d(x, [3, 2], { padding: 1 }))],

  complexAbs: [of([3, 5, 2], (x) => t.complexAbs(x))],
  complexConj: [of([3, 5, 2], (x) => t.complexConj(x))],
  fft: [of([3, 5, 2], (x) => t.fft(x)), of([3, 5, 2], (x) => t.fft(x, { dim: 0, n: 4, norm: 'ortho' }))],
  ifft: [of([3, 5, 2], (x) => t.ifft(x))],
  rfft: [of([3, 5], (x) => t.rfft(x)), of([3, 6], (x) => t.rfft(x, { n: 8 }))],
  irfft: [of([3, 5, 2], (x) => t.irfft(x)), of([3, 5, 2], (x) => t.irfft(x, { n: 7 }))],

  oneHot: [of([4], (x) => t.oneHot(x.mul(2).cast('i32'), { classes: 4 }), flags)],
  fullLike: [of([3, 5], (x) => t.fullLike(x, 3), flags)],
  onesLike: [of([3, 5], (x) => t.onesLike(x), flags)],
  zerosLike: [of([3, 5], (x) => t.zerosLike(x), flags)],
  eye: [of([3, 5], (x) => t.eye(3, 5).mul(x))],
  tri: [of([3, 5], (x) => t.where(t.tri(3, 5), x, 1))],
  linspace: [of([3, 5], (x) => t.linspace(0, 1, 5).mul(x))],
};

/** What is no function of tensors to tensors, waits for the GPU, or is little more than a slow operation of the table. */
const others = new Set(
  [
    'apply assertShape broadcastShapes cachedTable callStack checkBoolean checkEps checkNumber checkOptions checkProbability checkStream checkTensors checkWhole compile contiguousStrides defineOp fftRoots fftTables flattenTree',
    'float16FromNumbers float16ToFloat32 formatShape getDefaultDevice gridFor isFloat isObserving isTensor kernelOp linearGrid',
    'normaliseAxis noteDifferentiated observe observeNumbers openDevice peakText profile promote recordFft repeating rfftTables sameData sameShape',
    'scalarValue scope sizeOf tensor trace tune unitRoots unobserved uploadTable valueText withDense withScratch ones zeros',
    'maskedSelect nonzero scaledDotProductAttention',
  ].flatMap((line) => line.split(' ')),
);

test('every function that is no operation of the table is here', () => {
  const exported = Object.entries(t).filter(([name, value]) => typeof value === 'function' && /^[a-z]/.test(name));
  const missing = exported
    .map(([name]) => name)
    .filter((name) => !(name in composed) && !(name in t.opTable) && !others.has(name));
  assert.equal(missing, []);
  assert.equal(
    Object.keys(composed).filter((name) => !(name in t)),
    [],
  );
});

const listOf = (made: Made): readonly t.Tensor[] => (made instanceof t.Tensor ? [made] : made);
const numbers = async (x: t.Tensor) => Array.from(await x.data());

/** The sum of the outputs with weights that are all different. */
function weighted(outputs: readonly t.Tensor[]): t.Tensor {
  return outputs
    .map((y, i) => {
      const weights = t
        .arange(0, y.size, 1, { dtype: 'f32' })
        .mul(0.37)
        .add(i + 1)
        .cos();
      return t.sum(t.mul(y, weights.reshape(y.shape))) as t.Tensor;
    })
    .reduce((total, part) => total.add(part));
}

async function assertNear(what: string, half: t.Tensor, wide: t.Tensor, units: number): Promise<void> {
  const [found, expected] = [await numbers(half), await numbers(wide)];
  const peak = expected.reduce((most, value) => (Number.isFinite(value) ? Math.max(most, Math.abs(value)) : most), 0);
  expected.forEach((value, i) => {
    if (Object.is(found[i], value) || Math.abs(found[i] - value) <= units * 2 ** -11 * peak) return;
    assert.unreachable(`${what}: element ${i} is ${found[i]} in f16, ${value} in f32`);
  });
}

async function check(what: string, { shapes, run, gradient = true, units = 2 }: Composed, dtype: 'f32' | 'f16') {
  const inputs = t.scope(() =>
    shapes.map((shape, i) => t.cast(t.normal(shape, { seed: 7, stream: i }), dtype).retain()),
  );
  const body = (...given: t.Tensor[]) => listOf(run(...given));
  const eager = body(...inputs);
  const compiled = t.compile(body);
  const outputs = compiled(...inputs);
  assert.is(outputs.length, eager.length);
  for (const [i, own] of eager.entries()) {
    assert.equal([...outputs[i].shape], [...own.shape], `${what}: shape`);
    const problem = differenceFromEager(await numbers(outputs[i]), await numbers(own), own.dtype);
    if (problem) assert.unreachable(`${what}: output ${i}, compiled: ${problem}`);
  }
  if (dtype === 'f16') {
    const wide = body(...inputs.map((x) => x.cast('f32') as t.Tensor));
    for (const [i, own] of eager.entries()) await assertNear(`${what}: output ${i}`, own, wide[i], units);
  }
  compiled.dispose();
  if (!gradient) return;
  const gradients = (fn: (...given: t.Tensor[]) => readonly t.Tensor[], given: t.Tensor[]) =>
    grad(() => weighted(fn(...given)), given);
  const plain = gradients(body, inputs);
  const recomputed = gradients(checkpoint(body), inputs);
  const step = t.compile((...given: t.Tensor[]) => gradients(body, given));
  const replayed = step(...inputs);
  for (const [i, own] of plain.entries()) {
    const expected = await numbers(own);
    assert.ok(expected.every(Number.isFinite), `${what}: gradient ${i} is ${expected}`);
    assert.equal(await numbers(recomputed[i]), expected, `${what}: gradient ${i}, recomputed`);
    const problem = differenceFromEager(await numbers(replayed[i]), expected, own.dtype);
    if (problem) assert.unreachable(`${what}: gradient ${i}, compiled: ${problem}`);
  }
  step.dispose();
}

const only = process.env.ONLY?.split(',');
for (const [name, uses] of Object.entries(composed)) {
  if (only && !only.includes(name)) continue;
  for (const dtype of floats) {
    test(`${name} of ${dtype}: eager, compiled, recomputed`, async () => {
      for (const [i, use] of uses.entries()) await check(`${name} (${i})`, use, dtype);
    });
  }
}

test.run();
