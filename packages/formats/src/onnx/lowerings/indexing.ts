import type { AttributesOf, DType, Shape } from '@dawnchorus/tensor';
import type { Lowering, OnnxBuilder, OnnxTensor, OnnxValue } from '../builder.ts';
import { working } from './elementwise.ts';

/** The end of a slice that goes backwards over the first element. */
const BEFORE_FIRST = -(2 ** 31) + 1;

/** What an index outside the axis reads, as in `gather`. */
const outside: Record<DType, number> = {
  f32: Number.NaN,
  f16: Number.NaN,
  i32: 2 ** 31 - 1,
  u32: 2 ** 32 - 1,
  bool: 0,
};

interface Guarded {
  index: OnnxValue;
  /** Where the index lies in its axis; none where it always does. */
  inside?: OnnxValue;
}

/** An index outside its axis is an error or counts from the end in ONNX; here it becomes 0 and is known. */
function guard(onnx: OnnxBuilder, index: OnnxTensor, extent: number): Guarded {
  const [low, high] = index.within ?? [-1, extent];
  if (low >= 0 && high < extent) return { index };
  const notBelow = onnx.node('GreaterOrEqual', [index, onnx.scalar(0, 'i32')], { dtype: 'bool' });
  const notAbove = onnx.node('Less', [index, onnx.scalar(extent, 'i32')], { dtype: 'bool' });
  const inside = onnx.node('And', [notBelow, notAbove]);
  return { index: onnx.where(inside, index, onnx.scalar(0, 'i32')), inside };
}

/** Row numbers [n] as they broadcast along `axis` of a tensor. */
const alongAxis = (shape: Shape, axis: number) => shape.slice(axis).map((_, d) => (d === 0 ? -1 : 1));

function taken(onnx: OnnxBuilder, found: OnnxValue, inside: OnnxValue | undefined, dtype: DType): OnnxValue {
  if (!inside) return found;
  const type = working(dtype);
  return onnx.where(inside, onnx.cast(found, type), onnx.scalar(outside[dtype], type));
}

const gather: Lowering<{ axis: number }> = (onnx, [x, places], { axis }, [out]) => {
  const { index, inside } = guard(onnx, places, x.shape[axis]);
  return [taken(onnx, onnx.node('GatherElements', [x, index], { axis }), inside, out.dtype)];
};

const indexSelect: Lowering<{ axis: number }> = (onnx, [x, places], { axis }, [out]) => {
  const { index, inside } = guard(onnx, places, x.shape[axis]);
  const rows = inside && onnx.reshape(inside, alongAxis(x.shape, axis));
  return [taken(onnx, onnx.node('Gather', [x, index], { axis }), rows, out.dtype)];
};

/** Adds where the index, of the source's shape, lies inside; zero goes to place 0 where it does not. */
function added(
  onnx: OnnxBuilder,
  source: OnnxTensor,
  { index, inside }: Guarded,
  axis: number,
  shape: Shape,
): OnnxValue {
  const dtype = working(source.dtype);
  const zero = onnx.scalar(0, dtype);
  const value = onnx.cast(source, dtype);
  const kept = inside ? onnx.where(inside, value, zero) : value;
  const zeros = onnx.node('Expand', [zero, onnx.ints(shape)]);
  return onnx.node('ScatterElements', [zeros, index, kept], { axis, reduction: 'add' });
}

const scatterAdd: Lowering<{ axis: number; extent: number }> = (onnx, [source, places], { axis, extent }, [out]) => [
  added(onnx, source, guard(onnx, places, extent), axis, out.shape),
];

const indexAdd: Lowering<{ axis: number; extent: number }> = (onnx, [source, places], { axis, extent }, [out]) => {
  const rows = onnx.reshape(places, alongAxis(source.shape, axis));
  const each = onnx.node('Expand', [rows, onnx.ints(source.shape)]);
  const index = { ...each, within: places.within, shape: source.shape };
  return [added(onnx, source, guard(onnx, index, extent), axis, out.shape)];
};

