/** Tensors of the engine in the place of arrays: what is in the file is what they hold. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hasHalf } from '../../tensor/test/device.ts';
import { readNpz, readSafetensors, writeNpz, writeSafetensors } from '../src/index.ts';

const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-'));
test.after(() => rmSync(folder, { recursive: true }));

const tensors = new Map<string, Tensor>([
  ['f32', tensor([[1.5, -2, 0.25]]).transpose()],
  ['i32', tensor([-3, 4], { dtype: 'i32' })],
  ['u32', tensor(4_000_000_000, { dtype: 'u32' })],
  ['bool', tensor([1, 0, 1], { dtype: 'bool' })],
  ...(hasHalf ? ([['f16', tensor([0.5, 65504], { dtype: 'f16' })]] as const) : []),
]);
const types = {
  f32: ['F32', '<f4'],
  i32: ['I32', '<i4'],
  u32: ['U32', '<u4'],
  bool: ['BOOL', '|b1'],
  f16: ['F16', '<f2'],
};

test('safetensors and npz hold a tensor of each dtype, views in their own order', async () => {
  const [safetensors, npz] = [join(folder, 'a.safetensors'), join(folder, 'a.npz')];
  await writeSafetensors(safetensors, tensors);
  await writeNpz(npz, tensors);
  for (const [i, found] of [await readSafetensors(safetensors), await readNpz(npz)].entries()) {
    assert.is(found.size, tensors.size);
    for (const [name, own] of tensors) {
      const { dtype, shape, data } = found.get(name)!;
      assert.is(dtype, types[own.dtype][i]);
      assert.equal([...shape], [...own.shape]);
      assert.equal([...data], [...(await own.data())]);
    }
  }
});

test('they may stand beside arrays', async () => {
  const path = join(folder, 'b.safetensors');
  const array = { dtype: 'F64', shape: [1], data: Float64Array.of(7) } as const;
  await writeSafetensors(path, [['array', array] as const, ['tensor', tensors.get('f32')!] as const]);
  assert.equal([...(await readSafetensors(path)).keys()].sort(), ['array', 'tensor']);
});

test('a disposed one is an error, and leaves no file', async () => {
  const gone = tensor([1]);
  gone.dispose();
  for (const write of [writeSafetensors, writeNpz]) {
    const path = join(folder, `gone-${write.name}`);
    let message = '';
    await write(path, [['gone', gone]]).catch((error: Error) => {
      message = error.message;
    });
    assert.match(message, /disposed/);
    assert.not(existsSync(path));
  }
});

test.run();
