/**
 * Every variant of the convolutions, pinned, against loops in f64, over shapes that cross its tiles. Memory is poisoned, and
 * nobody clamps indices: an element that is not written, or one read from where it should not be, shows.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { apply, type DType, type OpName, scope } from '../src/index.ts';
import type { Family, Variant } from '../src/kernel/variants.ts';
import type { AnyConvAttributes, Kind } from '../src/ops/conv-geometry.ts';
import { halfUnit } from '../src/ops/matmul-tiles.ts';
import { opTable } from '../src/ops/table.ts';
import type { Pair } from '../src/ops/window.ts';
import {
  arrayOf,
  drawn,
  integer,
  pick,
  present,
  presentations,
  type Random,
  randomFrom,
  runs,
  upload,
} from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { type Expected, type NDArray, sizeOf } from './reference/array.ts';
import * as images from './reference/images.ts';
import * as products from './reference/products.ts';

process.env.DAWNCHORUS_TEST_TOGGLES = 'disable_robustness';
const { device, floats } = await import('./device.ts');
const { poisonMemory } = await import('./poison.ts');
poisonMemory();

interface Problem {
  inputs: NDArray[];
  attributes: AnyConvAttributes;
  expected: () => Expected;
}

/** Names of the three operations over one axis and over two. */
const names: Record<Kind, readonly [OpName, OpName]> = {
  forward: ['conv1d', 'conv2d'],
  transpose: ['convTranspose1d', 'convTranspose2d'],
  weightGradient: ['conv1dWeightGradient', 'conv2dWeightGradient'],
};
const kinds = Object.keys(names) as Kind[];

function familyOf(name: OpName): Family<AnyConvAttributes> {
  return (opTable[name] as unknown as { family: Family<AnyConvAttributes> }).family;
}

/** Sizes on both sides of the 16, 64 and 128 that tiles are made of. */
const channels = [1, 2, 3, 5, 8, 15, 17, 33, 48, 64, 65, 70];

interface Sizes {
  batch: number;
  groups: number;
  inPerGroup: number;
  outPerGroup: number;
}

function draw(
  kind: Kind,
  sizes: Sizes,
  plane: readonly number[],
  kernel: readonly number[],
  steps: images.WindowSizes,
  random: Random,
  dtypes: readonly DType[],
): Problem {
  const { batch, groups, inPerGroup, outPerGroup } = sizes;
  const isPlane = plane.length === 2;
  const outPlane = isPlane
    ? images.steps(plane, kernel as Pair, steps)
    : [products.convOutputLength(plane[0], kernel[0], { ...alone(steps), groups })];
  const dtype = () => pick(random, dtypes);
  const x = arrayOf([batch, inPerGroup * groups, ...plane], random, undefined, dtype());
  const weight = arrayOf([outPerGroup * groups, inPerGroup, ...kernel], random, undefined, dtype());
  const y = arrayOf([batch, outPerGroup * groups, ...outPlane], random, undefined, dtype());
  const attributes = { ...(isPlane ? steps : alone(steps)), groups };
  const over1 = attributes as products.ConvSizes;
  const over2 = attributes as images.Conv2dSizes;
  if (kind === 'forward') {
    return {
      inputs: [x, weight],
      attributes,
      expected: () => (isPlane ? images.conv2d(x, weight, over2) : products.conv1d(x, weight, over1)),
    };
  }
  if (kind === 'transpose') {
    const size = plane as Pair;
    const [length] = plane;
    return {
      inputs: [y, weight],
      attributes: { ...attributes, ...(isPlane ? { size } : { length }) },
      expected: () =>
        isPlane
          ? images.convTranspose2d(y, weight, { ...over2, size })
          : products.convTranspose1d(y, weight, { ...over1, length }),
    };
  }
  return {
    inputs: [x, y],
    attributes: { ...attributes, ...{ kernel: isPlane ? kernel : kernel[0] } },
    expected: () =>
      isPlane
        ? images.conv2dWeightGradient(x, y, { ...over2, kernel: kernel as Pair })
        : products.conv1dWeightGradient(x, y, { ...over1, kernel: kernel[0] }),
  };
}

/** The attributes of an operation over one axis, which is the last of two. */
const alone = ({ stride, padding, dilation }: images.WindowSizes) => ({
  stride: stride[1],
  padding: padding[1],
  dilation: dilation[1],
});

