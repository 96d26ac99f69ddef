import { isVariable, type Operation, type Pass, type Values, type Work } from '../work.ts';
import { type Engine, wallTime } from './engine.ts';
import { importPeer } from './install.ts';

// biome-ignore lint/suspicious/noExplicitAny: the package is optional, so its types may be absent.
type Any = any;

/** Every operation uses its arguments up; `.ref` keeps one for another use. */
function operationOf(jax: Any, { operation, settings }: Work): ((...inputs: Any[]) => Any) | undefined {
  const { numpy: np, nn, lax } = jax;
  const last = (x: Any) => x.shape.length - 1;
  const operations: Record<Operation, ((...inputs: Any[]) => Any) | undefined> = {
    matmul: (a, b) => np.matmul(settings.transposeA ? a.transpose() : a, settings.transposeB ? b.transpose() : b),
    conv1d: (x, w) =>
      lax.convGeneralDilated(x, w, [settings.stride], [[settings.padding, settings.padding]], {
        featureGroupCount: settings.groups,
      }),
    attention: (q, k, v) => {
      const scale = 1 / Math.sqrt(q.shape[3]);
      return np.matmul(nn.softmax(np.matmul(q, k.transpose([0, 1, 3, 2])).mul(scale), 3), v);
    },
    layernorm: (x, w, b) => nn.standardize(x, last(x), { epsilon: settings.eps }).mul(w).add(b),
    groupnorm: (x, w, b) => {
      const affine = [1, w.shape[0], 1];
      return nn.standardize(x, 2, { epsilon: settings.eps }).mul(w.reshape(affine)).add(b.reshape(affine));
    },
    gelu: (x) => nn.gelu(x, { approximate: false }),
    elementwise: (x, w, b) => np.tanh(x.ref.mul(w).add(b)).mul(nn.sigmoid(x)),
    chain: (x, c) => {
      let y = x;
      for (let i = 1; i < settings.length; i++) y = y.add(c.ref);
      return y.add(c);
    },
    softmax: (x) => nn.softmax(x, last(x)),
    cross_entropy: (x, target) => {
      const [rows, classes] = x.shape;
      return nn
        .logSoftmax(x, 1)
        .mul(nn.oneHot(target, classes))
        .sum()
        .mul(-1 / rows);
    },
    first_stage: undefined,
    // Its transform takes and gives complex numbers as two arrays.
    rfft: undefined,
    cqt: undefined,
    stft: undefined,
    resample: undefined,
    encodec: undefined,
    rvq: (x, ...books) => {
      let residual = x;
      for (const book of books) {
        const squares = book.ref.mul(book.ref).sum(1);
        const products = np.matmul(residual.ref, book.ref.transpose());
        const codes = np.argmin(squares.sub(products.mul(2)), 1);
        residual = residual.sub(np.take(book, codes, 0));
      }
      return residual;
    },
  };
  return operations[operation];
}

/** jax-js under `jit`. */
export async function jaxEngine(adapter: string): Promise<Engine> {
  const jax: Any = await importPeer('@jax-js/jax');
  if (!(await jax.init('webgpu')).includes('webgpu')) throw new Error('it found no WebGPU adapter');
  jax.defaultDevice('webgpu');
  return {
    name: 'jax-js-webgpu',
    adapter,
    async prepare(work: Work, pass: Pass) {
      const run = operationOf(jax, work);
      if (!run) return undefined;
      const dtypes = { f32: jax.numpy.float32, f16: jax.numpy.float16, i32: jax.numpy.int32 };
      const place = ({ data, shape, dtype }: Values) =>
        jax.numpy.array(data, { shape: [...shape] }).astype(dtypes[dtype]);
      const inputs = work.inputs.map(place);
      const count = work.inputs.filter(isVariable).length;
      const seed = pass === 'gradient' ? place(work.outputGradient!) : undefined;
      const compiled = jax.jit((...all: Any[]) => {
        if (!seed) return [run(...all)];
        const [gradient, ...values] = all;
        const rest = values.slice(count);
        const [output, pull] = jax.vjp((...own: Any[]) => run(...own, ...rest), values.slice(0, count));
        const gradients = pull(gradient);
        pull.dispose?.();
        return [output, ...gradients];
      });
      const call = (): Any[] => compiled(...(seed ? [seed.ref] : []), ...inputs.map((input) => input.ref));
      return {
        run: () =>
          wallTime(async () => {
            const results = await jax.blockUntilReady(call());
            for (const result of results) result.dispose();
          }),
        async read() {
          const values: Float32Array[] = [];
          for (const result of call()) values.push(await result.astype(jax.numpy.float32).data());
          return values;
        },
        dispose() {
          for (const each of [...inputs, ...(seed ? [seed] : [])]) each.dispose();
          compiled.dispose?.();
        },
      };
    },
    close() {},
  };
}
