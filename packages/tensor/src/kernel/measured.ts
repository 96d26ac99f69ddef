import { randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { AdapterDescription } from '../device/adapters.ts';
import { known } from './known.ts';
import type { TunedClass } from './tune.ts';

/** Kernel variants that were measured, by adapter and driver, then by class of problem. */
interface MeasuredFile {
  readonly version: 1;
  readonly adapters: Record<string, Record<string, TunedClass>>;
}

/** `DAWNCHORUS_KERNELS`, else kernels.json in the user's cache folder. */
export function measuredPath(): string {
  const { DAWNCHORUS_KERNELS, XDG_CACHE_HOME } = process.env;
  return DAWNCHORUS_KERNELS ?? join(XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'dawnchorus', 'kernels.json');
}

const nameOf = ({ vendor, name, driver }: AdapterDescription) => [vendor, name, driver].join(' | ');

function readAll(): MeasuredFile {
  try {
    const file = JSON.parse(readFileSync(measuredPath(), 'utf8')) as MeasuredFile;
    if (file.version === 1 && typeof file.adapters === 'object' && file.adapters) return file;
  } catch {
    // Not there yet, or no JSON: what it held can be measured again.
  }
  return { version: 1, adapters: {} };
}

/** Winners by class of problem, as far as they were measured on this adapter with this driver, or else on one like it. */
export function loadMeasured(adapter: AdapterDescription): Map<string, string> {
  const own = Object.values(readAll().adapters[nameOf(adapter)] ?? {});
  return new Map([
    ...Object.entries(known[`${adapter.vendor} | ${adapter.name}`] ?? {}),
    ...own
      .filter(({ winner }) => typeof winner === 'string')
      .map(({ problem, winner }): [string, string] => [problem, winner]),
  ]);
}

/** Adds what was measured. @throws Error when the file cannot be written. */
export function saveMeasured(adapter: AdapterDescription, results: readonly TunedClass[]): void {
  const path = measuredPath();
  // Another process may have added to it meanwhile.
  const file = readAll();
  const own = (file.adapters[nameOf(adapter)] ??= {});
  for (const result of results) own[result.problem] = result;
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`;
  writeFileSync(temporary, `${JSON.stringify(file, null, 1)}\n`);
  renameSync(temporary, path);
}