function drawSizes(random: Random, taps: number): Sizes {
  // Few terms where there are many of the other kind: the reference is slow.
  const groups = pick(random, [1, 1, 2, 3]);
  const many = () => pick(random, channels);
  const few = () => integer(random, 1, 5);
  const [inPerGroup, outPerGroup] = random() < 0.5 ? [many(), few()] : [few(), many()];
  return { batch: pick(random, [1, 1, 2, 3]), groups, inPerGroup, outPerGroup: taps > 100 ? few() : outPerGroup };
}

/** Any convolution, or one without groups and gaps between taps. */
function drawAny(kind: Kind, axes: 1 | 2, dtypes: readonly DType[], plain = false): fc.Arbitrary<Problem> {
  return drawn({ maxRank: 0 }, (_, random) => {
    const pair = (from: number, to: number): Pair => [integer(random, from, to), integer(random, from, to)];
    const kernel = pair(1, axes === 1 ? 11 : 4).slice(2 - axes);
    const steps = { stride: pair(1, random() < 0.2 ? 5 : 3), padding: pair(0, 5), dilation: pair(1, plain ? 1 : 3) };
    const plane = kernel.map((taps, d) => {
      const at = (d + 2 - axes) as 0 | 1;
      const least = Math.max(1, steps.dilation[at] * (taps - 1) + 1 - 2 * steps.padding[at]);
      return least + integer(random, 0, random() < 0.3 ? (axes === 1 ? 300 : 40) : 12);
    });
    const sizes = drawSizes(random, sizeOf(kernel));
    return draw(kind, { ...sizes, ...(plain && { groups: 1 }) }, plane, kernel, steps, random, dtypes);
  });
}

/** A long kernel that goes in steps of one. */
function drawLong(kind: Kind): fc.Arbitrary<Problem> {
  return drawn({ maxRank: 0 }, (_, random) => {
    const taps = pick(random, [16, 17, 31, 63, 64, 65, 128, 130]);
    const padding = pick(random, [0, 1, taps >> 1, taps - 1, taps, taps + 3]);
    const length = Math.max(1, taps - 2 * padding) + integer(random, 0, random() < 0.3 ? 200 : 20);
    const steps: images.WindowSizes = { stride: [1, 1], padding: [0, padding], dilation: [1, 1] };
    return draw(kind, drawSizes(random, taps), [length], [taps], steps, random, floats);
  });
}

async function check(
  name: OpName,
  variant: Variant<AnyConvAttributes>,
  problem: Problem,
  turn: number,
  isLegal = true,
) {
  const { attributes } = problem;
  const expected = problem.expected();
  const shapes = problem.inputs.map(({ shape, dtype }) => `${dtype}[${shape}]`).join(' ');
  const what = `${name} by ${variant.name} of ${shapes} ${JSON.stringify(attributes)}`;
  const kernels: string[] = [];
  const output = scope(() => {
    // Others than 'expanded', which would repeat elements.
    const kept = presentations.filter((presentation) => presentation !== 'expanded');
    const tensors = problem.inputs.map((x, i) =>
      turn % 2 === 0 ? upload(x) : present(x, kept[(turn + i) % kept.length]).tensor,
    );
    device.recorder.onDispatch = (kernel) => kernels.push(kernel);
    Object.assign(device.choices, { pinned: { [name]: variant.name } });
    try {
      return apply(name, tensors, attributes as never)[0];
    } finally {
      Object.assign(device.choices, { pinned: {} });
      device.recorder.onDispatch = undefined;
    }
  });
  // tiled64 and tiled64x128 have one kernel.
  const family = variant.name.replace(/\d+(x\d+)?$/, '').replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  if (isLegal && family !== 'register') {
    assert.ok(
      kernels.some(
        (kernel) => kernel.startsWith(`conv_${family}`) || (family === 'tiled' && kernel.startsWith('conv_thin')),
      ),
      `${what}: ran ${kernels}`,
    );
  }
  // Spectra carry the errors of the largest values everywhere.
  await assertMatches(what, output, expected, { relative: 1e-6, peak: family === 'spectrum' });
  output.dispose();
}

