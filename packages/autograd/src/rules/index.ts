import type { AttributesOf, DifferentiableOpName } from '@dawnchorus/tensor';
import { attentionRules } from './attention.ts';
import { elementwiseRules } from './elementwise.ts';
import { fourierRules } from './fourier.ts';
import { imageRules } from './images.ts';
import { indexingRules } from './indexing.ts';
import { layerRules } from './layers.ts';
import { lossRules } from './losses.ts';
import { reductionRules } from './reductions.ts';
import { type Rule, registerRules } from './rule.ts';
import { scanRules } from './scans.ts';

/** One rule for every differentiable operation: a missing one does not compile. */
export const rules: { readonly [N in DifferentiableOpName]: Rule<AttributesOf<N>> } = {
  ...elementwiseRules,
  ...reductionRules,
  ...scanRules,
  ...layerRules,
  ...attentionRules,
  ...lossRules,
  ...indexingRules,
  ...imageRules,
  ...fourierRules,
};

registerRules(rules);
