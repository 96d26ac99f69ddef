/** The engine's side of attention.py: what each of its cases is called here. */
import { scaledDotProductAttention, type Tensor } from '@dawnchorus/tensor';
import type { Golden } from './index.ts';

const plain: Golden = (q, k, v) => scaledDotProductAttention(q, k, v);
const causal: Golden = (q, k, v) => scaledDotProductAttention(q, k, v, { causal: true });

export const golden: Record<string, Golden> = {
  attention: plain,
  'attention of another length': plain,
  'attention with heads of 13': plain,
  'attention of one step': plain,
  'attention with a scale': (q, k, v) => scaledDotProductAttention(q, k, v, { scale: 0.3 }),
  'attention, causal': causal,
  'attention, causal, with more keys': causal,
  'attention, causal, with fewer keys': causal,
  'attention with a mask': (q, k, v, visible) => scaledDotProductAttention(q, k, v, { visible }),
  'attention of large scores': plain,
  'attention of two axes': plain,
  'attention of three axes': plain,
  'attention of a projection': (x) => {
    const [q, k, v] = [0, 1, 2].map(
      (i): Tensor =>
        x
          .sliceAxis(2, 16 * i, 16 * (i + 1))
          .reshape([2, 5, 2, 8])
          .permute([0, 2, 1, 3]),
    );
    return scaledDotProductAttention(q, k, v).permute([0, 2, 1, 3]).reshape([2, 5, 16]);
  },
};
