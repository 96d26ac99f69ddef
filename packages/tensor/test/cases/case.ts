import type fc from 'fast-check';
import { type AttributesOf, apply, type OpName, type Tensor } from '../../src/index.ts';
import type { Random } from '../arbitraries.ts';
import type { Tolerance } from '../compare.ts';
import { type Expected, type NDArray, toHalf } from '../reference/array.ts';

export interface Draw<A> {
  inputs: NDArray[];
  attributes: A;
}

export interface HalfOptions {
  /** Inputs that stay f32. */
  keep?: readonly number[];
  /** Inputs that must have one dtype, by their numbers; by default each may be f16 or f32 by itself. 'all' for all. */
  together?: readonly (readonly number[])[] | 'all';
  /** In place of the case's own, where halves are rounded on the way. */
  tolerance?: Tolerance;
}

/** How one operation is tested: what goes in, what should come out, and how closely. */
export interface OpCase<A> {
  /** Drawn many times and run in every presentation. */
  draws: fc.Arbitrary<Draw<A>>;
  /** Further draws that run dense only: other dtypes, each of which costs a pipeline. */
  dense?: fc.Arbitrary<Draw<A>>;
  /** Default: apply the operation. */
  run?: (inputs: Tensor[], attributes: A) => Tensor[];
  reference: (inputs: NDArray[], attributes: A) => Expected[];
  tolerance?: Tolerance;
  /** False where the operation takes dense inputs only. */
  presented?: boolean;
  /** How the draws with f32 inputs run in f16 too; false where the operation has no f16. */
  half?: false | HalfOptions;
}

export type OpCases<N extends OpName> = { [K in N]: OpCase<AttributesOf<K>> };

export function runCase<N extends OpName>(
  name: N,
  test: OpCase<AttributesOf<N>>,
  inputs: Tensor[],
  a: AttributesOf<N>,
) {
  return test.run ? test.run(inputs, a) : apply(name, inputs, a);
}

/**
 * The draw with its f32 inputs rounded to f16; some stay f32 in every third run, where the operation takes both. The
 * reference gets the same inputs.
 */
export function inHalf<A>(draw: Draw<A>, half: HalfOptions | undefined, run: number, random: Random): Draw<A> {
  const { keep = [], together = [] } = half ?? {};
  const mixed = together !== 'all' && run % 3 === 2;
  const chosen = draw.inputs.map(() => !mixed || random() < 0.5);
  const leader = (i: number) => (together === 'all' ? i : (together.find((group) => group.includes(i))?.[0] ?? i));
  const rounded = (x: NDArray, i: number): NDArray => {
    if (x.dtype !== 'f32' || keep.includes(i) || !chosen[leader(i)]) return x;
    return { ...x, dtype: 'f16', data: x.data.map(toHalf) };
  };
  return { ...draw, inputs: draw.inputs.map(rounded) };
}
