/** scripts/run.mjs: what a bundle does as the module would do by itself, and that it follows the files it was made of. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { caches } from '../bundle.mjs';

const runner = fileURLToPath(new URL('../run.mjs', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-run-'));
const entry = join(folder, 'entry.ts');
const part = join(folder, 'part.ts');

const run = (...given: string[]) =>
  spawnSync(process.execPath, [runner, entry, ...given], { encoding: 'utf8', cwd: folder });

// Not spelt out, or it would be this file's own.
const meta = 'import.meta';

test('a module runs as if it had been started itself', () => {
  writeFileSync(part, "export const word: string = 'first';\nexport class Named {}\n");
  writeFileSync(
    entry,
    `import { Named, word } from './part.ts';
console.log(JSON.stringify([word, process.argv.slice(1), ${meta}.url, new Named().constructor.name]));
console.log((await import('./part.ts')).word);
`,
  );
  const { status, stdout, stderr } = run('--with', 'arguments');
  assert.is(status, 0, stderr);
  const [line, again] = stdout.split('\n');
  assert.equal(JSON.parse(line), ['first', [entry, '--with', 'arguments'], `file://${entry}`, 'Named']);
  assert.is(again, 'first');
});

test('a file that changes is bundled again', () => {
  writeFileSync(part, "export const word: string = 'second, longer';\nexport class Named {}\n");
  assert.match(run().stdout, /second, longer/);
});

test('errors name the file and the line that were written', () => {
  writeFileSync(part, "export const word: string = 'third';\nexport class Named {\n  x = null!.y;\n}\n");
  const { status, stderr } = run();
  assert.is(status, 1);
  assert.match(stderr, /part\.ts:3/);
});

test('a file that does not parse is named', () => {
  writeFileSync(part, 'export const = 1;\n');
  const { status, stderr } = run();
  assert.is(status, 1);
  assert.match(stderr, /part\.ts:1:13/);
});

test.after(() => {
  rmSync(folder, { recursive: true });
  for (const name of readdirSync(caches)) if (name.includes(basename(folder))) rmSync(join(caches, name));
});

test.run();
