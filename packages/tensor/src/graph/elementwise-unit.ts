import { elementwise } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { gridFor, takesFours, turnsFor } from '../kernel/grid.ts';
import type { Storage } from '../memory/storage.ts';
import { sizeOf } from '../shape.ts';
import { bodyOf } from './codegen.ts';
import { type AnyDispatch, type Joined, join, type Stored } from './join.ts';
import { bytesOf, flopsOfAll, type Lowering, namesOf } from './lowered.ts';
import type { Step, View } from './optimize.ts';

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

/** Elementwise steps in one kernel. `dying`: storages that no later unit reads. */
export function elementwiseUnit(
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
    stores: stores.map((view) => ({ view, index: 'i' })),
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
