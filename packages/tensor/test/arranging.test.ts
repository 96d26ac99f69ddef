import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, drawn, integer, pick, present, presentations, type Random, runs } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import { at, build, sizeOf } from './reference/array.ts';

/** An operation and where each element of its output comes from: an index into x, or the number that stands there. */
interface Move {
  shape: number[];
  source: (index: readonly number[]) => readonly number[] | number;
  run: (x: t.Tensor) => t.Tensor;
}

function moves(
  name: string,
  make: (shape: readonly number[], random: Random) => Move,
  options: Parameters<typeof drawn>[0] = {},
) {
  test(`${name} in every presentation`, async () => {
    const draws = drawn({ minRank: 1, maxRank: 4, largest: 300, ...options }, (shape, random) => ({
      x: arrayOf(shape, random),
      move: make(shape, random),
    }));
    let turn = 0;
    await fc.assert(
      fc.asyncProperty(draws, async ({ x, move }) => {
        const { values, out } = t.scope(() => {
          const { values, tensor } = present(x, presentations[turn % presentations.length], turn++);
          return { values, out: move.run(tensor) };
        });
        const expected = build(move.shape, 'f32', (index) => {
          const from = move.source(index);
          return typeof from === 'number' ? from : at(values, from);
        });
        await assertMatches(`${name} of [${x.shape}]`, out, expected);
        out.dispose();
      }),
      { ...runs, numRuns: 50 },
    );
  });
}

const anAxis = (shape: readonly number[], random: Random) => integer(random, 0, shape.length - 1);
const replaced = (shape: readonly number[], axis: number, value: number) =>
  shape.map((own, d) => (d === axis ? value : own));
const modulo = (value: number, by: number) => ((value % by) + by) % by;

/** The index of an element by its place in row-major order. */
function unravel(flat: number, shape: readonly number[]): number[] {
  const index = new Array<number>(shape.length);
  for (let d = shape.length - 1; d >= 0; d--) {
    index[d] = flat % shape[d];
    flat = Math.floor(flat / shape[d]);
  }
  return index;
}

const ravel = (index: readonly number[], shape: readonly number[]) =>
  index.reduce((flat, i, d) => flat * shape[d] + i, 0);

moves('flip along one axis', (shape, random) => {
  const d = anAxis(shape, random);
  return {
    shape: [...shape],
    source: (index) => replaced(index, d, shape[d] - 1 - index[d]),
    run: (x) => t.flip(x, d - shape.length),
  };
});

moves('roll along axes', (shape, random) => {
  const shifts = shape.map(() => integer(random, -9, 9));
  return {
    shape: [...shape],
    source: (index) => index.map((i, d) => modulo(i - shifts[d], shape[d])),
    run: (x) =>
      t.roll(
        x,
        shifts,
        shape.map((_, d) => d),
      ),
  };
});

moves('roll of everything', (shape, random) => {
  const shift = integer(random, -300, 300);
  return {
    shape: [...shape],
    source: (index) => unravel(modulo(ravel(index, shape) - shift, sizeOf(shape)), shape),
    run: (x) => t.roll(x, shift),
  };
});

moves(
  'tile and repeat',
  (shape, random) => {
    const repeats = Array.from({ length: integer(random, 0, shape.length + 1) }, () => integer(random, 0, 3));
    const lead = Math.max(0, repeats.length - shape.length);
    const own = [...new Array(lead).fill(1), ...shape];
    const times = [...new Array(own.length - repeats.length).fill(1), ...repeats];
    return {
      shape: own.map((extent, d) => extent * times[d]),
      source: (index) => index.map((i, d) => i % own[d]).slice(lead),
      run: (x) => (repeats.length >= shape.length && random() < 0.5 ? t.repeat(x, repeats) : t.tile(x, repeats)),
    };
  },
  { minRank: 0 },
);

moves('repeatInterleave', (shape, random) => {
  const [d, times] = [anAxis(shape, random), integer(random, 0, 4)];
  return {
    shape: replaced(shape, d, shape[d] * times),
    source: (index) => replaced(index, d, Math.floor(index[d] / times)),
    run: (x) => t.repeatInterleave(x, times, { dim: d }),
  };
});

