/**
 * The configuration files that stand beside the weights of a MERT model in Hugging Face's format: config.json and
 * preprocessor_config.json, as m-a-p/MERT-v1-95M has them.
 */
import { z } from 'zod';
import { LARGEST_HEAD } from './checks.ts';
import { CQT_BINS, classesOf } from './count.ts';
import { describeIssue, valueAt } from './issues.ts';
import { type ModelConfig, type PretrainConfig, sections } from './schema.ts';

/** The two JSON files of a folder in Hugging Face's MERT layout. */
export type HuggingFaceFiles = { config: Record<string, unknown>; preprocessor: Record<string, unknown> };

/**
 * The contents of config.json and preprocessor_config.json. What Hugging Face's model has no fields for, the heads used
 * in pretraining, is under the key `dawnchorus`, which its loader ignores. As in the released files, input is to be
 * brought to zero mean and unit variance (`do_normalize`): with group norm and no bias the first layer cancels gain, so
 * a model trained without it agrees, but one with `featExtractNorm: layer` must have been trained on such input.
 */
export function toHuggingFace(pretraining: PretrainConfig): HuggingFaceFiles {
  const { audio, model, targets } = pretraining;
  const classes = classesOf(pretraining);
  const config = {
    model_type: 'mert_model',
    architectures: ['MERTModel'],
    hidden_size: model.hiddenSize,
    num_hidden_layers: model.numHiddenLayers,
    num_attention_heads: model.numAttentionHeads,
    intermediate_size: model.intermediateSize,
    hidden_act: 'gelu',
    conv_dim: model.convDim,
    conv_kernel: model.convKernel,
    conv_stride: model.convStride,
    conv_bias: model.convBias,
    num_feat_extract_layers: model.convDim.length,
    feat_extract_norm: model.featExtractNorm,
    feat_extract_activation: 'gelu',
    num_conv_pos_embeddings: model.numConvPosEmbeddings,
    num_conv_pos_embedding_groups: model.numConvPosEmbeddingGroups,
    // Transformers from 4.48 on reads this of every model of the family, and MERT's own configuration class lacks it.
    conv_pos_batch_norm: false,
    do_stable_layer_norm: model.doStableLayerNorm,
    layer_norm_eps: model.layerNormEps,
    feature_extractor_cqt: model.featureExtractorCqt,
    feature_extractor_cqt_bins: model.featureExtractorCqtBins,
    deepnorm: model.deepnorm,
    attention_relax: model.attentionRelax,
    sample_rate: audio.sampleRate,
    feat_proj_layer_norm: true,
    hidden_dropout: model.hiddenDropout,
    attention_dropout: model.attentionDropout,
    activation_dropout: model.activationDropout,
    feat_proj_dropout: model.featProjDropout,
    layerdrop: model.layerdrop,
    initializer_range: 0.02,
    dawnchorus: {
      final_dim: model.finalDim,
      logit_temperature: model.logitTemperature,
      feature_grad_mult: model.featureGradMult,
      num_codebooks: classes.length,
      codebook_size: Math.max(...classes),
      classes,
      special_classes: targets.specialClasses,
      cqt_bins: CQT_BINS,
    },
  };
  const preprocessor = {
    feature_extractor_type: 'Wav2Vec2FeatureExtractor',
    feature_size: 1,
    sampling_rate: audio.sampleRate,
    do_normalize: true,
    padding_side: 'right',
    padding_value: 0,
    return_attention_mask: true,
  };
  return { config, preprocessor };
}

const field = sections.model.shape;
/** A field of the model without its default. */
const required = <T extends z.ZodType>(schema: z.ZodDefault<T>): T => schema.unwrap();
const only = <T extends string | boolean>(value: T) => z.literal(value).optional();

const configFile = z.looseObject({
  model_type: z.enum(['mert_model', 'hubert']),
  hidden_size: required(field.hiddenSize),
  num_hidden_layers: required(field.numHiddenLayers),
  num_attention_heads: required(field.numAttentionHeads),
  intermediate_size: required(field.intermediateSize),
  conv_dim: required(field.convDim),
  conv_kernel: required(field.convKernel),
  conv_stride: required(field.convStride),
  conv_bias: required(field.convBias),
  feat_extract_norm: required(field.featExtractNorm),
  num_conv_pos_embeddings: required(field.numConvPosEmbeddings),
  num_conv_pos_embedding_groups: required(field.numConvPosEmbeddingGroups),
  do_stable_layer_norm: required(field.doStableLayerNorm),
  layer_norm_eps: required(field.layerNormEps),
  sample_rate: z.int().positive().optional(),
  hidden_dropout: required(field.hiddenDropout).default(0),
  attention_dropout: required(field.attentionDropout).default(0),
  activation_dropout: required(field.activationDropout).default(0),
  feat_proj_dropout: required(field.featProjDropout).default(0),
  layerdrop: required(field.layerdrop).default(0),
  deepnorm: field.deepnorm,
  attention_relax: field.attentionRelax,
  feature_extractor_cqt: field.featureExtractorCqt,
  feature_extractor_cqt_bins: field.featureExtractorCqtBins,
  // Variants of the architecture that exist in the format and not here.
  hidden_act: only('gelu'),
  feat_extract_activation: only('gelu'),
  feat_proj_layer_norm: only(true),
  conv_pos_batch_norm: only(false),
  dawnchorus: z
    .looseObject({
      final_dim: field.finalDim,
      logit_temperature: field.logitTemperature,
      feature_grad_mult: field.featureGradMult,
    })
    .prefault({}),
});

