/** The logs of a run, read while they grow. */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs';

/** A line of a log: a step, and what was measured. */
export type LogLine = { step: number } & Record<string, unknown>;

/** Reads a log of one JSON object a line again and again, each time what is new. */
export interface LogReader {
  /** New whole lines; `restarted` when the log was cut back, and all its lines come again. */
  read(): { lines: LogLine[]; restarted: boolean };
}

/** Opens a log, which need not be there yet. Lines that are no JSON are passed over. */
export function followLog(path: string): LogReader {
  let at = 0;
  let rest = '';
  /** The last bytes that were read. */
  let tail: Buffer = Buffer.alloc(0);
  return {
    read() {
      if (!existsSync(path)) return { lines: [], restarted: false };
      const { size } = statSync(path);
      const descriptor = openSync(path, 'r');
      try {
        const take = (from: number, length: number): Buffer => {
          const bytes = Buffer.alloc(Math.max(0, length));
          return bytes.subarray(0, readSync(descriptor, bytes, 0, bytes.length, from));
        };
        // A run that goes on cuts its logs back; what was read last is then no longer what stands there.
        const restarted = size < at || !take(at - tail.length, tail.length).equals(tail);
        if (restarted) {
          at = 0;
          rest = '';
          tail = Buffer.alloc(0);
        }
        const fresh = take(at, size - at);
        at += fresh.length;
        tail = Buffer.concat([tail, fresh]).subarray(-200);
        const parts = (rest + fresh.toString('utf8')).split('\n');
        rest = parts.pop() ?? '';
        const lines = parts.flatMap((line) => {
          try {
            const value = JSON.parse(line) as LogLine;
            return typeof value?.step === 'number' ? [value] : [];
          } catch {
            return [];
          }
        });
        return { lines, restarted };
      } finally {
        closeSync(descriptor);
      }
    },
  };
}

/** The numbers of a line by name; lists and objects give one for each of their numbers: `lossCodes/0`. */
export function scalarsOf(line: LogLine): Record<string, number> {
  const found: Record<string, number> = {};
  const add = (name: string, value: unknown): void => {
    if (typeof value === 'number') found[name] = value;
    else if (typeof value === 'object' && value !== null) {
      for (const [inner, one] of Object.entries(value)) add(`${name}/${inner}`, one);
    }
  };
  for (const [name, value] of Object.entries(line)) if (name !== 'step') add(name, value);
  return found;
}
