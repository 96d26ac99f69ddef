import { elementwise, type ParameterType } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { bytesPerElement, wgslType } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import type { Dispatch } from '../kernel/recorder.ts';
import type { PooledBuffer } from '../memory/pool.ts';
import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { type Body, bodyOf, extendKernel, readsInStep } from './codegen.ts';
import { type Unit, viewName } from './fuse.ts';
import type { Step, View } from './optimize.ts';
import { onPaper } from './tracing.ts';

type AnyDispatch = Dispatch<Record<string, ParameterType>>;

/** A dispatch of the compiled function, over real buffers and buffers that the plan still has to place. */
export interface Lowered extends AnyDispatch {
  /** Names of the operations in it. */
  readonly operations: readonly string[];
  readonly flops: number;
  readonly bytes: number;
}

export interface LoweredUnit {
  readonly dispatches: readonly Lowered[];
  /** Outputs that take over the memory of an input: virtual buffer ids. */
  readonly inPlace: ReadonlyMap<number, number>;
}

const bytesOf = (views: readonly View[]) =>
  views.reduce(
    (sum, { storage, shape, dtype }) => sum + Math.min(storage.buffer.size, bytesPerElement(dtype) * sizeOf(shape)),
    0,
  );

function flopsOf(step: Step): number {
  const size = step.outputs.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  if (!step.op.flops) return size;
  return step.op.flops(
    step.inputs.map(({ shape, dtype }) => ({ shape, dtype, rank: shape.length, size: sizeOf(shape) }) as Tensor),
    step.outputs.map(({ shape, dtype }) => ({ shape, dtype, rank: shape.length, size: sizeOf(shape) }) as Tensor),
    step.node.attributes,
  );
}

/** The dispatches of one operation. */
function takeDown(device: Device, step: Step): AnyDispatch[] {
  const tensorOf = ({ storage, dtype, shape, strides, offset }: View) =>
    new Tensor(storage, dtype, shape, strides, offset, false);
  return onPaper(() =>
    device.recorder.capture(() => {
      const inputs = step.inputs.map(tensorOf);
      const outputs = step.outputs.map(tensorOf);
      const empty = outputs.length > 0 && outputs.every(({ size }) => size === 0);
      if (!empty) step.op.run(device, inputs, outputs, step.node.attributes);
      for (const tensor of [...inputs, ...outputs]) tensor.dispose();
    }),
  );
}

function plain(device: Device, step: Step): Lowered[] {
  return takeDown(device, step).map((dispatch, i) => ({
    ...dispatch,
    operations: [step.node.name],
    // An operation of several dispatches counts once.
    flops: i === 0 ? flopsOf(step) : 0,
    bytes: i === 0 ? bytesOf(step.inputs) + bytesOf(step.outputs) : 0,
  }));
}

interface Joined {
  readonly dispatch: Lowered;
  readonly inPlace: Map<number, number>;
}

/**
 * Puts joined elementwise operations into a kernel by one of its hooks.
 *
 * @param base the dispatch whose kernel has the hook; its buffer at the hook's binding is replaced.
 * @param write the text of the hook's function, given the statements of the body and those that store.
 * @param dying storages that nobody reads after this.
 */
