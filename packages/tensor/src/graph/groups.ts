import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import type { Order } from './codegen.ts';
import { isWhole, mutated, type Program, type Step, type View, viewName } from './optimize.ts';

/** Steps that become one kernel. */
export interface Group {
  /** Positions of its steps in the program. */
  members: number[];
  anchor?: number;
  /** Those of the members that the anchor fetches. */
  before: readonly number[];
  order?: Order;
  once: boolean;
}

/** The steps of a program in groups. */
export interface Groups {
  readonly steps: readonly Step[];
  /** The group of each step. */
  readonly of: Group[];
  /** For each step those that have to run after it: they read what it makes, or change what it reads. */
  readonly dependents: readonly ReadonlySet<number>[];
  /** The step that makes each storage, and those that read it; none of those that are there before. */
  readonly makers: ReadonlyMap<Storage, number>;
  readonly readers: ReadonlyMap<Storage, ReadonlySet<number>>;
  /** What the caller gets. */
  readonly returned: ReadonlySet<Storage>;
  /** Storage buffers that a kernel may bind. */
  readonly maxBuffers: number;
}

const MEMBERS = 64;
/** Steps that draw take four words of a kernel's parameters and four numbers of each thread's registers. */
const DRAWING = 4;

export const isElementwise = ({ op }: Step) => op.map !== undefined;
export const elementsOf = ({ outputs }: Step) => sizeOf(outputs[0].shape);
/** A literal is written into the kernel of an elementwise step. */
const isRead = (step: Step, { literal }: View) => literal === undefined || !isElementwise(step);
/** What a step that draws takes beside its elements. */
export const isNumberOfDraw = ({ op }: Step, input: number) => op.draws !== undefined && input > 0;

/** Groups of one step each. */
export function createGroups({ steps, outputs }: Program, maxBuffers: number): Groups {
  const makers = new Map<Storage, number>();
  const readers = new Map<Storage, Set<number>>();
  steps.forEach((step, at) => {
    for (const { storage } of step.outputs) {
      makers.set(storage, at);
      readers.set(storage, new Set());
    }
    for (const view of step.inputs) if (isRead(step, view)) readers.get(view.storage)?.add(at);
  });
  return {
    steps,
    of: steps.map((_, at) => ({ members: [at], before: [], once: false })),
    dependents: dependentsOf(steps),
    makers,
    readers,
    returned: new Set(outputs.map(({ storage }) => storage)),
    maxBuffers,
  };
}

function dependentsOf(steps: readonly Step[]): ReadonlySet<number>[] {
  const dependents = steps.map(() => new Set<number>());
  /** The last steps that wrote storages, and who has read them since. */
  const writer = new Map<Storage, number>();
  const readers = new Map<Storage, number[]>();
  const depend = (later: number, earlier: number | undefined) => {
    if (earlier !== undefined && earlier !== later) dependents[earlier].add(later);
  };
  steps.forEach((step, at) => {
    for (const view of step.inputs) {
      if (!isRead(step, view)) continue;
      depend(at, writer.get(view.storage));
      const list = readers.get(view.storage);
      if (list) list.push(at);
      else readers.set(view.storage, [at]);
    }
    for (const storage of mutated(step)) {
      // A change waits for all who read what was there before.
      for (const reader of readers.get(storage) ?? []) depend(at, reader);
      readers.set(storage, []);
      writer.set(storage, at);
    }
    for (const { storage } of step.outputs) writer.set(storage, at);
  });
  return dependents;
}

/** Takes the steps of one group into another. */
export function merge({ of }: Groups, into: Group, from: Group): void {
  into.members = [...into.members, ...from.members].sort((a, b) => a - b);
  for (const at of from.members) of[at] = into;
}

/** What steps make. */
export const madeBy = ({ steps }: Groups, members: readonly number[]): Set<Storage> =>
  new Set(members.flatMap((at) => steps[at].outputs.map(({ storage }) => storage)));

/** How many of the steps draw random numbers. */
export const drawing = ({ steps }: Groups, members: readonly number[]): number =>
  members.filter((at) => steps[at].op.draws).length;

/** Whether a storage is wanted by others than the steps `inside`. */
export const wantedOutside = ({ returned, readers }: Groups, storage: Storage, inside: ReadonlySet<number>): boolean =>
  returned.has(storage) || [...(readers.get(storage) ?? [])].some((reader) => !inside.has(reader));

