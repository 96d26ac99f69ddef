/** Manifests of music, so that a large collection is looked at once. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve, sep } from 'node:path';
import type { AudioInfo } from '@dawnchorus/dsp';
import { writeAtomically } from '@dawnchorus/formats';
import { checkNotInput } from '../folders.ts';
import { hostRandom, purpose } from '../random.ts';
import { listAudio } from './collection.ts';
import { reasonOf, type SkippedFile } from './dataset.ts';
import { type AudioItem, checkItem } from './places.ts';

/** What a manifest is made of, and where it goes. */
export interface ManifestOptions {
  /** Music: see `listAudio`. */
  data: string;
  /** A `.jsonl`, which tells all, or a `.tsv` as fairseq has them, for files of one rate. */
  out: string;
  /** Hz that all files must have; needed for `.tsv`, which does not say it. */
  sampleRate?: number;
  /** Share of the files that go to a manifest `valid` beside it, drawn by the seed; default none. */
  validShare?: number;
  seed?: number;
  /** Told now and then how many of how many files were looked at. */
  onFile?(number: number, total: number): void;
}

/** What became of a manifest. */
export interface ManifestResult {
  files: number;
  hours: number;
  /** Files of `files` that are held out. */
  valid: number;
  skipped: SkippedFile[];
}

const LOOKED_AT = 16;

function jsonLine(
  { place, path }: AudioItem,
  { sampleRate, frames, channels, format }: AudioInfo,
  out: string,
): string {
  const folder = resolve(out, '..');
  const file = relative(folder, resolve(place.file)).split(sep).join('/');
  const inside =
    place.kind === 'tar'
      ? { name: path.slice(place.file.length + 1), offset: place.offset, bytes: place.bytes }
      : place.kind === 'parquet'
        ? { row: place.row, column: place.column }
        : {};
  return JSON.stringify({ path: file, ...inside, sampleRate, frames, channels, format });
}

/** Lists of labels and logs of runs end in .jsonl, too. @throws Error where a file is there that is no manifest. */
async function checkManifest(path: string): Promise<void> {
  if (!existsSync(path)) return;
  const [first] = (await readFile(path, 'utf8')).split('\n', 1);
  const isManifest = () => {
    if (extname(path) === '.tsv') return !first.includes('\t');
    const { path: file, sampleRate, frames } = JSON.parse(first);
    return typeof file === 'string' && Number.isFinite(sampleRate) && Number.isFinite(frames);
  };
  try {
    if (isManifest()) return;
  } catch {}
  throw new Error(`${path}: is there, is no manifest and would be overwritten; choose another --out`);
}

/** @throws Error where a .tsv cannot say what there is: files in archives, and names that are no part of one line. */
function checkTsv(out: string, root: string, items: readonly AudioItem[]): void {
  if (items.some(({ place }) => place.kind !== 'file')) {
    throw new Error(`${out}: a .tsv cannot say what lies in archives; write a .jsonl`);
  }
  const unfit = [root, ...items.map(({ path }) => path)].find((path) => /[\t\n\r]/.test(path));
  if (unfit !== undefined || root !== root.trim()) {
    throw new Error(
      `${out}: a .tsv cannot hold ${JSON.stringify(unfit ?? root)}, a name with a tab, a line feed or spaces around it; write a .jsonl`,
    );
  }
}

/**
 * Looks at every file of a collection, and writes what it found as a manifest, which `mert pretrain --data` and the like
 * take in the place of the folder and trust: nothing needs to be opened again to know what there is.
 *
 * @throws Error when nothing is left, or what would be overwritten is `data` or no manifest, or the name ends in neither .jsonl nor .tsv, or a .tsv cannot say what there is.
 */
export async function writeManifest(options: ManifestOptions): Promise<ManifestResult> {
  const { data, out, sampleRate, validShare = 0, seed = 0, onFile } = options;
  const ending = extname(out);
  if (ending !== '.jsonl' && ending !== '.tsv') throw new Error(`${out}: manifests end in .jsonl or .tsv`);
  if (ending === '.tsv' && sampleRate === undefined) {
    throw new Error(`${out}: a .tsv does not say the rate of its files; give --sample-rate, or write a .jsonl`);
  }
  if (validShare > 0 && basename(out) !== `train${ending}`) {
    throw new Error(`${out}: with files held out it is to be called train${ending}; valid${ending} will be beside it`);
  }
  const written = [out, ...(validShare > 0 ? [join(dirname(out), `valid${ending}`)] : [])];
  for (const path of written) {
    checkNotInput('--out', path, [data]);
    await checkManifest(path);
  }
  const skipped: SkippedFile[] = [];
  const items = await listAudio(data, (path, reason) => skipped.push({ path, reason }));
  const lines: string[] = [];
  let seconds = 0;
  const root = resolve(data);
  if (ending === '.tsv') checkTsv(out, root, items);
  for (let at = 0; at < items.length; at += LOOKED_AT) {
    const some = items.slice(at, at + LOOKED_AT);
    const looked = await Promise.all(some.map((item) => checkItem(item).catch((error: Error) => error)));
    for (const [i, info] of looked.entries()) {
      const item = some[i];
      if (info instanceof Error) {
        skipped.push({ path: item.path, reason: reasonOf(info, item) });
      } else if (sampleRate !== undefined && info.sampleRate !== sampleRate) {
        skipped.push({ path: item.path, reason: `has ${info.sampleRate} Hz, asked for are ${sampleRate}` });
      } else {
        seconds += info.duration;
        lines.push(
          ending === '.tsv' ? `${relative(root, resolve(item.path))}\t${info.frames}` : jsonLine(item, info, out),
        );
      }
    }
    onFile?.(Math.min(items.length, at + LOOKED_AT), items.length);
  }
  if (lines.length === 0) throw new Error(`${data}: none of its ${items.length} files can be used`);
  const random = hostRandom(seed, purpose.order);
  const held = lines.map(() => random.uniform() < validShare);
  const write = (path: string, some: string[]) => {
    const all = ending === '.tsv' ? [root, ...some] : some;
    return writeAtomically(path, [new TextEncoder().encode(`${all.join('\n')}\n`)], { what: 'manifest' });
  };
  const valid = lines.filter((_, i) => held[i]);
  if (validShare > 0) {
    if (valid.length === 0 || valid.length === lines.length) {
      throw new Error(
        `${out}: ${valid.length} of ${lines.length} files would be held out; take another share (--valid) or another draw (--seed)`,
      );
    }
    await write(join(dirname(out), `valid${ending}`), valid);
  }
  const train = lines.filter((_, i) => !held[i]);
  await write(out, train);
  return { files: lines.length, valid: valid.length, hours: seconds / 3600, skipped };
}
