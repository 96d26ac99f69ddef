import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type FileHandle, open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { AudioError, type AudioPieces, openPieces, type ResampleQuality } from '@dawnchorus/dsp';
import { writeAtomically } from '@dawnchorus/formats';
import { listAudio, nameWithin } from '../data/collection.ts';
import { reasonOf } from '../data/dataset.ts';
import { type AudioItem, withBytes } from '../data/places.ts';
import { makeFolder } from '../folders.ts';
import { lockFolder } from '../lock.ts';
import {
  entryBytes,
  type LabelEntry,
  LabelError,
  type LabelsHeader,
  MANIFEST,
  type Manifest,
  problemWithTeacher,
  readManifest,
  shardName,
  teacherMismatch,
} from './manifest.ts';
import { encodeLabels, Shards, writeAt } from './shards.ts';
import { frameCountOf, type Teacher } from './teacher.ts';

/** What to label with what, and where the labels go. */
export interface LabelOptions {
  /** Music: a folder, searched recursively, a manifest or an archive, see `listAudio`. */
  data: string;
  /** A new folder, or one that holds labels of the same teacher, which are gone on with. */
  out: string;
  teacher: Teacher;
  /** How files of other rates are brought to the teacher's; default the teacher's own way, else kaiser64. */
  resample?: ResampleQuality;
  /** A file's labels go to the next shard when this one would become larger; default 256 MiB. */
  shardBytes?: number;
  /** Told of each file when its labels are on the disk, or it was left out. */
  onFile?(event: LabelEvent): void;
  /** Asked before each file; true ends the run, which can be gone on with. */
  stopped?(): boolean;
}

/** What became of one file. */
export interface LabelEvent {
  /** Of `total` files, from 1. */
  number: number;
  total: number;
  path: string;
  /** Labels in each codebook, or 0. */
  frames: number;
  /** Why it was left out. */
  skipped?: string;
}

/** How a run of labelling ended. */
export interface LabelResult {
  /** False when it was stopped. */
  finished: boolean;
  /** Files labelled in this run, and files whose labels were there. */
  labelled: number;
  already: number;
  skipped: { path: string; reason: string }[];
  /** Files that have labels but are no longer in the folder. */
  gone: string[];
  /** Labels in each codebook, of this run. */
  frames: number;
}

/** The header of labels that a teacher makes. @throws LabelError when its description makes no sense. */
function headerOf(teacher: Teacher, resample: ResampleQuality): LabelsHeader {
  const { name, hash, sampleRate, hop, framePadding, codebooks } = teacher;
  const description = { name, hash, sampleRate, hop, framePadding, codebooks: [...codebooks] };
  const problem = problemWithTeacher(description);
  if (problem) throw new LabelError(`cannot label: ${problem}`);
  const bytesPerLabel = Math.max(...codebooks) > 256 ? 2 : 1;
  const adapter = teacher.adapter === undefined ? {} : { adapter: teacher.adapter };
  return { format: 'dawnchorus-labels', version: 1, teacher: description, resample, bytesPerLabel, ...adapter };
}

/** SHA-256 of a piece of music as it lies in its file or archive. */
export async function hashOfItem(item: AudioItem): Promise<string> {
  return withBytes(item, async (bytes) => {
    const hash = createHash('sha256');
    const step = 1 << 20;
    for (let at = 0; at < bytes.size; at += step) hash.update(await bytes.read(at, step));
    return hash.digest('hex');
  });
}

/** Bytes of a piece of music, and when its file or archive was last changed. */
async function stateOf({ path, place }: AudioItem): Promise<{ bytes: number | undefined; changed: number }> {
  const { size, mtimeMs } = await stat(place.file).catch((cause) => {
    throw new AudioError(path, 'unreadable', `the file cannot be read (${(cause as Error).message})`, { cause });
  });
  // Of a row of a parquet file it is not known before it is read.
  const bytes = place.kind === 'tar' ? place.bytes : place.kind === 'parquet' ? undefined : size;
  return { bytes, changed: mtimeMs };
}

