import {
  type Application,
  formatShape,
  observe,
  observeNumbers,
  sameData,
  scalarValue,
  type Tensor,
} from '@dawnchorus/tensor';
import { isAside } from './tape.ts';

/** Where a tensor that an operation takes comes from. */
export type Taken =
  /** The output of an operation before, by its number among all outputs. */
  | { readonly from: 'step'; readonly place: number }
  /** Made of numbers by `tensor`. */
  | { readonly from: 'numbers'; readonly numbers: ArrayLike<number> }
  /** A number among the operands. */
  | { readonly from: 'number'; readonly value: number }
  | { readonly from: 'outside'; readonly id: number }
  /** Made by what is no step of the function. */
  | { readonly from: 'aside' };

/** An operation of a function, to be met again when the function is run again. */
export interface Step {
  readonly name: string;
  readonly attributes: unknown;
  /** Dtypes and shapes of what it takes, in words. */
  readonly operandsText: string;
  readonly operands: readonly Taken[];
}

/** Tells of each operation as a step, with the tensors that it takes, until `stop` is called. */
export function followSteps(onStep: (step: Step, operands: readonly Tensor[]) => void) {
  const places = new Map<number, number>();
  const numbersOf = new Map<number, ArrayLike<number>>();
  const beside = new Set<number>();
  const takenAs = (x: Tensor): Taken => {
    const place = places.get(x.id);
    if (place !== undefined) return { from: 'step', place };
    if (beside.has(x.id)) return { from: 'aside' };
    const numbers = numbersOf.get(x.id);
    if (numbers) return { from: 'numbers', numbers };
    const value = scalarValue(x.storage);
    return value === undefined ? { from: 'outside', id: x.id } : { from: 'number', value };
  };
  const stops = [
    observeNumbers(({ id }, numbers) => numbersOf.set(id, numbers)),
    observe(({ name, attributes, inputs, outputs }: Application) => {
      if (isAside()) {
        for (const { id } of outputs) beside.add(id);
        return;
      }
      const operandsText = inputs.map(({ dtype, shape }) => dtype + formatShape(shape)).join(' and ');
      onStep({ name, attributes, operandsText, operands: inputs.map(takenAs) }, inputs);
      for (const { id } of outputs) places.set(id, places.size);
    }),
  ];
  return {
    takenAs,
    stop() {
      for (const stop of stops) stop();
    },
  };
}

const firstDifference = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  a === b ? -1 : Array.prototype.findIndex.call(a, (value: number, i: number) => !Object.is(value, b[i]));

/**
 * Whether both are the same tensor, or the same numbers. What is made aside may be made by a step at another time: custom
 * rules do where another tape listens.
 */
export function sameTaken(before: Taken, now: Taken): boolean {
  if (before.from === 'aside' || now.from === 'aside') return true;
  if (before.from === 'numbers' && now.from === 'numbers') {
    return before.numbers.length === now.numbers.length && firstDifference(before.numbers, now.numbers) < 0;
  }
  return sameData(before, now);
}

/** A step as errors write it. */
export function describe({ name, operandsText, attributes }: Step): string {
  // The device is the same for all, and long.
  const { device: _, ...rest } = attributes as Record<string, unknown>;
  const text = Object.keys(rest).length > 0 ? ` with ${JSON.stringify(rest)}` : '';
  return `${name}(${operandsText})${text.length > 200 ? `${text.slice(0, 200)}…` : text}`;
}

/** How step number `at` is another one than it was, in words; nothing where it is the same. */
export function differenceOf(before: Step, now: Step, at: number): string | undefined {
  const same =
    before.name === now.name && before.operandsText === now.operandsText && sameData(before.attributes, now.attributes);
  if (!same) return `step ${at} was ${describe(before)} and became ${describe(now)}`;
  const i = before.operands.findIndex((taken, k) => !sameTaken(taken, now.operands[k]));
  if (i < 0) return undefined;
  const [was, is] = [before.operands[i], now.operands[i]];
  const where = `${now.name} (step ${at})`;
  if (was.from === 'number' && is.from === 'number') {
    return `the number that ${where} takes was ${was.value} and became ${is.value}`;
  }
  if (was.from === 'numbers' && is.from === 'numbers') {
    const place = firstDifference(was.numbers, is.numbers);
    return `element ${place} of the tensor made of numbers that ${where} takes was ${was.numbers[place]} and became ${is.numbers[place]}`;
  }
  return `operand ${i + 1} of ${where}, which takes ${now.operandsText}, became another tensor`;
}
