import { matmul as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { linearGrid } from '../kernel/grid.ts';
import type { Variant } from '../kernel/variants.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { type None, tiledConstants, withProduct } from './matmul-operands.ts';
import { tileFits, tiles64, tiles64x128 } from './matmul-tiles.ts';

/**
 * Cores of the GPU by which large tiles or small ones, whole sums or split ones are chosen, an H200: WebGPU does not tell how many
 * there are.
 */
export const CORES = 132;
/**
 * Terms that one accumulator takes, one after another. Each is rounded to the digits of the sum so far, and equal ones always the
 * same way: a million of 0.01 come out a hundredth off, so many as these a ten-thousandth.
 */
export const LONGEST_SUM = 2 ** 14;
/** Of k, at least: shorter sums cost more to add up than they save. */
const SHORTEST_CHUNK = 256;
/** Multiply-adds that a core makes in the time that all take to write and read one of the partial sums, and to begin with adding up. */
const PRODUCTS_A_SUM = 0.45;
const PRODUCTS_TO_BEGIN = 7e5;
/** More splits must save so much of the time. */
const WORTH_SPLITTING = 0.03;
const MOST_SPLITS = 64;

/** How many tiles the outputs of all products of a batch are. */
export const tilesOf = (out: { shape: Shape; size: number }, tile: { m: number; n: number }) => {
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

/** Adds up [splits, ...out] in order. */
export function recordSumOfParts(device: Device, partial: Tensor, out: Tensor, splits: number): void {
  device.recorder.dispatch({
    kernel: kernels.matmulSumSplits,
    constants: { OutElement: `alias OutElement = ${wgslType[out.dtype]};` },
    buffers: [partial.storage.buffer, out.storage.buffer],
    parameters: { size: out.size, splits },
    grid: linearGrid(Math.ceil(out.size / 256)),
  });
}

/** For few tiles and a long k (gradients of weights): parts of k are summed by themselves, then added up in their order. */
function split(name: string, tiling: kernels.Tiling, choose: typeof splitsOfSmall): Variant<None> {
  const { m, n } = tiling;
  return {
    name,
    legal(device, [a], [out]) {
      const { splits, chunk } = choose(a.shape[a.rank - 1], out, tiling);
      const bytes = 4 * splits * out.size;
      const fits = tileFits(device, tiling) && bytes <= device.limits.maxStorageBufferBindingSize;
      return fits && splits > 1 && chunk <= LONGEST_SUM;
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
          recordSumOfParts(device, partial, out, splits);
        } finally {
          partial.dispose();
        }
      });
    },
  };
}

export const split64 = split('split', tiles64, splitsOfSmall);
export const split64x128 = split('split64x128', tiles64x128, splitsOfLarge);
