/**
 * scripts/pack.ts: what it packs works in a project of its own, without this repository, `tsx` or a compiler. Packages of
 * others are those that stand here, so that nothing is asked of the network.
 */
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { build, transformSync } from 'esbuild';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { tinySettings } from '../../packages/mert/test/support.ts';
import { root } from '../bundle.mjs';

const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-packed-'));
const modules = join(folder, 'node_modules');
const names = ['kernels', 'tensor', 'autograd', 'formats', 'dsp', 'mert'];
const packed = (name: string) => join(modules, '@dawnchorus', name);
const manifest = (name: string) => JSON.parse(readFileSync(join(packed(name), 'package.json'), 'utf8'));
const music = join(root, 'data/music/valid');

function run(command: string, args: readonly string[], cwd = folder): { status: number | null; said: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: 'utf8' });
  if (error) throw error;
  return { status, said: `${stdout}${stderr}` };
}

function succeed(command: string, args: readonly string[], cwd?: string): string {
  const { status, said } = run(command, args, cwd);
  assert.is(status, 0, said);
  return said;
}

const mert = (...args: string[]) => [join(packed('mert'), manifest('mert').bin.mert), ...args];

test.before(() => {
  const tarballs = join(folder, 'tarballs');
  succeed(process.execPath, ['--import', 'tsx', 'scripts/pack.ts', '--out', tarballs], root);
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  for (const name of names) {
    mkdirSync(packed(name), { recursive: true });
    const tarball = readdirSync(tarballs).find((file) => file.startsWith(`dawnchorus-${name}-`)) as string;
    succeed('tar', ['-xzf', join(tarballs, tarball), '-C', packed(name), '--strip-components=1']);
  }
  // Nothing is there but what the packages say that they need.
  const needed = names.flatMap((name) => {
    const { dependencies, optionalDependencies } = manifest(name);
    return Object.keys({ ...dependencies, ...optionalDependencies });
  });
  for (const name of new Set(needed)) {
    if (name.startsWith('@dawnchorus/')) continue;
    mkdirSync(dirname(join(modules, name)), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction');
  }
});

test('packages hold JavaScript, declarations, presets and a licence, and nothing else', () => {
  for (const name of names) {
    const files = readdirSync(packed(name), { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
    const endings = new Set(files.map((file) => /\.(d\.ts|\w+)$/.exec(file.name)?.[0] ?? file.name));
    const expected = ['.d.ts', '.js', '.json', '.md', 'LICENSE', ...(name === 'mert' ? ['.yaml'] : [])];
    assert.equal([...endings].sort(), expected.sort(), name);
    assert.not.ok(manifest(name).dependencies.tsx);
  }
  assert.ok(readdirSync(join(packed('kernels'), 'generated')).includes('wgsl.js'));
});

test('the example of README.md runs in plain Node', () => {
  const { code } = transformSync(readFileSync(join(root, 'examples/fit.ts'), 'utf8'), { loader: 'ts' });
  writeFileSync(join(folder, 'fit.js'), code);
  const loss = /^200 (\S+)$/m.exec(succeed(process.execPath, ['fit.js']))?.[1];
  assert.ok(Number(loss) < 1e-3, `loss ${loss}`);
});

test('types are found by both ways of resolution, and are more than any', () => {
  copyFileSync(join(root, 'examples/fit.ts'), join(folder, 'fit.ts'));
  writeFileSync(
    join(folder, 'use.ts'),
    `import { valueAndGrad } from '@dawnchorus/autograd';
import { createCqt, readAudio } from '@dawnchorus/dsp';
import { readNpy, writeJson } from '@dawnchorus/formats';
import { matmul } from '@dawnchorus/kernels';
import { loadConfig, loadMert, type PretrainConfig } from '@dawnchorus/mert';
import { openDevice, type Tensor, tensor } from '@dawnchorus/tensor';

const gpu: GPUDevice = (await openDevice()).gpu;
const x: Tensor = tensor([[1, 2]]);
const rate: number = (await readAudio('song.wav')).sampleRate;
const config: PretrainConfig = loadConfig({ preset: 'small' });
const { shape } = await (await loadMert('model')).embed('song.wav', { layers: 'mean' });
const frames: number = shape[0];
${['valueAndGrad', 'createCqt', 'readNpy', 'writeJson', 'matmul', 'gpu.queue', 'x', 'rate', 'config', 'frames']
  .map((value, i) => `// @ts-expect-error\nexport const no${i}: 'nothing' = ${value};\n`)
  .join('')}`,
  );
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  const strict = ['--strict', '--noEmit', '--skipLibCheck', '--target', 'es2022'];
  for (const ways of [
    ['--module', 'nodenext', '--moduleResolution', 'nodenext'],
    ['--module', 'esnext', '--moduleResolution', 'bundler'],
  ]) {
    succeed(process.execPath, [tsc, ...strict, ...ways, 'use.ts', 'fit.ts']);
  }
});

test('bundles for browsers hold nothing of Node, and every rule where gradients are asked for', async () => {
  const contents = `import { vjp } from '@dawnchorus/autograd';
import { melSpectrogram } from '@dawnchorus/dsp';
import { readNpy } from '@dawnchorus/formats';
import { loadMert } from '@dawnchorus/mert';
import { openDevice } from '@dawnchorus/tensor';
console.log(vjp, melSpectrogram, readNpy, loadMert, openDevice);`;
  const stdin = { contents, resolveDir: folder };
  const { metafile } = await build({ stdin, bundle: true, platform: 'browser', write: false, metafile: true });
  const [{ inputs, imports }] = Object.values(metafile.outputs);
  const kept = Object.keys(inputs).filter((path) => inputs[path].bytesInOutput > 0);
  assert.equal(imports, []);
  for (const rules of ['index', 'elementwise', 'attention']) {
    assert.ok(
      kept.some((path) => path.endsWith(`autograd/src/rules/${rules}.js`)),
      rules,
    );
  }
});

test('mert says which adapter runs, and that the music of the repository is not in its package', () => {
  assert.match(succeed(process.execPath, mert('info')), /^adapter: \S/m);
  const { status, said } = run(process.execPath, mert('pretrain'));
  assert.is(status, 1);
  assert.match(said, /^mert: there is no --data.*give --data, a folder of music/m);
});

test('mert pretrains with a thread that decodes, and embeds by what it learnt', () => {
  const settings = [...tinySettings, 'training.steps=2', 'rvq.steps=2'].flatMap((setting) => ['--set', setting]);
  const options = ['--data', music, '--out', 'run', '--workers', '1', ...settings];
  assert.match(succeed(process.execPath, mert('pretrain', ...options)), /^\| loss \|/m);
  const song = join(music, 'froyn-victory.ogg');
  succeed(process.execPath, mert('embed', '--model', 'run/checkpoint', '--input', song, '--out', 'song.npy'));
  assert.match(readFileSync(join(folder, 'song.npy'), 'latin1').slice(0, 128), /'<f4'.*\(3, \d+, 32\)/);
});

test('without --out it says what is missing', () => {
  const { status, said } = run(process.execPath, ['--import', 'tsx', 'scripts/pack.ts'], root);
  assert.is(status, 2);
  assert.match(said, /--out is missing; give the folder/);
});

test.after(() => rmSync(folder, { recursive: true }));

test.run();
