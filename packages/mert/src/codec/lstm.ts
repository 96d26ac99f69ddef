import { customVjp, type nn } from '@dawnchorus/autograd';
import { lstm as kernels } from '@dawnchorus/kernels';
import {
  add,
  apply,
  concat,
  contiguous,
  type Device,
  defineOp,
  formatShape,
  matmul,
  stack,
  type Tensor,
  transpose,
  withDense,
  zeros,
} from '@dawnchorus/tensor';

/**
 * The LSTM of the codec in a kernel a layer for all steps forward, and one for all steps back. `nn.LSTM` unrolls its steps
 * into a dozen dispatches each: 75 steps a second of music make thousands, each with bind groups that live until they are
 * collected, and long tracks ran out of memory maps. For one clip on llvmpipe the kernels take two thirds of the time, for
 * four the same. There is no gradient of their gradient.
 */

/** Fours of gates, or columns, in the registers of a thread. */
const MOST_AT_A_TIME = 8;

/** Threads of a workgroup: one SIMD group on a CPU, where barriers are dear. */
function lanesFor({ adapter, limits }: Device, size: number): number {
  if (adapter.software) return Math.min(16, Math.max(4, adapter.subgroupSizes?.[0] ?? 4));
  return Math.min(limits.maxComputeInvocationsPerWorkgroup, 256, 32 * Math.ceil(size / 32));
}

function constantsFor(device: Device, size: number): { lanes: number; SIZE: string; LANES: string; each: number } {
  const lanes = lanesFor(device, size);
  const each = Math.min(MOST_AT_A_TIME, Math.ceil(size / lanes));
  return { lanes, each, SIZE: `const SIZE = ${size}u;`, LANES: `const LANES = ${lanes}u;` };
}

/** Whether hidden states of this size fit the workgroup memory: the state, its gradient and four gates. */
export const fitsKernel = ({ limits }: Device, size: number): boolean =>
  6 * size * 4 <= limits.maxComputeWorkgroupStorageSize;

function check(name: string, inputs: readonly Tensor[], shapes: readonly (readonly number[])[]): void {
  inputs.forEach((input, i) => {
    if (input.dtype !== 'f32' || input.shape.join() !== shapes[i].join()) {
      throw new RangeError(`${name}: input ${i} is ${input}; expected f32${formatShape(shapes[i])}`);
    }
  });
}

/** projected [time, batch, 4 size], weight [size, 4 size], state [2, batch, size] -> hidden, gates, cells. */
const lstmForward = defineOp({
  name: 'lstm',
  flops: ([projected, weight]) => 2 * projected.size * weight.shape[0],
  infer(inputs) {
    const [time, batch, gates] = inputs[0].shape;
    const size = gates / 4;
    check('lstm', inputs, [
      [time, batch, 4 * size],
      [size, 4 * size],
      [2, batch, size],
    ]);
    const shape = [time, batch, size];
    return [
      { dtype: 'f32', shape },
      { dtype: 'f32', shape: [time, batch, gates] },
      { dtype: 'f32', shape },
    ];
  },
  run(device, inputs, outputs) {
    const [time, batch, gates] = inputs[0].shape;
    if (outputs[0].size === 0) return;
    const { each, SIZE, LANES } = constantsFor(device, gates / 4);
    withDense(
      device,
      inputs,
      ([projected, weight, state]) => {
        device.recorder.dispatch({
          kernel: kernels.lstm,
          constants: { SIZE, LANES, GROUPS: `const GROUPS = ${each}u;` },
          buffers: [projected, weight, state, ...outputs].map((tensor) => tensor.storage.buffer),
          parameters: {
            time,
            batch,
            projectedOffset: projected.offset,
            weightOffset: weight.offset / 4,
            stateOffset: state.offset,
          },
          grid: [batch, 1, 1],
        });
      },
      4,
    );
  },
});

