import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { readAudio } from '@dawnchorus/dsp';
import { openDevice } from '@dawnchorus/tensor';
import { Command } from 'commander';
import { checkNotInput, checkOutputFile } from '../folders.ts';
import { openLabels } from '../labels/read.ts';
import { drawHeatmap } from '../pictures/heatmap.ts';
import { type SpectrumKind, spectrumHeatmap, spectrumKinds } from '../pictures/spectra.ts';
import { countLabels, drawUsage, summarise, usageText } from '../pictures/usage.ts';
import { checkPicturePath, writePicture } from '../pictures/write.ts';
import { cqtSettings } from '../training/step.ts';
import { aboveZero, fromOne, seconds } from './arguments.ts';
import { readCodes } from './codes.ts';

interface SpectrumOptions {
  input: string;
  out: string;
  start: number;
  duration: number;
}

/** Draws a spectrum of a part of a file. */
async function spectrumCommand(kind: SpectrumKind, { input, out, start, duration }: SpectrumOptions): Promise<void> {
  checkPicturePath(out);
  await checkOutputFile('--out', out);
  checkNotInput('--out', out, [input]);
  const { sampleRate } = cqtSettings;
  const { samples } = await readAudio(input, { sampleRate, start, duration });
  const device = await openDevice();
  try {
    const sound = { samples, sampleRate, start, title: basename(input) };
    await writePicture(out, drawHeatmap(await spectrumHeatmap(device, kind, sound)));
    console.error(`wrote ${out}: ${kind}, ${(samples.length / sampleRate).toFixed(1)} s from ${start} s on`);
  } finally {
    device.close();
  }
}

/** How often each label of a file of labels, or of a folder of them, occurs. */
async function countsOf(input: string, size: number | undefined): Promise<{ counts: Float64Array }[]> {
  if ((await stat(input).catch(() => undefined))?.isDirectory()) {
    await using labels = await openLabels(input);
    const usage = labels.teacher.codebooks.map((own) => ({ counts: new Float64Array(own) }));
    for (const path of labels.files.keys()) countLabels(usage, await labels.read(path));
    return usage;
  }
  const { shape, data } = await readCodes(input, 'labels');
  const [least, most] = data.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)], [0, 0]);
  if (least < 0 || most >= (size ?? 65536)) {
    throw new Error(`${input}: has labels from ${least} to ${most}; expected 0 to ${(size ?? 65536) - 1}`);
  }
  const usage = Array.from({ length: shape[0] }, () => ({ counts: new Float64Array(size ?? most + 1) }));
  countLabels(usage, data);
  return usage;
}

/** Draws and prints how codebooks are used. */
async function usageCommand({ input, out, size }: { input: string; out: string; size?: number }): Promise<void> {
  checkPicturePath(out);
  await checkOutputFile('--out', out);
  checkNotInput('--out', out, [input]);
  const usage = await countsOf(input, size);
  await writePicture(out, drawUsage(`${basename(input)}: use of the codebooks (red: all alike)`, usage));
  for (const [i, own] of usage.entries()) console.error(usageText(i, summarise(own)));
  console.error(`wrote ${out}`);
}

const descriptions: Record<SpectrumKind, string> = {
  spectrogram: 'energies of windows of 2048 samples, in dB under the loudest',
  mel: 'the same in 128 mel bands',
  chroma: 'energy by pitch class, of the strongest in each frame',
  cqt: 'the musical teacher’s constant-Q magnitudes, in dB under the largest',
};

/** `mert picture …` */
export function pictureCommand(): Command {
  const command = new Command('picture').description('pictures of sounds and of codebooks, as .png or .svg');
  for (const kind of spectrumKinds) {
    command
      .command(kind)
      .description(descriptions[kind])
      .requiredOption('--input <file>', 'audio: wav, flac, mp3, ogg or opus')
      .requiredOption('--out <file>', 'where the .png or .svg goes')
      .option('--start <seconds>', 'where the picture begins', seconds, 0)
      .option('--duration <seconds>', 'how much of the file it shows', aboveZero, 30)
      .action((options: SpectrumOptions) => spectrumCommand(kind, options));
  }
  command
    .command('usage')
    .description('how often the entries of each codebook occur')
    .requiredOption('--input <path>', 'a folder of labels, or labels [codebooks, frames] as a NumPy file')
    .requiredOption('--out <file>', 'where the .png or .svg goes')
    .option('--size <n>', 'entries of a codebook, for NumPy files (default: as many as occur)', fromOne)
    .action(usageCommand);
  return command;
}
