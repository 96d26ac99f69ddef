import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { constants, homedir, tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';

/** The files of a tar archive whose entries are plain files with short names. */
function* tarEntries(tar: Buffer): Generator<{ name: string; data: Buffer }> {
  for (let at = 0; at + 512 <= tar.length; ) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/s, '');
    if (!name) return;
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    const type = tar[at + 156];
    if (type === 0 || type === 48) yield { name: basename(name), data: tar.subarray(at + 512, at + 512 + size) };
    at += 512 + Math.ceil(size / 512) * 512;
  }
}

function cacheFolder(version: string): string {
  const base = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  return join(base, 'dawnchorus', `swiftshader-${version}`);
}

/** Unpacks the driver into `folder` unless it is there already; a rename makes it appear whole or not at all. */
function unpack(archive: string, folder: string): void {
  if (existsSync(join(folder, 'vk_swiftshader_icd.json'))) return;
  const temporary = `${folder}.${process.pid}.tmp`;
  mkdirSync(temporary, { recursive: true });
  for (const { name, data } of tarEntries(brotliDecompressSync(readFileSync(archive)))) {
    writeFileSync(join(temporary, name), data);
  }
  try {
    renameSync(temporary, folder);
  } catch (error) {
    // Another process was first.
    rmSync(temporary, { recursive: true, force: true });
    if (!existsSync(join(folder, 'vk_swiftshader_icd.json'))) throw error;
  }
}

/**
 * Makes SwiftShader, a Vulkan driver that runs on the CPU, visible to Dawn in this process: unpacks the copy that the npm
 * package @sparticuz/chromium carries into a cache folder and loads its Vulkan loader. The next `create()` finds it.
 * Returns why it could not be done, or undefined.
 */
export function provideSwiftShader(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `only built for Linux x86-64, this is ${process.platform} ${process.arch}`;
  }
  const require = createRequire(import.meta.url);
  let root: string;
  try {
    // The package exports no path to its own folder, so its entry point tells.
    root = dirname(require.resolve('@sparticuz/chromium'));
  } catch {
    return 'npm package @sparticuz/chromium is not installed (it is an optional dependency)';
  }
  while (!existsSync(join(root, 'bin', 'swiftshader.tar.br'))) {
    const parent = dirname(root);
    if (parent === root) return 'npm package @sparticuz/chromium carries no bin/swiftshader.tar.br';
    root = parent;
  }
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const archive = join(root, 'bin', 'swiftshader.tar.br');
  let folder = cacheFolder(version);
  try {
    unpack(archive, folder);
  } catch {
    // A home folder that cannot be written.
    folder = join(tmpdir(), `dawnchorus-${process.getuid?.() ?? 0}`, `swiftshader-${version}`);
    try {
      unpack(archive, folder);
    } catch (error) {
      return `could not unpack it: ${(error as Error).message}`;
    }
  }
  process.env.VK_DRIVER_FILES = join(folder, 'vk_swiftshader_icd.json');
  // Node refuses the library as an addon, but RTLD_NODELETE keeps it mapped, and Dawn then finds it by its name.
  const keepMapped = 0x1000;
  try {
    process.dlopen({ exports: {} }, join(folder, 'libvulkan.so.1'), constants.dlopen.RTLD_NOW | keepMapped);
  } catch {
    // Expected: "Module did not self-register".
  }
  return undefined;
}
