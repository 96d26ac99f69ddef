import { matmul, rvq } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { linearGrid } from '../kernel/grid.ts';
import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import { formatShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectDtype } from './arguments.ts';
import { withDense, withScratch } from './dense.ts';
import { type BroadcastVariant, broadcastFor, broadcastLayout, canBroadcast } from './matmul-tiles.ts';
import { kernelOp } from './op.ts';

/** Attributes of `residualCodes`. */
export interface ResidualCodesAttributes {
  /** What every stage leaves comes out, not just what the last one does. */
  keep: boolean;
}

/** A search as its kernels see it. */
interface Search {
  readonly x: Tensor;
  readonly entries: Tensor;
  readonly halves: Tensor;
  readonly parameters: Readonly<Record<keyof typeof rvq.residualCodesTiled.parameters, number>>;
}

/** Calls `record` with codebooks laid out for the search: 4 bytes for each number in them, for as long as it runs. */
function withEntries(
  device: Device,
  inputs: readonly Tensor[],
  kept: boolean | undefined,
  record: (search: Search) => void,
): void {
  withDense(device, inputs, ([x, ...books]) => {
    const [rows, dimension] = x.shape;
    const [codes] = books[0].shape;
    const stages = books.length;
    const padded = Math.ceil(codes / rvq.BROADCAST.codes) * rvq.BROADCAST.codes;
    const scratch = [
      { name: 'codebook entries', shape: [stages, Math.max(1, dimension), padded] },
      { name: 'lengths of codebook entries', shape: [stages, padded] },
    ];
    withScratch(device, scratch, (entries, halves) => {
      for (let firstStage = 0; firstStage < stages; firstStage += rvq.BOOKS_AT_ONCE) {
        const count = Math.min(rvq.BOOKS_AT_ONCE, stages - firstStage);
        const [book0, book1, book2, book3] = Array.from(
          { length: rvq.BOOKS_AT_ONCE },
          (_, i) => books[firstStage + Math.min(i, count - 1)],
        );
        device.recorder.dispatch({
          kernel: rvq.codebookPrepare,
          buffers: [book0, book1, book2, book3, entries, halves].map((tensor) => tensor.storage.buffer),
          parameters: {
            codes,
            dimension,
            padded,
            firstStage,
            offset0: book0.offset,
            offset1: book1.offset,
            offset2: book2.offset,
            offset3: book3.offset,
          },
          grid: [Math.ceil(padded / 64), count, 1],
        });
      }
      const parameters = { rows, dimension, padded, stages, kept: kept ? 1 : 0, xOffset: x.offset };
      record({ x, entries, halves, parameters });
    });
  });
}

const buffersOf = ({ x, entries, halves }: Search, outputs: readonly Tensor[]) =>
  [x, entries, halves, ...outputs].map((tensor) => tensor.storage.buffer);

/** Threads of a workgroup: four codes each, and no more than the codebook needs. */
function tiledThreads(codes: number): number {
  const wanted = 2 ** Math.ceil(Math.log2(codes / rvq.TILED.codesPerThread));
  return Math.min(256, Math.max(32, wanted));
}

const tiled: Variant<ResidualCodesAttributes> = {
  name: 'tiled',
  legal: ({ limits }, [, book]) => limits.maxComputeInvocationsPerWorkgroup >= tiledThreads(book.shape[0]),
  run(device, inputs, outputs, { keep }) {
    withEntries(device, inputs, keep, (search) => {
      const { rows, padded } = search.parameters;
      const subgroups = !device.adapter.software && device.features.has('subgroups');
      device.recorder.dispatch({
        kernel: rvq.residualCodesTiled,
        constants: {
          LANES: `const LANES = ${tiledThreads(padded)}u;`,
          ROWS: 'const ROWS = 1u;',
          SUBGROUPS: `const SUBGROUPS = ${subgroups};`,
        },
        buffers: buffersOf(search, outputs),
        parameters: search.parameters,
        grid: linearGrid(Math.ceil(rows / rvq.TILED.rows)),
      });
    });
  },
};

const byBroadcast = (name: BroadcastVariant): Variant<ResidualCodesAttributes> => ({
  name,
  legal: (device) => canBroadcast(device, name),
  run(device, inputs, outputs, { keep }) {
    withEntries(device, inputs, keep, (search) => {
      const { rows, dimension, padded } = search.parameters;
      const layout = broadcastLayout(device, name, padded);
      device.recorder.dispatch({
        kernel: rvq.residualCodesBroadcast,
        constants: matmul.broadcastConstants(layout, { length: dimension }),
        buffers: buffersOf(search, outputs),
        parameters: search.parameters,
        grid: linearGrid(Math.ceil(rows / (layout.subgroup * rvq.BROADCAST.rowsPerThread))),
      });
    });
  },
});

/** The ways to find codes, for both operations. BroadcastLayout columns round needs no barriers, which cost CPU drivers dearly. */
const familyOf = (name: string): Family<ResidualCodesAttributes> => ({
  name,
  variants: [tiled, byBroadcast('broadcast16'), byBroadcast('broadcast')],
  prefer(device, [x, ...books]) {
    if (!device.adapter.software) return 'tiled';
    // Of small searches, too, barriers cost more than what is compiled.
    return broadcastFor(device, x.size * books.length * books[0].shape[0], 0) ?? 'tiled';
  },
});

/** @throws TypeError or RangeError that names the operation, unless x is [rows, dimension] and all books [codes, dimension]. */
function checkSearch(name: string, [x, ...books]: readonly Tensor[]): void {
  expectDtype(name, 'the input', x, 'f32');
  for (const book of books) expectDtype(name, 'the codebook', book, 'f32');
  const fits = (book: Tensor) =>
    book.rank === 2 && book.shape[0] === books[0].shape[0] && book.shape[0] > 0 && book.shape[1] === x.shape[1];
  if (x.rank !== 2 || books.length === 0 || !books.every(fits)) {
    throw new RangeError(
      `${name}: ${formatShape(x.shape)} and ${books.length === 1 ? 'codebook' : 'codebooks'} ` +
        `${books.map(({ shape }) => formatShape(shape)).join(', ') || 'none'}; ` +
        'expected [rows, dimension] and [codes, dimension] with codes from 1',
    );
  }
}

const nearestFamily = familyOf('nearestCode') as Family<Record<never, never>>;

/** x [rows, dimension] and codebook [codes, dimension] -> nearest code [rows] (i32) and residual [rows, dimension]. */
export const nearestCode = kernelOp<Record<never, never>>({
  flops: ([x, codebook]) => 2 * x.size * codebook.shape[0],
  infer(inputs) {
    checkSearch('nearestCode', inputs);
    const [x] = inputs;
    return [
      { dtype: 'i32', shape: [x.shape[0]] },
      { dtype: 'f32', shape: x.shape },
    ];
  },
  ...runVariants(nearestFamily),
});

/**
 * x [rows, dimension] and codebooks of one shape [codes, dimension] -> codes [stages, rows] (i32), each stage's nearest to
 * what the stages before left over, and what the last one leaves, [1, rows, dimension], or all, [stages, rows, dimension].
 */
export const residualCodes = kernelOp<ResidualCodesAttributes>({
  flops: ([x, book], [codes]) => 2 * x.size * book.shape[0] * codes.shape[0],
  infer(inputs, { keep }) {
    checkSearch('residualCodes', inputs);
    const [x, ...books] = inputs;
    return [
      { dtype: 'i32', shape: [books.length, x.shape[0]] },
      { dtype: 'f32', shape: [keep ? books.length : 1, ...x.shape] },
    ];
  },
  ...runVariants(familyOf('residualCodes')),
});
