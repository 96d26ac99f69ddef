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
