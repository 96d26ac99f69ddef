/**
 * What the engine itself costs, apart from the kernels: host time of an eager call and of a replayed dispatch, on Dawn's
 * null backend, which executes nothing; and a whole training step, eager and compiled, with the memory that each needs.
 */
import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import { compile, type Device, normal, scope, sqrt, type Tensor, tensor } from '@dawnchorus/tensor';
import { measureOverhead } from './overhead.ts';

export interface EngineRow {
  name: string;
  value: number;
  unit: string;
  /** What the value should be below. */
  target?: number;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1];
}

interface TransformerSize {
  layers: number;
  features: number;
  heads: number;
  batch: number;
  time: number;
}

class Block extends nn.Module {
  attention: nn.MultiHeadAttention;
  norm1: nn.LayerNorm;
  wide: nn.Linear;
  narrow: nn.Linear;
  norm2: nn.LayerNorm;
  dropout = new nn.Dropout(0.1);

  constructor(features: number, heads: number, keys: nn.KeySequence) {
    super();
    this.attention = new nn.MultiHeadAttention(features, heads, keys, { dropout: 0.1 });
    this.norm1 = new nn.LayerNorm(features);
    this.wide = new nn.Linear(features, 4 * features, keys);
    this.narrow = new nn.Linear(4 * features, features, keys);
    this.norm2 = new nn.LayerNorm(features);
  }

  forward(x: Tensor, keys: nn.KeySequence): Tensor {
    const attended = this.norm1.forward(x.add(this.dropout.forward(this.attention.forward(x, { keys }), keys)));
    const inner = this.dropout.forward(this.wide.forward(attended).gelu(), keys);
    return this.norm2.forward(attended.add(this.dropout.forward(this.narrow.forward(inner), keys)));
  }
}

/** A post-LN transformer with dropout, its loss, gradients, clipping and AdamW: one whole step. */
function transformerStep({ layers, features, heads }: TransformerSize) {
  class Model extends nn.Module {
    blocks = Array.from({ length: layers }, (_, i) => new Block(features, heads, nn.keySequence(i + 1)));
  }
  const model = new Model();
  const parameters = model.namedParameters();
  const optimizer = new optim.AdamW(parameters, { clipNorm: 1 });
  const step = (x: Tensor, y: Tensor, number: Tensor, rate: Tensor) => {
    const keys = nn.keySequence(5, number);
    const { value, gradients } = valueAndGrad(() => {
      const out = model.blocks.reduce((h, block) => block.forward(h, keys), x);
      return out.sub(y).square().mean();
    }, parameters);
    const squared = optimizer.step(gradients, rate);
    return { loss: value, norm: sqrt(squared) };
  };
  return {
    step,
    dispose() {
      optimizer.dispose();
      model.dispose();
    },
  };
}

/** Milliseconds of a step and the most memory that was in use, eager or compiled. */
async function measureStep(device: Device, size: TransformerSize, compiled: boolean) {
  const { step, dispose } = transformerStep(size);
  const shape = [size.batch, size.time, size.features];
  const x = normal(shape, { seed: 1, stream: 1, device }).retain();
  const y = normal(shape, { seed: 1, stream: 2, device }).retain();
  const run = compiled ? compile(step) : step;
  const before = device.statistics().liveBytes;
  device.pool.statistics.peakBytes = before;
  const times: number[] = [];
  let loss = Number.NaN;
  for (let k = 1; k <= 7; k++) {
    const start = performance.now();
    const result = scope(() => run(x, y, tensor(Uint32Array.of(k), { device }), tensor([1e-4], { device })));
    loss = await result.loss.item();
    times.push(performance.now() - start);
    result.loss.dispose();
    result.norm.dispose();
  }
  const peak = device.statistics().peakBytes;
  const text = compiled ? (run as ReturnType<typeof compile>).explain().split('\n').slice(0, 2).join('\n') : '';
  if (compiled) (run as ReturnType<typeof compile>).dispose();
  for (const tensor of [x, y]) tensor.dispose();
  dispose();
  // The first steps compile kernels.
  return { milliseconds: median(times.slice(2)), peak, beside: peak - before, loss, text };
}

/** Everything, in the order in which it is printed. `device`: the adapter for the training steps. */
export async function engineRows(device: Device, log: (line: string) => void): Promise<EngineRow[]> {
  const { eager, replayed, bare, ratio } = await measureOverhead();
  const rows: EngineRow[] = [
    { name: 'eager call, null backend', value: eager, unit: 'µs' },
    { name: 'replayed dispatch, null backend', value: replayed, unit: 'µs', target: 5 },
    { name: 'three bare calls of Dawn (pipeline, bind group, dispatch)', value: bare, unit: 'µs' },
    { name: 'replayed dispatch / bare calls', value: ratio, unit: '' },
  ];
  const size = device.adapter.software
    ? { layers: 12, features: 64, heads: 4, batch: 4, time: 64 }
    : { layers: 12, features: 768, heads: 12, batch: 8, time: 250 };
  const plain = await measureStep(device, size, false);
  const fused = await measureStep(device, size, true);
  log(`12-layer step: ${size.features} features, ${size.batch} x ${size.time} frames; compiled:\n${fused.text}`);
  log(`loss after 7 steps: eager ${plain.loss}, compiled ${fused.loss}`);
  const megabytes = (bytes: number) => bytes / 1e6;
  rows.push(
    { name: '12-layer training step, eager', value: plain.milliseconds, unit: 'ms' },
    { name: '12-layer training step, compiled', value: fused.milliseconds, unit: 'ms' },
    { name: 'compiled / eager time', value: fused.milliseconds / plain.milliseconds, unit: '' },
    { name: 'peak memory, eager', value: megabytes(plain.peak), unit: 'MB' },
    { name: 'peak memory, compiled', value: megabytes(fused.peak), unit: 'MB' },
    { name: 'compiled / eager peak memory', value: fused.peak / plain.peak, unit: '', target: 0.6 },
    { name: 'compiled / eager, without parameters and moments', value: fused.beside / plain.beside, unit: '' },
  );
  return rows;
}
