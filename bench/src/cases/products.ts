import { bytes, type Case, noise, type Work } from '../work.ts';

export function matmulCase(n: number): Case {
  const name = `matmul_${n}`;
  const make = (): Work => {
    const [a, b, g] = [1, 2, 3].map((seed) => noise(seed, n, n));
    const size = n * n;
    /** Sum over p of x[xAt + p xStep] y[yAt + p yStep]. */
    const dot = (
      x: ArrayLike<number>,
      xAt: number,
      xStep: number,
      y: ArrayLike<number>,
      yAt: number,
      yStep: number,
    ) => {
      let sum = 0;
      for (let p = 0; p < n; p++) sum += x[xAt + p * xStep] * y[yAt + p * yStep];
      return sum;
    };
    const split = (i: number) => [Math.floor(i / n), i % n];
    return {
      name,
      operation: 'matmul',
      settings: {},
      inputs: [a, b],
      outputGradient: g,
      flops: 2 * n ** 3,
      bytes: bytes(3 * size),
      bound: 'arithmetic',
      tolerance: 1e-5,
      expected: (pass) => {
        const at = (body: (row: number, column: number) => number) => (i: number) => {
          const [row, column] = split(i);
          return body(row, column);
        };
        const output = { what: 'output', size, at: at((i, j) => dot(a.data, i * n, 1, b.data, j, n)) };
        if (pass === 'forward') return [output];
        return [
          output,
          { what: 'gradient of a', size, at: at((i, p) => dot(g.data, i * n, 1, b.data, p * n, 1)) },
          { what: 'gradient of b', size, at: at((p, j) => dot(a.data, p, n, g.data, j, n)) },
        ];
      },
    };
  };
  return { name, about: `[${n}, ${n}] x [${n}, ${n}]`, passes: ['forward', 'gradient'], make };
}

interface ConvSettings {
  batch: number;
  inChannels: number;
  outChannels: number;
  length: number;
  kernel: number;
  stride: number;
  padding: number;
  groups: number;
}

export function convCase(name: string, settings: ConvSettings): Case {
  const { batch, inChannels, outChannels, length, kernel, stride, padding, groups } = settings;
  const steps = Math.floor((length + 2 * padding - kernel) / stride) + 1;
  const [inPer, outPer] = [inChannels / groups, outChannels / groups];
  const make = (): Work => {
    const x = noise(1, batch, inChannels, length);
    const w = noise(2, outChannels, inPer, kernel);
    const g = noise(3, batch, outChannels, steps);
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
      name,
      operation: 'conv1d',
      settings: { stride, padding, groups },
      inputs: [x, w],
      outputGradient: g,
      flops: 2 * batch * steps * outChannels * inPer * kernel,
      bytes: bytes(x.data.length, w.data.length, g.data.length),
      bound: 'arithmetic',
      tolerance: 1e-5,
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
  };
  const about = `[${batch}, ${inChannels}, ${length}] to ${outChannels} channels, kernel ${kernel}, stride ${stride}${
    groups > 1 ? `, pad ${padding}, ${groups} groups` : ''
  }`;
  return { name, about, passes: ['forward', 'gradient'], make };
}
