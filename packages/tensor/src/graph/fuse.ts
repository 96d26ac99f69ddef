import { sizeOf } from '../shape.ts';
import { type Order, orderOf, sameOrder } from './codegen.ts';
import {
  createGroups,
  detour,
  drawing,
  elementByElement,
  elementsOf,
  fits,
  type Group,
  type Groups,
  isElementwise,
  isNumberOfDraw,
  madeBy,
  merge,
  schedule,
  wantedOutside,
} from './groups.ts';
import { isWhole, type Program, type Step, type View } from './optimize.ts';

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

/** Steps that a kernel may do again each time that it reads an element. */
const REPEATED = 4;

/** Groups the program's steps into kernels and orders them. `maxBuffers`: storage buffers that a kernel may bind. */
export function fuse(program: Program, maxBuffers: number): Unit[] {
  const groups = createGroups(program, maxBuffers);
  fuseChains(groups);
  fuseEpilogues(groups);
  fusePrologues(groups);
  return schedule(groups).map((group) => unitOf(groups, group));
}

/** Elementwise chains: each step joins the groups that made its operands. */
function fuseChains(groups: Groups): void {
  const { steps, of, makers } = groups;
  steps.forEach((step, at) => {
    if (!isElementwise(step)) return;
    for (const { storage, literal } of step.inputs) {
      const maker = makers.get(storage);
      if (maker === undefined || literal !== undefined) continue;
      const earlier = steps[maker];
      if (!isElementwise(earlier) || elementsOf(earlier) !== elementsOf(step) || (step.late && !earlier.late)) continue;
      const [producer, consumer] = [of[maker], of[at]];
      if (producer === consumer || !elementByElement(groups, producer.members, consumer.members)) continue;
      if (fits(groups, producer, consumer) && !detour(groups, producer, consumer)) merge(groups, producer, consumer);
    }
  });
}

/** Epilogues: the groups that use a product, where it can run as late as they do. */
function fuseEpilogues(groups: Groups): void {
  groups.steps.forEach((step, at) => {
    if (!step.op.emits) return;
    for (const user of [...groups.dependents[at]].sort((x, y) => x - y)) fuseEpilogue(groups, at, user);
  });
}

function fuseEpilogue(groups: Groups, anchor: number, user: number): void {
  const { steps, of } = groups;
  const [producer, consumer] = [of[anchor], of[user]];
  const [out] = steps[anchor].outputs;
  if (producer === consumer || consumer.anchor !== undefined) return;
  if (!isElementwise(steps[user]) || steps[user].late || elementsOf(steps[user]) !== sizeOf(out.shape)) return;
  const order = orderIn(steps, anchor, consumer.members);
  if (!order) return;
  const rest = producer.members.filter((member) => member !== anchor);
  if (rest.length > 0 && !(producer.order && sameOrder(producer.order, order))) return;
  if (drawing(groups, consumer.members) > 0 && !(emitsFours(steps[anchor], out) && order.shape.length <= 1)) return;
  if (!elementByElement(groups, rest, consumer.members)) return;
  if (!fits(groups, producer, consumer) || detour(groups, producer, consumer)) return;
  producer.anchor = anchor;
  producer.order = order;
  merge(groups, producer, consumer);
}

/** The one order in which steps read what an anchor emits; undefined where there is none. */
function orderIn(steps: readonly Step[], anchor: number, readers: readonly number[]): Order | undefined {
  const [out, ...others] = steps[anchor].outputs.map(({ storage }) => storage);
  let order: Order | undefined;
  for (const at of readers) {
    const step = steps[at];
    for (const [k, view] of step.inputs.entries()) {
      if (view.literal !== undefined) continue;
      if (others.includes(view.storage)) return undefined;
      if (view.storage !== out) continue;
      const own = orderOf(view);
      if (!own || sizeOf(view.shape) !== elementsOf(step) || isNumberOfDraw(step, k)) return undefined;
      if (order && !sameOrder(order, own)) return undefined;
      order = own;
    }
  }
  return order;
}

