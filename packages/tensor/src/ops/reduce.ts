import { reduce } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, isFloat, wgslType, workingDtype } from '../dtype.ts';
import { gridFor, rowShape } from '../kernel/grid.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

/** Axes are sorted, distinct and non-negative; the caller has normalised them. */
export interface ReduceAttributes {
  axes: readonly number[];
  keepdim: boolean;
}

type Kind = 'sum' | 'sumSquares' | 'prod' | 'max' | 'min';

/** a where it is NaN, else b where that is, else the expression: some drivers' max and min drop NaN. */
function keepingNan(expression: string): string {
  const isNan = (name: string) => `(bitcast<u32>(${name}) & 0x7fffffffu) > 0x7f800000u`;
  return `select(select(${expression}, b, ${isNan('b')}), a, ${isNan('a')})`;
}

function combine(kind: Kind, float: boolean): string {
  if (kind === 'prod') return 'a * b';
  if (kind !== 'max' && kind !== 'min') return 'a + b';
  return float ? keepingNan(`${kind}(a, b)`) : `${kind}(a, b)`;
}

function reducedShape(shape: Shape, axes: readonly number[], keepdim: boolean): number[] {
  if (keepdim) return shape.map((extent, d) => (axes.includes(d) ? 1 : extent));
  return shape.filter((_, d) => !axes.includes(d));
}

/** The view [outer, length, inner] of a dense tensor whose reduced axes are neighbours; the caller has seen to that. */
function asThree(shape: Shape, axes: readonly number[]): [outer: number, length: number, inner: number] {
  const first = axes[0] ?? shape.length;
  const last = axes.at(-1) ?? shape.length - 1;
  return [sizeOf(shape.slice(0, first)), sizeOf(axes.map((d) => shape[d])), sizeOf(shape.slice(last + 1))];
}

/** Reduced axes moved to the end, where they are not neighbours already. */
function gathered(x: Tensor, axes: readonly number[]): { shape: number[]; strides: number[]; axes: number[] } {
  const adjacent = axes.every((axis, i) => i === 0 || axis === axes[i - 1] + 1);
  if (adjacent) return { shape: [...x.shape], strides: [...x.strides], axes: [...axes] };
  const kept = x.shape.map((_, d) => d).filter((d) => !axes.includes(d));
  const order = [...kept, ...axes];
  return {
    shape: order.map((d) => x.shape[d]),
    strides: order.map((d) => x.strides[d]),
    axes: axes.map((_, i) => kept.length + i),
  };
}

/** Halves are combined in f32. */
function constantsOf(kind: Kind, input: DType, out: DType, first: boolean) {
  const working = workingDtype(out);
  const float = working === 'f32';
  const initial = kind === 'max' || kind === 'min' ? 'first' : kind === 'prod' ? 'Scalar(1)' : 'Scalar()';
  return {
    Scalar: `alias Scalar = ${wgslType[working]};`,
    InputElement: `alias InputElement = ${wgslType[input]};`,
    OutElement: `alias OutElement = ${wgslType[out]};`,
    initial: `fn initial(first: Scalar) -> Scalar { return ${initial}; }`,
    load: `fn load(x: Scalar) -> Scalar { return ${kind === 'sumSquares' && first ? 'x * x' : 'x'}; }`,
    combine: `fn combine(a: Scalar, b: Scalar) -> Scalar { return ${combine(kind, float)}; }`,
    finish: `fn finish(x: Scalar, scale: f32) -> Scalar { return ${float ? 'x * scale' : 'x'}; }`,
  };
}

/** Short enough that few lanes sharing a chunk keep the sum a tree. */
const ROW_CHUNK = 2048;

/** How the columns of [outer, length, inner] are divided: rows a chunk, and threads that share a column of one. */
interface ColumnPlan {
  readonly chunk: number;
  readonly columns: number;
  readonly lanes: number;
}

/** A thread a column, and chunks until the threads are enough. */
const CPU_THREADS = 8192;
const CPU_CHUNK = 256;

/** Threads that keep a large GPU busy, and those of a workgroup. */
const GPU_THREADS = 2 ** 18;
const GROUP = 256;