test('repeats of tensors of the greatest rank', async () => {
  const shape = [2, 1, 3, 1, 2, 1, 1, 2];
  const x = t.tensor(
    Float32Array.from({ length: 24 }, (_, i) => i),
    { shape },
  );
  const element = async (y: t.Tensor, index: number[]) => Number((await y.data())[ravel(index, y.shape)]);
  const times = [2, 3, 1, 2, 2, 1, 2, 3];
  const tiled = t.tile(x, times);
  assert.equal(
    [...tiled.shape],
    shape.map((extent, d) => extent * times[d]),
  );
  const index = [3, 2, 1, 1, 3, 0, 1, 5];
  assert.is(
    await element(tiled, index),
    ravel(
      index.map((i, d) => i % shape[d]),
      shape,
    ),
  );
  const spread = t.repeatInterleave(x, 3, { dim: 2 });
  assert.equal([...spread.shape], [2, 1, 9, 1, 2, 1, 1, 2]);
  assert.is(await element(spread, [1, 0, 7, 0, 1, 0, 0, 1]), ravel([1, 0, 2, 0, 1, 0, 0, 1], shape));
  assert.equal([...t.tile(t.ones([2, 2, 2, 2, 2]), [2, 2, 2, 2, 2]).shape], [4, 4, 4, 4, 4]);
});

moves('split and concat give x back', (shape, random) => {
  const d = anAxis(shape, random);
  const size = integer(random, 1, 5);
  return { shape: [...shape], source: (index) => index, run: (x) => t.concat(t.split(x, size, { dim: d }), d) };
});

moves('one part of a split', (shape, random) => {
  const d = anAxis(shape, random);
  const first = integer(random, 0, shape[d]);
  const second = integer(random, 0, shape[d] - first);
  const sizes = [first, second, shape[d] - first - second];
  const at = integer(random, 0, 2);
  const start = sizes.slice(0, at).reduce((a, b) => a + b, 0);
  return {
    shape: replaced(shape, d, sizes[at]),
    source: (index) => replaced(index, d, index[d] + start),
    run: (x) => t.split(x, sizes, { dim: d })[at],
  };
});

const modes = ['constant', 'reflect', 'replicate', 'circular'] as const;

for (const mode of modes) {
  moves(
    `pad, ${mode}`,
    (shape, random) => {
      const value = pick(random, [0, 1.5]);
      const pairs = shape.slice(integer(random, 0, shape.length - 1)).map((extent) => {
        const most = { constant: 4, reflect: extent - 1, replicate: 4, circular: extent }[mode];
        const side = () =>
          integer(random, random() < 0.3 ? -Math.floor(extent / 3) : 0, Math.min(4, Math.max(0, most)));
        const [before, after] = [side(), side()];
        // Cut first, then mirror what is left.
        const left = extent + Math.min(0, before) + Math.min(0, after);
        const limit = mode === 'reflect' ? left - 1 : mode === 'circular' ? left : 4;
        return [Math.min(before, limit), Math.min(after, limit)];
      });
      const lead = shape.length - pairs.length;
      const all = [...new Array(lead).fill([0, 0]), ...pairs];
      const from = (i: number, d: number) => {
        const cut = Math.max(0, -all[d][0]);
        const left = shape[d] - cut - Math.max(0, -all[d][1]);
        let j = i - Math.max(0, all[d][0]);
        if (mode === 'replicate') j = Math.min(left - 1, Math.max(0, j));
        if (mode === 'circular') j = modulo(j, left);
        if (mode === 'reflect') j = j < 0 ? -j : j >= left ? 2 * (left - 1) - j : j;
        return j < 0 || j >= left ? undefined : j + cut;
      };
      return {
        shape: shape.map((extent, d) => extent + all[d][0] + all[d][1]),
        source: (index) => {
          const found = index.map(from);
          return found.includes(undefined) ? value : (found as number[]);
        },
        run: (x) => t.pad(x, [...pairs].reverse().flat(), { mode, value }),
      };
    },
    { empty: false },
  );
}

