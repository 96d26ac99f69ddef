/** Memory of workgroups: zeros to kernels of one's own, as WGSL promises, and ones to those of the house where tests poison it. */
import { defineKernel, ownKernel } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fillWorkgroup } from '../src/kernel/workgroup.ts';
import { Tensor } from '../src/tensor.ts';
import { device } from './device.ts';
import { poisonMemory } from './poison.ts';

poisonMemory();

const declarations = `
alias Number = vec2<f32>;
struct Params { unused: u32 }
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;
const SIZE = 4u;
var<workgroup> singles: array<u32, SIZE * 2u>;
var<workgroup> pairs: array<Number, SIZE>;
var<workgroup> nested: array<array<vec2<i32>, SIZE>, 2u>;
var <workgroup> counts : array<atomic<u32>, 3>;
var<workgroup> found: u32;`;
const body = `
  let at = 4u * (group.x * 3u + lane);
  out[at] = singles[lane + 5u];
  out[at + 1u] = bitcast<u32>(pairs[lane + 1u].y);
  out[at + 2u] = bitcast<u32>(nested[lane & 1u][3].x);
  out[at + 3u] = found + 2u * atomicLoad(&counts[lane]);
}`;
const own = `${declarations}
@compute @workgroup_size(3)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {${body}`;
/** Without the parameter that tells a thread its place. */
const byPlace = `${declarations}
@compute @workgroup_size(3, 1)
fn main(
  @builtin(workgroup_id) group: vec3<u32>,
  @builtin(local_invocation_id) id: vec3<u32>,
) {
  let lane = id.x;${body}`;

let kernels = 0;

/** What three threads of two workgroups saw of the memory that they did not write. */
async function seenBy(source: string, define: typeof defineKernel): Promise<Set<number>> {
  const bindings = { out: 'readWrite' } as const;
  const kernel = define({
    name: `seeing ${kernels++}`,
    source,
    bindings,
    parameters: { unused: 'u32' },
    constants: {},
  });
  const seen = Tensor.allocate(device, 'u32', [24], 'seen', false);
  device.recorder.dispatch({ kernel, buffers: [seen.storage.buffer], parameters: { unused: 0 }, grid: [2, 1, 1] });
  const data = await seen.data();
  seen.dispose();
  return new Set(data as Uint32Array);
}

test('a kernel of the house sees ones where nobody wrote', async () => {
  // The last of a thread's four is the sum of three of them.
  assert.equal(await seenBy(own, ownKernel), new Set([0xffffffff, 0xfffffffd]));
});

test('a kernel of one’s own sees zeros', async () => {
  for (const source of [own, byPlace]) assert.equal(await seenBy(source, defineKernel), new Set([0]));
});

test('a kernel without memory of workgroups stays as it is', () => {
  assert.is(
    fillWorkgroup('fn main() {}', 'plain', () => ''),
    'fn main() {}',
  );
});

test('a main that cannot be told is refused with a remedy', () => {
  const hidden = own.replace('@builtin(local_invocation_index) lane: u32', 'where: Where');
  const struct = 'struct Where { @builtin(local_invocation_index) lane: u32 }';
  for (const source of [`${struct}${hidden}`, own.replace('fn main', 'fn other')]) {
    assert.throws(
      () => fillWorkgroup(source, 'odd', String),
      /kernel odd: the memory of its workgroups cannot be zeroed; write/,
    );
  }
});

test.run();