/** Opens a folder's manifest, or starts one, and cuts off what a killed process left behind the last whole entry. */
async function openManifest(out: string, header: LabelsHeader): Promise<Manifest> {
  const path = join(out, MANIFEST);
  const names = await readdir(out);
  for (const name of names) if (name.startsWith(`.${MANIFEST}.`)) await rm(join(out, name), { force: true });
  if (!existsSync(path)) {
    const other = names.find((name) => !name.startsWith('.'));
    if (other) throw new LabelError(`${out}: holds other files (${other}) and no labels; choose a new folder`);
    const line = Buffer.from(`${JSON.stringify(header)}\n`);
    await writeAtomically(path, [line], { what: 'manifest', bytes: line.length });
  }
  const manifest = await readManifest(path);
  const mismatch = teacherMismatch(manifest.header.teacher, header.teacher);
  if (mismatch) {
    throw new LabelError(
      `${out}: its labels are of another teacher (${mismatch}); label with that one, or choose another folder`,
    );
  }
  if (manifest.header.resample !== header.resample) {
    throw new LabelError(
      `${out}: its files were resampled by ${manifest.header.resample}, not ${header.resample}; use the same, or choose another folder`,
    );
  }
  for (const [shard, bytes] of manifest.shardBytes.entries()) {
    const found = await stat(join(out, shardName(shard))).catch(() => undefined);
    if ((found?.size ?? 0) < bytes) {
      throw new LabelError(
        `${join(out, shardName(shard))}: has ${found?.size ?? 0} bytes where the manifest tells of ${bytes}; labels are lost: ` +
          `remove ${out} and make them again`,
      );
    }
  }
  return manifest;
}

/** Labels one file. @throws AudioError when it cannot be used; other errors are not the file's. */
async function labelFile(
  item: AudioItem,
  header: LabelsHeader,
  { teacher }: LabelOptions,
  shards: Shards,
): Promise<LabelEntry> {
  const { path, key } = item;
  const before = await stateOf(item);
  const hash = createHash('sha256');
  const { place, frames, file, size } = await withBytes(item, async (bytes) => {
    const audio = await openPieces(bytes, { sampleRate: teacher.sampleRate, quality: header.resample });
    if (audio.samples === 0) throw new AudioError(path, 'empty', 'the file has no samples');
    const frames = frameCountOf(teacher, audio.samples);
    const parts = encodedStream(audio, header, teacher, frames);
    const place = await shards.append(parts, entryBytes(header, frames), hash);
    return { place, frames, file: audio.file, size: bytes.size };
  });
  const audio = { bytes: size, sha256: await hashOfItem(item) };
  const after = await stateOf(item);
  if (after.bytes !== before.bytes || after.changed !== before.changed) {
    throw new LabelError(`${path}: was changed while it was labelled; label again when nothing writes to ${path}`);
  }
  const { sampleRate, samples } = file;
  const labels = hash.digest('hex');
  return { path: key, sampleRate, samples, frames, teacher: teacher.hash, ...place, sha256: labels, audio };
}

async function* encodedStream(audio: AudioPieces, header: LabelsHeader, teacher: Teacher, frames: number) {
  let done = 0;
  for await (const piece of teacher.stream(audio)) {
    yield encodeLabels(header, piece, done);
    done += piece.length / teacher.codebooks.length;
  }
  if (done !== frames) throw new LabelError(`teacher ${teacher.name} gave ${done} labels where ${frames} were due`);
}

/**
 * Labels every audio file of a folder once. Labels go to shards; when a file's are on the disk a line in the manifest says
 * so. Whenever the process ends, also by force, the same call goes on where it was, and what it leaves is to the byte what
 * an unbroken run leaves. Files that cannot be read are left out, with the reason in the manifest, and tried again by the
 * next call; files that are new are added.
 *
 * @throws LabelError when the folder holds labels of another teacher, or labels that are damaged, or a file was changed
 *   since it was labelled; AudioError when the folder of music cannot be read.
 */
