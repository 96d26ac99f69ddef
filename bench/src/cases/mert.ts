import type { Case, Group, Precision } from '../work.ts';
import { attentionCase } from './attention.ts';
import { geluCase } from './elementwise.ts';
import { firstStageCase } from './first-stage.ts';
import { convCase, matmulCase } from './products.ts';
import { crossEntropyCase, groupNormCase, layerNormCase, softmaxCase } from './rows.ts';
import { cqtCase, rvqCase } from './teachers.ts';

const SECONDS = 5;
/** What 5 s at 24 kHz are at 75 Hz. */
const FRAMES = 375;
/** Of a clip, on average: 0.54 of them. */
const MASKED = 202;
const BATCHES = [1, 4, 8];
const precisions: readonly Precision[] = ['f32', 'f16'];

const models = [
  { prefix: 'mert95m', group: 'MERT-95M', width: 768, heads: 12, inner: 3072 },
  { prefix: 'mert330m', group: 'MERT-330M', width: 1024, heads: 16, inner: 4096 },
] as const;

/** A transformer layer's kernels; weights are stored [out, in], and the gradients of weights are products of their own. */
function layerCases({ prefix, width, heads, inner }: (typeof models)[number], batch: number, dtype: Precision): Case[] {
  const rows = batch * FRAMES;
  const name = (what: string) => `${prefix}_${what}_b${batch}`;
  const linear = (what: string, k: number, n: number) =>
    matmulCase({ name: name(what), m: rows, k, n, transposeB: true, dtype });
  /** dyT x: tall and thin factors, a sum over all frames. */
  const weightGradient = (what: string, k: number, n: number) =>
    matmulCase({ name: name(`${what}_dw`), m: n, k: rows, n: k, transposeA: true, passes: ['forward'], dtype });
  return [
    linear('qkv', width, 3 * width),
    linear('attention_out', width, width),
    linear('ffn_in', width, inner),
    linear('ffn_out', inner, width),
    weightGradient('qkv', width, 3 * width),
    weightGradient('ffn_in', width, inner),
    weightGradient('ffn_out', inner, width),
    attentionCase(name('attention'), [batch, heads, FRAMES, width / heads], dtype),
    convCase(
      name('posconv'),
      { batch, inChannels: width, outChannels: width, length: FRAMES, kernel: 128, padding: 64, groups: 16 },
      dtype,
    ),
    layerNormCase(name('layernorm'), rows, width, dtype),
    softmaxCase(name('softmax'), batch * heads * FRAMES, FRAMES, dtype),
    geluCase(name('gelu'), rows, inner, dtype),
  ];
}

/** Kernel and stride of the seven convolutions. */
const extractor = [
  [10, 5],
  [3, 2],
  [3, 2],
  [3, 2],
  [3, 2],
  [2, 2],
  [2, 2],
];

function extractorCases(batch: number, dtype: Precision): Case[] {
  let length = SECONDS * 24000;
  return extractor.map(([kernel, stride], i) => {
    const settings = { batch, inChannels: i === 0 ? 1 : 512, outChannels: 512, length, kernel, stride };
    length = Math.floor((length - kernel) / stride) + 1;
    return convCase(`mert_extractor${i}_b${batch}`, settings, dtype);
  });
}

function sharedCases(batch: number): Case[] {
  return [
    ...precisions.flatMap((dtype) => extractorCases(batch, dtype)),
    ...precisions.map((dtype) =>
      firstStageCase(
        `mert_first_stage_b${batch}`,
        { batch, channels: 512, length: SECONDS * 24000, kernel: 10, stride: 5 },
        dtype,
      ),
    ),
    ...precisions.map((dtype) => groupNormCase(`mert_groupnorm_b${batch}`, [batch, 512, 23999], dtype)),
    crossEntropyCase(`mert_cross_entropy_b${batch}`, 8 * batch * MASKED, 1024),
    cqtCase(`mert_cqt_b${batch}`, batch, SECONDS),
    rvqCase(`mert_rvq_b${batch}`, { rows: batch * FRAMES, dimension: 128, codes: 1024, stages: 8 }),
  ];
}

/** What a pretraining step is made of, at the sizes of both models. */
export const mertCases: readonly Case[] = BATCHES.flatMap((batch) => {
  const of = (group: Group, cases: Case[]) => cases.map((each) => ({ ...each, group }));
  return [
    ...of('MERT, both sizes', sharedCases(batch)),
    ...models.flatMap((model) =>
      of(
        model.group,
        precisions.flatMap((dtype) => layerCases(model, batch, dtype)),
      ),
    ),
  ];
});
