import type { Application } from '../apply.ts';
import type { Tensor } from '../tensor.ts';

/** Takes down what passes the door while a function is traced. */
export interface Tracer {
  record(application: Application): void;
  /** Takes down a tensor that was made of numbers. */
  constant(tensor: Tensor, numbers: ArrayLike<number>): void;
  /** Takes down that the function takes gradients with respect to these. */
  differentiated(tensors: readonly Tensor[]): void;
}

/** Is told of every tensor that is made of numbers, with numbers that stay what they are. */
export type NumbersListener = (tensor: Tensor, numbers: ArrayLike<number>) => void;

const numbersListeners: NumbersListener[] = [];

/** Listens to tensors being made of numbers, which no operation makes, until the returned function is called. */
export function observeNumbers(listener: NumbersListener): () => void {
  numbersListeners.push(listener);
  return () => {
    numbersListeners.splice(numbersListeners.lastIndexOf(listener), 1);
  };
}

/** Says that a tensor holds these numbers. `changeable`: the array is a caller's, who may change it later. */
export function noteNumbers(
  tensor: Tensor,
  numbers: ArrayLike<number> & { slice(): ArrayLike<number> },
  changeable = false,
): void {
  if (!current && numbersListeners.length === 0) return;
  const own = changeable ? numbers.slice() : numbers;
  current?.constant(tensor, own);
  for (const listener of numbersListeners) listener(tensor, own);
}

let current: Tracer | undefined;
/** Set while buffers are virtual: in a trace, and when a graph's kernels are taken down. */
let virtual = false;

export function currentTrace(): Tracer | undefined {
  return current;
}

/** Tells a trace that is under way, if there is one, what gradients are taken with respect to. */
export function noteDifferentiated(tensors: readonly Tensor[]): void {
  current?.differentiated(tensors);
}

let repetitions = 0;
let repetition = 0;

/** Which deliberate repetition is under way; 0 for none. */
export const currentRepetition = (): number => repetition;

/**
 * Runs `body`, whose operations repeat earlier ones so that their results need not be kept: a compiled function computes them
 * again, too, and does not take the earlier results.
 */
export function repeating<T>(body: () => T): T {
  const outer = repetition;
  repetition = ++repetitions;
  try {
    return body();
  } finally {
    repetition = outer;
  }
}

/** Whether new storage is virtual. */
export function isTracing(): boolean {
  return virtual;
}

function during<T>(tracer: Tracer | undefined, onPaper: boolean, body: () => T): T {
  const [outerTracer, outerVirtual] = [current, virtual];
  current = tracer;
  virtual = onPaper;
  try {
    return body();
  } finally {
    current = outerTracer;
    virtual = outerVirtual;
  }
}

/** Runs `body` with every operation taken down by `tracer` and none of them executed. */
export const traceWith = <T>(tracer: Tracer, body: () => T): T => during(tracer, true, body);

/** Runs `body` with virtual storage: for taking down the kernels of an operation without running them. */
export const onPaper = <T>(body: () => T): T => during(undefined, true, body);

/** Runs `body` for real, also inside a trace: for constants that are made from numbers and stay what they are. */
export const outsideTrace = <T>(body: () => T): T => during(undefined, false, body);
