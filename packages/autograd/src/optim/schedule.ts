import { checkNumber, checkOptions } from '@dawnchorus/tensor';

/**
 * Linear warm-up from 0 to the peak over `warmupSteps`, then polynomial decay to `end` at `totalSteps` (fairseq's
 * polynomial_decay). Steps count from 1.
 */
export function polynomialDecay(options: {
  peak: number;
  warmupSteps: number;
  totalSteps: number;
  power?: number;
  end?: number;
}): (step: number) => number {
  const needed = ['peak', 'warmupSteps', 'totalSteps'];
  checkOptions('polynomialDecay', options, [...needed, 'power', 'end'], needed);
  const { peak, warmupSteps, totalSteps, power = 1, end = 0 } = options;
  for (const [name, value] of Object.entries({ peak, warmupSteps, totalSteps, power, end })) {
    checkNumber('polynomialDecay', name, value);
  }
  return (step) => {
    if (warmupSteps > 0 && step <= warmupSteps) return (peak * step) / warmupSteps;
    if (step >= totalSteps) return end;
    return (peak - end) * (1 - (step - warmupSteps) / (totalSteps - warmupSteps)) ** power + end;
  };
}

/**
 * Linear warm-up from 0 to the peak over `warmupSteps`, then half a cosine down to `end` at `totalSteps` (Loshchilov and
 * Hutter, "SGDR", 2017, without restarts). Steps count from 1.
 */
export function cosineDecay(options: {
  peak: number;
  warmupSteps: number;
  totalSteps: number;
  end?: number;
}): (step: number) => number {
  const needed = ['peak', 'warmupSteps', 'totalSteps'];
  checkOptions('cosineDecay', options, [...needed, 'end'], needed);
  const { peak, warmupSteps, totalSteps, end = 0 } = options;
  for (const [name, value] of Object.entries({ peak, warmupSteps, totalSteps, end })) {
    checkNumber('cosineDecay', name, value);
  }
  return (step) => {
    if (warmupSteps > 0 && step <= warmupSteps) return (peak * step) / warmupSteps;
    if (step >= totalSteps) return end;
    const done = (step - warmupSteps) / (totalSteps - warmupSteps);
    return end + ((peak - end) * (1 + Math.cos(Math.PI * done))) / 2;
  };
}