export async function labelFolder(options: LabelOptions): Promise<LabelResult> {
  const {
    data,
    out,
    teacher,
    resample = teacher.resample ?? 'kaiser64',
    shardBytes = 2 ** 28,
    onFile,
    stopped,
  } = options;
  if (!Number.isSafeInteger(shardBytes) || shardBytes < 1) {
    throw new RangeError(`shards of ${shardBytes} bytes; expected a whole number from 1`);
  }
  const skipped: LabelResult['skipped'] = [];
  const listed = await listAudio(data, (path, reason) => skipped.push({ path: nameWithin(data, path), reason }));
  // A manifest may name a file twice; its labels are one.
  const items = [...new Map(listed.map((item) => [item.key, item])).values()];
  if (items.length === 0 && skipped.length === 0) {
    throw new LabelError(`${data}: no audio files (wav, flac, mp3, ogg, opus) in this folder or below it`);
  }
  const header = headerOf(teacher, resample);
  await makeFolder(out);
  const unlock = await lockFolder(out, 'writing labels');
  let file: FileHandle | undefined;
  let shards: Shards | undefined;
  try {
    const manifest = await openManifest(out, header);
    shards = new Shards(out, manifest.shardBytes, shardBytes);
    await shards.cut();
    file = await open(join(out, MANIFEST), 'r+');
    await file.truncate(manifest.bytes);
    let end = manifest.bytes;
    const manifestFile = file;
    const appendLine = async (value: unknown) => {
      const line = Buffer.from(`${JSON.stringify(value)}\n`);
      await writeAt(manifestFile, line, end);
      await manifestFile.datasync();
      end += line.length;
    };
    const present = new Set(items.map(({ key }) => key));
    const gone = [...manifest.entries.keys()].filter((key) => !present.has(key));
    await checkUnchanged(items, manifest);
    const result: LabelResult = { finished: true, labelled: 0, already: 0, skipped, gone, frames: 0 };
    for (const [i, item] of items.entries()) {
      const { key } = item;
      if (manifest.entries.has(key)) {
        result.already++;
        continue;
      }
      if (stopped?.()) {
        result.finished = false;
        break;
      }
      const event = { number: i + 1, total: items.length, path: key };
      try {
        const own = await labelFile(item, header, options, shards);
        const elsewhere = teacher.adapter !== undefined && teacher.adapter !== manifest.header.adapter;
        const entry = elsewhere ? { ...own, adapter: teacher.adapter } : own;
        await appendLine(entry);
        result.labelled++;
        result.frames += entry.frames;
        onFile?.({ ...event, frames: entry.frames });
      } catch (error) {
        if (!(error instanceof AudioError)) throw error;
        const reason = reasonOf(error, item);
        // Said once, however often it is found.
        if (manifest.skipped.get(key) !== reason) await appendLine({ path: key, skipped: reason });
        result.skipped.push({ path: key, reason });
        onFile?.({ ...event, frames: 0, skipped: reason });
      }
    }
    return result;
  } finally {
    await file?.close();
    await shards?.close();
    await unlock();
  }
}

/** Labels of a file that is another one now would be wrong without a sign. */
async function checkUnchanged(items: readonly AudioItem[], manifest: Manifest): Promise<void> {
  const changed: string[] = [];
  for (const item of items) {
    const entry = manifest.entries.get(item.key);
    if (!entry) continue;
    const { bytes = entry.audio.bytes } = await stateOf(item);
    if (bytes !== entry.audio.bytes)
      changed.push(`\n  ${item.path}: ${entry.audio.bytes} bytes when it was labelled, ${bytes} now`);
  }
  if (changed.length > 0) {
    throw new LabelError(
      `${changed.length} files are not what they were when they were labelled; bring them back, or label into another folder:` +
        changed.slice(0, 20).join(''),
    );
  }
}
