/**
 * The gradient of every operation between elementwise neighbours: recomputed by `checkpoint`, the same to the bit; compiled,
 * the same to rounding, and from call to call to the bit.
 */
import {
  type AttributesOf,
  add,
  apply,
  compile,
  type DifferentiableOpName,
  isFloat,
  mul,
  scope,
  sum,
  type Tensor,
} from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  arrayOf,
  between,
  pick,
  present,
  presentations,
  randomFrom,
  runs,
  upload,
} from '../../tensor/test/arbitraries.ts';
import { differenceFromEager } from '../../tensor/test/compare.ts';
import { hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { type NDArray, toHalf } from '../../tensor/test/reference/array.ts';
import { checkpoint, grad } from '../src/index.ts';
import type { RuleCase } from './cases/case.ts';
import { onlyInFull, ruleCases } from './cases/index.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');
/** Each draw compiles kernels of its own. */
const draws = { ...runs, numRuns: Math.ceil(runs.numRuns / 5) };
const inHalf = (x: NDArray): NDArray => (x.dtype === 'f32' ? { ...x, dtype: 'f16', data: x.data.map(toHalf) } : x);

const neighbour = (x: Tensor) => (isFloat(x.dtype) ? add(mul(x, 1), -0) : x);

function check<N extends DifferentiableOpName>(name: N, half: boolean): void {
  const subject = ruleCases[name] as unknown as RuleCase<AttributesOf<N>>;
  const kinds = subject.presentations ?? presentations;
  const run = half && !hasHalf ? test.skip : test;
  run(`the gradient of ${name} is the same recomputed and compiled${half ? ` in f16${unlessHalf}` : ''}`, async () => {
    const property = fc.asyncProperty(subject.draws, fc.nat(), async ({ inputs: drawn, attributes }, seed) => {
      const random = randomFrom(seed);
      const inputs = half ? drawn.map(inHalf) : drawn;
      const held = inputs.map(() => pick(random, kinds));
      const what = `${name}(${inputs.map((x, i) => `${x.dtype}[${x.shape}] ${held[i]}`)})`;
      const tensors = scope(() => inputs.map((x, i) => present(x, held[i], i).tensor));
      const upstream = upload(arrayOf(subject.reference(inputs, attributes).shape, random, between(-2, 2)));
      const run = subject.run ?? ((given: Tensor[]) => apply(name, given, attributes)[0]);
      const body = (...given: Tensor[]) => neighbour(run(given.map(neighbour), attributes));
      const floats = tensors.filter((x) => isFloat(x.dtype));
      const gradients = (fn: (...given: Tensor[]) => Tensor, given: Tensor[], weights: Tensor) =>
        grad(
          () => sum(mul(fn(...given), weights)),
          given.filter((x) => isFloat(x.dtype)),
        );
      const eager = gradients(body, tensors, upstream);
      const recomputed = gradients((...given) => checkpoint(body)(...given), tensors, upstream);
      const compiled = compile((given: Tensor[], weights: Tensor) => gradients(body, given, weights));
      const [first, second] = [compiled(tensors, upstream), compiled(tensors, upstream)];
      for (const i of floats.keys()) {
        const expected = Array.from(await eager[i].data());
        assert.equal(Array.from(await recomputed[i].data()), expected, `${what}: gradient ${i}, recomputed`);
        const found = Array.from(await first[i].data());
        const problem = differenceFromEager(found, expected, floats[i].dtype);
        if (problem) assert.unreachable(`${what}: gradient ${i}, compiled: ${problem}`);
        assert.equal(
          Array.from(await second[i].data()),
          found,
          `${what}: gradient ${i}, compiled: another call, other bits`,
        );
      }
      const made = [...tensors, upstream, ...eager, ...recomputed, ...first, ...second];
      for (const tensor of new Set(made)) if (!tensor.disposed) tensor.dispose();
      compiled.dispose();
    });
    await fc.assert(property, draws);
  });
}

for (const name of Object.keys(ruleCases) as DifferentiableOpName[]) {
  if (only && !only.includes(name)) continue;
  check(name, false);
  if (!onlyInFull.has(name)) check(name, true);
}

test.run();
