import type { DType } from '../../src/index.ts';
import { broadcast, type Expected, eachIndex, flatIndex, type NDArray, sizeOf } from './array.ts';

/** Sums of products, each with the sum of their magnitudes. */
export class Products implements Expected {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
  readonly scale: Float64Array;

  constructor(shape: readonly number[], operands: readonly NDArray[]) {
    this.dtype = operands.every(({ dtype }) => dtype === 'f16') ? 'f16' : 'f32';
    this.shape = shape;
    this.data = new Float64Array(sizeOf(shape));
    this.scale = new Float64Array(this.data.length);
  }

  add(at: number, product: number): void {
    this.data[at] += product;
    this.scale[at] += Math.abs(product);
  }
}

export function matmul(a: NDArray, b: NDArray): Expected {
  const [m, k] = a.shape.slice(-2);
  const n = b.shape.at(-1)!;
  const [aBatch, bBatch] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  const batch = broadcast(aBatch, bBatch);
  const out = new Products([...batch, m, n], [a, b]);
  eachIndex(batch, (index, flat) => {
    const aStart = flatIndex(aBatch, index) * m * k;
    const bStart = flatIndex(bBatch, index) * k * n;
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        for (let p = 0; p < k; p++) {
          out.add((flat * m + i) * n + j, a.data[aStart + i * k + p] * b.data[bStart + p * n + j]);
        }
      }
    }
  });
  return out;
}

/** Every assignment of numbers to all axes, one term each. Axes of extent 1 stretch. */
export function einsum(
  operands: readonly NDArray[],
  axes: readonly (readonly string[])[],
  output: readonly string[],
  extents: ReadonlyMap<string, number>,
): Expected {
  const all = [...new Set([...output, ...axes.flat()])];
  const shape = all.map((axis) => extents.get(axis) as number);
  const outShape = shape.slice(0, output.length);
  const places = axes.map((own) => own.map((axis) => all.indexOf(axis)));
  const out = new Products(outShape, operands);
  eachIndex(shape, (index) => {
    const term = operands.reduce((product, x, i) => {
      return (
        product *
        x.data[
          flatIndex(
            x.shape,
            places[i].map((at) => index[at]),
          )
        ]
      );
    }, 1);
    out.add(flatIndex(outShape, index.slice(0, output.length)), term);
  });
  return out;
}

export interface ConvSizes {
  stride: number;
  padding: number;
  dilation: number;
  groups: number;
}

export const convOutputLength = (length: number, kernel: number, { stride, padding, dilation }: ConvSizes): number =>
  Math.floor((length + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

/** Every (batch, output channel, input channel within its group, tap, output step, input position) that meet. */
function eachTap(
  [batch, inChannels, inLength]: readonly number[],
  [, outChannels, outLength]: readonly number[],
  kernel: number,
  { stride, padding, dilation, groups }: ConvSizes,
  body: (x: number, weight: number, y: number) => void,
): void {
  const inPerGroup = inChannels / groups;
  const outPerGroup = outChannels / groups;
  for (let b = 0; b < batch; b++) {
    for (let o = 0; o < outChannels; o++) {
      for (let c = 0; c < inPerGroup; c++) {
        const channel = Math.floor(o / outPerGroup) * inPerGroup + c;
        for (let k = 0; k < kernel; k++) {
          for (let t = 0; t < outLength; t++) {
            const position = t * stride + k * dilation - padding;
            if (position < 0 || position >= inLength) continue;
            body(
              (b * inChannels + channel) * inLength + position,
              (o * inPerGroup + c) * kernel + k,
              (b * outChannels + o) * outLength + t,
            );
          }
        }
      }
    }
  }
}

export function conv1d(x: NDArray, weight: NDArray, sizes: ConvSizes): Expected {
  const [outChannels, , kernel] = weight.shape;
  const out = new Products([x.shape[0], outChannels, convOutputLength(x.shape[2], kernel, sizes)], [x, weight]);
  eachTap(x.shape, out.shape, kernel, sizes, (ix, iw, iy) => out.add(iy, x.data[ix] * weight.data[iw]));
  return out;
}

export function convTranspose1d(y: NDArray, weight: NDArray, sizes: ConvSizes & { length: number }): Expected {
  const [, perGroup, kernel] = weight.shape;
  const out = new Products([y.shape[0], perGroup * sizes.groups, sizes.length], [y, weight]);
  eachTap(out.shape, y.shape, kernel, sizes, (ix, iw, iy) => out.add(ix, y.data[iy] * weight.data[iw]));
  return out;
}

export function conv1dWeightGradient(x: NDArray, grad: NDArray, sizes: ConvSizes & { kernel: number }): Expected {
  const out = new Products([grad.shape[1], x.shape[1] / sizes.groups, sizes.kernel], [x, grad]);
  eachTap(x.shape, grad.shape, sizes.kernel, sizes, (ix, iw, iy) => out.add(iw, x.data[ix] * grad.data[iy]));
  return out;
}
