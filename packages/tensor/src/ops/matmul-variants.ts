import { matmul as kernels } from '@dawnchorus/kernels';
import type { MatrixUnit } from '../device/adapters.ts';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { linearGrid } from '../kernel/grid.ts';
import type { Family, Variant } from '../kernel/variants.ts';
import { broadcastStrides, collapse, type Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { withDense } from './dense.ts';
import {
  type BroadcastVariant,
  broadcastFor,
  broadcastLayout,
  canBroadcast,
  matrixFits,
  tileFits,
  tiles64,
  tiles64x128,
  unitConstants,
  units64,
  units128,
  units128x64,
} from './matmul-tiles.ts';

type None = Record<never, never>;

/** The batch axes as the kernels walk them: two at most. */
function batchOf(a: Tensor, b: Tensor, out: Tensor) {
  const shape = out.shape.slice(0, -2);
  const strides = (x: Tensor) => broadcastStrides(x.shape.slice(0, -2), x.strides.slice(0, -2), shape);
  return collapse(shape, strides(a), strides(b));
}

/** A product as the kernels see it. Strides in elements. */
interface Product {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly out: Tensor;
  /** Products in the batch. */
  readonly count: number;
  readonly parameters: Readonly<
    Record<Exclude<keyof typeof kernels.matmulRegister.parameters, `group${string}`>, number>
  >;
}

/** Calls `record` with a product whose batch axes a kernel can walk: where there are more than two, with dense copies. */
function withProduct(device: Device, [a, b]: readonly Tensor[], out: Tensor, record: (product: Product) => void): void {
  const batch = batchOf(a, b, out);
  if (batch.shape.length > 2) {
    const views = [a, b].map((x) => {
      const shape = [...out.shape.slice(0, -2), ...x.shape.slice(-2)];
      return new Tensor(x.storage, x.dtype, shape, broadcastStrides(x.shape, x.strides, shape), x.offset, false);
    });
    try {
      withDense(device, views, (dense) => withProduct(device, dense, out, record));
    } finally {
      for (const view of views) view.dispose();
    }
    return;
  }
  const [outerExtent, batchInner] = batch.shape.length === 2 ? batch.shape : [1, batch.shape[0] ?? 1];
  const split = (strides: number[]) => (strides.length === 2 ? strides : [0, strides[0] ?? 0]);
  const [aBatchOuter, aBatchInner] = split(batch.strides[0]);
  const [bBatchOuter, bBatchInner] = split(batch.strides[1]);
  const [m, n] = out.shape.slice(-2);
  record({
    a,
    b,
    out,
    count: outerExtent * batchInner,
    parameters: {
      m,
      n,
      k: a.shape[a.rank - 1],
      batchInner,
      aOffset: a.offset,
      bOffset: b.offset,
      aRow: a.strides[a.rank - 2],
      aColumn: a.strides[a.rank - 1],
      bRow: b.strides[b.rank - 2],
      bColumn: b.strides[b.rank - 1],
      aBatchOuter,
      aBatchInner,
      bBatchOuter,
      bBatchInner,
    },
  });
}

const register: Variant<None> = {
  name: 'register',
  run(device, inputs, [out]) {
    withProduct(device, inputs, out, ({ a, b, count, parameters }) => {
      device.recorder.dispatch({
        kernel: kernels.matmulRegister,
        constants: {
          AElement: `alias AElement = ${wgslType[a.dtype]};`,
          BElement: `alias BElement = ${wgslType[b.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
        },
        buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
        parameters,
        grid: [Math.ceil(parameters.n / 64), Math.ceil(parameters.m / 64), count],
      });
    });
  },
};

/** Subgroups by themselves, 8 x 16, 32 or 64 outputs a thread. */
const byBroadcast = (name: BroadcastVariant): Variant<None> => ({
  name,
  legal: (device) => canBroadcast(device, name),
  run(device, inputs, [out]) {
    const layout = broadcastLayout(device, name, out.shape[out.rank - 1]);
    withProduct(device, inputs, out, ({ a, b, count, parameters }) => {
      device.recorder.dispatch({
        kernel: kernels.matmulBroadcast,
        constants: {
          ...kernels.broadcastConstants(layout, { length: parameters.k }),
          AElement: `alias AElement = ${wgslType[a.dtype]};`,
          BElement: `alias BElement = ${wgslType[b.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
        },
        buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
        parameters,
        grid: [Math.ceil(parameters.n / layout.columns), Math.ceil(parameters.m / (8 * layout.subgroup)), count],
      });
    });
  },
});

const broadcast = byBroadcast('broadcast');
const broadcast16 = byBroadcast('broadcast16');

/** How an operand lies in memory, to a kernel that reads it by `wide` along one of its axes. */
function layoutOf({ a, b, parameters }: Product, which: 'A' | 'B', wide: number): { alongK: boolean; vector: boolean } {
  const { m, n, k, aRow, aColumn, bRow, bColumn, aOffset, bOffset } = parameters;
  const [alongOther, alongK, other, offset] = which === 'A' ? [aRow, aColumn, m, aOffset] : [bColumn, bRow, n, bOffset];
  const batches =
    which === 'A' ? [parameters.aBatchOuter, parameters.aBatchInner] : [parameters.bBatchOuter, parameters.bBatchInner];
  const isAlongK = alongK === 1 || alongOther !== 1;
  const [step, extent, jump] = isAlongK ? [alongK, k, alongOther] : [alongOther, other, alongK];
  const aligned = [extent, jump, offset, ...batches].every((value) => value % wide === 0);
  // A buffer is bound whole, and is a multiple of 16 bytes long.
  const { size } = (which === 'A' ? a : b).storage.buffer;
  return { alongK: isAlongK, vector: step === 1 && aligned && size % 16 === 0 };
}

/** How a tile kernel reads its operands, four neighbours at a time, or eight halves. */
function operandConstants(product: Product, wide: 4 | 8): Record<string, string> {
  const constants: Record<string, string> = {};
  for (const name of ['A', 'B'] as const) {
    const { dtype } = name === 'A' ? product.a : product.b;
    const { alongK, vector } = layoutOf(product, name, wide);
    const element = wgslType[dtype];
    const halves = wide === 8 && dtype === 'f16';
    constants[`${name}_ALONG_K`] = `const ${name}_ALONG_K = ${alongK};`;
    constants[`${name}Element`] =
      `alias ${name}Element = ${vector ? (halves ? 'vec4<u32>' : `vec4<${element}>`) : element};`;
    if (wide === 4) constants[`fourOf${name}`] = vector ? kernels.fourByVector(name) : kernels.fourByElements(name);
    else if (!vector) constants[`eightOf${name}`] = kernels.eightByElements(name);
    else constants[`eightOf${name}`] = halves ? kernels.eightByVector(name) : kernels.eightByFours(name);
  }
  return constants;
}

const tiledConstants = (product: Product, tiling: kernels.Tiling, outElement: string) => ({
  ...operandConstants(product, 4),
  TILE: kernels.tileConstants(tiling),
  OutElement: `alias OutElement = ${outElement};`,
});

/** Tiles through workgroup memory. */
function tiled(name: string, tiling: kernels.Tiling): Variant<None> {
  const { m, n } = tiling;
  return {
    name,
    legal: (device) => tileFits(device, tiling),
    run(device, inputs, [out]) {
      withProduct(device, inputs, out, (product) => {
        const { a, b, count, parameters } = product;
        device.recorder.dispatch({
          kernel: kernels.matmulTiled,
          constants: tiledConstants(product, tiling, wgslType[out.dtype]),
          buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
          parameters: { ...parameters, chunk: parameters.k, batches: count },
          grid: [Math.ceil(parameters.n / n), Math.ceil(parameters.m / m), count],
        });
      });
    },
  };
}

const tiled64 = tiled('tiled64', tiles64);
const tiled64x128 = tiled('tiled64x128', tiles64x128);

/**
 * Cores of the GPU by which large tiles or small ones, whole sums or split ones are chosen, an H200: WebGPU does not tell how many
 * there are.
 */
const CORES = 132;
/** Workgroups of the largest tiles of matrix units from which they beat smaller ones. */
const LARGEST_TILES_WANTED = 768;
/** Of k, at least: shorter sums cost more to add up than they save. */
const SHORTEST_CHUNK = 256;
/** Multiply-adds that a core makes in the time that all take to write and read one of the partial sums, and to begin with adding up. */
const PRODUCTS_A_SUM = 0.45;
const PRODUCTS_TO_BEGIN = 7e5;
/** More splits must save so much of the time. */
const WORTH_SPLITTING = 0.03;
const MOST_SPLITS = 64;

const tilesOf = (out: { shape: Shape; size: number }, tile: { m: number; n: number }) => {
  const [m, n] = out.shape.slice(-2);
  return (Math.ceil(m / tile.m) * Math.ceil(n / tile.n) * out.size) / Math.max(1, m * n);
};

/** How a product is split: how many sums, and how long each is. */
interface Splits {
  readonly splits: number;
  readonly chunk: number;
}

/** So many sums, each of whole steps. */
function splitsOf(k: number, wanted: number, { step }: kernels.Tiling): Splits {
  const chunk = Math.max(step, Math.ceil(k / Math.max(1, wanted) / step) * step);
  return { splits: Math.max(1, Math.ceil(k / chunk)), chunk };
}

/** Enough for small tiles, few of which fill a core, to be two a core. */
function splitsOfSmall(k: number, out: Tensor, tile: kernels.Tiling): Splits {
  return splitsOf(k, Math.min(Math.ceil((2 * CORES) / tilesOf(out, tile)), Math.floor(k / SHORTEST_CHUNK)), tile);
}

/**
 * As many as waves of large tiles fill the cores best with: 282 tiles on 132 cores take as long as 396, for some core makes three;
 * three times as many tiles with a third of k each are 6.4 a core, which take as long as 7.
 */
export function splitsOfLarge(k: number, out: { shape: Shape; size: number }, tile: kernels.Tiling): Splits {
  const tiles = tilesOf(out, tile);
  const costOf = ({ splits, chunk }: Splits) =>
    Math.ceil((tiles * splits) / CORES) * tile.m * tile.n * chunk +
    (splits > 1 ? PRODUCTS_A_SUM * splits * out.size + PRODUCTS_TO_BEGIN : 0);
  let best = splitsOf(k, 1, tile);
  for (let wanted = 2; wanted <= Math.min(MOST_SPLITS, Math.floor(k / SHORTEST_CHUNK)); wanted++) {
    const each = splitsOf(k, wanted, tile);
    if (costOf(each) < (1 - WORTH_SPLITTING) * costOf(best)) best = each;
  }
  return best;
}

/** For few tiles and a long k (gradients of weights): parts of k are summed by themselves, then added up in their order. */
function split(name: string, tiling: kernels.Tiling, choose: typeof splitsOfSmall): Variant<None> {
  const { m, n } = tiling;
  return {
    name,
    legal(device, [a], [out]) {
      const { splits } = choose(a.shape[a.rank - 1], out, tiling);
      const bytes = 4 * splits * out.size;
      return tileFits(device, tiling) && splits > 1 && bytes <= device.limits.maxStorageBufferBindingSize;
    },
    run(device, inputs, [out]) {
      withProduct(device, inputs, out, (product) => {
        const { a, b, count, parameters } = product;
        const { splits, chunk } = choose(parameters.k, out, tiling);
        const partial = Tensor.allocate(device, 'f32', [splits, out.size], 'partial products', false);
        try {
          device.recorder.dispatch({
            kernel: kernels.matmulTiled,
            constants: tiledConstants(product, tiling, 'f32'),
            buffers: [a.storage.buffer, b.storage.buffer, partial.storage.buffer],
            parameters: { ...parameters, chunk, batches: count },
            grid: [Math.ceil(parameters.n / n), Math.ceil(parameters.m / m), count * splits],
          });
          device.recorder.dispatch({
            kernel: kernels.matmulSumSplits,
            constants: { OutElement: `alias OutElement = ${wgslType[out.dtype]};` },
            buffers: [partial.storage.buffer, out.storage.buffer],
            parameters: { size: out.size, splits },
            grid: linearGrid(Math.ceil(out.size / 256)),
          });
        } finally {
          partial.dispose();
        }
      });
    },
  };
}

const split64 = split('split', tiles64, splitsOfSmall);
const split64x128 = split('split64x128', tiles64x128, splitsOfLarge);

/** Tiles by matrix units. `parts`: halves that an f32 operand is split into. */
function matrix(name: string, tiling: kernels.MatrixTiling, parts: 1 | 2): Variant<None> {
  const { m, n } = tiling;
  return {
    name,
    onlyPinned: parts === 2,
    legal(device, [a, b]) {
      const halves = a.dtype === 'f16' && b.dtype === 'f16';
      return (parts === 2 || halves) && matrixFits(device, tiling, parts) !== undefined;
    },
    run(device, inputs, [out]) {
      withProduct(device, inputs, out, (product) => {
        const { a, b, count, parameters } = product;
        device.recorder.dispatch({
          kernel: kernels.matmulMatrix,
          constants: {
            ...operandConstants(product, 8),
            ...unitConstants(device, matrixFits(device, tiling, parts) as MatrixUnit),
            TILE: kernels.matrixTileConstants(tiling),
            loadLeft: kernels.fragmentLoader('Left', layoutOf(product, 'A', 8).alongK),
            loadRight: kernels.fragmentLoader('Right', !layoutOf(product, 'B', 8).alongK),
            PARTS: `const PARTS = ${parts}u;`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
          },
          buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
          parameters: { ...parameters, chunk: parameters.k, batches: count },
          grid: [Math.ceil(parameters.n / n), Math.ceil(parameters.m / m), count],
        });
      });
    },
  };
}

const matrix64 = matrix('matrix64', units64, 1);
const matrix128x64 = matrix('matrix128x64', units128x64, 1);
const matrix128 = matrix('matrix128', units128, 1);
const matrixSplit = matrix('matrixSplit', { m: 64, n: 64, partM: 32, partN: 32, step: 16 }, 2);

/** The part of a block's sums that must be of use for `broadcast` to beat `register`. */
const SHARE_OF_USE = 0.4;

/** How columns are handed round, where subgroups have enough rows and columns to share. */
function handsOf(device: Device, a: Tensor, out: Tensor): BroadcastVariant | undefined {
  const variant = broadcastFor(device, out.size * a.shape[a.rank - 1]);
  if (variant === undefined) return undefined;
  const [m, n] = out.shape.slice(-2);
  const { subgroup, columns } = broadcastLayout(device, variant, n);
  const rows = 8 * subgroup;
  const made = Math.ceil(m / rows) * rows * Math.ceil(n / columns) * columns;
  return m * n >= SHARE_OF_USE * made ? variant : undefined;
}

/** The ways to multiply. */
export const matmulFamily: Family<None> = {
  name: 'matmul',
  variants: [
    register,
    broadcast16,
    broadcast,
    tiled64,
    tiled64x128,
    split64,
    split64x128,
    matrix64,
    matrix128x64,
    matrix128,
    matrixSplit,
  ],
  prefer(device, [a, b], [out]) {
    // On CPU drivers barriers are costly, and caches do what workgroup memory does.
    if (device.adapter.software) return handsOf(device, a, out) ?? 'register';
    const can = (variant: Variant<None>) => variant.legal?.(device, [a, b], [out], {}) ?? true;
    // Small tiles until large ones are many: measured on an H200, which has 132 cores.
    if (can(matrix128) && tilesOf(out, units128) >= LARGEST_TILES_WANTED) return 'matrix128';
    if (can(matrix128x64) && tilesOf(out, units128x64) >= CORES) return 'matrix128x64';
    if (can(matrix64) && tilesOf(out, tiles64) >= CORES / 2) return 'matrix64';
    if (can(tiled64x128) && tilesOf(out, tiles64x128) >= CORES) return 'tiled64x128';
    if (tilesOf(out, tiles64) < 2 * CORES && can(split64)) return 'split';
    // A tile of which most is cut off is no better than threads by themselves, unless k is long.
    const [m, n] = out.shape.slice(-2);
    const isSmall = Math.min(m, n) < 16 || (m * n < 1024 && a.shape[a.rank - 1] < 256);
    return isSmall ? 'register' : 'tiled64';
  },
};
