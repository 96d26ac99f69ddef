import type { Case } from '../work.ts';
import { attentionCase } from './attention.ts';
import { chainCase, elementwiseCase } from './elementwise.ts';
import { convCase, matmulCase } from './products.ts';
import { crossEntropyCase, layerNormCase, softmaxCase } from './rows.ts';
import { cqtCase, rvqCase } from './teachers.ts';

const conv = { batch: 4, inChannels: 512, outChannels: 512, length: 1600, kernel: 3, stride: 2, padding: 0, groups: 1 };
const positional = {
  batch: 1,
  inChannels: 768,
  outChannels: 768,
  length: 200,
  kernel: 128,
  stride: 1,
  padding: 64,
  groups: 16,
};

/** The same on every adapter, so that figures compare. */
export const kernelCases: readonly Case[] = [
  matmulCase(512),
  matmulCase(1024),
  convCase('conv1d', conv),
  convCase('posconv', positional),
  attentionCase(4, 8, 256, 64),
  layerNormCase(1024, 512),
  softmaxCase(1024, 1024),
  crossEntropyCase(1024, 1024),
  elementwiseCase(1024),
  chainCase(100, 16),
  cqtCase(8, 5),
  rvqCase(512, 128, 1024, 8),
];
