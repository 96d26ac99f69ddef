import {
  add,
  arange,
  dropout,
  expand,
  matmul,
  mul,
  ones,
  permute,
  scope,
  sliceAxis,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { grad, gradcheck, stopGradient, valueAndGrad } from '../src/index.ts';
import '../../tensor/test/device.ts';

const numbers = async (x: Tensor) => [...(await x.data())];
const allNumbers = (list: readonly Tensor[]) => Promise.all(list.map(numbers));

test('the value, and a gradient for each parameter in order and shape', async () => {
  const a = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  const b = tensor([10, 20, 30]);
  const { value, gradients, auxiliary } = valueAndGrad(() => sum(mul(a, b)), [b, a]);
  assert.is(await value.item(), 10 + 40 + 90 + 40 + 100 + 180);
  assert.equal(
    gradients.map(({ shape }) => [...shape]),
    [[3], [2, 3]],
  );
  assert.equal(await allNumbers(gradients), [
    [5, 7, 9],
    [10, 20, 30, 10, 20, 30],
  ]);
  assert.is(auxiliary, undefined);
  // Nothing has happened to the parameters.
  assert.equal(await allNumbers([a, b]), [
    [1, 2, 3, 4, 5, 6],
    [10, 20, 30],
  ]);
});

test('gradients come by name where parameters have names', async () => {
  const parameters = new Map([
    ['b', tensor([10, 20, 30])],
    ['a', tensor([1, 2, 3])],
  ]);
  const loss = () => sum(mul(parameters.get('a')!, parameters.get('b')!));
  const { value, gradients } = scope(() => valueAndGrad(loss, parameters));
  assert.is(await value.item(), 140);
  assert.equal([...gradients.keys()], ['b', 'a']);
  assert.equal(await allNumbers([...gradients.values()]), [
    [1, 2, 3],
    [10, 20, 30],
  ]);
  assert.equal(await numbers(grad(loss, parameters).get('a')!), [10, 20, 30]);
  // By two names the same parameter has its gradient twice.
  const [shared] = parameters.values();
  const twice = grad(() => shared.square().sum(), new Map([...parameters, ['tied', shared]]));
  assert.equal(await numbers(twice.get('tied')!), await numbers(twice.get('b')!));
  assert.equal(await numbers(twice.get('a')!), [0, 0, 0]);
  assert.throws(() => grad(loss, new Map([['a', null as never]])), /valueAndGrad: parameter 0 is null/);
});

test('a loss with one element may have axes', async () => {
  const x = tensor([[2]]);
  const { value, gradients } = valueAndGrad(() => x.square(), [x]);
  assert.equal([...value.shape], [1, 1]);
  assert.equal(await numbers(gradients[0]), [4]);
});

test('a loss that is the parameter itself has gradient one, and outlives grad', async () => {
  const x = tensor(3);
  const [gradient] = grad(() => x, [x]);
  assert.is(await gradient.item(), 1);
  assert.is(await x.item(), 3);
});

test('the auxiliary result stays alive, whatever it is kept in', async () => {
  const x = tensor([1, 2]);
  let dropped: Tensor | undefined;
  const { auxiliary } = valueAndGrad(() => {
    const doubled = x.mul(2);
    dropped = x.mul(3);
    return { loss: doubled.sum(), auxiliary: { doubled, more: [x.neg()], named: new Map([['square', x.square()]]) } };
  }, [x]);
  assert.equal(await numbers(auxiliary.doubled), [2, 4]);
  assert.equal(await numbers(auxiliary.more[0]), [-1, -2]);
  assert.equal(await numbers(auxiliary.named.get('square')!), [1, 4]);
  assert.ok(dropped?.disposed);
});

test('a parameter that the loss does not need has zeros', async () => {
  const used = tensor([1, 2]);
  const unused = ones([2, 3]);
  const empty = zeros([0, 3]);
  const gradients = grad(() => {
    unused.mul(2);
    return used.sum();
  }, [unused, used, empty]);
  assert.equal(await allNumbers(gradients), [[0, 0, 0, 0, 0, 0], [1, 1], []]);
  assert.equal([...gradients[2].shape], [0, 3]);
});

test('a parameter that is given twice has its gradient twice', async () => {
  const x = tensor([1, 2]);
  const gradients = grad(() => x.square().sum(), [x, x]);
  assert.equal(await allNumbers(gradients), [
    [2, 4],
    [2, 4],
  ]);
});

test('a loss that is no f32 scalar is an error', () => {
  const x = tensor([1, 2]);
  assert.throws(
    () => valueAndGrad(() => x.mul(2), [x]),
    /the loss is Tensor\(f32\[2\]\).*expected an f32 or f16 scalar/,
  );
  assert.throws(() => valueAndGrad(() => x.sum().gt(1), [x]), /the loss is Tensor\(bool\[\]\)/);
});

test('a loss that depends on no parameter is an error', () => {
  const x = tensor([1, 2]);
  const y = tensor([3, 4]);
  assert.throws(() => valueAndGrad(() => y.sum(), [x]), /does not depend on any of the parameters/);
  assert.throws(() => valueAndGrad(() => y.sum(), []), /does not depend/);
  assert.throws(() => valueAndGrad(() => stopGradient(x).sum(), [x]), /does not depend/);
  assert.throws(() => valueAndGrad(() => x.cast('i32').cast('f32').sum(), [x]), /does not depend/);
});

test('a tensor that is used several times gathers the gradients of all its uses', async () => {
  const x = tensor([1, 2, 3]);
  const [gradient] = grad(() => {
    const shared = x.mul(2);
    return add(mul(shared, shared), shared).sum().add(x.sum());
  }, [x]);
  // (4 x^2 + 2 x + x)'
  assert.equal(await numbers(gradient), [11, 19, 27]);
  assert.equal(await numbers(grad(() => add(x, x).sum(), [x])[0]), [2, 2, 2]);
  assert.equal(await numbers(grad(() => matmul(x.reshape([1, 3]), x.reshape([3, 1])).sum(), [x])[0]), [2, 4, 6]);
});

test('another handle on a parameter is the parameter', async () => {
  const x = tensor([1, 2]);
  using handle = x.retain();
  assert.equal(await numbers(grad(() => handle.square().sum(), [x])[0]), [2, 4]);
  assert.equal(await numbers(grad(() => x.square().sum(), [handle])[0]), [2, 4]);
});

test('a chain of 2000 additions', async () => {
  const x = tensor([1, 2]);
  const [gradient] = grad(() => {
    let total = x;
    for (let i = 0; i < 2000; i++) total = add(total, x);
    return total.sum();
  }, [x]);
  assert.equal(await numbers(gradient), [2001, 2001]);
});

test('stopGradient keeps the values and stops the gradient', async () => {
  const x = tensor([1, 2, 3]);
  const { value, gradients } = valueAndGrad(() => mul(x, stopGradient(x)).sum(), [x]);
  assert.is(await value.item(), 14);
  assert.equal(await numbers(gradients[0]), [1, 2, 3]);
  // The straight-through estimator: the value of round(x), the gradient of x.
  const through = () => x.add(stopGradient(x.mul(10).sub(x))).sum();
  assert.equal(await numbers(grad(through, [x])[0]), [1, 1, 1]);
});

test('the gradient of dropout falls on what the forward pass kept', async () => {
  const x = ones([1000]);
  const { gradients, auxiliary } = valueAndGrad(() => {
    const kept = dropout(x, { p: 0.25, seed: 7, stream: 2 ** 33 + 1 });
    return { loss: kept.sum(), auxiliary: kept };
  }, [x]);
  const gradient = await numbers(gradients[0]);
  assert.equal(gradient, await numbers(auxiliary));
  const dropped = gradient.filter((value) => value === 0).length;
  assert.ok(dropped > 200 && dropped < 300, `${dropped} of 1000 dropped`);
});

test('views as parameters have gradients of their own shape, laid out row by row', async () => {
  const whole = arange(0, 12, 1, { dtype: 'f32' }).reshape([3, 4]);
  const views = [
    permute(whole, [1, 0]),
    sliceAxis(whole, 1, 1, 4, 2),
    expand(sliceAxis(whole, 0, 1, 2), [3, 4]),
    whole.reshape([2, 6]),
  ];
  const gradients = grad(
    () => views.map((view) => view.square().sum()).reduce((total, part) => add(total, part)),
    views,
  );
  for (const [i, view] of views.entries()) {
    assert.equal([...gradients[i].shape], [...view.shape]);
    assert.equal(
      await numbers(gradients[i]),
      (await numbers(view)).map((value) => 2 * value),
    );
  }
});

test('a view made inside carries the gradient to what it views, one made outside does not', async () => {
  const x = tensor([1, 2, 3, 4]);
  const outside = x.sliceAxis(0, 0, 2);
  const [gradient] = grad(() => add(x.sliceAxis(0, 1, 3).square().sum(), outside.sum()), [x]);
  assert.equal(await numbers(gradient), [0, 4, 6, 0]);
});

test('gradcheck passes what is right', async () => {
  const x = tensor([0.5, -1, 2]);
  const y = tensor([[1], [-2]]);
  await gradcheck((a, b) => mul(a.tanh(), b).square().sum(), [x, y]);
});

test('gradcheck finds what is wrong, and says where', async () => {
  const x = tensor([0.5, -1, 2]);
  const y = tensor([1, 1, 3]);
  const halfMissing = (a: Tensor, b: Tensor) => add(a.sum(), mul(b, stopGradient(b)).sum());
  let message = '';
  await gradcheck(halfMissing, [x, y]).catch((error: Error) => {
    message = error.message;
  });
  assert.match(message, /input 1, element 0: gradient 1, central difference (1\.99|2)/);
  // Off by more than is allowed, in one element of many.
  const slight = (a: Tensor) =>
    add(
      a.sum(),
      stopGradient(a)
        .mul(tensor([0, 0, 0.03]))
        .sum(),
    );
  await gradcheck(slight, [x]).then(
    () => assert.unreachable('3% are not within 1%'),
    (error: Error) => assert.match(error.message, /input 0, element 2/),
  );
  await gradcheck(slight, [x], { tolerance: 0.05 });
});

test('what cannot be differentiated says why', () => {
  const x = tensor([1, 2]);
  assert.throws(() => grad((() => {}) as never, [x]), /returned undefined; expected a loss/);
  assert.throws(() => grad(() => x.sum(), x as never), /valueAndGrad: the parameters are .*expected an array/);
  const gone = tensor([1, 2]);
  gone.dispose();
  assert.throws(
    () => grad(() => x.sum(), [x, gone]),
    /valueAndGrad: input 1, tensor f32\[2\], was used after it was disposed/,
  );
});

test.run();
