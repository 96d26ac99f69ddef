import { type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { largestLogit } from '../src/model/watch.ts';
import { openTestDevice } from './support.ts';

await openTestDevice();

/** Numbers that grow from clip to clip, so that each further clip has a larger logit. */
const numbers = (seed: number) =>
  Array.from({ length: 3 * 2 * 5 * 4 }, (_, i) => Math.sin(seed + 1.7 * i) * (1 + Math.floor(i / 40)));

/** The largest q . k of clips, heads and pairs of times of [3, 2, 5, 4], times 0.5. */
function largest(q: readonly number[], k: readonly number[], clips: number): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let head = 0; head < clips * 2; head++) {
    for (let i = 0; i < 5; i++) {
      for (let j = 0; j < 5; j++) {
        let sum = 0;
        for (let c = 0; c < 4; c++) sum += q[(head * 5 + i) * 4 + c] * k[(head * 5 + j) * 4 + c];
        most = Math.max(most, sum / 2);
      }
    }
  }
  return most;
}

test('the largest logit is that of as many clips as are asked for, or of all', async () => {
  const [q, k] = [numbers(1), numbers(2)];
  const [query, key] = [q, k].map((values) => tensor(values, { dtype: 'f32' }).reshape([3, 2, 5, 4]) as Tensor);
  for (const clips of [1, 2, 3, 8]) {
    const [found] = await largestLogit(query, key, 0.5, clips).data();
    assert.ok(Math.abs(found - largest(q, k, Math.min(3, clips))) < 1e-5, `${clips} clips: ${found}`);
  }
  assert.ok(largest(q, k, 1) < largest(q, k, 2) && largest(q, k, 2) < largest(q, k, 3));
});
test.run();
