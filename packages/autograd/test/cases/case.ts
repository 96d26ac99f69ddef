import type { AttributesOf, DifferentiableOpName, Tensor } from '@dawnchorus/tensor';
import type fc from 'fast-check';
import type { Presentation } from '../../../tensor/test/arbitraries.ts';
import type { Draw } from '../../../tensor/test/cases/case.ts';
import { opCases } from '../../../tensor/test/cases/index.ts';
import type { NDArray } from '../../../tensor/test/reference/array.ts';

/** How the gradient of one operation is tested: inputs away from kinks, and the operation in f64 throughout. */
export interface RuleCase<A> {
  draws: fc.Arbitrary<Draw<A>>;
  /** Default: apply the operation. */
  run?: (inputs: Tensor[], attributes: A) => Tensor;
  reference: (inputs: NDArray[], attributes: A) => NDArray;
  presentations?: readonly Presentation[];
  tolerance?: number;
}

export type RuleCases<N extends DifferentiableOpName> = { [K in N]: RuleCase<AttributesOf<K>> };

/** Draws and reference of the operation's own test; for those that are linear, whose references round nothing. */
export function asTested<N extends DifferentiableOpName>(name: N): RuleCase<AttributesOf<N>> {
  const { draws, run, reference } = opCases[name];
  return {
    draws: draws as RuleCase<AttributesOf<N>>['draws'],
    run: run && ((inputs, attributes) => run(inputs, attributes as never)[0]),
    reference: (inputs, attributes) => {
      const [out] = reference(inputs, attributes as never);
      // An index outside the axis reads NaN, whatever x holds: a constant.
      return { ...out, data: out.data.map((value) => (Number.isNaN(value) ? 0 : value)) };
    },
  };
}
