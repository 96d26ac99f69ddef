import { bytes, type Case, caseOf, noise, type Precision, toleranceOf, type Values } from '../work.ts';

const passes = ['forward', 'gradient'] as const;

/** What `make` gives of a row, made when the row is first looked at. */
export function remembered<T>(make: (row: number) => T): (row: number) => T {
  const rows = new Map<number, T>();
  return (row) => {
    if (!rows.has(row)) rows.set(row, make(row));
    return rows.get(row)!;
  };
}

interface Normalisation {
  name: string;
  operation: 'layernorm' | 'groupnorm';
  shape: readonly number[];
  /** Numbers that are brought to mean 0 and variance 1 together, one row after another. */
  length: number;
  /** How many weights there are, and which one an element has. */
  features: number;
  feature(index: number): number;
  about: string;
  dtype: Precision;
}

function normCase({ name, operation, shape, length, features, feature, about, dtype }: Normalisation): Case {
  const eps = 1e-5;
  const size = shape.reduce((product, extent) => product * extent, 1);
  const facts = {
    name,
    dtype,
    operation,
    settings: { eps },
    about,
    passes,
    flops: 8 * size,
    bytes: bytes(dtype, 2 * size, 2 * features),
    largest: bytes(dtype, size),
    bound: 'memory',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const [x, weight, bias, g] = [shape, [features], [features], shape].map((own, i) => noise(i + 1, own, dtype));
    /** The mean of a row and one over its deviation. */
    const statistics = remembered((row) => {
      const from = row * length;
      let [mean, variance] = [0, 0];
      for (let i = 0; i < length; i++) mean += x.data[from + i] / length;
      for (let i = 0; i < length; i++) variance += (x.data[from + i] - mean) ** 2 / length;
      return { mean, scale: 1 / Math.sqrt(variance + eps) };
    });
    const normal = (i: number) => {
      const { mean, scale } = statistics(Math.floor(i / length));
      return (x.data[i] - mean) * scale;
    };
    /** Means over a row of the gradient of its normalised elements, plain and times those elements. */
    const slopes = remembered((row) => {
      let [plain, along] = [0, 0];
      for (let i = row * length; i < (row + 1) * length; i++) {
        const slope = g.data[i] * weight.data[feature(i)];
        plain += slope / length;
        along += (slope * normal(i)) / length;
      }
      return { plain, along };
    });
    let sums: { weight: Float64Array; bias: Float64Array } | undefined;
    const parameterGradients = () => {
      if (sums) return sums;
      sums = { weight: new Float64Array(features), bias: new Float64Array(features) };
      for (let i = 0; i < size; i++) {
        sums.weight[feature(i)] += g.data[i] * normal(i);
        sums.bias[feature(i)] += g.data[i];
      }
      return sums;
    };
    const output = (i: number) => normal(i) * weight.data[feature(i)] + bias.data[feature(i)];
    const inputGradient = (i: number) => {
      const row = Math.floor(i / length);
      const { plain, along } = slopes(row);
      return (g.data[i] * weight.data[feature(i)] - plain - normal(i) * along) * statistics(row).scale;
    };
    return {
      inputs: [x, weight, bias],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size, at: output },
        ...(pass === 'forward'
          ? []
          : [
              { what: 'gradient of x', size, at: inputGradient },
              { what: 'gradient of the weight', size: features, at: (i: number) => parameterGradients().weight[i] },
              { what: 'gradient of the bias', size: features, at: (i: number) => parameterGradients().bias[i] },
            ]),
      ],
    };
  });
}

export function layerNormCase(name: string, rows: number, features: number, dtype: Precision = 'f32'): Case {
  return normCase({
    name,
    operation: 'layernorm',
    shape: [rows, features],
    length: features,
    features,
    feature: (i) => i % features,
    about: `[${rows}, ${features}]`,
    dtype,
  });
}

/** One group a channel, as after the extractor's first convolution. */
export function groupNormCase(
  name: string,
  [batch, channels, time]: readonly [number, number, number],
  dtype: Precision = 'f32',
): Case {
  return normCase({
    name,
    operation: 'groupnorm',
    shape: [batch, channels, time],
    length: time,
    features: channels,
    feature: (i) => Math.floor(i / time) % channels,
    about: `[${batch}, ${channels}, ${time}], each channel over time`,
    dtype,
  });
}

/** The probabilities of rows of x. */
const softmaxOf = (x: Values, columns: number) =>
  remembered((row) => {
    const own = Float64Array.from(x.data.subarray(row * columns, (row + 1) * columns));
    const largest = own.reduce((most, value) => Math.max(most, value), -Infinity);
    const total = own.reduce((sum, value) => sum + Math.exp(value - largest), 0);
    return own.map((value) => Math.exp(value - largest) / total);
  });

export function softmaxCase(name: string, rows: number, columns: number, dtype: Precision = 'f32'): Case {
  const size = rows * columns;
  const facts = {
    name,
    dtype,
    operation: 'softmax',
    settings: {},
    about: `over the rows of [${rows}, ${columns}]`,
    passes,
    flops: 4 * size,
    bytes: bytes(dtype, 2 * size),
    largest: bytes(dtype, size),
    bound: 'memory',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const [x, g] = [noise(1, [rows, columns], dtype), noise(2, [rows, columns], dtype)];
    const probabilities = softmaxOf(x, columns);
    const mean = remembered((row) => probabilities(row).reduce((sum, p, j) => sum + p * g.data[row * columns + j], 0));
    const at = (i: number) => probabilities(Math.floor(i / columns))[i % columns];
    const gradient = (i: number) => at(i) * (g.data[i] - mean(Math.floor(i / columns)));
    return {
      inputs: [x],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size, at },
        ...(pass === 'forward' ? [] : [{ what: 'gradient of x', size, at: gradient }]),
      ],
    };
  });
}

export function crossEntropyCase(name: string, rows: number, classes: number): Case {
  const size = rows * classes;
  const facts = {
    name,
    dtype: 'f32',
    operation: 'cross_entropy',
    settings: {},
    about: `mean over ${rows} rows of ${classes} classes`,
    passes,
    flops: 4 * size,
    bytes: bytes('f32', size, rows),
    largest: bytes('f32', size),
    bound: 'memory',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [rows, classes], 'f32');
    const target = {
      shape: [rows],
      dtype: 'i32' as const,
      data: Int32Array.from({ length: rows }, (_, i) => (i * 7919) % classes),
    };
    const g = { shape: [], dtype: 'f32' as const, data: Float32Array.of(1.5) };
    const probabilities = softmaxOf(x, classes);
    const loss = () => {
      let sum = 0;
      for (let row = 0; row < rows; row++) {
        let [largest, total] = [-Infinity, 0];
        for (let j = 0; j < classes; j++) largest = Math.max(largest, x.data[row * classes + j]);
        for (let j = 0; j < classes; j++) total += Math.exp(x.data[row * classes + j] - largest);
        sum += Math.log(total) + largest - x.data[row * classes + target.data[row]];
      }
      return sum / rows;
    };
    const gradient = (i: number) => {
      const [row, j] = [Math.floor(i / classes), i % classes];
      return (g.data[0] * (probabilities(row)[j] - (target.data[row] === j ? 1 : 0))) / rows;
    };
    return {
      inputs: [x, target],
      outputGradient: g,
      expected: (pass) => [
        { what: 'loss', size: 1, at: loss },
        ...(pass === 'forward' ? [] : [{ what: 'gradient of the logits', size, at: gradient }]),
      ],
    };
  });
}
