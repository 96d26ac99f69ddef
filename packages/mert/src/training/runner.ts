/** Runs steps: one compiled plan each, or its operations one by one. */
import { compile, type Device, scope, type Tensor, tensor, zeros } from '@dawnchorus/tensor';
import type { PretrainConfig } from '../config/index.ts';
import type { HostBatch } from '../data/batch.ts';
import { type Measured, metricsOf, readMeasured, type StepMetrics } from './metrics.ts';
import { partStep, replaceStatistics, type Trainer, updateStep, wholeStep } from './step.ts';
import { type TargetStatistics, type Teachers, uploadBatch } from './targets.ts';

/** What does the steps of a run. */
export interface Runner {
  /** Whether steps are compiled, and the host may be a step ahead. */
  readonly compiled: boolean;
  /** One step on its batches. All of it is on its way when this returns; what it measured comes later. */
  run(batches: readonly HostBatch[], step: number, learningRate: number): Promise<StepMetrics>;
  dispose(): void;
}

/** Whether a run on a device compiles its steps. Compilers of CPU drivers take minutes for what a GPU's take seconds. */
export const compiles = (device: Device, { training }: PretrainConfig): boolean =>
  training.compile === 'always' || (training.compile === 'auto' && !device.adapter.software);

const retained = ({ labelCounts, cqtSums, frames }: TargetStatistics): TargetStatistics => ({
  labelCounts: labelCounts.retain(),
  cqtSums: cqtSums.retain(),
  frames: frames.retain(),
});

/** A runner of a trainer's steps. */
export function createRunner(device: Device, trainer: Trainer, teachers: Teachers, config: PretrainConfig): Runner {
  const { accumulate } = config.training;
  const compiled = compiles(device, config);
  const plans: { dispose(): void }[] = [];
  function planned<A extends readonly unknown[], R>(fn: (...args: A) => R): (...args: A) => R {
    if (!compiled) return fn;
    const plan = compile(fn);
    plans.push(plan);
    return plan;
  }
  const numberOf = (n: number) => tensor(Uint32Array.of(n), { device });

  function runWhole(): Runner['run'] {
    const plan = planned(wholeStep(trainer, teachers, config));
    return async ([host], step, rate) => {
      const { measured, statistics } = scope(() => {
        const out = plan(uploadBatch(host, config), trainer.statistics, numberOf(step), tensor(rate, { device }));
        return { measured: out.measured, statistics: retained(out.statistics) };
      });
      replaceStatistics(trainer, statistics);
      const numbers = await readMeasured(measured);
      return metricsOf([numbers], numbers);
    };
  }

  function runParts(): Runner['run'] {
    const part = planned(partStep(trainer, teachers, config));
    const update = planned(updateStep(trainer, config));
    const nothing = scope(() => trainer.optimizer.shards.map(({ size }) => zeros([size], { device }).retain()));
    plans.push({
      dispose() {
        for (const sum of nothing) sum.dispose();
      },
    });
    return async (batches, step, rate) => {
      let sums: Tensor[] = nothing;
      const waiting: Measured[] = [];
      for (const [i, host] of batches.entries()) {
        const before = sums;
        const out = scope(() => {
          const number = numberOf((step - 1) * accumulate + i + 1);
          const made = part(uploadBatch(host, config), trainer.statistics, number, before);
          return { ...made, statistics: retained(made.statistics) };
        });
        replaceStatistics(trainer, out.statistics);
        if (before !== nothing) for (const sum of before) sum.dispose();
        sums = out.sums;
        waiting.push(out.measured);
      }
      const end = scope(() => update(sums, tensor(rate, { device })));
      for (const sum of sums) sum.dispose();
      const numbers = await Promise.all(waiting.map(readMeasured));
      return metricsOf(numbers, await readMeasured(end));
    };
  }

  return {
    compiled,
    run: accumulate === 1 ? runWhole() : runParts(),
    dispose() {
      for (const plan of plans) plan.dispose();
    },
  };
}
