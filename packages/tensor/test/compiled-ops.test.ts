/**
 * Every operation of the table in a compiled function, between elementwise neighbours that it may be joined with: as its
 * reference, and as the same operations do eagerly.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AttributesOf,
  add,
  compile,
  isFloat,
  mul,
  type OpName,
  opTable,
  scope,
  type Tensor,
} from '../src/index.ts';
import { formatShape } from '../src/shape.ts';
import { present, presentations, randomFrom, runs, upload } from './arbitraries.ts';
import { inHalf, type OpCase, runCase } from './cases/case.ts';
import { opCases } from './cases/index.ts';
import { assertMatches, differenceFromEager } from './compare.ts';
import { hasHalf, unlessHalf } from './device.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');

/** Each draw compiles kernels of its own. */
const draws = { ...runs, numRuns: Math.ceil(runs.numRuns / 4) };

const bitsOf = async (x: Tensor) => new Uint8Array((await x.data()).buffer.slice(0));

function testCompiled<N extends OpName>(name: N, half: boolean): void {
  const op = opCases[name] as unknown as OpCase<AttributesOf<N>>;
  if (half && op.half === false) return;
  const run = half && !hasHalf ? test.skip : test;
  const tolerance = (half ? (op.half || undefined)?.tolerance : undefined) ?? op.tolerance;
  run(`${name}, compiled, agrees with its reference${half ? ` in f16${unlessHalf}` : ''}`, async () => {
    let runs = 0;
    const property = fc.asyncProperty(op.draws, fc.nat(), async (draw, seed) => {
      const turn = runs++;
      const { inputs, attributes } = half ? inHalf(draw, op.half || undefined, turn, randomFrom(seed)) : draw;
      const kind = (i: number) => presentations[(turn + i) % presentations.length];
      // In-place operations change what they are given, and are called once.
      const inPlace = op.presented === false;
      const presented = scope(() =>
        inputs.map((x, i) => (inPlace ? { values: x, tensor: upload(x) } : present(x, kind(i), i + turn))),
      );
      const tensors = presented.map(({ tensor }) => tensor);
      const values = presented.map((input) => input.values);
      const neutral = (x: Tensor) => (isFloat(x.dtype) && !inPlace ? add(mul(x, 1), -0) : x);
      // A tensor is needed to tell the device.
      const body = (given: Tensor[], _device?: Tensor) =>
        runCase(name, op, given.map(neutral), attributes).map((out) => (inPlace ? out : neutral(out)));
      const compiled = compile(body);
      const anchor = upload({ dtype: 'f32', shape: [], data: Float64Array.of(0) });
      const what = `${name}(${values.map((x, i) => `${x.dtype}${formatShape(x.shape)} ${kind(i)}`).join(', ')})`;
      const outputs = compiled(tensors, anchor);
      const expected = op.reference(values, attributes);
      assert.is(outputs.length, expected.length, `${what}: outputs`);
      for (let i = 0; i < outputs.length; i++) await assertMatches(what, outputs[i], expected[i], tolerance);
      if (!inPlace) {
        const eager = scope(() => body(tensors));
        for (let i = 0; i < outputs.length; i++) {
          const problem = differenceFromEager(await outputs[i].data(), await eager[i].data(), outputs[i].dtype);
          if (problem && !expected[i].unchecked) assert.unreachable(`${what}: output ${i}, compiled: ${problem}`);
          if (!eager[i].disposed) eager[i].dispose();
        }
        const again = compiled(tensors, anchor);
        for (let i = 0; i < outputs.length; i++) {
          if (!expected[i].unchecked)
            assert.equal(await bitsOf(again[i]), await bitsOf(outputs[i]), `${what}: not the same bits`);
          again[i].dispose();
        }
      }
      for (const tensor of new Set([...outputs, ...tensors, anchor])) if (!tensor.disposed) tensor.dispose();
      compiled.dispose();
    });
    await fc.assert(property, draws);
  });
}

for (const name of Object.keys(opTable) as OpName[]) {
  if (only && !only.includes(name)) continue;
  testCompiled(name, false);
  testCompiled(name, true);
}

test.run();
