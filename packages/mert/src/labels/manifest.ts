import { createReadStream } from 'node:fs';
import type { ResampleQuality } from '@dawnchorus/dsp';
import { resampledLength } from '@dawnchorus/dsp';
import { frameCountOf, type TeacherDescription } from './teacher.ts';

/** Labels that cannot be used, or written: the message says which, why, and what to do. */
export class LabelError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabelError';
  }
}

/** The manifest's first line. */
export interface LabelsHeader {
  readonly format: 'dawnchorus-labels';
  readonly version: 1;
  readonly teacher: TeacherDescription;
  /** How files of other rates were brought to the teacher's. */
  readonly resample: ResampleQuality;
  /** Each label is so many bytes in the shards, little-endian: 1 or 2. */
  readonly bytesPerLabel: 1 | 2;
  /** The adapter that the teacher ran on, where it says so. */
  readonly adapter?: string;
}

/** A file that was labelled. */
export interface LabelEntry {
  /** Relative to the folder of music, with `/` between names. */
  readonly path: string;
  /** Of the file, in samples a second. */
  readonly sampleRate: number;
  /** Of the file, of each channel, at that rate. */
  readonly samples: number;
  /** Labels in each codebook. */
  readonly frames: number;
  /** Hash of the teacher. */
  readonly teacher: string;
  /** Where the labels are: [frames, codebooks] from this byte of this shard on. */
  readonly shard: number;
  readonly offset: number;
  /** SHA-256 of these bytes. */
  readonly sha256: string;
  /** The file that was labelled. */
  readonly audio: { readonly bytes: number; readonly sha256: string };
  /** The adapter that these labels were made on, where it is another than the manifest's. */
  readonly adapter?: string;
}

/** A file that could not be labelled. */
export interface SkippedEntry {
  readonly path: string;
  readonly skipped: string;
}

/** A manifest that was read and found sound. */
export interface Manifest {
  readonly header: LabelsHeader;
  /** By path. */
  readonly entries: Map<string, LabelEntry>;
  readonly skipped: Map<string, string>;
  /** Bytes of each shard that the entries fill: [shards]. */
  readonly shardBytes: number[];
  /** Bytes up to the end of the last whole line; a killed process may have left half of another behind it. */
  readonly bytes: number;
}

export const MANIFEST = 'manifest.jsonl';
export const shardName = (shard: number): string => `labels-${String(shard).padStart(5, '0')}.bin`;

/** Bytes of a file's labels. */
export const entryBytes = ({ teacher, bytesPerLabel }: LabelsHeader, frames: number): number =>
  frames * teacher.codebooks.length * bytesPerLabel;

/** Samples of a file at the teacher's rate. */
export const teacherSamples = (
  { teacher }: Pick<LabelsHeader, 'teacher'>,
  { samples, sampleRate }: Pick<LabelEntry, 'samples' | 'sampleRate'>,
): number => resampledLength(samples, sampleRate, teacher.sampleRate);

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isHash = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);

/** What is wrong with a teacher's description, if anything. */
export function problemWithTeacher(teacher: TeacherDescription): string | undefined {
  const { name, hash, sampleRate, hop, framePadding, codebooks } = teacher ?? {};
  if (typeof name !== 'string' || name === '') return 'the teacher has no name';
  if (!isHash(hash)) return `the teacher’s hash is ${JSON.stringify(hash)}; expected 64 hexadecimal digits`;
  if (!isCount(sampleRate) || sampleRate < 1 || !isCount(hop) || hop < 1 || !Number.isSafeInteger(framePadding)) {
    return `sampleRate ${sampleRate}, hop ${hop} and framePadding ${framePadding} must be whole numbers, the first two from 1`;
  }
  const sizes = Array.isArray(codebooks) ? codebooks : [];
  if (sizes.length === 0 || !sizes.every((size) => isCount(size) && size >= 1 && size <= 65536)) {
    return `codebooks are ${JSON.stringify(codebooks)}; expected one size or more, each 1 to 65536`;
  }
  return undefined;
}

function problemWithHeader(header: LabelsHeader): string | undefined {
  if (header?.format !== 'dawnchorus-labels') return 'it is no manifest of labels';
  if (header.version !== 1) return `it is of version ${header.version}; this program reads version 1`;
  if (!['hann6', 'kaiser64'].includes(header.resample)) return `resample is ${JSON.stringify(header.resample)}`;
  const problem = problemWithTeacher(header.teacher);
  if (problem) return problem;
  const least = Math.max(...header.teacher.codebooks) > 256 ? 2 : 1;
  return header.bytesPerLabel === least ? undefined : `bytesPerLabel is ${header.bytesPerLabel}, expected ${least}`;
}

