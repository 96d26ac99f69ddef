import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';

const entry = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** Bundles a package for browsers; anything of Node's in it fails the build. */
async function bundle(path: string): Promise<string> {
  const result = await build({
    entryPoints: [entry(path)],
    bundle: true,
    platform: 'browser',
    format: 'esm',
    write: false,
    logLevel: 'silent',
  });
  return result.outputFiles[0].text;
}

test('the tensor package bundles for browsers, kernels included', async () => {
  const text = await bundle('../src/index.ts');
  assert.match(text, /@compute @workgroup_size/);
  assert.not.match(text, /from ?"node:/);
});

test('so does the autograd package', async () => {
  assert.match(await bundle('../../autograd/src/index.ts'), /valueAndGrad/);
});

test.run();
