/** The settings of a model in a fairseq checkpoint, as the two files that stand beside one in Hugging Face's layout. */
import { PickledObject } from '@dawnchorus/formats';
import type { HuggingFaceFiles } from '../config/index.ts';

type Shapes = ReadonlyMap<string, readonly number[]>;
type Settings = ReadonlyMap<unknown, unknown>;

const isMap = (value: unknown): value is Settings => value instanceof Map;

/** fairseq's own, which a run has whose settings leave the convolutions out. */
const usualConvLayers = '[(512,10,5)] + [(512,3,2)] * 4 + [(512,2,2)] * 2';

/** `[(512,10,5)] + [(512,3,2)] * 4 + 2 * [(512,2,2)]`, as fairseq writes the convolutions, as triples. */
export function parseConvLayers(text: string): [dim: number, kernel: number, stride: number][] | undefined {
  const layers: [number, number, number][] = [];
  for (const term of text.split('+')) {
    const [, before = 1, inside, after = 1] = /^\s*(?:(\d+)\s*\*\s*)?\[(.*)\]\s*(?:\*\s*(\d+))?\s*$/.exec(term) ?? [];
    const triple = /\(\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\)/g;
    // Nothing but triples: of what else there is, layers would be lost.
    if (inside === undefined || /[^\s,]/.test(inside.replace(triple, ''))) return undefined;
    const triples = [...inside.matchAll(triple)].map(([, ...sizes]) => sizes.map(Number) as [number, number, number]);
    for (let i = 0; i < Number(before) * Number(after); i++) layers.push(...triples);
  }
  return layers.length > 0 ? layers : undefined;
}

/**
 * The strides of the convolutions, which weights do not tell.
 *
 * @param kernels - of the weights.
 * @returns undefined where the setting is missing and the weights are not of fairseq's own convolutions.
 * @throws Error for a setting that cannot be read or is of other weights.
 */
function stridesOf(setting: unknown, kernels: readonly number[], path: string): number[] | undefined {
  const layers = parseConvLayers(String(setting ?? usualConvLayers));
  const told = layers?.map(([, kernel]) => kernel).join();
  if (layers && told === kernels.join()) return layers.map(([, , stride]) => stride);
  if (setting === undefined || setting === null) return undefined;
  const wrong = layers
    ? `has the kernels ${told}, but those of the weights are ${kernels.join()}`
    : 'cannot be read; expected (dimension, kernel, stride) in lists, added up, such as [(512,10,5)] + [(512,3,2)] * 4 or ' +
      '4 * [(512,3,2)]';
  throw new Error(
    `${path}: its setting conv_feature_layers is “${setting}”, which ${wrong}; put config.json and preprocessor_config.json beside ` +
      'it in a folder',
  );
}

/** The symbols of the dictionaries that the heads' classes are numbered by, [codebooks], where the checkpoint has them. */
export function dictionariesOf(content: unknown): string[][] | undefined {
  const state = isMap(content) ? content.get('task_state') : undefined;
  const listed = isMap(state) ? state.get('dictionaries') : undefined;
  if (!Array.isArray(listed)) return undefined;
  return listed.map((dictionary) => {
    const attributes = dictionary instanceof PickledObject ? dictionary.state : dictionary;
    const symbols = isMap(attributes) ? attributes.get('symbols') : undefined;
    return Array.isArray(symbols) ? symbols.map(String) : [];
  });
}

/**
 * The model's settings: what the shapes tell is taken from them, the rest from the settings of the training run.
 *
 * @param shapes - of the student's tensors, by the names inside.
 * @throws Error when the checkpoint does not say what the shapes cannot.
 */