moves(
  'diagonal',
  (shape, random) => {
    const [a, b] = random() < 0.5 ? [0, shape.length - 1] : [shape.length - 1, 0];
    const offset = integer(random, -4, 4);
    const rest = shape.map((_, d) => d).filter((d) => d !== a && d !== b);
    const count = Math.max(0, Math.min(shape[a] + Math.min(0, offset), shape[b] - Math.max(0, offset)));
    return {
      shape: [...rest.map((d) => shape[d]), count],
      source: (index) => {
        const i = index[index.length - 1];
        const from = new Array<number>(shape.length);
        rest.forEach((d, k) => {
          from[d] = index[k];
        });
        from[a] = i + Math.max(0, -offset);
        from[b] = i + Math.max(0, offset);
        return from;
      },
      run: (x) => t.diagonal(x, { offset, dim1: a, dim2: b }),
    };
  },
  { minRank: 2 },
);

moves(
  'tril',
  (shape, random) => {
    const diagonal = integer(random, -4, 4);
    const keep = (index: readonly number[]) => index[index.length - 1] <= index[index.length - 2] + diagonal;
    return { shape: [...shape], source: (index) => (keep(index) ? index : 0), run: (x) => t.tril(x, { diagonal }) };
  },
  { minRank: 2 },
);

moves(
  'triu',
  (shape, random) => {
    const diagonal = integer(random, -4, 4);
    const keep = (index: readonly number[]) => index[index.length - 1] >= index[index.length - 2] + diagonal;
    return { shape: [...shape], source: (index) => (keep(index) ? index : 0), run: (x) => t.triu(x, { diagonal }) };
  },
  { minRank: 2 },
);

moves('movedim', (shape, random) => {
  const axes = shape.map((_, d) => d).sort(() => random() - 0.5);
  const count = integer(random, 1, shape.length);
  const [from, to] = [
    axes.slice(0, count),
    shape
      .map((_, d) => d)
      .sort(() => random() - 0.5)
      .slice(0, count),
  ];
  const rest = shape.map((_, d) => d).filter((d) => !from.includes(d));
  const order = shape.map((_, d) => (to.includes(d) ? from[to.indexOf(d)] : (rest.shift() as number)));
  return {
    shape: order.map((d) => shape[d]),
    source: (index) => {
      const source = new Array<number>(shape.length);
      order.forEach((d, i) => {
        source[d] = index[i];
      });
      return source;
    },
    run: (x) => t.movedim(x, from, to),
  };
});

moves('flatten', (shape, random) => {
  const from = anAxis(shape, random);
  const to = integer(random, from, shape.length - 1);
  const joined = shape.slice(from, to + 1);
  return {
    shape: [...shape.slice(0, from), sizeOf(joined), ...shape.slice(to + 1)],
    source: (index) => [...index.slice(0, from), ...unravel(index[from], joined), ...index.slice(from + 1)],
    run: (x) => t.flatten(x, from, to - shape.length),
  };
});

const list = (x: t.Tensor) => x.toArray();

test('squeeze and unsqueeze of several axes, flatten of a scalar, unflatten', () => {
  const x = t.zeros([1, 3, 1, 2]);
  assert.equal([...x.squeeze().shape], [3, 2]);
  assert.equal([...x.squeeze([0, -2]).shape], [3, 2]);
  assert.equal([...x.squeeze(2).shape], [1, 3, 2]);
  assert.equal([...t.zeros([3, 2]).unsqueeze([0, -1]).shape], [1, 3, 2, 1]);
  assert.equal([...t.zeros([]).flatten().shape], [1]);
  assert.equal([...t.zeros([2, 12]).unflatten(1, [3, -1]).shape], [2, 3, 4]);
  assert.equal([...t.zeros([0, 4]).unflatten(0, [0, 3]).shape], [0, 3, 4]);
  assert.equal([...t.broadcastTo(t.zeros([3, 1]), [2, 3, 4]).shape], [2, 3, 4]);
});

test('chunk makes at most as many parts, and split at least one', () => {
  const extents = (parts: t.Tensor[]) => parts.map(({ shape }) => shape[0]);
  assert.equal(extents(t.chunk(t.zeros([10]), 4)), [3, 3, 3, 1]);
  assert.equal(extents(t.chunk(t.zeros([5]), 4)), [2, 2, 1]);
  assert.equal(extents(t.split(t.zeros([5]), 5)), [5]);
  assert.equal(extents(t.split(t.zeros([0]), 5)), [0]);
});

