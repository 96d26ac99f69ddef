import type { OpName } from '../../src/index.ts';
import { attentionCases } from './attention.ts';
import type { OpCases } from './case.ts';
import { crossEntropyCases } from './cross-entropy.ts';
import { elementwiseCases } from './elementwise.ts';
import { fourierCases } from './fourier.ts';
import { gatherCases } from './gather.ts';
import { imageCases } from './images.ts';
import { normCases } from './norm.ts';
import { otherCases } from './others.ts';
import { productCases } from './products.ts';
import { reduceCases } from './reduce.ts';
import { scanCases } from './scan.ts';

/** One case for every operation: an operation without one does not compile. */
export const opCases: OpCases<OpName> = {
  ...elementwiseCases,
  ...reduceCases,
  ...scanCases,
  ...normCases,
  ...attentionCases,
  ...crossEntropyCases,
  ...productCases,
  ...imageCases,
  ...fourierCases,
  ...gatherCases,
  ...otherCases,
};
