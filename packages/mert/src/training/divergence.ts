/** Whether a run has left the rails, told from its metrics alone. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeJson } from '@dawnchorus/formats';
import type { PretrainConfig } from '../config/index.ts';
import type { StepMetrics } from './metrics.ts';

type Settings = PretrainConfig['divergence'];

/** Looks at one step after another. */
export interface DivergenceWatch {
  /** Why the run counts as diverged, once it does. */
  see(metrics: Pick<StepMetrics, 'loss' | 'gradNorm' | 'lossScale'>): string | undefined;
  /** Whether the last step was bad. */
  suspicious(): boolean;
}

/** How much a step moves the running means. */
const WEIGHT = 0.02;

/** A running mean that starts as a plain one. */
function runningMean() {
  let [mean, count] = [0, 0];
  return {
    value: () => mean,
    add(x: number) {
      count++;
      mean += Math.max(WEIGHT, 1 / count) * (x - mean);
    },
  };
}

/** Watches a run by its settings. Bad steps do not move the means that they are measured by. */
export function watchDivergence(settings: Settings): DivergenceWatch {
  const { lossFactor, gradNormFactor, patience, afterSteps, minLossScale } = settings;
  const [losses, norms] = [runningMean(), runningMean()];
  let [seen, bad] = [0, 0];
  let last = '';
  return {
    suspicious: () => bad > 0,
    see({ loss, gradNorm, lossScale }) {
      seen++;
      if (lossScale !== undefined && lossScale < minLossScale) {
        return `the loss scale fell to ${lossScale}, below divergence.minLossScale ${minLossScale}`;
      }
      const learning = seen <= afterSteps;
      let problem: string | undefined;
      if (!Number.isFinite(loss)) problem = `the loss became ${loss}`;
      else if (!learning && loss > lossFactor * losses.value()) {
        problem = `the loss is ${loss.toPrecision(4)}, more than ${lossFactor} times its running mean ${losses.value().toPrecision(4)}`;
      } else if (!learning && Number.isFinite(gradNorm) && gradNorm > gradNormFactor * norms.value()) {
        problem = `the gradient norm is ${gradNorm.toPrecision(4)}, more than ${gradNormFactor} times its running mean ${norms.value().toPrecision(4)}`;
      }
      if (problem) {
        bad++;
        last = problem;
      } else {
        bad = 0;
        losses.add(loss);
        // A skipped step has no norm.
        if (Number.isFinite(gradNorm)) norms.add(gradNorm);
      }
      return bad >= patience ? `${last}, for ${bad} steps on end` : undefined;
    },
  };
}

/** A return to an earlier step. */
export interface Rollback {
  /** The step at which the run was found diverged, and the checkpoint's that it went back to. */
  fromStep: number;
  toStep: number;
  reason: string;
  /** What the learning rate is multiplied by from then on. */
  rateFactor: number;
}

/** A run's returns so far, oldest first. */
export async function readRollbacks(out: string): Promise<Rollback[]> {
  const path = join(out, 'rollbacks.json');
  if (!existsSync(path)) return [];
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Rollback[];
  } catch (cause) {
    throw new Error(
      `${path}: cannot be read: ${(cause as Error).message}; it holds the run's returns to earlier steps and their learning ` +
        'rates: repair it, or remove it to go on at the full rate',
      { cause },
    );
  }
}

/** Writes them down, before anything goes on. */
export const writeRollbacks = (out: string, rollbacks: readonly Rollback[]): Promise<void> =>
  writeJson(join(out, 'rollbacks.json'), rollbacks);

/** What the learning rate of a step is multiplied by: the factors of all returns before it. */
export const rateFactor = (rollbacks: readonly Rollback[], step: number): number =>
  rollbacks.reduce((factor, { toStep, rateFactor: own }) => (step > toStep ? factor * own : factor), 1);
