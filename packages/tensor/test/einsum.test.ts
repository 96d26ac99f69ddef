import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, between, integer, present, presentations, randomFrom, runs, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { device, floats, unlessHalf } from './device.ts';
import { type DrawnEquation, equations } from './equations.ts';
import { einsum as reference } from './reference/products.ts';

const { einsum } = t;

/** Sums of halves round once for each sum and product on the way. */
const toleranceOf = ({ operands }: DrawnEquation) =>
  operands.some(({ dtype }) => dtype === 'f16') ? { relative: 8 * 2 ** -11, absolute: 1e-5 } : { relative: 2e-6 };

const describe = ({ equation, operands }: DrawnEquation) =>
  `einsum('${equation}') of ${operands.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(', ')}`;

let turn = 0;
/** The operands of an equation held in all ways, with the result that they should have. */
function presented({ operands, axes, output, extents }: DrawnEquation) {
  const held = t.scope(() => operands.map((x, i) => present(x, presentations[turn++ % presentations.length], i)));
  const tensors = held.map(({ tensor }) => tensor);
  const values = held.map((own) => own.values);
  return { tensors, expected: () => reference(values, axes, output, extents) };
}

// First: the tests after it leave tensors to the garbage collector, whose visits would change what is counted here.
test('a scope gives back what sums are made of', () => {
  const random = randomFrom(2);
  const [a, b] = t.scope(() => [upload(arrayOf([3, 4], random, between(-1, 1))), upload(arrayOf([4, 3], random))]);
  const once = () => t.scope(() => einsum('ij,jk,ii->', a, b, einsum('ij,jk->ik', a, b))).dispose();
  once();
  const before = device.statistics().liveBytes;
  once();
  assert.is(device.statistics().liveBytes, before);
  a.dispose();
  b.dispose();
});

test(`random equations in every presentation${unlessHalf && ', in f32 alone'}`, async () => {
  let stretched = 0;
  await fc.assert(
    fc.asyncProperty(equations({ dtypes: floats }), async (drawn) => {
      const { tensors, expected } = presented(drawn);
      const out = t.scope(() => einsum(drawn.equation, ...tensors).retain());
      await assertMatches(describe(drawn), out, expected(), toleranceOf(drawn));
      if (drawn.equation.includes('...')) stretched++;
      for (const x of [...tensors, out]) x.dispose();
    }),
    { ...runs, numRuns: 8 * runs.numRuns },
  );
  assert.ok(stretched > runs.numRuns);
});

test('random equations of larger operands', async () => {
  const draws = equations({ extents: [1, 2, 3, 17, 33, 65] });
  await fc.assert(
    fc.asyncProperty(draws, async (drawn) => {
      const { tensors, expected } = presented(drawn);
      const out = t.scope(() => einsum(drawn.equation, ...tensors).retain());
      await assertMatches(describe(drawn), out, expected(), toleranceOf(drawn));
      for (const x of [...tensors, out]) x.dispose();
    }),
    runs,
  );
});

test('compiled functions give what eager ones do', async () => {
  await fc.assert(
    fc.asyncProperty(equations({ dtypes: floats }), async (drawn) => {
      const { tensors, expected } = presented(drawn);
      const compiled = t.compile((...inputs: t.Tensor[]) => t.mul(einsum(drawn.equation, ...inputs) as t.Tensor, 2));
      const out = compiled(...tensors);
      const { data, scale, ...rest } = expected();
      const twice = { ...rest, data: data.map((x) => 2 * x), scale: scale?.map((x) => 2 * x) };
      await assertMatches(`compiled ${describe(drawn)}`, out, twice, toleranceOf(drawn));
      for (const x of [...tensors, out]) x.dispose();
      compiled.dispose();
    }),
    runs,
  );
});

const list = (x: t.Tensor) => x.toArray();

