import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { encodeWav, streamAudio } from '@dawnchorus/dsp';
import { writeAtomically, writeNpy } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { Command } from 'commander';
import { codecReportText, evaluateCodec } from '../codec/evaluate.ts';
import { loadCodec } from '../codec/load.ts';
import { type CodecBeginning, readCodecRun } from '../codec/run-state.ts';
import { decodeTrack, encodeTrack } from '../codec/stream.ts';
import { trainCodec } from '../codec/train.ts';
import { codecPresets, loadCodecTrainConfig } from '../codec/train-config.ts';
import { checkNoRun, checkNotInput, checkOutputFile } from '../folders.ts';
import { loadBeginning } from '../training/beginning.ts';
import { checkpointToResume } from '../training/checkpoints.ts';
import { aboveZero, bundledMusic, collect, configSource, fromOne, fromZero } from './arguments.ts';
import { readCodes } from './codes.ts';
import { untilInterrupted } from './interrupt.ts';

interface EncodeOptions {
  model: string;
  input: string;
  out: string;
  bandwidth?: number;
  codebooks?: number;
}

/** Writes the codes of a file: int32 [codebooks, frames]. */
async function encodeCommand({ model, input, out, bandwidth, codebooks: wanted }: EncodeOptions): Promise<void> {
  if (bandwidth !== undefined && wanted !== undefined) {
    throw new Error('give --bandwidth or --codebooks, not both');
  }
  await checkOutputFile('--out', out, '.npy');
  checkNotInput('--out', out, [input]);
  const device = await openDevice();
  try {
    const codec = await loadCodec(model);
    // Resampled as encodec and torchaudio do by default.
    const audio = { sampleRate: codec.sampleRate, quality: 'hann6' } as const;
    const { codes, codebooks, frames } = await streamAudio(input, audio, (track) =>
      encodeTrack(codec, track.pieces(), { bandwidth, codebooks: wanted }),
    );
    await writeNpy(out, codes, [codebooks, frames]);
    console.error(`wrote ${out}: int32 [${codebooks}, ${frames}]`);
  } finally {
    device.close();
  }
}

interface DecodeOptions {
  model: string;
  input: string;
  out: string;
  samples?: number;
}

/** Writes the waveform of codes as WAV, 32-bit floats. */
async function decodeCommand({ model, input, out, samples }: DecodeOptions): Promise<void> {
  await checkOutputFile('--out', out, '.wav');
  checkNotInput('--out', out, [input]);
  const { shape, data } = await readCodes(input, 'codes');
  const device = await openDevice();
  try {
    const codec = await loadCodec(model);
    const waveform = await decodeTrack(codec, data, shape[0], { samples }).catch((cause: Error) => {
      throw new Error(`${input}: ${cause.message}`, { cause });
    });
    if (samples !== undefined && waveform.length < samples) {
      throw new Error(`--samples ${samples}: the codes of ${input} are ${waveform.length}; give as many at most`);
    }
    const wav = encodeWav(waveform, codec.sampleRate, { format: 'float32' });
    await writeAtomically(out, [wav], { what: 'WAV file', bytes: wav.length });
    console.error(`wrote ${out}: ${waveform.length} samples at ${codec.sampleRate} Hz`);
  } finally {
    device.close();
  }
}

interface TrainOptions {
  data?: string;
  out: string;
  config?: string;
  set: string[];
  steps?: number;
  seed?: number;
  resume?: boolean;
}

