import { type AttributesOf, apply, fftTables, rfftTables } from '@dawnchorus/tensor';
import { onlyIf, rule, unbroadcast } from './rule.ts';

export const fourierRules = {
  // The matrix of the transform is symmetric, so its transpose on real and imaginary parts is its conjugate.
  fft: rule<AttributesOf<'fft'>>('nothing', (g, { attributes: { inverse, scale } }) =>
    apply('fft', [g, ...fftTables(g.device, g.shape[g.rank - 2])], { inverse: !inverse, scale }),
  ),
  // Each other's transposes for the same attributes.
  rfft: rule<AttributesOf<'rfft'>>('nothing', (g, { attributes }) => {
    const length = 2 * (g.shape[g.rank - 2] - 1);
    return apply('irfft', [g, ...rfftTables(g.device, length)], { ...attributes, length });
  }),
  irfft: rule<AttributesOf<'irfft'>>('nothing', (g, { attributes: { length, ...attributes } }) =>
    apply('rfft', [g, ...rfftTables(g.device, length)], attributes),
  ),
  complexMul: rule<AttributesOf<'complexMul'>>('inputs', (g, { inputs: [a, b], attributes: { conjugate }, needs }) => {
    const product = (x: typeof g, y: typeof g, conj: boolean) => apply('complexMul', [x, y], { conjugate: conj })[0];
    return [
      onlyIf(needs[0], () => unbroadcast(product(g, b, !conjugate), a.shape)),
      onlyIf(needs[1], () => unbroadcast(conjugate ? product(a, g, true) : product(g, a, true), b.shape)),
    ];
  }),
};
