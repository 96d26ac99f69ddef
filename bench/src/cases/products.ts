import { bytes, type Case, caseOf, noise, type Pass, type Precision, toleranceOf } from '../work.ts';

interface Product {
  name: string;
  m: number;
  k: number;
  n: number;
  /** Stored [k, m]: the left factor of a weight's gradient. */
  transposeA?: boolean;
  /** Stored [n, k]: the weight of a linear layer. */
  transposeB?: boolean;
  passes?: readonly Pass[];
  dtype?: Precision;
}

export function matmulCase(product: Product): Case {
  const { name, m, k, n, transposeA = false, transposeB = false, dtype = 'f32' } = product;
  const { passes = ['forward', 'gradient'] } = product;
  const [aShape, bShape] = [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n]];
  // Steps along the rows and the columns of a [m, k] and b [k, n], however they are stored.
  const [aRow, aColumn] = transposeA ? [1, m] : [k, 1];
  const [bRow, bColumn] = transposeB ? [1, k] : [n, 1];
  const sizes = [m * k, k * n, m * n];
  const shown = (shape: number[], transposed: boolean) => `[${shape.join(', ')}]${transposed ? 'T' : ''}`;
  const facts = {
    name,
    dtype,
    operation: 'matmul',
    settings: { transposeA: Number(transposeA), transposeB: Number(transposeB) },
    about: `${shown(aShape, transposeA)} x ${shown(bShape, transposeB)}`,
    passes,
    flops: 2 * m * k * n,
    bytes: bytes(dtype, ...sizes),
    largest: bytes(dtype, Math.max(...sizes)),
    bound: 'arithmetic',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const [a, b, g] = [aShape, bShape, [m, n]].map((shape, i) => noise(i + 1, shape, dtype));
    /** Sum over p < length of x[xAt + p xStep] y[yAt + p yStep]. */
    const dot = (
      [x, xAt, xStep]: readonly [ArrayLike<number>, number, number],
      [y, yAt, yStep]: readonly [ArrayLike<number>, number, number],
      length: number,
    ) => {
      let sum = 0;
      for (let p = 0; p < length; p++) sum += x[xAt + p * xStep] * y[yAt + p * yStep];
      return sum;
    };
    const cell = (i: number, width: number) => [Math.floor(i / width), i % width];
    const output = (index: number) => {
      const [i, j] = cell(index, n);
      return dot([a.data, i * aRow, aColumn], [b.data, j * bColumn, bRow], k);
    };
    const gradientOfA = (index: number) => {
      const [i, p] = transposeA ? cell(index, m).reverse() : cell(index, k);
      return dot([g.data, i * n, 1], [b.data, p * bRow, bColumn], n);
    };
    const gradientOfB = (index: number) => {
      const [p, j] = transposeB ? cell(index, k).reverse() : cell(index, n);
      return dot([a.data, p * aColumn, aRow], [g.data, j, n], m);
    };
    return {
      inputs: [a, b],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size: m * n, at: output },
        ...(pass === 'forward'
          ? []
          : [
              { what: 'gradient of a', size: m * k, at: gradientOfA },
              { what: 'gradient of b', size: k * n, at: gradientOfB },
            ]),
      ],
    };
  });
}

interface ConvSettings {
  batch: number;
  inChannels: number;
  outChannels: number;
  length: number;
  kernel: number;
  stride?: number;
  padding?: number;
  groups?: number;
}

export function convCase(name: string, settings: ConvSettings, dtype: Precision = 'f32'): Case {
  const { batch, inChannels, outChannels, length, kernel, stride = 1, padding = 0, groups = 1 } = settings;
  const steps = Math.floor((length + 2 * padding - kernel) / stride) + 1;
  const [inPer, outPer] = [inChannels / groups, outChannels / groups];
  const sizes = [batch * inChannels * length, outChannels * inPer * kernel, batch * outChannels * steps];
  const facts = {
    name,
    dtype,
    operation: 'conv1d',
    settings: { stride, padding, groups },
    about: `[${batch}, ${inChannels}, ${length}] to ${outChannels} channels, kernel ${kernel}, stride ${stride}${
      groups > 1 ? `, pad ${padding}, ${groups} groups` : ''
    }`,
    passes: ['forward', 'gradient'],
    flops: 2 * batch * steps * outChannels * inPer * kernel,
    bytes: bytes(dtype, ...sizes),
    largest: bytes(dtype, Math.max(...sizes)),
    bound: 'arithmetic',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [batch, inChannels, length], dtype);
    const w = noise(2, [outChannels, inPer, kernel], dtype);
    const g = noise(3, [batch, outChannels, steps], dtype);
    const output = (i: number) => {
      const [b, o, t] = [Math.floor(i / (outChannels * steps)), Math.floor(i / steps) % outChannels, i % steps];
      let sum = 0;
      for (let c = 0; c < inPer; c++) {
        const row = (b * inChannels + Math.floor(o / outPer) * inPer + c) * length;
        for (let k = 0; k < kernel; k++) {
          const s = t * stride + k - padding;
          if (s >= 0 && s < length) sum += x.data[row + s] * w.data[(o * inPer + c) * kernel + k];
        }
      }
      return sum;
    };
    const inputGradient = (i: number) => {
      const [b, channel, s] = [Math.floor(i / (inChannels * length)), Math.floor(i / length) % inChannels, i % length];
      const [group, c] = [Math.floor(channel / inPer), channel % inPer];
      let sum = 0;
      for (let k = 0; k < kernel; k++) {
        const t = (s + padding - k) / stride;
        if (!Number.isInteger(t) || t < 0 || t >= steps) continue;
        for (let o = group * outPer; o < (group + 1) * outPer; o++) {
          sum += g.data[(b * outChannels + o) * steps + t] * w.data[(o * inPer + c) * kernel + k];
        }
      }
      return sum;
    };
    const weightGradient = (i: number) => {
      const [o, c, k] = [Math.floor(i / (inPer * kernel)), Math.floor(i / kernel) % inPer, i % kernel];
      const channel = Math.floor(o / outPer) * inPer + c;
      let sum = 0;
      for (let b = 0; b < batch; b++) {
        for (let t = 0; t < steps; t++) {
          const s = t * stride + k - padding;
          if (s < 0 || s >= length) continue;
          sum += x.data[(b * inChannels + channel) * length + s] * g.data[(b * outChannels + o) * steps + t];
        }
      }
      return sum;
    };
    return {
      inputs: [x, w],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size: g.data.length, at: output },
        ...(pass === 'forward'
          ? []
          : [
              { what: 'gradient of x', size: x.data.length, at: inputGradient },
              { what: 'gradient of the weight', size: w.data.length, at: weightGradient },
            ]),
      ],
    };
  });
}
