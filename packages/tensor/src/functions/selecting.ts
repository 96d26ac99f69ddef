import { scope } from '../scope.ts';
import { broadcastShapes, formatShape } from '../shape.ts';
import { type Tensor, zeros } from '../tensor.ts';
import { arange } from './creation.ts';
import { floorDivide, ne, remainder } from './elementwise.ts';
import { indexSelect, stack } from './indexing.ts';
import { cumsum } from './scans.ts';
import { searchSorted } from './sorting.ts';
import { expand, reshape, sliceAxis } from './views.ts';

// Results whose shape depends on the data: it has to be read back from the GPU, so these are promises. They cannot be part
// of a compiled function. When they are kept, the scope that they were asked for in has ended, and so has the tape: scopes
// and differentiated functions are not async. The results are therefore nobody's but the caller's, and carry no gradient.

/** The places, in row-major order, of what is not 0; the caller disposes of it. */
async function placesOf(x: Tensor): Promise<Tensor> {
  // A scope may dispose of x while this waits.
  const { device } = x;
  if (x.size === 0) return scope(() => arange(0, 0, 1, { device }).retain());
  const counts = scope(() => cumsum(reshape(ne(x, 0), [x.size]), { dim: 0 }).retain());
  try {
    const last = scope(() => sliceAxis(counts, 0, x.size - 1).retain());
    const total = await last.item().finally(() => last.dispose());
    // The k-th of them is where the count gets to k.
    return scope(() => searchSorted(counts, arange(1, total + 1, 1, { device })).retain());
  } finally {
    counts.dispose();
  }
}

/**
 * The indices [count, rank] (i32) of the elements that are not 0, in row-major order; NaN is not 0.
 *
 * A promise, because how many there are is known on the GPU alone. What it gives belongs to no scope, since scopes end
 * before it does: dispose of it, or hold it by `using`. It may be asked for inside a scope, of a tensor that the scope then
 * disposes; it cannot be asked for in a compiled function.
 */
export async function nonzero(x: Tensor): Promise<Tensor> {
  const shape = x.shape;
  const places = await placesOf(x);
  try {
    return scope(() => {
      if (shape.length === 0) return zeros([places.size, 0], { dtype: 'i32', device: places.device }).retain();
      let rest = places;
      const columns = shape.map((_, i) => {
        const extent = shape[shape.length - 1 - i];
        const column = remainder(rest, extent);
        rest = floorDivide(rest, extent);
        return column;
      });
      return stack(columns.reverse(), 1).retain();
    });
  } finally {
    places.dispose();
  }
}

/**
 * The elements [count] of x where the mask (bool) is true, in row-major order of the two broadcast.
 *
 * A promise, because how many there are is known on the GPU alone; where the shape may stay, `where` or `maskedFill` need
 * not wait. As with `nonzero`, what it gives belongs to no scope and is the caller's to dispose of.
 *
 * No gradient flows back to x, because functions that are differentiated do not wait. Wait for the places first, and take
 * the elements inside:
 *
 *     using places = await nonzero(mask); // of the shape of x, [n, m]
 *     const [i, j] = [places.select(1, 0), places.select(1, 1)];
 *     grad(() => loss(x.slice(i, j)), [x]);
 *
 * @throws TypeError when the mask is not of booleans, RangeError when the two do not broadcast.
 */
export async function maskedSelect(x: Tensor, mask: Tensor): Promise<Tensor> {
  if (mask.dtype !== 'bool') {
    throw new TypeError(
      `maskedSelect: the mask is ${mask.dtype}${formatShape(mask.shape)}; expected bool, e.g. x.gt(0)`,
    );
  }
  const shape = broadcastShapes('maskedSelect', x.shape, mask.shape);
  // A scope may end while this waits.
  const kept = x.retain();
  let places: Tensor | undefined;
  try {
    const whole = scope(() => expand(mask, shape).retain());
    places = await placesOf(whole).finally(() => whole.dispose());
    const chosen = places;
    return scope(() => indexSelect(reshape(expand(kept, shape), [-1]), 0, chosen).retain());
  } finally {
    places?.dispose();
    kept.dispose();
  }
}
