/** Folders and files to write into. */
import { constants, existsSync, realpathSync, statSync } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { indexOf, weightNames } from './huggingface/folder.ts';

/** Makes a folder and those above it, where they are not there. @throws Error that says what is in the way. */
export async function makeFolder(folder: string): Promise<void> {
  const fail = (reason: string, cause?: unknown): never => {
    throw new Error(`${folder}: cannot be made: ${reason}; choose another folder`, { cause });
  };
  const missing: string[] = [];
  let above = resolve(folder);
  for (; !existsSync(above); above = dirname(above)) missing.unshift(above);
  if (!(await stat(above)).isDirectory()) fail(`${above} is a file`);
  if (missing.length === 0) return;
  // Of a read-only file system Node says that the folder above were missing.
  await access(above, constants.W_OK).catch((cause: NodeJS.ErrnoException) =>
    fail(`${above} may not be written to (${cause.code})`, cause),
  );
  // One by one: where a file system refuses what is not there, as /proc does, mkdir with `recursive` never returns.
  for (const own of missing) {
    await mkdir(own).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code !== 'EEXIST') fail(cause.code ?? cause.message, cause);
    });
  }
}

/**
 * Finds out before the work what would keep its result from being written.
 *
 * @param ending of the names of such files: one that is there and is called otherwise is somebody's, and stays.
 * @throws Error that names the option, the path and what is in the way.
 */
export async function checkOutputFile(option: string, path: string, ending = extname(path)): Promise<void> {
  const folder = dirname(path);
  if (!existsSync(folder)) throw new Error(`${option} ${path}: there is no folder ${folder}; make it first`);
  if (!statSync(folder).isDirectory()) throw new Error(`${option} ${path}: ${folder} is a file, no folder`);
  if (existsSync(path) && statSync(path).isDirectory()) {
    throw new Error(`${option} ${path}: is a folder; give the name of a file`);
  }
  if (existsSync(path) && extname(path).toLowerCase() !== ending.toLowerCase()) {
    throw new Error(`${option} ${path}: is there, is no ${ending} file and would be overwritten; choose another name`);
  }
  await access(folder, constants.W_OK).catch(({ code }: NodeJS.ErrnoException) => {
    throw new Error(`${option} ${path}: ${folder} may not be written to (${code}); choose another folder`);
  });
}

/** What the folder of a model may hold, and nothing else is called. */
export const modelFileNames = [
  'config.json',
  'preprocessor_config.json',
  'processor_config.json',
  ...weightNames.flatMap((name) => [name, indexOf(name)]),
  'heads.safetensors',
  'training.safetensors',
  'checksums.json',
];

/**
 * Keeps what is written from replacing what it is made from.
 *
 * @param inputs files and folders that are read.
 * @param model the model, if there is one: a folder, or a file in it.
 * @throws Error that names the option and the path.
 */
export function checkNotInput(option: string, path: string, inputs: readonly string[], model?: string): void {
  if (!existsSync(path)) return;
  const [own, folder] = [path, dirname(path)].map((each) => realpathSync(each));
  const isOwn = (input: string) => existsSync(input) && realpathSync(input) === own;
  if (inputs.some(isOwn) || (model !== undefined && isOwn(model))) {
    throw new Error(`${option} ${path}: is what is read, which would be overwritten; choose another`);
  }
  if (model === undefined || !existsSync(model)) return;
  const read = realpathSync(statSync(model).isDirectory() ? model : dirname(model));
  if (read === folder && modelFileNames.includes(basename(path))) {
    throw new Error(`${option} ${path}: is a file of the model, which would be overwritten; choose another`);
  }
}

/** Keeps what is no part of a run from replacing the files of one. @throws Error that names the option and the folder. */
export function checkNoRun(option: string, folder: string): void {
  const part = ['metrics.jsonl', 'checkpoint', 'trainer.json'].find((name) => existsSync(join(folder, name)));
  if (part)
    throw new Error(`${option} ${folder}: holds a run (${part}), whose report would be overwritten; choose another`);
}
