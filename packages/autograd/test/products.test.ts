/** Gradients of products of several tensors: random equations against central differences of their sums in f64. */
import * as t from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrayOf, presentations, randomFrom, runs } from '../../tensor/test/arbitraries.ts';
import { hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { equations } from '../../tensor/test/equations.ts';
import type { NDArray } from '../../tensor/test/reference/array.ts';
import { einsum as reference } from '../../tensor/test/reference/products.ts';
import { grad } from '../src/index.ts';
import { checkGradients } from './check.ts';

const extents = [1, 2, 2, 3, 4];

test('random equations', async () => {
  let turn = 0;
  await fc.assert(
    fc.asyncProperty(equations({ extents }), fc.nat(), async ({ equation, operands, axes, output, extents }, seed) => {
      const subject = {
        what: `einsum('${equation}') of ${operands.map(({ shape }) => `[${shape}]`).join(', ')}`,
        run: (inputs: t.Tensor[]) => t.einsum(equation, ...inputs),
        reference: (inputs: NDArray[]) => reference(inputs, axes, output, extents),
      };
      const start = turn++;
      const presentation = (i: number) => presentations[(start + i) % presentations.length];
      await checkGradients(subject, operands, randomFrom(seed), { presentation });
    }),
    { ...runs, numRuns: 2 * runs.numRuns },
  );
});

/** Names of axes by operand, then those of the result. */
type Axes = [...operands: string[], output: string];

async function check(what: string, shapes: number[][], axes: Axes, run: (...inputs: t.Tensor[]) => t.Tensor) {
  const names = axes.map((own) => own.split(''));
  const sizes = new Map(shapes.flatMap((shape, i) => shape.map((extent, d) => [names[i][d], extent] as const)));
  const random = randomFrom(3);
  const operands = shapes.map((shape) => arrayOf(shape, random));
  for (const half of hasHalf ? [false, true] : [false]) {
    const subject = {
      what,
      run: (inputs: t.Tensor[]) => run(...inputs),
      reference: (inputs: NDArray[]) => reference(inputs, names.slice(0, -1), names.at(-1) as string[], sizes),
    };
    await checkGradients(subject, operands, random, { half });
  }
}

test('the gradient of a weight stored [out, in] needs no transposing', async () => {
  const [x, weight] = [t.ones([3, 5]), t.ones([4, 5])];
  const gradients = t.compile((a: t.Tensor, b: t.Tensor) =>
    grad(() => t.matmul(a, b.transpose()).square().sum(), [a, b]),
  );
  for (const gradient of gradients(x, weight)) gradient.dispose();
  assert.not.match(gradients.explain(), /contiguous/);
  gradients.dispose();
});

test(`products with vectors${unlessHalf && ', in f32 alone'}`, async () => {
  const matmul = (a: t.Tensor, b: t.Tensor) => t.matmul(a, b);
  await check('vector x vector', [[5], [5]], ['k', 'k', ''], matmul);
  await check('matrix x vector', [[3, 5], [5]], ['mk', 'k', 'm'], matmul);
  await check('vector x matrix', [[5], [5, 4]], ['k', 'kn', 'n'], matmul);
  await check('matrices x vector', [[2, 3, 5], [5]], ['bmk', 'k', 'bm'], matmul);
  await check('vector x matrices', [[5], [2, 3, 5, 4]], ['k', 'abkn', 'abn'], matmul);
  await check('dot', [[7], [7]], ['k', 'k', ''], (a, b) => a.dot(b));
  await check('outer', [[7], [3]], ['m', 'n', 'mn'], (a, b) => a.outer(b));
  await check(
    'inner',
    [
      [2, 5],
      [3, 4, 5],
    ],
    ['mk', 'abk', 'mab'],
    (a, b) => a.inner(b),
  );
  await check(
    'tensordot',
    [
      [2, 3, 4],
      [3, 4, 5],
    ],
    ['amk', 'mkn', 'an'],
    (a, b) => t.tensordot(a, b),
  );
  await check('trace', [[2, 4, 4]], ['bii', 'b'], (x) => x.trace({ dim1: 1, dim2: 2 }));
});

test('second derivatives of a bilinear form are its matrix', async () => {
  const random = randomFrom(4);
  const values = arrayOf([3, 4], random);
  const [x, a, y] = [t.ones([3]), t.tensor(Float32Array.from(values.data), { shape: [3, 4] }), t.ones([4])];
  const [columns] = grad(() => {
    const [inner] = grad(() => t.einsum('i,ij,j->', x, a, y), [x]);
    return t.einsum('i,i->', inner, t.tensor([1, 10, 100]));
  }, [y]);
  const row = (i: number) => [...values.data.slice(4 * i, 4 * i + 4)];
  const expected = row(0).map((own, j) => own + 10 * row(1)[j] + 100 * row(2)[j]);
  (await columns.data()).forEach((got, j) => {
    assert.ok(Math.abs(got - expected[j]) < 1e-4, `${got} and ${expected[j]}`);
  });
});

test.run();
