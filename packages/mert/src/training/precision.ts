import { nn, type optim } from '@dawnchorus/autograd';
import { cast, sizeOf, type Tensor } from '@dawnchorus/tensor';
import type { Student } from '../model/student.ts';

/** What activations and weights are computed in; masters, moments, norms, heads and losses are f32 all the same. */
export type Precision = 'f32' | 'f16';

/**
 * Scales and shifts of norms, and the positional convolution's lengths and directions: few elements, whose kernels take f32
 * beside halves.
 */
const staysWide = (name: string) => /[lL]ayerNorm\.(weight|bias)$|\.weight[GV]$/.test(name);

/** Views of the parameters' arena in halves, by name: one kernel a shard. */
function halvesOf(student: Student, { shards }: optim.AdamW): Map<string, Tensor> {
  const own = student.namedParameters();
  const halves = new Map<string, Tensor>();
  for (const { names, values, shapes } of shards) {
    if (!names.some((name) => own.has(name) && !staysWide(name))) continue;
    const narrow = cast(values, 'f16');
    let offset = 0;
    for (const [i, name] of names.entries()) {
      const size = sizeOf(shapes[i]);
      if (own.has(name) && !staysWide(name)) {
        halves.set(name, narrow.sliceAxis(0, offset, offset + size).reshape(shapes[i]));
      }
      offset += size;
    }
  }
  return halves;
}

/**
 * Calls `body` with the tensors that gradients are to be taken of, by parameter name. With `f16` the student computes in
 * halves of its f32 masters meanwhile: activations follow the dtype of its weights.
 */
export function withPrecision<T>(
  precision: Precision,
  { student, optimizer, parameters }: { student: Student; optimizer: optim.AdamW; parameters: Map<string, Tensor> },
  body: (leaves: Map<string, Tensor>) => T,
): T {
  if (precision === 'f32') return body(parameters);
  const halves = halvesOf(student, optimizer);
  const leaves = new Map([...parameters].map(([name, master]) => [name, halves.get(name) ?? master]));
  return nn.withParameters(student, halves, () => body(leaves));
}
