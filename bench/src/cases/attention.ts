import { bytes, type Case, caseOf, noise, type Precision, toleranceOf, type Values } from '../work.ts';

interface Head {
  output: Float64Array;
  gradients: Float64Array[];
}

/** softmax(q kT / sqrt(size)) v of one head, and its gradients, in f64. */
function attend([q, k, v, g]: readonly Values[], head: number, time: number, size: number): Head {
  const from = head * time * size;
  const scale = 1 / Math.sqrt(size);
  const output = new Float64Array(time * size);
  const [dq, dk, dv] = [0, 1, 2].map(() => new Float64Array(time * size));
  const probabilities = new Float64Array(time);
  const slopes = new Float64Array(time);
  for (let i = 0; i < time; i++) {
    let largest = -Infinity;
    for (let j = 0; j < time; j++) {
      let score = 0;
      for (let d = 0; d < size; d++) score += q.data[from + i * size + d] * k.data[from + j * size + d];
      probabilities[j] = score * scale;
      largest = Math.max(largest, probabilities[j]);
    }
    let total = 0;
    for (let j = 0; j < time; j++) total += probabilities[j] = Math.exp(probabilities[j] - largest);
    let mean = 0;
    for (let j = 0; j < time; j++) {
      const p = (probabilities[j] /= total);
      let slope = 0;
      for (let d = 0; d < size; d++) {
        const value = v.data[from + j * size + d];
        const gradient = g.data[from + i * size + d];
        output[i * size + d] += p * value;
        dv[j * size + d] += p * gradient;
        slope += value * gradient;
      }
      slopes[j] = slope;
      mean += p * slope;
    }
    for (let j = 0; j < time; j++) {
      const slope = probabilities[j] * (slopes[j] - mean) * scale;
      for (let d = 0; d < size; d++) {
        dq[i * size + d] += slope * k.data[from + j * size + d];
        dk[j * size + d] += slope * q.data[from + i * size + d];
      }
    }
  }
  return { output, gradients: [dq, dk, dv] };
}

export function attentionCase(
  name: string,
  [batch, heads, time, size]: readonly [number, number, number, number],
  dtype: Precision = 'f32',
): Case {
  const rows = time * size;
  const all = batch * heads;
  const facts = {
    name,
    dtype,
    operation: 'attention',
    settings: {},
    about: `softmax(q kT / sqrt(${size})) v of [${batch}, ${heads}, ${time}, ${size}]`,
    passes: ['forward', 'gradient'],
    flops: 4 * all * time * time * size,
    bytes: bytes(dtype, 4 * all * rows),
    largest: bytes(dtype, all * time * Math.max(time, size)),
    bound: 'arithmetic',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const values = [1, 2, 3, 4].map((seed) => noise(seed, [batch, heads, time, size], dtype));
    // A head at a time in f64, and not all of them.
    const checked = [0, Math.floor(0.4 * all), all - 1];
    const samples = checked.flatMap((head) => Array.from({ length: 80 }, (_, i) => head * rows + ((i * 4099) % rows)));
    const done = new Map<number, Head>();
    const at = (pick: (head: Head) => Float64Array) => (i: number) => {
      const head = Math.floor(i / rows);
      if (!done.has(head)) done.set(head, attend(values, head, time, size));
      return pick(done.get(head)!)[i % rows];
    };
    return {
      inputs: values.slice(0, 3),
      outputGradient: values[3],
      expected: (pass) => [
        { what: 'output', size: all * rows, samples, at: at((head) => head.output) },
        ...(pass === 'forward' ? [] : ['query', 'key', 'value']).map((what, i) => ({
          what: `gradient of the ${what}`,
          size: all * rows,
          samples,
          at: at((head) => head.gradients[i]),
        })),
      ],
    };
  });
}
