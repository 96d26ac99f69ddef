/**
 * Breaks the code on purpose, one defect at a time (mutation-list.ts), and says which ones no test notices:
 * npx tsx scripts/mutations.ts [WORD] runs those whose file or description has the word in it. Works on a copy of what is
 * committed; exits with 1 when a defect survives.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Mutation, mutations } from './mutation-list.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const copy = mkdtempSync(join(tmpdir(), 'mutations-'));
const LONGEST_TEST_MS = 15 * 60_000;
/** Whether a test passes while nothing is broken. */
const whole = new Map<string, boolean>();

function prepare(): void {
  const archive = execFileSync('git', ['archive', 'HEAD'], { cwd: root, maxBuffer: 2 ** 30 });
  execFileSync('tar', ['-x', '-C', copy], { input: archive });
  // Modules of others are shared; those of the workspace, relative links, must lead into the copy.
  const modules = join(copy, 'node_modules');
  mkdirSync(modules);
  for (const name of readdirSync(join(root, 'node_modules'))) {
    const from = join(root, 'node_modules', name);
    if (name === '@dawnchorus') cpSync(from, join(modules, name), { recursive: true, verbatimSymlinks: true });
    else symlinkSync(from, join(modules, name));
  }
  generate();
}

function generate(): void {
  execFileSync('node', ['kernels/generate.mjs'], { cwd: copy, stdio: ['ignore', 'ignore', 'inherit'] });
}

function passes(test: string): boolean {
  const { status } = spawnSync('node', ['--import', 'tsx', test], {
    cwd: copy,
    stdio: 'ignore',
    timeout: LONGEST_TEST_MS,
  });
  return status === 0;
}

/** The test that fails, if one does. */
function noticedBy({ what, file, find, replace, tests }: Mutation): string | undefined {
  const path = join(copy, file);
  const source = readFileSync(path, 'utf8');
  if (source.split(find).length !== 2) {
    throw new Error(`${file}: “${find}” is not in it exactly once; mend the mutation “${what}”`);
  }
  const isKernel = file.endsWith('.wgsl');
  writeFileSync(
    path,
    source.replace(find, () => replace),
  );
  try {
    if (isKernel) generate();
    return tests.find((test) => !passes(test));
  } finally {
    writeFileSync(path, source);
    if (isKernel) generate();
  }
}

try {
  prepare();
  const word = process.argv[2] ?? '';
  const chosen = mutations.filter(({ file, what }) => `${file} ${what}`.includes(word));
  let survivors = 0;
  for (const mutation of chosen) {
    for (const test of mutation.tests) if (!whole.has(test)) whole.set(test, passes(test));
    const failing = mutation.tests.filter((test) => !whole.get(test));
    const test = failing.length > 0 ? undefined : noticedBy(mutation);
    if (!test) survivors++;
    const told = test ? ` (${test})` : failing.length > 0 ? `: ${failing.join(', ')} fails without it` : '';
    console.log(`${test ? 'noticed ' : 'SURVIVES'}  ${mutation.file}: ${mutation.what}${told}`);
  }
  console.log(`${chosen.length - survivors} of ${chosen.length} defects are noticed`);
  process.exitCode = survivors > 0 ? 1 : 0;
} finally {
  rmSync(copy, { recursive: true, force: true });
}
