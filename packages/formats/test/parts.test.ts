/** Arrays written part by part. */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createNpy, createSafetensors, openSafetensors, readNpy, readSafetensors } from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'parts-test-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));

test('parts in any order make the whole array; what was not written is zero', async () => {
  const path = join(folder, 'a.npy');
  const parts = await createNpy(path, [2, 3, 4]);
  await parts.write(12, Float32Array.of(12, 13, 14));
  await parts.write(0, Float32Array.of(1, 2));
  assert.equal(readdirSync(folder).includes('a.npy'), false, 'not there before it is whole');
  await parts.finish();
  const { dtype, shape, data } = await readNpy(path);
  assert.equal([dtype, shape], ['<f4', [2, 3, 4]]);
  const expected = new Float32Array(24);
  expected.set([1, 2]);
  expected.set([12, 13, 14], 12);
  assert.equal(data, expected);
});

test('halves, and tensors with metadata', async () => {
  const half = await createNpy(join(folder, 'half.npy'), [3], { dtype: 'F16' });
  await half.write(1, Float32Array.of(1.5, -2));
  await half.finish();
  const read = await readNpy(join(folder, 'half.npy'));
  assert.equal([read.dtype, [...read.data]], ['<f2', [0, 1.5, -2]]);
  const path = join(folder, 'a.safetensors');
  const parts = await createSafetensors(path, 'x', [2, 2], { metadata: { rate: '75' } });
  await parts.write(1, Float32Array.of(5, 6, 7));
  await parts.finish();
  const tensor = (await readSafetensors(path)).get('x');
  assert.equal(
    [tensor?.shape, [...(tensor?.data ?? [])]],
    [
      [2, 2],
      [0, 5, 6, 7],
    ],
  );
  await using file = await openSafetensors(path);
  assert.equal(file.metadata, { rate: '75' });
});

test('what goes wrong leaves nothing behind', async () => {
  const inside = join(folder, 'inside');
  mkdirSync(inside);
  writeFileSync(join(inside, 'old.npy'), 'old');
  const parts = await createNpy(join(inside, 'old.npy'), [2]);
  let message = '';
  await parts.write(1, Float32Array.of(1, 2)).catch((error) => (message = error.message));
  assert.match(message, /elements 1 to 3 are not in an array of 2/);
  await parts.abort();
  assert.equal(readdirSync(inside), ['old.npy']);
  await createNpy(join(folder, 'none', 'a.npy'), [1]).catch((error) => (message = error.message));
  assert.match(message, /there is no folder .*none; make it first/);
});

test.run();
