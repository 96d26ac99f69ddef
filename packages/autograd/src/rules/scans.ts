import { type AttributesOf, apply, linearRecurrence, mul, type Tensor } from '@dawnchorus/tensor';
import { onlyIf, rule } from './rule.ts';

/** Every element moved one place along the axis, with a zero at the end that it leaves. */
function shifted(x: Tensor, axis: number, by: 1 | -1): Tensor {
  const rest = by === 1 ? x.sliceAxis(axis, 0, Math.max(0, x.shape[axis] - 1)) : x.sliceAxis(axis, 1);
  return apply('unslice', [rest], { axis, shape: x.shape, start: by === 1 ? 1 : 0, step: 1 })[0];
}

export const scanRules = {
  cumsum: rule<AttributesOf<'cumsum'>>('nothing', (g, { attributes: { axis, reverse } }) =>
    apply('cumsum', [g], { axis, reverse: !reverse }),
  ),
  // What h[t] does to the loss is its own gradient and factors[t + 1] times that of h[t + 1]: a recurrence from the end.
  linearRecurrence: rule<AttributesOf<'linearRecurrence'>>(
    'both',
    (g, { inputs: [factors], outputs: [h], attributes: { axis, reverse }, needs }) => {
      const next = shifted(factors, axis, reverse ? 1 : -1);
      const total = linearRecurrence(next, g, { dim: axis, reverse: !reverse });
      return [onlyIf(needs[0], () => mul(total, shifted(h, axis, reverse ? -1 : 1))), total];
    },
  ),
};
