import type { Tensor } from '@dawnchorus/tensor';
import type { Entry, Gradients } from './tape.ts';

/** Looks at what tapes do, where somebody asked for it: see anomaly.ts. */
export interface Watch {
  forward(entry: Entry): void;
  backward(entry: Entry, given: Gradients, parts: readonly (Tensor | undefined)[]): void;
}

let watch: Watch | undefined;

export const currentWatch = (): Watch | undefined => watch;

/** Runs `body` with every entry that tapes make or use shown to `next`. */
export function watching<T>(next: Watch, body: () => T): T {
  const outer = watch;
  watch = next;
  try {
    return body();
  } finally {
    watch = outer;
  }
}
