import { writeFile } from 'node:fs/promises';
import { basename, extname, join } from 'node:path';
import { audioFiles, encodeWav, probeAudio, readAudio } from '@dawnchorus/dsp';
import { writeAtomically, writeJson } from '@dawnchorus/formats';
import { reasonLines, type SkippedFile } from '../data/skipped.ts';
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

/** What was measured so far. */
interface Tally {
  /** The numbers of codebooks that are measured. */
  counts: readonly number[];
  /** Of each track, by numbers of codebooks: dB. */
  siSdr: number[][];
  melDistance: number[][];
  /** How often each code occurred, by codebooks. */
  uses: Float64Array[];
  tracks: number;
  silent: number;
  seconds: number;
}

function emptyTally(codebooks: number, codebookSize: number): Tally {
  const counts = countsUpTo(codebooks);
  return {
    counts,
    siSdr: counts.map(() => []),
    melDistance: counts.map(() => []),
    uses: Array.from({ length: codebooks }, () => new Float64Array(codebookSize)),
    ...{ tracks: 0, silent: 0, seconds: 0 },
  };
}

/** The first seconds of a track. @throws Error when they cannot be read, or there are none. */
async function readBeginning(path: string, seconds: number, sampleRate: number): Promise<Float32Array> {
  const { duration } = await probeAudio(path);
  const part = duration > seconds ? { duration: seconds } : {};
  const { samples } = await readAudio(path, { ...part, sampleRate });
  if (samples.length === 0) throw new Error('has no samples');
  return samples;
}

/** Takes a waveform down under a name. */
type Keep = (name: string, waveform: Float32Array) => Promise<void>;

/** Writes clips of a track into a folder. */
const clipWriter =
  (folder: string, path: string, sampleRate: number): Keep =>
  (name, waveform) =>
    writeFile(join(folder, `${safeName(path)}.${name}.wav`), encodeWav(waveform, sampleRate));

/** Adds a track to a tally; `keep` is given what it is with each number of codebooks, and then what it was. */
async function measureTrack(codec: Codec, samples: Float32Array, tally: Tally, keep?: Keep): Promise<void> {
  const { counts, uses } = tally;
  const { codes, frames } = await encodeTrack(codec, [samples], { codebooks: uses.length });
  for (const [i, use] of uses.entries()) {
    for (let t = 0; t < frames; t++) use[codes[i * frames + t]]++;
  }
  const loud = samples.some((sample) => Math.abs(sample) > 1e-6);
  if (!loud) tally.silent++;
  for (const [k, codebooks] of counts.entries()) {
    const own = codes.subarray(0, codebooks * frames);
    const decoded = await decodeTrack(codec, own, codebooks, { samples: samples.length });
    if (loud) tally.siSdr[k].push(siSdr(decoded, samples));
    tally.melDistance[k].push(await melDistance(decoded, samples));
    await keep?.(`${codebooks}-codebooks`, decoded);
  }
  await keep?.('original', samples);
  tally.tracks++;
  tally.seconds += samples.length / codec.sampleRate;
}

const reportOf = (tally: Tally, skipped: SkippedFile[], { config }: Codec): CodecReport => ({
  tracks: tally.tracks,
  seconds: tally.seconds,
  quality: tally.counts.map((codebooks, k) => ({
    codebooks,
    bandwidth: (codebooks * bitsPerCodebook(config)) / 1000,
    siSdr: average(tally.siSdr[k]),
    melDistance: average(tally.melDistance[k]),
  })),
  use: tally.uses.map(codeUse),
  skipped,
  silent: tally.silent,
});

async function writeReport(out: string, report: CodecReport): Promise<void> {
  // JSON has no NaN.
  const quality = report.quality.map((line) => ({ ...line, siSdr: Number.isFinite(line.siSdr) ? line.siSdr : null }));
  await writeJson(join(out, 'report.json'), { ...report, quality });
  await writeAtomically(join(out, 'report.md'), [new TextEncoder().encode(codecReportText(report))]);
}

/**
 * Encodes and decodes held-out tracks with 1, 2, … codebooks, measures how near they come and how the codebooks are used,
 * and writes a report and reconstructed clips to listen to.
 *
 * @throws Error when no track can be read.
 */
export async function evaluateCodec(evaluation: CodecEvaluation): Promise<CodecReport> {
  const { codec, data, out, seconds = 30, clips = 4, onTrack, stopped } = evaluation;
  const most = codec.codebooks({ codebooks: evaluation.codebooks ?? Math.min(8, codec.config.numCodebooks) });
  const tally = emptyTally(most, codec.config.codebookSize);
  const skipped: SkippedFile[] = [];
  const clipFolder = out === undefined ? undefined : join(out, 'clips');
  if (clipFolder) await makeFolder(clipFolder);
  const paths = await audioFiles(data);
  for (const path of paths) {
    if (stopped?.()) break;
    let samples: Float32Array;
    try {
      samples = await readBeginning(path, seconds, codec.sampleRate);
    } catch (error) {
      skipped.push({ path, reason: (error as Error).message.replace(`${path}: `, '') });
      continue;
    }
    const keep = clipFolder && tally.tracks < clips ? clipWriter(clipFolder, path, codec.sampleRate) : undefined;
    await measureTrack(codec, samples, tally, keep);
    onTrack?.(tally.tracks + skipped.length, paths.length, path);
  }
  if (tally.tracks === 0) {
    const reasons = reasonLines(skipped);
    throw new Error(`${data}: no track of it can be measured${reasons && `:${reasons}`}`);
  }
  const report = reportOf(tally, skipped, codec);
  if (out !== undefined) await writeReport(out, report);
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