const upToPower = (x: number) => 2 ** Math.ceil(Math.log2(Math.max(1, x)));

/**
 * GPUs: neighbouring threads read 16 neighbours or more, two sectors of memory in f32, and others share each column while
 * there are too few threads. Another pass costs more than it saves until a thread would have more than 32 rows, and chunks
 * leave it eight.
 */
function columnPlan(device: Device, [outer, length, inner]: readonly [number, number, number]): ColumnPlan {
  const threads = Math.max(1, outer * inner);
  if (device.adapter.software) {
    if (length <= 2 * CPU_CHUNK) return { chunk: length, columns: 64, lanes: 1 };
    const chunk = Math.max(CPU_CHUNK, Math.ceil(length / Math.ceil(CPU_THREADS / threads)));
    return { chunk, columns: 64, lanes: 1 };
  }
  const wanted = Math.min(upToPower(GPU_THREADS / threads), upToPower(length / 2));
  const lanes = Math.min(wanted, GROUP / Math.min(16, upToPower(inner)));
  const chunks = Math.min(Math.floor(GPU_THREADS / threads / lanes), Math.floor(length / (8 * lanes)));
  const chunk = length <= 32 * lanes || chunks < 2 ? length : Math.ceil(length / chunks);
  return { chunk, columns: GROUP / lanes, lanes };
}

/** Reduces the middle of [outer, length, inner], dense at `offset` of x, into out; long axes in two passes. */
function reduceThree(
  device: Device,
  x: { tensor: Tensor; offset: number },
  [outer, length, inner]: readonly [number, number, number],
  out: Tensor,
  kind: Kind,
  scale: number,
  first = true,
): void {
  const rows = inner === 1;
  const plan = columnPlan(device, [outer, length, inner]);
  let chunk = rows ? length : plan.chunk;
  // A grid is 65535 long at most.
  if (rows && length > 2 * ROW_CHUNK) chunk = Math.max(ROW_CHUNK, Math.ceil(length / 65535));
  // An axis of extent 0 is one empty chunk: a sum of nothing is 0.
  const chunks = Math.max(1, Math.ceil(length / Math.max(1, chunk)));
  const target =
    chunks === 1
      ? out
      : Tensor.allocate(device, workingDtype(out.dtype), [outer, chunks, inner], 'partial reduction', false);
  const constants = constantsOf(kind, x.tensor.dtype, target.dtype, first);
  const passScale = chunks === 1 ? scale : 1;
  const buffers = [x.tensor.storage.buffer, target.storage.buffer];
  if (rows) {
    const shape = rowShape(device, chunk);
    const groups = Math.ceil(outer / shape.rows);
    const y = Math.min(groups, 32768);
    // A subgroup's maximum may drop NaN.
    const bySubgroup = kind === 'sum' || kind === 'sumSquares' ? 'subgroupAdd(value)' : undefined;
    const subgroups = bySubgroup !== undefined && shape.constants.SUBGROUPS === 'const SUBGROUPS = true;';
    device.recorder.dispatch({
      kernel: reduce.reduceRows,
      constants: {
        ...shape.constants,
        ...constants,
        SUBGROUPS: `const SUBGROUPS = ${subgroups};`,
        combineSubgroup: `fn combineSubgroup(value: Scalar) -> Scalar { return ${subgroups ? bySubgroup : 'value'}; }`,
      },
      buffers,
      parameters: { rows: outer, length, chunk, offset: x.offset, scale: passScale },
      grid: [chunks, y, Math.ceil(groups / y)],
    });
  } else {
    const shared = !device.adapter.software;
    device.recorder.dispatch({
      kernel: shared ? reduce.reduceColumnsShared : reduce.reduceColumns,
      constants: shared
        ? { COLUMNS: `const COLUMNS = ${plan.columns}u;`, LANES: `const LANES = ${plan.lanes}u;`, ...constants }
        : constants,
      buffers,
      parameters: { outer, length, inner, chunk, chunks, offset: x.offset, scale: passScale },
      grid: gridFor(outer * chunks * inner, plan.columns),
    });
  }
  if (chunks > 1) {
    try {
      reduceThree(device, { tensor: target, offset: 0 }, [outer, chunks, inner], out, kind, scale, false);
    } finally {
      target.dispose();
    }
  }
}

