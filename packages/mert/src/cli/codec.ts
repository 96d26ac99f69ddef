import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { encodeWav } from '@dawnchorus/dsp';
import { openNpy, writeNpy } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { Command, InvalidArgumentError } from 'commander';
import { openTrack } from '../codec/audio.ts';
import { codecReportText, evaluateCodec } from '../codec/evaluate.ts';
import { loadCodec } from '../codec/load.ts';
import { decodeTrack, encodeTrack } from '../codec/stream.ts';
import { readCodecRun, trainCodec } from '../codec/train.ts';
import { codecPresets, loadCodecTrainConfig } from '../codec/train-config.ts';
import { checkpointFolder } from '../training/state.ts';

function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('expected a number above 0.');
  }
  return value;
}

function positiveInteger(text: string): number {
  const value = positiveNumber(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number from 1.');
  return value;
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidArgumentError('expected a whole number from 0.');
  }
  return value;
}

const bundledMusic = fileURLToPath(new URL('../../../../data/music', import.meta.url));

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
  const device = await openDevice();
  try {
    const codec = await loadCodec(model);
    const track = await openTrack(input, codec.sampleRate);
    const { codes, codebooks, frames } = await encodeTrack(codec, track.pieces(), { bandwidth, codebooks: wanted });
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
  const npy = await openNpy(input);
  const { shape, data } = await npy.read({ as: 'i32' }).finally(() => npy.close());
  if (shape.length !== 2 || shape[0] === 0 || shape[1] === 0) {
    throw new Error(`${input}: has shape [${shape.join(', ')}]; expected codes [codebooks, frames]`);
  }
  const device = await openDevice();
  try {
    const codec = await loadCodec(model);
    const waveform = await decodeTrack(codec, data, shape[0], { samples });
    await writeFile(out, encodeWav(waveform, codec.sampleRate, { format: 'float32' }));
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
  const { out, resume, config: named, set, seed } = options;
  let config = trainConfigOf(options);
  let { steps, data } = options;
  const stored = resume ? checkpointFolder(out) : undefined;
  if (stored) {
    const state = await readCodecRun(stored);
    // What is not said again stays as it was.
    if (!named && set.length === 0 && seed === undefined) config = state.config;
    data ??= state.data;
    steps ??= state.stopAt;
  }
  const device = await openDevice();
  const interrupt = untilInterrupted();
  try {
    const result = await trainCodec({
      config,
      data: data ?? bundledMusic,
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

function trainConfigOf({ config = 'small', set, seed }: TrainOptions) {
  // A bare word that is no file was meant as a preset, and gets the list of those.
  const preset = codecPresets().includes(config) || (/^[\w-]+$/.test(config) && !existsSync(config));
  const source = preset ? { preset: config } : { file: config };
  return loadCodecTrainConfig({ ...source, set: seed === undefined ? set : [...set, `training.seed=${seed}`] });
}

/** Ctrl-C asks to stop; a second one ends at once. */
function untilInterrupted() {
  let interrupted = false;
  const interrupt = () => {
    if (interrupted) process.exit(130);
    interrupted = true;
    console.error('\nstopping after this step (Ctrl-C again to end at once)');
  };
  const signals = ['SIGINT', 'SIGTERM'] as const;
  for (const signal of signals) process.on(signal, interrupt);
  return {
    stopped: () => interrupted,
    dispose: () => {
      for (const signal of signals) process.off(signal, interrupt);
    },
  };
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
  const device = await openDevice();
  try {
    const codec = await loadCodec(model);
    const report = await evaluateCodec({
      codec,
      data: data ?? join(bundledMusic, 'valid'),
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
    .option(
      '--bandwidth <kbps>',
      'kilobits a second: 1.5, 3, 6, 12 or 24 of the 24 kHz model (default: 6)',
      positiveNumber,
    )
    .option('--codebooks <n>', 'how many codebooks, instead of a bandwidth', positiveInteger)
    .action(encodeCommand);
  command
    .command('decode')
    .description('the waveform of codes, as a WAV file of 32-bit floats')
    .requiredOption(...model)
    .requiredOption('--input <file>', 'codes [codebooks, frames] as a NumPy file')
    .requiredOption('--out <file>', 'where the .wav goes')
    .option('--samples <n>', 'cut the end to so many samples', positiveInteger)
    .action(decodeCommand);
  command
    .command('train')
    .description('train a codec on a folder of music; with no options, a small one on the music that comes along')
    .requiredOption('--out <dir>', 'where the run goes; OUT/checkpoint is the codec')
    .option('--data <dir>', 'folder of music, searched recursively; train/ and valid/ in it are kept apart')
    .option('--config <file>', 'YAML configuration, or a preset: small, encodec-24khz (default: small)')
    .option(
      '--set <key=value>',
      'change one setting, e.g. loss.balancer=false; may be given more than once',
      (value, previous: string[]) => [...previous, value],
      [],
    )
    .option('--steps <n>', 'stop after this step (default: training.steps of the configuration)', positiveInteger)
    .option('--seed <n>', 'seed of every random draw', wholeNumber)
    .option('--resume', 'go on with the run in --out')
    .action(trainCommand);
  command
    .command('evaluate')
    .description('SI-SDR, mel distance and the use of each codebook on held-out music')
    .requiredOption(...model)
    .option('--data <dir>', 'folder of music, searched recursively (default: the held-out music that comes along)')
    .option('--out <dir>', 'where report.md, report.json and clips/ go')
    .option('--seconds <n>', 'seconds of each track, from its beginning (default: 30)', positiveNumber)
    .option('--codebooks <n>', 'codebooks at most (default: all, up to 8)', positiveInteger)
    .option('--clips <n>', 'tracks to write as clips (default: 4)', wholeNumber)
    .action(evaluateCommand);
  return command;
}
