/**
 * The first stage of an extractor by each variant, pinned, with the threads a row of a GPU, against loops in f64 and against the
 * three operations that it is. Memory is poisoned and nobody clamps indices.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply, conv1d, convNormGelu, gelu, groupNorm, normal, scope } from '../src/index.ts';
import { opTable } from '../src/ops/table.ts';
import { arrayOf, pick, randomFrom, runs, upload } from './arbitraries.ts';
import { firstStageDraw } from './cases/norm.ts';
import { assertMatches } from './compare.ts';
import { type NDArray, toHalf } from './reference/array.ts';
import {
  type Attributes,
  convNormGeluBackward as backward,
  convNormGelu as forward,
} from './reference/conv-norm-gelu.ts';

process.env.DAWNCHORUS_TEST_TOGGLES = 'disable_robustness';
const { device, floats } = await import('./device.ts');
const { poisonMemory } = await import('./poison.ts');
poisonMemory();

const references = { convNormGelu: forward, convNormGeluBackward: backward };
const names = ['convNormGelu', 'convNormGeluBackward'] as const;
const variants = opTable.convNormGelu.family!.variants;

/** With as many threads a row as steps want, up to 256. */
async function asHardware(variant: string, body: () => Promise<void>): Promise<void> {
  const { software } = device.adapter;
  Object.assign(device.adapter, { software: false });
  Object.assign(device.choices, { pinned: Object.fromEntries(names.map((name) => [name, variant])) });
  try {
    await body();
  } finally {
    Object.assign(device.choices, { pinned: {} });
    Object.assign(device.adapter, { software });
  }
}

async function check(name: (typeof names)[number], inputs: NDArray[], attributes: Attributes) {
  const shapes = inputs.map(({ shape, dtype }) => `${dtype}[${shape}]`).join(' ');
  const outputs = scope(() => apply(name, inputs.map(upload), attributes));
  const expected = references[name](inputs, attributes);
  for (const [i, out] of outputs.entries()) {
    await assertMatches(`output ${i} of ${name} of ${shapes} ${JSON.stringify(attributes)}`, out, expected[i]);
    out.dispose();
  }
}

for (const variant of variants) {
  test(`${variant.name}: drawn signals`, async () => {
    await asHardware(variant.name, () =>
      fc.assert(
        fc.asyncProperty(fc.nat(), async (seed) => {
          const random = randomFrom(seed);
          const inDtype = (x: NDArray): NDArray =>
            pick(random, floats) === 'f32' ? x : { ...x, dtype: 'f16', data: x.data.map(toHalf) };
          const draw = firstStageDraw(random, { largest: 1000 });
          const [x, weight, ...affine] = draw.inputs;
          const inputs = [inDtype(x), inDtype(weight), ...affine];
          await check('convNormGelu', inputs, draw.attributes);
          const [y, statistics] = forward(inputs, draw.attributes);
          const rounded = { ...statistics, data: statistics.data.map(Math.fround) };
          await check('convNormGeluBackward', [...inputs, rounded, inDtype(arrayOf(y.shape, random))], draw.attributes);
        }),
        runs,
      ),
    );
  });
}

test('rows are staged where a workgroup has one alone', () =>
  asHardware('staged', async () => {
    const [, staged] = variants;
    const isLegal = (length: number, stride: number) =>
      scope(() => {
        const inputs = [[1, 1, length], [4, 1, 10], [4], [4]].map((shape) =>
          normal(shape, { seed: 1, stream: 1, device }),
        );
        return staged.legal?.(device, inputs, [], { stride, eps: 1e-5 });
      });
    assert.is(isLegal(3000, 5), true);
    assert.is(isLegal(60, 5), false);
    // Windows so far apart that the samples between them fill the memory.
    assert.is(isLegal(3000 * 50, 50), false);
  }));

test('it is what the three operations are, with long kernels too', async () => {
  const draw = (shape: number[], stream: number) => normal(shape, { seed: 5, stream, device });
  for (const [kernel, stride] of [
    [10, 5],
    [16, 1],
    [17, 3],
  ]) {
    const [x, weight, scale, shift] = [draw([2, 1, 400], 1), draw([6, 1, kernel], 2), draw([6], 3), draw([6], 4)];
    const options = { eps: 1e-3 };
    const whole = await convNormGelu(x, weight, scale, shift, { stride, ...options }).data();
    const parts = await gelu(groupNorm(conv1d(x, weight, { stride }), 6, scale, shift, options)).data();
    whole.forEach((value, i) => {
      assert.ok(Math.abs(value - parts[i]) < 1e-5 * Math.max(1, Math.abs(parts[i])), `kernel ${kernel}, element ${i}`);
    });
  }
});

test('a step alone has no deviation: what comes out is GELU of the shift', async () => {
  const x = normal([2, 1, 10], { seed: 6, stream: 1, device });
  const weight = normal([3, 1, 10], { seed: 6, stream: 2, device });
  const [scale, shift] = [1, 2].map((stream) => normal([3], { seed: 7, stream, device }));
  const found = await convNormGelu(x, weight, scale, shift, { stride: 5 }).data();
  const expected = [...(await gelu(shift).data())];
  assert.equal([...found], [...expected, ...expected]);
});

test('what does not fit is named', () => {
  const draw = (...shape: number[]) => normal(shape, { seed: 1, stream: 1, device });
  const [x, weight, scale, shift] = [draw(2, 1, 40), draw(4, 1, 10), draw(4), draw(4)];
  const fails = (body: () => unknown, message: RegExp) =>
    assert.throws(body, (error: Error) => message.test(error.message));
  fails(
    () => convNormGelu(draw(2, 2, 40), weight, scale, shift),
    /convNormGelu: input \[2, 2, 40\] and weight \[4, 1, 10\]; expected/,
  );
  fails(() => convNormGelu(draw(2, 40), weight, scale, shift), /convNormGelu: .*\[batch, 1, length\]/);
  fails(() => convNormGelu(draw(2, 1, 9), weight, scale, shift), /length 9 is shorter than the kernel's reach of 10/);
  fails(() => convNormGelu(x, weight, draw(3), shift), /the scale is \[3\], but the output has 4 channels/);
  fails(() => convNormGelu(x, weight, scale, draw(1, 4)), /the shift is \[1, 4\], but the output has 4 channels/);
  fails(() => convNormGelu(x, weight, scale, shift, { stride: 0 }), /stride 0; expected a whole number from 1/);
  fails(() => convNormGelu(x, weight, scale, shift, { step: 5 } as never), /there is no 'step'/);
  fails(() => convNormGelu(x.cast('i32'), weight, scale, shift), /convNormGelu: .*the input/);
});

test.run();
