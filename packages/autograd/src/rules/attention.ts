import {
  type AttributesOf,
  apply,
  arange,
  cast,
  dropout,
  le,
  matmul,
  mul,
  pad,
  permute,
  softmax,
  type Tensor,
  transpose,
  where,
} from '@dawnchorus/tensor';
import { vjp } from '../vjp.ts';
import { rule } from './rule.ts';

type Attributes = AttributesOf<'attention'>;

/** [batch, time, heads, size] as [batch, heads, time, size], or back. */
const swapped = (x: Tensor): Tensor => permute(x, [0, 2, 1, 3]);

/** Outputs of `attentionBackward` by operations with the matrix of weights in memory: what a gradient of it is taken of. */
function composed(inputs: readonly Tensor[], others: readonly Tensor[], attributes: Attributes): Tensor[] {
  const { scale, causal, dropout: p, seed, stream } = attributes;
  const visible = others.find(({ dtype }) => dtype === 'bool');
  const step = others.find(({ dtype }) => dtype === 'u32');
  const forward = (q: Tensor, k: Tensor, v: Tensor): Tensor => {
    const [batch, , queries] = q.shape;
    const keys = k.shape[2];
    let scores = mul(matmul(cast(q, 'f32'), transpose(cast(k, 'f32'))), scale);
    if (visible) scores = where(visible.reshape([batch, 1, 1, keys]), scores, -3e38);
    if (causal) {
      const device = { device: q.device };
      const [rows, columns] = [arange(queries, device).reshape([queries, 1]), arange(keys, device)];
      scores = where(le(columns, rows), scores, -3.4028234e38);
    }
    const weights = softmax(scores);
    if (p === 0) return matmul(weights, cast(v, 'f32'));
    // Each row's draws begin with the next four.
    const dropped = dropout(pad(weights, [0, -keys & 3]), { p, seed, stream, step }).sliceAxis(3, 0, keys);
    return matmul(dropped, cast(v, 'f32'));
  };
  const [q, k, v, g] = inputs;
  return vjp(forward, [q, k, v], cast(swapped(g), 'f32')).gradients.map(swapped);
}

export const attentionRules = {
  attention: rule<Attributes>('both', (g, { inputs, outputs, attributes, gradients }) => {
    if (gradients[1]) {
      throw new Error(
        'grad: the logarithms of sums that attention gives beside its output have no gradient; use matmul and logsumexp',
      );
    }
    const [q, k, v, ...others] = inputs;
    return apply('attentionBackward', [q, k, v, ...outputs, g, ...others], attributes).map(swapped);
  }),

  // Of all that q, k, v and the gradient do, also by way of the outputs, which are those of `attention`.
  attentionBackward: rule<Attributes>('inputs', (_, { inputs, attributes, gradients }) => {
    const [q, k, v, , , g, ...others] = inputs;
    const given = gradients.flatMap((gradient) => (gradient ? [cast(gradient, 'f32')] : []));
    const wanted = (list: readonly Tensor[]) => list.filter((_own, i) => gradients[i]).map((x) => cast(x, 'f32'));
    const [dq, dk, dv, dg] = vjp((...own) => wanted(composed(own, others, attributes)), [q, k, v, g], given).gradients;
    return [dq, dk, dv, undefined, undefined, dg];
  }),
};
