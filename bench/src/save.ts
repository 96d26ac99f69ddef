import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Device, DevicePeak } from '@dawnchorus/tensor';
import { peerVersions } from './engines/install.ts';
import type { Result } from './result.ts';

const versionIn = (path: string): string =>
  JSON.parse(readFileSync(fileURLToPath(new URL(path, import.meta.url)), 'utf8')).version;

/** What figures depend on besides the adapter. */
export function versions(): Record<string, string> {
  const webgpu = versionIn('../../node_modules/webgpu/package.json');
  return { dawnchorus: versionIn('../package.json'), node: process.version, webgpu, ...peerVersions() };
}

const slug = (name: string) =>
  name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '');

interface Dated {
  date?: string;
}

/** What tells a figure of a kernel from the others. */
const keyOf = ({ case: name, pass, dtype, engine }: Result) => [name, pass, dtype, engine].join();

/**
 * Rows measured on a date in place of older ones: those of cases that were left out stay as they are, of the date `before` where they
 * have none of their own.
 */
export function mergeRows(
  older: readonly (Result & Dated)[],
  measured: readonly Result[],
  date: string,
  before?: string,
): (Result & Dated)[] {
  const keys = new Set(measured.map(keyOf));
  const kept = older.filter((row) => !keys.has(keyOf(row)));
  return [...kept.map((row) => ({ date: before, ...row })), ...measured.map((row) => ({ ...row, date }))];
}

/** Writes figures with the date, the machine, its driver and ceilings, and versions into bench/results. Returns the file's path. */
export function saveResults(device: Device, kind: string, figures: readonly unknown[], peak?: DevicePeak): string {
  const folder = fileURLToPath(new URL('../results/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const file = `${folder}${kind}-${slug(device.adapter.name)}.json`;
  const machine = { adapter: device.adapter, processor: cpus()[0]?.model, cores: cpus().length };
  const date = new Date().toISOString().slice(0, 10);
  let rows = figures;
  if (kind === 'kernels') {
    const before = existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : { rows: [] };
    rows = mergeRows(before.rows, figures as readonly Result[], date, before.date);
  }
  // A run that is stopped meanwhile leaves what was there.
  const own = `${file}.${process.pid}.tmp`;
  writeFileSync(own, `${JSON.stringify({ date, machine, versions: versions(), peak, rows }, null, 1)}\n`);
  renameSync(own, file);
  return file;
}
