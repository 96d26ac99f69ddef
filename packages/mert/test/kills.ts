/** Runs that are killed at random moments and gone on with must be the unbroken run, to the bit. */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { hostRandom } from '../src/random.ts';
import { latestCheckpoint } from '../src/training/checkpoints.ts';
import { runner, writeTone } from './support.ts';

const child = fileURLToPath(new URL('kill-child.ts', import.meta.url));

/** How many processes are killed in runs of how many steps. */
export interface KillOptions {
  folder: string;
  kills: number;
  steps: number;
  seed?: number;
  log?(line: string): void;
}

/** After so many steps of the process: at once when it writes its checkpoint, or some time later. */
type When = { steps: number; writing: boolean; milliseconds: number };

/** How many steps a run has written down. */
const stepsOf = (out: string): number => {
  const path = join(out, 'metrics.jsonl');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').length - 1 : 0;
};

/** One process, killed or not. @returns whether it was. */
function runOnce(
  data: string,
  out: string,
  steps: number,
  when: When | undefined,
): Promise<{ killed: boolean; text: string }> {
  return new Promise((resolve, reject) => {
    const process_ = spawn(process.execPath, [runner, child, data, out, String(steps)]);
    let text = '';
    let timer: NodeJS.Timeout | undefined;
    let first: number | undefined;
    const kill = () => process_.kill('SIGKILL');
    const hear = (chunk: Buffer) => {
      text += chunk;
      const resumed = /resuming after step (\d+)/.exec(text);
      if (text.includes('student:')) first ??= Number(resumed?.[1] ?? 0);
    };
    process_.stdout.on('data', hear);
    process_.stderr.on('data', hear);
    const watch = setInterval(() => {
      if (!when || first === undefined || stepsOf(out) < first + when.steps) return;
      if (!when.writing) timer ??= setTimeout(kill, when.milliseconds);
      else if (existsSync(join(out, 'checkpoint.writing'))) kill();
    }, 1);
    process_.on('error', reject);
    process_.on('close', (code, signal) => {
      clearInterval(watch);
      clearTimeout(timer);
      if (code !== 0 && signal !== 'SIGKILL') reject(new Error(`the run ended with ${code}:\n${text.slice(-2000)}`));
      else resolve({ killed: signal === 'SIGKILL', text });
    });
  });
}

/** What a run left, without what depends on the clock. */
function remains(out: string): { metrics: string; model: string; training: string } {
  const metrics = readFileSync(join(out, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => {
      const { seconds, clipsPerSecond, ...rest } = JSON.parse(line);
      return JSON.stringify(rest);
    })
    .join('\n');
  const bytes = (name: string) => readFileSync(join(out, 'checkpoint', name)).toString('base64');
  return { metrics, model: bytes('model.safetensors'), training: bytes('training.safetensors') };
}

/** @throws Error when a run that was killed is not the unbroken one, or a damaged checkpoint was found. */
export async function testKills({
  folder,
  kills,
  steps,
  seed = 1,
  log = () => {},
}: KillOptions): Promise<{ kills: number; runs: number; whileWriting: number }> {
  const data = join(folder, 'music');
  for (let i = 0; i < 2; i++) writeTone(join(data, `tone-${i}.wav`), 1 + 0.3 * i, i);
  const unbroken = join(folder, 'unbroken');
  await runOnce(data, unbroken, steps, undefined);
  const expected = remains(unbroken);
  const random = hostRandom(seed);
  const done = { kills: 0, runs: 0, whileWriting: 0 };
  while (done.kills < kills) {
    const out = join(folder, `killed-${done.runs}`);
    for (let finished = false; !finished; ) {
      const writing = random.uniform() < 0.5;
      const when = { steps: random.integer(0, Math.min(4, steps)), writing, milliseconds: random.integer(0, 1000) };
      const { killed, text } = await runOnce(data, out, steps, done.kills < kills ? when : undefined);
      finished = !killed;
      if (killed) done.kills++;
      if (killed && existsSync(join(out, 'checkpoint.writing'))) done.whileWriting++;
      const { step, damaged } = await latestCheckpoint(out);
      if (damaged.length > 0) throw new Error(`after kill ${done.kills}: ${damaged.join('\n')}`);
      if (killed)
        log(
          `kill ${done.kills} of ${kills}${writing ? ', while a checkpoint was written' : ''}: the last whole one is of step ${step}`,
        );
      else if (!text.includes(`finished ${steps}`)) throw new Error(`the run did not finish:\n${text.slice(-2000)}`);
    }
    const found = remains(out);
    for (const key of Object.keys(expected) as (keyof typeof expected)[]) {
      if (found[key] !== expected[key]) throw new Error(`${out}: ${key} differs from the unbroken run's`);
    }
    done.runs++;
    log(`run ${done.runs} is the unbroken one, to the bit`);
  }
  return done;
}
