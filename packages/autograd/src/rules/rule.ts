import {
  type DefinedOp,
  type DType,
  formatShape,
  isFloat,
  isTensor,
  type Op,
  type OpName,
  opTable,
  type Shape,
  sum,
  type Tensor,
  valueText,
} from '@dawnchorus/tensor';

/** What a gradient rule is given of the operation it differentiates. */
export interface RuleContext<A> {
  /** Readable only where the rule saves them; shapes and dtypes always are. */
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
  /** Which inputs a gradient is wanted for; the others may be undefined. */
  readonly needs: readonly boolean[];
  /** The gradient of every output, for operations with several; undefined for those that the loss does not depend on. */
  readonly gradients: readonly (Tensor | undefined)[];
}

/**
 * A vector-Jacobian product: from the gradient of an operation's first output to those of its inputs. Where the loss
 * depends on other outputs alone, `gradient` is zeros. A rule made of differentiable operations can be differentiated
 * itself.
 */
export interface Rule<A> {
  /** What must stay in memory until the backward pass; a list names single inputs. */
  readonly saves: 'nothing' | 'inputs' | 'outputs' | 'both' | readonly number[];
  /** The gradients of the inputs, in their shapes and dtypes; undefined where there is none or `needs` asks for none. */
  vjp(gradient: Tensor, context: RuleContext<A>): readonly (Tensor | undefined)[];
}

/** A gradient rule: what it keeps of the forward pass, and the vector-Jacobian product. */
export function rule<A>(saves: Rule<A>['saves'], vjp: Rule<A>['vjp']): Rule<A> {
  return { saves, vjp };
}

const ruleByOp = new WeakMap<object, Rule<unknown>>();
const tableOps = new Set<object>(Object.values(opTable));

export const isTableOp = (op: Op<unknown>): boolean => tableOps.has(op);

export const ruleOf = (op: Op<unknown>): Rule<unknown> | undefined => ruleByOp.get(op);

/** Gives the operations of the table their rules. */
export function registerRules(rules: Readonly<Record<string, unknown>>): void {
  for (const [name, own] of Object.entries(rules)) ruleByOp.set(opTable[name as OpName], own as Rule<unknown>);
}

/**
 * Makes an operation of your own differentiable: from now on gradients flow through `apply(op, …)` by this rule.
 *
 * @throws Error when the operation has a rule already, or is one of the table's; TypeError for what is no operation, or no rule.
 * Its gradients are checked when they are made: one for each input, of its shape.
 */
export function defineRule<A>(op: DefinedOp<A>, own: Rule<A>): void {
  if ((op as DefinedOp<A> | undefined)?.kind !== 'kernel') {
    throw new TypeError(`defineRule: ${valueText(op)} is no operation; expected what defineOp made`);
  }
  if (typeof own?.vjp !== 'function' || own.saves === undefined) {
    throw new TypeError(`defineRule: the rule of ${op.name} is ${valueText(own)}; expected rule(saves, vjp)`);
  }
  if (isTableOp(op as Op<unknown>)) throw new Error('defineRule: the operations of the table have their rules');
  if (ruleByOp.has(op)) throw new Error(`defineRule: ${op.name} has a rule already`);
  ruleByOp.set(op, own as Rule<unknown>);
}

/** Gradients flow through floats alone: f32 and f16. */
export const carriesGradient = ({ dtype }: { dtype: DType }): boolean => isFloat(dtype);

/** What a rule from outside gives: a gradient for each input. Those that lack would pass for zeros. */
export function checkGradients(who: string, parts: unknown, inputs: number): void {
  if (Array.isArray(parts) && parts.length === inputs) return;
  const what = Array.isArray(parts) ? `${parts.length} gradients` : 'no array';
  throw new Error(`${who} returned ${what} for ${inputs} inputs; expected one each, undefined where there is none`);
}

/** Gradients have the shape of what they are the gradients of. Their dtype may be wider, while rules compute. */
export function checkGradient(who: string, gradient: Tensor, of: { shape: Shape }): void {
  if (!isTensor(gradient)) {
    throw new TypeError(
      `grad: ${who} made ${valueText(gradient)} for an input of ${formatShape(of.shape)}; expected a tensor`,
    );
  }
  if (formatShape(gradient.shape) !== formatShape(of.shape) || !carriesGradient(gradient)) {
    throw new Error(
      `grad: ${who} made ${gradient.dtype}${formatShape(gradient.shape)} for an input of ${formatShape(of.shape)}; expected floats of that shape`,
    );
  }
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

/** A gradient, where one is wanted. */
export function onlyIf(needed: boolean, make: () => Tensor): Tensor | undefined {
  return needed ? make() : undefined;
}
