import type { Device } from './device/device.ts';
import { currentTrace } from './graph/tracing.ts';
import type { DefinedOp, Op } from './ops/op.ts';
import { type AttributesOf, type OpName, opTable } from './ops/table.ts';
import { formatShape, valueText } from './shape.ts';
import { Tensor } from './tensor.ts';

/** One operation that went through the door. */
export interface Application {
  /** One of the table's names, or the name of an operation made by `defineOp`. */
  readonly name: string;
  readonly op: Op<unknown>;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  readonly attributes: unknown;
}

/** Is told of every operation, after its outputs are made. */
export type Observer = (application: Application) => void;

const observers: Observer[] = [];

/** Listens to every operation until the returned function is called. */
export function observe(observer: Observer): () => void {
  observers.push(observer);
  return () => {
    const at = observers.lastIndexOf(observer);
    if (at >= 0) observers.splice(at, 1);
  };
}

/** Whether an observer hears what happens now: it is there, and no `unobserved` keeps it out. */
export function isObserving(observer: Observer): boolean {
  return observers.includes(observer);
}

/** Whether anybody hears what happens now. */
export function isObserved(): boolean {
  return observers.length > 0;
}

/** Runs `body` with nobody listening: for what must not be traced or differentiated. */
export function unobserved<T>(body: () => T): T {
  const listening = observers.splice(0);
  try {
    return body();
  } finally {
    observers.push(...listening);
  }
}

/** The error of operands that no kernel can read together. */
export function otherDevice(name: string): Error {
  return new Error(
    `${name}: operands live on different devices; copy one over with tensor(await x.data(), { device })`,
  );
}

function deviceOf(name: string, inputs: readonly Tensor[], attributes: unknown): Device {
  for (const [i, input] of inputs.entries()) {
    if (!(input instanceof Tensor)) throw new TypeError(`${name}: input ${i} is ${typeof input}; expected a tensor`);
    if (input.disposed) throw input.disposedError(name, i);
  }
  const device = inputs[0]?.device ?? (attributes as { device?: Device }).device;
  if (!device) throw new Error(`${name}: no device; pass { device } or open one`);
  for (const input of inputs) {
    if (input.device !== device) {
      throw otherDevice(name);
    }
  }
  device.assertUsable(name);
  return device;
}

/**
 * The one door: checks the inputs, infers what comes out (errors are thrown here, before any GPU work), records the
 * kernels, and tells whoever listens.
 */
export function apply<N extends OpName>(op: N, inputs: readonly Tensor[], attributes: AttributesOf<N>): Tensor[];
export function apply<A>(op: DefinedOp<A>, inputs: readonly Tensor[], attributes: A): Tensor[];
export function apply(named: OpName | DefinedOp<never>, inputs: readonly Tensor[], attributes: unknown): Tensor[] {
  return applyFor(typeof named === 'string' ? named : named?.name, named, inputs, attributes);
}

/** As `apply`, for a function that goes by another name than the operation: `caller` is what errors and memory name. */
export function applyFor(
  caller: string,
  named: OpName | DefinedOp<never>,
  inputs: readonly Tensor[],
  attributes: unknown,
): Tensor[] {
  const name = typeof named === 'string' ? named : named?.name;
  const op = (typeof named === 'string' ? opTable[named] : named) as unknown as Op<unknown>;
  if (!op?.kind) {
    throw new TypeError(
      `apply: there is no operation ${valueText(named)}; give a name of opTable, or what defineOp made`,
    );
  }
  const trace = currentTrace();
  const device = deviceOf(caller, inputs, attributes);
  let outputs: Tensor[];
  if (op.kind === 'view') {
    const [input] = inputs;
    const { shape, strides, offset } = op.view(input, attributes);
    outputs = [new Tensor(input.storage, input.dtype, shape, strides, offset)];
  } else {
    const specs = op.infer(inputs, attributes);
    outputs = [];
    try {
      for (const { dtype, shape } of specs) {
        outputs.push(Tensor.allocate(device, dtype, shape, `${caller} ${formatShape(shape)}`));
      }
      // A trace only takes down what was asked for; its kernels run when the compiled function is replayed.
      if (!trace && (specs.length === 0 || outputs.some((output) => output.size > 0))) {
        const work = { name, op, inputs, outputs, attributes };
        device.recorder.attribute(work);
        if (device.debug) {
          const what = (kernels: string) =>
            `${caller}(${inputs.join(', ')}) -> ${outputs.join(', ')}, kernel ${kernels}`;
          device.checked(what, () => op.run(device, inputs, outputs, attributes));
        } else {
          op.run(device, inputs, outputs, attributes);
        }
        device.recorder.attribute(undefined);
      }
    } catch (error) {
      device.recorder.attribute(undefined);
      for (const output of outputs) output.dispose();
      throw error;
    }
  }
  const application: Application = { name, op, inputs, outputs, attributes };
  trace?.record(application);
  if (observers.length > 0) {
    for (const observer of [...observers]) observer(application);
  }
  return outputs;
}
