/**
 * What the compiler knows of shapes: the positive cases must compile, the negative ones must not (an unused
 * `@ts-expect-error` is itself an error). `npm run typecheck` is the test; what runs here is `assertShape`.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type AxisOptions,
  add,
  assertShape,
  concat,
  dot,
  expand,
  full,
  layerNorm,
  matmul,
  mul,
  normal,
  ones,
  outer,
  permute,
  reshape,
  type Shape,
  type ShapeError,
  softmax,
  sum,
  type Tensor,
  tensor,
  transpose,
  uniform,
  zeros,
} from '../src/index.ts';
import './device.ts';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
/** Fails to compile unless the type of the value is exactly Expected. */
function exactly<Expected>() {
  return <Actual>(
    _value: Actual,
    ..._proof: Same<Actual, Expected> extends true ? [] : ['differs', Actual, Expected]
  ) => undefined;
}

/** Compiled, never called. */
export function positive(dynamic: Tensor, n: number, extents: number[], flag: boolean) {
  // Creation: what is written is known, what is computed is not.
  exactly<Tensor<[2, 3]>>()(zeros([2, 3]));
  exactly<Tensor<[number, 768]>>()(ones([n, 768]));
  exactly<Tensor<[]>>()(full([], 1));
  exactly<Tensor>()(zeros(extents));
  exactly<Tensor>()(zeros(dynamic.shape));
  exactly<Tensor<[4]>>()(uniform([4], { seed: 1, stream: 0 }));
  exactly<Tensor<[4, 5]>>()(normal([4, 5], { seed: 1, stream: 0, std: 2 }));
  exactly<Tensor<[2, 2]>>()(tensor(new Float32Array(4), { shape: [2, 2] }));
  exactly<Tensor>()(tensor([[1, 2]]));

  // Products.
  const x = zeros([n, 512]);
  const w = zeros([512, 768]);
  exactly<Tensor<[number, 768]>>()(matmul(x, w));
  exactly<Tensor<[number, 768]>>()(x.matmul(w));
  exactly<Tensor<[8, 12, 50, 50]>>()(zeros([8, 12, 50, 64]).matmul(zeros([8, 12, 64, 50])));
  exactly<Tensor<[8, 12, 50, 50]>>()(zeros([8, 1, 50, 64]).matmul(zeros([12, 64, 50])));
  exactly<Tensor<[8, 12, 50, 50]>>()(zeros([8, 12, 50, 64]).matmul(zeros([8, 12, 50, 64]).transpose()));
  exactly<Tensor>()(x.matmul(dynamic));
  exactly<Tensor>()(dynamic.matmul(w));
  exactly<Tensor>()(matmul(dynamic, dynamic));
  exactly<Tensor<[2, 4]>>()(zeros([2, n]).matmul(zeros([3, 4])));
  exactly<Tensor<[]>>()(zeros([3]).matmul(zeros([3])));
  exactly<Tensor<[]>>()(dot(zeros([3]), zeros([n])));
  exactly<Tensor<[4]>>()(zeros([3]).matmul(zeros([3, 4])));
  exactly<Tensor<[5, 4]>>()(zeros([3]).matmul(zeros([5, 3, 4])));
  exactly<Tensor<[2]>>()(matmul(zeros([2, 3]), zeros([3])));
  exactly<Tensor<[7, number, 2]>>()(zeros([7, n, 2, 3]).matmul(zeros([3])));
  exactly<Tensor>()(zeros([3]).matmul(dynamic));
  exactly<Tensor>()(dynamic.matmul(zeros([3])));
  exactly<Tensor<[2, number]>>()(zeros([2]).outer(zeros([n])));
  exactly<Tensor>()(outer(dynamic, zeros([3])));

  // Elementwise: the same shape, numbers, and broadcasting.
  exactly<Tensor<[2, 3]>>()(zeros([2, 3]).add(zeros([2, 3])));
  exactly<Tensor<[2, 3]>>()(zeros([2, 3]).mul(2));
  exactly<Tensor<[2, 3]>>()(mul(2, zeros([2, 3])));
  exactly<Tensor<[2, 3]>>()(add(zeros([2, 1]), zeros([3])));
  exactly<Tensor<[2, 3]>>()(add(zeros([3]), zeros([2, 1])));
  exactly<Tensor<[number, 768]>>()(zeros([n, 768]).sub(zeros([768])));
  exactly<Tensor<[number, 768]>>()(zeros([n, 768]).sub(zeros([n, 1])));
  exactly<Tensor<[5]>>()(zeros([n]).add(zeros([5])));
  exactly<Tensor>()(zeros([2, 3]).add(dynamic));
  exactly<Tensor>()(dynamic.add(zeros([2, 3])));
  exactly<Tensor<[2, 3]>>()(zeros([2, 3]).exp().gelu().cast('i32'));
  exactly<Tensor<[2, 3]>>()(softmax(zeros([2, 3])));
  exactly<Tensor<[2, 3]>>()(layerNorm(zeros([2, 3]), dynamic, dynamic));
  const operand: Tensor | number = flag ? 1 : dynamic;
  exactly<Tensor>()(zeros([2, 3]).add(operand));

  // Views.
  exactly<Tensor<[6]>>()(zeros([2, 3]).reshape([6]));
  exactly<Tensor<[number, 3]>>()(reshape(dynamic, [-1, 3]));
  exactly<Tensor>()(zeros([2, 3]).reshape(extents));
  exactly<Tensor<[3, 2]>>()(zeros([2, 3]).transpose());
  exactly<Tensor<[2, 4, 3]>>()(transpose(zeros([2, 3, 4])));
  exactly<Tensor<[4, 3, 2]>>()(zeros([2, 3, 4]).transpose(0, -1));
  exactly<Tensor<[3, 2, 4]>>()(transpose(zeros([2, 3, 4]), 1, 0));
  exactly<Tensor>()(zeros([2, 3]).transpose(n, 1));
  exactly<Tensor<[4, 2, 3]>>()(zeros([2, 3, 4]).permute([2, 0, 1]));
  exactly<Tensor<[4, 2, 3]>>()(permute(zeros([2, 3, 4]), [-1, 0, 1]));
  exactly<Tensor>()(dynamic.permute([1, 0]));
  exactly<Tensor<[4, 3]>>()(expand(zeros([1, 3]), [4, 3]));
  exactly<Tensor<[4, number]>>()(expand(zeros([1, 3]), [4, -1]));

  // Reductions.
  exactly<Tensor<[]>>()(zeros([2, 3]).mean());
  exactly<Tensor<[2]>>()(sum(zeros([2, 3]), { dim: -1 }));
  exactly<Tensor<[3]>>()(zeros([2, 3]).sum({ dim: 0 }));
  exactly<Tensor<[2, 1]>>()(zeros([2, 3]).mean({ dim: 1, keepdim: true }));
  exactly<Tensor<[1, 1]>>()(zeros([2, 3]).mean({ keepdim: true }));
  exactly<Tensor<[2, 4]>>()(zeros([2, 3, 4]).max({ dim: 1, keepdim: false }));
  exactly<Tensor>()(zeros([2, 3]).sum({ dim: n }));
  exactly<Tensor>()(zeros([2, 3]).sum({ dim: [0, 1] }));
  exactly<Tensor>()(zeros([2, 3]).sum({ dim: 0, keepdim: flag }));
  exactly<Tensor>()(dynamic.sum());
  // Options that may be there are not known to be missing.
  const some: AxisOptions = flag ? { dim: 0 } : {};
  const one = { dim: 0 } as { dim: 0; keepdim?: boolean };
  const kept = { keepdim: true } as { dim?: number; keepdim: true };
  exactly<Tensor>()(zeros([2, 3]).sum(some));
  exactly<Tensor>()(zeros([2, 3]).sum(one));
  exactly<Tensor>()(zeros([2, 3]).sum(kept));
  exactly<Tensor<[]>>()(zeros([2, 3]).sum({}));
  exactly<Tensor<[]>>()(zeros([2, 3]).sum({ keepdim: false }));
  exactly<Tensor>()(zeros([2, 3]).sum({ keepdim: flag }));

  // A tensor of unknown shape goes wherever a known one is asked for, and the other way round.
  const project = (input: Tensor<[number, 512]>): Tensor<[number, 768]> => input.matmul(w);
  project(dynamic);
  project(zeros([4, 512]));
  const anything: Tensor = zeros([2, 3]);
  const readonlyTuple: Tensor<readonly [number, 3]> = zeros([2, 3]);
  const unknownExtent: Tensor<[number, 3]> = zeros([2, 3]);
  const list: Tensor[] = [zeros([2]), zeros([3, 4]), dynamic];
  concat([zeros([2]), zeros([3])]);
  const shape: Shape = zeros([2, 3]).shape;
  let total = zeros([1]);
  total = total.add(dynamic);
  total = total.add(1);
  const either = flag ? zeros([2, 3]) : zeros([5, 3]);
  exactly<Tensor<[2, 3]> | Tensor<[5, 3]>>()(either);
  either.exp().mean();
  either.add(1);
  either.add(zeros([3]));

  // Functions over any known shape.
  const twice = <T extends Tensor>(input: T) => input.mul(2);
  exactly<Tensor<[2, 3]>>()(twice(zeros([2, 3])));

  let narrowed: Tensor = dynamic;
  assertShape(narrowed, [null, 512]);
  exactly<Tensor<[number, 512]>>()(narrowed);
  exactly<Tensor<[number, 768]>>()(narrowed.matmul(w));
  narrowed = dynamic;
  return [anything, readonlyTuple, unknownExtent, list, shape, total, narrowed];
}

