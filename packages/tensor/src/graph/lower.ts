import type { Device } from '../device/device.ts';
import type { Storage } from '../memory/storage.ts';
import { elementwiseUnit } from './elementwise-unit.ts';
import type { Unit } from './fuse.ts';
import { type AnchoredUnit, joinedUnit } from './joined-unit.ts';
import { type Lowering, lowerAlone } from './lowered.ts';
import type { Step } from './optimize.ts';

/** The dispatches of a unit, in order. `dying`: storages that no later unit reads. */
export function lower(device: Device, unit: Unit, dying: ReadonlySet<Storage>): Lowering {
  const { anchor, before, after, stores } = unit;
  if (!anchor) return elementwiseUnit(device, after, stores, dying);
  if (before.length + after.length === 0) return { dispatches: lowerAlone(device, anchor), inPlace: new Map() };
  return joinedUnit(device, { ...unit, anchor }, dying) ?? separateUnit(device, { ...unit, anchor });
}

/** One after the other. Nothing is overwritten: what dies with the unit may be read by its later kernels. */
function separateUnit(device: Device, { anchor, before, after, stores }: AnchoredUnit): Lowering {
  const read = new Set([anchor, ...after].flatMap(({ inputs }) => inputs.map(({ storage }) => storage)));
  const stored = new Set(stores.map(({ storage }) => storage));
  const outputs = (steps: readonly Step[]) => steps.map((step) => step.outputs[0]);
  const kept = outputs(before).filter(({ storage }) => read.has(storage) || stored.has(storage));
  const wanted = outputs(after).filter(({ storage }) => stored.has(storage));
  return {
    dispatches: [
      ...elementwiseUnit(device, before, kept, new Set()).dispatches,
      ...lowerAlone(device, anchor),
      ...elementwiseUnit(device, after, wanted, new Set()).dispatches,
    ],
    inPlace: new Map(),
  };
}
