import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Storage } from '../memory/storage.ts';
import { bodyOf, indexIn } from './codegen.ts';
import type { Unit } from './fuse.ts';
import { type AnyDispatch, type Join, type Joined, join } from './join.ts';
import { bytesOf, flopsOfAll, type Lowered, type Lowering, lowerAlone, namesOf } from './lowered.ts';
import type { Step, View } from './optimize.ts';

export interface AnchoredUnit extends Unit {
  readonly anchor: Step;
}

/** What an operation's kernel does for elementwise steps at one of its hooks. */
interface Junction {
  /** What the kernel has there, and the binding at which it must have it. */
  readonly view: View;
  readonly binding: 'input' | 'out';
  /** The steps that it takes over. */
  readonly steps: readonly Step[];
  readonly request: Join;
}

/** What the steps before the anchor make. */
const madeBefore = ({ before }: Unit): ReadonlySet<Storage> => new Set(before.map(({ outputs }) => outputs[0].storage));

/** What the anchor fetches is made by the steps before it; undefined where there are none. */
function prologueOf(unit: AnchoredUnit): Junction | undefined {
  const { anchor, before, once } = unit;
  if (before.length === 0) return undefined;
  const input = anchor.inputs[anchor.op.fetches as number];
  const made = madeBefore(unit);
  // What is made once is read again from where it was stored, though nobody else wanted it.
  const others = unit.stores.filter(({ storage }) => made.has(storage) && storage !== input.storage);
  const body = bodyOf(before, 'p');
  return {
    view: input,
    binding: 'input',
    steps: before,
    request: {
      hook: 'fetch',
      body,
      steps: before,
      stores: (once ? [input, ...others] : []).map((view) => ({ view, index: 'i' })),
      write: (lines, storing) =>
        `fn fetch(at: u32) -> Scalar {\n  let i = at;\n${[...lines, ...storing].join('\n')}\n  return Scalar(${body.values.get(input.storage)});\n}`,
      dying: new Set(),
      again: once ? input : undefined,
    },
  };
}

/**
 * What the anchor emits is used by the steps after it, which may read what those before it made; undefined where nothing is made of
 * it. `dying`: storages that no later unit reads.
 */
function epilogueOf(unit: AnchoredUnit, dying: ReadonlySet<Storage>): Junction | undefined {
  const { anchor, before, after, order, once } = unit;
  const out = anchor.outputs[0];
  const made = madeBefore(unit);
  const stores = unit.stores.filter(({ storage }) => !(once && made.has(storage)));
  const makesBefore =
    stores.some(({ storage }) => made.has(storage)) ||
    after.some(({ inputs }) => inputs.some(({ storage }) => made.has(storage)));
  if (after.length === 0 && !makesBefore) return undefined;
  const steps = makesBefore ? [...before, ...after] : after;
  // Read by the anchor itself, in any order: must not be overwritten.
  const held = new Set([anchor, ...before].flatMap(({ inputs }) => inputs.map(({ storage }) => storage)));
  // What the operations that follow see is what memory would have held.
  const type = wgslType[out.dtype];
  return {
    view: out,
    binding: 'out',
    steps: after,
    request: {
      hook: 'emit',
      body: bodyOf(steps, 'e', new Map([[out.storage, 'made']])),
      steps,
      stores: stores.map((view) => ({ view, index: view.storage === out.storage ? 'at' : 'i' })),
      write: (lines, storing) =>
        `fn emit(at: u32, value: f32) {\n  let i = ${order ? indexIn(order, 'at') : 'at'};\n  let made = ${type}(value);\n${[...lines, ...storing].join('\n')}\n}`,
      dying: new Set([...dying].filter((storage) => !held.has(storage))),
    },
  };
}

/** Whether a dispatch has what is to be joined at the binding that the hook serves, elsewhere, or nowhere. */
function placeIn({ buffers, kernel }: AnyDispatch, { view, binding }: Junction): 'hooked' | 'elsewhere' | 'nowhere' {
  const { id } = view.storage.buffer;
  if (!buffers.some((buffer) => buffer.id === id)) return 'nowhere';
  const at = Object.keys(kernel.bindings).indexOf(binding);
  return buffers[at]?.id === id ? 'hooked' : 'elsewhere';
}

/** A dispatch with what is joined to it, and which of the junctions those are; undefined where its kernel has no room for them. */
function joinAll(
  dispatch: AnyDispatch,
  junctions: readonly Junction[],
): (Joined & { readonly taken: readonly Junction[] }) | undefined {
  const taken = junctions.filter((junction) => placeIn(dispatch, junction) !== 'nowhere');
  if (taken.some((junction) => placeIn(dispatch, junction) === 'elsewhere')) return undefined;
  let joined: Joined = { dispatch, inPlace: new Map(), bound: new Map() };
  for (const { request } of taken) {
    const next = join(joined.dispatch, { ...request, bound: joined.bound });
    if (!next) return undefined;
    joined = { ...next, inPlace: new Map([...joined.inPlace, ...next.inPlace]) };
  }
  return { ...joined, taken };
}

/** An operation with elementwise ones in its kernel; undefined where the kernels that it chose have no room for them. */
export function joinedUnit(device: Device, unit: AnchoredUnit, dying: ReadonlySet<Storage>): Lowering | undefined {
  const { anchor } = unit;
  const [prologue, epilogue] = [prologueOf(unit), epilogueOf(unit, dying)];
  const junctions = [prologue, epilogue].filter((junction) => junction !== undefined);
  const inPlace = new Map<number, number>();
  const used = new Set<Junction>();
  const dispatches: Omit<Lowered, 'cost'>[] = [];
  for (const dispatch of lowerAlone(device, anchor)) {
    const joined = joinAll(dispatch, junctions);
    if (!joined || joined.dispatch.buffers.length > device.limits.maxStorageBuffersPerShaderStage) return undefined;
    for (const junction of joined.taken) used.add(junction);
    for (const [to, from] of joined.inPlace) inPlace.set(to, from);
    const stepsOf = (junction: Junction | undefined) =>
      junction && joined.taken.includes(junction) ? junction.steps : [];
    const operations = [...namesOf(stepsOf(prologue)), ...dispatch.operations, ...namesOf(stepsOf(epilogue))];
    dispatches.push({ ...joined.dispatch, operations });
  }
  const within = (junction: Junction | undefined) => (junction && used.has(junction) ? junction : undefined);
  const cost = { ...costOf(unit, within(prologue), within(epilogue)), dispatches: dispatches.length };
  return { dispatches: dispatches.map((dispatch) => ({ ...dispatch, cost })), inPlace };
}

/** What an anchor costs with what was joined to it. What passes between them is neither read nor written. */
function costOf(unit: AnchoredUnit, prologue: Junction | undefined, epilogue: Junction | undefined) {
  const { anchor } = unit;
  const made = madeBefore(unit);
  const steps = [...(prologue?.steps ?? []), anchor, ...(epilogue?.steps ?? [])];
  const reads = [anchor.inputs, prologue?.request.body.reads ?? [], epilogue?.request.body.reads ?? []].flat();
  const storesOf = (junction: Junction | undefined) => junction?.request.stores.map(({ view }) => view) ?? [];
  const outputs = epilogue ? [...storesOf(epilogue), ...anchor.outputs.slice(1)] : anchor.outputs;
  return {
    operation: namesOf(steps).join(' + '),
    flops: flopsOfAll(steps),
    bytes: bytesOf([...reads.filter(({ storage }) => !made.has(storage)), ...storesOf(prologue), ...outputs]),
  };
}
