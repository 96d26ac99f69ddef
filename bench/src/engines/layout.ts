/** data of `shape` with its axes in another order. */
export function permuted(data: ArrayLike<number>, shape: readonly number[], axes: readonly number[]): Float32Array {
  const strides = shape.map((_, d) => shape.slice(d + 1).reduce((size, extent) => size * extent, 1));
  const extents = axes.map((axis) => shape[axis]);
  const out = new Float32Array(data.length);
  const index = extents.map(() => 0);
  for (let flat = 0; flat < out.length; flat++) {
    out[flat] = data[axes.reduce((at, axis, d) => at + index[d] * strides[axis], 0)];
    for (let d = index.length - 1; d >= 0 && ++index[d] === extents[d]; d--) index[d] = 0;
  }
  return out;
}
