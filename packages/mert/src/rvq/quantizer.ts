import { nn } from '@dawnchorus/autograd';
import {
  add,
  apply,
  codebookUpdate,
  div,
  indexSelect,
  mul,
  nearestCode,
  ones,
  residualCodes,
  scope,
  sub,
  type Tensor,
  tensor,
  where,
  zeros,
} from '@dawnchorus/tensor';
import { type HostRandom, sampleWithoutReplacement } from '../random.ts';

/** One stage: its entries, and the running sums that they follow. */
export interface Codebook {
  /** [codes, dimension] */
  embed: Tensor;
  /** Running sum of the vectors assigned to each entry, [codes, dimension]. */
  embedAvg: Tensor;
  /** Running number of them, [codes]. */
  clusterSize: Tensor;
}

/** How codebooks follow what they quantise. */
export interface UpdateOptions {
  decay: number;
  /** Entries with a smaller running count are drawn anew; 0: never. */
  deadCodeThreshold: number;
  /** Of Laplace smoothing. */
  epsilon?: number;
}

/** Sums of rows, and their number, for each code. */
function statistics(x: Tensor, codes: Tensor, size: number): { sums: Tensor; counts: Tensor } {
  const [sums] = apply('indexAdd', [x, codes], { axis: 0, extent: size });
  const [counts] = apply('indexAdd', [ones([x.shape[0]], { device: x.device }), codes], { axis: 0, extent: size });
  return { sums, counts };
}

/**
 * A codebook after a step in which the rows of x [rows, dimension] took these codes [rows]: running counts and sums, entries
 * at their smoothed mean, and entries that hardly any row chooses replaced by the rows that `picks` [codes] names. The
 * replacement comes after the averages and sets the running sums too: written before them, as in the published code, it
 * would be undone at once. (A `deadCodeThreshold` of 0 is therefore what the published code does.)
 */
export function movedCodebook(
  { embedAvg, clusterSize }: Codebook,
  x: Tensor,
  codes: Tensor,
  picks: Tensor,
  { decay, deadCodeThreshold, epsilon }: UpdateOptions,
): Codebook {
  const state = { averages: embedAvg, sizes: clusterSize, picks };
  const moved = codebookUpdate(x, codes, state, { decay, threshold: deadCodeThreshold, epsilon });
  return { embed: moved.entries, embedAvg: moved.averages, clusterSize: moved.sizes };
}

/**
 * A residual vector quantiser (Zeghidour et al., 2021; Défossez et al., 2022): each stage codes what the stages before
 * it left over. Entries are moved by exponential averages of what was assigned to them, not by gradients.
 */
export class ResidualQuantizer {
  codebooks: Codebook[];

  constructor(codebooks: Codebook[]) {
    this.codebooks = codebooks;
  }

  get size(): number {
    return this.codebooks[0].embed.shape[0];
  }

  /**
   * Codes of vectors x [rows, dimension], i32 [rows] for each of the first `count` codebooks, all by default; what is left
   * over; and what each stage saw. No gradient flows through it.
   */
  encode(x: Tensor, count = this.codebooks.length): { codes: Tensor[]; inputs: Tensor[]; residual: Tensor } {
    const found = residualCodes(x, this.#entries(count), { keep: true });
    const codes = Array.from({ length: count }, (_, i) => found.codes.select(0, i));
    const left = Array.from({ length: count }, (_, i) => found.residual.select(0, i));
    return { codes, inputs: [x, ...left.slice(0, -1)], residual: left[count - 1] };
  }

  /** The codes alone, i32 [count, rows]: what each stage saw is not kept. */
  search(x: Tensor, count = this.codebooks.length): Tensor {
    return residualCodes(x, this.#entries(count)).codes;
  }

  #entries(count: number): Tensor[] {
    return this.codebooks.slice(0, count).map(({ embed }) => embed);
  }

  /** The sum of the entries that codes [codebooks][rows] name: [rows, dimension]. */
  decode(codes: readonly Tensor[]): Tensor {
    return codes.map((code, i) => indexSelect(this.codebooks[i].embed, 0, code)).reduce((sum, part) => add(sum, part));
  }

  /**
   * Moves every codebook after a step, see `movedCodebook`; vectors in place of entries that are hardly chosen are drawn
   * from the batch.
   */
  update(codes: readonly Tensor[], inputs: readonly Tensor[], options: UpdateOptions, random: HostRandom): void {
    this.codebooks.forEach((codebook, i) => {
      const rows = inputs[i].shape[0];
      const picks = Int32Array.from({ length: this.size }, () => random.integer(0, rows - 1));
      const next = scope(() => {
        const moved = movedCodebook(
          codebook,
          inputs[i],
          codes[i],
          tensor(picks, { device: inputs[i].device }),
          options,
        );
        return {
          embed: moved.embed.retain(),
          embedAvg: moved.embedAvg.retain(),
          clusterSize: moved.clusterSize.retain(),
        };
      });
      this.#replace(i, next);
    });
  }

  #replace(i: number, next: Codebook): void {
    const { embed, embedAvg, clusterSize } = this.codebooks[i];
    this.codebooks[i] = next;
    embed.dispose();
    embedAvg.dispose();
    clusterSize.dispose();
  }

