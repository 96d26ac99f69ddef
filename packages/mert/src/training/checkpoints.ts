/**
 * A run's checkpoints: OUT/checkpoint is the latest, OUT/checkpoints/step-N are older ones that a rule keeps. Each is written
 * aside and takes its place when it is whole; the checksums in it, written last, tell a whole one from a damaged one.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { writeJson } from '@dawnchorus/formats';
import { makeFolder } from '../folders.ts';
import { hashFile } from '../hash.ts';

/** Which checkpoints stay. */
export interface KeepRule {
  /** How many of the latest. */
  keepLast: number;
  /** Those of steps that are multiples of this; 0 for none. */
  keepEvery: number;
  /** Whether the one with the least held-out loss. */
  keepBest: boolean;
}

/** What trainer.json says of a checkpoint that others need to know. */
interface Summary {
  step: number;
  heldOutLoss?: number;
  /** Whether the run may have been diverging when it was written. */
  suspicious?: boolean;
}

/** A checkpoint's folder, and the step it is of. */
interface Found extends Summary {
  folder: string;
}

const CHECKSUMS = 'checksums.json';

/** Files of a checkpoint, folders in it included, but for the checksums themselves. */
async function filesOf(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  const files: string[] = [];
  for (const name of names.sort()) {
    if (name !== CHECKSUMS && (await stat(join(folder, name))).isFile()) files.push(name);
  }
  return files;
}

async function writeChecksums(folder: string): Promise<void> {
  const files: Record<string, Checksum> = {};
  for (const name of await filesOf(folder)) {
    const path = join(folder, name);
    files[name.split('\\').join('/')] = { bytes: (await stat(path)).size, sha256: await hashFile(path) };
  }
  await writeJson(join(folder, CHECKSUMS), { format: 'dawnchorus-checksums', version: 1, files });
}

interface Checksum {
  bytes: number;
  sha256: string;
}

async function damageOfFile(folder: string, name: string, { bytes, sha256: expected }: Checksum) {
  const path = join(folder, name);
  const found = await stat(path).catch(() => undefined);
  if (!found) return `${name} is missing`;
  if (found.size !== bytes) return `${name} has ${found.size} bytes, not ${bytes}`;
  if ((await hashFile(path)) !== expected) return `${name} is damaged: its SHA-256 is not that of ${CHECKSUMS}`;
  return undefined;
}

/** Holds one file against the checksums of its folder, where these are there. @throws Error that says what is wrong. */
export async function checkAgainstChecksums(folder: string, name: string): Promise<void> {
  const path = join(folder, CHECKSUMS);
  if (!existsSync(path)) return;
  const { files } = JSON.parse(await readFile(path, 'utf8')) as { files?: Record<string, Checksum> };
  const damage = files?.[name] && (await damageOfFile(folder, name, files[name]));
  if (damage) throw new Error(`${folder}: ${damage}; copy it again, or remove ${CHECKSUMS} if you changed it`);
}

