// Writes every .wgsl file under kernels/ as an exported string into kernels/generated/wgsl.ts, so that Node,
// TypeScript and browser bundlers all import the same text without a loader. Runs in `npm ci` (prepare).
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(fileURLToPath(import.meta.url));
const camelCase = (name) => name.replace(/_([a-z0-9])/g, (_, letter) => letter.toUpperCase());

const files = readdirSync(root, { recursive: true })
  .map(String)
  .filter((path) => path.endsWith('.wgsl') && !path.startsWith('node_modules'))
  .sort();
const seen = new Map();
const lines = ['// Generated from the .wgsl files beside this folder by kernels/generate.mjs. Do not edit.'];
for (const path of files) {
  const name = camelCase(basename(path, '.wgsl'));
  if (seen.has(name)) throw new Error(`kernels: ${path} and ${seen.get(name)} would both export "${name}"; rename one`);
  seen.set(name, path);
  const text = readFileSync(join(root, path), 'utf8');
  lines.push(`/** ${path.replaceAll('\\', '/')} */`, `export const ${name}: string = ${JSON.stringify(text)};`);
}
const out = join(root, 'generated', 'wgsl.ts');
const text = `${lines.join('\n')}\n`;
mkdirSync(dirname(out), { recursive: true });
let previous = '';
try {
  previous = readFileSync(out, 'utf8');
} catch {}
if (previous !== text) writeFileSync(out, text);
if (process.argv.includes('--verbose')) console.log(`${files.length} kernels -> ${relative(process.cwd(), out)}`);