/** CPU drivers are slow to compile tiles, which are written out, and to run them. TILE_RUNS raises it. */
const TILE_RUNS = Number(process.env.TILE_RUNS ?? 3);

/** The references take their time. */
const fewer = { ...runs, numRuns: Math.ceil(runs.numRuns * 0.6) };

for (const kind of kinds) {
  for (const axes of [1, 2] as const) {
    const name = names[kind][axes - 1];
    for (const variant of familyOf(name).variants) {
      const long = variant.name === 'window' || variant.name === 'spectrum';
      const plain = variant.name === 'channelsLast';
      if ((long || plain) && axes === 2) continue;
      const byUnits = variant.name.startsWith('matrix');
      // Where SwiftShader's compiler never comes back.
      const hangs =
        kind === 'weightGradient' && /^tiled/.test(variant.name) && /swiftshader/i.test(device.adapter.name);
      const lacking = hangs || (byUnits && !halfUnit(device, 32));
      (lacking ? test.skip : test)(
        `${name} by ${variant.name}${lacking ? ' (skipped: not on this adapter)' : ''}`,
        async () => {
          const draws = long ? drawLong(kind) : drawAny(kind, axes, byUnits ? ['f16'] : floats, plain);
          let turn = 0;
          await fc.assert(
            fc.asyncProperty(draws, (problem) => check(name, variant, problem, turn++)),
            // Those by spectra are taken around a whole circle below.
            /\d$|spectrum/.test(variant.name) ? { ...runs, numRuns: Math.min(runs.numRuns, TILE_RUNS) } : fewer,
          );
        },
      );
    }
  }
}

// Signals that just fill the circle on which their spectra are taken, or just do not: a tap must not meet their other end.
for (const kind of kinds) {
  test(`${names[kind][0]} by spectrum around a whole circle`, async () => {
    const random = randomFrom(7);
    const spectrum = familyOf(names[kind][0]).variants.find(
      ({ name }) => name === 'spectrum',
    ) as Variant<AnyConvAttributes>;
    for (const [length, taps, padding] of [
      [48, 32, 16],
      [49, 32, 16],
      [63, 17, 16],
      [64, 33, 0],
      [70, 65, 64],
      [40, 17, 60],
    ]) {
      const sizes = { batch: 2, groups: 2, inPerGroup: 5, outPerGroup: 6 };
      const steps: images.WindowSizes = { stride: [1, 1], padding: [0, padding], dilation: [1, 1] };
      await check(names[kind][0], spectrum, draw(kind, sizes, [length], [taps], steps, random, ['f32']), 0);
    }
  });
}

// A plane of one row looks like one axis, to kernels that must not take one for the other.
for (const kind of kinds) {
  test(`${names[kind][1]} of planes of one row by every variant but tiles`, async () => {
    const random = randomFrom(8);
    const sizes = { batch: 2, groups: 1, inPerGroup: 3, outPerGroup: 4 };
    const steps: images.WindowSizes = { stride: [1, 1], padding: [0, 2], dilation: [1, 1] };
    for (const variant of familyOf(names[kind][1]).variants.filter(({ name }) => !/^(tiled|matrix)/.test(name))) {
      const problem = draw(kind, sizes, [1, 40], [1, 17], steps, random, ['f32']);
      await check(names[kind][1], variant, problem, 0, false);
    }
  });
}

// Clips and places that no number of splits divides, which drawn sizes seldom are many enough for.
for (const axes of [1, 2] as const) {
  const name = names.weightGradient[axes - 1];
  for (const variant of familyOf(name).variants.filter(
    ({ name }) => name === 'register' || name.startsWith('broadcast'),
  )) {
    test(`${name} by ${variant.name} in splits`, async () => {
      const random = randomFrom(axes);
      for (const [batch, places] of [
        [1, 2003],
        [3, 701],
        [11, 100],
      ]) {
        const sizes = { batch, groups: 1, inPerGroup: 2, outPerGroup: 3 };
        const [plane, kernel] =
          axes === 1
            ? [[places], [3]]
            : [
                [7, Math.ceil(places / 5)],
                [2, 3],
              ];
        const steps: images.WindowSizes = { stride: [2, 1], padding: [1, 1], dilation: [1, 1] };
        await check(name, variant, draw('weightGradient', sizes, plane, kernel, steps, random, ['f32']), 0);
      }
    });
  }
}

test.run();
