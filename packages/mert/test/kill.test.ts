/** The short version; scripts/kill-pretraining.ts kills as often as one likes. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { testKills } from './kills.ts';
import { temporaryFolder } from './support.ts';

test('killed while it trains, a resumed run has the bits of an unbroken one', async () => {
  const { kills, runs } = await testKills({ folder: temporaryFolder(), kills: 1, steps: 2, seed: 5 });
  // A run may be through before it is killed: then there is another.
  assert.ok(kills === 1 && runs >= 1);
});

test.run();
