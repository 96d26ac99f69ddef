import { apply } from '../apply.ts';
import { promote } from '../dtype.ts';
import { checkTensors } from '../ops/arguments.ts';
import { formatShape, normaliseAxis, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { asIndex } from './as-index.ts';
import { add, cast } from './elementwise.ts';
import { unsqueeze } from './views.ts';

/** The rows of `axis` that `index` [n] (i32 or u32) names. An index outside the axis reads NaN. */
export function indexSelect(x: Tensor, axis: number, index: Tensor): Tensor {
  return apply('indexSelect', [x, asIndex('indexSelect', 'the index is', index)], {
    axis: normaliseAxis(axis, x.rank, 'indexSelect'),
  })[0];
}

/** Adding would otherwise stretch a source, or x, of extent 1. */
function checkSource(name: string, x: Tensor, source: Tensor, axis: number): void {
  if (source.rank !== x.rank || source.shape.some((extent, d) => d !== axis && extent !== x.shape[d])) {
    throw new RangeError(
      `${name}: the source ${formatShape(source.shape)} must equal ${formatShape(x.shape)} in every axis but ${axis}`,
    );
  }
}

/** x with the rows of `source` added where `index` [n] (i32 or u32) says. Deterministic; indices outside the axis are left out. */
export function indexAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  const d = normaliseAxis(axis, x.rank, 'indexAdd');
  checkSource('indexAdd', x, source, d);
  return add(
    x,
    apply('indexAdd', [source, asIndex('indexAdd', 'the index is', index)], { axis: d, extent: x.shape[d] })[0],
  );
}

/** One index (i32 or u32) an element along `axis`; index has x's shape but for that axis. */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  return apply('gather', [x, asIndex('gather', 'the index is', index)], {
    axis: normaliseAxis(axis, x.rank, 'gather'),
  })[0];
}

/** x with `source` added at `index` along `axis`: the transpose of gather. Deterministic. */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  const d = normaliseAxis(axis, x.rank, 'scatterAdd');
  checkSource('scatterAdd', x, source, d);
  return add(
    x,
    apply('scatterAdd', [source, asIndex('scatterAdd', 'the index is', index)], { axis: d, extent: x.shape[d] })[0],
  );
}

function checkParts(name: string, tensors: readonly Tensor[]): void {
  checkTensors(name, tensors, `write ${name}([a, b], axis)`);
  if (tensors.length === 0) throw new RangeError(`${name}: no tensors were given`);
}

/** Joins tensors along an existing axis, in the promoted dtype. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  checkParts('concat', tensors);
  const dtype = tensors.map((x) => x.dtype).reduce(promote);
  const same = tensors.map((x) => cast(x, dtype));
  return apply('concat', same, { axis: normaliseAxis(axis, tensors[0].rank, 'concat') })[0];
}

/** Joins tensors of one shape along a new axis, in the promoted dtype. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  checkParts('stack', tensors);
  const [first] = tensors;
  const other = tensors.find((x) => !sameShape(x.shape, first.shape));
  if (other) {
    throw new RangeError(
      `stack: ${formatShape(first.shape)} and ${formatShape(other.shape)} differ; expected tensors of one shape`,
    );
  }
  normaliseAxis(axis, first.rank + 1, 'stack');
  return concat(
    tensors.map((x) => unsqueeze(x, axis)),
    axis,
  );
}
