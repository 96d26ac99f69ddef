/** What a run waits for music, and the files that it leaves out: written down, and told. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { openMetricsLog, truncateMetricsLog, writeJson } from '@dawnchorus/formats';
import { nameWithin } from '../data/collection.ts';
import type { Dataset } from '../data/dataset.ts';
import { mirrorLogs } from '../seeing/mirror.ts';

/** What is known of a run's music beside its steps. */
export interface DataLogOptions {
  out: string;
  /** As it was given. */
  data: string;
  dataset: Dataset;
  workers: number;
  adapter: string;
}

/** Follows a run's steps. */
export interface DataLog {
  /** Forgets the steps after this one. */
  cut(step: number): Promise<void>;
  /** Takes a step down, with the seconds that it took and waited for music. */
  step(step: number, seconds: number, waited: number, tell: (line: string) => void): Promise<void>;
  /** The share of waiting in the last steps, for people. */
  share(): string;
  /** The same of all steps of this process. */
  summary(): string | undefined;
  close(): Promise<void>;
}

/** Steps whose share of waiting is told: the first ones open files that are kept then. */
const RECENT = 20;
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

/** Opens `data.jsonl`, a line a step, writes `data.json`, and keeps TensorBoard's event files beside the logs. */
export async function openDataLog(options: DataLogOptions): Promise<DataLog> {
  const { out, data, dataset, workers, adapter } = options;
  const path = join(out, 'data.jsonl');
  const { files, seconds: length, skipped } = dataset;
  const describe = () =>
    writeJson(join(out, 'data.json'), {
      ...{ data, files: files.length, hours: length / 3600, workers, adapter, skipped },
    });
  await describe();
  let log = openMetricsLog(path);
  const events = mirrorLogs(out);
  let told = skipped.length;
  let [waitedAll, secondsAll] = [0, 0];
  const recent: number[] = [];
  const mean = () => recent.reduce((sum, share) => sum + share, 0) / Math.max(1, recent.length);
  return {
    async cut(step) {
      log.close();
      if (existsSync(path)) await truncateMetricsLog(path, step);
      log = openMetricsLog(path);
    },
    async step(step, seconds, waited, tell) {
      log.append({
        ...{ step, seconds, waitedSeconds: waited },
        ...{ skippedFiles: skipped.length, silentCrops: dataset.silentCrops },
      });
      events.update();
      waitedAll += waited;
      secondsAll += seconds;
      recent.push(Math.min(1, waited / seconds));
      if (recent.length > RECENT) recent.shift();
      if (told === skipped.length) return;
      for (const { path: file, reason } of skipped.slice(told)) tell(`  left out ${nameWithin(data, file)}: ${reason}`);
      told = skipped.length;
      await describe();
    },
    share: () => percent(mean()),
    summary: () =>
      secondsAll === 0
        ? undefined
        : `waiting on data took ${percent(Math.min(1, waitedAll / secondsAll))} of all steps and ${percent(mean())} of the last ` +
          `${recent.length}, with ${workers} threads that decode`,
    async close() {
      log.close();
      events.close();
    },
  };
}
