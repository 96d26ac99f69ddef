import { formatShape, type Tensor, type TensorSpec } from '@dawnchorus/tensor';

/** `magnitude`: |C|. `complex`: a last axis of (re, im). `phase`: one of (cos, sin) of its angle, (1, 0) where C is 0. */
export type CqtOutput = 'magnitude' | 'complex' | 'phase';

/** What the shape of a transform depends on beside its clips. */
export interface CqtAttributes {
  hopLength: number;
  bins: number;
  output: CqtOutput;
}

/** Frames of a clip. */
export const cqtFrames = (samples: number, hopLength: number): number => Math.floor(samples / hopLength) + 1;

/** x [clips, samples] -> [clips, bins, frames] or, but for magnitudes, [clips, bins, frames, 2]. */
export function cqtSpec(x: Tensor, { hopLength, bins, output }: CqtAttributes): TensorSpec {
  const shape = [x.shape[0], bins, cqtFrames(x.shape[1], hopLength)];
  return { dtype: 'f32', shape: output === 'magnitude' ? shape : [...shape, 2] };
}

/** Checks what is to be transformed. @throws RangeError when x is no [batch, samples] or empty, TypeError when it is not f32. */
export function checkClips(x: Tensor): void {
  if (x.dtype !== 'f32') {
    throw new TypeError(`cqt: x is ${x.dtype}${formatShape(x.shape)}; expected f32; use .cast('f32')`);
  }
  if (x.rank !== 2 || x.size === 0) {
    throw new RangeError(
      `cqt: x is ${formatShape(x.shape)}; expected [batch, samples] with at least one clip of at least one sample`,
    );
  }
}
