import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build as viteBuild } from 'vite';

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

for (const name of ['tensor', 'autograd']) {
  test(`vite builds ${name} as a library, with no shim for anything of Node's`, async () => {
    const built = await viteBuild({
      configFile: false,
      logLevel: 'silent',
      build: { write: false, lib: { entry: entry(`../../${name}/src/index.ts`), formats: ['es'] } },
    });
    const [{ output }] = built as { output: { type: string; code?: string; moduleIds?: string[] }[] }[];
    const chunks = output.filter(({ type }) => type === 'chunk');
    const text = chunks.map(({ code }) => code).join('\n');
    assert.match(text, /@compute @workgroup_size/);
    assert.not.match(text, /\b(from|import|import\(|require\()\s*["'`](?!\.)/);
    const modules = chunks.flatMap(({ moduleIds }) => moduleIds ?? []);
    assert.ok(name !== 'tensor' || modules.some((id) => id.endsWith('dawn.browser.ts')));
    // Vite puts __vite-browser-external in the place of Node's own modules.
    assert.equal(
      modules.filter((id) => /browser-external|^node:|node_modules/.test(id)),
      [],
    );
  });
}

test.run();
