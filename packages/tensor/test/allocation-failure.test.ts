import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type AttributesOf, type OpName, opTable, scope } from '../src/index.ts';
import { present, upload } from './arbitraries.ts';
import { type OpCase, runCase } from './cases/case.ts';
import { opCases } from './cases/index.ts';
import { device } from './device.ts';

/** ONLY=sum,mean runs these operations alone. */
const only = process.env.ONLY?.split(',');

/** Runs `body` while allocation number `at` fails. Returns whether it got that far. */
function failsAt(at: number, body: () => void): boolean {
  const { acquire } = device.pool;
  let count = 0;
  let failed = false;
  device.pool.acquire = (bytes, label) => {
    if (count++ === at) {
      failed = true;
      throw new Error('no memory, on purpose');
    }
    return acquire(bytes, label);
  };
  try {
    body();
  } catch (error) {
    assert.is((error as Error).message, 'no memory, on purpose');
  } finally {
    device.pool.acquire = acquire;
  }
  return failed;
}

function testOp<N extends OpName>(name: N): void {
  test(`${name} gives everything back whichever of its allocations fails`, () => {
    const op = opCases[name] as unknown as OpCase<AttributesOf<N>>;
    for (const { inputs, attributes } of fc.sample(op.draws, { numRuns: 6, seed: 7 })) {
      scope(() => {
        const tensors = inputs.map((x, i) => (op.presented === false ? upload(x) : present(x, 'strided', i).tensor));
        // The first time also makes constants that stay.
        scope(() => void runCase(name, op, tensors, attributes));
        const before = device.statistics();
        for (let at = 0; failsAt(at, () => scope(() => void runCase(name, op, tensors, attributes))); at++) {
          const { liveBytes, liveBuffers } = device.statistics();
          assert.equal([liveBytes, liveBuffers], [before.liveBytes, before.liveBuffers], `allocation ${at}`);
        }
      });
    }
  });
}

for (const name of Object.keys(opTable) as OpName[]) if (!only || only.includes(name)) testOp(name);

test.run();