test('unfold is a view of frames, which may overlap', async () => {
  const x = t.arange(0, 7);
  const frames = x.unfold(0, 3, 2);
  assert.is(frames.storage, x.storage);
  assert.equal(await frames.toArray(), [
    [0, 1, 2],
    [2, 3, 4],
    [4, 5, 6],
  ]);
  assert.equal(t.unfold(t.zeros([2, 9, 4]), -2, 4, 3).shape, [2, 2, 4, 4]);
  assert.throws(() => t.unfold(x, 0, 8, 1), /unfold: size 8 and step 1 for axis 0 of \[7\]; .* at most 7/);
  assert.throws(() => t.unfold(x, 0, 2, 0), /unfold: size 2 and step 0/);
  assert.throws(() => t.unfold(x, 1, 2, 1), /unfold: axis 1 does not exist/);
});

test('arange and linspace', async () => {
  assert.equal(await list(t.arange(4)), [0, 1, 2, 3]);
  assert.equal(await list(t.arange(5, 0, -2)), [5, 3, 1]);
  assert.equal(await list(t.arange(3, 1)), []);
  assert.is(t.arange(3).dtype, 'i32');
  assert.is(t.arange(0, 1, 0.25).dtype, 'f32');
  assert.is(t.arange(3, { dtype: 'u32' }).dtype, 'u32');
  assert.equal(await list(t.linspace(0, 1, 5)), [0, 0.25, 0.5, 0.75, 1]);
  assert.equal(await list(t.linspace(-3, 0.7, 1)), [-3]);
  assert.equal(await list(t.linspace(2, 1, 0)), []);
  const many = await t.linspace(0.1, 0.7, 100_001).data();
  assert.is(many[0], Math.fround(0.1));
  assert.is(many[100_000], Math.fround(0.7));
  for (let i = 0; i <= 100_000; i += 997) assert.ok(Math.abs(many[i] - (0.1 + (i * 0.6) / 100_000)) < 1e-7);
});

test('eye, tri and tensors like others', async () => {
  assert.equal(await list(t.eye(2, 3)), [
    [1, 0, 0],
    [0, 1, 0],
  ]);
  assert.is(t.eye(2, 2, { dtype: 'i32' }).dtype, 'i32');
  assert.equal(await list(t.tri(3, 3)), [
    [1, 0, 0],
    [1, 1, 0],
    [1, 1, 1],
  ]);
  assert.equal(await list(t.tri(2, 3, { diagonal: 1 })), [
    [1, 1, 0],
    [1, 1, 1],
  ]);
  const x = t.zeros([2, 1], { dtype: 'i32' });
  assert.equal(await list(t.fullLike(x, 7)), [[7], [7]]);
  assert.is(t.onesLike(x).dtype, 'i32');
  assert.is(t.zerosLike(x, { dtype: 'bool' }).dtype, 'bool');
  assert.equal(await list(t.tril(t.ones([2, 2], { dtype: 'bool' }))), [
    [1, 0],
    [1, 1],
  ]);
});

test('oneHot leaves out what is no class', async () => {
  const x = t.tensor(Int32Array.of(2, 0, -1, 3));
  assert.equal(await list(t.oneHot(x, { classes: 3 })), [
    [0, 0, 1],
    [1, 0, 0],
    [0, 0, 0],
    [0, 0, 0],
  ]);
  assert.is(t.oneHot(x.cast('u32').reshape([2, 2]), { classes: 3, dtype: 'bool' }).dtype, 'bool');
});

test('meshgrid', async () => {
  const [a, b] = [t.arange(2), t.arange(3)];
  const [i, j] = t.meshgrid([a, b]);
  assert.equal(await list(i), [
    [0, 0, 0],
    [1, 1, 1],
  ]);
  assert.equal(await list(j), [
    [0, 1, 2],
    [0, 1, 2],
  ]);
  const [x, y] = t.meshgrid([a, b], { indexing: 'xy' });
  assert.equal(await list(x), await list(i.transpose()));
  assert.equal(await list(y), await list(j.transpose()));
});

test('maskedFill', async () => {
  const x = t.tensor([
    [1, 2],
    [3, 4],
  ]);
  const mask = t.tensor([0, 1], { dtype: 'bool' });
  assert.equal(await list(t.maskedFill(x, mask, -1)), [
    [1, -1],
    [3, -1],
  ]);
  assert.equal(await list(x.maskedFill(mask, Number.NEGATIVE_INFINITY)), [
    [1, Number.NEGATIVE_INFINITY],
    [3, Number.NEGATIVE_INFINITY],
  ]);
});

test.run();
