/**
 * Packs the packages for projects elsewhere: npm run pack -- --out DIR
 * Node strips no types under node_modules, so what is packed is JavaScript with declarations, compiled into a folder that is
 * gone afterwards. The repository itself needs none of it.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from './bundle.mjs';

const folders = ['kernels', ...['tensor', 'autograd', 'formats', 'dsp', 'mert'].map((name) => `packages/${name}`)];

const readJson = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8'));
const { engines, devDependencies } = readJson('package.json');

/** Packages of ambient types, by what stands in declarations that need them, and the versions that will do. */
const ambient = [
  { name: '@types/node', reference: 'node', found: /from 'node:|\bBuffer\b/, version: '*' },
  {
    name: '@webgpu/types',
    reference: '@webgpu/types',
    found: /\bGPU[A-Z]/,
    version: `^${devDependencies['@webgpu/types']}`,
  },
];

/** What is said of a package where it is found. */
const readme = (name: string, description: string) => `# ${name}

${description}.

A package of dawnchorus, a tensor engine in TypeScript and WGSL, and MERT on top of it. Every export has a docstring in the
declarations; the guides are README.md and docs/ of the repository, and \`npm run docs\` there makes the reference.
`;

function run(command: string, args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`pack: ${command} ${args[0]}: ${error?.message ?? `code ${status}, see above`}`);
}

/** Makes what was compiled into `stage` a package: its manifest, licence, readme and what is no code. */
function finish(folder: string, stage: string): void {
  const packed = join(stage, folder);
  const types: Record<string, string> = {};
  for (const file of readdirSync(packed, { recursive: true }).map(String)) {
    if (!file.endsWith('.d.ts')) continue;
    const text = readFileSync(join(packed, file), 'utf8');
    // Compilers take in no ambient types that nobody names.
    const needed = ambient.filter(({ found }) => found.test(text));
    for (const { name, version } of needed) types[name] = version;
    const references = needed.map(({ reference }) => `/// <reference types="${reference}" />\n`);
    writeFileSync(join(packed, file), references.join('') + text);
  }
  const { devDependencies: _, ...manifest } = readJson(join(folder, 'package.json'));
  const compiled = JSON.parse(JSON.stringify(manifest).replace(/("\.\/[^"]+)\.ts"/g, '$1.js"'));
  const entry: string | Record<string, string> = compiled.exports['.'];
  const byCondition = typeof entry === 'string' ? { default: entry } : entry;
  const own = {
    ...compiled,
    engines,
    exports: { '.': { types: byCondition.default.replace(/js$/, 'd.ts'), ...byCondition } },
    files: ['**/*.js', '**/*.d.ts', 'configs'],
    dependencies: { ...compiled.dependencies, ...types },
  };
  writeFileSync(join(packed, 'package.json'), `${JSON.stringify(own, null, 2)}\n`);
  writeFileSync(join(packed, 'README.md'), readme(own.name, own.description));
  cpSync(join(root, 'LICENSE'), join(packed, 'LICENSE'));
  const configs = join(root, folder, 'configs');
  if (existsSync(configs)) cpSync(configs, join(packed, 'configs'), { recursive: true });
  for (const command of Object.values<string>(own.bin ?? {})) {
    const path = join(packed, command);
    writeFileSync(path, readFileSync(path, 'utf8').replace(/^#!.*/, '#!/usr/bin/env node'));
  }
}

const { values } = parseArgs({ options: { out: { type: 'string' } } });
if (!values.out) {
  console.error('pack: --out is missing; give the folder that the packages go to: npm run pack -- --out DIR');
  process.exit(2);
}
const out = resolve(values.out);
mkdirSync(out, { recursive: true });
const stage = mkdtempSync(join(tmpdir(), 'dawnchorus-pack-'));
try {
  const tsc = join(root, 'node_modules/typescript/bin/tsc');
  // `npm run typecheck` checks the same modules; without, it takes a third of the time.
  run(process.execPath, [tsc, '-p', 'tsconfig.pack.json', '--noCheck', '--outDir', stage]);
  for (const folder of folders) finish(folder, stage);
  run('npm', ['pack', '--loglevel=error', '--pack-destination', out, ...folders.map((folder) => join(stage, folder))]);
} finally {
  rmSync(stage, { recursive: true, force: true });
}
