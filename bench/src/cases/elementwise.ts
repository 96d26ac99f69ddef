import { gelu, geluDerivative } from '../../../packages/tensor/test/reference/functions.ts';
import { bytes, type Case, caseOf, noise, type Precision, toleranceOf } from '../work.ts';

export function elementwiseCase(n: number): Case {
  const size = n * n;
  const facts = {
    name: 'elementwise',
    dtype: 'f32',
    operation: 'elementwise',
    settings: {},
    about: `tanh(x w + b) sigmoid(x) on [${n}, ${n}]`,
    passes: ['forward', 'gradient'],
    flops: 5 * size,
    bytes: bytes('f32', 4 * size),
    largest: bytes('f32', size),
    bound: 'memory',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const [x, w, b, g] = [1, 2, 3, 4].map((seed) => noise(seed, [n, n], 'f32'));
    const parts = (i: number) => {
      const inner = Math.tanh(x.data[i] * w.data[i] + b.data[i]);
      const gate = 1 / (1 + Math.exp(-x.data[i]));
      return { inner, gate, slope: g.data[i] * gate * (1 - inner * inner) };
    };
    const each = (what: string, at: (i: number) => number) => ({ what, size, at });
    return {
      inputs: [x, w, b],
      outputGradient: g,
      expected: (pass) => [
        each('output', (i) => parts(i).inner * parts(i).gate),
        ...(pass === 'forward'
          ? []
          : [
              each('gradient of x', (i) => {
                const { inner, gate, slope } = parts(i);
                return slope * w.data[i] + g.data[i] * inner * gate * (1 - gate);
              }),
              each('gradient of w', (i) => parts(i).slope * x.data[i]),
              each('gradient of b', (i) => parts(i).slope),
            ]),
      ],
    };
  });
}

export function geluCase(name: string, rows: number, features: number, dtype: Precision = 'f32'): Case {
  const size = rows * features;
  const facts = {
    name,
    dtype,
    operation: 'gelu',
    settings: {},
    about: `x (1 + erf(x / sqrt(2))) / 2 on [${rows}, ${features}]`,
    passes: ['forward', 'gradient'],
    flops: 8 * size,
    bytes: bytes(dtype, 2 * size),
    largest: bytes(dtype, size),
    bound: 'memory',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const [x, g] = [1, 2].map((seed) => noise(seed, [rows, features], dtype));
    return {
      inputs: [x],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size, at: (i) => gelu(x.data[i]) },
        ...(pass === 'forward'
          ? []
          : [{ what: 'gradient of x', size, at: (i: number) => g.data[i] * geluDerivative(x.data[i]) }]),
      ],
    };
  });
}

/** Each addition needs the one before. What it costs is the host's and the queue's time. */
export function chainCase(length: number, size: number): Case {
  const facts = {
    name: `chain_${length}`,
    dtype: 'f32',
    operation: 'chain',
    settings: { length },
    about: `${length} dependent adds of ${size} numbers`,
    passes: ['forward', 'gradient'],
    flops: length * size,
    bytes: bytes('f32', 3 * length * size),
    largest: bytes('f32', size),
    bound: 'memory',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const [x, c, g] = [1, 2, 3].map((seed) => noise(seed, [size], 'f32'));
    return {
      inputs: [x, c],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size, at: (i) => x.data[i] + length * c.data[i] },
        ...(pass === 'forward'
          ? []
          : [
              { what: 'gradient of x', size, at: (i: number) => g.data[i] },
              { what: 'gradient of c', size, at: (i: number) => length * g.data[i] },
            ]),
      ],
    };
  });
}
