/**
 * Runs the tests of every package, each file in a process of its own with a GPU device of its own, and ends with the line
 * `N passed, N failed`. Names of packages or test files as arguments run only those: npm test -- tensor overfit
 */
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { bundle } from './bundle.mjs';

const only = process.argv.slice(2);

interface Suite {
  name: string;
  folder: string;
  files: string[];
}

// Those whose files take longest come first, so that no core waits for the last of them.
const suites: Suite[] = [
  'examples',
  'packages/mert',
  'packages/formats',
  'packages/tensor',
  'packages/autograd',
  'packages/dsp',
  'bench',
  'scripts',
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
  /** Tests of what the adapter or the machine has not. */
  skipped: number;
}

/** Runs one bundled file, and prints what it says when it has ended; that tells how many passed. */
function run(title: string, path: string): Promise<Result> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--enable-source-maps', path], { stdio: ['ignore', 'pipe', 'pipe'] });
    const printed: Buffer[] = [];
    let text = '';
    const began = performance.now();
    child.stdout.on('data', (chunk: Buffer) => {
      text += chunk;
      printed.push(chunk);
    });
    child.stderr.on('data', (chunk: Buffer) => printed.push(chunk));
    child.on('close', (code, signal) => {
      const seconds = ((performance.now() - began) / 1000).toFixed(0);
      console.log(`\n${title} (${seconds} s)\n${Buffer.concat(printed)}`);
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
      resolve({ passed, failed, skipped: sum('Skipped') });
    });
  });
}

/** Files that run at a time: most of them keep one core busy. */
const AT_ONCE = Math.min(2, availableParallelism());

const start = performance.now();
const waiting = suites.flatMap((suite) => suite.files.map((file) => ({ suite, file })));
const pathOf = ({ suite, file }: (typeof waiting)[number]) => join(suite.folder, file);
// A loader would take the modules of every process one by one, some 500 of them: a fifth of all the time.
const bundled = await bundle(waiting.map(pathOf));
const results = new Map(suites.map((suite) => [suite, { passed: 0, failed: 0, skipped: 0 }]));

async function runWaiting(): Promise<void> {
  for (let next = waiting.shift(); next; next = waiting.shift()) {
    const { suite, file } = next;
    const result = await run(`${suite.name}/${file}`, bundled.get(pathOf(next)) as string);
    const own = results.get(suite) as Result;
    own.passed += result.passed;
    own.failed += result.failed;
    own.skipped += result.skipped;
  }
}
await Promise.all(Array.from({ length: AT_ONCE }, runWaiting));

for (const [{ name }, { passed, failed, skipped }] of results) {
  const left = skipped > 0 ? `, ${skipped} skipped: this adapter or machine lacks what they need` : '';
  console.log(`${name}: ${passed} passed, ${failed} failed${left}`);
}
const total = (key: keyof Result) => [...results.values()].reduce((sum, own) => sum + own[key], 0);
if (suites.length === 0) {
  console.error(`no test file matches ${only.join(' ')}`);
  process.exitCode = 1;
}
console.log(`in ${((performance.now() - start) / 1000).toFixed(0)} s`);
// The last line is read by others.
console.log(`\n${total('passed')} passed, ${total('failed')} failed`);
if (total('failed') > 0) process.exitCode = 1;
