/** Where the files of a model are: a folder, an address, or memory. */

/** The files of a model by name. */
export interface ModelFolder {
  /** What messages call it. */
  readonly path: string;
  /** The checkpoint, where one was named and not its folder. */
  readonly file?: string;
  /** What messages call a file of it. */
  pathOf(name: string): string;
  has(name: string): Promise<boolean>;
  /** A small file's bytes. */
  read(name: string): Promise<Uint8Array>;
  /** A file of tensors: its path, or its bytes. */
  open(name: string): Promise<string | Uint8Array>;
  /** @throws Error when a file is not what its checksum says, where it has one. */
  verify(name: string): Promise<void>;
  /** Names of the files that end in `.pt`, sorted. */
  checkpoints(): Promise<string[]>;
  /** Names that a file with the heads of pretraining may have, the better first. */
  readonly heads: readonly string[];
}

/** Names that Hugging Face gives to files of weights, the better first. */
export const weightNames = ['model.safetensors', 'pytorch_model.bin'];

/** What says which files weights are shared out over. */
export const indexOf = (name: string): string => `${name}.index.json`;

/** What is said of a place without a model. */
export const notAModel = (path: string, cause?: unknown): Error =>
  new Error(`${path}: cannot be read; a model folder holds config.json, preprocessor_config.json and the weights`, {
    cause,
  });

/** A model whose files were read before: their bytes by name, `config.json`, `model.safetensors` and so on. */
export function modelInMemory(files: Readonly<Record<string, Uint8Array>>): ModelFolder {
  const names = Object.keys(files);
  const odd = names.find((name) => !(files[name] instanceof Uint8Array));
  if (odd !== undefined) {
    throw new TypeError(`loadMert: ${odd} is ${files[odd]}; expected the bytes of the file as a Uint8Array`);
  }
  const take = async (name: string) => {
    if (!Object.hasOwn(files, name)) {
      throw new Error(`${name}: is not among the files given: ${names.join(', ') || 'none'}`);
    }
    return files[name];
  };
  return {
    path: 'the files given',
    pathOf: (name) => name,
    has: async (name) => Object.hasOwn(files, name),
    read: take,
    open: take,
    verify: async () => {},
    checkpoints: async () => names.filter((name) => name.endsWith('.pt')).sort(),
    heads: ['heads.safetensors', 'training.safetensors'],
  };
}
