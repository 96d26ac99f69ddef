/** The acoustic teacher of a run: loaded from its folder, or trained on the same music and saved there. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { PretrainConfig } from '../config/index.ts';
import { openDataset } from '../data/dataset.ts';
import { makeFolder } from '../folders.ts';
import { RVQ_WEIGHTS } from '../labels/rvq.ts';
import { emptyTeacher, type RvqTeacher, SAMPLES_PER_CODE, trainTeacher } from '../rvq/teacher.ts';
import { createProgress, formatDuration } from './progress.ts';
import { loadTensors, saveTensors } from './state.ts';

/** What a teacher is trained by. */
export interface TeacherRun {
  config: PretrainConfig;
  out: string;
  /** Folder of the music to train on. */
  folder: string;
  /** Threads that decode it. */
  workers?: number;
  stopped?: () => boolean;
  log(line: string): void;
}

/** The teacher, or nothing when the run was stopped while it trained. */
export async function obtainTeacher({
  config,
  out,
  folder,
  workers,
  stopped,
  log,
}: TeacherRun): Promise<RvqTeacher | undefined> {
  const path = join(out, 'teacher', RVQ_WEIGHTS);
  if (existsSync(path)) {
    const teacher = emptyTeacher(config.rvq, config.training.seed);
    await loadTensors(path, teacher.named());
    return teacher;
  }
  const clipSamples =
    Math.round((config.rvq.cropSeconds * config.audio.sampleRate) / SAMPLES_PER_CODE) * SAMPLES_PER_CODE;
  const dataset = await openDataset({
    folder,
    sampleRate: config.audio.sampleRate,
    cropSamples: clipSamples,
    seed: config.training.seed + 1,
    workers,
  });
  await using _readers = { [Symbol.asyncDispose]: () => dataset.close() };
  const progress = createProgress({ label: 'teacher', total: config.rvq.steps });
  const start = performance.now();
  let last = '';
  const teacher = await trainTeacher({
    config: config.rvq,
    seed: config.training.seed,
    readClips: (first, count) => Promise.all(Array.from({ length: count }, (_, i) => dataset.readCrop(first + i))),
    onStep({ step, loss, error, perplexity }) {
      const use = perplexity.length > 0 ? `  perplexity ${perplexity.map((value) => value.toFixed(0)).join(' ')}` : '';
      last = `loss ${loss.toFixed(3)}  waveform error ${error.toFixed(3)}${use}`;
      progress.update(step, last);
    },
    stopped,
  });
  progress.end();
  if (!teacher) return undefined;
  await makeFolder(join(out, 'teacher'));
  await saveTensors(path, teacher.named(), { sampleRate: String(config.audio.sampleRate) });
  log(
    `teacher: ${config.rvq.numCodebooks} codebooks of ${config.rvq.codebookSize}, trained in ${formatDuration((performance.now() - start) / 1000)}; ${last}`,
  );
  return teacher;
}
