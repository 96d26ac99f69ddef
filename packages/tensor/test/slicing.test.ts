import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, drawn, integer, pick, present, presentations, type Random, runs, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { floats } from './device.ts';
import { at, broadcast, build, type NDArray } from './reference/array.ts';

type Item = number | null | '...' | (number | null)[] | NDArray;

const isArray = (item: Item): item is NDArray => typeof item === 'object' && item !== null && 'data' in item;

/** Python's range(start, end, step) of a slice, by walking it. */
function positions(extent: number, [start = null, end = null, step = null]: (number | null)[]): number[] {
  const by = step ?? 1;
  const found: number[] = [];
  const resolve = (value: number) => (value < 0 ? value + extent : value);
  const first = start === null ? (by > 0 ? 0 : extent - 1) : resolve(start);
  const stop = end === null ? (by > 0 ? extent : -1) : end < -extent ? -1 : resolve(end);
  // Walk all whole numbers that could be meant, so that bounds outside need no rule of their own.
  for (
    let i = by > 0 ? Math.max(0, first) : Math.min(extent - 1, first);
    by > 0 ? i < Math.min(stop, extent) : i > stop;
    i += by
  ) {
    if (i >= 0) found.push(i);
  }
  return found;
}

/** NumPy's indexing, element by element. */
function index(x: NDArray, items: Item[]): NDArray {
  const used = items.filter((item) => item !== null && item !== '...').length;
  const fill = new Array<Item>(x.shape.length - used).fill([]);
  const dots = items.indexOf('...');
  const all = dots < 0 ? [...items, ...fill] : [...items.slice(0, dots), ...fill, ...items.slice(dots + 1)];
  const arrays = all.filter(isArray);
  const joint = broadcast(...arrays.map((array) => array.shape), []);
  const advanced = all.map((item) => arrays.length > 0 && (isArray(item) || typeof item === 'number'));
  const [first, last] = [advanced.indexOf(true), advanced.lastIndexOf(true)];
  const apart = advanced.slice(Math.max(0, first), last + 1).includes(false);
  const shape: number[] = [];
  let jointAt = apart ? 0 : -1;
  if (apart) shape.push(...joint);
  let axis = 0;
  const readers = all.map((item, i) => {
    const own = item === null ? -1 : axis++;
    if (!apart && i === first) {
      jointAt = shape.length;
      shape.push(...joint);
    }
    if (item === null) {
      shape.push(1);
      return undefined;
    }
    if (isArray(item)) {
      return (to: readonly number[]) => {
        const value = at(item, to.slice(jointAt, jointAt + joint.length));
        return value < 0 ? value + x.shape[own] : value;
      };
    }
    if (typeof item === 'number') return () => (item < 0 ? item + x.shape[own] : item);
    const found = positions(x.shape[own], item as (number | null)[]);
    const place = shape.length;
    shape.push(found.length);
    return (to: readonly number[]) => found[to[place]];
  });
  return build(shape, x.dtype, (to) => {
    const from = readers.flatMap((read) => (read ? [read(to)] : []));
    const inside = from.every((i, d) => i >= 0 && i < x.shape[d]);
    return inside ? at(x, from) : x.dtype === 'f32' ? Number.NaN : 2 ** 31 - 1;
  });
}

const toIndex = (item: Item): t.Index => (isArray(item) ? upload(item) : item);

function someItems(shape: readonly number[], random: Random, tensors: boolean): Item[] {
  const joint = pick(random, [[], [1], [3], [2, 2], [0]]);
  const item = (extent: number): Item => {
    const kind = random();
    const bound = () => (random() < 0.3 ? null : integer(random, -extent - 2, extent + 2));
    if (kind < 0.25 && extent > 0) return integer(random, -extent, extent - 1);
    if (kind < 0.55 && tensors) {
      const own = joint.map((e) => (random() < 0.2 ? 1 : e)).slice(random() < 0.2 ? Math.min(1, joint.length) : 0);
      // Now and then outside.
      const value = (r: Random) => (r() < 0.05 ? extent + 1 : integer(r, -extent, Math.max(0, extent - 1)));
      return arrayOf(own, random, value, 'i32');
    }
    if (kind < 0.65) return [];
    return [bound(), bound(), pick(random, [1, 1, 2, 3, -1, -2])].slice(0, integer(random, 1, 3));
  };
  const count = integer(random, 0, shape.length);
  const head = integer(random, 0, count);
  const dots: Item[] = head < count ? ['...'] : [];
  const items = [...shape.slice(0, head).map(item), ...dots, ...shape.slice(shape.length - count + head).map(item)];
  if (random() < 0.3) items.splice(integer(random, 0, items.length), 0, null);
  return items;
}

for (const tensors of [false, true]) {
  test(`slice indexes as NumPy does, ${tensors ? 'with' : 'without'} index tensors, in every presentation`, async () => {
    const draws = drawn({ minRank: 1, maxRank: 4, largest: 400 }, (shape, random) => ({
      x: arrayOf(shape, random),
      items: someItems(shape, random, tensors),
    }));
    let turn = 0;
    await fc.assert(
      fc.asyncProperty(draws, async ({ x, items }) => {
        const { values, out } = t.scope(() => {
          const { values, tensor } = present(x, presentations[turn % presentations.length], turn++);
          return { values, out: t.slice(tensor, ...items.map(toIndex)) };
        });
        const shown = items.map((item) => (isArray(item) ? `tensor[${item.shape}]` : JSON.stringify(item))).join(', ');
        await assertMatches(`slice([${x.shape}], ${shown})`, out, index(values, items));
        out.dispose();
      }),
      { ...runs, numRuns: 150 },
    );
  });
}