/** Sums a dense [outer, length, inner] over its middle; for operations that end in a sum of partial results. */
export function sumMiddle(device: Device, x: Tensor, shape: readonly [number, number, number], out: Tensor): void {
  reduceThree(device, { tensor: x, offset: x.offset }, shape, out, 'sum', 1);
}

function reduceOp(name: string, kind: Kind, mean = false) {
  return kernelOp<ReduceAttributes>({
    fetches: 0,
    flops: ([x]) => x.size * (kind === 'sumSquares' ? 2 : 1),
    infer([x], { axes, keepdim }) {
      if ((kind === 'max' || kind === 'min') && axes.some((d) => x.shape[d] === 0)) {
        throw new RangeError(
          `${name}: ${formatShape(x.shape)} has no elements along axes [${axes}], and no ${name} exists of nothing`,
        );
      }
      if (mean && !isFloat(x.dtype))
        throw new TypeError(`${name}: expected f32 or f16, got ${x.dtype}; use .cast('f32')`);
      if (x.dtype === 'bool') throw new TypeError(`${name}: bool has no ${name}; use .cast('i32')`);
      return [{ dtype: x.dtype, shape: reducedShape(x.shape, axes, keepdim) }];
    },
    run(device, [x], [out], { axes }) {
      const layout = gathered(x, axes);
      const view = new Tensor(x.storage, x.dtype, layout.shape, layout.strides, x.offset, false);
      try {
        withDense(device, [view], ([dense]) => {
          const three = asThree(layout.shape, layout.axes);
          reduceThree(device, { tensor: dense, offset: dense.offset }, three, out, kind, mean ? 1 / three[1] : 1);
        });
      } finally {
        view.dispose();
      }
    },
  });
}

/** Index of the first of the largest or smallest elements; NaN is both, as in NumPy. */
function argOp(name: string, relation: '>' | '<') {
  return kernelOp<{ axis: number; keepdim: boolean }>({
    flops: ([x]) => x.size,
    infer([x], { axis, keepdim }) {
      if (x.dtype === 'bool') throw new TypeError(`${name}: bool has no order; use .cast('i32')`);
      if (x.shape[axis] === 0)
        throw new RangeError(`${name}: ${formatShape(x.shape)} has no elements along axis ${axis}`);
      return [{ dtype: 'i32', shape: reducedShape(x.shape, [axis], keepdim) }];
    },
    run(device, [x], [out], { axis }) {
      withDense(device, [x], ([dense]) => {
        const [outer, length, inner] = asThree(x.shape, [axis]);
        const bits = 'bitcast<u32>';
        const nan = (v: string) => `((${bits}(${v}) & 0x7fffffffu) > 0x7f800000u)`;
        const better = isFloat(x.dtype)
          ? `!${nan('best')} && (${nan('candidate')} || candidate ${relation} best)`
          : `candidate ${relation} best`;
        device.recorder.dispatch({
          kernel: reduce.argReduce,
          constants: {
            Scalar: `alias Scalar = ${wgslType[workingDtype(x.dtype)]};`,
            InputElement: `alias InputElement = ${wgslType[x.dtype]};`,
            better: `fn better(candidate: Scalar, best: Scalar) -> bool { return ${better}; }`,
          },
          buffers: [dense.storage.buffer, out.storage.buffer],
          parameters: { outer, length, inner, offset: dense.offset },
          grid: gridFor(outer * inner),
        });
      });
    },
  });
}

export const differentiableReductions = {
  sum: reduceOp('sum', 'sum'),
  mean: reduceOp('mean', 'sum', true),
  sumSquares: reduceOp('sumSquares', 'sumSquares'),
  prod: reduceOp('prod', 'prod'),
  max: reduceOp('max', 'max'),
  min: reduceOp('min', 'min'),
};
export const otherReductions = { argmax: argOp('argmax', '>'), argmin: argOp('argmin', '<') };
