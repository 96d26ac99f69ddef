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
import '../../tensor/test/device.ts';
import { checkpoint, grad } from '../src/index.ts';
import type { RuleCase } from './cases/case.ts';
import { ruleCases } from './cases/index.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');
/** Each draw compiles kernels of its own. */
const draws = { ...runs, numRuns: Math.ceil(runs.numRuns / 5) };
/** Of the gradient's largest element: sums that a compiled function takes in other parts. */
const TOLERANCE = 1e-6;

const neighbour = (x: Tensor) => (isFloat(x.dtype) ? add(mul(x, 1), -0) : x);

function check<N extends DifferentiableOpName>(name: N): void {
  const subject = ruleCases[name] as unknown as RuleCase<AttributesOf<N>>;
  const kinds = subject.presentations ?? presentations;
  test(`the gradient of ${name} is the same recomputed and compiled`, async () => {
    const property = fc.asyncProperty(subject.draws, fc.nat(), async ({ inputs, attributes }, seed) => {
      const random = randomFrom(seed);
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
        const peak = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
        assert.equal(Array.from(await recomputed[i].data()), expected, `${what}: gradient ${i}, recomputed`);
        const found = Array.from(await first[i].data());
        for (let at = 0; at < expected.length; at++) {
          if (Math.abs(found[at] - expected[at]) <= TOLERANCE * peak || Object.is(found[at], expected[at])) continue;
          assert.unreachable(
            `${what}: gradient ${i}, compiled: element ${at} is ${found[at]}, eagerly ${expected[at]}`,
          );
        }
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

for (const name of Object.keys(ruleCases) as DifferentiableOpName[]) if (!only || only.includes(name)) check(name);

test.run();
