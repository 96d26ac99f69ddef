/** Every snippet of README.md and docs that begins with its imports runs as it is printed, in a folder of its own. */
import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nn } from '@dawnchorus/autograd';
import { encodeWav } from '@dawnchorus/dsp';
import { writeSafetensors } from '@dawnchorus/formats';
import { Codec, codecConfig, saveCodec } from '@dawnchorus/mert';
import { openDevice } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const root = fileURLToPath(new URL('../..', import.meta.url));
// Inside the repository, where packages are found.
mkdirSync(join(root, 'runs'), { recursive: true });
const folder = mkdtempSync(join(root, 'runs', 'docs-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

const pages = ['README.md', ...readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))];
const snippets = pages.flatMap((page) => {
  const text = readFileSync(join(root, page === 'README.md' ? page : `docs/${page}`), 'utf8');
  return [...text.matchAll(/^```ts\n(import [\s\S]*?)^```$/gm)].map((match, i) => ({
    page,
    name: `${page}-${i + 1}`,
    code: match[1],
  }));
});

/** The files that they read. */
const data = new Float32Array(256 * 4);
await writeSafetensors(join(folder, 'model.safetensors'), [
  ['encoder.weight', { dtype: 'F32', shape: [256, 4], data }],
]);
cpSync(join(root, 'packages/formats/test/golden/checkpoint.pt'), join(folder, 'checkpoint.pt'));
const tone = Float32Array.from({ length: 24000 }, (_, i) => Math.sin(i / 10) / 2);
// What a run leaves, as far as a model goes.
cpSync(join(root, 'packages/mert/test/golden/student_post'), join(folder, 'runs/pretrain-1/checkpoint'), {
  recursive: true,
});
writeFileSync(join(folder, 'song.wav'), encodeWav([tone], 24000));
const device = await openDevice({ log: () => {} });
const codec = new Codec(codecConfig({ numFilters: 4, hiddenSize: 16, codebookSize: 64 }), nn.keySequence(1));
await saveCodec(join(folder, 'encodec'), codec);
codec.dispose();
device.close();

function run(name: string, code: string): Promise<string> {
  writeFileSync(join(folder, `${name}.mts`), code);
  return new Promise((resolve, reject) => {
    // What a page measures is not kept for this user.
    const env = { ...process.env, DAWNCHORUS_KERNELS: join(folder, 'kernels.json') };
    const child = spawn(process.execPath, ['--import', 'tsx', `${name}.mts`], { cwd: folder, env });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (text += chunk));
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve(text) : reject(new Error(`${name} ended with ${status}:\n${text}`)),
    );
  });
}

test('each page that shows how to begin is there', () => {
  const found = new Set(snippets.map(({ page }) => page));
  for (const page of ['README.md', 'compile.md', 'devices.md', 'formats.md', 'labels.md', 'models.md', 'onnx.md'])
    assert.ok(found.has(page), page);
});

for (const { name, code } of snippets) test(`${name} runs`, async () => void (await run(name, code)));

test.run();
