import type { PooledBuffer } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import { isVirtual } from '../memory/virtual.ts';
import { callSite } from './call-site.ts';
import { formatBytes } from './errors.ts';

/** What debug mode knows of one tensor. */
export interface TensorRecord {
  readonly what: string;
  /** Where the user's code made it. */
  readonly site: string;
  storage: Storage;
  disposedAt?: string;
  /** Called when the tensor was garbage-collected without being disposed. */
  collected(): void;
}

/** Tensors that were made at one place. */
export interface LeakGroup {
  /** The line of the user's code: `train (/home/me/train.ts:12:9)`. */
  readonly site: string;
  readonly tensors: number;
  /** Memory shared with tensors of another place counts there, if that was first. */
  readonly bytes: number;
  /** One of the tensors: `f32[32, 512]`. */
  readonly example: string;
}

/** Which tensors hold memory and where they were made. `String(report)` is a table. */
export interface LeakReport {
  /** Tensors that are alive, by bytes. Together they hold what `statistics().liveBytes` says. */
  readonly live: readonly LeakGroup[];
  /** Tensors that were garbage-collected without `dispose`, `using` or a scope since the device opened. */
  readonly collected: readonly LeakGroup[];
  /** The groups with their call sites, as text. */
  toString(): string;
}

const CONSTANTS = '(constants that the engine keeps)';

interface Group {
  site: string;
  tensors: number;
  bytes: number;
  example: string;
}

const byBytes = (groups: Iterable<Group>) => [...groups].sort((a, b) => b.bytes - a.bytes || b.tensors - a.tensors);

function add(groups: Map<string, Group>, site: string, bytes: number, example: string, tensors = 1): void {
  const group = groups.get(site) ?? { site, tensors: 0, bytes: 0, example };
  group.tensors += tensors;
  group.bytes += bytes;
  groups.set(site, group);
}

function lines(title: string, groups: readonly Group[]): string[] {
  const bytes = groups.reduce((sum, group) => sum + group.bytes, 0);
  const tensors = groups.reduce((sum, group) => sum + group.tensors, 0);
  return [
    `${title}: ${tensors} tensors, ${formatBytes(bytes)}`,
    ...groups.map(
      ({ site, tensors, bytes, example }) =>
        `  ${String(tensors).padStart(6)}  ${formatBytes(bytes).padStart(10)}  ${example} at ${site}`,
    ),
  ];
}

/** The records of debug mode: where every tensor was made, and where it was disposed. */
export function createDebugRecords() {
  const live = new Set<TensorRecord>();
  const collected = new Map<string, Group>();

  return {
    opened(storage: Storage, what: string): TensorRecord {
      const record: TensorRecord = {
        what,
        site: storage.buffer.label === 'scalar' ? CONSTANTS : callSite(),
        storage,
        collected() {
          live.delete(record);
          const { storage } = record;
          add(collected, record.site, storage.references === 1 ? storage.buffer.size : 0, what);
          storage.collected();
        },
      };
      live.add(record);
      return record;
    },
    /** A tensor that was disposed has elements again. */
    reopened(record: TensorRecord, storage: Storage): void {
      record.storage = storage;
      record.disposedAt = undefined;
      live.add(record);
    },
    closed(record: TensorRecord): void {
      live.delete(record);
      record.disposedAt = callSite();
    },
    /** `buffers`: all of the device that are in use; memory without tensors is among them, that of compiled functions. */
    report(buffers: Iterable<PooledBuffer>): LeakReport {
      const groups = new Map<string, Group>();
      const counted = new Set<PooledBuffer>();
      for (const { storage, site, what } of live) {
        if (isVirtual(storage.buffer)) continue;
        const own = counted.has(storage.buffer) ? 0 : storage.buffer.size;
        counted.add(storage.buffer);
        add(groups, site, own, what);
      }
      for (const buffer of buffers) {
        if (!counted.has(buffer)) add(groups, `(memory of ${buffer.label})`, buffer.size, 'buffers', 0);
      }
      const report = { live: byBytes(groups.values()), collected: byBytes(collected.values()) };
      return {
        ...report,
        toString: () =>
          [...lines('live', report.live), ...lines('collected without dispose', report.collected)].join('\n'),
      };
    },
  };
}

export type DebugRecords = ReturnType<typeof createDebugRecords>;
