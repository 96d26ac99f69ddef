import { mkdirSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Device } from '@dawnchorus/tensor';

/** Writes figures with the machine's name into bench/results. */
export function saveResults(device: Device, kind: string, figures: readonly unknown[]): void {
  const folder = fileURLToPath(new URL('../results/', import.meta.url));
  mkdirSync(folder, { recursive: true });
  const adapter = device.adapter.name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/-$/, '');
  const file = `${folder}${kind ? `${kind}-` : ''}${adapter}.json`;
  const machine = { adapter: device.adapter, processor: cpus()[0]?.model, cores: cpus().length, node: process.version };
  const date = new Date().toISOString().slice(0, 10);
  writeFileSync(file, `${JSON.stringify({ date, machine, rows: figures }, null, 2)}\n`);
  console.log(`wrote ${file}`);
}
