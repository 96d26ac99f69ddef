/** TypeScript of this repository as JavaScript that Node runs by itself. Plain JavaScript, because it runs before any of that. */
import { accessSync, constants, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
/** Where bundles are kept. */
export const caches = join(root, 'node_modules', '.cache', 'dawnchorus');

/** Modules of others stay where they are, and a module of ours finds the files beside it as if it had not been moved. */
const asInPlace = {
  name: 'as-in-place',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^[^./#]/ }, ({ path, kind }) =>
      kind === 'entry-point' || path.startsWith('@dawnchorus/') ? undefined : { path, external: true },
    );
    onLoad({ filter: /\.m?[jt]s$/ }, ({ path }) => {
      const url = JSON.stringify(pathToFileURL(path).href);
      const contents = readFileSync(path, 'utf8').replaceAll('import.meta.url', url);
      return { contents, loader: path.endsWith('ts') ? 'ts' : 'js' };
    });
  },
};

const options = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  keepNames: true,
  sourcemap: true,
  sourcesContent: false,
  logLevel: 'error',
  plugins: [asInPlace],
};

/** A bundle that is there already needs no bundler. */
const build = async (own) => (await import('esbuild')).build({ ...options, ...own });

/**
 * Bundles modules, given by their paths from the root, what they share once, for this process and those that it starts; they
 * are gone when it ends. Returns where each is found.
 */
export async function bundle(entries) {
  const folder = join(caches, `run-${process.pid}`);
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const places = { outbase: '.', outdir: folder, outExtension: { '.js': '.mjs' } };
  await build({ ...places, entryPoints: entries, splitting: true });
  return new Map(entries.map((entry) => [entry, join(folder, entry.replace(/\.\w+$/, '.mjs'))]));
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

/** Others may read the file meanwhile, or write it. */
function replace(path, content) {
  const own = `${path}.${process.pid}.tmp`;
  writeFileSync(own, content);
  renameSync(own, path);
}

/**
 * The bundle of one module, made anew if a file of it has changed since the last time: a single file, so that a process that
 * runs it needs nothing of it later. Returns where it is found; undefined where nothing can be kept.
 */
export async function keptBundle(entry) {
  const outfile = join(caches, `${entry.replace(/\W+/g, '-')}.mjs`);
  const account = `${outfile}.inputs.json`;
  if (isFresh(account)) return outfile;
  try {
    mkdirSync(caches, { recursive: true });
    accessSync(caches, constants.W_OK);
  } catch {
    return undefined;
  }
  const began = Date.now();
  const { metafile, outputFiles } = await build({ entryPoints: [entry], outfile, write: false, metafile: true });
  for (const { path, contents } of outputFiles) replace(path, contents);
  const seen = ['scripts/bundle.mjs', ...Object.keys(metafile.inputs)].map((path) => {
    const { size, mtimeMs } = statSync(join(root, path));
    // Of what changed meanwhile nobody knows which state was read: it is never found as it was.
    return [path, size, mtimeMs < began ? mtimeMs : 0];
  });
  replace(account, JSON.stringify(seen));
  return outfile;
}
