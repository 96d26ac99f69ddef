import * as reference from '../../../packages/tensor/test/reference/norm.ts';
import { bytes, type Case, type Expected, noise, type Pass, type Values, type Work } from '../work.ts';

const array = ({ shape, data }: Values) => ({ dtype: 'f32' as const, shape, data: Float64Array.from(data) });

/** A whole result, computed when first looked at. */
function whole(what: string, size: number, compute: () => Float64Array): Expected {
  let data: Float64Array | undefined;
  return { what, size, at: (i) => (data ??= compute())[i] };
}

const passes: readonly Pass[] = ['forward', 'gradient'];

export function layerNormCase(rows: number, features: number): Case {
  const eps = 1e-5;
  const make = (): Work => {
    const [x, weight, bias, g] = [
      noise(1, rows, features),
      noise(2, features),
      noise(3, features),
      noise(4, rows, features),
    ];
    const size = rows * features;
    const layout = reference.layerNormLayout(array(x));
    const forward = () => reference.norm(array(x), array(weight), array(bias), layout, eps);
    let found: ReturnType<typeof reference.normBackward> | undefined;
    const backward = () => (found ??= reference.normBackward(array(x), array(weight), forward()[1], array(g), layout));
    return {
      name: 'layernorm',
      operation: 'layernorm',
      settings: { eps },
      inputs: [x, weight, bias],
      outputGradient: g,
      flops: 8 * size,
      bytes: bytes(2 * size, 2 * features),
      bound: 'memory',
      tolerance: 1e-5,
      expected: (pass) => [
        whole('output', size, () => forward()[0].data),
        ...(pass === 'forward'
          ? []
          : [
              whole('gradient of x', size, () => backward()[0].data),
              whole('gradient of the weight', features, () => backward()[1].data.subarray(0, features)),
              whole('gradient of the bias', features, () => backward()[1].data.subarray(features)),
            ]),
      ],
    };
  };
  return { name: 'layernorm', about: `[${rows}, ${features}]`, passes, make };
}

export function softmaxCase(rows: number, columns: number): Case {
  const make = (): Work => {
    const [x, g] = [noise(1, rows, columns), noise(2, rows, columns)];
    const size = rows * columns;
    return {
      name: 'softmax',
      operation: 'softmax',
      settings: {},
      inputs: [x],
      outputGradient: g,
      flops: 4 * size,
      bytes: bytes(2 * size),
      bound: 'memory',
      tolerance: 1e-5,
      expected: (pass) => {
        const forward = () => reference.softmax(array(x));
        const output = whole('output', size, () => forward().data);
        if (pass === 'forward') return [output];
        return [output, whole('gradient of x', size, () => reference.softmaxBackward(forward(), array(g)).data)];
      },
    };
  };
  return { name: 'softmax', about: `over the rows of [${rows}, ${columns}]`, passes, make };
}

export function crossEntropyCase(rows: number, classes: number): Case {
  const make = (): Work => {
    const x = noise(1, rows, classes);
    const target = { shape: [rows], data: Int32Array.from({ length: rows }, (_, i) => (i * 7919) % classes) };
    const g = { shape: [], data: Float32Array.of(1.5) };
    const size = rows * classes;
    const logProbabilities = () => reference.logSoftmax(array(x)).data;
    return {
      name: 'cross_entropy',
      operation: 'cross_entropy',
      settings: {},
      inputs: [x, target],
      outputGradient: g,
      flops: 4 * size,
      bytes: bytes(size, rows),
      bound: 'memory',
      tolerance: 1e-5,
      expected: (pass) => {
        const loss = whole('loss', 1, () => {
          const own = logProbabilities();
          return Float64Array.of(-target.data.reduce((sum, t, r) => sum + own[r * classes + t], 0) / rows);
        });
        const gradient = whole('gradient of the logits', size, () =>
          logProbabilities().map((value, i) => {
            const right = target.data[Math.floor(i / classes)] === i % classes ? 1 : 0;
            return (g.data[0] * (Math.exp(value) - right)) / rows;
          }),
        );
        return pass === 'forward' ? [loss] : [loss, gradient];
      },
    };
  };
  return { name: 'cross_entropy', about: `mean over ${rows} rows of ${classes} classes`, passes, make };
}
