/**
 * The search for residual codes by every variant, pinned, against loops in f64, over shapes that cross its tiles. Memory is
 * poisoned and nobody clamps indices: what is not written, or read from where it should not be, shows.
 */
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  codebookUpdate,
  compile,
  nearestCode,
  normal,
  residualCodes,
  scope,
  type Tensor,
  tensor,
} from '../src/index.ts';
import { opTable } from '../src/ops/table.ts';
import * as reference from './reference/training.ts';
import './seed.ts';

process.env.DAWNCHORUS_TEST_TOGGLES = 'disable_robustness';
const { device } = await import('./device.ts');
const { poisonMemory } = await import('./poison.ts');
poisonMemory();

const variants = opTable.residualCodes.family!.variants.map(({ name }) => name);

async function pinned<T>(variant: string, body: () => Promise<T>): Promise<T> {
  const { pinned } = device.choices as { pinned: Record<string, string> };
  Object.assign(pinned, { residualCodes: variant, nearestCode: variant });
  try {
    return await body();
  } finally {
    delete pinned.residualCodes;
    delete pinned.nearestCode;
  }
}

interface Stage {
  code: number;
  /** By how much less than the second best, in parts of what distances are made of. */
  margin: number;
}

/** The stages of one row in f64, and what is left at the end of each. */
function encode(row: ArrayLike<number>, books: readonly ArrayLike<number>[], codes: number) {
  const dimension = row.length;
  let left = Float64Array.from(row);
  const stages: Stage[] = [];
  const residuals: Float64Array[] = [];
  for (const book of books) {
    const distances = Array.from({ length: codes }, (_, code) => {
      let sum = 0;
      for (let d = 0; d < dimension; d++) sum += (left[d] - book[code * dimension + d]) ** 2;
      return sum;
    });
    const least = Math.min(...distances);
    const code = distances.indexOf(least);
    const others = distances.filter((_, i) => i !== code);
    const size = left.reduce((sum, value) => sum + value * value, 0) + Math.max(...distances);
    stages.push({ code, margin: (Math.min(...others, Number.MAX_VALUE) - least) / size });
    left = left.map((value, d) => value - book[code * dimension + d]);
    residuals.push(left);
  }
  return { stages, residuals };
}

const read = async (x: Tensor) => (await x.data()) as Float32Array | Int32Array;

