import type { Device } from '../device/device.ts';
import { Storage } from '../memory/storage.ts';
import { mutated, type Program, type Step, type View } from './optimize.ts';
import { onPaper } from './tracing.ts';

/** Steps between making a value and reading it, from which it pays to make it again. */
const FAR = 32;
/** Smaller values are kept. */
const LEAST_BYTES = 8192;
const LONGEST_CHAIN = 6;

/**
 * Values that are cheap to make (elementwise, dropout) and read again much later, in the backward pass above all, are
 * made again there from what is in memory then anyway, instead of being kept all the while. The same operation on the
 * same elements gives the same bits.
 */
export function rematerialise(program: Program, device: Device): Program & { readonly remade: number } {
  const { steps } = program;
  const maker = new Map<Storage, number>();
  const readers = new Map<Storage, number[]>();
  const lastRead = new Map<Storage, number>();
  const changes = new Map<Storage, number[]>();
  steps.forEach((step, at) => {
    for (const { storage } of step.outputs) maker.set(storage, at);
    for (const { storage, literal } of step.inputs) {
      if (literal !== undefined && step.op.map) continue;
      readers.set(storage, [...(readers.get(storage) ?? []), at]);
      lastRead.set(storage, at);
    }
    for (const storage of mutated(step)) changes.set(storage, [...(changes.get(storage) ?? []), at]);
  });
  const returned = new Set(program.outputs.map(({ storage }) => storage));
  const isCheap = ({ op, outputs }: Step) => op.map !== undefined && outputs.length === 1;
  const unchanged = (storage: Storage, from: number, to: number) =>
    (changes.get(storage) ?? []).every((at) => at < from || at > to);
  const inMemory = (storage: Storage, at: number) =>
    !maker.has(storage) || returned.has(storage) || (lastRead.get(storage) ?? -1) >= at;

  /** Steps that make `storage` again for a reader at `at`, last one last; undefined where something is gone by then. */
  function again(storage: Storage, at: number, depth: number): { chain: Step[]; made: Storage } | undefined {
    const from = maker.get(storage) as number;
    const step = steps[from];
    if (depth > LONGEST_CHAIN || !isCheap(step)) return undefined;
    const chain: Step[] = [];
    const inputs: View[] = [];
    for (const view of step.inputs) {
      if (!unchanged(view.storage, from, at)) return undefined;
      if ((view.literal !== undefined && step.op.map) || inMemory(view.storage, at)) {
        inputs.push(view);
        continue;
      }
      const before = again(view.storage, at, depth + 1);
      if (!before) return undefined;
      chain.push(...before.chain);
      inputs.push({ ...view, storage: before.made });
    }
    const [out] = step.outputs;
    const made = onPaper(() => new Storage(device, out.storage.buffer.size, `${step.node.name}, made again`));
    chain.push({ ...step, inputs, outputs: [{ ...out, storage: made }], late: true });
    return { chain, made };
  }

  const inserted = new Map<number, Step[]>();
  const replaced = new Map<number, Map<Storage, Storage>>();
  let remade = 0;
  steps.forEach((step, from) => {
    if (!isCheap(step)) return;
    const { storage } = step.outputs[0];
    if (storage.buffer.size < LEAST_BYTES || returned.has(storage) || changes.has(storage)) return;
    const all = readers.get(storage) ?? [];
    const late = all.filter((at) => at - from > FAR);
    if (late.length === 0 || late.length === all.length) return;
    const result = again(storage, late[0], 0);
    if (!result) return;
    inserted.set(late[0], [...(inserted.get(late[0]) ?? []), ...result.chain]);
    for (const at of late) {
      const own = replaced.get(at) ?? new Map<Storage, Storage>();
      own.set(storage, result.made);
      replaced.set(at, own);
    }
    lastRead.set(storage, Math.max(...all.filter((at) => at - from <= FAR)));
    remade += result.chain.length;
  });
  const result = steps.flatMap((step, at): Step[] => {
    const own = replaced.get(at);
    const inputs = own
      ? step.inputs.map((view) => ({ ...view, storage: own.get(view.storage) ?? view.storage }))
      : step.inputs;
    return [...(inserted.get(at) ?? []), { ...step, inputs }];
  });
  return { ...program, steps: result, remade };
}
