import { denseResampleKernel, makeWindow, resampledLength, resampleKernel } from '@dawnchorus/dsp';
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

/** From CDs' rate to the teachers', by the filter that audio is prepared with. The dense kernel is there for the others. */
export function resampleCase(name: string, clips: number, samples: number, from: number, to: number): Case {
  const length = resampledLength(samples, from, to);
  const kernel = resampleKernel(from, to);
  const taps = 2 * kernel.width + kernel.from;
  const facts = {
    name,
    dtype: 'f32',
    operation: 'resample',
    settings: { from, to, width: kernel.width, step: kernel.from, length },
    about: `${clips} clips of ${samples} samples, ${from} to ${to} Hz`,
    passes: ['forward'],
    flops: 2 * clips * length * kernel.taps,
    bytes: bytes('f32', clips * samples, clips * length),
    largest: bytes('f32', clips * samples),
    bound: 'memory',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [clips, samples], 'f32');
    const dense = denseResampleKernel(kernel);
    const at = (i: number) => {
      const [clip, n] = [Math.floor(i / length), i % length];
      const start = Math.floor(n / kernel.to) * kernel.from - kernel.width;
      let sum = 0;
      for (let tap = 0; tap < taps; tap++) {
        const s = start + tap;
        if (s >= 0 && s < samples) sum += x.data[clip * samples + s] * dense[(n % kernel.to) * taps + tap];
      }
      return sum;
    };
    const inputs = [x, { shape: [kernel.to, taps], dtype: 'f32' as const, data: dense }];
    return { inputs, expected: () => [{ what: 'audio', size: clips * length, at }] };
  });
}

/** Multiply-adds of EnCodec's encoder, counting two, for a second of audio. */
const ENCODEC_FLOPS = 2.98e9;

/**
 * EnCodec's 24 kHz encoder and 8 codebooks, random weights in each engine, on which its time does not depend. Ours holds its
 * first codes against an encoder in f64; the others have weights of their own.
 */
export function encodecCase(name: string, clips: number, seconds: number): Case {
  const samples = 24000 * seconds;
  const facts = {
    name,
    dtype: 'f32',
    operation: 'encodec',
    settings: {},
    about: `${clips} clips of ${seconds} s to 8 codebooks`,
    passes: ['forward'],
    flops: clips * seconds * (ENCODEC_FLOPS + 2 * 75 * 8 * 1024 * 128),
    bytes: bytes('f32', clips * samples, clips * seconds * 75 * 8),
    largest: bytes('f32', 32 * clips * samples),
    bound: 'arithmetic',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => ({ inputs: [noise(1, [clips, samples], 'f32')], expected: () => [] }));
}

const CLIPS = 8;
const SECONDS = 5;

/**
 * What `npm run bench -- dsp` times: the teachers and what is under them, at the sizes of a batch. A software adapter gets
 * one second for EnCodec, which has 125 GFLOP for the batch.
 */
export const dspCases = (software: boolean): readonly Case[] => [
  cqtCase('cqt', CLIPS, SECONDS),
  cqtCase('cqt_gemm', CLIPS, SECONDS, 'gemm'),
  cqtCase('cqt_multirate', CLIPS, SECONDS, 'multirate'),
  stftCase('stft', CLIPS, SECONDS * 24000, 2048, 320),
  resampleCase('resample', CLIPS, SECONDS * 44100, 44100, 24000),
  rvqCase('rvq', { rows: CLIPS * 375, dimension: 128, codes: 1024, stages: 8 }),
  software ? encodecCase('encodec', 1, 1) : encodecCase('encodec', CLIPS, SECONDS),
];
