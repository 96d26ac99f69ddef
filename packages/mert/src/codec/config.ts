import { z } from 'zod';

const count = () => z.int().positive();

/**
 * The architecture of a codec, under Hugging Face's names in camelCase (`EncodecConfig`). The defaults are EnCodec's
 * 24 kHz model (Défossez et al., 2022).
 */
export const codecSchema = z.object({
  sampleRate: count().default(24000).describe('samples a second'),
  numFilters: z.int().min(2).default(32).describe('channels of the first convolution; each stage has twice as many'),
  hiddenSize: count().default(128).describe('width of the latents, and of codebook entries'),
  upsamplingRatios: z
    .array(z.int().min(2))
    .min(1)
    .default([8, 5, 4, 2])
    .describe('strides of the decoder in their order; the encoder has them the other way round'),
  numResidualLayers: count().default(1).describe('residual units in each stage'),
  dilationGrowthRate: count().default(2).describe('factor between the dilations of neighbouring residual units'),
  kernelSize: count().default(7).describe('kernel of the first convolution'),
  lastKernelSize: count().default(7).describe('kernel of the last convolution'),
  residualKernelSize: count().default(3).describe('kernel of the dilated convolution in residual units'),
  compress: count().default(2).describe('how much narrower residual units are inside'),
  numLstmLayers: z.int().min(0).default(2).describe('layers of the LSTM; 0: there is none'),
  useConvShortcut: z.boolean().default(true).describe('whether the shortcut of residual units is a convolution'),
  padMode: z.enum(['reflect', 'constant']).default('reflect').describe('what convolutions see outside of the clip'),
  codebookSize: z.int().min(2).default(1024).describe('entries of a codebook'),
  numCodebooks: count().default(32).describe('codebooks, each quantising what the ones before it left over'),
});

/** The architecture of a codec. */
export type CodecConfig = z.output<typeof codecSchema>;

/** EnCodec's 24 kHz model, with what differs. */
export const codecConfig = (given: Partial<CodecConfig> = {}): CodecConfig => codecSchema.parse(given);

/** Samples behind each code: 320 of EnCodec's 24 kHz model. */
export const hopLength = ({ upsamplingRatios }: CodecConfig): number => upsamplingRatios.reduce((a, b) => a * b, 1);

/** Codes a second in each codebook, rounded up as encodec does. */
export const frameRate = (config: CodecConfig): number => Math.ceil(config.sampleRate / hopLength(config));

/** Codes of `samples` samples, in each codebook. */
export const framesOf = (config: CodecConfig, samples: number): number => Math.ceil(samples / hopLength(config));

/** Bits a second that one codebook takes. */
export const bitsPerCodebook = (config: CodecConfig): number => Math.log2(config.codebookSize) * frameRate(config);

/**
 * Codebooks that `bandwidth` kbit/s have room for, as encodec counts them: one at least. There may be fewer in the model.
 *
 * @throws RangeError when the bandwidth is no positive number.
 */
export function codebooksFor(config: CodecConfig, bandwidth: number): number {
  if (!(bandwidth > 0) || !Number.isFinite(bandwidth)) {
    throw new RangeError(`codec: a bandwidth of ${bandwidth} kbit/s; expected a positive number, e.g. 6`);
  }
  return Math.max(1, Math.floor((bandwidth * 1000) / bitsPerCodebook(config)));
}

/** The kilobits a second that MERT's labels take: 8 of EnCodec's codebooks. */
export const defaultBandwidth = 6;

/** What a field of config.json must be for this code to be the same model. */
const fixed: Record<string, readonly unknown[]> = {
  model_type: ['encodec'],
  audio_channels: [1],
  normalize: [false],
  use_causal_conv: [true],
  trim_right_ratio: [1],
  norm_type: ['weight_norm'],
  chunk_length_s: [null],
};

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/**
 * The architecture that Hugging Face's config.json of an EnCodec model describes.
 *
 * @throws Error that lists everything that is not supported, or no sensible value.
 */
export function codecFromHuggingFace(json: unknown, path: string): CodecConfig {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new Error(`${path}: is no JSON object`);
  const given = json as Record<string, unknown>;
  const problems: string[] = [];
  for (const [name, allowed] of Object.entries(fixed)) {
    if (name in given && !allowed.includes(given[name])) {
      problems.push(`${name} is ${JSON.stringify(given[name])}; only ${JSON.stringify(allowed[0])} is supported`);
    }
  }
  const fields: Record<string, unknown> = {};
  for (const name of Object.keys(codecSchema.shape)) {
    const spelled = name === 'sampleRate' ? 'sampling_rate' : snake(name);
    if (given[spelled] !== undefined && given[spelled] !== null) fields[name] = given[spelled];
  }
  if (given.codebook_dim !== undefined && given.codebook_dim !== null) {
    const width = fields.hiddenSize ?? 128;
    if (given.codebook_dim !== width) problems.push(`codebook_dim is ${given.codebook_dim}, but hidden_size ${width}`);
  }
  const parsed = codecSchema.safeParse(fields);
  for (const issue of parsed.error?.issues ?? []) {
    problems.push(`${snake(issue.path.map(String).join('.'))}: ${issue.message}`);
  }
  if (!parsed.success || problems.length > 0) {
    throw new Error(`${path}: not a codec that is supported here:\n  ${problems.join('\n  ')}`);
  }
  const config = parsed.data;
  const bandwidths = given.target_bandwidths;
  if (fields.numCodebooks === undefined && Array.isArray(bandwidths) && bandwidths.length > 0) {
    // Hugging Face counts them by the largest bandwidth.
    config.numCodebooks = codebooksFor(config, Number(bandwidths[bandwidths.length - 1]));
  }
  return config;
}

/** Hugging Face's config.json and preprocessor_config.json of a codec. */
export function codecToHuggingFace(config: CodecConfig): {
  config: Record<string, unknown>;
  preprocessor: Record<string, unknown>;
} {
  const perCodebook = bitsPerCodebook(config) / 1000;
  const counts = [2, 4, 8, 16, 32].filter((n) => n < config.numCodebooks);
  // A little more than each takes, so that rounding down finds as many codebooks again.
  const bandwidths = [...counts, config.numCodebooks].map((n) => Number((n * perCodebook).toPrecision(12)));
  const { sampleRate, ...rest } = config;
  const fields = Object.fromEntries(Object.entries(rest).map(([name, value]) => [snake(name), value]));
  return {
    config: {
      model_type: 'encodec',
      architectures: ['EncodecModel'],
      sampling_rate: sampleRate,
      audio_channels: 1,
      normalize: false,
      chunk_length_s: null,
      overlap: null,
      norm_type: 'weight_norm',
      use_causal_conv: true,
      trim_right_ratio: 1,
      codebook_dim: config.hiddenSize,
      target_bandwidths: bandwidths,
      ...fields,
    },
    preprocessor: {
      feature_extractor_type: 'EncodecFeatureExtractor',
      feature_size: 1,
      sampling_rate: sampleRate,
      padding_side: 'right',
      padding_value: 0,
      return_attention_mask: true,
    },
  };
}
