import { scope, type Tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { prepareBatch, stackClips } from '../src/data/batch.ts';
import {
  drawMixture,
  type MixtureDraw,
  type MixtureOptions,
  mix,
  mixOnDevice,
  uploadMixture,
} from '../src/model/mixture.ts';
import { normaliseOnDevice, normaliseWaveform } from '../src/model/normalise.ts';
import { hostRandom } from '../src/random.ts';
import { goldenArrays, openTestDevice, relativeError, tinyConfig, tone } from './support.ts';

const device = await openTestDevice();

/** What the GPU makes of clips, one after another. */
async function onDevice(
  clips: Float32Array[],
  draws: MixtureDraw[][],
  options: MixtureOptions,
): Promise<Float32Array[]> {
  const out = scope(() => mixOnDevice(stackClips(clips), uploadMixture(draws, options), options));
  return rowsOf(out, clips.length);
}

async function rowsOf(out: Tensor, count: number): Promise<Float32Array[]> {
  const data = (await out.data()) as Float32Array;
  out.dispose();
  return Array.from({ length: count }, (_, i) =>
    data.slice((i * data.length) / count, ((i + 1) * data.length) / count),
  );
}

const published: MixtureOptions = { probability: 0.5, numberRange: [1, 3], lengthRange: [12000, 24000], volume: 1 };

const mixing = suite('mix');

mixing('the published formula with recorded draws', async () => {
  const golden = await goldenArrays('mixing.safetensors');
  const split = (all: Float32Array) => [0, 1, 2].map((i) => all.slice(i * 6000, (i + 1) * 6000));
  const clips = split(golden('batch'));
  // [start in the other clips, length, position], as the file's metadata lists them.
  const draws = [
    [
      [100, 1500, 200],
      [5500, 1200, 1000],
    ],
    [],
    [[0, 2000, 4000]],
  ].map((clip) => clip.map(([start, length, position]) => ({ start, length, position })));
  const mixed = mix(clips, draws, 1);
  const made = await onDevice(clips, draws, published);
  for (const [i, expected] of split(golden('mert/out')).entries()) {
    assert.ok(relativeError(mixed[i], expected) < 1e-6, `clip ${i}`);
    assert.ok(relativeError(made[i], expected) < 1e-6, `clip ${i}, on the GPU`);
  }
  assert.equal(mixed[1], clips[1]);
  assert.is.not(mixed[1], clips[1], 'a copy, so that changing one does not change the other');
});

mixing('WavLM’s formula, by levels, with recorded draws', async () => {
  const golden = await goldenArrays('mixing.safetensors');
  const split = (all: Float32Array) => [0, 1, 2].map((i) => all.slice(i * 6000, (i + 1) * 6000));
  const clips = split(golden('batch'));
  // 2500 samples of clip 2 from 500 on, at 1000 of clip 0, which is to be 3 dB under the other.
  const draws = [[{ start: 6000 + 500, length: 2500, position: 1000, snr: -3 }], [], []];
  const options = { ...published, snr: [-5, 5] as const };
  const [mixed, made] = [mix(clips, draws, 1), await onDevice(clips, draws, options)];
  for (const [i, expected] of split(golden('wavlm/out')).entries()) {
    assert.ok(relativeError(mixed[i], expected) < 1e-6, `clip ${i}`);
    assert.ok(relativeError(made[i], expected) < 1e-6, `clip ${i}, on the GPU`);
  }
  // What is silent stays so, and mixes in nothing.
  const silent = [new Float32Array(6000), clips[1], clips[2]];
  const part = { length: 2000, position: 0, snr: 0 };
  const both = [[{ ...part, start: 0 }], [{ ...part, start: 0 }], []];
  for (const clip of await onDevice(silent, both, options)) assert.ok(clip.every(Number.isFinite));
  assert.equal((await onDevice(silent, both, options))[0], silent[0]);
});

mixing('levels are drawn evenly between the least and the greatest', () => {
  const options = { ...published, probability: 1, snr: [-2, 7] as const };
  const levels = drawMixture(hostRandom(5), 400, 24000, options).map(([part]) => part.snr as number);
  assert.ok(levels.every((level) => level >= -2 && level <= 7));
  const sorted = levels.sort((a, b) => a - b);
  // A quarter, half and three quarters of the way, within four standard errors.
  for (const share of [0.25, 0.5, 0.75]) assert.ok(Math.abs(sorted[share * 400] - (-2 + 9 * share)) < 0.9, `${share}`);
});

mixing('the GPU mixes as the host does, whatever the draws', async () => {
  for (const [seed, snr] of [
    [1, undefined],
    [2, undefined],
    [3, [-5, 5] as const],
  ] as const) {
    const options = { ...published, probability: 0.8, lengthRange: [50, 700] as const, volume: 0.7, snr };
    const clips = clipsOf(4, 1000);
    const draws = drawMixture(hostRandom(seed), 4, 1000, options);
    const [expected, made] = [mix(clips, draws, 0.7), await onDevice(clips, draws, options)];
    for (const [i, clip] of expected.entries()) assert.ok(relativeError(made[i], clip) < 1e-6);
    const heard = await rowsOf(
      scope(() => normaliseOnDevice(mixOnDevice(stackClips(clips), uploadMixture(draws, options), options))),
      4,
    );
    for (const [i, clip] of expected.entries()) {
      const normal = normaliseWaveform(clip);
      assert.ok(relativeError(heard[i], normal) < 1e-5);
    }
  }
});

const clipsOf = (batch: number, samples: number) => Array.from({ length: batch }, (_, i) => tone(samples, i));

mixing('leaves the clean batch as it was, and adds only where it says', () => {
  const cases = fc.record({
    batch: fc.integer({ min: 1, max: 5 }),
    samples: fc.integer({ min: 1, max: 60 }),
    seed: fc.nat(),
    volume: fc.constantFrom(0.5, 1, 2),
    lengthRange: fc.tuple(fc.integer({ min: 1, max: 80 }), fc.integer({ min: 0, max: 40 })),
  });
  fc.assert(
    fc.property(cases, ({ batch, samples, seed, volume, lengthRange: [shortest, more] }) => {
      const options = { ...published, probability: 0.8, volume, lengthRange: [shortest, shortest + more] as const };
      const clips = clipsOf(batch, samples);
      const before = clips.map((clip) => clip.slice());
      const draws = drawMixture(hostRandom(seed), batch, samples, options);
      const mixed = mix(clips, draws, volume);
      assert.equal(clips, before);
      for (const [i, clip] of clips.entries()) {
        const pool = clips.filter((_, j) => j !== i).flatMap((other) => [...other]);
        const expected = Float64Array.from(clip);
        for (const { start, length, position } of draws[i]) {
          assert.ok(start >= 0 && start + length <= pool.length && position >= 0 && position + length <= samples);
          for (let t = 0; t < length; t++) expected[position + t] += volume * pool[start + t];
        }
        assert.ok(relativeError(mixed[i], expected) < 1e-6);
      }
    }),
  );
});

const drawing = suite('drawMixture');

drawing('a batch of one, or probability 0, leaves every clip clean', () => {
  assert.equal(drawMixture(hostRandom(1), 1, 120000, { ...published, probability: 1 }), [[]]);
  for (let seed = 0; seed < 50; seed++) {
    assert.equal(drawMixture(hostRandom(seed), 3, 120000, { ...published, probability: 0 }), [[], [], []]);
  }
});

drawing('the probability is that of being mixed, not of staying clean', () => {
  for (const probability of [0.1, 0.5, 0.9, 1]) {
    const clips = 4000;
    const draws = drawMixture(hostRandom(3), clips, 30000, { ...published, probability });
    const share = draws.filter((draw) => draw.length > 0).length / clips;
    // Four standard deviations of a binomial.
    assert.ok(Math.abs(share - probability) <= 4 * Math.sqrt((probability * (1 - probability)) / clips), `${share}`);
  }
});

/** Pearson's statistic of counts that should be equal. */
function chiSquare(counts: readonly number[]): number {
  const expected = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  return counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
}

drawing('numbers, lengths, starts and positions are uniform, both ends included', () => {
  const [clips, samples] = [6000, 120000];
  const draws = drawMixture(hostRandom(5), clips, samples, { ...published, probability: 1 });
  const numbers = [1, 2, 3].map((number) => draws.filter((draw) => draw.length === number).length);
  assert.is(
    numbers.reduce((sum, count) => sum + count, 0),
    clips,
  );
  // 99.9 % points: 13.8 for 2 degrees of freedom, 27.9 for 9.
  assert.ok(chiSquare(numbers) < 13.8, `${numbers}`);
  const parts = draws.flat();
  const pool = (clips - 1) * samples;
  const shares: [string, (part: (typeof parts)[number]) => number][] = [
    ['length', ({ length }) => (length - 12000) / 12001],
    ['start', ({ start }) => start / (pool - 24000 + 1)],
    ['position', ({ position, length }) => position / (samples - length + 1)],
  ];
  for (const [name, share] of shares) {
    const counts = Array(10).fill(0);
    for (const part of parts) counts[Math.floor(share(part) * 10)]++;
    assert.is(counts.length, 10, `${name} out of range`);
    assert.ok(chiSquare(counts) < 27.9, `${name}: ${counts}`);
  }
  const ends = new Set<number>();
  for (const { length } of drawMixture(hostRandom(6), 300, 50, {
    ...published,
    probability: 1,
    lengthRange: [4, 6],
  }).flat()) {
    ends.add(length);
  }
  assert.equal([...ends].sort(), [4, 5, 6]);
});

drawing('parts longer than the clips are cut to them', () => {
  for (const draw of drawMixture(hostRandom(1), 2, 100, { ...published, probability: 1 }).flat()) {
    assert.equal(draw, { start: 0, length: 100, position: 0 });
  }
});

const preparing = suite('prepareBatch');

preparing('clean clips, masks and what is heard depend on seed and step alone', () => {
  const config = tinyConfig('mixture.probability=1');
  const prepare = (step: number, mixture = true) =>
    prepareBatch(clipsOf(3, 12000), config, step, 36, { seed: 4, mixture });
  const [batch, again, later, unmixed] = [prepare(2), prepare(2), prepare(3), prepare(2, false)];
  assert.equal(again, batch);
  assert.equal(batch.clean, clipsOf(3, 12000), 'what the teachers hear is not mixed');
  assert.equal(unmixed.masks, batch.masks, 'masks do not depend on the mixture');
  assert.not.equal(unmixed.draws, batch.draws);
  assert.not.equal(later.masks, batch.masks);
  assert.not.equal(
    prepareBatch(clipsOf(3, 12000), config, 2, 36, { seed: 4, mixture: true, part: 1 }).masks,
    batch.masks,
  );
});

preparing.after(() => device.close());

mixing.run();
drawing.run();
preparing.run();