const unfold: Lowering<AttributesOf<'unfold'>> = (onnx, [x], { axis, size, step }, [out]) => {
  const frames = out.shape[axis];
  const places = Array.from({ length: frames * size }, (_, i) => Math.floor(i / size) * step + (i % size));
  const taken = onnx.node('Gather', [x, onnx.constant(places, 'i64', [frames, size])], { axis });
  const axes = out.shape.map((_, d) => d);
  return [onnx.node('Transpose', [taken], { perm: [...axes.filter((d) => d !== axis + 1), axis + 1] })];
};

const concat: Lowering<{ axis: number }> = (onnx, inputs, { axis }) => [onnx.node('Concat', inputs, { axis })];

const sliced = (
  onnx: OnnxBuilder,
  x: OnnxValue,
  axes: readonly number[],
  starts: readonly number[],
  ends: readonly number[],
  steps: readonly number[],
) => onnx.node('Slice', [x, ...[starts, ends, axes, steps].map((values) => onnx.ints(values))]);

const slice: Lowering<AttributesOf<'slice'>> = (onnx, [x], { axis, start, end, step }) => [
  sliced(onnx, x, [axis], [start], [end], [step]),
];

const flip: Lowering<{ axes: readonly number[] }> = (onnx, [x], { axes }) => {
  if (axes.length === 0) return [x];
  const all = (value: number) => axes.map(() => value);
  return [sliced(onnx, x, axes, all(-1), all(BEFORE_FIRST), all(-1))];
};

/** Zeros go between the elements, then before and after them. */
const unslice: Lowering<AttributesOf<'unslice'>> = (onnx, [source], { axis, shape, start, step }) => {
  const dtype = working(source.dtype);
  const pad = (x: OnnxValue, rank: number, at: number, before: number, after: number) => {
    const pads = Array.from({ length: 2 * rank }, (_, d) => (d === at ? before : d === at + rank ? after : 0));
    return onnx.node('Pad', [x, onnx.ints(pads), onnx.scalar(0, dtype)]);
  };
  let spaced = onnx.cast(source, dtype);
  const rank = shape.length;
  const own = source.shape[axis];
  if (step > 1) {
    const lined = [...source.shape.slice(0, axis + 1), 1, ...source.shape.slice(axis + 1)];
    spaced = pad(onnx.reshape(spaced, lined), rank + 1, axis + 1, 0, step - 1);
    const merged = source.shape.map((extent, d) => (d === axis ? extent * step : extent));
    spaced = sliced(onnx, onnx.reshape(spaced, merged), [axis], [0], [(own - 1) * step + 1], [1]);
  }
  return [pad(spaced, rank, axis, start, shape[axis] - start - (own - 1) * step - 1)];
};

const permute: Lowering<{ axes: readonly number[] }> = (onnx, [x], { axes }) => {
  if (axes.length === 0) return [x];
  const perm = axes.map((axis) => (axis < 0 ? axis + axes.length : axis));
  return [onnx.node('Transpose', [x], { perm })];
};

const reshape: Lowering<{ shape: Shape }> = (onnx, [x], { shape }) => [onnx.reshape(x, shape)];

const expand: Lowering<{ shape: Shape }> = (onnx, [x], { shape }) => [onnx.node('Expand', [x, onnx.ints(shape)])];

const full: Lowering<AttributesOf<'full'>> = (onnx, _, { shape, value, dtype }) => {
  const single = onnx.scalar(stored(value, dtype), dtype);
  return [shape.length === 0 ? single : onnx.node('Expand', [single, onnx.ints(shape)])];
};

/** Whole numbers wrap. */
const stored = (value: number, dtype: DType) => (dtype === 'i32' ? value | 0 : dtype === 'u32' ? value >>> 0 : value);

/** Counted here, and stored. */
const arange: Lowering<AttributesOf<'arange'>> = (onnx, _, { start, step, count, dtype }) => {
  const values = Array.from({ length: count }, (_, i) => start + i * step);
  return [
    onnx.constant(
      values.map((value) => stored(value, dtype)),
      dtype,
    ),
  ];
};

const same: Lowering<Record<never, never>> = (_, [x]) => [x];

export const indexingLowerings = {
  gather,
  indexSelect,
  scatterAdd,
  indexAdd,
  concat,
  slice,
  unslice,
  unfold,
  flip,
  permute,
  reshape,
  expand,
  detach: same,
  full,
  arange,
};