/** grad [time, batch, size], weight [4 size, size], gates, cells, state -> the gradient of projected. */
export const lstmBackward = defineOp({
  name: 'lstmBackward',
  flops: ([grad, weight]) => 2 * grad.size * weight.shape[0],
  infer(inputs) {
    const [time, batch, size] = inputs[0].shape;
    const shape = [time, batch, size];
    const gates = [time, batch, 4 * size];
    check('lstmBackward', inputs, [shape, [4 * size, size], gates, shape, [2, batch, size]]);
    return [{ dtype: 'f32', shape: gates }];
  },
  run(device, inputs, [out]) {
    const [time, batch, size] = inputs[0].shape;
    if (out.size === 0) return;
    const { each, SIZE, LANES } = constantsFor(device, size);
    withDense(device, inputs, ([grad, weight, gates, cells, state]) => {
      device.recorder.dispatch({
        kernel: kernels.lstmBackward,
        constants: { SIZE, LANES, COLUMNS: `const COLUMNS = ${each}u;` },
        buffers: [grad, weight, gates, cells, state, out].map((tensor) => tensor.storage.buffer),
        parameters: {
          time,
          batch,
          gradOffset: grad.offset,
          weightOffset: weight.offset,
          gatesOffset: gates.offset,
          cellsOffset: cells.offset,
          stateOffset: state.offset,
        },
        grid: [batch, 1, 1],
      });
    });
  },
});

const rows = (x: Tensor): Tensor => x.reshape([-1, x.shape[x.rank - 1]]);

/** One layer from zeros on, with its gradient: projected [time, batch, 4 size], weight [4 size, size], state -> hidden. */
const recurrence = customVjp({
  name: 'lstm',
  forward(projected, weight, state) {
    const [hidden, gates, cells] = apply(lstmForward, [projected, contiguous(transpose(weight)), state], {});
    return { output: hidden, saved: [weight, state, hidden, gates, cells] };
  },
  backward(grad, [weight, state, hidden, gates, cells]) {
    const [dProjected] = apply(lstmBackward, [grad, weight, gates, cells, state], {});
    const time = hidden.shape[0];
    const before = concat([state.sliceAxis(0, 0, 1), hidden.sliceAxis(0, 0, time - 1)]);
    return [dProjected, matmul(transpose(rows(dProjected)), rows(before)), undefined];
  },
});

/** Hidden states and cells of all layers after the last step, [layers, batch, size] both. */
export interface LstmState {
  hidden: Tensor;
  cell: Tensor;
}

/**
 * What `lstm.forward` computes for a module of one direction and no dropout: x [time, batch, features] -> the last layer's
 * hidden states [time, batch, size]. With `state` it goes on from there, and returns the new one; no gradient then flows.
 */
export function runLstm(lstm: nn.LSTM, x: Tensor, state?: LstmState): { output: Tensor; state?: LstmState } {
  const [time, batch] = x.shape;
  const { hiddenSize: size, numLayers } = lstm;
  const ends: Tensor[][] = [[], []];
  let output = x;
  for (let layer = 0; layer < numLayers; layer++) {
    const [weightIh, weightHh] = [lstm[`weightIhL${layer}`], lstm[`weightHhL${layer}`]];
    const [biasIh, biasHh] = [lstm[`biasIhL${layer}`], lstm[`biasHhL${layer}`]];
    const product = matmul(rows(output), transpose(weightIh));
    const projected = (biasIh && biasHh ? add(product, add(biasIh, biasHh)) : product).reshape([time, batch, 4 * size]);
    if (!state) {
      output = recurrence(projected, weightHh, zeros([2, batch, size], { device: x.device }));
      continue;
    }
    const before = stack([state.hidden.select(0, layer), state.cell.select(0, layer)]);
    const [hidden, , cells] = apply(lstmForward, [projected, contiguous(transpose(weightHh)), before], {});
    ends[0].push(hidden.select(0, time - 1));
    ends[1].push(cells.select(0, time - 1));
    output = hidden;
  }
  return { output, state: state && { hidden: stack(ends[0]), cell: stack(ends[1]) } };
}
