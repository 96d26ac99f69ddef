import type { nn } from '@dawnchorus/autograd';
import { formatShape, scope, stack, type Tensor } from '@dawnchorus/tensor';
import { emptyQuantizer, type ResidualQuantizer } from '../rvq/quantizer.ts';
import { type CodecConfig, codebooksFor, defaultBandwidth, hopLength } from './config.ts';
import { type Pass, whole } from './pass.ts';
import { Decoder, Encoder } from './seanet.ts';

/** How many codebooks to use: a number, or what a bandwidth has room for. Default: 6 kbit/s, or all there are. */
export interface CodebookChoice {
  codebooks?: number;
  /** kbit/s */
  bandwidth?: number;
}

/** Latents [batch, dimension, frames] as rows [batch * frames, dimension]. */
export const rowsOfLatents = (latents: Tensor): Tensor => latents.permute([0, 2, 1]).reshape([-1, latents.shape[1]]);

/** Rows [batch * frames, dimension] as latents [batch, dimension, frames]. */
export const latentsOfRows = (rows: Tensor, batch: number): Tensor =>
  rows.reshape([batch, -1, rows.shape[1]]).permute([0, 2, 1]);

/** EnCodec: an encoder, a residual vector quantiser and a decoder of mono waveforms. */
export class Codec {
  readonly config: CodecConfig;
  readonly encoder: Encoder;
  readonly decoder: Decoder;
  quantizer: ResidualQuantizer;

  constructor(config: CodecConfig, keys: nn.KeySequence) {
    this.config = config;
    this.encoder = new Encoder(config, keys);
    this.decoder = new Decoder(config, keys);
    this.quantizer = emptyQuantizer(config.numCodebooks, config.codebookSize, config.hiddenSize);
  }

  /** Samples a second. */
  get sampleRate(): number {
    return this.config.sampleRate;
  }

  /** Samples behind each code. */
  get hopLength(): number {
    return hopLength(this.config);
  }

  /**
   * How many codebooks a choice means in this model, which may have fewer than a bandwidth has room for.
   *
   * @throws RangeError when it is no whole number from 1, or more than there are.
   */
  codebooks({ codebooks, bandwidth }: CodebookChoice = {}): number {
    const { numCodebooks } = this.config;
    if (codebooks === undefined) {
      return Math.min(numCodebooks, codebooksFor(this.config, bandwidth ?? defaultBandwidth));
    }
    if (!Number.isInteger(codebooks) || codebooks < 1 || codebooks > numCodebooks) {
      throw new RangeError(`codec: ${codebooks} codebooks; this model has 1 to ${numCodebooks}`);
    }
    return codebooks;
  }

  /** waveform [batch, samples] at 24 kHz, one sample at least -> latents [batch, hiddenSize, ceil(samples / 320)]. */
  latents(waveform: Tensor, pass: Pass = whole): Tensor {
    if (waveform.rank !== 2 || waveform.shape[1] === 0 || waveform.dtype !== 'f32') {
      throw new RangeError(`codec: the waveform is ${waveform}; expected f32 [batch, samples], one sample at least`);
    }
    const [batch, samples] = waveform.shape;
    return this.encoder.forward(waveform.reshape([batch, 1, samples]), pass);
  }

  /** Latents [batch, hiddenSize, frames] -> codes i32 [batch, codebooks, frames]. */
  quantize(latents: Tensor, choice: CodebookChoice = {}): Tensor {
    const [batch, , frames] = latents.shape;
    const { codes } = this.quantizer.encode(rowsOfLatents(latents), this.codebooks(choice));
    return stack(codes.map((code) => code.reshape([batch, frames]))).permute([1, 0, 2]);
  }

  /**
   * Codes of waveforms [batch, samples] at 24 kHz: i32 [batch, codebooks, ceil(samples / 320)]. What came before a sample
   * has its part in its codes, so encode whole tracks, not crops. `encodePieces` takes tracks of any length.
   */
  encode(waveform: Tensor, choice: CodebookChoice = {}): Tensor {
    return scope(() => this.quantize(this.latents(waveform), choice));
  }

  /** The latents that codes [batch, codebooks, frames] stand for: [batch, hiddenSize, frames]. */
  dequantize(codes: Tensor): Tensor {
    const [batch, codebooks, frames] = codes.shape;
    if (codes.rank !== 3 || codebooks < 1 || codebooks > this.config.numCodebooks || frames === 0) {
      throw new RangeError(
        `codec: codes ${formatShape(codes.shape)}; expected [batch, 1 to ${this.config.numCodebooks} codebooks, frames]`,
      );
    }
    const list = Array.from({ length: codebooks }, (_, i) => codes.select(1, i).reshape([-1]));
    return latentsOfRows(this.quantizer.decode(list), batch);
  }

  /** Latents [batch, hiddenSize, frames] -> waveform [batch, 320 frames]. */
  synthesize(latents: Tensor, pass: Pass = whole): Tensor {
    const waveform = this.decoder.forward(latents, pass);
    return waveform.reshape([waveform.shape[0], waveform.shape[2]]);
  }

  /** Codes [batch, codebooks, frames] -> waveform [batch, 320 frames]; cut it to the samples that were encoded. */
  decode(codes: Tensor): Tensor {
    return scope(() => this.synthesize(this.dequantize(codes)));
  }

  /** Parameters of encoder and decoder, without the codebooks: what gradients train. */
  namedParameters(): Map<string, Tensor> {
    return new Map([...this.encoder.namedParameters('encoder.'), ...this.decoder.namedParameters('decoder.')]);
  }

  /** Parameters and codebooks, under Hugging Face's names: what a checkpoint holds, but for `inited`. */
  named(): Map<string, Tensor> {
    return new Map([...this.namedParameters(), ...this.quantizer.named()]);
  }

  /** Gives everything back. */
  dispose(): void {
    this.encoder.dispose();
    this.decoder.dispose();
    this.quantizer.dispose();
  }
}