/** Whether everything that `readers` read of what `makers` made lies element by element under their own output. */
export function elementByElement(groups: Groups, makers: readonly number[], readers: readonly number[]): boolean {
  const made = madeBy(groups, makers);
  return readers.every((at) => {
    const step = groups.steps[at];
    return step.inputs.every(
      (view, k) =>
        view.literal !== undefined ||
        !made.has(view.storage) ||
        (isWhole(view) && sizeOf(view.shape) === elementsOf(step) && !isNumberOfDraw(step, k)),
    );
  });
}

/** Storage buffers that a kernel of these steps binds. */
function bindings(groups: Groups, members: readonly number[]): number {
  const inside = new Set(members);
  const views = new Set<string>();
  let stores = 0;
  for (const at of members) {
    const step = groups.steps[at];
    for (const [k, view] of step.inputs.entries()) {
      if (!isRead(step, view)) continue;
      const maker = groups.makers.get(view.storage);
      if (maker !== undefined && inside.has(maker)) continue;
      // The kernel of an anchor binds each of its operands, though two be one.
      views.add(isElementwise(step) ? viewName(view) : `operand ${k} of ${at}`);
    }
    // Of an anchor's outputs the first may stay in registers.
    stores += step.outputs.filter(({ storage }, k) => k > 0 || wantedOutside(groups, storage, inside)).length;
  }
  return views.size + stores;
}

/** Whether one kernel has room for the steps of both. */
export function fits(groups: Groups, a: Group, b: Group): boolean {
  const members = [...a.members, ...b.members];
  return (
    members.length <= MEMBERS && drawing(groups, members) <= DRAWING && bindings(groups, members) <= groups.maxBuffers
  );
}

function successors({ of, dependents }: Groups, group: Group): Set<Group> {
  const found = new Set<Group>();
  for (const at of group.members) for (const dependent of dependents[at]) found.add(of[dependent]);
  found.delete(group);
  return found;
}

/** Whether `to` can be reached from `from` by way of a third group, which would then have to run in between. */
export function detour(groups: Groups, from: Group, to: Group): boolean {
  const last = Math.max(...to.members);
  const seen = new Set<Group>([from]);
  const stack = [...successors(groups, from)].filter((group) => group !== to);
  while (stack.length > 0) {
    const group = stack.pop() as Group;
    if (seen.has(group)) continue;
    seen.add(group);
    if (Math.min(...group.members) > last) continue;
    for (const next of successors(groups, group)) {
      if (next === to) return true;
      stack.push(next);
    }
  }
  return false;
}

/**
 * Where in the program groups are best run. Elementwise steps: where their results are about to be used. An operation with
 * its own kernel: where it stood, or as soon as those that follow it on the spot have what they need: what it reads is often
 * on its last use.
 */
function placesOf({ of, dependents }: Groups): Map<Group, number> {
  const places = new Map(of.map((group) => [group, group.anchor ?? (group.members.at(-1) as number)]));
  dependents.forEach((those, at) => {
    for (const dependent of those) {
      const group = of[dependent];
      if (group.anchor === undefined || group === of[at]) continue;
      places.set(group, Math.max(places.get(group) as number, at));
    }
  });
  return places;
}

/** Topological order; among those that could run, the one that came first in the program. */
export function schedule(groups: Groups): Group[] {
  const places = placesOf(groups);
  const place = (group: Group) => places.get(group) as number;
  const all = [...places.keys()];
  const next = new Map(all.map((group) => [group, successors(groups, group)]));
  const waiting = new Map(all.map((group) => [group, 0]));
  for (const targets of next.values()) {
    for (const target of targets) waiting.set(target, (waiting.get(target) ?? 0) + 1);
  }
  const ready = all.filter((group) => waiting.get(group) === 0).sort((a, b) => place(b) - place(a));
  const result: Group[] = [];
  while (ready.length > 0) {
    const group = ready.pop() as Group;
    result.push(group);
    for (const target of next.get(group) ?? []) {
      const left = (waiting.get(target) ?? 0) - 1;
      waiting.set(target, left);
      if (left > 0) continue;
      let at = ready.length;
      while (at > 0 && place(ready[at - 1]) < place(target)) at--;
      ready.splice(at, 0, target);
    }
  }
  if (result.length !== all.length) throw new Error('compile: fused steps wait for each other');
  return result;
}
