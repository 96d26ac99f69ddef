/**
 * How files spell the tensors of a MERT model. Inside, they have Hugging Face's names with `weight_g` and `weight_v`:
 * `encoder.layers.0.attention.q_proj.weight`. Newer versions of PyTorch write `parametrizations.weight.original0` and
 * `original1` for those, models with a head on top put `hubert.` in front, and fairseq has names of its own:
 * `encoder.layers.0.self_attn.q_proj.weight`. Source: MERT's scripts/convert_MERT_HF.py.
 */

const fairseqNames: readonly (readonly [RegExp, string])[] = [
  [/^mask_emb$/, 'masked_spec_embed'],
  [/^post_extract_proj\./, 'feature_projection.projection.'],
  [/^layer_norm\./, 'feature_projection.layer_norm.'],
  [/^encoder\.pos_conv\.0\./, 'encoder.pos_conv_embed.conv.'],
  [/^(feature_extractor\.conv_layers\.\d+)\.0\./, '$1.conv.'],
  // Group norm stands at .2, layer norm between two transpositions at .2.1.
  [/^(feature_extractor\.conv_layers\.\d+)\.2\.(?:1\.)?/, '$1.layer_norm.'],
  [/^(encoder\.layers\.\d+)\.self_attn\./, '$1.attention.'],
  [/^(encoder\.layers\.\d+)\.self_attn_layer_norm\./, '$1.layer_norm.'],
  [/^(encoder\.layers\.\d+)\.fc1\./, '$1.feed_forward.intermediate_dense.'],
  [/^(encoder\.layers\.\d+)\.fc2\./, '$1.feed_forward.output_dense.'],
];

/** Whether names are fairseq's. */
export const isFairseq = (names: Iterable<string>): boolean =>
  [...names].some((name) => /(^|\.)(mask_emb|post_extract_proj\.weight|encoder\.pos_conv\.0\.weight_[gv])$/.test(name));

/** The name inside of what a file calls `name`; names of no student come back as they are. */
export function canonicalName(name: string, fairseq = false): string {
  const bare = name
    .replace(/^(hubert|mert|model|module)\./, '')
    .replace(/\.parametrizations\.weight\.original([01])$/, (_, part) => (part === '0' ? '.weight_g' : '.weight_v'));
  if (!fairseq) return bare;
  const rule = fairseqNames.find(([pattern]) => pattern.test(bare));
  return rule ? bare.replace(rule[0], rule[1]) : bare;
}

/** What pretraining predicts with: tensors that are kept beside the student. */
export const isHead = (name: string): boolean =>
  /^(final_proj\.(weight|bias)|label_embs_concat|encoder_cqt_model\.fc\.(weight|bias)|encoder_mel_model\.fc\.(weight|bias))$/.test(
    name,
  );

/** What files of models hold that is neither student nor head: tables that are computed again, and other tasks' heads. */
export const isBeside = (name: string): boolean =>
  /^(encoder_(cqt|mel)_model\.(spec_layer|mel|transform)|lm_head|projector|classifier|layer_weights|target_glu|logit_scale)\b/.test(
    name,
  );
