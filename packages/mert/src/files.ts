/** What is read by its path. In browsers files.browser.ts stands in for it, where paths are addresses. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ByteSource } from '@dawnchorus/dsp';
import { withBytes } from './data/places.ts';
import { type ModelFolder, notAModel } from './huggingface/folder.ts';
import { checkAgainstChecksums } from './training/checkpoints.ts';

const withinPackage = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** Names of the YAML files of a folder of this package, without their ending, sorted. */
export function presetNames(folder: string): string[] {
  return readdirSync(withinPackage(folder))
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .sort();
}

/** Path of the file of a preset. */
export const presetPath = (folder: string, preset: string): string => withinPackage(`${folder}/${preset}.yaml`);

/** The text of a file of settings. @throws Error that says why it cannot be read. */
export function readSettings(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EISDIR' ? 'it is a folder' : message;
    throw new Error(`cannot read configuration ${path}: ${reason}; give the path of a YAML file`, { cause: error });
  }
}

/** Opens the bytes of a sound for as long as `use` takes. @throws Error when there is no such file; what `use` throws. */
export async function withSound<T>(path: string, use: (bytes: ByteSource) => Promise<T>): Promise<T> {
  await stat(path).catch(() => {
    throw new Error(`${path}: there is no such file`);
  });
  return withBytes({ path, place: { kind: 'file', file: path } }, use);
}

/** A model's folder, or the one around the checkpoint that was named. @throws Error when there is none. */
export async function openModelFolder(path: string): Promise<ModelFolder> {
  const status = await stat(path).catch((cause) => {
    throw notAModel(path, cause);
  });
  const folder = status.isDirectory() ? path : dirname(path);
  const pathOf = (name: string) => join(folder, name);
  return {
    path: folder,
    file: status.isDirectory() ? undefined : basename(path),
    pathOf,
    has: async (name) => existsSync(pathOf(name)),
    read: async (name) => new Uint8Array(await readFile(pathOf(name))),
    open: async (name) => pathOf(name),
    verify: async (name) => {
      if (status.isDirectory()) await checkAgainstChecksums(folder, name);
    },
    checkpoints: async () => (await readdir(folder)).filter((name) => extname(name) === '.pt').sort(),
    heads: ['heads.safetensors', 'training.safetensors'],
  };
}