/** Whether an anchor emits rows of this shape by four neighbours, in which draws come. */
const emitsFours = ({ op }: Step, { shape }: View): boolean =>
  op.emits === 'fours' && (shape.at(-1) as number) % 4 === 0;

/** Prologues: an elementwise group that makes what a reduction, softmax or norm reads. */
function fusePrologues(groups: Groups): void {
  const { steps, of, makers } = groups;
  steps.forEach((step, at) => {
    if (step.op.fetches === undefined) return;
    const view = step.inputs[step.op.fetches];
    const maker = makers.get(view.storage);
    if (maker === undefined || !isElementwise(steps[maker]) || view.literal !== undefined) return;
    const [producer, consumer] = [of[maker], of[at]];
    if (producer === consumer || producer.anchor !== undefined || !fits(groups, producer, consumer)) return;
    if (!isWhole(view) || sizeOf(view.shape) !== elementsOf(steps[maker])) return;
    // One element is one value: nothing else of the group may be read by the kernel.
    const made = madeBy(groups, producer.members);
    if (step.inputs.some((input) => input !== view && made.has(input.storage))) return;
    const making = step.op.refetches
      ? refetchedPrologue(groups, at, view, producer)
      : fetchedPrologue(groups, at, producer);
    if (!making) return;
    consumer.anchor = at;
    consumer.before = producer.members;
    consumer.once = making === 'once';
    merge(groups, consumer, producer);
  });
}

/** When a prologue makes an element: again each time that the anchor fetches it, or once, and it is stored. */
type Making = 'again' | 'once';

/** The prologue of an anchor that fetches each element once; undefined where they stay apart. */
function fetchedPrologue(groups: Groups, anchor: number, { members }: Group): Making | undefined {
  const inside = new Set([...members, anchor]);
  const wanted = [...madeBy(groups, members)].some((storage) => wantedOutside(groups, storage, inside));
  return wanted || drawing(groups, members) > 0 ? undefined : 'again';
}

/** The prologue of an anchor that fetches each element of `view` several times; undefined where they stay apart. */
function refetchedPrologue(groups: Groups, anchor: number, view: View, producer: Group): Making | undefined {
  const { steps, of } = groups;
  const consumer = of[anchor];
  const epilogue = consumer.members.filter((member) => member !== anchor);
  if (producer.members.some((member) => steps[member].late) || !elementByElement(groups, producer.members, epilogue))
    return undefined;
  if ((consumer.order && consumer.order.shape.length > 1) || detour(groups, producer, consumer)) return undefined;
  const draws = drawing(groups, producer.members) > 0;
  if (!draws && producer.members.length <= REPEATED && producer.members.every((member) => steps[member].op.cheap))
    return 'again';
  // Made once, and stored. That pays where others want it too, or where it comes from draws, which do not end a chain.
  const inside = new Set([...producer.members, ...consumer.members]);
  if (draws ? !emitsFours(steps[anchor], view) : !wantedOutside(groups, view.storage, inside)) return undefined;
  const made = madeBy(groups, producer.members);
  return epilogue.some((member) => steps[member].inputs.some(({ storage }) => made.has(storage))) ? undefined : 'once';
}

function unitOf(groups: Groups, { members, before, order, once, anchor }: Group): Unit {
  const { steps } = groups;
  const anchorAt = anchor ?? members.find((at) => !isElementwise(steps[at]));
  const elementwise = members.filter((at) => at !== anchorAt);
  const emitting = anchorAt !== undefined && elementwise.length > 0 && steps[anchorAt].op.emits !== undefined;
  const inside = new Set(members);
  return {
    anchor: anchorAt === undefined ? undefined : steps[anchorAt],
    before: before.map((at) => steps[at]),
    after: elementwise.filter((at) => !before.includes(at)).map((at) => steps[at]),
    stores: (emitting ? [anchorAt, ...elementwise] : elementwise)
      .map((at) => steps[at].outputs[0])
      .filter(({ storage }) => wantedOutside(groups, storage, inside)),
    order: order && order.shape.length > 1 ? order : undefined,
    once,
  };
}