/** Trains or resumes a codec and prints its report. Ctrl-C saves a checkpoint; a second one ends at once. */
async function trainCommand(options: TrainOptions): Promise<void> {
  const { out, resume } = options;
  let { steps, data } = options;
  const stored = resume ? await checkpointToResume(out) : undefined;
  const state = stored ? await readCodecRun(stored) : resume ? await loadBeginning<CodecBeginning>(out) : undefined;
  // What is not said again stays as it was.
  const source = configSource(options, codecPresets());
  const config = loadCodecTrainConfig(state && !options.config ? { base: state.config, set: source.set } : source);
  data ??= state?.data;
  steps ??= state?.stopAt;
  // Never other music than the run had.
  if (resume && !state && data === undefined && existsSync(out)) {
    throw new Error(
      `${out}: has no checkpoint, and does not say what it was started on; give --data, --config and --set again`,
    );
  }
  data ??= bundledMusic();
  const device = await openDevice();
  const interrupt = untilInterrupted('this step');
  try {
    const result = await trainCodec({
      config,
      data,
      out,
      resume,
      steps,
      stopped: interrupt.stopped,
    });
    if (result.report) console.log(`\n${result.report}`);
    if (!result.finished) process.exitCode = 130;
  } finally {
    interrupt.dispose();
    device.close();
  }
}

interface EvaluateOptions {
  model: string;
  data?: string;
  out?: string;
  seconds?: number;
  codebooks?: number;
  clips?: number;
}

/** Measures a codec on held-out music, prints the report and writes clips. */
async function evaluateCommand({ model, data, ...options }: EvaluateOptions): Promise<void> {
  if (options.out !== undefined) checkNoRun('--out', options.out);
  data ??= join(bundledMusic(), 'valid');
  const device = await openDevice();
  try {
    const codec = await loadCodec(model);
    const report = await evaluateCodec({
      codec,
      data,
      ...options,
      onTrack: (done, total, path) => console.error(`${done}/${total} ${path}`),
    });
    console.log(codecReportText(report));
  } finally {
    device.close();
  }
}

/** `mert codec …` */
export function codecCommand(): Command {
  const command = new Command('codec').description('EnCodec: audio to codes and back; training and measuring codecs');
  const model = ['--model <dir>', 'folder with model.safetensors and config.json, or encodec’s .th file'] as const;
  command
    .command('encode')
    .description('the codes of an audio file, int32 [codebooks, frames], as a NumPy file')
    .requiredOption(...model)
    .requiredOption('--input <file>', 'audio: wav, flac, mp3, ogg or opus')
    .requiredOption('--out <file>', 'where the .npy goes')
    .option('--bandwidth <kbps>', 'kilobits a second: 1.5, 3, 6, 12 or 24 of the 24 kHz model (default: 6)', aboveZero)
    .option('--codebooks <n>', 'how many codebooks, instead of a bandwidth', fromOne)
    .action(encodeCommand);
  command
    .command('decode')
    .description('the waveform of codes, as a WAV file of 32-bit floats')
    .requiredOption(...model)
    .requiredOption('--input <file>', 'codes [codebooks, frames] as a NumPy file')
    .requiredOption('--out <file>', 'where the .wav goes')
    .option('--samples <n>', 'cut the end to so many samples', fromOne)
    .action(decodeCommand);
  command
    .command('train')
    .description('train a codec on a folder of music; with no options, a small one on the repository’s music')
    .requiredOption('--out <dir>', 'where the run goes; OUT/checkpoint is the codec')
    .option('--data <dir>', 'folder of music, searched recursively; train/ and valid/ in it are kept apart')
    .option('--config <file>', 'YAML configuration, or a preset: small, encodec-24khz (default: small)')
    .option(
      '--set <key=value>',
      'change one setting, e.g. loss.balancer=false; may be given more than once',
      collect,
      [],
    )
    .option('--steps <n>', 'stop after this step (default: training.steps of the configuration)', fromOne)
    .option('--seed <n>', 'seed of every random draw', fromZero)
    .option('--resume', 'go on with the run in --out')
    .action(trainCommand);
  command
    .command('evaluate')
    .description('SI-SDR, mel distance and the use of each codebook on held-out music')
    .requiredOption(...model)
    .option('--data <dir>', 'folder of music, searched recursively (default: the repository’s held-out music)')
    .option('--out <dir>', 'where report.md, report.json and clips/ go')
    .option('--seconds <n>', 'seconds of each track, from its beginning (default: 30)', aboveZero)
    .option('--codebooks <n>', 'codebooks at most (default: all, up to 8)', fromOne)
    .option('--clips <n>', 'tracks to write as clips (default: 4)', fromZero)
    .action(evaluateCommand);
  return command;
}
