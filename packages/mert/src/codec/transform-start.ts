/** Codecs that start as a cosine transform of blocks and its inverse, in place of at random. */
import type { Tensor } from '@dawnchorus/tensor';
import type { Codec } from './codec.ts';
import type { CodecConfig } from './config.ts';
import { CausalConv1d, CausalConvTranspose1d } from './convolution.ts';
import { type CodecDecoder, type CodecEncoder, ResidualUnit } from './seanet.ts';

/** How much of their random start the weights into channels that carry the signal keep. */
const NOISE = 0.02;
/** Size of residual branches beside their shortcuts. */
const BRANCH = 0.03;
/** Size of coefficients where an ELU follows: small, so that it hardly bends them. */
const SMALL = 1 / 8;
/** Size of coefficients as latents. */
const LATENT = 0.5;

/** Coefficient q of the orthonormal cosine transform (DCT-II) of `length` samples, at sample n. */
const cosine = (q: number, n: number, length: number): number =>
  Math.sqrt((q === 0 ? 1 : 2) / length) * Math.cos((Math.PI * q * (n + 0.5)) / length);

/** Which stages have room for every sample of a block in a channel of its own; the last one holds coefficients. */
function blockSamples({
  numFilters,
  upsamplingRatios,
}: Pick<CodecConfig, 'numFilters' | 'upsamplingRatios'>): number[] {
  const strides = [...upsamplingRatios].reverse();
  return strides
    .map((_, i) => strides.slice(0, i + 1).reduce((product, stride) => product * stride, 1))
    .map((samples, i) => (i < strides.length - 1 && samples > numFilters * 2 ** (i + 1) ? Number.NaN : samples));
}

/** Why a codec cannot start as a transform, if it cannot. */
export const transformProblem = (config: Pick<CodecConfig, 'numFilters' | 'upsamplingRatios'>): string | undefined =>
  blockSamples(config).some(Number.isNaN)
    ? `a codec of ${config.numFilters} filters and strides ${[...config.upsamplingRatios].reverse().join(', ')} has fewer ` +
      'channels than samples before its last stride; take more filters, other strides or training.start=random'
    : undefined;

/** How the signal lies in the channels of a codec that is a transform. */
interface Layout {
  /** The encoder's strides, first to last. */
  strides: number[];
  /** How many channels carry the signal before each stride: the first ones. */
  carriers: number[];
  /** Cosine coefficients of a frame that become latents. */
  coefficients: number;
  /** Coefficient q at the sample of a frame that carrier `channel` holds at place j of the last stride. */
  cosineAt(q: number, channel: number, j: number): number;
}

function layoutOf(config: CodecConfig): Layout {
  const strides = [...config.upsamplingRatios].reverse();
  // Which sample of its block each carrier holds.
  let positions = [0];
  const carriers = [1];
  for (const stride of strides.slice(0, -1)) {
    const length = positions.length;
    positions = positions.flatMap((own) => Array.from({ length: stride }, (_, j) => j * length + own));
    carriers.push(positions.length);
  }
  const block = positions.length;
  const hop = block * strides[strides.length - 1];
  const channelsAtEnd = config.numFilters * 2 ** strides.length;
  return {
    strides,
    carriers,
    coefficients: Math.min(config.hiddenSize, channelsAtEnd / 2, hop),
    cosineAt: (q, channel, j) => cosine(q, j * block + positions[channel], hop),
  };
}

/** Weights of a convolution on the host. */
interface Weights {
  /** [first, second, kernel], as they lie in the tensor. */
  v: Float32Array;
  shape: readonly [first: number, second: number, kernel: number];
  bias: Float32Array;
  at(first: number, second: number, tap: number): number;
}

