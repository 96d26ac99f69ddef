import type { Case, Precision } from '../work.ts';
import { attentionCase } from './attention.ts';
import { chainCase, elementwiseCase } from './elementwise.ts';
import { mertCases } from './mert.ts';
import { convCase, matmulCase } from './products.ts';
import { crossEntropyCase, layerNormCase, softmaxCase } from './rows.ts';
import { cqtCase, rfftCase, rvqCase } from './teachers.ts';

const conv = { batch: 4, inChannels: 512, outChannels: 512, length: 1600, kernel: 3, stride: 2 };
const positional = { batch: 1, inChannels: 768, outChannels: 768, length: 200, kernel: 128, padding: 64, groups: 16 };

const inBoth = (dtype: Precision): Case[] => [
  matmulCase({ name: 'matmul_512', m: 512, k: 512, n: 512, dtype }),
  ...[1024, 2048, 4096].map((size) => matmulCase({ name: `matmul_${size}`, m: size, k: size, n: size, dtype })),
  convCase('conv1d', conv, dtype),
  convCase('posconv', positional, dtype),
  attentionCase('attention', [4, 8, 256, 64], dtype),
  layerNormCase('layernorm', 1024, 512, dtype),
  softmaxCase('softmax', 1024, 1024, dtype),
];

/** The same on every adapter, so that figures compare. */
export const kernelCases: readonly Case[] = [
  ...inBoth('f32'),
  crossEntropyCase('cross_entropy', 1024, 1024),
  elementwiseCase(1024),
  chainCase(100, 16),
  rfftCase('rfft', 2048, 1024),
  cqtCase('cqt', 8, 5),
  rvqCase('rvq', { rows: 512, dimension: 128, codes: 1024, stages: 8 }),
  ...inBoth('f16'),
];

export const allCases: readonly Case[] = [...kernelCases, ...mertCases];

/** What a software adapter does in a second or so. */
const SOFTWARE_FLOPS = 2.5e9;

/** What hardware gets, and a software adapter only if asked: the models' larger batches and halves, long products. */
export const isLarge = ({ group, name, dtype, flops }: Case) =>
  group === 'kernels'
    ? /matmul_(2048|4096)/.test(name)
    : !name.endsWith('_b1') || dtype === 'f16' || flops > SOFTWARE_FLOPS;
