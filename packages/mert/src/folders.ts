/** Folders and files to write into. */
import { constants, existsSync, realpathSync, statSync } from 'node:fs';
import { access, mkdir, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';

/** Makes a folder and those above it, where they are not there. @throws Error that says what is in the way. */
export async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true });
  } catch (cause) {
    const fail = (reason: string): never => {
      throw new Error(`${folder}: cannot be made: ${reason}; choose another folder`, { cause });
    };
    let above = resolve(folder);
    while (!existsSync(above)) above = dirname(above);
    if (!(await stat(above)).isDirectory()) fail(`${above} is a file`);
    // Of a read-only file system Node says that the folder above were missing.
    await access(above, constants.W_OK).catch(({ code }: NodeJS.ErrnoException) =>
      fail(`${above} may not be written to (${code})`),
    );
    const { code, message } = cause as NodeJS.ErrnoException;
    fail(code ?? message);
  }
}

/**
 * Finds out before the work what would keep its result from being written.
 *
 * @throws Error that names the option, the path and what is in the way.
 */
export async function checkOutputFile(option: string, path: string): Promise<void> {
  const folder = dirname(path);
  if (!existsSync(folder)) throw new Error(`${option} ${path}: there is no folder ${folder}; make it first`);
  if (!statSync(folder).isDirectory()) throw new Error(`${option} ${path}: ${folder} is a file, no folder`);
  if (existsSync(path) && statSync(path).isDirectory()) {
    throw new Error(`${option} ${path}: is a folder; give the name of a file`);
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
  'model.safetensors',
  'model.safetensors.index.json',
  'pytorch_model.bin',
  'pytorch_model.bin.index.json',
  'heads.safetensors',
  'training.safetensors',
  'checksums.json',
];

const isSame = (a: string, b: string): boolean => existsSync(a) && existsSync(b) && realpathSync(a) === realpathSync(b);

/**
 * Keeps what is written from replacing what it is made from.
 *
 * @param inputs files and folders that are read.
 * @param model the model, if there is one: a folder, or a file in it.
 * @throws Error that names the option and the path.
 */
export function checkNotInput(option: string, path: string, inputs: readonly string[], model?: string): void {
  if (!existsSync(path)) return;
  if ([...inputs, ...(model === undefined ? [] : [model])].some((input) => isSame(input, path))) {
    throw new Error(`${option} ${path}: is what is read, which would be overwritten; choose another`);
  }
  if (model === undefined || !existsSync(model)) return;
  const folder = statSync(model).isDirectory() ? model : dirname(model);
  if (isSame(folder, dirname(path)) && modelFileNames.includes(basename(path))) {
    throw new Error(`${option} ${path}: is a file of the model, which would be overwritten; choose another`);
  }
}
