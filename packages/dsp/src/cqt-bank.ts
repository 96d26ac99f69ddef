import {
  add,
  apply,
  concat,
  type Device,
  matmul,
  pad,
  reshape,
  type Tensor,
  unfold,
  uploadTable,
} from '@dawnchorus/tensor';
import { type CqtSettings, cqtFrequencies, cqtKernel, cqtLengths, cqtScale } from './cqt-kernels.ts';

/** Taps that are summed in one product; f32 sums of more of them would lose digits. */
const CHUNK = 4096;
/** Bytes of the filters of a group. */
const LARGEST_TABLE = 32 * 2 ** 20;

/** Filters of some neighbouring bins, for audio of which every `decimation`th sample is left. */
export interface FilterBank {
  /** Samples that frames reach before their centre, and at most after it. */
  readonly reach: number;
  /**
   * x [clips, reach + (frames - 1) hop + reach], the first frame's centre at `reach` -> real and imaginary parts,
   * [clips, bins, 2, frames].
   */
  analyse(x: Tensor, hop: number, frames: number): Tensor;
  /** The transpose of `analyse`: parts [clips, bins, 2, frames] -> [clips, 2 reach + (frames - 1) hop]. */
  synthesise(parts: Tensor, hop: number): Tensor;
  dispose(): void;
}

/** The filters of neighbouring bins, as rows of one matrix. */
interface Group {
  /** The sample, counted from the frame's centre, that column 0 meets. */
  readonly first: number;
  readonly bins: number;
  /** Columns: taps of the longest filter. */
  readonly taps: number;
  /** Real and imaginary parts of the conjugated filters, times their scale: [2 bins taps] as [2 bins, taps]. */
  readonly table: Tensor;
}

/** Taps of a filter at the samples that are left, counted in those. The sum of products is as large as with all of them. */
function thinned(frequency: number, length: number, sampleRate: number, decimation: number) {
  const { first, re, im } = cqtKernel(frequency, length, sampleRate);
  const from = Math.ceil(first / decimation);
  const count = Math.floor((first + length - 1) / decimation) - from + 1;
  const of = (taps: Float64Array) =>
    Float64Array.from({ length: count }, (_, i) => decimation * taps[(from + i) * decimation - first]);
  return { first: from, re: of(re), im: of(im) };
}

/** How many neighbouring bins share a product: those of one octave, or fewer where their filters are long. */
function groupSize({ binsPerOctave }: CqtSettings, taps: number): number {
  return Math.min(binsPerOctave, Math.max(1, Math.floor(LARGEST_TABLE / (8 * taps))));
}

function createGroup(device: Device, settings: CqtSettings, low: number, end: number, decimation: number): Group {
  const { sampleRate, normalization } = settings;
  const frequencies = cqtFrequencies(settings);
  const lengths = cqtLengths(settings);
  const kernels = Array.from({ length: end - low }, (_, i) =>
    thinned(frequencies[low + i], lengths[low + i], sampleRate, decimation),
  );
  // The lowest has the longest filter, which all others lie within.
  const [{ first, re: longest }] = kernels;
  const taps = longest.length;
  const values = new Float32Array(2 * kernels.length * taps);
  kernels.forEach((kernel, i) => {
    const scale = cqtScale(lengths[low + i], normalization);
    const at = 2 * i * taps + kernel.first - first;
    for (let n = 0; n < kernel.re.length; n++) {
      values[at + n] = scale * kernel.re[n];
      values[at + taps + n] = -scale * kernel.im[n];
    }
  });
  return { first, bins: kernels.length, taps, table: uploadTable(device, values, `CQT filters from bin ${low}`) };
}

/**
 * Bins `low` to `end` - 1 of a constant-Q transform as products, one for each octave: of its filters, each over its own
 * support, with the frames, which are read in place. Made of operations with gradients.
 */
export function createFilterBank(
  device: Device,
  settings: CqtSettings,
  low = 0,
  end = settings.bins,
  decimation = 1,
): FilterBank {
  const lengths = cqtLengths(settings);
  const groups: Group[] = [];
  for (let from = low; from < end; ) {
    const to = Math.min(end, from + groupSize(settings, Math.ceil(lengths[from] / decimation)));
    groups.push(createGroup(device, settings, from, to, decimation));
    from = to;
  }
  const reach = -groups[0].first + 1;

  /** Filters and where the frames' parts start that they meet, in parts of at most CHUNK taps. */
  function* chunksOf({ first, bins, taps, table }: Group) {
    const filters = reshape(table, [2 * bins, taps]);
    for (let from = 0; from < taps; from += CHUNK) {
      const size = Math.min(CHUNK, taps - from);
      yield { filters: filters.narrow(1, from, size), start: reach + first + from, size };
    }
  }

  return {
    reach,
    analyse(x, hop, frames) {
      const parts = groups.map((group) => {
        let sum: Tensor | undefined;
        for (const { filters, start, size } of chunksOf(group)) {
          const heard = x.narrow(1, start, (frames - 1) * hop + size);
          const product = matmul(filters, unfold(heard, 1, size, hop).transpose(1, 2));
          sum = sum ? add(sum, product) : product;
        }
        return reshape(sum as Tensor, [x.shape[0], group.bins, 2, frames]);
      });
      return parts.length === 1 ? parts[0] : concat(parts, 1);
    },
    synthesise(parts, hop) {
      const [clips, , , frames] = parts.shape;
      const length = 2 * reach + (frames - 1) * hop;
      let sum: Tensor | undefined;
      let bin = 0;
      for (const group of groups) {
        const own = reshape(parts.narrow(1, bin, group.bins), [clips, 2 * group.bins, frames]);
        bin += group.bins;
        for (const { filters, start } of chunksOf(group)) {
          const heard = matmul(own.transpose(1, 2), filters);
          const rest = length - start;
          const placed = pad(apply('overlapAdd', [heard], { axis: 1, step: hop, length: rest })[0], [start, 0]);
          sum = sum ? add(sum, placed) : placed;
        }
      }
      return sum as Tensor;
    },
    dispose() {
      for (const { table } of groups) table.dispose();
    },
  };
}
