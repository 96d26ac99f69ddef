import { float16FromNumbers, float16ToFloat32 } from '@dawnchorus/tensor';

/** `gradient`: forward and the gradients of all inputs, from a given gradient of the output. */
export type Pass = 'forward' | 'gradient';

/** Of the numbers that go in and come out. Sums are f32 in either. */
export type Precision = 'f32' | 'f16';

/** What an engine must know how to do. */
export type Operation =
  | 'matmul'
  | 'conv1d'
  | 'attention'
  | 'layernorm'
  | 'groupnorm'
  | 'first_stage'
  | 'elementwise'
  | 'gelu'
  | 'chain'
  | 'softmax'
  | 'cross_entropy'
  | 'rfft'
  | 'cqt'
  | 'stft'
  | 'resample'
  | 'encodec'
  | 'rvq';

/** Values that every engine gets alike. f16: numbers that halves hold exactly. */
export interface Values {
  readonly shape: readonly number[];
  readonly dtype: Precision | 'i32';
  readonly data: Float32Array | Int32Array;
  /** No gradient of it is wanted. Such inputs come last, as whole numbers do. */
  readonly constant?: true;
}

/** Whether the gradient pass makes the gradient of an input. */
export const isVariable = ({ dtype, constant }: Values): boolean => dtype !== 'i32' && !constant;

/** A result in f64, one element at a time. */
export interface Expected {
  readonly what: string;
  readonly size: number;
  at(index: number): number;
  /** Where to look; evenly over the whole without it. */
  readonly samples?: readonly number[];
}

/** What is known of a piece of work before it is made. */
export interface Facts {
  readonly name: string;
  readonly dtype: Precision;
  readonly operation: Operation;
  readonly settings: Readonly<Record<string, number>>;
  /** Of the forward pass: arithmetic (a multiply-add counts two; 0 where it is not counted), bytes of inputs and outputs. */
  readonly flops: number;
  readonly bytes: number;
  readonly bound: 'arithmetic' | 'memory';
  /** What our error may be, relative to the largest element. */
  readonly tolerance: number;
}

/** A piece of work: its inputs, what comes out, and what it takes. */
export interface Work extends Facts {
  readonly inputs: readonly Values[];
  /** Of the output; without it there is no gradient pass. Whole numbers and constants have no gradient. */
  readonly outputGradient?: Values;
  /** The output, then the gradients of the inputs. */
  expected(pass: Pass): readonly Expected[];
}

/** Where a case belongs: kernels that everybody has, or shapes of the models. */
export type Group = 'kernels' | 'MERT-95M' | 'MERT-330M' | 'MERT, both sizes';

export interface Case extends Facts {
  readonly group: Group;
  /** The largest tensor that a kernel binds, bytes. */
  readonly largest: number;
  readonly about: string;
  readonly passes: readonly Pass[];
  make(): Work;
}

/** A case from its facts and what is made only when it runs. */
export function caseOf(
  facts: Facts & Pick<Case, 'about' | 'passes' | 'largest'>,
  make: () => Pick<Work, 'inputs' | 'outputGradient' | 'expected'>,
): Case {
  const { about, passes, largest, ...work } = facts;
  return { ...facts, group: 'kernels', make: () => ({ ...work, ...make() }) };
}

/** By what `--filter` knows it. */
export const keyOf = ({ name, dtype }: Pick<Case, 'name' | 'dtype'>) => `${name}_${dtype}`;

/** Errors that each precision is allowed. */
export const toleranceOf = (dtype: Precision) => (dtype === 'f16' ? 2e-3 : 1e-5);

const product = (shape: readonly number[]) => shape.reduce((size, extent) => size * extent, 1);

/** Numbers as a precision holds them. */
export function rounded(data: Float32Array, dtype: Precision): Float32Array {
  return dtype === 'f16' ? float16ToFloat32(float16FromNumbers(data)) : data;
}

/** Approximately normal numbers, the same ones every time. */
export function noise(seed: number, shape: readonly number[], dtype: Precision): Values {
  let state = Math.imul(seed, 2654435761) >>> 0;
  const uniform = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32 - 0.5;
  };
  // A sum of four uniforms of variance 1/12 each.
  const data = new Float32Array(product(shape)).map(
    () => Math.sqrt(3) * (uniform() + uniform() + uniform() + uniform()),
  );
  return { shape, dtype, data: rounded(data, dtype) };
}

/** Bytes of so many elements. */
export const bytes = (dtype: Precision, ...sizes: number[]) =>
  (dtype === 'f16' ? 2 : 4) * sizes.reduce((sum, size) => sum + size, 0);

const SAMPLES = 256;

/** Evenly spread over the whole, with both ends, and off the multiples of tile sizes. */
function sampleIndices({ size, samples }: Pick<Expected, 'size' | 'samples'>): readonly number[] {
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
