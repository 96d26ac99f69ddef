import { sort as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, isFloat, wgslType } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

/** WGSL of a u32 whose order is that of the elements: NaN behind everything, the two zeros alike. */
function keyOf(dtype: DType): string {
  let body = 'return x;';
  if (dtype === 'i32') body = 'return bitcast<u32>(x) ^ 0x80000000u;';
  if (isFloat(dtype)) {
    body =
      'let bits = bitcast<u32>(f32(x)); let magnitude = bits & 0x7fffffffu; ' +
      'if (magnitude > 0x7f800000u) { return 0xffffffffu; } if (magnitude == 0u) { return 0x80000000u; } ' +
      'return select(bits | 0x80000000u, ~bits, bits >> 31u == 1u);';
  }
  return `fn keyOf(x: Element) -> u32 { ${body} }`;
}

/** What one thread sorts by insertion, and what it merges in a pass; the second divides the first. */
const BLOCK = 16;
const ITEMS = 8;

type Three = readonly [outer: number, length: number, inner: number];

/**
 * Sorts dense [outer, length, inner] along the middle, stably. `indices` (i32) receives where each element came from, in
 * the layout of x, or with `byRow` as [outer, inner, length]. `use` sees the sorted keys [outer, inner, length], which are
 * given back afterwards.
 */
export function sortThree(
  device: Device,
  x: Tensor,
  [outer, length, inner]: Three,
  indices: Tensor,
  { descending = false, byRow = false }: { descending?: boolean; byRow?: boolean },
  use?: (keys: Tensor) => void,
): void {
  const rows = outer * inner;
  const size = rows * length;
  const passes = Math.ceil(Math.log2(Math.max(1, length / BLOCK)));
  const temporaries: Tensor[] = [];
  const temporary = (dtype: 'u32' | 'i32', what: string) => {
    temporaries.push(Tensor.allocate(device, dtype, [size], what, false));
    return temporaries[temporaries.length - 1];
  };
  const last = (pass: number) => `const LAST = ${pass === passes && !byRow};`;
  try {
    let keys = temporary('u32', 'sort keys');
    let otherKeys = passes > 0 ? temporary('u32', 'sort keys') : keys;
    // The passes alternate between two places and end in `indices`.
    const other = passes > 0 ? temporary('i32', 'sort indices') : indices;
    const target = (pass: number) => ((passes - pass) % 2 === 0 ? indices : other);
    device.recorder.dispatch({
      kernel: kernels.sortBlocks,
      constants: {
        Element: `alias Element = ${wgslType[x.dtype]};`,
        BLOCK: `const BLOCK = ${BLOCK}u;`,
        LAST: last(0),
        keyOf: keyOf(x.dtype),
      },
      buffers: [x.storage.buffer, keys.storage.buffer, target(0).storage.buffer],
      parameters: { rows, length, inner, offset: x.offset, descending: Number(descending) },
      grid: gridFor(rows * Math.ceil(length / BLOCK)),
    });
    for (let pass = 1; pass <= passes; pass++) {
      device.recorder.dispatch({
        kernel: kernels.mergeRuns,
        constants: { ITEMS: `const ITEMS = ${ITEMS}u;`, LAST: last(pass) },
        buffers: [
          keys.storage.buffer,
          target(pass - 1).storage.buffer,
          otherKeys.storage.buffer,
          target(pass).storage.buffer,
        ],
        parameters: { rows, length, inner, width: BLOCK * 2 ** (pass - 1) },
        grid: gridFor(rows * Math.ceil(length / ITEMS)),
      });
      [keys, otherKeys] = [otherKeys, keys];
    }
    use?.(keys);
  } finally {
    for (const tensor of temporaries) tensor.dispose();
  }
}

/** Where the elements of one axis come from when they are sorted, stably; NaN counts as larger than everything. */
const argsort = kernelOp<{ axis: number; descending: boolean }>({
  infer([x]) {
    return [{ dtype: 'i32', shape: x.shape }];
  },
  run(device, inputs, [out], { axis, descending }) {
    withDense(device, inputs, ([x]) => {
      const three: Three = [sizeOf(x.shape.slice(0, axis)), x.shape[axis], sizeOf(x.shape.slice(axis + 1))];
      sortThree(device, x, three, out, { descending });
    });
  },
});

const leading = (shape: Shape): Shape => shape.slice(0, -1);

/** sorted [n] or [..., n] and values [..., m] -> how many elements of the row are below each value. */
const searchSorted = kernelOp<{ right: boolean }>({
  infer([sorted, values]) {
    if (sorted.dtype !== values.dtype) {
      throw new TypeError(`searchSorted: ${values.dtype} values in sorted ${sorted.dtype}; cast one of them`);
    }
    const fits = sorted.rank === 1 || (values.rank > 0 && sameShape(leading(sorted.shape), leading(values.shape)));
    if (sorted.rank === 0 || !fits) {
      throw new RangeError(
        `searchSorted: values ${formatShape(values.shape)} in sorted ${formatShape(sorted.shape)}; expected [n], or as many rows`,
      );
    }
    return [{ dtype: 'i32', shape: values.shape }];
  },
  run(device, inputs, [out], { right }) {
    withDense(device, inputs, ([sorted, values]) => {
      const single = sorted.rank === 1;
      const count = single ? values.size : values.shape[values.rank - 1];
      device.recorder.dispatch({
        kernel: kernels.searchSorted,
        constants: {
          Element: `alias Element = ${wgslType[sorted.dtype]};`,
          RIGHT: `const RIGHT = ${right};`,
          keyOf: keyOf(sorted.dtype),
        },
        buffers: [sorted.storage.buffer, values.storage.buffer, out.storage.buffer],
        parameters: {
          rows: values.size / count,
          length: sorted.shape[sorted.rank - 1],
          count,
          single: Number(single),
          sortedOffset: sorted.offset,
          valuesOffset: values.offset,
        },
        grid: gridFor(values.size),
      });
    });
  },
});

export const otherSorts = { argsort, searchSorted };
