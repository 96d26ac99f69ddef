import type { Device } from '../device/device.ts';
import type { KernelOp } from '../ops/op.ts';
import { sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** One way to compute an operation. All ways of one operation give the same result, to its tolerance. */
export interface Variant<A> {
  /** Names it in caches, tables and pins. */
  readonly name: string;
  /** Whether this adapter can run it on these operands; where it cannot it is never tried. Default: everywhere. */
  legal?(device: Device, inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A): boolean;
  /** Taken where it is pinned alone: another precision than the others', so that tuning passes it over. */
  readonly onlyPinned?: boolean;
  /** Records its dispatches. */
  run(device: Device, inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A): void;
}

/** An operation as it was asked for: what the choice of a variant may depend on. */
export interface Problem<A = unknown> {
  readonly family: Family<A>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: A;
}

/** The ways to compute one operation. */
export interface Family<A> {
  /** The operation's name. */
  readonly name: string;
  readonly variants: readonly Variant<A>[];
  /** Names of attributes on which speed depends; all of them by default. */
  readonly relevant?: readonly (keyof A)[];
  /** The one to take where nothing was measured; it must be legal. */
  readonly prefer: (device: Device, inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A) => string;
}

/** Which variants a device takes: pinned by its owner, else measured, else what the family prefers. */
export interface Choices {
  /** Variants by operation, for every shape in which they are legal. */
  readonly pinned: Readonly<Record<string, string>>;
  /** Variants by class of problem. */
  readonly measured: Map<string, string>;
  /** Told of every problem, while it is set. */
  listener?: (problem: Problem) => void;
}

const roundedUp = (extent: number) => (extent <= 1 ? extent : 2 ** Math.ceil(Math.log2(extent)));

/** A tensor as far as speed depends on it: dtype, extents up to the next power of two, and the axis of neighbours. */
function classOfTensor({ dtype, shape, strides }: Tensor): string {
  const contiguous = strides.findIndex((stride, axis) => stride === 1 && shape[axis] > 1);
  return `${dtype}[${shape.map(roundedUp)}]${contiguous < 0 ? '' : `/${contiguous - shape.length}`}`;
}

/** Problems of one class share their winner. */
export function classOf({ family, inputs, attributes }: Problem): string {
  const values = attributes as Record<string, unknown>;
  const relevant = (family.relevant as readonly string[] | undefined) ?? Object.keys(values);
  const words = relevant.map((name) => `${name}=${values[name]}`);
  return [family.name, ...inputs.map(classOfTensor), ...words].join(' ');
}

/** The variants to choose from, in the family's order. */
export function legalVariants<A>(device: Device, { family, inputs, outputs, attributes }: Problem<A>): Variant<A>[] {
  return family.variants.filter(
    ({ legal, onlyPinned }) => !onlyPinned && (legal?.(device, inputs, outputs, attributes) ?? true),
  );
}

/** The variant to run: `openDevice` has checked that those that are pinned are there. */
export function chooseVariant<A>(device: Device, problem: Problem<A>): Variant<A> {
  const { family, inputs, outputs, attributes } = problem;
  const { pinned, measured, listener } = device.choices;
  listener?.(problem as Problem);
  const named = (name: string | undefined) => family.variants.find((variant) => variant.name === name);
  const isLegal = (variant: Variant<A> | undefined) =>
    variant !== undefined && (variant.legal?.(device, inputs, outputs, attributes) ?? true);
  const pin = named(pinned[family.name]);
  if (isLegal(pin)) return pin as Variant<A>;
  if (measured.size > 0) {
    const winner = named(measured.get(classOf(problem as Problem)));
    if (isLegal(winner)) return winner as Variant<A>;
  }
  return named(family.prefer(device, inputs, outputs, attributes)) as Variant<A>;
}

/** What an operation with several ways to compute it gives as its `run`. */
export function runVariants<A>(family: Family<A>): Pick<KernelOp<A>, 'run' | 'family'> {
  return {
    family,
    run(device, inputs, outputs, attributes) {
      if (outputs.every(({ shape }) => sizeOf(shape) === 0)) return;
      chooseVariant(device, { family, inputs, outputs, attributes }).run(device, inputs, outputs, attributes);
    },
  };
}
