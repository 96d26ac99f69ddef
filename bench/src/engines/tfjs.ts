import { isVariable, type Operation, type Pass, type Values, type Work } from '../work.ts';
import { type Engine, wallTime } from './engine.ts';
import { expectPeer, requirePeer } from './install.ts';
import { permuted } from './layout.ts';

// biome-ignore lint/suspicious/noExplicitAny: the package is optional, so its types may be absent.
type Any = any;

function operationOf(tf: Any, { operation, settings }: Work): ((...inputs: Any[]) => Any) | undefined {
  const operations: Record<Operation, ((...inputs: Any[]) => Any) | undefined> = {
    matmul: (a, b) => tf.matMul(a, b, settings.transposeA === 1, settings.transposeB === 1),
    // x [batch, time, channels], w [kernel, in, out]: it has no other layout, and no groups.
    conv1d: (x, w) => {
      const { stride, padding, groups } = settings;
      const padded =
        padding > 0
          ? tf.pad(x, [
              [0, 0],
              [padding, padding],
              [0, 0],
            ])
          : x;
      if (groups === 1) return tf.conv1d(padded, w, stride, 'valid');
      const weights = tf.split(w, groups, 2);
      return tf.concat(
        tf.split(padded, groups, 2).map((part: Any, i: number) => tf.conv1d(part, weights[i], stride, 'valid')),
        2,
      );
    },
    attention: (q, k, v) => tf.matMul(tf.softmax(tf.matMul(q, k, false, true).mul(1 / Math.sqrt(q.shape[3]))), v),
    layernorm: (x, w, b) => {
      const { mean, variance } = tf.moments(x, -1, true);
      return x.sub(mean).mul(variance.add(settings.eps).rsqrt()).mul(w).add(b);
    },
    groupnorm: (x, w, b) => {
      const { mean, variance } = tf.moments(x, -1, true);
      const scaled = x.sub(mean).mul(variance.add(settings.eps).rsqrt());
      return scaled.mul(w.expandDims(1)).add(b.expandDims(1));
    },
    gelu: (x) => x.mul(x.mul(Math.SQRT1_2).erf().add(1)).mul(0.5),
    elementwise: (x, w, b) => x.mul(w).add(b).tanh().mul(x.sigmoid()),
    chain: (x, c) => {
      let y = x;
      for (let i = 0; i < settings.length; i++) y = y.add(c);
      return y;
    },
    softmax: (x) => tf.softmax(x),
    cross_entropy: (x, target) =>
      tf
        .logSoftmax(x)
        .mul(tf.oneHot(target, x.shape[1]))
        .sum()
        .mul(-1 / x.shape[0]),
    first_stage: undefined,
    // Its real transform has no kernel on WebGPU.
    rfft: undefined,
    cqt: undefined,
    stft: undefined,
    resample: undefined,
    encodec: undefined,
    rvq: (x, ...books) =>
      books.reduce((residual, book) => {
        const distances = book
          .square()
          .sum(1)
          .sub(tf.matMul(residual, book, false, true).mul(2));
        return residual.sub(tf.gather(book, distances.argMin(1)));
      }, x),
  };
  return operations[operation];
}

/** Its layout of the tensors of a convolution: x, w, the output; there and back. */
const layouts = { x: [0, 2, 1], w: [2, 1, 0], y: [0, 2, 1] };

export async function tfjsEngine(adapter: string): Promise<Engine> {
  for (const name of ['@tensorflow/tfjs', '@tensorflow/tfjs-backend-webgpu']) expectPeer(name);
  // The whole package: with the core alone no gradient is registered.
  const tf: Any = requirePeer('@tensorflow/tfjs');
  requirePeer('@tensorflow/tfjs-backend-webgpu');
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  if (!(await tf.setBackend('webgpu'))) throw new Error('it found no WebGPU adapter');
  await tf.ready();
  const backend = tf.backend();
  const wait = async () => {
    // Submitted with the pass still open, the work would give zeros. It submits by itself after some kernels, too.
    backend.endComputePassEncoder();
    if (backend.commandEncoder) backend.submitQueue();
    await backend.queue.onSubmittedWorkDone();
  };
  return {
    name: 'tfjs-webgpu',
    adapter,
    async prepare(work: Work, pass: Pass) {
      // It has no f16.
      const run = work.dtype === 'f32' ? operationOf(tf, work) : undefined;
      if (!run) return undefined;
      const conv = work.operation === 'conv1d';
      const place = ({ data, shape }: Values, axes: readonly number[]) => {
        const dtype = data instanceof Int32Array ? 'int32' : 'float32';
        if (!conv) return tf.tensor(data, [...shape], dtype);
        return tf.tensor(
          permuted(data, shape, axes),
          axes.map((axis) => shape[axis]),
          dtype,
        );
      };
      const inputs = work.inputs.map((input, i) => place(input, i === 0 ? layouts.x : layouts.w));
      const seed = pass === 'gradient' ? place(work.outputGradient!, layouts.y) : undefined;
      const count = work.inputs.filter(isVariable).length;
      const rest = inputs.slice(count);
      const body = (): Any[] => {
        if (!seed) return [run(...inputs)];
        const differentiated = tf.valueAndGrads((...own: Any[]) => run(...own, ...rest));
        const { value, grads } = differentiated(inputs.slice(0, count), seed);
        return [value, ...grads];
      };
      const call = (): Any[] => tf.tidy(body);
      return {
        run: () =>
          wallTime(async () => {
            const results = call();
            await wait();
            tf.dispose(results);
          }),
        async read() {
          const values: ArrayLike<number>[] = [];
          const back = [layouts.y, layouts.x, layouts.w];
          for (const [i, result] of call().entries()) {
            const data = await result.data();
            values.push(conv ? permuted(data, result.shape, back[i]) : data);
            result.dispose();
          }
          return values;
        },
        dispose: () => tf.dispose([...inputs, ...(seed ? [seed] : [])]),
      };
    },
    close() {},
  };
}
