import { bytes, type Case, noise, type Work } from '../work.ts';

export function elementwiseCase(n: number): Case {
  const size = n * n;
  const make = (): Work => {
    const [x, w, b, g] = [1, 2, 3, 4].map((seed) => noise(seed, n, n));
    const parts = (i: number) => {
      const inner = Math.tanh(x.data[i] * w.data[i] + b.data[i]);
      const gate = 1 / (1 + Math.exp(-x.data[i]));
      return { inner, gate, slope: g.data[i] * gate * (1 - inner * inner) };
    };
    const each = (what: string, at: (i: number) => number) => ({ what, size, at });
    return {
      name: 'elementwise',
      operation: 'elementwise',
      settings: {},
      inputs: [x, w, b],
      outputGradient: g,
      flops: 5 * size,
      bytes: bytes(4 * size),
      bound: 'memory',
      tolerance: 1e-5,
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
  };
  const about = `tanh(x w + b) sigmoid(x) on [${n}, ${n}]`;
  return { name: 'elementwise', about, passes: ['forward', 'gradient'], make };
}

/** Each addition needs the one before. What it costs is the host's and the queue's time. */
export function chainCase(length: number, size: number): Case {
  const name = `chain_${length}`;
  const make = (): Work => {
    const [x, c, g] = [1, 2, 3].map((seed) => noise(seed, size));
    return {
      name,
      operation: 'chain',
      settings: { length },
      inputs: [x, c],
      outputGradient: g,
      flops: length * size,
      bytes: bytes(3 * length * size),
      bound: 'memory',
      tolerance: 1e-5,
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
  };
  return { name, about: `${length} dependent adds of ${size} numbers`, passes: ['forward', 'gradient'], make };
}
