import { gridStart, ownKernel } from '../contract.ts';
import { convSpectrumProduct as source } from '../generated/wgsl.ts';

/** Strides in pairs of frequencies. Grid: (pairs / 32, ceil(rows / ROWS) * ceil(columns / COLUMNS), groups). */
export const convSpectrumProduct = ownKernel({
  name: 'conv_spectrum_product',
  source,
  bindings: { a: 'read', b: 'read', out: 'readWrite' },
  parameters: {
    terms: 'u32',
    rows: 'u32',
    columns: 'u32',
    pairs: 'u32',
    aTerm: 'u32',
    aRow: 'u32',
    aGroup: 'u32',
    bTerm: 'u32',
    bColumn: 'u32',
    bGroup: 'u32',
    outRow: 'u32',
    outColumn: 'u32',
    outGroup: 'u32',
    scale: 'f32',
    ...gridStart,
  },
  constants: {
    ROWS: 'const ROWS = 4u;',
    COLUMNS: 'const COLUMNS = 4u;',
    CONJUGATE: 'const CONJUGATE = false;',
  },
});