function join(
  base: AnyDispatch,
  hook: string,
  body: Body,
  steps: readonly Step[],
  stores: readonly View[],
  write: (lines: string[], storing: string[]) => string,
  dying: ReadonlySet<Storage>,
): Joined | undefined {
  const names = Object.keys(base.kernel.bindings);
  const hookAt = names.indexOf(base.kernel.hooks?.[hook]?.binding ?? '');
  const writing = hookAt >= 0 && base.kernel.bindings[names[hookAt]] === 'readWrite';
  const buffers: PooledBuffer[] = [...base.buffers];
  const bindings: { name: string; type: string; access: 'read' | 'readWrite' }[] = [];
  const extra: PooledBuffer[] = [];
  const type = (view: View) => wgslType[view.dtype];

  // The hook's own binding serves one of the outputs, or one of the inputs, and takes its element type.
  const elements: Record<string, string> = {};
  const retype = (view: View) => {
    const element = base.kernel.hooks?.[hook]?.element;
    if (element) elements[element] = `alias ${element} = ${type(view)};`;
  };
  const storeNames: string[] = [];
  let own = -1;
  if (writing) {
    const was = base.buffers[hookAt].id;
    own = stores.findIndex(({ storage }) => storage.buffer.id === was);
    if (own < 0) own = 0;
    if (stores.length === 0) return undefined;
    buffers[hookAt] = stores[own].storage.buffer;
    retype(stores[own]);
  }
  // An input that dies here and is walked in step lends its memory to an output of its size.
  const inPlace = new Map<number, number>();
  const lent = new Map<string, number>();
  const taken = new Set<number>();
  const bound = new Set(base.buffers.map(({ id }) => id));
  for (const view of body.reads) {
    const { storage } = view;
    if (!dying.has(storage) || bound.has(storage.buffer.id) || !readsInStep(steps, storage)) continue;
    if (body.reads.some((other) => other !== view && other.storage === storage)) continue;
    const at = stores.findIndex(
      (store, k) => !taken.has(k) && store.dtype === view.dtype && store.storage.buffer.size === storage.buffer.size,
    );
    if (at < 0) continue;
    taken.add(at);
    lent.set(viewName(view), at);
    inPlace.set(stores[at].storage.buffer.id, storage.buffer.id);
  }
  stores.forEach((view, k) => {
    if (k === own) {
      storeNames.push(names[hookAt]);
      return;
    }
    storeNames.push(`stored${k}`);
    bindings.push({ name: `stored${k}`, type: type(view), access: 'readWrite' });
    extra.push(view.storage.buffer);
  });
  const readNames: string[] = [];
  let ownRead = -1;
  if (hookAt >= 0 && !writing) {
    if (body.reads.length === 0) return undefined;
    ownRead = 0;
    buffers[hookAt] = body.reads[ownRead].storage.buffer;
    retype(body.reads[ownRead]);
  }
  const offsets: number[] = [];
  const offsetTexts: string[] = [];
  body.reads.forEach((view, k) => {
    const place = lent.get(viewName(view));
    if (place !== undefined) readNames.push(storeNames[place]);
    else if (k === ownRead) readNames.push(names[hookAt]);
    else {
      readNames.push(`read${k}`);
      bindings.push({ name: `read${k}`, type: type(view), access: 'read' });
      extra.push(view.storage.buffer);
    }
    if (view.offset === 0) {
      offsetTexts.push('');
      return;
    }
    const at = offsets.length;
    offsets.push(view.offset);
    offsetTexts.push(`params.fusedOffsets${at >> 3}[${(at & 7) >> 2}][${at & 3}] + `);
  });
  const groups = Math.ceil(offsets.length / 8);
  const parameters: Record<string, number | readonly number[]> = { ...base.parameters };
  for (let g = 0; g < groups; g++) parameters[`fusedOffsets${g}`] = offsets.slice(8 * g, 8 * g + 8);
  const lines = body.lines(
    (read) => readNames[read],
    (read) => offsetTexts[read],
  );
  const storing = stores.map((view, k) => `  ${storeNames[k]}[i] = ${body.values.get(view.storage)};`);
  const dispatch = {
    ...base,
    kernel: extendKernel(base.kernel, bindings, groups),
    constants: {
      ...base.constants,
      ...elements,
      // Part of the pipeline's key: kernels of one name differ in what they bind.
      [hook]: `${bindings.map((b) => `// ${b.name}: ${b.type}`).join('\n')}\n${body.functions}\n${write(lines, storing)}`,
    },
    library: `${base.library ?? ''}\n${elementwise.elementwiseFunctions}`,
    buffers: [...buffers, ...extra],
    parameters: parameters as AnyDispatch['parameters'],
    operations: steps.map(({ node }) => node.name),
    flops: steps.reduce((sum, step) => sum + flopsOf(step), 0),
    bytes: bytesOf(body.reads) + bytesOf(stores),
  };
  return { dispatch, inPlace };
}

function elementwiseUnit(steps: readonly Step[], stores: readonly View[], dying: ReadonlySet<Storage>): LoweredUnit {
  const size = sizeOf(stores[0].shape);
  if (size === 0) return { dispatches: [], inPlace: new Map() };
  const base: AnyDispatch = {
    kernel: elementwise.fused,
    constants: {},
    buffers: [],
    parameters: { size },
    grid: gridFor(size),
  };
  const joined = join(
    base,
    'body',
    bodyOf(steps),
    steps,
    stores,
    (lines, storing) => `fn body(i: u32) {\n${[...lines, ...storing].join('\n')}\n}`,
    dying,
  ) as Joined;
  return { dispatches: [joined.dispatch], inPlace: joined.inPlace };
}