/** Compiled, never called. */
export function negative(n: number) {
  const w = zeros([512, 768]);
  // @ts-expect-error NumPy's name of dim
  zeros([2, 3]).sum({ axis: 1 });
  // @ts-expect-error beside one that is there
  zeros([2, 3]).sum({ axis: 1, keepdim: true });
  // @ts-expect-error NumPy's name of keepdim
  sum(zeros([2, 3]), { dim: 1, keepdims: true });
  // @ts-expect-error an axis without its name
  zeros([2, 3]).sum(1);
  // @ts-expect-error inner dimensions 3 and 5 differ
  matmul(zeros([2, 3]), zeros([5, 7]));
  // @ts-expect-error the same as a method
  zeros([2, 3]).matmul(zeros([5, 7]));
  // @ts-expect-error with an unknown batch
  zeros([n, 256]).matmul(w);
  // @ts-expect-error after a transpose
  zeros([n, 512]).matmul(w.transpose());
  // @ts-expect-error after a reshape
  zeros([n, 512]).reshape([-1, 256]).matmul(w);
  // @ts-expect-error batch axes 8 and 7
  zeros([8, 2, 3]).matmul(zeros([7, 3, 2]));
  // @ts-expect-error a vector is a row of 3
  zeros([3]).matmul(zeros([4, 2]));
  // @ts-expect-error or a column of 4
  zeros([2, 3]).matmul(zeros([4]));
  // @ts-expect-error two vectors
  zeros([2]).matmul(zeros([3]));
  // @ts-expect-error as a dot product
  dot(zeros([2]), zeros([3]));
  // @ts-expect-error a scalar has no axis to sum over
  zeros([]).matmul(zeros([3]));
  // @ts-expect-error on the right neither
  zeros([2, 3]).matmul(zeros([]));
  // @ts-expect-error the result has no axis left
  const vector: Tensor<[2, 1]> = zeros([2, 3]).matmul(zeros([3]));
  // @ts-expect-error rows come first
  const product: Tensor<[3, 2]> = outer(zeros([2]), zeros([3]));
  // @ts-expect-error 3 and 4 do not broadcast
  zeros([2, 3]).add(zeros([4]));
  // @ts-expect-error nor as a function
  mul(zeros([2, 3]), zeros([3, 3]));
  // @ts-expect-error a known extent that differs
  const a: Tensor<[2, 4]> = zeros([2, 3]);
  // @ts-expect-error a rank that differs
  const b: Tensor<[2]> = zeros([2, 3]);
  // @ts-expect-error the caller must know the extent, or assert it
  const c: Tensor<[2, 768]> = zeros([n, 768]);
  const project = (input: Tensor<[number, 512]>) => input.matmul(w);
  // @ts-expect-error a parameter's shape is checked
  project(zeros([4, 256]));
  // @ts-expect-error a product's shape is known
  project(zeros([4, 512]).matmul(w));
  // @ts-expect-error as a reduction's is
  const d: Tensor<[2, 3]> = zeros([2, 3]).sum({ dim: 1, keepdim: true });
  // @ts-expect-error axis 2 does not exist
  const e: Tensor<[2]> = zeros([2, 3]).sum({ dim: 2 });
  // @ts-expect-error one branch fits, the other does not
  (n > 0 ? zeros([2, 3]) : zeros([2, 5])).matmul(zeros([3, 4]));

  // The message that the compiler shows.
  const message: ShapeError<'matmul: inner dimensions 3 and 5 differ'> = undefined as unknown as Parameters<
    typeof matmul<Tensor<[2, 3]>, Tensor<[5, 7]>>
  >[1];
  const broadcast: ShapeError<'elementwise: shapes [2, 3] and [4] do not broadcast'> =
    undefined as unknown as Parameters<typeof add<Tensor<[2, 3]>, Tensor<[4]>>>[1];
  return [a, b, c, d, e, vector, product, message, broadcast];
}

test('assertShape passes what fits its pattern', () => {
  const x: Tensor = zeros([4, 512]);
  assertShape(x, [null, 512]);
  assertShape(x, [4, null]);
  assertShape(zeros([]), []);
});

test('assertShape refuses another rank or extent with both shapes', () => {
  const x: Tensor = zeros([4, 512]);
  assert.throws(() => assertShape(x, [null, 768]), 'assertShape: the tensor is [4, 512]; expected [any, 768]');
  assert.throws(() => assertShape(x, [null, null, 512]), /expected \[any, any, 512\]/);
  assert.throws(() => assertShape(x, []), /expected \[\]/);
});

test.run();
