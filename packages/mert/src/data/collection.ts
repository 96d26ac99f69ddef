/** What there is to hear: folders, manifests, tar archives and parquet files, as one list. */
import { existsSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, extname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { AudioError, type AudioFormat, audioExtensions, filesWithin } from '@dawnchorus/dsp';
import type { Dataset } from './dataset.ts';
import { parquetIndex } from './parquet.ts';
import type { AudioItem, Place } from './places.ts';
import type { SkipFile } from './skipped.ts';
import { tarIndex } from './tar.ts';

const archiveExtensions: ReadonlySet<string> = new Set(['.tar', '.parquet']);
const extensionOf = (path: string): string => extname(path).toLowerCase();
const manifestEndings = ['.tsv', '.jsonl'];

const slashes = (path: string) => path.split(sep).join('/');

/** The manifests train and valid of a folder, where it has both, as fairseq keeps them. */
function manifestsIn(folder: string): { train: string; valid: string } | undefined {
  for (const ending of manifestEndings) {
    const [train, valid] = ['train', 'valid'].map((name) => join(folder, name + ending));
    if (existsSync(train) && existsSync(valid)) return { train, valid };
  }
  return undefined;
}

/**
 * What is trained on and what is held out: the manifests train and valid of a folder that has both, or its folders of
 * these names; the manifest valid beside a manifest train; else all of it.
 */
export function dataFolders(data: string): { train: string; valid: string | undefined } {
  const ending = extname(data);
  if (manifestEndings.includes(ending)) {
    const valid = join(dirname(data), `valid${ending}`);
    const isTrain = basename(data) === `train${ending}` && existsSync(valid);
    return { train: data, valid: isTrain ? valid : undefined };
  }
  const manifests = manifestsIn(data);
  if (manifests) return manifests;
  const [train, valid] = [join(data, 'train'), join(data, 'valid')];
  return existsSync(train) && existsSync(valid) ? { train, valid } : { train: data, valid: undefined };
}

/** What a file of `data` is called in it, for people; one that lies elsewhere by its whole path. */
export function nameWithin(data: string, path: string): string {
  // What a manifest lists lies beside it, and an archive's name stands before those in it.
  const isFile = statSync(data, { throwIfNoEntry: false })?.isFile();
  const name = relative(isFile ? dirname(data) : data, path);
  return name === '..' || name.startsWith(`..${sep}`) ? path : name;
}

/** Says what there is to hear in a folder of some data, and what was left out. */
export function tellMusic(
  log: (line: string) => void,
  { files, seconds, skipped }: Pick<Dataset, 'files' | 'seconds' | 'skipped'>,
  folder: string,
  data: string,
): void {
  const left = skipped.length > 0 ? `; ${skipped.length} left out` : '';
  log(`data: ${files.length} files, ${(seconds / 60).toFixed(1)} min, from ${folder}${left}`);
  for (const { path, reason } of skipped) log(`  left out ${nameWithin(data, path)}: ${reason}`);
}

/** What of an archive counts: of several entries of one name the last, as tar unpacks them. */
function lastOfEachName(items: readonly AudioItem[]): AudioItem[] {
  const last = new Map(items.map((item) => [item.path, item]));
  return items.filter((item) => item.place.kind !== 'tar' || last.get(item.path) === item);
}

const wholeNumber = (text: string): number | undefined => (/^\d+$/.test(text) ? Number(text) : undefined);

/** fairseq's manifest: the folder on the first line, then a path and its samples on each. */
async function readTsv(path: string): Promise<AudioItem[]> {
  const [head, ...lines] = (await readFile(path, 'utf8')).split(/\r?\n/);
  if (head.trim() === '' || head.includes('\t')) {
    throw new Error(`${path}:1: expected the folder that the paths are in, got ${JSON.stringify(head)}`);
  }
  const root = resolve(dirname(path), head.trim());
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    const [name, samples, ...more] = line.split('\t');
    const frames = wholeNumber((samples ?? '').trim());
    if (name === '' || frames === undefined || more.length > 0) {
      throw new Error(`${path}:${i + 2}: expected a path, a tab and a number of samples, got ${JSON.stringify(line)}`);
    }
    const file = resolve(root, name);
    const key = slashes(relative(root, file));
    return [{ path: file, key, place: { kind: 'file', file }, known: { frames }, manifest: path }];
  });
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isPositive = (value: unknown): value is number => isCount(value) && value > 0;
const knowable = { sampleRate: isPositive, frames: isCount, channels: isPositive };

/** Throws an error that names a line of a manifest. */
type FailLine = (problem: string) => never;
/** A line of a .jsonl, before it was checked. */
type JsonLine = Record<string, unknown>;

function parseLine(line: string, fail: FailLine): JsonLine {
  try {
    return JSON.parse(line);
  } catch (cause) {
    return fail(`is not JSON: ${(cause as Error).message}`);
  }
}

/** The file or archive that a line is of. */
function fileOfLine(entry: JsonLine, root: string, fail: FailLine): string {
  // NVIDIA NeMo's manifests have another name for it.
  const given = entry?.path ?? entry?.audio_filepath;
  if (typeof given !== 'string' || given === '') return fail('expected an object with a "path"');
  return isAbsolute(given) ? given : resolve(root, given);
}

/** What a line says of its audio. */
function knownOfLine(entry: JsonLine, fail: FailLine): NonNullable<AudioItem['known']> {
  const known: JsonLine = {};
  for (const [key, isSound] of Object.entries(knowable)) {
    if (entry[key] === undefined) continue;
    if (!isSound(entry[key])) fail(`"${key}" is ${JSON.stringify(entry[key])}, expected a whole number above 0`);
    known[key] = entry[key];
  }
  if (typeof entry.format === 'string') known.format = entry.format as AudioFormat;
  return known;
}

