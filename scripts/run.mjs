/**
 * Runs a TypeScript module of this repository: node scripts/run.mjs FILE [ARGUMENT]...
 * It is bundled with what it imports of the repository, and kept so until a file changes: a loader that takes some 500
 * modules one by one needs seconds before the first of them runs.
 */
import { relative, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { keptBundle, root } from './bundle.mjs';

const [, , file, ...given] = process.argv;
if (!file) {
  console.error('usage: node scripts/run.mjs FILE [ARGUMENT]...');
  process.exit(2);
}
const path = resolve(file);

const script = await keptBundle(relative(root, path));
if (script) process.setSourceMapsEnabled(true);
else (await import('tsx/esm/api')).register();
// As if it had been started itself.
process.argv = [process.argv[0], path, ...given];
await import(pathToFileURL(script ?? path).href);
