import { saveMeasured } from '#measured';
import { type Device, getDefaultDevice } from '../device/device.ts';
import { outsideTrace } from '../graph/tracing.ts';
import { Storage } from '../memory/storage.ts';
import { checkDevice, checkOptions } from '../ops/arguments.ts';
import { fillBuffer } from '../ops/fill.ts';
import { drawUniform } from '../ops/random.ts';
import { Tensor } from '../tensor.ts';
import { createProfiler, type ProfileEvent } from './profiler.ts';
import { chooseVariant, classOf, legalVariants, type Problem, type Variant } from './variants.ts';

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

const ROUNDS = 5;
/** In a round. */
const MOST_RUNS = 8;
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

/** Milliseconds on the GPU of each of so many runs. */
async function timed(device: Device, run: () => void, runs: number): Promise<number[]> {
  const profiler = createProfiler(device.gpu, device.features.has('timestamp-query') ? 'gpu' : 'wall');
  device.recorder.setProfiler(profiler);
  let events: ProfileEvent[] = [];
  try {
    for (let i = 0; i < runs; i++) run();
    device.flush();
  } finally {
    device.recorder.setProfiler(undefined);
    events = await profiler.finish();
  }
  // Kernels that the GPU refuses are told of now.
  await device.synchronize();
  const each = events.length / runs;
  return Array.from({ length: runs }, (_, i) =>
    events.slice(i * each, (i + 1) * each).reduce((sum, { start, end }) => sum + (end - start) / 1e3, 0),
  );
}

/**
 * Times the variants in turns, once all are compiled: a GPU that waited for a compiler has slowed its clock, and whoever
 * came first would pay for it.
 */
async function measure(device: Device, problem: Problem, variants: readonly Variant<unknown>[]): Promise<TunedClass> {
  const made: Tensor[] = [];
  const milliseconds: Record<string, number> = Object.fromEntries(variants.map(({ name }) => [name, Number.NaN]));
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
    const times = new Map<Variant<unknown>, number[]>();
    const turn = async (variant: Variant<unknown>, runs: number): Promise<number[]> => {
      try {
        return await timed(
          device,
          () => outsideTrace(() => variant.run(device, inputs, outputs, problem.attributes)),
          runs,
        );
      } catch (error) {
        if (device.lost) throw error;
        times.delete(variant);
        return [];
      }
    };
    for (const variant of variants) {
      times.set(variant, []);
      await turn(variant, 1);
    }
    // The second run tells how many more there is time for.
    const runs = new Map<Variant<unknown>, number>();
    for (const variant of [...times.keys()]) {
      const [once = 0] = await turn(variant, 1);
      const wanted = Math.ceil(MILLISECONDS_A_VARIANT / Math.max(once, 1e-3) / ROUNDS);
      runs.set(variant, Math.max(1, Math.min(MOST_RUNS, wanted)));
    }
    for (let round = 0; round < ROUNDS; round++) {
      for (const variant of [...times.keys()]) times.get(variant)?.push(...(await turn(variant, runs.get(variant)!)));
    }
    for (const [{ name }, own] of times) {
      own.sort((a, b) => a - b);
      if (own.length > 0) milliseconds[name] = own[own.length >> 1];
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

/** Runs of `body` at most. */
const MOST_BODIES = 3;

/**
 * Runs `body`, takes down which problems its operations pose, times every kernel variant that the adapter can run on each
 * of them, and has the device take the fastest from then on. Functions that were compiled before keep their kernels, so
 * tune with the function itself and compile after. Where others win than ran, `body` runs again: they may pose problems of their own,
 * as a convolution that is made of products does. Winners go into a cache file, by adapter and driver, which later
 * devices read; `openDevice({ kernels: 'default' })` does not, for runs that must not depend on it.
 *
 * @returns what was measured, one entry for each class of problem that had a choice.
 */
export async function tune(body: () => unknown, options: TuneOptions = {}): Promise<TunedClass[]> {
  checkOptions('tune', options, ['device', 'save', 'log']);
  checkDevice('tune', options.device);
  const { device = getDefaultDevice(), save = true, log } = options;
  device.assertUsable('tune');
  const { choices } = device;
  if (choices.listener) throw new Error('tune: this device is being tuned already');
  if (device.recorder.profiling) throw new Error('tune: this device is being profiled');
  const results = new Map<string, TunedClass>();
  let changed = true;
  for (let bodies = 0; changed && bodies < MOST_BODIES; bodies++) {
    const problems = new Map<string, Problem>();
    choices.listener = (problem) => {
      const key = classOf(problem);
      if (results.has(key) || legalVariants(device, problem).length < 2) return;
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
    changed = false;
    for (const [key, problem] of problems) {
      const before = chooseVariant(device, problem).name;
      const result = await measure(device, problem, legalVariants(device, problem));
      choices.measured.set(key, result.winner);
      results.set(key, result);
      changed ||= result.winner !== before;
      const times = Object.entries(result.milliseconds).map(([name, ms]) => `${name} ${ms.toPrecision(3)} ms`);
      log?.(`${key}: ${result.winner} (${times.join(', ')})`);
    }
  }
  const all = [...results.values()];
  if (save && all.length > 0) await saveMeasured(device.adapter, all);
  return all;
}

/** What is known of a problem when its tensors are gone: shapes, and how large their memory was. */
function withoutMemory(problem: Problem): Problem {
  const plain = ({ dtype, shape, strides, offset, size, rank, storage }: Tensor) =>
    ({ dtype, shape, strides, offset, size, rank, storage: { buffer: { size: storage.buffer.size } } }) as Tensor;
  return { ...problem, inputs: problem.inputs.map(plain), outputs: problem.outputs.map(plain) };
}
