import { scope, tensor } from '@dawnchorus/tensor';
import type { CodebookChoice, Codec } from './codec.ts';
import type { CodecConfig } from './config.ts';
import { pieceByPiece } from './pass.ts';

/** Frames of a piece: 10 s. */
const PIECE_FRAMES = 750;
const LEAST_FRAMES = 16;

/** What the first piece is to have at least: layers mirror its beginning, as far as their kernels reach. */
function leastFrames({ kernelSize, lastKernelSize, ...config }: CodecConfig): number {
  const reach = (config.residualKernelSize - 1) * config.dilationGrowthRate ** (config.numResidualLayers - 1);
  let [least, steps] = [Math.max(LEAST_FRAMES, kernelSize, lastKernelSize), 1];
  for (const ratio of config.upsamplingRatios) {
    steps *= ratio;
    least = Math.max(least, Math.ceil((reach + 1) / steps));
  }
  return least;
}

/** Settings of a stream. */
export interface StreamOptions {
  /** Frames that go through the network at once, from 16, or more where kernels reach further; 750 by default, 10 s. More need more memory. */
  pieceFrames?: number;
}

function checkedFrames({ config }: Codec, options: StreamOptions): number {
  const least = leastFrames(config);
  const { pieceFrames = Math.max(PIECE_FRAMES, least) } = options;
  if (!Number.isInteger(pieceFrames) || pieceFrames < least) {
    throw new RangeError(`codec: pieces of ${pieceFrames} frames; expected a whole number from ${least}`);
  }
  return pieceFrames;
}

/** Samples in order, in arrays of any lengths. */
export type SamplePieces = Iterable<Float32Array> | AsyncIterable<Float32Array>;

/** The same samples in blocks of `size`; the last one, which may be shorter, is told apart. */
async function* blocksOf(pieces: SamplePieces, size: number): AsyncGenerator<{ samples: Float32Array; last: boolean }> {
  let block = new Float32Array(size);
  let filled = 0;
  for await (const piece of pieces) {
    for (let at = 0; at < piece.length; ) {
      if (filled === size) {
        yield { samples: block, last: false };
        block = new Float32Array(size);
        filled = 0;
      }
      const part = piece.subarray(at, at + size - filled);
      block.set(part, filled);
      filled += part.length;
      at += part.length;
    }
  }
  if (filled > 0) yield { samples: block.subarray(0, filled), last: true };
}

/**
 * Encodes a track of any length in bounded memory: samples at the codec's rate, in pieces of any lengths, become codes,
 * i32 [codebooks, frames] a piece. All of them along the frames are what `encode` makes of the whole.
 *
 * @throws Error for samples that are NaN or infinite, or when there are none.
 */
export async function* encodePieces(
  codec: Codec,
  pieces: SamplePieces,
  { pieceFrames, ...choice }: CodebookChoice & StreamOptions = {},
): AsyncGenerator<{ codes: Int32Array; frames: number }, void, undefined> {
  const size = checkedFrames(codec, { pieceFrames }) * codec.hopLength;
  const passes = pieceByPiece();
  let at = 0;
  try {
    for await (const { samples, last } of blocksOf(pieces, size)) {
      const bad = samples.findIndex((sample) => !Number.isFinite(sample));
      if (bad >= 0) throw new Error(`codec: sample ${at + bad} is ${samples[bad]}; every sample must be finite`);
      const codes = scope(() => {
        const latents = codec.latents(tensor(samples, { shape: [1, samples.length] }), passes.next(last));
        return codec.quantize(latents, choice);
      });
      const frames = codes.shape[2];
      const data = (await codes.data()) as Int32Array;
      codes.dispose();
      at += samples.length;
      yield { codes: data, frames };
    }
    if (at === 0) throw new Error('codec: there are no samples to encode');
  } finally {
    passes.dispose();
  }
}

/** All codes of a track, i32 [codebooks, frames] in row-major order: see `encodePieces`. */
export async function encodeTrack(
  codec: Codec,
  pieces: SamplePieces,
  options: CodebookChoice & StreamOptions = {},
): Promise<{ codes: Int32Array; codebooks: number; frames: number }> {
  const codebooks = codec.codebooks(options);
  const parts: { codes: Int32Array; frames: number }[] = [];
  for await (const part of encodePieces(codec, pieces, options)) parts.push(part);
  const frames = parts.reduce((sum, part) => sum + part.frames, 0);
  const codes = new Int32Array(codebooks * frames);
  let at = 0;
  for (const part of parts) {
    for (let i = 0; i < codebooks; i++) {
      codes.set(part.codes.subarray(i * part.frames, (i + 1) * part.frames), i * frames + at);
    }
    at += part.frames;
  }
  return { codes, codebooks, frames };
}

/**
 * Decodes codes i32 [codebooks, frames] piece by piece, in bounded memory: waveforms of 320 samples a frame, which
 * together are what `decode` makes of the whole.
 *
 * @throws RangeError when there are too many codebooks, the number of codes does not fit, or a code is out of range.
 */
export async function* decodePieces(
  codec: Codec,
  codes: ArrayLike<number>,
  codebooks: number,
  options: StreamOptions = {},
): AsyncGenerator<Float32Array, void, undefined> {
  const pieceFrames = checkedFrames(codec, options);
  const frames = codes.length / codec.codebooks({ codebooks });
  if (!Number.isInteger(frames) || frames === 0) {
    throw new RangeError(`codec: ${codes.length} codes are no whole number of frames of ${codebooks} codebooks`);
  }
  const { codebookSize } = codec.config;
  for (let i = 0; i < codes.length; i++) {
    if (!(codes[i] >= 0 && codes[i] < codebookSize)) {
      const where = `codebook ${Math.floor(i / frames)}, frame ${i % frames}`;
      throw new RangeError(`codec: the code of ${where} is ${codes[i]}; expected 0 to ${codebookSize - 1}`);
    }
  }
  const passes = pieceByPiece();
  try {
    for (let start = 0; start < frames; start += pieceFrames) {
      const own = Math.min(pieceFrames, frames - start);
      const part = new Int32Array(codebooks * own);
      for (let i = 0; i < codebooks; i++) {
        for (let t = 0; t < own; t++) part[i * own + t] = codes[i * frames + start + t];
      }
      const waveform = scope(() =>
        codec.synthesize(
          codec.dequantize(tensor(part, { shape: [1, codebooks, own] })),
          passes.next(start + own === frames),
        ),
      );
      const data = (await waveform.data()) as Float32Array;
      waveform.dispose();
      yield data;
    }
  } finally {
    passes.dispose();
  }
}

/** The waveform of codes i32 [codebooks, frames], cut to `samples` where there are more: see `decodePieces`. */
export async function decodeTrack(
  codec: Codec,
  codes: ArrayLike<number>,
  codebooks: number,
  { samples, ...options }: StreamOptions & { samples?: number } = {},
): Promise<Float32Array> {
  const frames = codes.length / codebooks;
  const waveform = new Float32Array(Math.max(0, Math.ceil(frames)) * codec.hopLength);
  let at = 0;
  for await (const piece of decodePieces(codec, codes, codebooks, options)) {
    waveform.set(piece, at);
    at += piece.length;
  }
  return samples === undefined ? waveform : waveform.subarray(0, samples);
}