test('equations by hand', async () => {
  const x = t.tensor([
    [1, 2],
    [3, 4],
  ]);
  const v = t.tensor([10, 100]);
  assert.is(await einsum('ii', x).item(), 5);
  assert.equal(await list(einsum('ii->i', x)), [1, 4]);
  assert.equal(await list(einsum('ji', x)), [
    [1, 3],
    [2, 4],
  ]);
  assert.equal(await list(einsum('ba', x)), [
    [1, 3],
    [2, 4],
  ]);
  assert.equal(await list(einsum('bA', x)), [
    [1, 3],
    [2, 4],
  ]);
  assert.equal(await list(einsum('ij,j', x, v)), [210, 430]);
  assert.equal(await list(einsum('i,ij->j', v, x)), [310, 420]);
  assert.is(await einsum('i,ij,j->', v, x, v).item(), 100 + 2000 + 3000 + 40_000);
  assert.equal(await list(einsum('i,j->ji', v, t.tensor([1, 2]))), [
    [10, 100],
    [20, 200],
  ]);
  assert.equal(await list(einsum('ij,ij->i', x, x)), [5, 25]);
  assert.equal(await list(einsum('...i->...', x)), [3, 7]);
  assert.equal(await list(einsum('...i->i', x)), [4, 6]);
  assert.equal(await list(einsum('i->i...', v)), [10, 100]);
  assert.equal(await list(einsum(',i->i', t.tensor(3), v)), [30, 300]);
  assert.is(await einsum('', t.tensor(3)).item(), 3);
  assert.is(await einsum('iii->', t.ones([3, 3, 3])).item(), 3);
});

test('whole numbers stay whole, and booleans are counted', async () => {
  const random = randomFrom(1);
  const [a, b] = [
    arrayOf([4, 5], random, (r) => integer(r, -9, 9), 'i32'),
    arrayOf([5, 3], random, (r) => integer(r, -9, 9), 'i32'),
  ];
  const extents = new Map([
    ['i', 4],
    ['j', 5],
    ['k', 3],
  ]);
  const expected = reference(
    [a, b],
    [
      ['i', 'j'],
      ['j', 'k'],
    ],
    ['k', 'i'],
    extents,
  );
  const out = einsum('ij,jk->ki', upload(a), upload(b));
  assert.is(out.dtype, 'i32');
  assert.equal([...(await out.data())], [...expected.data]);
  const mixed = einsum('ij,jk->ki', upload(a), t.cast(upload(b), 'f32'));
  assert.is(mixed.dtype, 'f32');
  assert.equal([...(await mixed.data())], [...expected.data]);
  const mask = t.tensor(
    [
      [1, 0, 1],
      [1, 1, 1],
    ],
    { dtype: 'bool' },
  );
  assert.equal(await list(einsum('ij->i', mask)), [2, 3]);
  assert.equal(await list(einsum('ij,kj->ik', mask, mask)), [
    [2, 2],
    [2, 3],
  ]);
  assert.is(einsum('ij->ji', mask).dtype, 'bool');
});

/** Names and sizes of what passes the door. */
function operations(body: () => unknown): { name: string; shape: readonly number[] }[] {
  const seen: { name: string; shape: readonly number[] }[] = [];
  const stop = t.observe(({ name, outputs }) => seen.push({ name, shape: outputs[0].shape }));
  t.scope(() => {
    body();
  });
  stop();
  return seen;
}

test('a contraction is one product of matrices, and attention is read in place', () => {
  const heads = t.ones([2, 7, 3, 4]);
  const computing = (body: () => unknown) =>
    operations(body).filter(({ name }) => !['reshape', 'permute', 'expand', 'slice'].includes(name));
  assert.equal(
    computing(() => einsum('bqhd,bkhd->bhqk', heads, heads)),
    [{ name: 'matmul', shape: [2, 3, 7, 7] }],
  );
  // The operand whose axes come first goes to the left: nothing is transposed afterwards.
  assert.equal(
    operations(() => einsum('ij,jk->ki', t.ones([4, 5]), t.ones([5, 6]))).filter(({ name }) => name === 'matmul'),
    [{ name: 'matmul', shape: [6, 4] }],
  );
  assert.equal(
    computing(() => einsum('bi,bi->b', t.ones([4, 5]), t.ones([4, 5])))
      .map(({ name }) => name)
      .filter((name) => name !== 'full'),
    ['mul', 'sum'],
  );
});

