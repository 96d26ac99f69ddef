/** A thread that reads crops for `createWorkers`. */
import { parentPort, workerData } from 'node:worker_threads';
import { type CropTask, createCropReader } from './crops.ts';

/** What comes back: a crop, or what was wrong with its file. */
export type WorkerAnswer =
  | { id: number; samples: Float32Array<ArrayBuffer>; start: number; silent: boolean }
  | { id: number; error: string };

const read = createCropReader((workerData as { bytesKept: number }).bytesKept);

parentPort?.on('message', async ({ id, task }: { id: number; task: CropTask }) => {
  try {
    const { samples, start, silent } = await read(task);
    const answer: WorkerAnswer = { id, samples: samples as Float32Array<ArrayBuffer>, start, silent };
    parentPort?.postMessage(answer, [answer.samples.buffer]);
  } catch (error) {
    const answer: WorkerAnswer = { id, error: String((error as Error).message) };
    parentPort?.postMessage(answer);
  }
});
