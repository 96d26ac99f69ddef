import { elementwise } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { bytesPerElement, wgslType } from '../dtype.ts';
import { gridFor, takesFours, turnsFor } from '../kernel/grid.ts';
import type { Cost } from '../kernel/profiler.ts';
import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { bodyOf, indexIn } from './codegen.ts';
import type { Unit } from './fuse.ts';
import { type AnyDispatch, type Joined, join, type Stored } from './join.ts';
import type { Step, View } from './optimize.ts';
import { onPaper } from './tracing.ts';

/** A dispatch of the compiled function, over real buffers and buffers that the plan still has to place. */
export interface Lowered extends AnyDispatch {
  /** Names of the operations in it. */
  readonly operations: readonly string[];
  /** What it is part of: shared by the dispatches of one operation with those joined to it. */
  readonly cost: Cost;
}

/** What a unit, or several in a row, became. */
export interface Lowering {
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

const flopsOfAll = (steps: readonly Step[]) => steps.reduce((sum, step) => sum + flopsOf(step), 0);
const namesOf = (steps: readonly Step[]) => steps.map(({ node }) => node.name);
const elements = (views: readonly View[], index = 'i') => views.map((view) => ({ view, index }));

/** The dispatches of one operation. */
function takeDown(device: Device, step: Step): AnyDispatch[] {
  const tensorOf = ({ storage, dtype, shape, strides, offset }: View) =>
    new Tensor(storage, dtype, shape, strides, offset, false);
  return onPaper(() =>
    device.recorder.capture(() => {
      const inputs = step.inputs.map(tensorOf);
      const outputs = step.outputs.map(tensorOf);
      const empty = outputs.length > 0 && outputs.every(({ size }) => size === 0);
      try {
        if (!empty) step.op.run(device, inputs, outputs, step.node.attributes);
      } finally {
        for (const tensor of [...inputs, ...outputs]) tensor.dispose();
      }
    }),
  );
}

function plain(device: Device, step: Step): Lowered[] {
  const dispatches = takeDown(device, step);
  const { name } = step.node;
  const cost = {
    operation: name,
    flops: flopsOf(step),
    bytes: bytesOf(step.inputs) + bytesOf(step.outputs),
    dispatches: dispatches.length,
  };
  return dispatches.map((dispatch) => ({ ...dispatch, operations: [name], cost }));
}

/** What `made` and `store` of the kernel for elementwise operations are. */
function elementText(lines: readonly string[], stored: readonly Stored[]): string {
  return [
    madeStruct(stored),
    `fn made(i: u32) -> Made {\n${lines.join('\n')}\n  return ${madeOf(stored)};\n}`,
    `fn store(i: u32, own: Made) {\n${stored.map(({ target }, k) => `  ${target} = own.made${k};`).join('\n')}\n}`,
  ].join('\n');
}

/** The same of the kernel that takes four at a time. */
function foursText(lines: readonly string[], stored: readonly Stored[], loading: readonly string[]): string {
  const four = (k: number) => ['a', 'b', 'c', 'd'].map((name) => `${name}.made${k}`).join(', ');
  const storing = stored.map(({ target, type }, k) => `  ${target} = vec4<${type}>(${four(k)});`);
  return [
    madeStruct(stored),
    `fn load(i: u32) {\n${loading.join('\n')}\n}`,
    `fn made(i: u32, e: u32) -> Made {\n${lines.join('\n')}\n  return ${madeOf(stored)};\n}`,
    `fn store(i: u32, a: Made, b: Made, c: Made, d: Made) {\n${storing.join('\n')}\n}`,
  ].join('\n');
}

const madeStruct = (stored: readonly Stored[]) =>
  `struct Made { ${stored.map(({ type }, k) => `made${k}: ${type}`).join(', ')} }`;
const madeOf = (stored: readonly Stored[]) => `Made(${stored.map(({ value }) => value).join(', ')})`;

function elementwiseUnit(
  device: Device,
  steps: readonly Step[],
  stores: readonly View[],
  dying: ReadonlySet<Storage>,
): Lowering {
  if (stores.length === 0 || sizeOf(stores[0].shape) === 0) return { dispatches: [], inPlace: new Map() };
  const size = sizeOf(stores[0].shape);
  const body = bodyOf(steps, 'v');
  const draws = body.words.length > 0;
  const turns = draws ? 1 : turnsFor(device, size);
  const fours = takesFours(device, size, []);
  const base: AnyDispatch = {
    kernel: fours ? elementwise.fusedFours : elementwise.fused,
    constants: fours ? {} : { ...elementwise.fused.constants, TURNS: `const TURNS = ${turns}u;` },
    buffers: [],
    parameters: { size },
    grid: gridFor(Math.ceil(size / (fours || draws ? 4 : turns))),
  };
  const { dispatch, inPlace } = join(base, {
    hook: 'body',
    body,
    steps,
    stores: elements(stores),
    write: (lines, _, stored, loading) => (fours ? foursText(lines, stored, loading) : elementText(lines, stored)),
    fours,
    dying,
  }) as Joined;
  const lowered = {
    ...dispatch,
    operations: namesOf(steps),
    cost: {
      operation: namesOf(steps).join(' + '),
      flops: flopsOfAll(steps),
      bytes: bytesOf(body.reads) + bytesOf(stores),
      dispatches: 1,
    },
  };
  return { dispatches: [lowered], inPlace };
}

/** An operation with elementwise ones in its kernel; undefined where the kernels that it chose have no room for them. */
function joinedUnit(device: Device, unit: Unit, anchor: Step, dying: ReadonlySet<Storage>): Lowering | undefined {
  const { before, after, order, once } = unit;
  const out = anchor.outputs[0];
  const input = before.length > 0 ? anchor.inputs[anchor.op.fetches as number] : undefined;
  const made = new Set(before.map(({ outputs }) => outputs[0].storage));
  const isWithin = ({ storage }: View) => once && made.has(storage);
  const stores = unit.stores.filter((view) => !isWithin(view));
  // What is made once is read again from where it was stored, though nobody else wanted it.
  const fetchStores = once
    ? [input as View, ...unit.stores.filter((view) => isWithin(view) && view.storage !== input?.storage)]
    : [];
  const needed =
    stores.some(({ storage }) => made.has(storage)) ||
    after.some(({ inputs }) => inputs.some(({ storage }) => made.has(storage)));
  const emits = after.length > 0 || needed;
  // Read by the anchor itself, in any order: must not be overwritten.
  const held = new Set([anchor, ...before].flatMap(({ inputs }) => inputs.map(({ storage }) => storage)));
  const free = new Set([...dying].filter((storage) => !held.has(storage)));
  // What the operations that follow see is what memory would have held.
  const type = wgslType[out.dtype];
  const steps = needed ? [...before, ...after] : after;
  const fetched = bodyOf(before, 'p');
  const emitted = bodyOf(steps, 'e', new Map([[out.storage, 'made']]));
  const external = (views: readonly View[]) => views.filter(({ storage }) => !made.has(storage));

  const inPlace = new Map<number, number>();
  const result: Omit<Lowered, 'cost'>[] = [];
  let [fetches, stored] = [false, false];
  for (const dispatch of plain(device, anchor)) {
    const touches = (view: View | undefined, name: string) => {
      if (!dispatch.buffers.some(({ id }) => id === view?.storage.buffer.id)) return undefined;
      const at = Object.keys(dispatch.kernel.bindings).indexOf(name);
      return dispatch.buffers[at]?.id === view?.storage.buffer.id ? 'hooked' : 'elsewhere';
    };
    const [reads, writes] = [touches(input, 'input'), emits ? touches(out, 'out') : undefined];
    if (reads === 'elsewhere' || writes === 'elsewhere') return undefined;
    let joined: Joined = { dispatch, inPlace, bound: new Map() };
    if (input && reads) {
      const next = join(joined.dispatch, {
        hook: 'fetch',
        body: fetched,
        steps: before,
        stores: elements(fetchStores),
        write: (lines, storing) =>
          `fn fetch(at: u32) -> Scalar {\n  let i = at;\n${[...lines, ...storing].join('\n')}\n  return Scalar(${fetched.values.get(input.storage)});\n}`,
        dying: new Set(),
        again: once ? input : undefined,
      });
      if (!next) return undefined;
      joined = next;
    }
    if (writes) {
      const next = join(joined.dispatch, {
        hook: 'emit',
        body: emitted,
        steps,
        stores: stores.map((view) => ({ view, index: view.storage === out.storage ? 'at' : 'i' })),
        write: (lines, storing) =>
          `fn emit(at: u32, value: f32) {\n  let i = ${order ? indexIn(order, 'at') : 'at'};\n  let made = ${type}(value);\n${[...lines, ...storing].join('\n')}\n}`,
        dying: free,
        bound: joined.bound,
      });
      if (!next) return undefined;
      for (const [to, from] of next.inPlace) inPlace.set(to, from);
      joined = next;
    }
    if (joined.dispatch.buffers.length > device.limits.maxStorageBuffersPerShaderStage) return undefined;
    const [first, last] = [reads ? before : [], writes ? after : []];
    if (reads) fetches = true;
    if (writes) stored = true;
    const operations = [...namesOf(first), ...dispatch.operations, ...namesOf(last)];
    result.push({ ...joined.dispatch, operations });
  }
  const all = [...(fetches ? before : []), anchor, ...(stored ? after : [])];
  const cost = {
    operation: namesOf(all).join(' + '),
    flops: flopsOfAll(all),
    bytes: bytesOf([
      ...external([...anchor.inputs, ...(fetches ? fetched.reads : []), ...(stored ? emitted.reads : [])]),
      ...(fetches ? fetchStores : []),
      ...(stored ? [...stores, ...anchor.outputs.slice(1)] : anchor.outputs),
    ]),
    dispatches: result.length,
  };
  return { dispatches: result.map((dispatch) => ({ ...dispatch, cost })), inPlace };
}

/** The dispatches of a unit, in order. `dying`: storages that no later unit reads. */
export function lower(device: Device, unit: Unit, dying: ReadonlySet<Storage>): Lowering {
  const { anchor, before, after, stores } = unit;
  if (!anchor) return elementwiseUnit(device, after, stores, dying);
  if (before.length + after.length === 0) return { dispatches: plain(device, anchor), inPlace: new Map() };
  const joined = joinedUnit(device, unit, anchor, dying);
  if (joined) return joined;
  // One after the other. Nothing is overwritten: what dies with the unit may be read by its later kernels.
  const read = new Set([anchor, ...after].flatMap(({ inputs }) => inputs.map(({ storage }) => storage)));
  const stored = new Set(stores.map(({ storage }) => storage));
  const outputs = (steps: readonly Step[]) => steps.map((step) => step.outputs[0]);
  const kept = outputs(before).filter(({ storage }) => read.has(storage) || stored.has(storage));
  return {
    dispatches: [
      ...elementwiseUnit(device, before, kept, new Set()).dispatches,
      ...plain(device, anchor),
      ...elementwiseUnit(
        device,
        after,
        outputs(after).filter(({ storage }) => stored.has(storage)),
        new Set(),
      ).dispatches,
    ],
    inPlace: new Map(),
  };
}
