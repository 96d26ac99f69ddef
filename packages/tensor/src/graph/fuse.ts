import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import { type Order, orderOf, sameOrder } from './codegen.ts';
import { isWhole, mutated, type Program, type Step, type View } from './optimize.ts';

/**
 * Steps that become one kernel: an operation with a kernel of its own (the anchor), elementwise steps that make what it
 * fetches (`before`) and elementwise steps that use what it emits (`after`). Without an anchor all are in `after`.
 */
export interface Unit {
  readonly anchor?: Step;
  readonly before: readonly Step[];
  readonly after: readonly Step[];
  /** What the elementwise steps and, where it emits, the anchor make that others need. */
  readonly stores: readonly View[];
  /** The order in which the steps after the anchor walk its elements, where that is another than its own. */
  readonly order?: Order;
  /** Whether what the anchor fetches is made once and stored, and read from there when it fetches it again. */
  readonly once: boolean;
}

interface Group {
  /** Positions of its steps in the program. */
  members: number[];
  anchor?: number;
  /** Those of the members that the anchor fetches. */
  before: readonly number[];
  order?: Order;
  once?: boolean;
}

const MEMBERS = 64;
/** Steps that draw take four words of a kernel's parameters and four numbers of each thread's registers. */
const DRAWING = 4;
/** Steps that a kernel may do again each time that it reads an element. */
const REPEATED = 4;

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
  const readBy = new Map<Storage, Set<number>>();
  steps.forEach((step, at) => {
    for (const { storage } of step.outputs) {
      madeBy.set(storage, at);
      readBy.set(storage, new Set());
    }
    for (const { storage, literal } of step.inputs) {
      if (literal === undefined || !step.op.map) readBy.get(storage)?.add(at);
    }
  });

  const groups = steps.map((_, at): Group => ({ members: [at], before: [] }));
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

  /** What a step that draws takes beside its elements. */
  const isNumberOfDraw = (at: number, input: number) => steps[at].op.draws !== undefined && input > 0;
  /** Whether everything that `readers` read of what `makers` made lies element by element under their own output. */
  const elementByElement = (makers: readonly number[], those: readonly number[]): boolean => {
    const made = new Set(makers.flatMap((at) => steps[at].outputs.map(({ storage }) => storage)));
    return those.every((at) =>
      steps[at].inputs.every(
        (view, k) =>
          view.literal !== undefined ||
          !made.has(view.storage) ||
          (isWhole(view) && sizeOf(view.shape) === size(at) && !isNumberOfDraw(at, k)),
      ),
    );
  };
  const outside = (storage: Storage, inside: ReadonlySet<number>) =>
    returned.has(storage) || [...(readBy.get(storage) ?? [])].some((reader) => !inside.has(reader));
  const bindings = (members: readonly number[]): number => {
    const inside = new Set(members);
    const views = new Set<string>();
    let stores = 0;
    for (const at of members) {
      for (const [k, view] of steps[at].inputs.entries()) {
        if (view.literal !== undefined && isMap(at)) continue;
        const from = madeBy.get(view.storage);
        if (from !== undefined && inside.has(from)) continue;
        // The kernel of an anchor binds each of its operands, though two be one.
        views.add(isMap(at) ? viewName(view) : `operand ${k} of ${at}`);
      }
      // Of an anchor's outputs the first may stay in registers.
      stores += steps[at].outputs.filter(({ storage }, k) => k > 0 || outside(storage, inside)).length;
    }
    return views.size + stores;
  };
  const merge = (into: Group, from: Group): void => {
    into.members = [...into.members, ...from.members].sort((a, b) => a - b);
    for (const at of from.members) groupOf[at] = into;
  };
  const drawing = (members: readonly number[]) => members.filter((at) => steps[at].op.draws).length;
  const fits = (a: Group, b: Group): boolean => {
    const members = [...a.members, ...b.members];
    return members.length <= MEMBERS && drawing(members) <= DRAWING && bindings(members) <= maxBuffers;
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

  /** The one order in which the steps of a group read what an anchor emits; undefined where there is none. */
  const orderIn = (anchor: number, those: readonly number[]): Order | undefined => {
    const [out, ...others] = steps[anchor].outputs.map(({ storage }) => storage);
    let order: Order | undefined;
    for (const at of those) {
      for (const [k, view] of steps[at].inputs.entries()) {
        if (view.literal !== undefined) continue;
        if (others.includes(view.storage)) return undefined;
        if (view.storage !== out) continue;
        const own = orderOf(view);
        if (!own || sizeOf(view.shape) !== size(at) || isNumberOfDraw(at, k)) return undefined;
        if (order && !sameOrder(order, own)) return undefined;
        order = own;
      }
    }
    return order;
  };

  // Epilogues: the groups that use a product, where it can run as late as they do.
  steps.forEach((step, at) => {
    const [out] = step.outputs;
    if (!step.op.emits) return;
    const a = groupOf[at];
    for (const user of [...users[at]].sort((x, y) => x - y)) {
      const b = groupOf[user];
      if (a === b || steps[user].late || !isMap(user) || b.anchor !== undefined || size(user) !== sizeOf(out.shape))
        continue;
      const order = orderIn(at, b.members);
      if (!order) continue;
      const rest = a.members.filter((member) => member !== at);
      if (rest.length > 0 && !(a.order && sameOrder(a.order, order))) continue;
      // Draws come in fours of neighbours.
      const fours = step.op.emits === 'fours' && (out.shape.at(-1) as number) % 4 === 0 && order.shape.length <= 1;
      if (drawing(b.members) > 0 && !fours) continue;
      if (!elementByElement(rest, b.members) || !fits(a, b) || detour(a, b)) continue;
      a.anchor = at;
      a.order = order;
      merge(a, b);
    }
  });

  // Prologues: an elementwise group that makes what a reduction, softmax or norm reads.
  steps.forEach((step, at) => {
    if (step.op.fetches === undefined) return;
    const view = step.inputs[step.op.fetches];
    const from = madeBy.get(view.storage);
    if (from === undefined || !isMap(from) || view.literal !== undefined) return;
    const [a, b] = [groupOf[from], groupOf[at]];
    if (a === b || a.anchor !== undefined || !isWhole(view) || sizeOf(view.shape) !== size(from) || !fits(a, b)) return;
    // One element is one value: nothing else of the group may be read by the kernel.
    const made = a.members.flatMap((member) => steps[member].outputs.map(({ storage }) => storage));
    const others = step.inputs.filter((input) => input !== view && made.includes(input.storage));
    if (others.length > 0) return;
    const draws = drawing(a.members) > 0;
    const own = b.members.filter((member) => member !== at);
    const inside = new Set([...a.members, ...b.members]);
    if (step.op.refetches) {
      if (a.members.some((member) => steps[member].late)) return;
      if (!elementByElement(a.members, own) || (b.order && b.order.shape.length > 1) || detour(a, b)) return;
      if (draws || a.members.length > REPEATED || a.members.some((member) => !steps[member].op.cheap)) {
        // Made once, and stored. That pays where others want it too, or where it comes from draws, which do not end a chain.
        if (!draws && !outside(view.storage, inside)) return;
        const fours = step.op.emits === 'fours' && (view.shape.at(-1) as number) % 4 === 0;
        if (draws && !fours) return;
        if (own.some((member) => steps[member].inputs.some(({ storage }) => made.includes(storage)))) return;
        b.once = true;
      }
    } else if (draws || made.some((storage) => outside(storage, new Set([...a.members, at])))) {
      return;
    }
    b.anchor = at;
    b.before = a.members;
    merge(b, a);
  });

  const units = order([...new Set(groupOf)], users, groupOf);
  return units.map((group): Unit => {
    const inside = new Set(group.members);
    const anchorAt = group.anchor ?? group.members.find((at) => !isMap(at));
    const maps = group.members.filter((at) => at !== anchorAt);
    const emitting = anchorAt !== undefined && maps.length > 0 && steps[anchorAt].op.emits !== undefined;
    const stored = emitting ? [anchorAt, ...maps] : maps;
    const isAfter = (at: number) => !group.before.includes(at);
    return {
      anchor: anchorAt === undefined ? undefined : steps[anchorAt],
      before: group.before.map((at) => steps[at]),
      after: maps.filter(isAfter).map((at) => steps[at]),
      stores: stored.map((at) => steps[at].outputs[0]).filter(({ storage }) => outside(storage, inside)),
      order: group.order && group.order.shape.length > 1 ? group.order : undefined,
      once: group.once ?? false,
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
  // Elementwise steps are best run where their results are about to be used. An operation with its own kernel runs where
  // it stood, or as soon as those that follow it on the spot have what they need: what it reads is often on its last use.
  const earliest = new Map<Group, number>(groups.map((group) => [group, group.anchor ?? 0]));
  users.forEach((those, at) => {
    for (const user of those) {
      const group = groupOf[user];
      if (group !== groupOf[at]) earliest.set(group, Math.max(earliest.get(group) as number, at));
    }
  });
  const place = (group: Group) =>
    group.anchor === undefined ? group.members[group.members.length - 1] : (earliest.get(group) as number);
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
