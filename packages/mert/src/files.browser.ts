/** What stands in for files.ts in browsers: what is read has an address, and settings are given as they are. */
import { memorySource } from '@dawnchorus/dsp';
import type * as node from './files.ts';
import { notAModel } from './huggingface/folder.ts';

const noFile = (path: string): Error =>
  Object.assign(new Error(`${path}: a browser has no files of settings; give the settings as \`base\` or by \`set\``), {
    name: 'ConfigError',
  });

export const presetNames: typeof node.presetNames = () => [];

export const presetPath: typeof node.presetPath = (_, preset) => {
  throw noFile(preset);
};

export const readSettings: typeof node.readSettings = (path) => {
  throw noFile(path);
};

/** The bytes at an address; undefined where there are none. @throws Error when it does not answer. */
async function fetchBytes(address: string): Promise<Uint8Array | undefined> {
  let answer: Response;
  try {
    answer = await fetch(address);
  } catch (cause) {
    throw new Error(`${address}: cannot be fetched (${(cause as Error).message}); is it served, and to this page?`, {
      cause,
    });
  }
  // Servers of single-page applications answer with the page to whatever is not there.
  const isPage = answer.headers.get('content-type')?.startsWith('text/html');
  if (answer.status === 404 || (answer.ok && isPage)) return undefined;
  if (!answer.ok) throw new Error(`${address}: cannot be fetched (${answer.status} ${answer.statusText})`);
  return new Uint8Array(await answer.arrayBuffer());
}

export const withSound: typeof node.withSound = async (address, use) => {
  const bytes = await fetchBytes(address);
  if (!bytes) throw new Error(`${address}: there is no such file`);
  return use(memorySource(bytes, address));
};

export const openModelFolder: typeof node.openModelFolder = async (address) => {
  const isFile = /\.(pt|bin|safetensors)$/.test(address);
  const folder = isFile ? address.replace(/[^/]*$/, '') : `${address.replace(/\/$/, '')}/`;
  // What was asked for once is not fetched again.
  const fetched = new Map<string, Promise<Uint8Array | undefined>>();
  const bytesOf = (name: string) => {
    const known = fetched.get(name) ?? fetchBytes(folder + name);
    fetched.set(name, known);
    return known;
  };
  const take = async (name: string) => {
    const bytes = await bytesOf(name);
    fetched.delete(name);
    if (!bytes) throw new Error(`${folder}${name}: there is no such file`);
    return bytes;
  };
  if (!isFile && !(await bytesOf('config.json'))) throw notAModel(address);
  return {
    path: address,
    file: isFile ? address.slice(folder.length) : undefined,
    pathOf: (name) => folder + name,
    has: async (name) => (await bytesOf(name)) !== undefined,
    read: take,
    open: take,
    verify: async () => {},
    // Servers do not list what they have.
    checkpoints: async () => [],
    // A run's state holds moments besides, and is several times as large as the model.
    heads: ['heads.safetensors'],
  };
};