/** Where a line says that its audio lies, and what that is called in an archive. */
function placeOfLine(entry: JsonLine, file: string, fail: FailLine): { place: Place; name?: string } {
  const { name, offset, bytes, row, column } = entry;
  if (row !== undefined) {
    if (!isCount(row) || typeof column !== 'string') return fail('a "row" is a number and needs a "column"');
    return { place: { kind: 'parquet', file, row, column }, name: String(row) };
  }
  if (offset !== undefined) {
    if (!isCount(offset) || !isCount(bytes) || typeof name !== 'string') {
      return fail('an "offset" into an archive is a whole number from 0, and needs "bytes", another, and a "name"');
    }
    return { place: { kind: 'tar', file, offset, bytes }, name };
  }
  return { place: { kind: 'file', file } };
}

/** A manifest of one JSON object a line: `path`, and what is known of it; for archives where in them it lies. */
async function readJsonl(path: string): Promise<AudioItem[]> {
  const root = resolve(dirname(path));
  const items = (await readFile(path, 'utf8')).split(/\r?\n/).flatMap((line, i): AudioItem[] => {
    if (line.trim() === '') return [];
    const fail: FailLine = (problem) => {
      throw new Error(`${path}:${i + 1}: ${problem}`);
    };
    const entry = parseLine(line, fail);
    const file = fileOfLine(entry, root, fail);
    const known = knownOfLine(entry, fail);
    const { place, name } = placeOfLine(entry, file, fail);
    const within = name === undefined ? '' : `/${name}`;
    return [{ path: file + within, key: slashes(relative(root, file)) + within, place, known, manifest: path }];
  });
  return lastOfEachName(items);
}

async function itemsOfTar(file: string, key: string): Promise<AudioItem[]> {
  const entries = (await tarIndex(file)).filter(({ name }) => audioExtensions.has(extensionOf(name)));
  return lastOfEachName(
    entries.map(({ name, offset, bytes }) => ({
      path: `${file}/${name}`,
      key: `${key}/${name}`,
      place: { kind: 'tar', file, offset, bytes },
    })),
  );
}

async function itemsOfParquet(file: string, key: string): Promise<AudioItem[]> {
  const { rows, column } = await parquetIndex(file);
  return Array.from({ length: rows }, (_, row) => ({
    path: `${file}/${row}`,
    key: `${key}/${row}`,
    place: { kind: 'parquet', file, row, column },
  }));
}

/** The music of what is no folder. */
async function itemsOfFile(data: string): Promise<AudioItem[]> {
  const ending = extensionOf(data);
  const key = slashes(relative(dirname(data), data));
  if (ending === '.tsv') return readTsv(data);
  if (ending === '.jsonl') return readJsonl(data);
  if (ending === '.tar') return itemsOfTar(data, key);
  if (ending === '.parquet') return itemsOfParquet(data, key);
  if (audioExtensions.has(ending)) return [{ path: data, key, place: { kind: 'file', file: data } }];
  throw new AudioError(
    data,
    'unsupported',
    'is no folder, manifest (.tsv, .jsonl), archive (.tar, .parquet) or audio file (.wav, .flac, .mp3, .ogg, .opus)',
  );
}

/** The music of a folder without manifests: its audio files by name, then its archives, folder by folder. */
async function itemsOfFolder(data: string, skip?: SkipFile): Promise<AudioItem[]> {
  const files = await filesWithin(data, new Set([...audioExtensions, ...archiveExtensions]), skip);
  const keyOf = (file: string) => slashes(relative(data, file));
  const audio = files.filter((file) => audioExtensions.has(extensionOf(file))).sort();
  const items: AudioItem[] = audio.map((file) => ({ path: file, key: keyOf(file), place: { kind: 'file', file } }));
  for (const file of files.filter((file) => archiveExtensions.has(extensionOf(file)))) {
    const itemsOf = extensionOf(file) === '.tar' ? itemsOfTar : itemsOfParquet;
    try {
      // One by one: an archive may hold more files than a call takes arguments.
      for (const item of await itemsOf(file, keyOf(file))) items.push(item);
    } catch (error) {
      if (!skip) throw error;
      skip(file, (error as Error).message.replace(`${file}: `, ''));
    }
  }
  return items;
}

/**
 * Lists the music of a folder (audio files, and those in tar archives and parquet files, searched recursively; of one with
 * the manifests train and valid, what these list), a manifest (fairseq's .tsv, or .jsonl), a .tar, a .parquet, or one audio
 * file. Nothing is decoded. The order is that of the manifest, or by name.
 *
 * @param skip - told of what in a folder cannot be listed: archives that make no sense, links to nothing, names that are not
 *   UTF-8. Without it such an archive is an error.
 * @throws AudioError 'unreadable' when it cannot be read; Error that names the line of a manifest, or the archive, that
 *   makes no sense.
 */
export async function listAudio(data: string, skip?: SkipFile): Promise<AudioItem[]> {
  const status = await stat(data).catch((cause) => {
    const { code, message } = cause as NodeJS.ErrnoException;
    const what = extensionOf(data) === '' ? 'folder' : 'file';
    const reason = code === 'ENOENT' ? ': there is no such file or folder' : ` (${message})`;
    throw new AudioError(data, 'unreadable', `the ${what} cannot be read${reason}`, { cause });
  });
  if (!status.isDirectory()) return itemsOfFile(data);
  const manifests = manifestsIn(data);
  if (manifests) return [...(await listAudio(manifests.train)), ...(await listAudio(manifests.valid))];
  return itemsOfFolder(data, skip);
}