export function fairseqFiles(content: unknown, shapes: Shapes, path: string): HuggingFaceFiles {
  const cfg = isMap(content) ? content.get('cfg') : undefined;
  const args = isMap(content) ? content.get('args') : undefined;
  const model = isMap(cfg) && isMap(cfg.get('model')) ? (cfg.get('model') as Settings) : isMap(args) ? args : new Map();
  const task = isMap(cfg) && isMap(cfg.get('task')) ? (cfg.get('task') as Settings) : isMap(args) ? args : new Map();
  const missing: string[] = [];
  /** A setting of the same type as `like`, which takes its place in what is reported below. */
  const need = <T extends number | boolean>(from: Settings, key: string, like: T): T => {
    const value = from.get(key);
    if (typeof value === typeof like) return value as T;
    missing.push(key);
    return like;
  };
  const sizes = (name: string): readonly number[] => shapes.get(name) ?? [];
  const count = (pattern: RegExp) =>
    1 + Math.max(-1, ...[...shapes.keys()].map((n) => Number(pattern.exec(n)?.[1] ?? -1)));
  const layers = count(/^encoder\.layers\.(\d+)\./);
  const convolutions = count(/^feature_extractor\.conv_layers\.(\d+)\./);
  const own = [...Array(convolutions).keys()].map((i) => sizes(`feature_extractor.conv_layers.${i}.conv.weight`));
  const kernels = own.map(([, , kernel]) => kernel);
  const strides = stridesOf(model.get('conv_feature_layers'), kernels, path);
  if (!strides) missing.push('conv_feature_layers');
  const [hidden] = sizes('encoder.layer_norm.weight');
  const [, inGroup, positions] = sizes('encoder.pos_conv_embed.conv.weight_v');
  const heads = need<number>(model, 'encoder_attention_heads', 1);
  const stable = need<boolean>(model, 'layer_norm_first', false);
  const sampleRate = need<number>(task, 'sample_rate', 1);
  if (missing.length > 0) {
    throw new Error(
      `${path}: its settings do not say ${missing.join(', ')}, and the shapes of its tensors cannot; put config.json and ` +
        'preprocessor_config.json beside it in a folder',
    );
  }
  const normOfSecond = shapes.has('feature_extractor.conv_layers.1.layer_norm.weight');
  const rate = (key: string) => (typeof model.get(key) === 'number' ? (model.get(key) as number) : 0);
  const embeddings = sizes('label_embs_concat');
  const config = {
    model_type: 'mert_model',
    architectures: ['MERTModel'],
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    intermediate_size: sizes('encoder.layers.0.feed_forward.intermediate_dense.weight')[0],
    hidden_act: model.get('activation_fn') ?? 'gelu',
    conv_dim: own.map(([dim]) => dim),
    conv_kernel: kernels,
    conv_stride: strides,
    conv_bias: shapes.has('feature_extractor.conv_layers.0.conv.bias'),
    num_feat_extract_layers: convolutions,
    feat_extract_norm: normOfSecond ? 'layer' : 'group',
    feat_extract_activation: 'gelu',
    num_conv_pos_embeddings: positions,
    num_conv_pos_embedding_groups: hidden / inGroup,
    conv_pos_batch_norm: false,
    do_stable_layer_norm: stable,
    layer_norm_eps: 1e-5,
    feature_extractor_cqt: model.get('feature_extractor_cqt') === true,
    feature_extractor_cqt_bins: model.get('feature_extractor_cqt_bins') ?? 336,
    deepnorm: model.get('deepnorm') === true,
    attention_relax: model.get('attention_relax') ?? -1,
    sample_rate: sampleRate,
    feat_proj_layer_norm: true,
    hidden_dropout: rate('dropout'),
    attention_dropout: rate('attention_dropout'),
    activation_dropout: rate('activation_dropout'),
    feat_proj_dropout: rate('dropout_input'),
    layerdrop: rate('encoder_layerdrop'),
    initializer_range: 0.02,
    ...(embeddings.length === 2 && {
      dawnchorus: { final_dim: embeddings[1], logit_temperature: model.get('logit_temp') ?? 0.1 },
    }),
  };
  const preprocessor = {
    feature_extractor_type: 'Wav2Vec2FeatureExtractor',
    feature_size: 1,
    sampling_rate: sampleRate,
    // As the model was trained; the released folders say true for the same weights.
    do_normalize: task.get('normalize') === true,
    padding_side: 'right',
    padding_value: 0,
    return_attention_mask: true,
  };
  return { config, preprocessor };
}
