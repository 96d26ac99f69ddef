/**
 * Runs the tests of every package, each package in a process of its own with one GPU device, and ends with the line
 * `N passed, N failed`. Names of packages or test files as arguments run only those: npm test -- tensor overfit
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const only = process.argv.slice(2);

interface Suite {
  name: string;
  folder: string;
  files: string[];
}

const suites: Suite[] = ['packages/tensor', 'packages/autograd', 'packages/dsp', 'packages/mert', 'bench']
  .map((path) => ({ name: path.split('/').at(-1) as string, folder: join(path, 'test') }))
  .filter(({ folder }) => existsSync(folder))
  .map(({ name, folder }) => {
    const files = readdirSync(folder).filter((file) => file.endsWith('.test.ts'));
    const wanted = files.filter(
      (file) => only.length === 0 || only.includes(name) || only.some((word) => file.startsWith(word)),
    );
    return { name, folder, files: wanted };
  })
  .filter(({ files }) => files.length > 0);

/** Runs one package's tests; what it printed tells how many passed. */
function run({ name, folder, files }: Suite): Promise<{ passed: number; failed: number }> {
  const pattern = `^(${files.map((file) => file.replace(/[.]/g, '\\.')).join('|')})$`;
  const start = performance.now();
  console.log(`\n${name}: ${files.length} files`);
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', 'node_modules/uvu/bin.js', folder, pattern], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
      process.stdout.write(chunk);
    });
    child.on('close', (code, signal) => {
      const number = (label: string) => Number(text.match(new RegExp(`${label}:\\s+(\\d+)`))?.[1] ?? 0);
      const passed = number('Passed');
      let failed = number('Total') - passed - number('Skipped');
      // A process that died or failed without a failing test (a file that does not load) is a failure of its own.
      if ((code !== 0 || number('Total') === 0) && failed === 0) failed = 1;
      const seconds = ((performance.now() - start) / 1000).toFixed(0);
      console.log(`${name}: ${passed} passed, ${failed} failed in ${seconds} s${signal ? ` (${signal})` : ''}`);
      resolve({ passed, failed });
    });
  });
}

let passed = 0;
let failed = 0;
for (const suite of suites) {
  const result = await run(suite);
  passed += result.passed;
  failed += result.failed;
}
if (suites.length === 0) {
  console.error(`no test file matches ${only.join(' ')}`);
  process.exitCode = 1;
}
console.log(`\n${passed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
