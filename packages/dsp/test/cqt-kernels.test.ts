import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { type CqtSettings, checkCqtSettings, cqtFrequencies, cqtKernel, cqtLengths } from '../src/cqt-kernels.ts';
import { golden, relativeError } from './golden.ts';

const teacher: CqtSettings = {
  sampleRate: 24000,
  hopLength: 320,
  fMin: 32.7,
  bins: 336,
  binsPerOctave: 48,
  normalization: 'librosa',
};
const expected = golden('cqt_kernels');

test('frequencies and lengths of the teacher', () => {
  assert.ok(relativeError(cqtFrequencies(teacher), expected.get('freqs')!) < 1e-14);
  assert.equal([...cqtLengths(teacher)], [...expected.get('lengths')!]);
});

// Lengths 25597 and 11907 are odd, 400 is even.
for (const k of [47, 100, 335]) {
  test(`filter ${k} agrees with nnAudio's, tap for tap`, () => {
    const { first, re, im } = cqtKernel(cqtFrequencies(teacher)[k], cqtLengths(teacher)[k], teacher.sampleRate);
    assert.is(first, expected.get(`k${k}/offset`)![0]);
    assert.ok(relativeError(re, expected.get(`k${k}/re`)!) < 1e-6);
    assert.ok(relativeError(im, expected.get(`k${k}/im`)!) < 1e-6);
  });
}

test('filters are L1-normalised', () => {
  for (const length of [2, 3, 64, 65, 399]) {
    const { re, im } = cqtKernel(440, length, 24000);
    const sum = re.reduce((total, value, i) => total + Math.hypot(value, im[i]), 0);
    assert.ok(Math.abs(sum - 1) < 1e-12);
  }
});

test('settings out of range are named', () => {
  for (const [change, message] of [
    [{ hopLength: 0 }, /hopLength is 0; expected a whole number/],
    [{ bins: 2.5 }, /bins is 2.5/],
    [{ binsPerOctave: Number.NaN }, /binsPerOctave is NaN/],
    [{ sampleRate: -1 }, /sampleRate is -1 Hz/],
    [{ fMin: 0 }, /fMin is 0 Hz/],
    [{ bins: 480 }, /top bin lies at .* above half the sample rate of 24000 Hz; use at most 409 bins/],
  ] as const) {
    assert.throws(() => checkCqtSettings({ ...teacher, ...change }), message);
  }
  checkCqtSettings({ ...teacher, bins: 409 });
});

test.run();
