/** ONNX Runtime (WebAssembly, on the CPU) as the judge of exported models. */
import { setFlagsFromString } from 'node:v8';
import { type DType, float16FromNumbers, float16ToFloat32, type Tensor } from '@dawnchorus/tensor';

// V8 would spend most of a minute on optimising the runtime's WebAssembly.
setFlagsFromString('--liftoff-only');
const ort = await import('onnxruntime-web');
ort.env.wasm.numThreads = 1;
ort.env.logLevel = 'error';

export interface Flat {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly data: ArrayLike<number>;
}

const names = { f32: 'float32', f16: 'float16', i32: 'int32', u32: 'uint32', bool: 'bool' } as const;
const dtypes = new Map<string, DType>(Object.entries(names).map(([dtype, name]) => [name, dtype as DType]));

export async function flat(x: Tensor): Promise<Flat> {
  return { shape: x.shape, dtype: x.dtype, data: await x.data() };
}

/** Runs a model: inputs and outputs by name. */
export async function runOnnx(model: Uint8Array, inputs: Record<string, Flat>): Promise<Map<string, Flat>> {
  const session = await ort.InferenceSession.create(model, { logSeverityLevel: 3 });
  try {
    const feeds = Object.entries(inputs).map(([name, { shape, dtype, data }]) => {
      const numbers = dtype === 'f16' ? float16FromNumbers(data) : data;
      return [name, new ort.Tensor(names[dtype], numbers as Float32Array, shape)] as const;
    });
    const results = await session.run(Object.fromEntries(feeds));
    return new Map(
      session.outputNames.map((name) => {
        const { dims, type, data } = results[name];
        const dtype = dtypes.get(type) as DType;
        // Where there is a Float16Array it is one.
        const halves = data instanceof Uint16Array ? float16ToFloat32(data) : Float32Array.from(data as Float32Array);
        return [name, { shape: dims, dtype, data: dtype === 'f16' ? halves : (data as Float32Array) }];
      }),
    );
  } finally {
    await session.release();
  }
}

/**
 * Where two results first differ: whole numbers must be equal, floats to within `tolerance` of themselves, or of the
 * largest of them, though of `most` at most; undefined where they agree.
 */
export function firstDifference(
  actual: Flat | undefined,
  expected: Flat,
  most = 1,
  tolerance = 1e-4,
): string | undefined {
  const title = ({ dtype, shape }: Flat) => `${dtype}[${shape.join(', ')}]`;
  if (!actual) return `nothing, expected ${title(expected)}`;
  if (title(actual) !== title(expected)) return `${title(actual)}, expected ${title(expected)}`;
  const wanted = Array.from(expected.data);
  const peak = wanted.reduce(
    (largest, value) => (Number.isFinite(value) ? Math.max(largest, Math.abs(value)) : largest),
    0,
  );
  const float = expected.dtype === 'f32' || expected.dtype === 'f16';
  // Halves are rounded from f32 that differ a little.
  const relative = float ? tolerance + (expected.dtype === 'f16' ? 2 ** -10 : 0) : 0;
  const allowed = (value: number) => relative * Math.max(Math.abs(value), Math.min(peak, most));
  const at = wanted.findIndex((value, i) => {
    const got = actual.data[i];
    return !(Object.is(got, value) || got === value || Math.abs(got - value) <= allowed(value));
  });
  return at < 0
    ? undefined
    : `element ${at} is ${actual.data[at]}, expected ${wanted[at]} to within ${allowed(wanted[at])}`;
}
