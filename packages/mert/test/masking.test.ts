import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type MaskingOptions, maskBatch } from '../src/model/masking.ts';
import { hostRandom } from '../src/random.ts';
import './support.ts';
import '../../tensor/test/seed.ts';

const published: MaskingOptions = { probability: 0.8, length: 5, minMasks: 2 };
const count = (row: Uint8Array) => row.reduce((sum, masked) => sum + masked, 0);

/** Maximal runs of masked frames. */
const runs = (row: Uint8Array) => [...[...row].join('').matchAll(/1+/g)].map(([run]) => run.length);

const masking = suite('maskBatch');

masking('every clip has as many masked frames as the others, at least one, never all', () => {
  const cases = fc.record({
    seed: fc.nat(),
    batch: fc.integer({ min: 1, max: 6 }),
    frames: fc.integer({ min: 12, max: 400 }),
    probability: fc.double({ min: 0, max: 0.9, noNaN: true }),
    length: fc.integer({ min: 1, max: 5 }),
  });
  fc.assert(
    fc.property(cases, ({ seed, batch, frames, ...options }) => {
      const masks = maskBatch(hostRandom(seed), batch, frames, { ...options, minMasks: 2 });
      assert.is(masks.length, batch);
      const sizes = masks.map(count);
      assert.ok(masks.every((row) => row.length === frames && row.every((masked) => masked === 0 || masked === 1)));
      assert.ok(
        sizes.every((size) => size === sizes[0] && size > 0 && size < frames),
        `${sizes} of ${frames}`,
      );
    }),
  );
});

masking('a clip by itself is masked in whole spans', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 20, max: 300 }), fc.integer({ min: 2, max: 7 }), (seed, frames, length) => {
      const [row] = maskBatch(hostRandom(seed), 1, frames, { probability: 0.4, length, minMasks: 1 });
      assert.ok(
        runs(row).every((run) => run >= length),
        `runs ${runs(row)}`,
      );
    }),
  );
});

masking('the seed decides everything', () => {
  fc.assert(
    fc.property(fc.nat(), (seed) => {
      const draw = (from: number) => maskBatch(hostRandom(from), 3, 100, published);
      assert.equal(draw(seed), draw(seed));
      assert.not.equal(draw(seed), draw(seed + 1));
    }),
  );
});

masking('covers what fairseq covers: 58.3 % of 374 frames, 54.0 % after clips of 16 are made equal', () => {
  const share = (batch: number, rounds: number) => {
    let masked = 0;
    for (let seed = 0; seed < rounds; seed++) {
      for (const row of maskBatch(hostRandom(seed), batch, 374, published)) masked += count(row);
    }
    return masked / (rounds * batch * 374);
  };
  assert.ok(Math.abs(share(1, 2000) - 0.583) < 0.003, `before ${share(1, 2000)}`);
  assert.ok(Math.abs(share(16, 200) - 0.54) < 0.004, `after ${share(16, 200)}`);
});

masking('frames are masked alike along the clip, but for its edges', () => {
  const counts = new Float64Array(100);
  for (let seed = 0; seed < 3000; seed++) {
    const [row] = maskBatch(hostRandom(seed), 1, 100, published);
    for (const [t, masked] of row.entries()) counts[t] += masked / 3000;
  }
  const inner = counts.subarray(5, 95);
  const mean = inner.reduce((sum, value) => sum + value, 0) / inner.length;
  assert.ok(
    inner.every((value) => Math.abs(value - mean) < 0.045),
    `${mean}: ${[...inner]}`,
  );
  // As in fairseq, no span starts where it would end on the last frame.
  assert.is(counts[99], 0);
});

masking('no spans wanted, none drawn', () => {
  const options = { probability: 0, length: 5, minMasks: 0 };
  // A share of 0 rounds up to a span never.
  assert.equal(maskBatch(hostRandom(1), 2, 30, options), [new Uint8Array(30), new Uint8Array(30)]);
});

masking('tiny clips get a mask, or an error that says what to do', () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 11 }), fc.integer({ min: 1, max: 4 }), (seed, frames, batch) => {
      let masks: Uint8Array[];
      try {
        masks = maskBatch(hostRandom(seed), batch, frames, published);
      } catch (error) {
        assert.match((error as Error).message, `all ${frames} frames of a clip would be masked; use longer clips`);
        // Two spans of five frames fit eleven without covering them.
        assert.ok(frames <= 10, `${frames} frames`);
        return;
      }
      const sizes = masks.map(count);
      assert.ok(
        sizes.every((size) => size === sizes[0] && size < frames),
        `${sizes} of ${frames}`,
      );
    }),
    { numRuns: 500 },
  );
});

masking.run();
