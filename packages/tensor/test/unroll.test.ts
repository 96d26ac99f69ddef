/** Marked loops are written out; everything else stays as it is. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { unrollLoops } from '../src/kernel/unroll.ts';

const words = (text: string) => text.split(/\s+/).filter(Boolean).join(' ');

test('a loop becomes a block for each of its values', () => {
  const source = 'const N = 2u;\nfn f() {\n  for (var i = 0u; i < N; i++) { // unroll\n    g(i);\n  }\n  h();\n}\n';
  assert.is(
    words(unrollLoops(source)),
    'const N = 2u; fn f() { { const i = 0u; g(i); } { const i = 1u; g(i); } h(); }',
  );
});

test('bounds are constants of the module or in front, and of loops around', () => {
  const source =
    'const STEPS = TILE / 4u - 1u;\n' +
    'for (var i = 1u; i < STEPS; i += 2u) { // unroll\n' +
    'for (var j = i; j < select(9u, max(i, 2u) + 1u, A); j++) { // unroll\n{ g(i, j); }\n}\n}\n';
  const text = words(unrollLoops(source, 'const TILE = 20u; const A = true;'));
  assert.is(
    text,
    'const STEPS = TILE / 4u - 1u; { const i = 1u; { const j = 1u; { g(i, j); } } { const j = 2u; { g(i, j); } } } ' +
      '{ const i = 3u; { const j = 3u; { g(i, j); } } }',
  );
});

test('loops without the mark and with no turns', () => {
  const plain = 'for (var i = 0u; i < n; i++) { g(i); }';
  assert.is(unrollLoops(plain), plain);
  assert.is(words(unrollLoops('a;\nfor (var i = 0u; i < 0u; i++) { // unroll\n g(i); }\nb;')), 'a; b;');
});

test('what is no constant is told', () => {
  const over = (bound: string) => () => unrollLoops(`for (var i = 0u; i < ${bound}; i++) { // unroll\n}`);
  assert.throws(over('params.k'), /unroll: params\.k is no constant/);
  assert.throws(over('K'), /unroll: K is no constant/);
  assert.throws(over('(2u'), /unroll: \(2u is no constant/);
  assert.throws(over('1u / 0u'), /no constant/);
  assert.throws(() => unrollLoops('for (var i = 0u; i < 2u; i += 0u) { // unroll\n}'), /has no end/);
  assert.throws(() => unrollLoops('for (var i = 0u; i < 2u; i++) { // unroll\n g(i);'), /no closing brace/);
});

test.run();
