/**
 * How files spell the tensors of an EnCodec model. Inside, they have Hugging Face's names with `weight_g` and `weight_v`:
 * `encoder.layers.0.conv.weight_g`. encodec itself says `encoder.model.0.conv.conv.weight_g`, transposed convolutions
 * `decoder.model.3.convtr.convtr.weight_g`, and codebooks `quantizer.vq.layers.0._codebook.embed`. Newer versions of
 * PyTorch write `parametrizations.weight.original0` and `original1` for `weight_g` and `weight_v` in either.
 */
export interface Spelling {
  layout: 'encodec' | 'huggingface';
  /** Whether the parts of weight norm have the names of PyTorch's parametrisation. */
  parametrized: boolean;
}

/** The name inside of what a file calls `name`; names of no codec come back as they are. */
export function canonicalName(name: string): string {
  return name
    .replace(/^(encoder|decoder)\.model\./, '$1.layers.')
    .replace(/^quantizer\.vq\.layers\.(\d+)\._codebook\./, 'quantizer.layers.$1.codebook.')
    .replace(/\.(conv\.conv|convtr\.convtr)\.(?=[^.]*$|parametrizations\.)/, '.conv.')
    .replace(/\.parametrizations\.weight\.original([01])$/, (_, part) => (part === '0' ? '.weight_g' : '.weight_v'));
}

/** What a file of this spelling calls the tensor `name`; `isTransposed` tells layers that are transposed convolutions. */
export function spelledName(
  name: string,
  { layout, parametrized }: Spelling,
  isTransposed: (layer: string) => boolean,
): string {
  const parts = parametrized
    ? name.replace(/\.weight_([gv])$/, (_, part) => `.parametrizations.weight.original${part === 'g' ? 0 : 1}`)
    : name;
  if (layout === 'huggingface') return parts;
  return parts
    .replace(/\.conv\./, isTransposed(name.replace(/\.conv\..*$/, '')) ? '.convtr.convtr.' : '.conv.conv.')
    .replace(/^(encoder|decoder)\.layers\./, '$1.model.')
    .replace(/^quantizer\.layers\.(\d+)\.codebook\./, 'quantizer.vq.layers.$1._codebook.');
}

/** The spelling that most names of a file have. */
export function spellingOf(names: Iterable<string>): Spelling {
  let [encodec, huggingface, parametrized, plain] = [0, 0, 0, 0];
  for (const name of names) {
    if (/^(encoder|decoder)\.model\.|^quantizer\.vq\./.test(name)) encodec++;
    if (/^(encoder|decoder|quantizer)\.layers\./.test(name)) huggingface++;
    if (/\.parametrizations\.weight\.original[01]$/.test(name)) parametrized++;
    if (/\.weight_[gv]$/.test(name)) plain++;
  }
  return { layout: encodec > huggingface ? 'encodec' : 'huggingface', parametrized: parametrized > plain };
}
