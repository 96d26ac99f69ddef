/** A teacher that needs no device, for tests of what is done with labels. */
import { readSpans } from '../src/data/recording.ts';
import { hashTeacher } from '../src/labels/hash.ts';
import { defineTeacher, frameCountOf, type Teacher } from '../src/labels/teacher.ts';

export interface FakeSettings {
  codebooks?: number[];
  hop?: number;
  framePadding?: number;
  /** Milliseconds that each piece takes. */
  pause?: number;
  /** Frames of a piece. */
  chunk?: number;
  version?: number;
}

/** Labels that depend on the samples of their frame and its neighbours, as real ones do. */
export function fakeTeacher(settings: FakeSettings = {}): Teacher {
  const { codebooks = [1024, 300, 7], hop = 320, framePadding = 319, pause = 0, chunk = 16, version = 1 } = settings;
  const grid = { hop, framePadding };
  return defineTeacher({
    name: 'fake',
    hash: hashTeacher({ codebooks, hop, framePadding, version }, []),
    sampleRate: 24000,
    hop,
    framePadding,
    codebooks,
    async *stream(recording) {
      const frames = frameCountOf(grid, recording.samples);
      const spans = Array.from({ length: Math.ceil(frames / chunk) }, (_, i) => ({
        first: i * chunk * hop - hop,
        end: Math.min(frames, (i + 1) * chunk) * hop + hop,
      }));
      for await (const samples of readSpans(recording, spans)) {
        const own = samples.length / hop - 2;
        const labels = new Int32Array(own * codebooks.length);
        for (let t = 0; t < own; t++) {
          let sum = version;
          for (const sample of samples.subarray(t * hop, (t + 3) * hop))
            sum = (sum * 31 + Math.round(sample * 9999)) | 0;
          for (const [i, size] of codebooks.entries()) labels[t * codebooks.length + i] = (sum >>> (3 * i)) % size;
        }
        if (pause > 0) await new Promise((resolve) => setTimeout(resolve, pause));
        yield labels;
      }
    },
    dispose() {},
  });
}