/** Changes a convolution's weights on the host; their lengths, which weight norm keeps apart, follow. */
async function edit(layer: CausalConv1d | CausalConvTranspose1d, change: (weights: Weights) => void): Promise<void> {
  const { weightV, weightG, bias } = layer.conv;
  const [first, second, kernel] = weightV.shape;
  const read = async (x: Tensor) => Float32Array.from((await x.data()) as Float32Array);
  const weights: Weights = {
    v: await read(weightV),
    shape: [first, second, kernel],
    bias: await read(bias),
    at: (a, b, tap) => (a * second + b) * kernel + tap,
  };
  change(weights);
  const { v } = weights;
  const row = second * kernel;
  const g = Float32Array.from({ length: first }, (_, i) => Math.hypot(...v.subarray(i * row, (i + 1) * row)));
  for (const [tensor, data] of [
    [weightV, v],
    [weightG, g],
    [bias, weights.bias],
  ] as const) {
    tensor.device.write(tensor.storage, tensor.offset * 4, data as Float32Array<ArrayBuffer>);
  }
}

/** Leaves little of the random weights between the first channels on one side and on the other. */
function quiet({ v, shape: [, second, kernel] }: Weights, firsts: number, seconds = second): void {
  for (let a = 0; a < firsts; a++) {
    for (let i = 0; i < seconds * kernel; i++) v[a * second * kernel + i] *= NOISE;
  }
}

/** The first layer: the waveform becomes the first carrier, raised so that it is above 1. */
function raiseWaveform(weights: Weights): void {
  const { v, bias, at, shape } = weights;
  quiet(weights, 1);
  v[at(0, 0, shape[2] - 1)] = 1;
  bias[0] = 1;
}

/** A stride before the last: each of its samples goes on in a channel of its own. */
function splitSamples(weights: Weights, carriers: number, stride: number): void {
  const { v, bias, at } = weights;
  quiet(weights, carriers * stride);
  bias.fill(0, 0, carriers * stride);
  for (let channel = 0; channel < carriers; channel++) {
    for (let j = 0; j < stride; j++) v[at(channel * stride + j, channel, stride + j)] = 1;
  }
}

/** The last stride: a frame's samples become its coefficients, each of them in two channels, one of either sign. */
function takeCoefficients(weights: Weights, { strides, carriers, coefficients, cosineAt }: Layout): void {
  const { v, bias, at } = weights;
  const stride = strides[strides.length - 1];
  quiet(weights, 2 * coefficients);
  bias.fill(0, 0, 2 * coefficients);
  for (let channel = 0; channel < carriers[strides.length - 1]; channel++) {
    for (let j = 0; j < stride; j++) {
      for (let q = 0; q < coefficients; q++) {
        const value = SMALL * cosineAt(q, channel, j);
        v[at(2 * q, channel, stride + j)] = value;
        v[at(2 * q + 1, channel, stride + j)] = -value;
        // The samples come raised by 1.
        bias[2 * q] -= value;
        bias[2 * q + 1] += value;
      }
    }
  }
}

/** The encoder's last layer: coefficients become latents. */
function coefficientsToLatents(weights: Weights, { coefficients }: Layout): void {
  const { v, bias, at, shape } = weights;
  const now = shape[2] - 1;
  quiet(weights, coefficients);
  bias.fill(0, 0, coefficients);
  for (let q = 0; q < coefficients; q++) {
    v[at(q, 2 * q, now)] = LATENT / (2 * SMALL);
    v[at(q, 2 * q + 1, now)] = -LATENT / (2 * SMALL);
  }
}

/** The decoder's first layer: latents become coefficients again, each in two channels. */
function latentsToCoefficients(weights: Weights, { coefficients }: Layout): void {
  const { v, bias, at, shape } = weights;
  const now = shape[2] - 1;
  quiet(weights, 2 * coefficients);
  bias.fill(0, 0, 2 * coefficients);
  for (let q = 0; q < coefficients; q++) {
    v[at(2 * q, q, now)] = SMALL / LATENT;
    v[at(2 * q + 1, q, now)] = -SMALL / LATENT;
  }
}

/** The decoder's first stride: coefficients become a frame's samples, raised by 1. */
function sumCoefficients(weights: Weights, { strides, carriers, coefficients, cosineAt }: Layout): void {
  const { v, bias, at, shape } = weights;
  const last = strides.length - 1;
  quiet(weights, shape[0], carriers[last]);
  bias.fill(1, 0, carriers[last]);
  for (let channel = 0; channel < carriers[last]; channel++) {
    for (let j = 0; j < strides[last]; j++) {
      for (let q = 0; q < coefficients; q++) {
        const value = cosineAt(q, channel, j) / (2 * SMALL);
        v[at(2 * q, channel, j)] = value;
        v[at(2 * q + 1, channel, j)] = -value;
      }
    }
  }
}

