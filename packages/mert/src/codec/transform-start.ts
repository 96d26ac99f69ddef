import type { Tensor } from '@dawnchorus/tensor';
import type { Codec } from './codec.ts';
import type { CodecConfig } from './config.ts';
import { CausalConv1d, CausalConvTranspose1d } from './convolution.ts';
import { type CodecLayer, ResidualUnit } from './seanet.ts';

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

/** Weights of a convolution on the host: [first, second, kernel], as they lie in the tensor. */
interface Weights {
  v: Float32Array;
  bias: Float32Array;
  at(first: number, second: number, tap: number): number;
}

async function edit(layer: CausalConv1d | CausalConvTranspose1d, change: (weights: Weights) => void): Promise<void> {
  const { weightV, weightG, bias } = layer.conv;
  const [, second, kernel] = weightV.shape;
  const read = async (x: Tensor) => Float32Array.from((await x.data()) as Float32Array);
  const weights: Weights = {
    v: await read(weightV),
    bias: await read(bias),
    at: (a, b, tap) => (a * second + b) * kernel + tap,
  };
  change(weights);
  const { v } = weights;
  const row = second * kernel;
  const g = Float32Array.from({ length: weightG.shape[0] }, (_, i) =>
    Math.hypot(...v.subarray(i * row, (i + 1) * row)),
  );
  for (const [tensor, data] of [
    [weightV, v],
    [weightG, g],
    [bias, weights.bias],
  ] as const) {
    tensor.device.write(tensor.storage, tensor.offset * 4, data as Float32Array<ArrayBuffer>);
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
export async function startAsTransform(codec: Codec): Promise<void> {
  const { config } = codec;
  const problem = transformProblem(config);
  if (problem) throw new RangeError(`codec: ${problem}`);
  const strides = [...config.upsamplingRatios].reverse();
  const last = strides.length - 1;
  const hop = strides.reduce((product, stride) => product * stride, 1);
  const channelsAtEnd = config.numFilters * 2 ** strides.length;
  const coefficients = Math.min(config.hiddenSize, channelsAtEnd / 2, hop);
  // Which sample of its block each channel holds, before each stride and after the last but one.
  const positions: number[][] = [[0]];
  let block = 1;
  for (const stride of strides.slice(0, last)) {
    const before = positions[positions.length - 1];
    const length = block;
    positions.push(before.flatMap((own) => Array.from({ length: stride }, (_, j) => j * length + own)));
    block *= stride;
  }
  const carriers = positions.map((list) => list.length);

  const quiet = (weights: Weights, firsts: number, seconds: number, kernel: number, width: number) => {
    for (let a = 0; a < firsts; a++) {
      for (let i = 0; i < seconds * kernel; i++) weights.v[a * width * kernel + i] *= NOISE;
    }
  };
  const residual = async (layer: ResidualUnit, count: number) => {
    await edit(layer.block[3] as CausalConv1d, ({ v, bias }) => {
      for (const values of [v, bias]) for (let i = 0; i < values.length; i++) values[i] *= BRANCH;
    });
    if (!layer.shortcut) return;
    const channels = layer.shortcut.conv.weightV.shape[1];
    await edit(layer.shortcut, (weights) => {
      quiet(weights, count, channels, 1, channels);
      for (let c = 0; c < count; c++) weights.v[weights.at(c, c, 0)] = 1;
      weights.bias.fill(0, 0, count);
    });
  };

  let stage = -1;
  for (const layer of convolutionsOf(codec.encoder.layers)) {
    if (layer instanceof ResidualUnit) {
      await residual(layer, carriers[stage]);
      continue;
    }
    const [, inChannels, kernel] = (layer as CausalConv1d).conv.weightV.shape;
    const own = stage++;
    await edit(layer as CausalConv1d, (weights) => {
      const { v, bias, at } = weights;
      if (own < 0) {
        quiet(weights, 1, 1, kernel, 1);
        v[at(0, 0, kernel - 1)] = 1;
        bias[0] = 1;
      } else if (own <= last) {
        const stride = strides[own];
        const outs = own < last ? carriers[own + 1] : 2 * coefficients;
        quiet(weights, outs, inChannels, kernel, inChannels);
        bias.fill(0, 0, outs);
        for (let e = 0; e < carriers[own]; e++) {
          for (let j = 0; j < stride; j++) {
            if (own < last) {
              v[at(e * stride + j, e, stride + j)] = 1;
              continue;
            }
            for (let q = 0; q < coefficients; q++) {
              const value = SMALL * cosine(q, j * block + positions[last][e], hop);
              v[at(2 * q, e, stride + j)] = value;
              v[at(2 * q + 1, e, stride + j)] = -value;
              // The signal is carried above 1.
              bias[2 * q] -= value;
              bias[2 * q + 1] += value;
            }
          }
        }
      } else {
        quiet(weights, coefficients, inChannels, kernel, inChannels);
        bias.fill(0, 0, coefficients);
        for (let q = 0; q < coefficients; q++) {
          v[at(q, 2 * q, kernel - 1)] = LATENT / (2 * SMALL);
          v[at(q, 2 * q + 1, kernel - 1)] = -LATENT / (2 * SMALL);
        }
      }
    });
  }

  stage = strides.length;
  for (const layer of convolutionsOf(codec.decoder.layers)) {
    if (layer instanceof ResidualUnit) {
      await residual(layer, carriers[stage + 1]);
      continue;
    }
    const own = stage--;
    const [, second, kernel] = layer.conv.weightV.shape;
    await edit(layer, (weights) => {
      const { v, bias, at } = weights;
      if (layer instanceof CausalConv1d && own > last) {
        quiet(weights, 2 * coefficients, second, kernel, second);
        bias.fill(0, 0, 2 * coefficients);
        for (let q = 0; q < coefficients; q++) {
          v[at(2 * q, q, kernel - 1)] = SMALL / LATENT;
          v[at(2 * q + 1, q, kernel - 1)] = -SMALL / LATENT;
        }
      } else if (layer instanceof CausalConvTranspose1d) {
        const { stride } = layer;
        const firsts = layer.conv.weightV.shape[0];
        quiet(weights, firsts, carriers[own], kernel, second);
        for (let e = 0; e < carriers[own]; e++) {
          bias[e] = own === last ? 1 : 0;
          for (let j = 0; j < stride; j++) {
            if (own < last) {
              v[at(e * stride + j, e, j)] = 1;
              continue;
            }
            for (let q = 0; q < coefficients; q++) {
              const value = cosine(q, j * block + positions[last][e], hop) / (2 * SMALL);
              v[at(2 * q, e, j)] = value;
              v[at(2 * q + 1, e, j)] = -value;
            }
          }
        }
      } else {
        quiet(weights, 1, second, kernel, second);
        v[at(0, 0, kernel - 1)] = 1;
        bias[0] = -1;
      }
    });
  }
}

type Convolution = CausalConv1d | CausalConvTranspose1d | ResidualUnit;

const convolutionsOf = (layers: readonly CodecLayer[]): Convolution[] =>
  layers.filter(
    (layer): layer is Convolution =>
      layer instanceof CausalConv1d || layer instanceof CausalConvTranspose1d || layer instanceof ResidualUnit,
  );