function epilogueUnit(device: Device, unit: Unit, anchor: Step, dying: ReadonlySet<Storage>): LoweredUnit | undefined {
  const dispatches = plain(device, anchor);
  const out = anchor.outputs[0].storage;
  const inPlace = new Map<number, number>();
  // Read by the anchor itself, in any order: must not be overwritten.
  const free = new Set([...dying].filter((storage) => !anchor.inputs.some((view) => view.storage === storage)));
  // What the operations that follow see is what memory would have held.
  const type = wgslType[anchor.outputs[0].dtype];
  const body = bodyOf(unit.elementwise, new Map([[out, 'made']]));
  const result: Lowered[] = [];
  for (const dispatch of dispatches) {
    const at = Object.keys(dispatch.kernel.bindings).indexOf('out');
    const touches = dispatch.buffers.some(({ id }) => id === out.buffer.id);
    if (!touches) {
      result.push(dispatch);
      continue;
    }
    if (!dispatch.kernel.hooks?.emit || dispatch.buffers[at]?.id !== out.buffer.id) return undefined;
    const joined = join(
      dispatch,
      'emit',
      body,
      unit.elementwise,
      unit.stores,
      (lines, storing) =>
        `fn emit(at: u32, value: f32) {\n  let i = at;\n  let made = ${type}(value);\n${[...lines, ...storing].join('\n')}\n}`,
      free,
    );
    if (!joined) return undefined;
    for (const [to, from] of joined.inPlace) inPlace.set(to, from);
    result.push({
      ...joined.dispatch,
      operations: [anchor.node.name, ...joined.dispatch.operations],
      flops: dispatch.flops + joined.dispatch.flops,
      bytes: joined.dispatch.bytes + bytesOf(anchor.inputs),
    });
  }
  return { dispatches: result, inPlace };
}

function prologueUnit(device: Device, unit: Unit, anchor: Step): LoweredUnit | undefined {
  const [view] = anchor.inputs;
  const dispatches = plain(device, anchor);
  const body = bodyOf(unit.elementwise);
  const value = body.values.get(view.storage);
  const result: Lowered[] = [];
  for (const dispatch of dispatches) {
    if (!dispatch.buffers.some(({ id }) => id === view.storage.buffer.id)) {
      result.push(dispatch);
      continue;
    }
    const at = Object.keys(dispatch.kernel.bindings).indexOf('input');
    if (!dispatch.kernel.hooks?.fetch || dispatch.buffers[at]?.id !== view.storage.buffer.id) return undefined;
    const joined = join(
      dispatch,
      'fetch',
      body,
      unit.elementwise,
      [],
      (lines) => `fn fetch(at: u32) -> Scalar {\n  let i = at;\n${lines.join('\n')}\n  return Scalar(${value});\n}`,
      new Set(),
    );
    if (!joined) return undefined;
    result.push({
      ...joined.dispatch,
      operations: [...joined.dispatch.operations, anchor.node.name],
      flops: dispatch.flops + joined.dispatch.flops,
      bytes: joined.dispatch.bytes + bytesOf(anchor.outputs),
    });
  }
  return { dispatches: result, inPlace: new Map() };
}

/** The dispatches of a unit, in order. `dying`: storages that no later unit reads. */
export function lower(device: Device, unit: Unit, dying: ReadonlySet<Storage>): LoweredUnit {
  const { anchor, role, elementwise: steps, stores } = unit;
  if (!anchor) return elementwiseUnit(steps, stores, dying);
  if (role === 'epilogue') {
    const fused = epilogueUnit(device, unit, anchor, dying);
    if (fused) return fused;
    const own = anchor.outputs[0].storage;
    const rest = elementwiseUnit(
      steps,
      stores.filter(({ storage }) => storage !== own),
      dying,
    );
    return { dispatches: [...plain(device, anchor), ...rest.dispatches], inPlace: rest.inPlace };
  }
  if (role === 'prologue') {
    const fused = prologueUnit(device, unit, anchor);
    if (fused) return fused;
    const made = steps.map(({ outputs }) => outputs[0]).filter(({ storage }) => storage === anchor.inputs[0].storage);
    const first = elementwiseUnit(steps, made, new Set());
    return { dispatches: [...first.dispatches, ...plain(device, anchor)], inPlace: first.inPlace };
  }
  return { dispatches: plain(device, anchor), inPlace: new Map() };
}
