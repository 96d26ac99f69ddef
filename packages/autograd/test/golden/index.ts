/** The families of golden cases: what each case is in the engine, and the file of what PyTorch or NumPy computed for it. */
import type { Tensor } from '@dawnchorus/tensor';
import { golden as arithmetic } from './arithmetic.ts';
import arithmeticFile from './arithmetic.json' with { type: 'json' };
import { golden as attention } from './attention.ts';
import attentionFile from './attention.json' with { type: 'json' };
import { golden as images } from './images.ts';
import imagesFile from './images.json' with { type: 'json' };
import { golden as indexing } from './indexing.ts';
import indexingFile from './indexing.json' with { type: 'json' };
import { golden as layers } from './layers.ts';
import layersFile from './layers.json' with { type: 'json' };
import { golden as operations } from './operations.ts';
import operationsFile from './operations.json' with { type: 'json' };
import { golden as products } from './products.ts';
import productsFile from './products.json' with { type: 'json' };
import { golden as spectra } from './spectra.ts';
import spectraFile from './spectra.json' with { type: 'json' };

/** A promise where the shape of the result has to be read back; such cases have no gradients. */
export type Golden = (...inputs: Tensor[]) => Tensor | Tensor[] | Promise<Tensor>;

/** Where a tensor lies in a file's data. */
export interface Stored {
  dtype: string;
  shape: number[];
  offset: number;
}

export interface GoldenCase {
  inputs: Stored[];
  outputs: Stored[];
  cotangents?: (Stored | null)[];
  gradients?: { input: number; value: Stored }[];
}

export interface Family {
  golden: Record<string, Golden>;
  file: { cases: Record<string, GoldenCase>; data: string };
}

const family = (golden: Record<string, Golden>, file: { cases: object; data: string }): Family => ({
  golden,
  file: file as Family['file'],
});

export const families: Record<string, Family> = {
  arithmetic: family(arithmetic, arithmeticFile),
  attention: family(attention, attentionFile),
  images: family(images, imagesFile),
  indexing: family(indexing, indexingFile),
  layers: family(layers, layersFile),
  operations: family(operations, operationsFile),
  products: family(products, productsFile),
  spectra: family(spectra, spectraFile),
};