const preprocessorFile = z.looseObject({
  sampling_rate: z.int().positive(),
  do_normalize: z.boolean(),
});

/**
 * Reads the parsed contents of config.json and preprocessor_config.json. Unknown keys are ignored, as there are many;
 * dropout probabilities that are absent are 0, and absent fields of the pretraining heads have their usual defaults.
 *
 * @returns the model, the rate of its input in Hz, and whether its input is brought to zero mean and unit variance.
 * @throws with one line for each field that is missing, mistyped, or asks for what this model does not have.
 */
export function fromHuggingFace(
  configJson: unknown,
  preprocessorJson: unknown,
): ModelConfig & { sampleRate: number; doNormalize: boolean } {
  const parsed = configFile.safeParse(configJson);
  const preprocessor = preprocessorFile.safeParse(preprocessorJson);
  const problems = [
    ...describe('config.json', parsed.error, configJson),
    ...describe('preprocessor_config.json', preprocessor.error, preprocessorJson),
  ];
  if (parsed.success && preprocessor.success) {
    problems.push(...disagreements(parsed.data, preprocessor.data));
  }
  if (problems.length > 0 || !parsed.success || !preprocessor.success) {
    throw Object.assign(new Error(problems.join('\n')), { name: 'ConfigError' });
  }
  const config = parsed.data;
  return {
    hiddenSize: config.hidden_size,
    numHiddenLayers: config.num_hidden_layers,
    numAttentionHeads: config.num_attention_heads,
    intermediateSize: config.intermediate_size,
    convDim: config.conv_dim,
    convKernel: config.conv_kernel,
    convStride: config.conv_stride,
    convBias: config.conv_bias,
    featExtractNorm: config.feat_extract_norm,
    numConvPosEmbeddings: config.num_conv_pos_embeddings,
    numConvPosEmbeddingGroups: config.num_conv_pos_embedding_groups,
    doStableLayerNorm: config.do_stable_layer_norm,
    deepnorm: config.deepnorm,
    attentionRelax: config.attention_relax,
    featureExtractorCqt: config.feature_extractor_cqt,
    featureExtractorCqtBins: config.feature_extractor_cqt_bins,
    hiddenDropout: config.hidden_dropout,
    attentionDropout: config.attention_dropout,
    activationDropout: config.activation_dropout,
    featProjDropout: config.feat_proj_dropout,
    layerdrop: config.layerdrop,
    layerNormEps: config.layer_norm_eps,
    finalDim: config.dawnchorus.final_dim,
    logitTemperature: config.dawnchorus.logit_temperature,
    featureGradMult: config.dawnchorus.feature_grad_mult,
    sampleRate: preprocessor.data.sampling_rate,
    doNormalize: preprocessor.data.do_normalize,
  };
}

function describe(file: string, error: z.ZodError | undefined, json: unknown): string[] {
  return (error?.issues ?? []).map((issue) => {
    const key = issue.path.length === 0 ? '' : ` ${issue.path.join('.')}`;
    return `${file}${key}: ${describeIssue(issue, valueAt(json, issue.path))}`;
  });
}

function disagreements(config: z.output<typeof configFile>, preprocessor: z.output<typeof preprocessorFile>): string[] {
  const problems: string[] = [];
  for (const divisor of ['num_attention_heads', 'num_conv_pos_embedding_groups'] as const) {
    if (config.hidden_size % config[divisor] !== 0) {
      problems.push(
        `config.json hidden_size: ${config.hidden_size} must be a multiple of ${divisor} (${config[divisor]})`,
      );
    }
  }
  const head = config.hidden_size / config.num_attention_heads;
  if (head > LARGEST_HEAD) {
    problems.push(
      `config.json num_attention_heads: ${config.num_attention_heads} heads of ${head} elements; attention is there for 1 to ${LARGEST_HEAD}`,
    );
  }
  if (config.deepnorm && config.do_stable_layer_norm) {
    problems.push('config.json deepnorm: DeepNorm is a form of post-LN, but do_stable_layer_norm is true');
  }
  const rate = preprocessor.sampling_rate;
  if (config.sample_rate !== undefined && config.sample_rate !== rate) {
    problems.push(
      `preprocessor_config.json sampling_rate: ${rate} differs from sample_rate ${config.sample_rate} of config.json; are both of one model?`,
    );
  }
  return problems;
}
