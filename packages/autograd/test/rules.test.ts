import { type AttributesOf, apply, type DifferentiableOpName, differentiableOps } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { pick, presentations, randomFrom, runs } from '../../tensor/test/arbitraries.ts';
import { hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { rules } from '../src/index.ts';
import type { RuleCase } from './cases/case.ts';
import { onlyInFull, ruleCases } from './cases/index.ts';
import { checkGradients } from './check.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');

function testRule<N extends DifferentiableOpName>(name: N, half: boolean): void {
  const subject = ruleCases[name] as unknown as RuleCase<AttributesOf<N>>;
  const kinds = subject.presentations ?? presentations;
  const what = `the gradient of ${name} agrees with central differences of its f64 reference`;
  const run = half && !hasHalf ? test.skip : test;
  run(`${what}${half ? `, in f16${unlessHalf}` : ''}`, async () => {
    await fc.assert(
      fc.asyncProperty(subject.draws, fc.nat(), async ({ inputs, attributes }, seed) => {
        const random = randomFrom(seed);
        const held = inputs.map(() => pick(random, kinds));
        const what = `${name}(${inputs.map((x, i) => `${x.dtype}[${x.shape}] ${held[i]}`)})`;
        const run = subject.run ?? ((tensors) => apply(name, tensors, attributes)[0]);
        await checkGradients(
          {
            what,
            run: (tensors) => run(tensors, attributes),
            reference: (values) => subject.reference(values, attributes),
          },
          inputs,
          random,
          { presentation: (i) => held[i], tolerance: subject.tolerance, half },
        );
      }),
      runs,
    );
  });
}

test('every differentiable operation has a rule and a case', () => {
  const names = Object.keys(differentiableOps).sort();
  assert.equal(Object.keys(rules).sort(), names);
  assert.equal(Object.keys(ruleCases).sort(), names);
});

for (const name of Object.keys(ruleCases) as DifferentiableOpName[]) {
  if (only && !only.includes(name)) continue;
  testRule(name, false);
  if (!onlyInFull.has(name)) testRule(name, true);
}

test.run();
