/** Every example runs as it stands, from the repository's folder, and says what it should. */
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const folder = fileURLToPath(new URL('..', import.meta.url));

function run(name: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', 'tsx', `${folder}${name}.ts`], { cwd: `${folder}..` });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk));
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(text) : reject(new Error(`${name} ended with ${code}:\n${text}`)),
    );
  });
}

const expected: Record<string, (RegExp | ((text: string) => void))[]> = {
  fit: [/^200 0\.0\d+$/m],
  'tensors-in-five-minutes': [
    /row sums: \[ 6, 15 \]/,
    /last column: \[ 3, 6 \]/,
    /error: matmul: inner dimensions 3 and 5/,
    /sum of squares: 91\.000/,
    /bytes left behind: 0/,
    /value: 14 gradient: \[ 2, -4, 6 \]/,
  ],
  'write-your-own-kernel': [
    /largest error of 1000 values: \d\.\de-[78]/,
    /the gradient agrees with central differences/,
    /error: snake: x is i32; expected f32/,
    /compiled and eager agree: true/,
  ],
  'classify-audio': [
    /held out: 5 pieces, 100 seconds/,
    (text) => {
      const [, score, chance] = (/held-out pieces: (\d+) %, chance (\d+) %/.exec(text) ?? []).map(Number);
      assert.is(chance, 20);
      assert.ok(score >= 35, `${score} % of the held-out seconds, where chance gives ${chance} %`);
    },
  ],
};

test('every example is run', () => {
  const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));
  assert.equal(files.map((file) => file.replace('.ts', '')).sort(), Object.keys(expected).sort());
});

for (const [name, checks] of Object.entries(expected)) {
  test(name, async () => {
    const text = await run(name);
    for (const check of checks) {
      if (check instanceof RegExp) assert.match(text, check);
      else check(text);
    }
  });
}

test.run();
