import type { nn } from '@dawnchorus/autograd';
import { concat, scope, type Tensor } from '@dawnchorus/tensor';

/**
 * Which part of a signal goes through the layers. A signal may go in pieces: each layer then keeps the end of what it saw
 * for the next one, and all pieces together give what the whole gives at once.
 */
export interface Pass {
  /** Whether the signal begins with this piece. */
  readonly first: boolean;
  /** Whether it ends with it. */
  readonly last: boolean;
  /** What a layer kept of the piece before. */
  carried(layer: nn.Module): readonly Tensor[];
  /** Keeps tensors for the layer's next piece. Nothing is kept of the last one. */
  carry(layer: nn.Module, tensors: readonly Tensor[]): void;
}

/** A signal that goes through the layers at once. */
export const whole: Pass = { first: true, last: true, carried: () => [], carry: () => {} };

/** The passes of the pieces of one signal; dispose it when done, or when giving up in between. */
export interface PieceByPiece {
  /** The next piece; `last` when there will be no other. */
  next(last: boolean): Pass;
  dispose(): void;
}

/** Begins a signal that comes in pieces. */
export function pieceByPiece(): PieceByPiece {
  const kept = new Map<nn.Module, readonly Tensor[]>();
  let first = true;
  const drop = (layer: nn.Module) => {
    for (const tensor of kept.get(layer) ?? []) tensor.dispose();
    kept.delete(layer);
  };
  return {
    next(last) {
      const begins = first;
      first = false;
      return {
        first: begins,
        last,
        carried: (layer) => kept.get(layer) ?? [],
        carry(layer, tensors) {
          // Copies: a view would keep the whole piece in memory.
          const own = last ? [] : tensors.map((tensor) => scope(() => concat([tensor]).retain()));
          drop(layer);
          if (own.length > 0) kept.set(layer, own);
        },
      };
    },
    dispose() {
      for (const layer of [...kept.keys()]) drop(layer);
    },
  };
}
