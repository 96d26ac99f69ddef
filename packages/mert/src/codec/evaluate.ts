import { writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { audioFiles, encodeWav, probeAudio, readAudio } from '@dawnchorus/dsp';
import { writeAtomically, writeJson } from '@dawnchorus/formats';
import type { SkippedFile } from '../data/dataset.ts';
import { makeFolder } from '../folders.ts';
import type { Codec } from './codec.ts';
import { bitsPerCodebook } from './config.ts';
import { type CodeUse, codeUse, melDistance, siSdr } from './measures.ts';
import { decodeTrack, encodeTrack } from './stream.ts';

/** What to measure a codec on. */
export interface CodecEvaluation {
  codec: Codec;
  /** Folder of held-out music, searched recursively. */
  data: string;
  /** Where report.md, report.json and clips/ go; without it nothing is written. */
  out?: string;
  /** Seconds of each track, from its beginning; default 30. */
  seconds?: number;
  /** Codebooks at most; default all, up to 8. */
  codebooks?: number;
  /** How many tracks to write as clips; default 4. */
  clips?: number;
  /** Told of each track when it is done. */
  onTrack?(done: number, total: number, path: string): void;
  /** Asked before each track; true ends the measuring with those that are done. */
  stopped?(): boolean;
}

/** Figures with so many codebooks, averaged over tracks. */
export interface QualityAt {
  codebooks: number;
  /** kbit/s */
  bandwidth: number;
  /** dB; over the tracks that are not silent. */
  siSdr: number;
  /** dB */
  melDistance: number;
}

/** What was found. */
export interface CodecReport {
  tracks: number;
  seconds: number;
  quality: QualityAt[];
  /** Of each codebook, over all tracks. */
  use: CodeUse[];
  skipped: SkippedFile[];
  /** Tracks that are silent and have no SI-SDR. */
  silent: number;
}

/** 1, 2, 4, … and all of them; each one up to 8. */
function countsUpTo(codebooks: number): number[] {
  if (codebooks <= 8) return Array.from({ length: codebooks }, (_, i) => i + 1);
  return [1, 2, 4, 8, 16, 32, 64].filter((n) => n < codebooks).concat(codebooks);
}

const average = (values: readonly number[]): number =>
  values.length === 0 ? Number.NaN : values.reduce((sum, value) => sum + value, 0) / values.length;

const safeName = (path: string): string => basename(path, extname(path)).replace(/[^\w.-]+/g, '_');

/**
 * Encodes and decodes held-out tracks with 1, 2, … codebooks, measures how near they come and how the codebooks are used,
 * and writes a report and reconstructed clips to listen to.
 *
 * @throws Error when no track can be read.
 */
export async function evaluateCodec(evaluation: CodecEvaluation): Promise<CodecReport> {
  const { codec, data, out, seconds = 30, clips = 4, onTrack, stopped } = evaluation;
  const most = codec.codebooks({ codebooks: evaluation.codebooks ?? Math.min(8, codec.config.numCodebooks) });
  const counts = countsUpTo(most);
  const uses = Array.from({ length: most }, () => new Float64Array(codec.config.codebookSize));
  const sdr: number[][] = counts.map(() => []);
  const mel: number[][] = counts.map(() => []);
  const skipped: SkippedFile[] = [];
  let [tracks, total, silent] = [0, 0, 0];
  const clipFolder = out === undefined ? undefined : join(out, 'clips');
  if (clipFolder) await makeFolder(clipFolder);
  const paths = await audioFiles(data);
  for (const path of paths) {
    if (stopped?.()) break;
    let samples: Float32Array;
    try {
      const { duration } = await probeAudio(path);
      const part = duration > seconds ? { duration: seconds } : {};
      ({ samples } = await readAudio(path, { ...part, sampleRate: codec.sampleRate }));
      if (samples.length === 0) throw new Error('has no samples');
    } catch (error) {
      skipped.push({ path, reason: (error as Error).message.replace(`${path}: `, '') });
      continue;
    }
    const { codes, frames } = await encodeTrack(codec, [samples], { codebooks: most });
    for (const [i, use] of uses.entries()) {
      for (let t = 0; t < frames; t++) use[codes[i * frames + t]]++;
    }
    const loud = samples.some((sample) => Math.abs(sample) > 1e-6);
    if (!loud) silent++;
    for (const [k, codebooks] of counts.entries()) {
      const decoded = await decodeTrack(codec, codes.subarray(0, codebooks * frames), codebooks, {
        samples: samples.length,
      });
      if (loud) sdr[k].push(siSdr(decoded, samples));
      mel[k].push(await melDistance(decoded, samples));
      if (clipFolder && tracks < clips) {
        const name = `${safeName(path)}.${codebooks}-codebooks.wav`;
        await writeFile(join(clipFolder, name), encodeWav(decoded, codec.sampleRate));
      }
    }
    if (clipFolder && tracks < clips) {
      await writeFile(join(clipFolder, `${safeName(path)}.original.wav`), encodeWav(samples, codec.sampleRate));
    }
    tracks++;
    total += samples.length / codec.sampleRate;
    onTrack?.(tracks + skipped.length, paths.length, path);
  }
  if (tracks === 0) {
    const reasons = skipped.slice(0, 5).map((entry) => `\n  ${entry.path}: ${entry.reason}`);
    throw new Error(`${data}: no track of it can be measured${reasons.length > 0 ? `:${reasons.join('')}` : ''}`);
  }
  const report: CodecReport = {
    tracks,
    seconds: total,
    quality: counts.map((codebooks, k) => ({
      codebooks,
      bandwidth: (codebooks * bitsPerCodebook(codec.config)) / 1000,
      siSdr: average(sdr[k]),
      melDistance: average(mel[k]),
    })),
    use: uses.map(codeUse),
    skipped,
    silent,
  };
  if (out !== undefined) {
    // JSON has no NaN.
    const quality = report.quality.map((line) => ({ ...line, siSdr: Number.isFinite(line.siSdr) ? line.siSdr : null }));
    await writeJson(join(out, 'report.json'), { ...report, quality });
    await writeAtomically(join(out, 'report.md'), [new TextEncoder().encode(codecReportText(report))]);
  }
  return report;
}

/** The report as Markdown. */
export function codecReportText({ tracks, seconds, quality, use, skipped, silent }: CodecReport): string {
  const left = skipped.length > 0 ? `; ${skipped.length} left out` : '';
  const lines = [
    `# Codec on held-out music`,
    '',
    `${tracks} tracks, ${(seconds / 60).toFixed(1)} min${left}${silent > 0 ? `; ${silent} silent, without an SI-SDR` : ''}.`,
    '',
    '| codebooks | kbit/s | SI-SDR (dB) | mel distance (dB) |',
    '|---|---|---|---|',
    ...quality.map(
      (line) =>
        `| ${line.codebooks} | ${line.bandwidth.toFixed(2)} | ${line.siSdr.toFixed(2)} | ${line.melDistance.toFixed(2)} |`,
    ),
    '',
    '| codebook | entropy (bits) | of the most | perplexity | codes used |',
    '|---|---|---|---|---|',
    ...use.map(
      (own, i) =>
        `| ${i + 1} | ${own.entropy.toFixed(2)} | ${(100 * own.share).toFixed(0)} % | ${own.perplexity.toFixed(0)} | ${own.used} |`,
    ),
    ...(skipped.length > 0 ? ['', 'Left out:', ...skipped.map(({ path, reason }) => `- ${path}: ${reason}`)] : []),
  ];
  return `${lines.join('\n')}\n`;
}
