/** The engine's side of spectra.py: what each of its cases is called here. */
import { complexAbs, complexConj, complexMul, fft, ifft, irfft, rfft } from '@dawnchorus/tensor';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

for (const n of [1, 2, 8, 12, 45, 67, 134]) {
  golden[`fft of ${n}`] = (x) => fft(x);
  golden[`ifft of ${n}`] = (x) => ifft(x);
  golden[`rfft of ${n}`] = (x) => rfft(x);
  golden[`irfft of ${n}`] = (x) => irfft(x, { n });
}
for (const norm of ['ortho', 'forward'] as const) {
  golden[`fft, ${norm}`] = (x) => x.fft({ norm });
  golden[`ifft, ${norm}`] = (x) => x.ifft({ norm });
  golden[`rfft, ${norm}`] = (x) => x.rfft({ norm });
  golden[`rfft of an odd length, ${norm}`] = (x) => x.rfft({ norm });
  golden[`irfft, ${norm}`] = (x) => x.irfft({ norm });
  golden[`irfft to an odd length, ${norm}`] = (x) => x.irfft({ n: 9, norm });
}
golden['fft of the first axis'] = (x) => fft(x, { dim: 0 });
golden['ifft of the middle axis'] = (x) => ifft(x, { dim: -2 });
golden['rfft of the first axis'] = (x) => rfft(x, { dim: 0 });
golden['irfft of the middle axis'] = (x) => irfft(x, { dim: 1 });
golden['fft, cut'] = (x) => fft(x, { n: 5 });
golden['fft, filled up'] = (x) => fft(x, { n: 12 });
golden['rfft, cut'] = (x) => rfft(x, { n: 6 });
golden['rfft, filled up'] = (x) => rfft(x, { n: 14, dim: 0 });
golden['irfft, cut'] = (x) => irfft(x, { n: 6 });
golden['irfft, filled up'] = (x) => irfft(x, { n: 20 });
golden['fft over two axes'] = (x) => fft(fft(x), { dim: 0 });

golden.complexMul = (a, b) => complexMul(a, b);
golden['complexMul broadcasts'] = (a, b) => a.complexMul(b);
golden.complexConj = (x) => complexConj(x);
golden.complexAbs = (x) => complexAbs(x);
golden['complexAbs, gradient at zero'] = (x) => x.complexAbs();
golden.unfold = (x) => x.unfold(1, 4, 3);
golden['unfold of the first axis'] = (x) => x.unfold(0, 3, 1).square();
golden['a short-time Fourier transform'] = (x, w) => rfft(x.unfold(-1, 10, 4).mul(w));
golden['a filter in the frequency domain'] = (x, h) => irfft(complexMul(rfft(x), rfft(h, { n: 32 })));
golden['the energy of a spectrum'] = (x) => rfft(x).complexAbs().square().sum({ dim: -1 });
