import { makeWindow } from '@dawnchorus/dsp';
import { bytes, type Case, caseOf, noise, toleranceOf } from '../work.ts';
import { cqtCase, rvqCase } from './teachers.ts';

/** Short-time Fourier transforms as librosa frames them: a centred Hann window, zeros outside. */
export function stftCase(name: string, clips: number, samples: number, nFft: number, hopLength: number): Case {
  const bins = nFft / 2 + 1;
  const frames = Math.floor(samples / hopLength) + 1;
  const size = clips * bins * frames * 2;
  const facts = {
    name,
    dtype: 'f32',
    operation: 'stft',
    settings: { nFft, hopLength },
    about: `${clips} clips of ${samples} samples, ${nFft} points each ${hopLength}`,
    passes: ['forward'],
    flops: Math.round(2.5 * clips * frames * nFft * Math.log2(nFft)),
    bytes: bytes('f32', clips * samples, size),
    largest: bytes('f32', clips * frames * nFft),
    bound: 'memory',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [clips, samples], 'f32');
    const window = makeWindow('hann', nFft);
    const at = (i: number) => {
      const [part, t] = [i % 2, Math.floor(i / 2) % frames];
      const k = Math.floor(i / (2 * frames)) % bins;
      const clip = Math.floor(i / (2 * frames * bins));
      let sum = 0;
      for (let n = 0; n < nFft; n++) {
        const s = t * hopLength + n - nFft / 2;
        if (s < 0 || s >= samples) continue;
        const angle = (2 * Math.PI * ((k * n) % nFft)) / nFft;
        sum += x.data[clip * samples + s] * window[n] * (part === 0 ? Math.cos(angle) : -Math.sin(angle));
      }
      return sum;
    };
    return { inputs: [x], expected: () => [{ what: 'spectrum', size, at }] };
  });
}

const CLIPS = 8;
const SECONDS = 5;

/** What `npm run bench -- dsp` times: the teachers and what is under them, at the sizes of a batch. */
export const dspCases: readonly Case[] = [
  cqtCase('cqt', CLIPS, SECONDS),
  cqtCase('cqt_gemm', CLIPS, SECONDS, 'gemm'),
  cqtCase('cqt_multirate', CLIPS, SECONDS, 'multirate'),
  stftCase('stft', CLIPS, SECONDS * 24000, 2048, 320),
  rvqCase('rvq', { rows: CLIPS * 375, dimension: 128, codes: 1024, stages: 8 }),
];
