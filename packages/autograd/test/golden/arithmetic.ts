/** The engine's side of arithmetic.py: what each of its cases is called here. */
import * as dc from '@dawnchorus/tensor';
import type { Tensor } from '@dawnchorus/tensor';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

// Statistics and norms.
golden.logsumexp = (x) => x.logsumexp({ dim: 1 });
golden['logsumexp of everything'] = (x) => x.logsumexp();
golden['logsumexp of two axes kept'] = (x) => x.logsumexp({ dim: [0, 2], keepdim: true });
golden['logsumexp of large numbers'] = (x) => x.logsumexp({ dim: -1 });
golden['special: logsumexp of infinities'] = golden.logsumexp;
golden['var of two axes'] = (x) => x.var({ dim: [0, 2] });
golden['var with another correction'] = (x) => x.var({ dim: 1, correction: 2.5 });
golden.std = (x) => x.std();
golden['std of an axis'] = (x) => x.std({ dim: 1, keepdim: true });
golden['std without correction'] = (x) => x.std({ dim: [0, 1], correction: 0 });
golden['std far from zero'] = (x) => x.std({ dim: 1 });
for (const [name, p] of Object.entries({ 1: 1, 2: 2, 3: 3, 0.5: 0.5, inf: Infinity, '-inf': -Infinity })) {
  golden[`norm ${name}`] = (x) => x.norm({ p, dim: 1 });
  golden[`norm ${name} of everything`] = (x) => x.norm({ p });
}
golden['norm 0'] = (x) => x.norm({ p: 0, dim: 1 });
golden['norm of two axes kept'] = (x) => x.norm({ dim: [0, 2], keepdim: true });
golden['special: gradient of norm 2 at zero'] = (x) => x.norm({ dim: 1 });
golden.prod = (x) => x.prod();
golden['prod of an axis'] = (x) => x.prod({ dim: 1, keepdim: true });
golden['prod through zeros'] = (x) => x.prod({ dim: 1 });
golden.any = (x) => x.any({ dim: 1 });
golden.all = (x) => x.all({ dim: 0 });
golden.countNonzero = (x) => x.countNonzero({ dim: 1 });
golden.argmin = (x) => x.argmin({ dim: 1 });
golden['argmax of everything'] = (x) => x.argmax();

// Whole numbers: 32 bits, which wrap.
const { add, sub, mul, maximum, minimum, floorDivide, remainder } = dc;
const { bitwiseAnd, bitwiseOr, bitwiseXor, bitwiseLeftShift, bitwiseRightShift } = dc;
const { eq, ne, lt, le, gt, ge, logicalAnd, logicalOr, logicalXor } = dc;
const pairs = {
  ...{ add, sub, mul, maximum, minimum, floorDivide, remainder, bitwiseAnd, bitwiseOr, bitwiseXor },
  ...{ eq, ne, lt, le, gt, ge, logicalAnd, logicalOr, logicalXor, bitwiseLeftShift, bitwiseRightShift },
};
for (const [name, op] of Object.entries(pairs)) {
  golden[`${name} of i32`] = (a, b) => op(a, b);
  golden[`${name} of u32`] = (a, b) => op(a, b);
}
const { neg, abs, square, sign, bitwiseNot, logicalNot } = dc;
for (const [name, op] of Object.entries({ neg, abs, square, sign, bitwiseNot, logicalNot })) {
  golden[`${name} of i32`] = (x) => op(x);
}
golden['square and bitwiseNot of u32'] = (x) => [square(x), bitwiseNot(x)];
golden['numbers beside i32'] = (x) => [x.add(3), sub(10, x), x.mul(-7), x.floorDivide(5), x.remainder(-5)];
golden['clamp of i32'] = (x) => [x.clamp({ min: -3, max: 65_537 }), x.clamp({ min: 0 }), x.clamp({ max: -1 })];
golden['where of i32'] = (condition, x, y) => dc.where(condition, x, y);
golden['i32 broadcasts'] = (a, b) => a.mul(b).add(a);
golden['i32 meets floats'] = (a, b) => a.add(b);
golden['div of i32'] = (a, b) => a.div(b);

golden['sum of i32 that wrap'] = (x) => x.sum({ dim: 1 });
golden['prod of i32 that wrap'] = (x) => x.prod({ dim: 0 });
golden['cumsum of i32 that wrap'] = (x) => x.cumsum({ dim: 1 });
golden['sum of u32'] = (x) => x.sum();
golden['max, min and their places of i32'] = (x) => {
  const options = { dim: 1 };
  return [x.max(options), x.min(options), x.argmax(options), x.argmin(options)];
};
golden['max, min and their places of u32'] = (x) => [x.max(), x.min(), x.argmax(), x.argmin()];
const sorted = (x: Tensor) => [x.sort().values, x.argsort()];
golden['sort and argsort of i32'] = sorted;
golden['sort and argsort of u32'] = sorted;

// Booleans, which count as 0 and 1.
golden['bits and logic of booleans'] = (a, b) => [
  ...[bitwiseAnd, bitwiseOr, bitwiseXor, logicalAnd, logicalOr, logicalXor].map((op) => op(a, b) as Tensor),
  bitwiseNot(a),
];
golden['comparisons of booleans'] = (a, b) => [eq, ne, lt, le, gt, ge].map((op) => op(a, b) as Tensor);
golden['arithmetic of booleans'] = (a, b) => [add, sub, mul].map((op) => op(a, b) as Tensor);
golden['booleans meet i32 and floats'] = (a, x, y) => [a.add(x), a.mul(y)];
golden['sum, any and all of booleans'] = (x) => [x.sum({ dim: 1 }), x.any({ dim: 1 }), x.all({ dim: 1 }), x.sum()];

// From one dtype to another.
golden['floats cut to whole numbers'] = (x) => x.cast('i32');
golden['casts of i32'] = (x) => [x.cast('f32'), x.cast('bool'), x.cast('u32')];
golden['casts of u32'] = (x) => [x.cast('f32'), x.cast('bool'), x.cast('i32')];
golden['casts of booleans'] = (x) => [x.cast('f32'), x.cast('i32'), x.cast('u32')];
