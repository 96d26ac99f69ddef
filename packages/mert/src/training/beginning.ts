/** What a run was started with: how it goes on before there is a checkpoint. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeJson } from '@dawnchorus/formats';
import type { TrainerState } from './state.ts';

/** The part of a checkpoint's state that is known at the start, here of a pretraining. */
export type Beginning = Pick<TrainerState, 'config' | 'data' | 'labels' | 'teacher' | 'stopAt' | 'givenSteps'> &
  Partial<Pick<TrainerState, 'files' | 'samples' | 'sampleRates'>>;

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
