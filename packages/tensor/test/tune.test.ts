import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { AdapterDescription } from '../src/device/adapters.ts';
import { compile, matmul, openDevice, scope, type Tensor, tune, uniform } from '../src/index.ts';
import { known } from '../src/kernel/known.ts';
import { loadMeasured, saveMeasured } from '../src/kernel/measured.ts';
import { type Family, runVariants } from '../src/kernel/variants.ts';
import { kernelOp } from '../src/ops/op.ts';
import { opTable } from '../src/ops/table.ts';

const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-tune-'));
process.env.DAWNCHORUS_KERNELS = join(folder, 'kernels.json');
test.after(() => rmSync(folder, { recursive: true, force: true }));

const silent = { log: () => {} };
const product = (m: number, k: number, n: number) => () =>
  scope(() => matmul(uniform([m, k], { seed: 1, stream: 1 }), uniform([k, n], { seed: 1, stream: 2 }))).dispose();

/** Kernels that one run of `body` dispatches. */
async function kernelsOf(device: Awaited<ReturnType<typeof openDevice>>, body: () => void): Promise<string[]> {
  return (await device.profile(body)).rows.map(({ kernel }) => kernel);
}

test('every legal variant is timed, the fastest is taken from then on and by later devices', async () => {
  const device = await openDevice(silent);
  const lines: string[] = [];
  const results = await tune(() => [product(96, 33, 70)(), product(70, 40, 80)()], { log: (line) => lines.push(line) });
  // Both are of one class: extents round up to the same powers of two.
  assert.is(results.length, 1);
  const [{ problem, winner, milliseconds }] = results;
  assert.match(problem, /^matmul f32\[128,64\]\/-1 f32\[64,128\]\/-1/);
  assert.ok(Object.keys(milliseconds).includes('register') && Object.keys(milliseconds).includes('tiled64'));
  assert.ok(Object.values(milliseconds).every((ms) => ms > 0));
  const least = Math.min(...Object.values(milliseconds));
  assert.ok(milliseconds[winner] <= 1.03 * least);
  assert.match(lines[0], new RegExp(`: ${winner} \\(`));
  device.choices.measured.set(problem, 'tiled64');
  assert.ok((await kernelsOf(device, product(96, 33, 70))).includes('matmul_tiled'));
  device.close();

  const file = JSON.parse(readFileSync(process.env.DAWNCHORUS_KERNELS!, 'utf8'));
  const [known] = Object.values(file.adapters) as Record<string, { winner: string }>[];
  assert.is(known[problem].winner, winner);
  known[problem].winner = 'tiled64';
  writeFileSync(process.env.DAWNCHORUS_KERNELS!, JSON.stringify(file));
  const later = await openDevice(silent);
  assert.ok((await kernelsOf(later, product(96, 33, 70))).includes('matmul_tiled'));
  const before = later.statistics().liveBytes;
  await tune(product(30, 20, 10), { device: later, save: false });
  assert.is(later.statistics().liveBytes, before);
  later.close();
  const untuned = await openDevice({ ...silent, kernels: 'default', software: true });
  assert.not.ok((await kernelsOf(untuned, product(96, 33, 70))).includes('matmul_tiled'));
  untuned.close();
});

test('a pinned variant is taken wherever it can run; one that there is not is an error that lists them', async () => {
  const device = await openDevice({ ...silent, kernels: { matmul: 'tiled64' } });
  assert.ok((await kernelsOf(device, product(5, 6, 7))).includes('matmul_tiled'));
  device.close();
  const mistaken = await openDevice({ ...silent, kernels: { matmul: 'fast' } }).then(
    () => 'none',
    (error: Error) => error.message,
  );
  assert.match(mistaken, /kernels\.matmul is "fast"; matmul has register, broadcast16, broadcast, tiled64/);
});

test('what an adapter cannot run is never tried, and a file that is no JSON is passed over', async () => {
  writeFileSync(process.env.DAWNCHORUS_KERNELS!, '{ broken');
  const device = await openDevice(silent);
  let tried = 0;
  const op = kernelOp<Record<never, never>>({
    infer: ([x]) => [x],
    ...runVariants<Record<never, never>>({
      name: 'trial',
      variants: [
        { name: 'never', legal: () => false, run: () => tried++ },
        { name: 'always', run: () => {} },
      ],
      prefer: () => 'always',
    }),
  });
  device.choices.measured.set('trial f32[4]/-1', 'never');
  const x = uniform([4], { seed: 1, stream: 1 });
  op.run(device, [x], [x], {});
  assert.equal(await tune(() => op.run(device, [x], [x], {})), []);
  assert.is(tried, 0);
  x.dispose();
  device.close();
});

test('what a winner is made of is tuned, too', async () => {
  const device = await openDevice(silent);
  const outs = [1, 2].map(() => uniform([4], { seed: 1, stream: 1 }));
  const inner = runVariants<Record<never, never>>({
    name: 'inner',
    variants: [
      { name: 'one', run: () => {} },
      { name: 'other', run: () => {} },
    ],
    prefer: () => 'one',
  });
  const slow = () =>
    void scope(() => matmul(uniform([400, 400], { seed: 1, stream: 1 }), uniform([400, 400], { seed: 1, stream: 2 })));
  const outer = kernelOp<Record<never, never>>({
    infer: ([x]) => [x],
    ...runVariants<Record<never, never>>({
      name: 'outer',
      variants: [
        { name: 'slow', run: slow },
        { name: 'made of inner', run: (_, inputs, outputs) => inner.run(device, inputs, outputs, {}) },
      ],
      prefer: () => 'slow',
    }),
  });
  const results = await tune(() => outer.run(device, [outs[0]], [outs[1]], {}), { device, save: false });
  const problems = results.map(({ problem, winner }) => `${problem.split(' ')[0]}: ${winner}`);
  assert.ok(problems.includes('outer: made of inner'), `${problems}`);
  assert.ok(
    problems.some((line) => line.startsWith('inner: ')),
    `${problems}`,
  );
  for (const x of outs) x.dispose();
  device.close();
});

test('what is known of adapters names operations and variants that there are, and is taken until others are measured', () => {
  for (const winners of Object.values(known)) {
    for (const [problem, winner] of Object.entries(winners)) {
      const { family } = opTable[problem.split(' ')[0] as keyof typeof opTable] as { family?: Family<never> };
      assert.ok(
        family?.variants.some(({ name }) => name === winner),
        `${problem}: ${winner}`,
      );
    }
  }
  const adapter = { vendor: 'nvidia', name: 'nvidia-h200', driver: 'another' } as AdapterDescription;
  const [problem, winner] = Object.entries(known['nvidia | nvidia-h200'])[0];
  assert.is(loadMeasured(adapter).get(problem), winner);
  saveMeasured(adapter, [{ problem, winner: 'register', milliseconds: {} }]);
  assert.is(loadMeasured(adapter).get(problem), 'register');
  assert.is(loadMeasured({ ...adapter, name: 'unheard of' }).size, 0);
});

test('a function that is tuned while it is traced compiles to the winners', async () => {
  const device = await openDevice({ ...silent, kernels: 'default' });
  const step = () =>
    scope(() => compile((x: Tensor) => matmul(x, x))(uniform([80, 80], { seed: 1, stream: 1 }))).dispose();
  const [{ problem }] = await tune(step, { save: false });
  device.choices.measured.set(problem, 'tiled64');
  const f = compile((x: Tensor) => matmul(x, x));
  scope(() => f(uniform([80, 80], { seed: 1, stream: 1 }))).dispose();
  assert.match(f.explain(), /matmul_tiled/);
  f.dispose();
  device.close();
});

test.run();