/** A stride of the decoder after the first: samples from channels of their own stand one after another again. */
function joinSamples(weights: Weights, carriers: number, stride: number): void {
  const { v, bias, at, shape } = weights;
  quiet(weights, shape[0], carriers);
  bias.fill(0, 0, carriers);
  for (let channel = 0; channel < carriers; channel++) {
    for (let j = 0; j < stride; j++) v[at(channel * stride + j, channel, j)] = 1;
  }
}

/** The last layer: the first carrier becomes the waveform, lowered to where it was. */
function lowerWaveform(weights: Weights): void {
  const { v, bias, at, shape } = weights;
  quiet(weights, 1);
  v[at(0, 0, shape[2] - 1)] = 1;
  bias[0] = -1;
}

/** A residual unit: its carriers pass, with a little of its branch. */
async function passCarriers({ block, shortcut }: ResidualUnit, carriers: number): Promise<void> {
  await edit(block[3] as CausalConv1d, ({ v, bias }) => {
    for (const values of [v, bias]) for (let i = 0; i < values.length; i++) values[i] *= BRANCH;
  });
  if (!shortcut) return;
  await edit(shortcut, (weights) => {
    const { v, bias, at } = weights;
    quiet(weights, carriers);
    for (let channel = 0; channel < carriers; channel++) v[at(channel, channel, 0)] = 1;
    bias.fill(0, 0, carriers);
  });
}

async function startEncoder({ layers }: CodecEncoder, layout: Layout): Promise<void> {
  const { strides, carriers } = layout;
  const last = strides.length - 1;
  // The stride that comes next; before the first layer there is none.
  let stage = -1;
  for (const layer of layers) {
    if (layer instanceof ResidualUnit) await passCarriers(layer, carriers[stage]);
    if (!(layer instanceof CausalConv1d)) continue;
    await edit(layer, (weights) => {
      if (stage < 0) raiseWaveform(weights);
      else if (stage < last) splitSamples(weights, carriers[stage], strides[stage]);
      else if (stage === last) takeCoefficients(weights, layout);
      else coefficientsToLatents(weights, layout);
    });
    stage++;
  }
}

async function startDecoder({ layers }: CodecDecoder, layout: Layout): Promise<void> {
  const { strides, carriers } = layout;
  const last = strides.length - 1;
  // The stride that was undone last; at first there is none.
  let stage = strides.length;
  for (const layer of layers) {
    if (layer instanceof ResidualUnit) await passCarriers(layer, carriers[stage]);
    if (layer instanceof CausalConvTranspose1d) {
      stage--;
      await edit(layer, (weights) => {
        if (stage === last) sumCoefficients(weights, layout);
        else joinSamples(weights, carriers[stage], strides[stage]);
      });
    }
    if (layer instanceof CausalConv1d) {
      await edit(layer, (weights) => {
        if (stage > last) latentsToCoefficients(weights, layout);
        else lowerWaveform(weights);
      });
    }
  }
}

/**
 * Starts encoder and decoder as a block transform and its inverse, in place of at random: a stride's samples go to channels
 * of their own, and the last stride takes the lowest cosine coefficients of a whole frame as latents. What the channels
 * besides hold, and the residual branches, stay random. From random weights the first thousand steps go into finding the
 * waveform's phase; from these a codec has the low frequencies of the waveform at once, and learns the rest.
 *
 * The channels that carry the signal carry it above 1, where an ELU changes nothing.
 *
 * @throws RangeError when the network has too few channels.
 */
export async function startAsTransform({ config, encoder, decoder }: Codec): Promise<void> {
  const problem = transformProblem(config);
  if (problem) throw new RangeError(`codec: ${problem}`);
  const layout = layoutOf(config);
  await startEncoder(encoder, layout);
  await startDecoder(decoder, layout);
}
