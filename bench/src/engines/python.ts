import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { MissingPeer, peersFolder } from './install.ts';

/** A Python script that answers each line of JSON with one. */
export interface Script<Hello> {
  /** What it said first. */
  readonly hello: Hello;
  /** @throws Error with what went wrong there. */
  ask<Answer>(request: object): Promise<Answer>;
  close(): void;
}

/** A folder for files that a script reads and writes. */
export function scratchFolder(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'dawnchorus-bench-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/**
 * Starts a script of bench/peers in the Python of `DAWNCHORUS_PYTHON`, else `python3`.
 *
 * @throws MissingPeer when there is no Python with torch and numpy.
 */
export async function startScript<Hello extends object>(
  name: string,
  words: readonly string[] = [],
): Promise<Script<Hello>> {
  type Answer = { error?: string };
  const python = process.env.DAWNCHORUS_PYTHON ?? 'python3';
  const child = spawn(python, [join(peersFolder, name), ...words], { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting: ((answer: Answer) => void)[] = [];
  let complaint = '';
  let ended: string | undefined;
  const end = (reason: string) => {
    ended = reason;
    for (const resolve of waiting.splice(0)) resolve({ error: reason });
  };
  child.stderr.on('data', (text) => {
    complaint = `${complaint}${text}`.slice(-2000);
  });
  child.stdin.on('error', () => {});
  child.on('error', (error) => end(error.message));
  child.on('close', () => end(complaint.trim().split('\n').at(-1) || 'it ended'));
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));
  const next = () =>
    new Promise<Answer>((resolve) => {
      if (ended === undefined) waiting.push(resolve);
      else resolve({ error: ended });
    });
  const hello = await next();
  if (hello.error !== undefined) {
    if (!/No module named|ENOENT/.test(hello.error)) throw new Error(`${name}: ${hello.error}`);
    throw new MissingPeer(
      `${python} has no torch and numpy (${hello.error}); to compare with it: pip install torch numpy, ` +
        'or name a Python that has them in DAWNCHORUS_PYTHON',
    );
  }
  return {
    hello: hello as Hello,
    async ask<A>(request: object) {
      const answer = next();
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { error, ...rest } = await answer;
      if (error !== undefined) throw new Error(error);
      return rest as A;
    },
    close: () => void child.kill(),
  };
}
