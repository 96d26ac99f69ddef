import { writeFile } from 'node:fs/promises';
import { encodeWav } from '@dawnchorus/dsp';
import { openNpy, writeNpy } from '@dawnchorus/formats';
import { openDevice } from '@dawnchorus/tensor';
import { Command, InvalidArgumentError } from 'commander';
import { openTrack } from '../codec/audio.ts';
import { loadCodec } from '../codec/load.ts';
import { decodeTrack, encodeTrack } from '../codec/stream.ts';

export function positiveNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value <= 0) {
    throw new InvalidArgumentError('expected a number above 0.');
  }
  return value;
}

export function positiveInteger(text: string): number {
  const value = positiveNumber(text);
  if (!Number.isSafeInteger(value)) throw new InvalidArgumentError('expected a whole number from 1.');
  return value;
}

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
  return command;
}
