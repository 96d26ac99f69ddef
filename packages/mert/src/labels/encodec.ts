import type { CodebookChoice, Codec } from '../codec/codec.ts';
import { loadCodec } from '../codec/load.ts';
import { encodePieces } from '../codec/stream.ts';
import { hashTeacher } from './hash.ts';
import { byFrame, type CropTeacher, defineTeacher } from './teacher.ts';

/** EnCodec as a teacher: what `mert codec encode` gives, 8 codebooks of the 24 kHz model unless others are asked for. */
export async function labelsOfCodec(codec: Codec, choice: CodebookChoice = {}): Promise<CropTeacher> {
  const codebooks = codec.codebooks(choice);
  const { codebookSize } = codec.config;
  const weights = await Promise.all(
    // What the labels depend on: neither the decoder nor the codebooks that are left out.
    [...codec.named()]
      .filter(([name]) => name.startsWith('encoder.') || /^quantizer\.layers\.\d+\.codebook\.embed$/.test(name))
      .filter(([name]) => Number(/^quantizer\.layers\.(\d+)\./.exec(name)?.[1] ?? 0) < codebooks)
      .map(async ([name, tensor]) => [name, { shape: tensor.shape, data: await tensor.data() }] as const),
  );
  return defineTeacher({
    name: 'encodec',
    hash: hashTeacher({ name: 'encodec', version: 1, config: { ...codec.config, numCodebooks: codebooks } }, weights),
    sampleRate: codec.sampleRate,
    hop: codec.hopLength,
    framePadding: codec.hopLength - 1,
    codebooks: Array.from({ length: codebooks }, () => codebookSize),
    resample: 'hann6',
    adapter: codec.quantizer.codebooks[0].embed.device.adapter.name,
    async *stream(recording) {
      if (recording.samples === 0) return;
      for await (const { codes } of encodePieces(codec, recording.pieces(), { codebooks })) {
        yield byFrame(codes, codebooks);
      }
    },
    encode: (waveform) => codec.encode(waveform, { codebooks }).permute([1, 0, 2]),
    dispose: () => codec.dispose(),
  });
}

/** Loads EnCodec as a teacher: see `loadCodec`. */
export async function loadCodecTeacher(path: string, choice: CodebookChoice = {}): Promise<CropTeacher> {
  return labelsOfCodec(await loadCodec(path), choice);
}
