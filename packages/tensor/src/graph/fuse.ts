import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import { isWhole, mutated, type Program, type Step, type View } from './optimize.ts';

/**
 * Steps that become one kernel. Without an anchor all of them are elementwise. With one, the elementwise steps either
 * make what the anchor reads (`prologue`, of a reduction) or use what it makes (`epilogue`, of a product or convolution).
 */
export interface Unit {
  readonly anchor?: Step;
  readonly role?: 'prologue' | 'epilogue';
  readonly elementwise: readonly Step[];
  /** What the elementwise steps make that others need. */
  readonly stores: readonly View[];
}

interface Group {
  /** Positions of its steps in the program. */
  members: number[];
  anchor?: number;
  role?: Unit['role'];
}

const MEMBERS = 64;

/** Groups the program's steps into kernels and orders them. `maxBuffers`: storage buffers that a kernel may bind. */
export function fuse(program: Program, maxBuffers: number): Unit[] {
  const { steps } = program;
  const users: Set<number>[] = steps.map(() => new Set());
  const maker = new Map<Storage, number>();
  const readers = new Map<Storage, number[]>();
  const after = (later: number, earlier: number | undefined) => {
    if (earlier === undefined || earlier === later) return;
    users[earlier].add(later);
  };
  steps.forEach((step, at) => {
    for (const { storage, literal } of step.inputs) {
      if (literal !== undefined && step.op.map) continue;
      after(at, maker.get(storage));
      const list = readers.get(storage);
      if (list) list.push(at);
      else readers.set(storage, [at]);
    }
    for (const storage of mutated(step)) {
      // A change waits for all who read what was there before.
      for (const reader of readers.get(storage) ?? []) after(at, reader);
      readers.set(storage, []);
      maker.set(storage, at);
    }
    for (const { storage } of step.outputs) maker.set(storage, at);
  });
  const returned = new Set(program.outputs.map(({ storage }) => storage));
  const madeBy = new Map<Storage, number>();
  steps.forEach((step, at) => {
    for (const { storage } of step.outputs) madeBy.set(storage, at);
  });

  const groups = steps.map((_, at): Group => ({ members: [at] }));
  const groupOf = groups.map((group) => group);
  const isMap = (at: number) => steps[at].op.map !== undefined;
  const size = (at: number) => sizeOf(steps[at].outputs[0].shape);

  const successors = (group: Group): Set<Group> => {
    const found = new Set<Group>();
    for (const at of group.members) for (const user of users[at]) found.add(groupOf[user]);
    found.delete(group);
    return found;
  };
  /** Whether `to` can be reached from `from` by way of a third group, which would then have to run in between. */
  const detour = (from: Group, to: Group): boolean => {
    const last = Math.max(...to.members);
    const seen = new Set<Group>([from]);
    const stack = [...successors(from)].filter((group) => group !== to);
    while (stack.length > 0) {
      const group = stack.pop() as Group;
      if (seen.has(group)) continue;
      seen.add(group);
      if (Math.min(...group.members) > last) continue;
      for (const next of successors(group)) {
        if (next === to) return true;
        stack.push(next);
      }
    }
    return false;
  };

  /** Whether everything that `readers` read of what `makers` made lies element by element under their own output. */
  const elementByElement = (makers: readonly number[], those: readonly number[]): boolean => {
    const made = new Set(makers.flatMap((at) => steps[at].outputs.map(({ storage }) => storage)));
    return those.every((at) =>
      steps[at].inputs.every(
        (view) =>
          view.literal !== undefined || !made.has(view.storage) || (isWhole(view) && sizeOf(view.shape) === size(at)),
      ),
    );
  };
  const bindings = (members: readonly number[]): number => {
    const inside = new Set(members);
    const views = new Set<string>();
    let stores = 0;
    for (const at of members) {
      for (const view of steps[at].inputs) {
        if (view.literal !== undefined && isMap(at)) continue;
        const from = madeBy.get(view.storage);
        if (from === undefined || !inside.has(from)) views.add(viewName(view));
      }
      const outside = [...users[at]].some((user) => !inside.has(user));
      if (outside || steps[at].outputs.some(({ storage }) => returned.has(storage))) stores += steps[at].outputs.length;
    }
    return views.size + stores;
  };
  const merge = (into: Group, from: Group): void => {
    into.members = [...into.members, ...from.members].sort((a, b) => a - b);
    into.anchor ??= from.anchor;
    into.role ??= from.role;
    for (const at of from.members) groupOf[at] = into;
  };
  const fits = (a: Group, b: Group): boolean => {
    const members = [...a.members, ...b.members];
    return members.length <= MEMBERS && bindings(members) <= maxBuffers;
  };

  // Elementwise chains: each step joins the groups that made its operands.
  steps.forEach((step, at) => {
    if (!isMap(at)) return;
    for (const view of step.inputs) {
      const from = madeBy.get(view.storage);
      if (from === undefined || view.literal !== undefined || !isMap(from) || size(from) !== size(at)) continue;
      if (step.late && !steps[from].late) continue;
      const [a, b] = [groupOf[from], groupOf[at]];
      if (a === b || !elementByElement(a.members, b.members) || !fits(a, b) || detour(a, b)) continue;
      merge(a, b);
    }
  });

  // Epilogues: the group that uses a product, where it can run as late as that group does.
  steps.forEach((step, at) => {
    const [out] = step.outputs;
    if (!step.op.emits || groupOf[at].anchor !== undefined || step.outputs.length !== 1) return;
    for (const user of [...users[at]].sort((a, b) => a - b)) {
      const [a, b] = [groupOf[at], groupOf[user]];
      if (a === b || steps[user].late || !isMap(user) || b.anchor !== undefined || size(user) !== sizeOf(out.shape))
        continue;
      if (!elementByElement(a.members, b.members) || !fits(a, b) || detour(a, b)) continue;
      a.anchor = at;
      a.role = 'epilogue';
      merge(a, b);
      break;
    }
  });

  // Prologues: an elementwise group whose only reader is a reduction.
  steps.forEach((step, at) => {
    if (step.op.fetches === undefined || groupOf[at].anchor !== undefined) return;
    const view = step.inputs[step.op.fetches];
    const from = madeBy.get(view.storage);
    if (from === undefined || !isMap(from) || view.literal !== undefined) return;
    const [a, b] = [groupOf[from], groupOf[at]];
    if (a.anchor !== undefined || !isWhole(view) || sizeOf(view.shape) !== size(from) || !fits(a, b)) return;
    const onlyHere = a.members.every(
      (member) =>
        steps[member].outputs.every(({ storage }) => !returned.has(storage)) &&
        [...users[member]].every((user) => groupOf[user] === a || user === at),
    );
    // One element is one value: no other step of the group may be read by the reduction.
    const readers = a.members.filter((member) => users[member].has(at));
    if (!onlyHere || readers.length !== 1 || step.inputs.length !== 1) return;
    b.anchor = at;
    b.role = 'prologue';
    merge(b, a);
  });

  const units = order([...new Set(groupOf)], users, groupOf);
  return units.map((group): Unit => {
    const maps = group.members.filter((at) => at !== group.anchor && isMap(at));
    const anchorAt = group.anchor ?? group.members.find((at) => !isMap(at));
    const isStored = (at: number) =>
      [...users[at]].some((user) => groupOf[user] !== group) || returned.has(steps[at].outputs[0].storage);
    const stored = group.role === 'epilogue' ? [group.anchor as number, ...maps] : maps;
    return {
      anchor: anchorAt === undefined ? undefined : steps[anchorAt],
      role: group.role,
      elementwise: maps.map((at) => steps[at]),
      stores: stored.filter(isStored).map((at) => steps[at].outputs[0]),
    };
  });
}

/** Tells views of one storage apart. */
export function viewName({ storage, offset, shape, strides }: View): string {
  return `${storage.buffer.id}+${offset}[${shape}|${strides}]`;
}

/** Topological order; among those that could run, the one that came first in the program. */
function order(groups: Group[], users: readonly ReadonlySet<number>[], groupOf: readonly Group[]): Group[] {
  const waiting = new Map<Group, number>(groups.map((group) => [group, 0]));
  const next = new Map<Group, Set<Group>>();
  for (const group of groups) {
    const targets = new Set<Group>();
    for (const at of group.members) for (const user of users[at]) targets.add(groupOf[user]);
    targets.delete(group);
    next.set(group, targets);
    for (const target of targets) waiting.set(target, (waiting.get(target) ?? 0) + 1);
  }
  // The last member decides: a group is best run where its results are about to be used.
  const place = (group: Group) => group.members[group.members.length - 1];
  const ready = groups.filter((group) => waiting.get(group) === 0).sort((a, b) => place(b) - place(a));
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
  if (result.length !== groups.length) throw new Error('compile: fused steps wait for each other');
  return result;
}