/** What is wrong with a checkpoint; undefined when it is whole. Those from before checksums pass when trainer.json is there. */
async function damageOf(folder: string): Promise<string | undefined> {
  const path = join(folder, CHECKSUMS);
  if (!existsSync(path)) {
    return existsSync(join(folder, 'trainer.json')) ? undefined : 'trainer.json is missing';
  }
  let files: Record<string, Checksum>;
  try {
    ({ files } = JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    return `${CHECKSUMS} cannot be read: ${(error as Error).message}`;
  }
  for (const [name, checksum] of Object.entries(files ?? {})) {
    const damage = await damageOfFile(folder, name, checksum);
    if (damage) return damage;
  }
  return files?.['trainer.json'] ? undefined : 'trainer.json is not among its files';
}

async function summaryOf(folder: string): Promise<Summary | undefined> {
  try {
    const { step, heldOutLoss, suspicious } = JSON.parse(
      await readFile(join(folder, 'trainer.json'), 'utf8'),
    ) as Summary;
    return Number.isSafeInteger(step) ? { step, heldOutLoss, suspicious } : undefined;
  } catch {
    return undefined;
  }
}

const latest = (out: string) => join(out, 'checkpoint');
const kept = (out: string) => join(out, 'checkpoints');

/** Folders that hold checkpoints, the newest step first; those whose step cannot be read are left out, and named. */
async function listCheckpoints(out: string): Promise<{ found: Found[]; unreadable: string[] }> {
  const older = await readdir(kept(out)).catch(() => []);
  const folders = [
    latest(out),
    join(out, 'checkpoint.previous'),
    ...older.filter((name) => /^step-\d+$/.test(name)).map((name) => join(kept(out), name)),
  ].filter((folder) => existsSync(folder));
  const found: Found[] = [];
  const unreadable: string[] = [];
  for (const folder of folders) {
    const summary = await summaryOf(folder);
    if (summary) found.push({ folder, ...summary });
    else unreadable.push(folder);
  }
  // Of one step the one in its place comes first.
  return { found: found.sort((a, b) => b.step - a.step), unreadable };
}

/** Whether a folder holds anything that looks like a checkpoint. */
const hasCheckpoints = (out: string): boolean =>
  [latest(out), join(out, 'checkpoint.previous'), kept(out)].some((folder) => existsSync(folder));

/** The latest whole checkpoint, or of those that no bad stretch left (`good`), and what was found damaged before it. */
export async function latestCheckpoint(
  out: string,
  { before = Number.POSITIVE_INFINITY, good = false }: { before?: number; good?: boolean } = {},
): Promise<{ folder: string | undefined; step: number; damaged: string[] }> {
  const { found, unreadable } = await listCheckpoints(out);
  const damaged = unreadable.map((folder) => `${folder}: trainer.json is missing or cannot be read`);
  for (const { folder, step, suspicious } of found) {
    if (step > before || (good && suspicious)) continue;
    const damage = await damageOf(folder);
    if (damage === undefined) return { folder, step, damaged };
    damaged.push(`${folder}: ${damage}`);
  }
  return { folder: undefined, step: 0, damaged };
}

const noneWhole = (out: string, damaged: readonly string[]) =>
  new Error(
    `${out}: no checkpoint of this run is whole:\n  ${damaged.join('\n  ')}\nrestore one from a copy, or start anew in another --out`,
  );

/** The latest whole checkpoint, if there are any. @throws Error that names what is damaged where none is whole. */
export async function checkpointToResume(out: string): Promise<string | undefined> {
  const { folder, damaged } = await latestCheckpoint(out);
  if (!folder && damaged.length > 0) throw noneWhole(out, damaged);
  return folder;
}

/** What a run writes when it ends: what is called so before it begins is somebody's. */
const closingFiles = ['report.md', 'report.json', 'curves.svg'];

/** Removes what a run wrote when it ended, once it goes on: what it says is no longer so. */
export async function removeClosingFiles(out: string): Promise<void> {
  for (const name of closingFiles) await rm(join(out, name), { force: true });
}

/**
 * Makes a run's folder, or finds the checkpoint to go on from, if the run there has one. `others`: files and folders that also
 * tell that there is a run.
 */
export async function prepareRunFolder(
  { out, resume, others }: { out: string; resume?: boolean; others: readonly string[] },
  log: (line: string) => void,
): Promise<string | undefined> {
  const holdsRun = hasCheckpoints(out) || others.some((name) => existsSync(join(out, name)));
  if (holdsRun && !resume) {
    throw new Error(`${out}: this folder already holds a run; go on with --resume, or choose another --out`);
  }
  if (!holdsRun && resume) throw new Error(`${out}: there is no run to resume here; leave out --resume to start one`);
  if (!resume) {
    const there = closingFiles.find((name) => existsSync(join(out, name)));
    if (there)
      throw new Error(`${out}: holds a ${there} of its own, which the run would overwrite; choose another --out`);
    await makeFolder(out);
    return undefined;
  }
  const { folder, step, damaged } = await latestCheckpoint(out);
  for (const line of damaged) log(`passed over ${line}`);
  if (!folder && damaged.length > 0) throw noneWhole(out, damaged);
  if (folder && damaged.length > 0) log(`going on from ${folder}, step ${step}, which is whole`);
  return folder;
}

/** Names of checkpoints that are being removed end so. */
const REMOVING = '.removing';

/** Removes a checkpoint, out of the way first: half removed in its place it would look damaged. */
async function removeCheckpoint(folder: string): Promise<void> {
  const aside = folder + REMOVING;
  await rm(aside, { recursive: true, force: true });
  if (!existsSync(folder)) return;
  await rename(folder, aside);
  await rm(aside, { recursive: true, force: true });
}

/** Removes the checkpoints that a bad stretch left, once the run has gone back to a good one. */
export async function removeSuspicious(out: string): Promise<void> {
  for (const { folder, suspicious } of (await listCheckpoints(out)).found) {
    if (suspicious) await removeCheckpoint(folder);
  }
}

/** Which of some checkpoints a rule keeps: of those that a bad stretch left none. */
export function keptBy(rule: KeepRule, all: readonly Summary[]): Set<number> {
  const checkpoints = all.filter(({ suspicious }) => !suspicious);
  const steps = checkpoints.map(({ step }) => step).sort((a, b) => b - a);
  const keep = new Set(steps.slice(0, rule.keepLast));
  for (const step of steps) if (rule.keepEvery > 0 && step % rule.keepEvery === 0) keep.add(step);
  const scored = checkpoints.filter(({ heldOutLoss }) => heldOutLoss !== undefined && Number.isFinite(heldOutLoss));
  if (rule.keepBest && scored.length > 0) {
    keep.add(scored.reduce((best, one) => (one.heldOutLoss! < best.heldOutLoss! ? one : best)).step);
  }
  return keep;
}

/**
 * Writes OUT/checkpoint anew: `write` fills a folder aside, which gets its checksums and takes the place of the one there; that
 * one stays among OUT/checkpoints where the rule keeps it. At no moment is there no whole checkpoint.
 */
export async function writeCheckpoint(
  out: string,
  step: number,
  rule: KeepRule,
  write: (folder: string) => Promise<void>,
): Promise<string> {
  const [final, previous, aside] = [latest(out), join(out, 'checkpoint.previous'), join(out, 'checkpoint.writing')];
  try {
    await rm(aside, { recursive: true, force: true });
    await mkdir(aside, { recursive: true });
    await write(aside);
    await writeChecksums(aside);
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => {});
    throw error;
  }
  const { found } = await listCheckpoints(out);
  const own = await summaryOf(aside);
  // What is of later steps belongs to a run that went back.
  const older = found.filter((one) => one.step < step);
  const keep = keptBy(rule, [...older, { ...own, step }]);
  if (existsSync(final)) {
    const old = older.find(({ folder }) => folder === final);
    if (old && keep.has(old.step)) {
      await mkdir(kept(out), { recursive: true });
      const place = join(kept(out), `step-${old.step}`);
      await removeCheckpoint(place);
      await rename(final, place);
    } else {
      await removeCheckpoint(previous);
      await rename(final, previous);
    }
  }
  await rename(aside, final);
  await removeCheckpoint(previous);
  await rm(final + REMOVING, { recursive: true, force: true });
  for (const name of await readdir(kept(out)).catch(() => [])) {
    if (name.endsWith(REMOVING)) await rm(join(kept(out), name), { recursive: true, force: true });
    const number = Number(/^step-(\d+)$/.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(number) || (keep.has(number) && number < step)) continue;
    await removeCheckpoint(join(kept(out), name));
  }
  return final;
}

/** A checkpoint's name for people, within a run. */
export const nameOf = (folder: string): string => basename(folder);
