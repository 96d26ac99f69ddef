/** Labels held against what was written, and against the music that they are of. */
import { createHash } from 'node:crypto';
import type { AudioInfo } from '@dawnchorus/dsp';
import { listAudio } from '../data/collection.ts';
import { type AudioItem, checkItem } from '../data/places.ts';
import { entryBytes, type LabelEntry, LabelError, type Manifest, short } from './manifest.ts';
import type { LabelReader } from './reader.ts';
import { hashOfItem } from './write.ts';

/** What of a file must be as it was when it was labelled. */
type FileLength = Pick<AudioInfo, 'sampleRate' | 'frames'>;

/** Labels that are verified at once. */
const VERIFY_BYTES = 1 << 20;
/** Files that are named one by one. */
const NAMED = 20;

function problemWith({ entries, skipped }: Manifest, file: string, info: FileLength): string | undefined {
  const entry = entries.get(file);
  if (!entry) return `has no labels${skipped.has(file) ? ` (${skipped.get(file)})` : ''}`;
  if (entry.sampleRate !== info.sampleRate || entry.samples !== info.frames) {
    return `has ${info.frames} samples at ${info.sampleRate} Hz; ${entry.samples} at ${entry.sampleRate} Hz were labelled`;
  }
  return undefined;
}

/** @throws LabelError that lists the files of the music that labels do not agree with. */
export function checkMusic(
  folder: string,
  manifest: Manifest,
  files: Iterable<readonly [path: string, info: FileLength]>,
): void {
  const { entries } = manifest;
  const problems: string[] = [];
  let known = 0;
  for (const [file, info] of files) {
    const problem = problemWith(manifest, file, info);
    if (problem) problems.push(`\n  ${file}: ${problem}`);
    if (entries.has(file)) known++;
  }
  if (problems.length === 0) return;
  const [first] = entries.keys();
  if (known === 0 && first !== undefined) {
    throw new LabelError(
      `${folder}: the labels are of none of these files, but of ${first} and others; give the folder of music that was labelled`,
    );
  }
  const more = problems.length > NAMED ? `\n  and ${problems.length - NAMED} more` : '';
  throw new LabelError(
    `${folder}: the labels are not of this music (${problems.length} files); run mert label again, which adds what is ` +
      `missing, or bring the files back:${problems.slice(0, NAMED).join('')}${more}`,
  );
}

/** What is wrong with a file's labels. @throws LabelError where they cannot be read, or are none */
async function problemWithLabels(
  { header }: Manifest,
  reader: LabelReader,
  entry: LabelEntry,
): Promise<string | undefined> {
  const hash = createHash('sha256');
  const step = Math.max(1, Math.floor(VERIFY_BYTES / entryBytes(header, 1)));
  for (let first = 0; first < entry.frames; first += step) {
    const { bytes } = await reader.read(entry, first, Math.min(step, entry.frames - first));
    hash.update(bytes);
  }
  return hash.digest('hex') === entry.sha256
    ? undefined
    : 'its labels are not those that were written: the shard is damaged';
}

/** What is wrong with a file that was labelled. @throws AudioError where it cannot be read */
async function problemWithFile(
  manifest: Manifest,
  entry: LabelEntry,
  item: AudioItem | undefined,
): Promise<string | undefined> {
  if (!item) return 'the file cannot be read: it is gone';
  const problem = problemWith(manifest, entry.path, await checkItem(item));
  if (problem) return problem;
  const found = await hashOfItem(item);
  return found === entry.audio.sha256
    ? undefined
    : `is another file than the one that was labelled (SHA-256 ${short(entry.audio.sha256)}, now ${short(found)})`;
}

/** What is wrong with labels and, where `data` is given, with the music, a line a file: see `Labels.verify`. */
export async function verifyLabels(
  manifest: Manifest,
  reader: LabelReader,
  { data, onFile }: { data?: string; onFile?(number: number, total: number): void },
): Promise<string[]> {
  const { entries } = manifest;
  const music =
    data === undefined ? undefined : new Map((await listAudio(data, () => {})).map((item) => [item.key, item]));
  const problems: string[] = [];
  let number = 0;
  for (const entry of entries.values()) {
    try {
      const problem =
        (await problemWithLabels(manifest, reader, entry)) ??
        (music && (await problemWithFile(manifest, entry, music.get(entry.path))));
      if (problem) problems.push(`${entry.path}: ${problem}`);
    } catch (error) {
      const { message } = error as Error;
      problems.push(message.includes(entry.path) ? message : `${entry.path}: ${message}`);
    }
    onFile?.(++number, entries.size);
  }
  return problems;
}
