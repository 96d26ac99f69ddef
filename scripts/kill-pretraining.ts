/** Kills pretraining at random moments, checkpoint writes included: npx tsx scripts/kill-pretraining.ts [KILLS] [STEPS] */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { testKills } from '../packages/mert/test/kills.ts';

const [kills = 50, steps = 12] = process.argv.slice(2).map(Number);
const folder = mkdtempSync(join(tmpdir(), 'kill-pretraining-'));
try {
  const done = await testKills({ folder, kills, steps, seed: Date.now() % 2 ** 31, log: (line) => console.log(line) });
  console.log(
    `${done.kills} kills, ${done.whileWriting} of them with a checkpoint half written; ${done.runs} runs ended as the unbroken one, to the bit`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
