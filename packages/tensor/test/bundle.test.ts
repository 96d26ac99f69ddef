import { readFileSync } from 'node:fs';
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
    target: 'es2022',
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

test('the formats package reads files from bytes there', async () => {
  const text = await bundle('../../formats/src/index.ts');
  assert.not.match(text, /from ?"node:|\bBuffer\.|\bprocess\./);
  const formats = await import(`data:text/javascript,${encodeURIComponent(text)}`);
  const golden = (file: string) => new Uint8Array(readFileSync(entry(`../../formats/test/golden/${file}`)));
  assert.is((await formats.readNpz(golden('compressed.npz'))).get('zeros').data.length, 3000);
  assert.equal([...(await formats.readNpy(golden('u1.npy'))).shape], [2, 3]);
  assert.is((await formats.readSafetensors(golden('all.safetensors'))).get('scalar').data[0], 2.5);
  assert.is((await formats.loadTorchStateDict(golden('module.pt'))).get('0.weight').data.length, 6);
  for (const use of [() => formats.readNpy('a.npy'), () => formats.writeNpy('a.npy', Float32Array.of(1), [1])]) {
    const problem = await use().then(() => 'none', String);
    assert.match(problem, /FormatError: cannot (open|write) .*a\.npy: a browser has no paths/);
  }
  const damaged = golden('compressed.npz').subarray(0, -1);
  assert.match(await formats.readNpz(damaged).then(() => 'none', String), /FormatError/);
});

test('the dsp package decodes audio from bytes there', async () => {
  const text = await bundle('../../dsp/src/index.ts');
  assert.not.match(text, /from ?"node:/);
  // The decoders' packages look for what every browser has.
  Object.assign(globalThis, { Worker: class {} });
  const dsp = await import(`data:text/javascript,${encodeURIComponent(text)}`);
  const wav = dsp.encodeWav(
    Float32Array.from({ length: 100 }, (_, i) => i / 200),
    8000,
  );
  const { samples, sampleRate } = await dsp.decodeAudio(dsp.memorySource(wav, 'a.wav'));
  assert.equal([samples.length, sampleRate], [100, 8000]);
  assert.match(await dsp.readAudio('a.wav').then(() => 'none', String), /AudioError: a\.wav: a browser has no paths/);
});

test('the mert package reads models from bytes there, and says that a run is not for browsers', async () => {
  const text = await bundle('../../mert/src/browser.ts');
  assert.not.match(text, /from ?"node:/);
  const { readModelFiles } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
  const folder = '../../../data/models/mert-tiny';
  const names = ['config.json', 'preprocessor_config.json', 'model.safetensors'];
  const files = names.map((name) => [name, new Uint8Array(readFileSync(entry(`${folder}/${name}`)))]);
  const { weights } = await readModelFiles(Object.fromEntries(files));
  assert.equal(weights.get('feature_projection.projection.weight').shape, [96, 48]);
  const problem = await readModelFiles(Object.fromEntries(files.slice(0, 2))).then(() => 'none', String);
  assert.match(problem, /model\.safetensors: missing, and there is no pytorch_model\.bin/);
  // What bundlers take by the package's name.
  const stdin = { contents: "export { pretrain } from '@dawnchorus/mert';", resolveDir: entry('.') };
  const whole = build({ stdin, bundle: true, platform: 'browser', format: 'esm', write: false, logLevel: 'silent' });
  assert.match(
    await whole.then(() => 'none', String),
    /No matching export in "packages\/mert\/src\/browser\.ts" for import "pretrain"/,
  );
});

const entries = { tensor: 'index', autograd: 'index', formats: 'index', dsp: 'index', mert: 'browser' };
for (const [name, module] of Object.entries(entries)) {
  test(`vite builds ${name} as a library, with no shim for anything of Node's`, async () => {
    const built = await viteBuild({
      configFile: false,
      logLevel: 'silent',
      build: { write: false, lib: { entry: entry(`../../${name}/src/${module}.ts`), formats: ['es'] } },
    });
    const [{ output }] = built as { output: { type: string; code?: string; moduleIds?: string[] }[] }[];
    const chunks = output.filter(({ type }) => type === 'chunk');
    const text = chunks.map(({ code }) => code).join('\n');
    assert.match(text, /@compute @workgroup_size/);
    assert.not.match(text, /\b(from|import|import\(|require\()\s*["'`](?!\.)/);
    const modules = chunks.flatMap(({ moduleIds }) => moduleIds ?? []);
    assert.ok(name !== 'tensor' || modules.some((id) => id.endsWith('dawn.browser.ts')));
    // Vite puts __vite-browser-external in the place of Node's own modules.
    // The decoders of dsp are packages, which look for web workers of their own; schemas of mert are, too.
    const foreign = ['dsp', 'mert'].includes(name) ? /browser-external|^node:/ : /browser-external|^node:|node_modules/;
    assert.equal(
      modules.filter((id) => foreign.test(id)),
      [],
    );
  });
}

test('vite builds the page of examples/browser', async () => {
  const root = entry('../../../examples/browser');
  const built = await viteBuild({ root, logLevel: 'silent', build: { write: false, copyPublicDir: false } });
  const { output } = built as { output: { fileName: string; code?: string }[] };
  assert.ok(output.some(({ fileName }) => fileName === 'index.html'));
  assert.ok(output.some(({ code }) => code && /@compute @workgroup_size/.test(code) && !/["']node:/.test(code)));
});

test.run();
