import { type Device, openDevice, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { createFft, fftRadices } from '../src/fft.ts';
import { relativeError } from './golden.ts';

let device: Device;
test.before(async () => {
  device = await openDevice({ log: () => {} });
});
test.after(() => device.close());

/** The definition in f64: rows of (re, im). */
function reference(x: Float32Array, length: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += 2 * length) {
    for (let f = 0; f < length; f++) {
      for (let n = 0; n < length; n++) {
        const angle = (-2 * Math.PI * ((f * n) % length)) / length;
        const [re, im] = [x[row + 2 * n], x[row + 2 * n + 1]];
        out[row + 2 * f] += re * Math.cos(angle) - im * Math.sin(angle);
        out[row + 2 * f + 1] += re * Math.sin(angle) + im * Math.cos(angle);
      }
    }
  }
  return out;
}

test('radices multiply up to the length', () => {
  assert.equal(fftRadices(320 * 512), [8, 8, 8, 8, 8, 5]);
  assert.equal(fftRadices(48), [8, 2, 3]);
  for (let length = 1; length < 400; length++) {
    assert.is(
      fftRadices(length).reduce((product, radix) => product * radix, 1),
      length,
    );
  }
});

test('transforms agree with the definition, whatever the length', async () => {
  const cases = fc.tuple(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 3 }), fc.integer());
  await fc.assert(
    fc.asyncProperty(cases, async ([length, rows, seed]) => {
      const x = Float32Array.from({ length: 2 * length * rows }, (_, i) => Math.sin(seed + 1.7 * i * i));
      const fft = createFft(device, length);
      using a = tensor(x, { device });
      using b = tensor(new Float32Array(x.length), { device });
      const got = (await fft.transform(a, b, rows).data()) as Float32Array;
      fft.dispose();
      assert.ok(relativeError(got, reference(x, length)) < 3e-6);
    }),
    { numRuns: 40, examples: [[[512, 2, 1]], [[331, 1, 2]], [[1, 1, 0]]] },
  );
});

test.run();
