import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttributesOf, type OpName, opTable, scope } from '../src/index.ts';
import { formatShape } from '../src/shape.ts';
import { present, presentations, randomFrom, runs, upload } from './arbitraries.ts';
import { type Draw, inHalf, type OpCase, runCase } from './cases/case.ts';
import { opCases } from './cases/index.ts';
import { assertMatches } from './compare.ts';
import { hasHalf, unlessHalf } from './device.ts';
import { poisonMemory } from './poison.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');

poisonMemory();

async function check<N extends OpName>(
  name: N,
  op: OpCase<AttributesOf<N>>,
  { inputs, attributes }: Draw<AttributesOf<N>>,
  kinds: (i: number) => (typeof presentations)[number],
  turn = 0,
) {
  const { values, outputs } = scope(() => {
    const presented = inputs.map((x, i) =>
      op.presented === false ? { values: x, tensor: upload(x) } : present(x, kinds(i), i + turn),
    );
    const outputs = runCase(
      name,
      op,
      presented.map(({ tensor }) => tensor),
      attributes,
    );
    return { values: presented.map((input) => input.values), outputs };
  });
  const what = `${name}(${values.map((x, i) => `${x.dtype}${formatShape(x.shape)} ${kinds(i)}`).join(', ')})`;
  const expected = op.reference(values, attributes);
  assert.is(outputs.length, expected.length, `${what}: outputs`);
  for (let i = 0; i < outputs.length; i++) await assertMatches(what, outputs[i], expected[i], op.tolerance);
  for (const output of outputs) output.dispose();
}

function testHalf<N extends OpName>(name: N, op: OpCase<AttributesOf<N>>): void {
  const { half } = op;
  if (half === false) return;
  (hasHalf ? test : test.skip)(`${name} agrees with its reference in f16${unlessHalf}`, async () => {
    let run = 0;
    let halves = 0;
    const property = fc.asyncProperty(op.draws, fc.nat(), async (draw, seed) => {
      const held = inHalf(draw, half, run, randomFrom(seed));
      const turn = run++;
      const kinds = (i: number) =>
        op.presented === false ? 'dense' : presentations[(turn + i) % presentations.length];
      halves += held.inputs.filter(({ dtype }) => dtype === 'f16').length;
      halves += (held.attributes as { dtype?: unknown }).dtype === 'f16' ? 1 : 0;
      await check(name, { ...op, tolerance: half?.tolerance ?? op.tolerance }, held, kinds, turn);
    });
    await fc.assert(property, runs);
    assert.ok(halves > 0, `${name}: no draw had f16 in it; does the case say \`half: false\`?`);
  });
}

function testOp<N extends OpName>(name: N): void {
  const op = opCases[name] as unknown as OpCase<AttributesOf<N>>;
  test(`${name} agrees with its reference in every presentation`, async () => {
    let run = 0;
    await fc.assert(
      fc.asyncProperty(op.draws, async (draw) => {
        // All inputs alike, or each in another presentation.
        const step = run % 3;
        const turn = run++;
        const count = op.presented === false ? 1 : presentations.length;
        for (let k = 0; k < count; k++) {
          await check(name, op, draw, (i) => presentations[(k + i * step) % presentations.length], turn);
        }
      }),
      runs,
    );
  });
  testHalf(name, op);
  if (op.dense) {
    const { dense } = op;
    test(`${name} agrees with its reference in other dtypes`, async () => {
      await fc.assert(
        fc.asyncProperty(dense, (draw) => check(name, op, draw, () => 'dense')),
        runs,
      );
    });
  }
}

test('every operation of the table has a case', () => {
  assert.equal(Object.keys(opCases).sort(), Object.keys(opTable).sort());
});

for (const name of Object.keys(opTable) as OpName[]) if (!only || only.includes(name)) testOp(name);

test.run();
