import { isFloat } from '@dawnchorus/tensor';
import type { Lowering, OnnxBuilder, OnnxValue } from '../builder.ts';
import { working } from './elementwise.ts';

interface Reduction {
  axes: readonly number[];
  keepdim: boolean;
}

interface AlongAxis {
  axis: number;
  keepdim: boolean;
}

/** The axes of sums are an input in every opset, those of other reductions from 18 on. */
export function reduce(
  onnx: OnnxBuilder,
  type: 'Sum' | 'Mean' | 'Prod' | 'Max' | 'Min' | 'LogSumExp',
  x: OnnxValue,
  { axes, keepdim }: Reduction,
): OnnxValue {
  // Without axes ONNX reduces all of them.
  if (axes.length === 0) return x;
  const keepdims = Number(keepdim);
  if (type === 'Sum' || onnx.opset >= 18) return onnx.node(`Reduce${type}`, [x, onnx.ints(axes)], { keepdims });
  return onnx.node(`Reduce${type}`, [x], { axes, keepdims });
}

const reduction =
  (type: Parameters<typeof reduce>[1]): Lowering<Reduction> =>
  (onnx, [x], attributes) => [reduce(onnx, type, onnx.cast(x, working(x.dtype)), attributes)];

const sumSquares: Lowering<Reduction> = (onnx, [x], attributes) => {
  const value = onnx.cast(x, working(x.dtype));
  return [reduce(onnx, 'Sum', onnx.node('Mul', [value, value]), attributes)];
};

const place =
  (type: 'ArgMax' | 'ArgMin'): Lowering<AlongAxis> =>
  (onnx, [x], { axis, keepdim }) => {
    const value = onnx.cast(x, working(x.dtype));
    const found = onnx.node(type, [value], { dtype: 'i64', axis, keepdims: Number(keepdim) });
    return [{ ...onnx.cast(found, 'i32'), within: [0, x.shape[axis] - 1] }];
  };

const cumsum: Lowering<{ axis: number; reverse: boolean }> = (onnx, [x], { axis, reverse }) => {
  const value = onnx.cast(x, working(x.dtype));
  return [onnx.node('CumSum', [value, onnx.scalar(axis, 'i64')], { reverse: Number(reverse) })];
};

/**
 * h[t] = a[t] h[t - 1] + x[t] in log2(length) steps that double their reach (Hillis and Steele, 1986): two neighbouring
 * stretches (a, x) and (b, y) join as (a b, b x + y).
 */
const linearRecurrence: Lowering<{ axis: number; reverse: boolean }> = (onnx, inputs, { axis, reverse }) => {
  const { shape } = inputs[0];
  let [factors, sums] = inputs.map((x) => onnx.cast(x, 'f32'));
  for (let reach = 1; reach < shape[axis]; reach *= 2) {
    // Zeros come in at one end, and as much is cut at the other.
    const pads = new Array(2 * shape.length).fill(0);
    pads[axis] = reverse ? -reach : reach;
    pads[shape.length + axis] = -pads[axis];
    const moved = (x: OnnxValue) => onnx.node('Pad', [x, onnx.ints(pads)]);
    sums = onnx.node('Add', [sums, onnx.node('Mul', [factors, moved(sums)])]);
    factors = onnx.node('Mul', [factors, moved(factors)]);
  }
  return [sums];
};

/** Descending or not, equal elements keep their order, which TopK does by the order of their indices. */
const argsort: Lowering<{ axis: number; descending: boolean }> = (onnx, [x], { axis, descending }) => {
  const length = x.shape[axis];
  const value = onnx.cast(x, isFloat(x.dtype as 'f32') ? 'f32' : 'i64');
  const attributes = { axis, largest: Number(descending), sorted: 1 };
  const [, places] = onnx.nodeWith('TopK', [value, onnx.ints([length])], [value.dtype, 'i64'], attributes);
  return [{ ...onnx.cast(places, 'i32'), within: [0, length - 1] }];
};

/** Each value is compared with the whole of its row. */
const searchSorted: Lowering<{ right: boolean }> = (onnx, [sorted, values], { right }) => {
  const length = sorted.shape[sorted.shape.length - 1];
  const lined = [...sorted.shape.slice(0, -1), 1, length];
  const row = onnx.reshape(onnx.cast(sorted, working(sorted.dtype)), sorted.shape.length === 1 ? [length] : lined);
  const each = onnx.reshape(onnx.cast(values, working(values.dtype)), [...values.shape, 1]);
  const before = onnx.node(right ? 'LessOrEqual' : 'Less', [row, each], { dtype: 'bool' });
  return [reduce(onnx, 'Sum', onnx.cast(before, 'i32'), { axes: [values.shape.length], keepdim: false })];
};

/** The nearest codes, as i64, and what they leave. |x - c|^2 is |c|^2 - 2 x c and a part that is the same for every code. */
function nearest(onnx: OnnxBuilder, x: OnnxValue, codebook: OnnxValue): [codes: OnnxValue, residual: OnnxValue] {
  const products = onnx.node('MatMul', [x, onnx.node('Transpose', [codebook], { perm: [1, 0] })]);
  const lengths = reduce(onnx, 'Sum', onnx.node('Mul', [codebook, codebook]), { axes: [1], keepdim: false });
  const distances = onnx.node('Sub', [lengths, onnx.node('Mul', [products, onnx.scalar(2, 'f32')])]);
  const codes = onnx.node('ArgMin', [distances], { dtype: 'i64', axis: 1, keepdims: 0 });
  return [codes, onnx.node('Sub', [x, onnx.node('Gather', [codebook, codes], { axis: 0 })])];
}

const nearestCode: Lowering<Record<never, never>> = (onnx, [x, codebook]) => {
  const [codes, residual] = nearest(onnx, x, codebook);
  return [{ ...onnx.cast(codes, 'i32'), within: [0, codebook.shape[0] - 1] }, residual];
};

const residualCodes: Lowering<{ keep: boolean }> = (onnx, [x, ...books], { keep }) => {
  const found: OnnxValue[] = [];
  const left: OnnxValue[] = [];
  for (const book of books) {
    const [codes, residual] = nearest(onnx, left[left.length - 1] ?? x, book);
    found.push(codes);
    left.push(residual);
  }
  const stacked = (values: OnnxValue[]) =>
    onnx.node(
      'Concat',
      values.map((value) => onnx.node('Unsqueeze', [value, onnx.ints([0])])),
      { axis: 0 },
    );
  const codes = { ...onnx.cast(stacked(found), 'i32'), within: [0, books[0].shape[0] - 1] as const };
  return [codes, stacked(keep ? left : left.slice(-1))];
};

export const reductionLowerings = {
  sum: reduction('Sum'),
  mean: reduction('Mean'),
  // Runtimes may saturate products of whole numbers that leave their range, where the engine wraps them.
  prod: reduction('Prod'),
  max: reduction('Max'),
  min: reduction('Min'),
  sumSquares,
  argmax: place('ArgMax'),
  argmin: place('ArgMin'),
  cumsum,
  linearRecurrence,
  argsort,
  searchSorted,
  nearestCode,
  residualCodes,
};
