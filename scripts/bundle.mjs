/** TypeScript of this repository as JavaScript that Node runs by itself. Plain JavaScript, because it runs before any of that. */
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';

export const root = fileURLToPath(new URL('..', import.meta.url));
const caches = join(root, 'node_modules', '.cache', 'dawnchorus');

/** Modules of others stay where they are, and a module of ours finds the files beside it as if it had not been moved. */
const asInPlace = {
  name: 'as-in-place',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./#]/ }, ({ path, kind }) =>
      kind === 'entry-point' || path.startsWith('@dawnchorus/') ? undefined : { path, external: true },
    );
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      const url = JSON.stringify(pathToFileURL(path).href);
      return { contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', url), loader: 'ts' };
    });
  },
};

/**
 * Bundles modules, what they share once, into `folder`, at their paths from the root with .mjs for an extension. Returns
 * esbuild's account of what went in.
 */
async function bundleInto(folder, entries) {
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: entries,
    outbase: '.',
    outdir: folder,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    splitting: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    keepNames: true,
    sourcemap: true,
    sourcesContent: false,
    metafile: true,
    logLevel: 'error',
    plugins: [asInPlace],
  });
  return metafile;
}

const outputOf = (folder, entry) => join(folder, entry.replace(/\.\w+$/, '.mjs'));

/**
 * Bundles modules, given by their paths from the root, for this process and those that it starts; they are gone when it ends.
 * Returns where each is found.
 */
export async function bundle(entries) {
  const folder = join(caches, `run-${process.pid}`);
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  await bundleInto(folder, entries);
  return new Map(entries.map((entry) => [entry, outputOf(folder, entry)]));
}

/** Whether what a bundle was made of is as it was. */
function isFresh(account) {
  try {
    return JSON.parse(readFileSync(account, 'utf8')).every(([path, size, modified]) => {
      const now = statSync(join(root, path));
      return now.size === size && now.mtimeMs === modified;
    });
  } catch {
    return false;
  }
}

/** The bundle of one module, made anew if a file of it has changed since the last time. Returns where it is found. */
export async function keptBundle(entry) {
  const folder = join(caches, 'kept', entry.replace(/\W+/g, '-'));
  const account = join(folder, 'inputs.json');
  if (!isFresh(account)) {
    // Others may be running it or making it, too.
    const own = `${folder}.${process.pid}`;
    const { inputs } = await bundleInto(own, [entry]);
    const seen = Object.keys(inputs).map((path) => {
      const { size, mtimeMs } = statSync(join(root, path));
      return [path, size, mtimeMs];
    });
    writeFileSync(join(own, 'inputs.json'), JSON.stringify(seen));
    mkdirSync(join(caches, 'kept'), { recursive: true });
    rmSync(folder, { recursive: true, force: true });
    renameSync(own, folder);
  }
  return outputOf(folder, entry);
}