for (const variant of variants) {
  test(`${variant}: random rows and codebooks across the tiles`, async () => {
    const sizes = fc.record({
      rows: fc.constantFrom(1, 15, 16, 17, 33, 65, 130),
      dimension: fc.constantFrom(1, 2, 3, 5, 8, 127, 128, 129, 257),
      codes: fc.constantFrom(1, 3, 31, 33, 64, 100, 129, 300, 1025),
      stages: fc.integer({ min: 1, max: 6 }),
      keep: fc.boolean(),
      seed: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(sizes, async ({ rows, dimension, codes, stages, keep, seed }) => {
        fc.pre(rows * dimension * codes * stages < 4e7);
        const draw = (shape: number[], stream: number) => normal(shape, { seed, stream, device });
        // A view from the middle of its storage.
        const x = draw([rows + 1, dimension], 1).sliceAxis(0, 1);
        const books = Array.from({ length: stages }, (_, i) => draw([codes, dimension], 2 + i).mul(0.7 ** i));
        const found = await pinned(variant, async () => residualCodes(x, books, { keep }));
        assert.equal(found.codes.shape, [stages, rows]);
        assert.equal(found.residual.shape, keep ? [stages, rows, dimension] : [rows, dimension]);
        const [got, left] = [await read(found.codes), await read(found.residual)];
        const xs = await read(x);
        const bookData = await Promise.all(books.map(read));
        for (let r = 0; r < rows; r++) {
          const want = encode(xs.slice(r * dimension, (r + 1) * dimension), bookData, codes);
          // Where two are as near as f32 can tell, either is right, and the stages after it differ.
          const sure = want.stages.findIndex(({ margin }) => margin < 1e-5);
          const checked = sure < 0 ? stages : sure;
          for (let s = 0; s < checked; s++) assert.is(got[s * rows + r], want.stages[s].code, `row ${r}, stage ${s}`);
          for (let s = 0; s < stages; s++) {
            if (s >= checked || (!keep && s < stages - 1)) continue;
            const at = ((keep ? s : 0) * rows + r) * dimension;
            for (let d = 0; d < dimension; d++) {
              assert.ok(Math.abs(left[at + d] - want.residuals[s][d]) < 1e-5, `residual of row ${r}, stage ${s}`);
            }
          }
        }
        for (const each of [x, found.codes, found.residual, ...books]) each.dispose();
      }),
      { numRuns: 25 },
    );
  });

  test(`${variant}: equal entries give the first, wherever they are`, async () => {
    await pinned(variant, async () => {
      const book = new Float32Array(300 * 4).fill(9);
      for (const code of [37, 38, 130, 260, 299]) book.set([1, -2, 0.5, 3], code * 4);
      const x = tensor([1, -2, 0.5, 3, 1.2, -2, 0.5, 3], { shape: [2, 4], device });
      const { codes, residual } = nearestCode(x, tensor(book, { shape: [300, 4], device }));
      assert.equal([...(await read(codes))], [37, 37]);
      assert.equal([...(await read(residual))].slice(0, 5), [0, 0, 0, 0, Math.fround(Math.fround(1.2) - 1)]);
      // All are equally near to nothing, from either side of zero.
      const signed = nearestCode(
        tensor([[0, 0]], { device }),
        tensor(
          [
            [1, 1],
            [-1, 1],
            [1, -1],
          ],
          { device },
        ),
      );
      assert.equal([...(await read(signed.codes))], [0]);
      const zeros = nearestCode(
        tensor([[0]], { device }),
        tensor(new Float32Array(200).fill(-0), { shape: [200, 1], device }),
      );
      assert.equal([...(await read(zeros.codes))], [0]);
    });
  });

  test(`${variant}: a row of NaN takes code 0 and touches no other row`, async () => {
    await pinned(variant, async () => {
      const x = tensor([Number.NaN, 1, 5, 5, 1, 1], { shape: [3, 2], device });
      const { codes, residual } = residualCodes(x, [
        tensor(
          [
            [1, 1],
            [5, 4],
          ],
          { device },
        ),
        tensor(
          [
            [0, 0],
            [0, 1],
          ],
          { device },
        ),
      ]);
      assert.equal([...(await read(codes))], [0, 1, 0, 0, 1, 0]);
      const left = await read(residual);
      assert.ok(Number.isNaN(left[0]));
      assert.equal([...left].slice(2), [0, 0, 0, 0]);
    });
  });

  test(`${variant}: no rows, no dimensions`, async () => {
    await pinned(variant, async () => {
      const none = residualCodes(tensor(new Float32Array(0), { shape: [0, 3], device }), [
        tensor([[1, 2, 3]], { device }),
      ]);
      assert.equal(none.codes.shape, [1, 0]);
      const flat = nearestCode(
        tensor(new Float32Array(0), { shape: [2, 0], device }),
        tensor(new Float32Array(0), { shape: [4, 0], device }),
      );
      assert.equal([...(await read(flat.codes))], [0, 0]);
    });
  });

  test(`${variant}: stages in one kernel equal single searches to the bit, compiled too`, async () => {
    await pinned(variant, async () => {
      const x = normal([70, 33], { seed: 3, stream: 1, device });
      const books = [1, 2, 3].map((stream) => normal([40, 33], { seed: 4, stream, device }));
      const together = residualCodes(x, books, { keep: true });
      const compiled = compile((x: Tensor, ...own: Tensor[]) => {
        const { codes, residual } = residualCodes(x, own);
        return { codes, residual: residual.mul(2) };
      });
      const replayed = compiled(x, ...books);
      let left = x;
      for (const [stage, book] of books.entries()) {
        const single = nearestCode(left, book);
        left = single.residual;
        assert.equal(await read(together.codes.select(0, stage)), await read(single.codes));
        assert.equal(await read(together.residual.select(0, stage)), await read(single.residual));
      }
      assert.equal(await read(replayed.codes), await read(together.codes));
      assert.equal(
        await read(replayed.residual),
        (await read(left)).map((value) => 2 * value),
      );
      compiled.dispose();
    });
  });
}

test('codebooks follow many rows, with the same bits each time', async () => {
  const [rows, dimension, count] = [5001, 70, 9];
  const x = normal([rows, dimension], { seed: 7, stream: 1, device });
  const codes = tensor(
    // Most rows choose the first, one chooses the last, none the one before it.
    Int32Array.from({ length: rows }, (_, i) => (i === 4000 ? 8 : i % 3 === 0 ? i % 7 : 0)),
    { device },
  );
  const state = {
    averages: normal([count, dimension], { seed: 7, stream: 2, device }),
    sizes: tensor(
      Float32Array.from({ length: count }, (_, i) => (i < 7 ? 100 : 1)),
      { device },
    ),
    picks: tensor(
      Int32Array.from({ length: count }, (_, i) => rows - 1 - i),
      { device },
    ),
  };
  const options = { decay: 0.9, threshold: 0.95 };
  const made = codebookUpdate(x, codes, state, options);
  const read64 = async (each: Tensor) => ({
    dtype: each.dtype,
    shape: [...each.shape],
    data: Float64Array.from(await read(each)),
  });
  const inputs = await Promise.all([x, codes, state.averages, state.sizes, state.picks].map(read64));
  const want = reference.codebookUpdate(inputs, { ...options, epsilon: 1e-5 });
  for (const [i, own] of [made.entries, made.averages, made.sizes].entries()) {
    const got = await read(own);
    assert.ok(want[i].data.every((value, j) => Math.abs(value - got[j]) < 2e-5 * Math.max(1, Math.abs(value))));
  }
  // The entry that nothing chose is the row picked for it, and stays so.
  assert.equal(await read(made.entries.select(0, 7)), await read(x.select(0, rows - 8)));
  assert.is((await read(made.sizes))[7], Math.fround(0.95));
  const again = codebookUpdate(x, codes, state, options);
  for (const name of ['entries', 'averages', 'sizes'] as const) {
    assert.equal(await read(again[name]), await read(made[name]));
  }
});

test('what does not fit is refused', () => {
  const of = (...shape: number[]) => tensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), { shape, device });
  const refuse = (body: () => unknown, message: RegExp) => scope(() => void assert.throws(body, message));
  refuse(() => residualCodes(of(2, 3), []), /residualCodes: \[2, 3\] and codebooks none; expected \[rows, dimension\]/);
  refuse(() => residualCodes(of(2, 3), [of(4, 3), of(5, 3)]), /codebooks \[4, 3\], \[5, 3\]; expected/);
  refuse(() => residualCodes(of(2, 3), [of(4, 2)]), /codebook \[4, 2\]; expected/);
  refuse(() => residualCodes(of(3), [of(4, 3)]), /\[3\] and codebook/);
  refuse(() => residualCodes(of(2, 3), [of(4, 3).cast('i32')]), /the codebook is i32/);
  const whole = (length: number) => of(length).cast('i32');
  const update = (x: Tensor, codes: Tensor, averages: Tensor, sizes: Tensor, picks: Tensor) => () =>
    codebookUpdate(x, codes, { averages, sizes, picks }, { decay: 0.9, threshold: 2 });
  refuse(
    update(of(5, 3), whole(5), of(4, 2), of(4), whole(4)),
    /codebookUpdate: the input \[5, 3\], the codes \[5\], the averages \[4, 2\].*expected \[rows, dimension\]/,
  );
  refuse(update(of(5, 3), whole(4), of(4, 3), of(4), whole(4)), /the codes \[4\]/);
  refuse(update(of(5, 3), whole(5), of(4, 3), of(4), whole(5)), /the picks \[5\]/);
  refuse(update(of(5, 3), of(5), of(4, 3), of(4), whole(4)), /the codes is f32/);
});

test.run();
