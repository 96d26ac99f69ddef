import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Runs a module in a process of its own, with the package as `engine`. */
export function runModule(
  source: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; out: string; ms: number }> {
  const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-test-'));
  const file = join(folder, 'main.mts');
  const index = fileURLToPath(new URL('../src/index.ts', import.meta.url));
  writeFileSync(file, `const engine = await import(${JSON.stringify(index)});\n${source}\n`);
  const start = performance.now();
  const child = spawn(process.execPath, ['--import', 'tsx', file], {
    // The test runner asks for colours, which would stand in the printed numbers.
    env: { ...process.env, FORCE_COLOR: '0', ...env },
  });
  let out = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (out += data));
  const timer = setTimeout(() => child.kill('SIGKILL'), 120_000);
  return new Promise((resolve) => {
    child.on('close', (code) => {
      clearTimeout(timer);
      rmSync(folder, { recursive: true });
      resolve({ code, out, ms: performance.now() - start });
    });
  });
}
