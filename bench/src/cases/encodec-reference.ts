/** EnCodec's encoder and quantiser in plain f64 loops, for the first frames of a clip: they do not depend on what follows. */
import type { Codec } from '@dawnchorus/mert';

type Signal = Float64Array[];

/** Parameters by name, on the host. */
type Parameters = ReadonlyMap<string, { shape: readonly number[]; data: ArrayLike<number> }>;

const elu = (x: Signal): Signal => x.map((row) => row.map((value) => (value > 0 ? value : Math.expm1(value))));
const sum = (a: Signal, b: Signal): Signal => a.map((row, c) => row.map((value, t) => value + b[c][t]));

/** A causal convolution under weight norm, the samples before the first mirrored. The length is a multiple of the stride. */
function convolve(parameters: Parameters, name: string, x: Signal, stride = 1): Signal {
  const [v, g, bias] = ['weightV', 'weightG', 'bias'].map((part) => parameters.get(`${name}.conv.${part}`)!);
  const [outs, ins, kernel] = v.shape;
  const before = kernel - stride;
  return Array.from({ length: outs }, (_, o) => {
    const taps = Float64Array.from({ length: ins * kernel }, (_, i) => v.data[o * ins * kernel + i]);
    const scale = g.data[o] / Math.hypot(...taps);
    return Float64Array.from({ length: x[0].length / stride }, (_, t) => {
      let total = 0;
      for (let c = 0; c < ins; c++) {
        for (let i = 0; i < kernel; i++) total += taps[c * kernel + i] * x[c][Math.abs(t * stride - before + i)];
      }
      return scale * total + bias.data[o];
    });
  });
}

const sigmoid = (value: number) => 1 / (1 + Math.exp(-value));

/** Layers of an LSTM, one after the other. */
function recur(parameters: Parameters, name: string, x: Signal): Signal {
  let input = x;
  for (let layer = 0; parameters.has(`${name}.weightIhL${layer}`); layer++) {
    const [wi, wh, bi, bh] = ['weightIh', 'weightHh', 'biasIh', 'biasHh'].map(
      (part) => parameters.get(`${name}.${part}L${layer}`)!.data,
    );
    const size = input.length;
    const output: Signal = input.map((row) => new Float64Array(row.length));
    let [hidden, cell] = [new Float64Array(size), new Float64Array(size)];
    for (let t = 0; t < input[0].length; t++) {
      const gates = Float64Array.from({ length: 4 * size }, (_, row) => {
        let total = bi[row] + bh[row];
        for (let j = 0; j < size; j++) total += wi[row * size + j] * input[j][t] + wh[row * size + j] * hidden[j];
        return total;
      });
      cell = cell.map(
        (value, j) => sigmoid(gates[size + j]) * value + sigmoid(gates[j]) * Math.tanh(gates[2 * size + j]),
      );
      hidden = cell.map((value, j) => sigmoid(gates[3 * size + j]) * Math.tanh(value));
      for (let j = 0; j < size; j++) output[j][t] = hidden[j];
    }
    input = output;
  }
  return input;
}

/** Latents [channels][frames] of samples, a multiple of 320, by the 24 kHz model. */
export async function referenceLatents(codec: Codec, samples: ArrayLike<number>): Promise<Signal> {
  const parameters = new Map<string, { shape: readonly number[]; data: ArrayLike<number> }>();
  for (const [name, tensor] of codec.encoder.namedParameters()) {
    parameters.set(name, { shape: tensor.shape, data: await tensor.data() });
  }
  let x = convolve(parameters, 'layers.0', [Float64Array.from(samples)]);
  for (const [i, stride] of [2, 4, 5, 8].entries()) {
    const unit = `layers.${1 + 3 * i}`;
    const inner = convolve(parameters, `${unit}.block.3`, elu(convolve(parameters, `${unit}.block.1`, elu(x))));
    x = convolve(
      parameters,
      `layers.${3 + 3 * i}`,
      elu(sum(convolve(parameters, `${unit}.shortcut`, x), inner)),
      stride,
    );
  }
  return convolve(parameters, 'layers.15', elu(sum(recur(parameters, 'layers.13.lstm', x), x)));
}

/** Rows of latents whose residual codes are another than those given, but for ties within `gap` of the distance. */
export function wrongCodes(
  latents: Signal,
  books: readonly ArrayLike<number>[],
  codes: number[][],
  gap: number,
): number {
  const dimension = latents.length;
  let wrong = 0;
  for (let t = 0; t < latents[0].length; t++) {
    const rest = latents.map((row) => row[t]);
    for (const [stage, book] of books.entries()) {
      const distances = Array.from({ length: book.length / dimension }, (_, code) =>
        rest.reduce((total, value, d) => total + (value - book[code * dimension + d]) ** 2, 0),
      );
      const least = Math.min(...distances);
      const given = codes[stage][t];
      if (!(distances[given] <= least * (1 + gap))) {
        wrong++;
        break;
      }
      for (let d = 0; d < dimension; d++) rest[d] -= book[given * dimension + d];
    }
  }
  return wrong;
}
