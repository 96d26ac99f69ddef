import { type AttributesOf, apply, flip, ge, logicalAnd, lt, permute, type Tensor, where } from '@dawnchorus/tensor';
import { rule, unbroadcast } from './rule.ts';

/** Zero for what an index outside the axis left out, where reading back gives NaN. */
const inside = (gradient: Tensor, index: Tensor, extent: number) =>
  where(logicalAnd(ge(index, 0), lt(index, extent)), gradient, 0);

export const indexingRules = {
  reshape: rule<AttributesOf<'reshape'>>('nothing', (g, { inputs: [x] }) => [g.reshape(x.shape)]),
  permute: rule<AttributesOf<'permute'>>('nothing', (g, { inputs: [x], attributes: { axes } }) => {
    const inverse = new Array<number>(x.rank);
    axes.forEach((axis, i) => {
      inverse[axis < 0 ? axis + x.rank : axis] = i;
    });
    return [permute(g, inverse)];
  }),
  slice: rule<AttributesOf<'slice'>>('nothing', (g, { inputs: [x], attributes: { axis, start, step } }) =>
    apply('unslice', [g], { axis, shape: x.shape, start, step }),
  ),
  unslice: rule<AttributesOf<'unslice'>>('nothing', (g, { inputs: [source], attributes: { axis, start, step } }) =>
    apply('slice', [g], { axis, start, end: start + (source.shape[axis] - 1) * step + 1, step }),
  ),
  expand: rule<AttributesOf<'expand'>>('nothing', (g, { inputs: [x] }) => [unbroadcast(g, x.shape)]),
  concat: rule<AttributesOf<'concat'>>('nothing', (g, { inputs, attributes: { axis } }) => {
    let start = 0;
    return inputs.map(({ shape }) => {
      const end = start + shape[axis];
      const part = g.sliceAxis(axis, start, end);
      start = end;
      return part;
    });
  }),

  unfold: rule<AttributesOf<'unfold'>>('nothing', (g, { inputs: [x], attributes: { axis, step } }) =>
    apply('overlapAdd', [g], { axis, step, length: x.shape[axis] }),
  ),
  overlapAdd: rule<AttributesOf<'overlapAdd'>>('nothing', (g, { inputs: [x], attributes: { axis, step } }) => {
    const frames = apply('unfold', [g], { axis, size: x.shape[x.rank - 1], step })[0];
    return [frames.sliceAxis(axis, 0, x.shape[axis])];
  }),

  flip: rule<AttributesOf<'flip'>>('nothing', (g, { attributes: { axes } }) => [flip(g, axes)]),
  indexSelect: rule<AttributesOf<'indexSelect'>>('inputs', (g, { inputs: [x, index], attributes: { axis } }) =>
    apply('indexAdd', [g, index], { axis, extent: x.shape[axis] }),
  ),
  indexAdd: rule<AttributesOf<'indexAdd'>>('inputs', (g, { inputs: [source, index], attributes: { axis, extent } }) => {
    const along = index.reshape(source.shape.map((own, d) => (d === axis ? own : 1)));
    return [inside(apply('indexSelect', [g, index], { axis })[0], along, extent)];
  }),
  gather: rule<AttributesOf<'gather'>>('inputs', (g, { inputs: [x, index], attributes: { axis } }) =>
    apply('scatterAdd', [g, index], { axis, extent: x.shape[axis] }),
  ),
  scatterAdd: rule<AttributesOf<'scatterAdd'>>('inputs', (g, { inputs: [, index], attributes: { axis, extent } }) => [
    inside(apply('gather', [g, index], { axis })[0], index, extent),
  ]),
};
