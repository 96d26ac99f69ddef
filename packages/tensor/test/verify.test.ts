/** When a compiled function is compared with its trace, and what becomes of one that no longer agrees. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createVerification, MOST_CALLS } from '../src/graph/verify.ts';
import * as t from '../src/index.ts';
import './device.ts';

const isStale = (error: Error) => error instanceof t.StaleTraceError && /from 1 to 5/.test(error.message);

/** Calls at which a schedule compares, of `count`, when a call takes `ms` and a comparison `cost`. */
function schedule(count: number, ms: number, cost: number): number[] {
  let time = 0;
  const verification = createVerification('regular', () => time);
  const at: number[] = [];
  for (let call = 1; call <= count; call++) {
    verification.before(() => {
      at.push(call);
      time += cost;
    });
    time += ms;
  }
  return at;
}

test('a stale function stays so until it agrees with its trace again', async () => {
  let rate = 1;
  const x = t.tensor([3]);
  const compiled = t.compile((a: t.Tensor) => a.mul(rate));
  compiled(x).dispose();
  rate = 5;
  for (let call = 2; call < 8; call++) assert.throws(() => compiled(x), isStale);
  rate = 1;
  assert.is(await compiled(x).item(), 3);
  compiled.dispose();
});

test('one stale trace puts the others of the function in doubt', async () => {
  let rate = 1;
  const [x, y] = [t.tensor([3]), t.tensor([3, 4])];
  const compiled = t.compile((a: t.Tensor) => a.mul(rate));
  for (let call = 0; call < 300; call++) compiled(x).dispose();
  compiled(y).dispose();
  rate = 5;
  assert.throws(() => compiled(y), isStale);
  assert.throws(() => compiled(x), isStale);
  compiled.dispose();
});

test('a function that throws when it is compared is compared again', () => {
  let broken = false;
  const x = t.tensor([3]);
  const compiled = t.compile((a: t.Tensor) => {
    if (broken) throw new Error('on purpose');
    return a.mul(2);
  });
  compiled(x).dispose();
  broken = true;
  for (let call = 0; call < 3; call++) assert.throws(() => compiled(x), /on purpose/);
  compiled.dispose();
});

test('a change is found within so many calls, however many there were and however short', () => {
  let rate = 1;
  const x = t.tensor([3]);
  const compiled = t.compile((a: t.Tensor) => a.mul(rate));
  for (let call = 0; call < 2000; call++) compiled(x).dispose();
  rate = 5;
  let calls = 0;
  try {
    for (; calls < MOST_CALLS; calls++) compiled(x).dispose();
    assert.unreachable('the change was not found');
  } catch (error) {
    assert.ok(isStale(error as Error), String(error));
  }
  compiled.dispose();
});

test('comparisons double their distance, take a fiftieth of the time, and are never far apart', () => {
  // Dear beside the calls: by their number alone.
  assert.equal(schedule(1100, 0.01, 100), [2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024]);
  // Cheap beside the calls: each time.
  assert.is(schedule(50, 100, 1).length, 49);
  // In between: for each of them fifty times as long for the calls.
  const at = schedule(1100, 1, 1);
  assert.ok(at.length >= 20 && at.length <= 30, `${at}`);
});

test('always is each call, never is none', () => {
  const counts = (['always', 'never'] as const).map((mode) => {
    const verification = createVerification(mode);
    let count = 0;
    for (let call = 0; call < 10; call++) verification.before(() => count++);
    return count;
  });
  assert.equal(counts, [9, 0]);
});

test.run();
