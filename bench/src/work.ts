/** `gradient`: forward and the gradients of all inputs, from a given gradient of the output. */
export type Pass = 'forward' | 'gradient';

/** What an engine must know how to do. */
export type Operation =
  | 'matmul'
  | 'conv1d'
  | 'attention'
  | 'layernorm'
  | 'elementwise'
  | 'chain'
  | 'softmax'
  | 'cross_entropy'
  | 'cqt'
  | 'rvq';

/** Values that every engine gets alike. */
export interface Values {
  readonly shape: readonly number[];
  readonly data: Float32Array | Int32Array;
}

/** A result in f64, one element at a time. */
export interface Expected {
  readonly what: string;
  readonly size: number;
  at(index: number): number;
  /** Where to look; evenly over the whole without it. */
  readonly samples?: readonly number[];
}

/** A piece of work: its inputs, what comes out, and what it takes. */
export interface Work {
  readonly name: string;
  readonly operation: Operation;
  readonly settings: Readonly<Record<string, number>>;
  readonly inputs: readonly Values[];
  /** Of the output; without it there is no gradient pass. Whole-number inputs have no gradient. */
  readonly outputGradient?: Values;
  /** Of the forward pass: arithmetic (a multiply-add counts two; 0 where it is not counted), bytes of inputs and outputs. */
  readonly flops: number;
  readonly bytes: number;
  readonly bound: 'arithmetic' | 'memory';
  /** What our error may be, relative to the largest element. */
  readonly tolerance: number;
  /** The output, then the gradients of the inputs. */
  expected(pass: Pass): readonly Expected[];
}

export interface Case {
  readonly name: string;
  readonly about: string;
  readonly passes: readonly Pass[];
  make(): Work;
}

const product = (shape: readonly number[]) => shape.reduce((size, extent) => size * extent, 1);

/** Approximately normal numbers, the same ones every time. */
export function noise(seed: number, ...shape: number[]): Values {
  let state = Math.imul(seed, 2654435761) >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  // A sum of four uniforms of variance 1/12 each.
  const data = new Float32Array(product(shape)).map(
    () => Math.sqrt(3) * (uniform() + uniform() + uniform() + uniform()),
  );
  return { shape, data };
}

/** Bytes of 32-bit values. */
export const bytes = (...sizes: number[]) => 4 * sizes.reduce((sum, size) => sum + size, 0);

const SAMPLES = 256;

/** Evenly spread over the whole, with both ends, and off the multiples of tile sizes. */
export function sampleIndices({ size, samples }: Pick<Expected, 'size' | 'samples'>): readonly number[] {
  if (samples) return samples;
  if (size <= SAMPLES) return Array.from({ length: size }, (_, i) => i);
  return Array.from({ length: SAMPLES }, (_, i) => Math.floor((i * (size - 1)) / (SAMPLES - 1)));
}

/**
 * The largest error of sampled elements relative to the largest of them, over all results. Infinity where a result is
 * missing, has another size or is no number.
 */
export function largestError(expected: readonly Expected[], got: readonly ArrayLike<number>[]): number {
  let worst = 0;
  expected.forEach((each, k) => {
    const actual = got[k];
    if (!actual || actual.length !== each.size) {
      worst = Infinity;
      return;
    }
    let scale = 0;
    let error = 0;
    for (const index of sampleIndices(each)) {
      const want = each.at(index);
      scale = Math.max(scale, Math.abs(want));
      const own = Math.abs(actual[index] - want);
      error = Math.max(error, Number.isNaN(own) ? Infinity : own);
    }
    worst = Math.max(worst, error === 0 ? 0 : error / scale);
  });
  return worst;
}
