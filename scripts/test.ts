/**
 * Runs the tests of every package, each file in a process of its own with a GPU device of its own, and ends with the line
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

const suites: Suite[] = [
  'packages/tensor',
  'packages/autograd',
  'packages/formats',
  'packages/dsp',
  'packages/mert',
  'bench',
  'examples',
]
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

interface Result {
  passed: number;
  failed: number;
}

/** Runs one file; what it printed tells how many passed. */
function run(path: string): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--import', 'tsx', path], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
      process.stdout.write(chunk);
    });
    child.on('close', (code, signal) => {
      // A file may hold several suites, each with a count of its own.
      const sum = (label: string) =>
        [...text.matchAll(new RegExp(`${label}:\\s+(\\d+)`, 'g'))].reduce(
          (total, match) => total + Number(match[1]),
          0,
        );
      const passed = sum('Passed');
      // Tests that are skipped are not in uvu's total.
      let failed = sum('Total') - passed;
      // A process that died or failed without a failing test (a file that does not load) is a failure of its own.
      if ((code !== 0 || sum('Total') + sum('Skipped') === 0) && failed === 0) failed = 1;
      if (signal) console.log(`${path}: ended by ${signal}`);
      resolve({ passed, failed });
    });
  });
}

let passed = 0;
let failed = 0;
for (const { name, folder, files } of suites) {
  const start = performance.now();
  const own: Result = { passed: 0, failed: 0 };
  for (const file of files) {
    console.log(`\n${name}/${file}`);
    const result = await run(join(folder, file));
    own.passed += result.passed;
    own.failed += result.failed;
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(0);
  console.log(`${name}: ${own.passed} passed, ${own.failed} failed in ${seconds} s`);
  passed += own.passed;
  failed += own.failed;
}
if (suites.length === 0) {
  console.error(`no test file matches ${only.join(' ')}`);
  process.exitCode = 1;
}
console.log(`\n${passed} passed, ${failed} failed`);
if (failed > 0) process.exitCode = 1;
