/** Of libraries of WGSL functions kernels get what they use. */
import { elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { usedOf } from '../src/kernel/library.ts';

const library = `// What it is for.

// one calls two,
// which makes a pair.
fn one(x: f32) -> f32 { return two(x).first; }
struct Pair { first: f32, second: f32 }
fn two(x: f32) -> Pair {
  // Not three.
  return Pair(x, x);
}

fn three(
  x: f32,
) -> f32 { return x; }
fn onerous(x: f32) -> f32 { return x; }
`;
const names = (text: string) => [...usedOf(library, text).matchAll(/^(?:fn|struct) (\w+)/gm)].map(([, name]) => name);

test('what is used comes along, with what that uses, in the order of the library', () => {
  assert.equal(names('out = three(1.0) + one(2.0);'), ['one', 'Pair', 'two', 'three']);
  assert.equal(names('onerous'), ['onerous']);
  assert.equal(names('one_more + anyone'), []);
  assert.is(usedOf(library, 'three'), 'fn three(\n  x: f32,\n) -> f32 { return x; }');
});

test('comments between functions stay behind', () => {
  assert.not.match(usedOf(library, 'one three onerous'), /What it is for|which makes a pair/);
});

test('of the elementwise functions a sum needs none, and a tangent few', () => {
  const { elementwiseFunctions } = elementwise;
  assert.is(usedOf(elementwiseFunctions, 'return a + b;'), '');
  assert.ok(usedOf(elementwiseFunctions, 'return tangent(a);').length < elementwiseFunctions.length / 4);
  const all = elementwiseFunctions.match(/^(?:fn|struct) \w+/gm) as string[];
  const used = usedOf(elementwiseFunctions, elementwiseFunctions).match(/^(?:fn|struct) \w+/gm);
  assert.equal(used, all);
});

test('constants and aliases always come along, with what they use', () => {
  const more = `${library}const ten = 10.0;\nalias Double = Pair;\n`;
  assert.is(usedOf(more, ''), 'struct Pair { first: f32, second: f32 }\nconst ten = 10.0;\nalias Double = Pair;\n');
});

test.run();
