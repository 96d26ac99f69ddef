import { type AttributesOf, type Shape, sizeOf } from '@dawnchorus/tensor';
import type { Lowering, OnnxBuilder, OnnxTensor, OnnxValue } from '../builder.ts';

/** The transform of rows [rows, length, 1 or 2]; the inverse one without its factor of 1 / length. */
function transform(onnx: OnnxBuilder, rows: OnnxValue, length: number, attributes: Record<string, number>): OnnxValue {
  const made = onnx.node('DFT', [rows], attributes);
  return attributes.inverse ? onnx.node('Mul', [made, onnx.scalar(length, 'f32')]) : made;
}

const times = (onnx: OnnxBuilder, x: OnnxValue, scale: number): OnnxValue =>
  scale === 1 ? x : onnx.node('Mul', [x, onnx.scalar(scale, 'f32')]);

/** What each frequency counts: 1 at the ends. */
const weights = (onnx: OnnxBuilder, bins: number, interior: number, scale: number): OnnxValue =>
  onnx.constant(
    Array.from({ length: bins }, (_, k) => scale * (k === 0 || k === bins - 1 ? 1 : interior)),
    'f32',
    [bins, 1],
  );

const rowsOf = (shape: Shape, axes: number) => sizeOf(shape.slice(0, -axes));

/** Elements `at` .. `at` + 1 of the last axis. */
const part = (onnx: OnnxBuilder, x: OnnxValue, at: number): OnnxValue =>
  onnx.node('Slice', [x, onnx.ints([at]), onnx.ints([at + 1]), onnx.ints([-1])]);

export const fourierLowerings = {
  fft: ((onnx, [x], { inverse, scale }) => {
    const length = x.shape[x.shape.length - 2];
    const rows = onnx.reshape(x, [rowsOf(x.shape, 2), length, 2]);
    const made = transform(onnx, rows, length, { inverse: Number(inverse), onesided: 0 });
    return [onnx.reshape(times(onnx, made, scale), x.shape)];
  }) satisfies Lowering<AttributesOf<'fft'>>,
  rfft: ((onnx, [x], { scale, interior }, [out]) => {
    const length = x.shape[x.shape.length - 1];
    const rows = onnx.reshape(x, [rowsOf(x.shape, 1), length, 1]);
    const made = transform(onnx, rows, length, { inverse: 0, onesided: 1 });
    const weighted = onnx.node('Mul', [made, weights(onnx, length / 2 + 1, interior, scale)]);
    return [onnx.reshape(weighted, out.shape)];
  }) satisfies Lowering<AttributesOf<'rfft'>>,
  irfft: ((onnx, [x], { length, scale, interior }, [out]) => {
    const bins = length / 2 + 1;
    const rows = onnx.reshape(x, [rowsOf(x.shape, 2), bins, 2]);
    const weighted = onnx.node('Mul', [rows, weights(onnx, bins, interior, scale)]);
    // The other frequencies are zero; the real part is what their conjugates would double.
    const whole = onnx.node('Pad', [weighted, onnx.ints([0, 0, 0, 0, length - bins, 0])]);
    const made = transform(onnx, whole, length, { inverse: 1, onesided: 0 });
    return [onnx.reshape(part(onnx, made, 0), out.shape)];
  }) satisfies Lowering<AttributesOf<'irfft'>>,
  complexMul: ((onnx, inputs: readonly OnnxTensor[], { conjugate }) => {
    const [a, b] = inputs.map((x) => [0, 1].map((at) => part(onnx, onnx.cast(x, 'f32'), at)));
    const product = (i: 0 | 1, j: 0 | 1) => onnx.node('Mul', [a[i], b[j]]);
    const re = onnx.node(conjugate ? 'Add' : 'Sub', [product(0, 0), product(1, 1)]);
    const im = onnx.node(conjugate ? 'Sub' : 'Add', [product(1, 0), product(0, 1)]);
    return [onnx.node('Concat', [re, im], { axis: -1 })];
  }) satisfies Lowering<AttributesOf<'complexMul'>>,
};
