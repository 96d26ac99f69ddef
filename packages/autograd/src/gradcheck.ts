import { checkNumber, checkOptions, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { grad } from './grad.ts';

/** How `gradcheck` varies the inputs, and what it allows. */
export interface GradcheckOptions {
  /** Step of the central difference. f32 sums limit how small it can be. */
  step?: number;
  /** Allowed error, relative to the largest gradient element of each input. */
  tolerance?: number;
  /** Elements of each input to vary, evenly spread; all by default. */
  samples?: number;
}

/**
 * Compares `grad` with central differences of `fn` itself, evaluated on the GPU in f32.
 *
 * @param fn a scalar loss of the inputs.
 * @throws Error that names the input, the element and both values where they differ.
 */
export async function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor,
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<void> {
  checkOptions('gradcheck', options, ['step', 'tolerance', 'samples']);
  const { step = 1e-2, tolerance = 1e-2, samples = Number.POSITIVE_INFINITY } = options;
  for (const [name, value] of Object.entries({ step, tolerance, samples })) {
    checkNumber('gradcheck', name, value, 'a number above 0', (own) => own > 0);
  }
  const analytic = grad(() => fn(...inputs), inputs);
  try {
    for (let i = 0; i < inputs.length; i++) {
      const values = (await inputs[i].data()) as Float32Array;
      const expected = (await analytic[i].data()) as Float32Array;
      const scale = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3);
      const stride = Math.max(1, Math.ceil(values.length / samples));
      for (let at = 0; at < values.length; at += stride) {
        const evaluate = async (delta: number) => {
          const moved = values.slice();
          moved[at] += delta;
          const loss = scope(() => {
            const replaced = tensor(moved, { shape: inputs[i].shape, device: inputs[i].device });
            return fn(...inputs.map((input, j) => (j === i ? replaced : input)));
          });
          const result = await loss.item();
          loss.dispose();
          // What the step became in f32.
          return { result, moved: moved[at] };
        };
        const up = await evaluate(step);
        const down = await evaluate(-step);
        const numeric = (up.result - down.result) / (up.moved - down.moved);
        if (!(Math.abs(numeric - expected[at]) <= tolerance * scale)) {
          throw new Error(
            `gradcheck: input ${i}, element ${at}: gradient ${expected[at]}, central difference ${numeric}`,
          );
        }
      }
    }
  } finally {
    for (const gradient of analytic) gradient.dispose();
  }
}
