/** Every operation of the table, exported and run by ONNX Runtime, gives what it gives eagerly. */
import { type AttributesOf, isFloat, type OpName, opTable, scope, type Tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { randomFrom, upload } from '../../tensor/test/arbitraries.ts';
import { type Draw, inHalf, type OpCase, runCase } from '../../tensor/test/cases/case.ts';
import { opCases } from '../../tensor/test/cases/index.ts';
import { hasHalf } from '../../tensor/test/device.ts';
import { exportOnnx } from '../src/index.ts';
import { lowerings } from '../src/onnx/lowerings/index.ts';
import { firstDifference, flat, runOnnx } from './onnx-runtime.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');
/** How many draws of each kind run in each opset. */
const counts = new Map([
  [17, 6],
  [18, 4],
  [19, 1],
  [20, 2],
  [21, 1],
  [22, 2],
]);
const seed = 17;

type AnyCase = OpCase<AttributesOf<OpName>>;
type AnyDraw = Draw<AttributesOf<OpName>>;

/**
 * The draw without what is left to the runtime: NaN, but for those that ask for it (rows to search stay sorted), and
 * products of whole numbers that leave their range.
 */
function defined(name: OpName, draw: AnyDraw): AnyDraw {
  if (name === 'isnan' || name === 'isinf' || name === 'isfinite') return draw;
  const instead = name === 'searchSorted' ? Number.POSITIVE_INFINITY : 0.5;
  const inputs = draw.inputs.map((x) => {
    const small = name === 'prod' && !isFloat(x.dtype);
    return { ...x, data: x.data.map((value) => (Number.isNaN(value) ? instead : small ? Math.sign(value) : value)) };
  });
  // What draws cannot be exported.
  if (name === 'attention') {
    const attributes = Object.assign({}, draw.attributes, { dropout: 0 });
    return { inputs: inputs.filter(({ dtype }) => dtype !== 'u32'), attributes };
  }
  return { ...draw, inputs };
}

/** Draws that have elements; in halves for every third, where there are such. */
function drawsOf(name: OpName, op: AnyCase, count: number): AnyDraw[] {
  const filled = (draw: AnyDraw) => draw.inputs.every(({ data }) => data.length > 0);
  const sample = (draws: typeof op.draws) =>
    fc
      .sample(draws, { numRuns: 12 * count, seed })
      .filter(filled)
      .slice(0, count);
  const draws = sample(op.draws);
  const halves =
    hasHalf && op.half !== false ? draws.map((draw, i) => inHalf(draw, op.half || undefined, i, randomFrom(i))) : [];
  return [...draws, ...(op.dense ? sample(op.dense) : []), ...halves.slice(0, Math.ceil(count / 2))].map((draw) =>
    defined(name, draw),
  );
}

/**
 * Rows about 1000 that hardly differ keep few digits of their difference, on either side; each element of a Fourier
 * transform is a sum over the row.
 */
const judgedByPeak = new Set<OpName>(['layerNorm', 'groupNorm', 'fft', 'rfft', 'irfft']);
const largestScale = (name: OpName) => (judgedByPeak.has(name) ? Number.POSITIVE_INFINITY : 1);

async function check(name: OpName, op: AnyCase, draw: AnyDraw, opset: number): Promise<boolean> {
  const anchor = upload({ dtype: 'f32', shape: [], data: Float64Array.of(0) });
  const inputs = draw.inputs.map(upload);
  const apply = (...tensors: Tensor[]) => runCase(name, op, tensors.slice(0, inputs.length), draw.attributes);
  const expected = scope(() => apply(...inputs));
  const what = `${name}(${draw.inputs.map((x) => `${x.dtype}[${x.shape}]`).join(', ')}) ${JSON.stringify(draw.attributes, (key, value) => (key === 'device' ? undefined : value))} in opset ${opset}`;
  try {
    if (expected.some(({ size }) => size === 0)) return false;
    const inputNames = [...inputs.map((_, i) => `in${i}`), 'anchor'];
    const model = await exportOnnx(apply, [...inputs, anchor], { opset, inputNames });
    const feeds = await Promise.all([...inputs, anchor].map(async (x, i) => [inputNames[i], await flat(x)] as const));
    let results: Awaited<ReturnType<typeof runOnnx>>;
    try {
      results = await runOnnx(model, Object.fromEntries(feeds));
    } catch (error) {
      throw new Error(`${what}: ${(error as Error).message}`);
    }
    for (const [i, output] of expected.entries()) {
      const problem = firstDifference(results.get(`output${i}`), await flat(output), largestScale(name));
      if (problem) assert.unreachable(`${what}: output ${i}: ${problem}`);
    }
    return true;
  } finally {
    for (const tensor of new Set([...inputs, ...expected, anchor])) if (!tensor.disposed) tensor.dispose();
  }
}

for (const name of Object.keys(opTable) as OpName[]) {
  if (typeof lowerings[name] !== 'function' || (only && !only.includes(name))) continue;
  const op = opCases[name] as unknown as AnyCase;
  test(`${name} in ONNX Runtime`, async () => {
    let run = 0;
    const bits = name.startsWith('bitwise') && !name.endsWith('Shift');
    for (const [opset, count] of counts) {
      if (bits && opset < 18) continue;
      for (const draw of drawsOf(name, op, count)) if (await check(name, op, draw, opset)) run++;
    }
    assert.ok(run >= 10, `only ${run} draws had elements`);
  });
}

test.run();
