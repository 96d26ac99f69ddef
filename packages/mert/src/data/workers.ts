/** Threads that decode crops while the device computes. */
import { Worker } from 'node:worker_threads';
import { type CropTask, createCropReader, type ReadCrop } from './crops.ts';
import type { WorkerAnswer } from './worker.ts';

/** The reading itself failed, not a file: to leave a file out would make the run depend on its threads. */
export class ReaderError extends Error {}

/** Decoded audio that is kept, by all threads together. */
export const CACHE_BYTES = 1 << 29;

/** Where a thread begins: TypeScript needs what reads it there, too, and JavaScript does not. */
const entry = import.meta.url.endsWith('.ts') ? './worker-entry.mjs' : './worker.js';

/** Readers of crops: what they read does not depend on how many there are. */
export interface CropReaders {
  /** @param affinity crops of one file share a number, and go to one thread, which keeps what it decoded. */
  read(task: CropTask, affinity: number): Promise<ReadCrop>;
  /** Ends the threads. */
  close(): Promise<void>;
}

/** Reads in so many threads, or with 0 in this one. */
export function createReaders(count: number): CropReaders {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`${count} workers; expected a whole number from 0`);
  }
  if (count === 0) {
    return { read: createCropReader(CACHE_BYTES), close: async () => {} };
  }
  const waiting = new Map<number, { resolve(crop: ReadCrop): void; reject(error: Error): void; worker: number }>();
  const workers: (Worker | undefined)[] = Array.from({ length: count });
  let next = 0;
  let closed = false;
  const start = (at: number): Worker => {
    const worker = new Worker(new URL(entry, import.meta.url), {
      workerData: { bytesKept: Math.floor(CACHE_BYTES / count) },
    });
    worker.on('message', (answer: WorkerAnswer) => {
      const asked = waiting.get(answer.id);
      waiting.delete(answer.id);
      if ('error' in answer) asked?.reject(new Error(answer.error));
      else asked?.resolve({ samples: answer.samples, start: answer.start, silent: answer.silent });
      if (waiting.size === 0) for (const one of workers) one?.unref();
    });
    const end = (reason: string) => {
      workers[at] = undefined;
      for (const [id, asked] of waiting) {
        if (asked.worker !== at) continue;
        waiting.delete(id);
        asked.reject(new ReaderError(`a thread that decodes music ended (${reason}); go on with --resume`));
      }
    };
    worker.on('error', (error: Error) => end(error.message));
    worker.on('exit', (code) => !closed && end(`code ${code}`));
    workers[at] = worker;
    return worker;
  };
  return {
    read(task, affinity) {
      if (closed) return Promise.reject(new ReaderError('the readers are closed'));
      const at = affinity % count;
      const worker = workers[at] ?? start(at);
      const id = next++;
      return new Promise((resolve, reject) => {
        waiting.set(id, { resolve, reject, worker: at });
        // Only what is waited for keeps the process alive.
        worker.ref();
        worker.postMessage({ id, task });
      });
    },
    async close() {
      closed = true;
      await Promise.all(workers.map((worker) => worker?.terminate()));
      for (const asked of waiting.values()) asked.reject(new ReaderError('the readers were closed'));
      waiting.clear();
    },
  };
}