  /** Every tensor by name, for checkpoints: Hugging Face's EnCodec spelling. */
  named(): Map<string, Tensor> {
    const result = new Map<string, Tensor>();
    this.codebooks.forEach(({ embed, embedAvg, clusterSize }, i) => {
      result.set(`quantizer.layers.${i}.codebook.embed`, embed);
      result.set(`quantizer.layers.${i}.codebook.embed_avg`, embedAvg);
      result.set(`quantizer.layers.${i}.codebook.cluster_size`, clusterSize);
    });
    return result;
  }

  /** Gives the codebooks back. */
  dispose(): void {
    for (const value of this.named().values()) value.dispose();
  }
}

/** A quantiser whose entries are all zero, to be filled from a checkpoint. */
export function emptyQuantizer(codebooks: number, size: number, dimension: number): ResidualQuantizer {
  return new ResidualQuantizer(
    Array.from({ length: codebooks }, () => ({
      embed: nn.initZeros([size, dimension]),
      embedAvg: nn.initZeros([size, dimension]),
      clusterSize: nn.initZeros([size]),
    })),
  );
}

const KMEANS_ITERATIONS = 12;

/**
 * Lloyd's k-means from rows of x drawn at random. A cluster that loses all its rows keeps its centre.
 *
 * EnCodec starts its codebooks so, and teachers that there are depend on its bits. `lloyd` of kmeans/ goes on until nothing
 * moves and fills empty clusters, for which it must wait for the device; here a start that is near enough will do, the
 * updates draw what stays empty anew, and nothing is waited for within a scope.
 *
 * Returns the centres [size, dimension] and how many rows chose each.
 */
export function kMeans(
  x: Tensor,
  size: number,
  random: HostRandom,
  iterations = KMEANS_ITERATIONS,
): { means: Tensor; counts: Tensor } {
  const rows = x.shape[0];
  const starts =
    rows >= size
      ? sampleWithoutReplacement(random, rows, size)
      : Array.from({ length: size }, () => random.integer(0, rows - 1));
  let means = indexSelect(x, 0, tensor(Int32Array.from(starts), { device: x.device }));
  let counts = zeros([size], { device: x.device });
  for (let i = 0; i < iterations; i++) {
    const found = statistics(x, nearestCode(x, means).codes, size);
    counts = found.counts;
    const empty = counts.eq(0).unsqueeze(1);
    means = where(empty, means, div(found.sums, counts.maximum(1).unsqueeze(1)));
  }
  return { means, counts };
}

/** A quantiser started by k-means, stage by stage, on what the stages before leave over of x [rows, dimension]. */
export function startQuantizer(
  x: Tensor,
  codebooks: number,
  size: number,
  random: HostRandom,
  iterations = KMEANS_ITERATIONS,
): ResidualQuantizer {
  return scope(() => {
    let residual = x;
    const stages: Codebook[] = [];
    for (let i = 0; i < codebooks; i++) {
      const { means, counts } = kMeans(residual, size, random, iterations);
      const clusterSize = counts.retain();
      stages.push({ embed: means.retain(), embedAvg: mul(means, counts.unsqueeze(1)).retain(), clusterSize });
      residual = sub(residual, indexSelect(means, 0, nearestCode(residual, means).codes));
    }
    return new ResidualQuantizer(stages);
  });
}
