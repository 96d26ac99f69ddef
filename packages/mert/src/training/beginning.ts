/** What a run was started with: how it goes on before there is a checkpoint, and what it must find again. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { writeJson } from '@dawnchorus/formats';
import type { PretrainConfig } from '../config/index.ts';
import type { Dataset } from '../data/dataset.ts';
import type { TrainerState } from './state.ts';

/** A run's music: what a resumed one must find again of its files. */
export type MusicFiles = Required<Pick<TrainerState, 'files' | 'samples' | 'sampleRates'>>;

/** The part of a checkpoint's state that is known at the start, here of a pretraining. */
export type Beginning = Pick<TrainerState, 'config' | 'data' | 'labels' | 'teacher' | 'stopAt' | 'givenSteps'> &
  Partial<MusicFiles>;

const fileOf = (out: string) => join(out, 'run.json');

/** Writes down in a run's folder what it is started with. */
export const saveBeginning = <T = Beginning>(out: string, beginning: T): Promise<void> =>
  writeJson(fileOf(out), beginning);

/** A checkpoint tells it, too. */
export const forgetBeginning = (out: string): Promise<void> => rm(fileOf(out), { force: true });

/** What a run was started with, if its folder tells. @throws Error when that is no JSON. */
export async function loadBeginning<T = Beginning>(out: string): Promise<T | undefined> {
  const path = fileOf(out);
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (cause) {
    throw new Error(`${path}: is not JSON: ${(cause as Error).message}; start anew in another --out`, { cause });
  }
}

/**
 * Names the settings in which two configurations of a kind differ.
 *
 * @param free settings, as section.field, that may.
 */
export function differences(now: object, before: object, free: RegExp): string[] {
  const sections = Object.entries<Record<string, unknown>>({ ...now });
  return sections.flatMap(([section, fields]) => {
    const then = (before as Record<string, Record<string, unknown>>)[section];
    return Object.keys(fields)
      .filter((key) => JSON.stringify(fields[key]) !== JSON.stringify(then?.[key]) && !free.test(`${section}.${key}`))
      .map((key) => `${section}.${key}: ${JSON.stringify(then?.[key])} in the run, ${JSON.stringify(fields[key])} now`);
  });
}

/** Settings that may change when a pretraining goes on: they change nothing of what is learnt. */
const freeToChange = /^(training\.(steps|compile)|(checkpoint|validation|monitor|divergence)\..*)$/;

/** @throws Error that names the settings with which a run does not go on as it was started. */
export function checkConfig(out: string, now: PretrainConfig, before: PretrainConfig): void {
  const changed = differences(now, before, freeToChange);
  if (changed.length > 0) {
    throw new Error(
      `${out}: the run was started with another configuration:\n  ${changed.join('\n  ')}\nresume with the same one`,
    );
  }
}

/** The files of a dataset, by their places in its folder. */
export const musicFiles = ({ files }: Dataset, folder: string): MusicFiles => ({
  files: files.map(({ path }) => relative(folder, path)),
  samples: files.map(({ frames }) => frames),
  sampleRates: files.map(({ sampleRate }) => sampleRate),
});

/** How one list of names is not another. */
function changeOfNames(names: readonly string[], before: readonly string[]): string {
  const [known, there] = [new Set(before), new Set(names)];
  const missing = before.filter((name) => !there.has(name));
  const added = names.filter((name) => !known.has(name));
  if (missing.length + added.length > 0) {
    return `${missing.length} missing${missing.length ? `, e.g. ${missing[0]}` : ''}; ${added.length} new${added.length ? `, e.g. ${added[0]}` : ''}`;
  }
  const first = names.findIndex((name, i) => name !== before[i]);
  return `they are in another order: file ${first + 1} was ${before[first]} and is ${names[first]}`;
}

/** @throws Error that names what is missing, new, in another place or another file than before. */
export function checkFiles(folder: string, now: MusicFiles, before: Beginning): void {
  const { files = now.files, samples = now.samples, sampleRates = now.sampleRates } = before;
  const names = now.files;
  if (names.join('\n') !== files.join('\n')) {
    throw new Error(
      `${folder}: not the files that this run was started on (${changeOfNames(names, files)}); a resumed run needs the same ones in the same order`,
    );
  }
  const changed = names.findIndex((_, i) => samples[i] !== now.samples[i] || sampleRates[i] !== now.sampleRates[i]);
  if (changed >= 0) {
    throw new Error(
      `${folder}: ${names[changed]} is another file than the run was started on: it had ${samples[changed]} samples at ` +
        `${sampleRates[changed]} Hz and has ${now.samples[changed]} at ${now.sampleRates[changed]} Hz; a resumed run needs the same ones`,
    );
  }
}