test('slice of whole numbers, halves aside, and of booleans', async () => {
  const draws = drawn({ minRank: 1, maxRank: 3, largest: 60, empty: false }, (shape, random) => ({
    x: arrayOf(shape, random, (r) => integer(r, -9, 9), pick(random, ['i32', 'bool'])),
    place: arrayOf([5], random, (r) => integer(r, -shape[0], shape[0] - 1), 'i32'),
  }));
  await fc.assert(
    fc.asyncProperty(draws, async ({ x, place }) => {
      const out = t.scope(() => upload(x).slice(upload(place), '...', null));
      await assertMatches('slice', out, index(x, [place, '...', null]));
      out.dispose();
    }),
    runs,
  );
});

test('slice agrees with NumPy', async () => {
  const x = t.arange(120).reshape([2, 3, 4, 5]);
  const i = t.tensor(Int32Array.of(1, 0, -1));
  const j = t.tensor(Int32Array.of(2, 0), { shape: [2, 1] });
  const k = t.tensor(Int32Array.of(1, 0, 1));
  // The shapes and the checksums that numpy 2 gives for the same indices.
  const cases: [t.Index[], number[], number][] = [
    [[[1, 3], 2, [], null], [1, 4, 1, 5], 23660],
    [[[], [null, null, -1], [-1, null, -2]], [2, 3, 2, 5], 131830],
    [['...', 0], [2, 3, 4], 23000],
    [[null, '...', [1, -1], null], [1, 2, 3, 4, 3, 1], 208164],
    [[[], i], [2, 3, 4, 5], 324832],
    [[[], i, j], [2, 2, 3, 5], 131180],
    [[k, [], j], [2, 3, 3, 5], 270420],
    [[[], 1, i], [2, 3, 5], 34590],
    [[1, [], i], [3, 3, 5], 97110],
    [[k, null, i], [3, 1, 4, 5], 137180],
    [[[], [0, 2], j, [null, null, 2]], [2, 2, 2, 1, 3], 18992],
    [[k, i, j, 0], [2, 3], 1360],
    [
      [
        [-9, 9],
        [2, 1],
        [1, 100],
      ],
      [2, 0, 3, 5],
      0,
    ],
  ];
  for (const [n, [indices, shape, checksum]] of cases.entries()) {
    const out = x.slice(...indices);
    assert.equal([...out.shape], shape, `case ${n}`);
    const data = await out.data();
    assert.is(
      [...data].reduce((sum, value, at) => sum + value * ((at % 97) + 1), 0),
      checksum,
      `case ${n}`,
    );
  }
});

test('a slice without tensors and without steps backwards is a view', () => {
  const x = t.zeros([4, 5, 6]);
  const live = x.device.statistics().liveBytes;
  const view = x.slice([1, 3], 2, [null, null, 2], null);
  assert.is(x.device.statistics().liveBytes, live);
  assert.equal([...view.shape], [2, 3, 1]);
});

test('views that begin at a four, at a single element and along rows are read where they lie', async () => {
  for (const dtype of [...floats, 'i32'] as const) {
    const x = t.arange(64).cast(dtype);
    const ascending = (from: number, count: number) => Array.from({ length: count }, (_, i) => from + i);
    const both = x.slice([8, 24]).add(x.slice([36, 52]));
    assert.equal(
      await both.toArray(),
      ascending(8, 16).map((value) => 2 * value + 28),
    );
    assert.equal(
      await x
        .slice([4, 12])
        .maximum(x.slice([6, 7]))
        .toArray(),
      [6, 6, 6, 7, 8, 9, 10, 11],
    );
    const three = t.where(x.slice([8, 16]).gt(x.slice([11, 12])), x.slice([24, 32]), x.slice([44, 52]));
    assert.equal(await three.toArray(), [44, 45, 46, 47, 28, 29, 30, 31]);
    // A row for all rows, columns for all columns, and every other element of rows.
    const square = x.slice([16, 32]).reshape([4, 4]);
    const rows = await square
      .sub(x.slice([20, 24]))
      .add(x.slice([3, 7]).reshape([4, 1]))
      .toArray();
    assert.equal(
      rows,
      [0, 1, 2, 3].map((i) => ascending(0, 4).map(() => 5 * i - 1)),
    );
    const strided = x.reshape([8, 8]).slice([2, 6], [0, 8, 2]);
    assert.equal(
      await strided.mul(t.tensor([1, 0, 2, 0], { dtype })).toArray(),
      [2, 3, 4, 5].map((i) => [8 * i, 0, 16 * i + 8, 0]),
    );
  }
});

test('select and narrow', async () => {
  const x = t.arange(12).reshape([3, 4]);
  assert.equal(await x.select(0, -1).toArray(), [8, 9, 10, 11]);
  assert.equal(await x.select(-1, 1).toArray(), [1, 5, 9]);
  assert.equal(await x.narrow(1, 1, 2).toArray(), [
    [1, 2],
    [5, 6],
    [9, 10],
  ]);
  assert.equal(await x.narrow(0, -2, 1).toArray(), [[4, 5, 6, 7]]);
  assert.equal([...x.narrow(0, 3, 0).shape], [0, 4]);
});

test.run();