/** What is wrong with a file's line, given the bytes that the shards hold so far. */
function problemWithEntry(header: LabelsHeader, entry: LabelEntry, shardBytes: readonly number[]): string | undefined {
  const { sampleRate, samples, frames, teacher, shard, offset, sha256, audio } = entry;
  if (![sampleRate, samples, frames, shard, offset, audio?.bytes].every(isCount) || sampleRate < 1) {
    return 'sampleRate, samples, frames, shard, offset and audio.bytes must be whole numbers';
  }
  if (!isHash(sha256) || !isHash(audio.sha256)) return 'sha256 must be 64 hexadecimal digits';
  if (teacher !== header.teacher.hash) {
    return `its labels are of teacher ${short(teacher)}, those of the manifest of ${short(header.teacher.hash)}`;
  }
  const expected = frameCountOf(header.teacher, teacherSamples(header, entry));
  if (frames !== expected) return `${samples} samples at ${sampleRate} Hz have ${expected} labels, not ${frames}`;
  const next = shardBytes.length - 1;
  const follows = shard === next ? offset === shardBytes[next] : shard === next + 1 && offset === 0;
  return follows ? undefined : `its labels are not behind those of the line before: shard ${shard}, byte ${offset}`;
}

export const short = (hash: unknown): string => (typeof hash === 'string' ? hash.slice(0, 12) : JSON.stringify(hash));

/** Lines of a file with their line feeds, the last one perhaps without. */
async function* linesOf(path: string): AsyncGenerator<Buffer, void, undefined> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
    let block = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk;
    for (let end = block.indexOf(10); end >= 0; end = block.indexOf(10)) {
      yield block.subarray(0, end + 1);
      block = block.subarray(end + 1);
    }
    rest = block;
  }
  if (rest.length > 0) yield rest;
}

/**
 * Reads a manifest and checks it line by line: every file once, with as many labels as its samples have, one behind the
 * other in the shards. A last line without a line feed is left out.
 *
 * @throws LabelError that names the line.
 */
export async function readManifest(path: string): Promise<Manifest> {
  const entries = new Map<string, LabelEntry>();
  const skipped = new Map<string, string>();
  const shardBytes = [0];
  let header: LabelsHeader | undefined;
  let bytes = 0;
  let number = 0;
  for await (const line of linesOf(path)) {
    number++;
    const fail = (problem: string): never => {
      throw new LabelError(
        `${path}:${number}: ${problem}; the manifest is damaged: remove the labels and make them again`,
      );
    };
    if (line[line.length - 1] !== 10) break;
    let value: unknown;
    try {
      value = JSON.parse(line.toString());
    } catch {
      fail(`${JSON.stringify(line.toString().slice(0, 60))} is no JSON`);
    }
    bytes += line.length;
    if (header === undefined) {
      header = value as LabelsHeader;
      const problem = problemWithHeader(header);
      if (problem) fail(problem);
      continue;
    }
    const entry = value as LabelEntry & SkippedEntry;
    if (typeof entry?.path !== 'string' || entry.path === '') fail('a line needs a path');
    if (entries.has(entry.path)) fail(`${entry.path} is there twice`);
    if (typeof entry.skipped === 'string') {
      skipped.set(entry.path, entry.skipped);
      continue;
    }
    const problem = problemWithEntry(header, entry, shardBytes);
    if (problem) fail(`${entry.path}: ${problem}`);
    // One that was left out may have been repaired since.
    skipped.delete(entry.path);
    entries.set(entry.path, entry);
    shardBytes[entry.shard] = entry.offset + entryBytes(header, entry.frames);
  }
  if (header === undefined)
    throw new LabelError(`${path}: the manifest is empty; remove the labels and make them again`);
  return { header, entries, skipped, shardBytes, bytes };
}

/** How labels' teacher differs from another, or undefined. */
export function teacherMismatch(own: TeacherDescription, other: Partial<TeacherDescription>): string | undefined {
  const differences: string[] = [];
  for (const key of ['name', 'sampleRate', 'hop', 'framePadding', 'codebooks', 'hash'] as const) {
    if (other[key] === undefined || JSON.stringify(own[key]) === JSON.stringify(other[key])) continue;
    const text = (value: unknown) => (key === 'hash' ? short(value) : JSON.stringify(value));
    differences.push(`${key} ${text(own[key])} there, ${text(other[key])} here`);
  }
  return differences.length > 0 ? differences.join('; ') : undefined;
}
