/** A whole pretraining step, eager and compiled, with what its kernels take; and the same student in PyTorch. */
import { type Measured, type PretrainConfig, readMetrics } from '@dawnchorus/mert';
import { compile, type Device, type Profile, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { type EngineName, wallTime } from '../engines/engine.ts';
import type { Result } from '../result.ts';
import { plannedRuns, summarise, USUAL_RUNS } from '../statistics.ts';
import { createStepModel, LEARNING_RATE } from './model.ts';
import { stepLines, tableOf } from './report.ts';
import { type StepSetting, stepConfig } from './setting.ts';
import { openTorchStep, type TorchStep } from './torch.ts';

/** A line of `--json`: `gradient` is the whole of forward, backward and update. */
export interface StepResult extends Omit<Result, 'dtype' | 'gbps'> {
  dtype: 'f32' | 'f16' | 'bf16';
  clipsPerSecond: number;
  /** Most bytes of tensors in use, parameters and moments included; undefined where nobody says. */
  peakBytes?: number;
}

export interface StepOptions extends StepSetting {
  runs?: number;
  peers: boolean;
  log(line: string): void;
}

/** One way to do a step. */
interface Contender {
  readonly name: string;
  readonly engine: EngineName;
  readonly dtype: StepResult['dtype'];
  readonly adapter: string;
  readonly maxError: number;
  /** Floating-point operations, once they have been counted. */
  flops?: number;
  peakBytes?: number;
  run(): Promise<number>;
  readonly times: number[];
}

/** Longest time for all runs of one contender. */
const MOST_MILLISECONDS = 60_000;

/** Tells how long a step takes. @throws Error when a loss is no number or PyTorch's model is another. */
export async function benchStep(device: Device, options: StepOptions): Promise<StepResult[]> {
  const { log } = options;
  const { name, config } = stepConfig(options);
  if (config.training.precision === 'f16' && !device.features.has('shader-f16')) {
    throw new Error(`${name}: ${device.adapter.name} has no shader-f16, halves in shaders; use --dtype f32`);
  }
  const model = createStepModel(device, config);
  const wholeStep = compile(model.whole, { verify: 'never' });
  const studentStep = compile(model.student, { verify: 'never' });
  let torch: TorchStep | undefined;
  try {
    const parameters = [...model.trainer.parameters.values()].reduce((sum, { size }) => sum + size, 0);
    log(
      `${name}: ${(parameters / 1e6).toFixed(1)} M parameters with the heads, ${config.training.batchSize} clips of ` +
        `${config.audio.cropSeconds} s, ${model.frames} frames each; ${config.training.precision}, layer drop 0`,
    );
    const ours = ourContenders(device, config, log);
    const eager = await ours(`${name}_eager`, (number, rate) => model.whole(model.uploaded, number, rate));
    const whole = await ours(name, (number, rate) => wholeStep(model.uploaded, number, rate), eager.loss);
    const contenders: Contender[] = [eager, whole];
    if (options.peers) {
      const student = await ours(`${name}_student`, (n, rate) => studentStep(model.labelled, n, rate), eager.loss);
      contenders.push(student);
      torch = await openTorchStep(model, config).catch((error) => {
        log(`torch: skipped: ${error.message}`);
        return undefined;
      });
      const half = config.training.precision === 'f16';
      const facts = { name: student.name, parameters, half };
      if (torch) contenders.push(...(await torchContenders(torch, await lossOf(model), facts)));
    }

    const runs = options.runs ?? (await affordableRuns(contenders));
    log(`${runs} runs each, in turns`);
    await timeInTurns(contenders, runs);
    const compiled = contenders.filter((each) => each !== eager && each.engine === 'dawnchorus');
    const profiles = await profileEach(device, compiled);
    eager.flops = whole.flops;
    // PyTorch's student does the work that ours does.
    for (const each of contenders) each.flops ??= contenders.find(({ name }) => name === each.name)?.flops;

    const results = contenders.map((each) => resultOf(each, config.training.batchSize));
    for (const line of stepLines(results, await device.peak())) log(line);
    log(`\n${tableOf(profiles.get(whole)!)}`);
    return results;
  } finally {
    torch?.close();
    wholeStep.dispose();
    studentStep.dispose();
    model.dispose();
  }
}

/** A step of ours, by its number and the learning rate. */
type Step = (number: Tensor, rate: Tensor) => Measured;

/**
 * Makes contenders of ours: the first run of each compiles kernels and, with the rate 0, changes no parameter. `expected`: the loss
 * that it should have.
 */
function ourContenders(device: Device, { training }: PretrainConfig, log: StepOptions['log']) {
  // Parameters, moments and the batch; what one contender keeps beside them is not counted for the next.
  const base = device.statistics().liveBytes;
  return async (label: string, step: Step, expected?: number): Promise<Contender & { loss: number }> => {
    let number = 0;
    let loss = Number.NaN;
    const once = async (rate: number) => {
      number++;
      const packed = scope(() => step(tensor(Uint32Array.of(number), { device }), tensor(rate, { device })));
      ({ loss } = await readMetrics(packed));
      if (!Number.isFinite(loss)) throw new Error(`${label}: the loss became ${loss}`);
    };
    const before = device.statistics().liveBytes;
    device.pool.statistics.peakBytes = before;
    const first = await wallTime(() => once(0));
    log(`${label}: first run ${(first / 1e3).toFixed(1)} s, loss ${loss.toFixed(4)}`);
    return {
      name: label,
      engine: 'dawnchorus',
      dtype: training.precision,
      adapter: device.adapter.name,
      loss,
      maxError: expected === undefined ? 0 : Math.abs(loss - expected) / Math.abs(expected),
      peakBytes: base + device.statistics().peakBytes - before,
      run: () => wallTime(() => once(LEARNING_RATE)),
      times: [],
    };
  };
}

/** One more run of each tells how many there may be. */
async function affordableRuns(contenders: readonly Contender[]): Promise<number> {
  let longest = 0;
  for (const contender of contenders) longest = Math.max(longest, await contender.run());
  return Math.min(USUAL_RUNS, plannedRuns(longest, MOST_MILLISECONDS));
}

async function timeInTurns(contenders: readonly Contender[], runs: number): Promise<void> {
  for (let k = 0; k < runs; k++) {
    for (const contender of contenders) contender.times.push(await contender.run());
  }
}

/** One more run of each counts its operations, and tells what its kernels take. It is slower than the others. */
async function profileEach(device: Device, contenders: readonly Contender[]): Promise<Map<Contender, Profile>> {
  const profiles = new Map<Contender, Profile>();
  for (const contender of contenders) {
    const profile = await device.profile(contender.run);
    profiles.set(contender, profile);
    contender.flops = profile.rows.reduce((sum, { flops }) => sum + flops, 0);
  }
  return profiles;
}

async function lossOf({ loss }: ReturnType<typeof createStepModel>): Promise<number> {
  const value = loss();
  const number = await value.item();
  value.dispose();
  return number;
}

/** PyTorch's loss without dropout must be ours: else it is another model. */
const TORCH_TOLERANCE = 1e-3;

async function torchContenders(
  torch: TorchStep,
  expected: number,
  { name, parameters, half }: { name: string; parameters: number; half: boolean },
): Promise<Contender[]> {
  const loss = await torch.loss();
  const maxError = Math.abs(loss - expected) / Math.abs(expected);
  if (!(maxError <= TORCH_TOLERANCE) || torch.hello.parameters !== parameters) {
    throw new Error(
      `PyTorch's model is another: loss ${loss}, ours ${expected}; ${torch.hello.parameters} parameters, ours ${parameters}`,
    );
  }
  // Where there is no bf16, f32 is what there is to be compared with.
  const { precisions } = torch.hello;
  const wanted = half && precisions.includes('bf16') ? (['bf16'] as const) : precisions;
  return wanted.map((dtype) => {
    const contender: Contender = {
      name,
      engine: 'torch',
      dtype,
      adapter: torch.hello.adapter,
      maxError,
      async run() {
        const { milliseconds, peakBytes } = await torch.run(dtype);
        contender.peakBytes = peakBytes;
        return milliseconds;
      },
      times: [],
    };
    return contender;
  });
}

function resultOf(contender: Contender, batchSize: number): StepResult {
  const { name, engine, dtype, adapter, maxError, times, flops, peakBytes } = contender;
  const summary = summarise(times);
  return {
    case: name,
    pass: 'gradient',
    engine,
    dtype,
    adapter,
    ...summary,
    gflops: flops === undefined ? undefined : flops / summary.medianMs / 1e6,
    maxError,
    clipsPerSecond: (1000 * batchSize) / summary.medianMs,
    peakBytes,
  };
}
