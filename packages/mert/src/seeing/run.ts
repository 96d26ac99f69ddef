/** What a run's folder tells. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SkippedFile } from '../data/dataset.ts';
import { isLocked } from '../lock.ts';
import type { Rollback } from '../training/divergence.ts';
import { loadTrainerState, type TrainerState } from '../training/state.ts';
import { followLog, type LogLine } from './log.ts';

/** What `data.json` says of the music of a run. */
export interface RunData {
  data: string;
  files: number;
  hours: number;
  workers: number;
  adapter: string;
  skipped: SkippedFile[];
}

/** A run, as far as it has come. */
export interface Run {
  out: string;
  metrics: LogLine[];
  data: LogLine[];
  validation: LogLine[];
  /** Of the last checkpoint, if there is one. */
  checkpoint?: { folder: string; state: TrainerState };
  /** Whether a process is at work in the folder. */
  running: boolean;
  /** Its returns to earlier steps. */
  rollbacks: Rollback[];
  /** The closing report, if the run has come to its end. */
  report?: Record<string, unknown>;
  music?: RunData;
  /** When it last wrote a line. */
  changed?: Date;
}

async function readJson<T>(path: string): Promise<T | undefined> {
  if (!existsSync(path)) return undefined;
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

/** @throws Error when there is no run in the folder. */
export async function readRun(out: string): Promise<Run> {
  const path = join(out, 'metrics.jsonl');
  if (!existsSync(path))
    throw new Error(`${out}: holds no run (metrics.jsonl is missing); give the --out of mert pretrain`);
  const read = (name: string) => followLog(join(out, name)).read().lines;
  const metrics = read('metrics.jsonl');
  // The last line of a run that goes on may be half written; of one that is whole something can be read.
  if (metrics.length === 0 && readFileSync(path).includes('\n')) {
    throw new Error(`${path}: none of its lines tells of a step; it is damaged, or no log of mert pretrain`);
  }
  const folder = ['checkpoint', 'checkpoint.previous']
    .map((name) => join(out, name))
    .find((path) => existsSync(join(path, 'trainer.json')));
  const state = folder ? await loadTrainerState(folder).catch(() => undefined) : undefined;
  const [report, music] = [
    await readJson<Record<string, unknown>>(join(out, 'report.json')),
    await readJson<RunData>(join(out, 'data.json')),
  ];
  return {
    out,
    metrics,
    data: read('data.jsonl'),
    validation: read('validation.jsonl'),
    ...(folder && state && { checkpoint: { folder, state } }),
    running: await isLocked(out),
    rollbacks: (await readJson<Rollback[]>(join(out, 'rollbacks.json'))) ?? [],
    ...(report && { report }),
    ...(music && { music }),
    changed: statSync(path).mtime,
  };
}
