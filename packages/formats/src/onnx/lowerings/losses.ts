import type { AttributesOf } from '@dawnchorus/tensor';
import type { Lowering, OnnxValue } from '../builder.ts';
import { reduce } from './reductions.ts';

/** The losses, and what their gradient needs: the largest logit, and log(sum(exp(x - largest))). */
const crossEntropy: Lowering<AttributesOf<'crossEntropy'>> = (
  onnx,
  [logits, target, weight],
  { ignoreIndex, labelSmoothing },
  [{ shape }, { shape: statisticsShape }],
) => {
  const x = onnx.cast(logits, 'f32');
  const axis = logits.shape.length - 1;
  const classes = logits.shape[axis];
  const along = { axes: [axis], keepdim: true };
  const times = (value: OnnxValue, factor: number) => onnx.node('Mul', [value, onnx.scalar(factor, 'f32')]);
  const largest = reduce(onnx, 'Max', x, along);
  const shifted = onnx.node('Sub', [x, largest]);
  const logSum = onnx.node('Log', [reduce(onnx, 'Sum', onnx.node('Exp', [shifted]), along)]);
  const surprise = onnx.node('Sub', [logSum, shifted]);
  const weighted = weight ? onnx.node('Mul', [surprise, weight]) : surprise;

  const compare = (type: string, value: number) =>
    onnx.node(type, [target, onnx.scalar(value, 'i32')], { dtype: 'bool' });
  const isClass = onnx.node('And', [compare('GreaterOrEqual', 0), compare('Less', classes)]);
  const index = onnx.reshape(onnx.where(isClass, target, onnx.scalar(0, 'i32')), [...shape, 1]);
  const own = onnx.reshape(onnx.node('GatherElements', [weighted, index], { axis }), shape);
  const all = reduce(onnx, 'Sum', weighted, { axes: [axis], keepdim: false });
  const losses = onnx.node('Add', [times(own, 1 - labelSmoothing), times(all, labelSmoothing / classes)]);
  const known = onnx.where(isClass, losses, onnx.scalar(Number.NaN, 'f32'));
  const rows = [largest, logSum].map((column) => onnx.reshape(column, [statisticsShape[0], 1]));
  return [
    onnx.where(compare('Equal', ignoreIndex), onnx.scalar(0, 'f32'), known),
    onnx.node('Concat', rows, { axis: 1 }),
  ];
};

export const lossLowerings = { crossEntropy };
