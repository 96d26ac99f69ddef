import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { allCases, isLarge, kernelCases } from '../src/cases/index.ts';
import { type Abilities, casesFor } from '../src/choose.ts';
import { checkWritable, filterCases, parseOptions, UsageError } from '../src/options.ts';
import { keyOf } from '../src/work.ts';

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
  assert.ok(parseOptions(['--large']).large);
  assert.not.ok(options.large);
  assert.is(parseOptions(['engine']).command, 'engine');
});

for (const [words, message] of [
  [['--nope'], /Unknown option '--nope'[\s\S]*--filter WORDS/],
  [['--json'], /--json <value>.* argument missing/],
  [['--json', ''], /--json is empty/],
  [['--filter', ' , '], /--filter is empty/],
  [['conv'], /'conv' is no command; there are kernels, engine, dsp, step.*--filter conv/],
  [['engine', 'again'], /'again' is no command/],
  [['engine', '--peers'], /--peers does not go with engine/],
  [['engine', '--large'], /--large does not go with engine; it goes with kernels/],
  [['engine', '--json', 'x'], /--json does not go with engine; it goes with kernels and dsp and step/],
  [['step', '--filter', 'x'], /--filter does not go with step/],
  [['step', '--html', 'x'], /--html does not go with step/],
  [['--batch', '2'], /--batch does not go with kernels; it goes with step/],
  [['step', '--batch', '0'], /--batch is 0; expected a whole number from 1/],
  [['step', '--runs', 'many'], /--runs is many; expected a whole number from 1/],
  [['step', '--runs', ''], /--runs is empty/],
  [['step', '--config', ''], /--config is empty/],
] as const) {
  test(`refused: ${words.join(' ')}`, () => {
    assert.throws(
      () => parseOptions(words),
      (error: Error) => error instanceof UsageError && message.test(error.message),
    );
  });
}

test('a step is named by its configuration, batch and settings', () => {
  const words = ['--config', 'mert-95m-rvq', '--batch', '4', '--runs', '2', '--compare'];
  const options = parseOptions(['step', ...words, '--set', 'a.b=1', '--set=c.d=2', '--json', 'x']);
  assert.is(options.command, 'step');
  assert.is(options.config, 'mert-95m-rvq');
  assert.equal([options.batch, options.runs, options.peers], [4, 2, true]);
  assert.equal(options.set, ['a.b=1', 'c.d=2']);
  assert.is(parseOptions(['step', '--peers']).peers, true);
  assert.equal(parseOptions(['step']).batch, undefined);
});

test('a filter leaves the cases that have one of its words, and each word must match', () => {
  const keys = (filter: string[]) => filterCases(allCases, filter).map(keyOf);
  assert.equal(keys(['matmul_512']), ['matmul_512_f32', 'matmul_512_f16']);
  assert.equal(keys(['matmul_1024_f16', 'rfft']), ['rfft_f32', 'matmul_1024_f16']);
  assert.equal(keys(['mert95m_ffn_in_b8']), ['mert95m_ffn_in_b8_f32', 'mert95m_ffn_in_b8_f16']);
  assert.throws(
    () => keys(['matmul', 'zzz']),
    /--filter zzz matches no case; there are[^\n]*\n {2}matmul_512\n[\s\S]*mert95m_qkv_b1, _b4, _b8\n/,
  );
});

test('the cases that others count on are there', () => {
  const names = kernelCases.map(({ name }) => name);
  const wanted =
    'matmul_512 matmul_1024 conv1d posconv attention layernorm elementwise chain_100 softmax cross_entropy cqt rvq';
  for (const name of wanted.split(' ')) assert.ok(names.includes(name), name);
  assert.is(new Set(allCases.map(keyOf)).size, allCases.length);
});

test('every shape of both models is there, at batches of 1, 4 and 8', () => {
  const keys = new Set(allCases.map(keyOf));
  const layer = 'qkv attention_out ffn_in ffn_out qkv_dw ffn_in_dw ffn_out_dw attention posconv layernorm softmax gelu';
  const shared = [...[0, 1, 2, 3, 4, 5, 6].map((i) => `extractor${i}`), 'groupnorm'];
  for (const batch of [1, 4, 8]) {
    for (const dtype of ['f32', 'f16']) {
      for (const what of layer.split(' ')) {
        for (const model of ['mert95m', 'mert330m']) {
          assert.ok(keys.has(`${model}_${what}_b${batch}_${dtype}`), `${model} ${what} ${batch} ${dtype}`);
        }
      }
      for (const what of shared) assert.ok(keys.has(`mert_${what}_b${batch}_${dtype}`), what);
    }
    for (const what of ['cross_entropy', 'cqt', 'rvq']) assert.ok(keys.has(`mert_${what}_b${batch}_f32`), what);
  }
  const last = allCases.find(({ name }) => name === 'mert_extractor6_b1')!;
  assert.match(last.about, /\[1, 512, 749\]/, '120000 samples have become 749 steps before the last convolution');
});

const abilities = (software: boolean, features: string[], binding: number) =>
  ({
    adapter: { software },
    features: new Set(features),
    limits: { maxBufferSize: 2 ** 40, maxStorageBufferBindingSize: binding },
  }) as unknown as Abilities;

test('adapters get the cases that they can run, and software ones those that do not take long', () => {
  const lines: string[] = [];
  const log = (line: string) => lines.push(line);
  const all = casesFor(abilities(false, ['shader-f16'], 2 ** 31), allCases, { large: false, log });
  assert.is(all.length, allCases.length);
  assert.equal(lines, []);

  const software = casesFor(abilities(true, [], 2 ** 27), allCases, { large: false, log });
  assert.ok(software.every(({ dtype }) => dtype === 'f32'));
  assert.not.ok(software.some(isLarge));
  assert.equal(
    software.filter(({ group }) => group === 'kernels'),
    kernelCases.filter((each) => each.dtype === 'f32' && !isLarge(each)),
  );
  assert.match(lines[0], /^left out: \d+ cases \(.*, …\) need shader-f16/);
  assert.match(lines[1], /take long on a software adapter; --large runs them/);

  const asked = casesFor(abilities(true, ['shader-f16'], 2 ** 27), allCases, { large: true, log });
  assert.ok(asked.some(({ name }) => name === 'mert95m_ffn_in_b8'));
  assert.not.ok(asked.some(({ largest }) => largest > 2 ** 27));

  const one = filterCases(allCases, ['mert95m_ffn_in_b8_f32']);
  assert.throws(
    () => casesFor(abilities(true, [], 2 ** 27), one, { large: false, log }),
    /mert95m_ffn_in_b8_f32 take long on a software adapter; --large runs them/,
  );
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
