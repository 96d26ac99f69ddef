import { saveMeasured } from '#measured';
import { type Device, getDefaultDevice } from '../device/device.ts';
import { outsideTrace } from '../graph/tracing.ts';
import { Storage } from '../memory/storage.ts';
import { fillBuffer } from '../ops/fill.ts';
import { drawUniform } from '../ops/random.ts';
import { Tensor } from '../tensor.ts';
import { createProfiler } from './profiler.ts';
import { classOf, legalVariants, type Problem, type Variant } from './variants.ts';

/** How long each variant took on one class of problem. */
export interface TunedClass {
  /** Operation, dtypes, extents rounded up to powers of two, and attributes. */
  readonly problem: string;
  readonly winner: string;
  /** Median milliseconds by variant; NaN for one that failed. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

/** What `tune` does with what it finds. */
export interface TuneOptions {
  /** The one to tune; by default the one that tensors are made on. */
  readonly device?: Device;
  /** Whether winners are kept in the cache file, for later devices of this adapter and driver. Default: true. */
  readonly save?: boolean;
  /** Told of each class when it has been measured. */
  readonly log?: (line: string) => void;
}

const LEAST_RUNS = 3;
const MOST_RUNS = 20;
const MILLISECONDS_A_VARIANT = 60;
/** What the preferred variant may lose by and still be kept: less than this is noise. */
const TIE = 1.03;

/** A tensor like the given one, with numbers in it and memory of its own. */
function imitate(device: Device, { storage, dtype, shape, strides, offset }: Tensor): Tensor {
  const memory = new Storage(device, storage.buffer.size, 'tuning');
  const bytes = dtype === 'f16' ? 2 : 4;
  const whole = new Tensor(memory, dtype, [storage.buffer.size / bytes], [1], 0, false);
  try {
    if (dtype === 'f32' || dtype === 'f16') drawUniform(device, whole, { seed: 1, stream: 1 });
    else fillBuffer(device, whole, 0);
    return new Tensor(memory, dtype, shape, strides, offset, false);
  } finally {
    whole.dispose();
  }
}

/** Median milliseconds on the GPU of one run. */
async function time(device: Device, run: () => void): Promise<number> {
  const timed = async (runs: number): Promise<number[]> => {
    const profiler = createProfiler(device.gpu, device.features.has('timestamp-query') ? 'gpu' : 'wall');
    device.recorder.setProfiler(profiler);
    try {
      for (let i = 0; i < runs; i++) run();
      device.flush();
    } finally {
      device.recorder.setProfiler(undefined);
    }
    const events = await profiler.finish();
    const each = events.length / runs;
    return Array.from({ length: runs }, (_, i) =>
      events.slice(i * each, (i + 1) * each).reduce((sum, { start, end }) => sum + (end - start) / 1e3, 0),
    );
  };
  // The first run compiles the kernels, and tells how many more there is time for.
  await timed(1);
  const [once] = await timed(1);
  await device.synchronize();
  const runs = Math.max(LEAST_RUNS, Math.min(MOST_RUNS, Math.ceil(MILLISECONDS_A_VARIANT / Math.max(once, 1e-3))));
  const times = (await timed(runs)).sort((a, b) => a - b);
  await device.synchronize();
  return times[times.length >> 1];
}

async function measure(device: Device, problem: Problem, variants: readonly Variant<unknown>[]): Promise<TunedClass> {
  const made: Tensor[] = [];
  const milliseconds: Record<string, number> = {};
  try {
    const [inputs, outputs] = outsideTrace(() =>
      [problem.inputs, problem.outputs].map((tensors) =>
        tensors.map((tensor) => {
          const own = imitate(device, tensor);
          made.push(own);
          return own;
        }),
      ),
    );
    for (const variant of variants) {
      try {
        const run = () => outsideTrace(() => variant.run(device, inputs, outputs, problem.attributes));
        milliseconds[variant.name] = await time(device, run);
      } catch (error) {
        if (device.lost) throw error;
        milliseconds[variant.name] = Number.NaN;
      }
    }
  } finally {
    for (const tensor of made) tensor.dispose();
  }
  const preferred = problem.family.prefer(device, problem.inputs, problem.outputs, problem.attributes);
  const cost = (name: string) => (Number.isNaN(milliseconds[name]) ? Infinity : milliseconds[name]);
  const fastest = Object.keys(milliseconds).reduce((a, b) => (cost(b) < cost(a) ? b : a));
  const winner = cost(preferred) <= TIE * cost(fastest) ? preferred : fastest;
  return { problem: classOf(problem), winner, milliseconds };
}

/**
 * Runs `body`, takes down which problems its operations pose, times every kernel variant that the adapter can run on each
 * of them, and has the device take the fastest from then on. Functions that were compiled before keep their kernels, so
 * tune with the function itself and compile after. Winners go into a cache file, by adapter and driver, which later
 * devices read; `openDevice({ kernels: 'default' })` does not, for runs that must not depend on it.
 *
 * @returns what was measured, one entry for each class of problem that had a choice.
 */
export async function tune(
  body: () => unknown,
  { device = getDefaultDevice(), save = true, log }: TuneOptions = {},
): Promise<TunedClass[]> {
  device.assertUsable('tune');
  const { choices } = device;
  if (choices.listener) throw new Error('tune: this device is being tuned already');
  if (device.recorder.profiling) throw new Error('tune: this device is being profiled');
  const problems = new Map<string, Problem>();
  choices.listener = (problem) => {
    if (legalVariants(device, problem).length < 2) return;
    const key = classOf(problem);
    const size = ({ outputs }: Problem) => outputs[0].size;
    // The largest of a class speaks for it.
    const known = problems.get(key);
    if (!known || size(problem) > size(known)) problems.set(key, withoutMemory(problem));
  };
  try {
    await body();
  } finally {
    choices.listener = undefined;
  }
  await device.synchronize();
  const results: TunedClass[] = [];
  for (const problem of problems.values()) {
    const result = await measure(device, problem, legalVariants(device, problem));
    choices.measured.set(result.problem, result.winner);
    results.push(result);
    const times = Object.entries(result.milliseconds).map(([name, ms]) => `${name} ${ms.toPrecision(3)} ms`);
    log?.(`${result.problem}: ${result.winner} (${times.join(', ')})`);
  }
  if (save && results.length > 0) await saveMeasured(device.adapter, results);
  return results;
}

/** What is known of a problem when its tensors are gone: shapes, and how large their memory was. */
function withoutMemory(problem: Problem): Problem {
  const plain = ({ dtype, shape, strides, offset, size, rank, storage }: Tensor) =>
    ({ dtype, shape, strides, offset, size, rank, storage: { buffer: { size: storage.buffer.size } } }) as Tensor;
  return { ...problem, inputs: problem.inputs.map(plain), outputs: problem.outputs.map(plain) };
}