test('the cheapest pair goes first', () => {
  const [a, b, c] = [t.ones([30, 40]), t.ones([40, 50]), t.ones([50, 2])];
  const sizes = (...operands: t.Tensor[]) =>
    operations(() => einsum('ij,jk,kl->il', ...operands))
      .filter(({ name }) => name === 'matmul')
      .map(({ shape }) => shape[0] * shape[1]);
  assert.equal(sizes(a, b, c), [40 * 2, 30 * 2]);
  assert.equal(sizes(c.transpose(), b.transpose(), a.transpose()), [2 * 40, 2 * 30]);
  // What one operand alone has is summed before anything is multiplied.
  const early = operations(() => einsum('ij,kl->', t.ones([30, 40]), t.ones([50, 60])));
  assert.ok(early.every(({ name, shape }) => name === 'full' || name === 'sum' || shape.length === 0));
});

test('results of up to eight axes, on the way too', async () => {
  const pair = t.ones([2, 2]);
  assert.equal(einsum('ab,cd,ef,gh->abcdefgh', pair, pair, pair, pair).shape, new Array(8).fill(2));
  const wide = t.ones(new Array(8).fill(2));
  const out = einsum('abcdefgh,bcdefghi->iabcdefg', wide, t.ones(new Array(8).fill(2)));
  assert.equal(out.shape, new Array(8).fill(2));
  assert.equal([...new Set(await out.data())], [2]);
  // Seven batch axes and one to sum over.
  const batched = einsum('abcdefgh,abcdefgh,hi->abcdefgi', wide, wide, pair);
  assert.equal([...new Set(await batched.data())], [2]);
});

test('errors say what is wrong with an equation', () => {
  const [x, y] = [t.ones([2, 3]), t.ones([4, 5])];
  const fails = (message: string | RegExp, equation: string, ...operands: t.Tensor[]) => {
    assert.throws(() => einsum(equation, ...operands), message, equation);
  };
  fails(
    "einsum: 'j' of 'ij,jk->ik' is 3 in operand 0 and 4 in operand 1; the shapes are [2, 3] and [4, 5]",
    'ij,jk->ik',
    x,
    y,
  );
  fails("einsum: 'i' of 'ii' is 2 and 3, both in operand 0; the shapes are [2, 3]", 'ii', x);
  fails(/'i' of 'ii' is 1 and 3, both in operand 0/, 'ii', t.ones([1, 3]));
  fails("einsum: 'k' in the output of 'ij->ik' is in no operand", 'ij->ik', x);
  fails("einsum: 'i' stands twice in the output of 'ij->iji'", 'ij->iji', x);
  fails("einsum: 'ijk' in 'ijk' names 3 axes, but operand 0 is [2, 3] with 2", 'ijk', x);
  fails("einsum: 'i' in 'ij,i' names 1 axis, but operand 1 is [4, 5] with 2", 'ij,i', x, y);
  fails("einsum: 'ijk...' in 'ijk...' names 3 axes beside '...', but operand 0 is [2, 3] with 2", 'ijk...', x);
  fails("einsum: 'ij,jk' is for 2 operands, but 1 came", 'ij,jk', x);
  fails("einsum: 'ij' is for 1 operand, but 2 came", 'ij', x, y);
  fails("einsum: '' is for 1 operand, but 0 came", '');
  fails("einsum: '->' stands twice in 'ij->i->j'", 'ij->i->j', x);
  fails(/'1' in 'i1' is no letter; expected letters and '\.\.\.'/, 'i1', x);
  fails(/'\.' in 'i\.\.' is no letter/, 'i..', x);
  fails(/'-' in 'ij-ji' is no letter/, 'ij-ji', x);
  fails("einsum: '...' stands twice in '...i...' of '...i...'", '...i...', x);
  fails(/'\.\.\.' stands twice in '\.\.\.\.\.\.' of 'ij->\.\.\.\.\.\.'/, 'ij->......', x);
  fails(/einsum: '\.\.\.' of '\.\.\.i,\.\.\.j': shapes \[2\] and \[4\] do not broadcast/, '...i,...j', x, y);
  const pair = t.ones([2, 2, 2]);
  fails(/einsum: the result has 9 axes, over the limit of 8/, 'abc,def,ghi->abcdefghi', pair, pair, pair);
  // Whichever pair goes first leaves nine axes or ten.
  fails(
    /einsum: a product on the way has 9 axes/,
    'abcdefg,abijklm,cdijop->efgklmop',
    t.ones(new Array(7).fill(2)),
    t.ones(new Array(7).fill(2)),
    t.ones(new Array(6).fill(2)),
  );
});

test.run();
