import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { kernelCases } from '../src/cases/index.ts';
import { checkWritable, filterCases, parseOptions, UsageError } from '../src/options.ts';

test('without options every kernel runs', () => {
  const options = parseOptions([]);
  assert.is(options.command, 'kernels');
  assert.equal(options.filter, []);
  assert.is(options.peers, false);
  assert.is(filterCases(kernelCases, options.filter).length, kernelCases.length);
});

test('options are taken down', () => {
  const words = [
    '--filter',
    'conv1d,matmul',
    '--filter=cqt',
    '--json',
    'a.json',
    '--html',
    'a.html',
    '--adapter',
    'H200',
  ];
  const options = parseOptions([...words, '--peers', '--save']);
  assert.equal(options.filter, ['conv1d', 'matmul', 'cqt']);
  assert.is(options.json, 'a.json');
  assert.is(options.html, 'a.html');
  assert.is(options.adapter, 'H200');
  assert.ok(options.peers && options.save);
  assert.is(parseOptions(['shapes', '--large']).size, 'large');
  assert.is(parseOptions(['engine']).command, 'engine');
});

for (const [words, message] of [
  [['--nope'], /Unknown option '--nope'[\s\S]*--filter WORDS/],
  [['--json'], /--json <value>.* argument missing/],
  [['--json', ''], /--json is empty/],
  [['--filter', ' , '], /--filter is empty/],
  [['conv'], /'conv' is no command; there are kernels, engine, shapes.*--filter conv/],
  [['engine', 'shapes'], /'shapes' is no command/],
  [['engine', '--peers'], /--peers does not go with engine/],
  [['shapes', '--json', 'x'], /--json does not go with shapes/],
  [['--large'], /--large goes with shapes alone/],
  [['shapes', '--large', '--small'], /exclude each other/],
] as const) {
  test(`refused: ${words.join(' ')}`, () => {
    assert.throws(
      () => parseOptions(words),
      (error: Error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

test('a filter leaves the cases that have one of its words, and each word must match', () => {
  const names = (filter: string[]) => filterCases(kernelCases, filter).map(({ name }) => name);
  assert.equal(names(['matmul', 'cqt']), ['matmul_512', 'matmul_1024', 'cqt']);
  assert.throws(() => names(['matmul', 'zzz']), /--filter zzz matches no case; there are:\n {2}matmul_512/);
});

test('the cases that others count on are there', () => {
  const names = kernelCases.map(({ name }) => name);
  const wanted =
    'matmul_512 matmul_1024 conv1d posconv attention layernorm elementwise chain_100 softmax cross_entropy cqt rvq';
  for (const name of wanted.split(' ')) assert.ok(names.includes(name), name);
  assert.is(new Set(names).size, names.length);
});

test('a file that cannot be written is told, one that is there is kept, and none is left behind', () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-test-'));
  try {
    const [old, fresh] = [join(folder, 'old'), join(folder, 'fresh')];
    writeFileSync(old, 'kept');
    checkWritable('--json', old);
    checkWritable('--json', fresh);
    assert.is(readFileSync(old, 'utf8'), 'kept');
    assert.not.ok(existsSync(fresh));
    assert.throws(() => checkWritable('--json', folder), /--json .* cannot be written: EISDIR/);
    assert.throws(() => checkWritable('--html', join(folder, 'none', 'x')), /--html .* cannot be written: ENOENT/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test.run();
