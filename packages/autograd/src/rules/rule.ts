import { type Shape, sum, type Tensor } from '@dawnchorus/tensor';

export interface RuleContext<A> {
  /** Readable only where the rule saves them; shapes and dtypes always are. */
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
  /** Which inputs a gradient is wanted for; the others may be undefined. */
  readonly needs: readonly boolean[];
}

/** A vector-Jacobian product: from the gradient of an operation's first output to those of its inputs. */
export interface Rule<A> {
  /** What must stay in memory until the backward pass. */
  readonly saves: 'nothing' | 'inputs' | 'outputs' | 'both';
  vjp(gradient: Tensor, context: RuleContext<A>): readonly (Tensor | undefined)[];
}

export function rule<A>(saves: Rule<A>['saves'], vjp: Rule<A>['vjp']): Rule<A> {
  return { saves, vjp };
}

/** Undoes broadcasting: sums a gradient over the axes that were stretched. */
export function unbroadcast(gradient: Tensor, shape: Shape): Tensor {
  const lead = gradient.rank - shape.length;
  const axes = gradient.shape
    .map((_, d) => d)
    .filter((d) => d < lead || (shape[d - lead] === 1 && gradient.shape[d] !== 1));
  if (axes.length === 0) return gradient;
  return sum(gradient, { dim: axes }).reshape(shape);
}

/** A gradient in the dtype of its input: only f32 carries one. */
export function onlyIf(needed: boolean, make: () => Tensor): Tensor | undefined {
  return needed ? make() : undefined;
}
