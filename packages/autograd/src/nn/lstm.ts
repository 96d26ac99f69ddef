import {
  add,
  arange,
  cast,
  checkOptions,
  concat,
  formatShape,
  isFloat,
  isTensor,
  matmul,
  mul,
  sameShape,
  scope,
  sigmoid,
  square,
  stack,
  sub,
  type Tensor,
  tanh,
  transpose,
  valueText,
  where,
  zeros,
} from '@dawnchorus/tensor';
import { customVjp } from '../custom.ts';
import { initDefault } from './init.ts';
import { checkKeys, type KeySequence } from './keys.ts';
import { Dropout } from './layers.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Gates follow one another along the last axis: input, forget, cell, output. */
const gate = (x: Tensor, k: 0 | 1 | 2 | 3): Tensor => {
  const size = x.shape[x.rank - 1] / 4;
  return x.narrow(-1, k * size, size);
};

/** [rest, rows, columns] -> [rest * rows, columns] */
const asRows = (x: Tensor): Tensor => x.reshape([-1, x.shape[x.rank - 1]]);

/**
 * The recurrence of one layer in one direction: what the gates get from the input at every step [time, batch, 4 size], the
 * recurrent weight [4 size, size], and the state before the first step, hidden and cell [batch, size] -> the hidden states
 * [time, batch, size] and the last cell. It has a rule of its own, so that the weight's gradient is one product over all
 * steps, and the gradient of each step is not added to one of all steps. A fifth input, bool [time, batch, 1], says which
 * steps there are: the others leave the state as it is.
 */
function recurrence(reverse: boolean) {
  const order = (time: number) => Array.from({ length: time }, (_, step) => (reverse ? time - 1 - step : step));
  return customVjp<readonly Tensor[]>({
    name: 'LSTM',
    forward(projected, weight, hidden, cell, present?: Tensor) {
      const time = projected.shape[0];
      const across = transpose(weight);
      const made = new Array<[sigmoids: Tensor, candidate: Tensor, cell: Tensor, hidden: Tensor]>(time);
      let [h, c] = [hidden, cell];
      for (const t of order(time)) {
        const gates = add(projected.select(0, t), matmul(h, across));
        const sigmoids = sigmoid(gates);
        const candidate = tanh(gate(gates, 2));
        const newCell = add(mul(gate(sigmoids, 1), c), mul(gate(sigmoids, 0), candidate));
        const newHidden = mul(gate(sigmoids, 3), tanh(newCell));
        const here = present?.select(0, t);
        [h, c] = here ? [where(here, newHidden, h), where(here, newCell, c)] : [newHidden, newCell];
        made[t] = [sigmoids, candidate, c, h];
      }
      const output = stack(made.map(([, , , h]) => h));
      const steps = made.flatMap((own) => own.slice(0, 3));
      const saved = [weight, hidden, cell, output, ...steps, ...(present ? [present] : [])];
      return { output: [output, c], saved };
    },
    backward([given, last], [weight, hidden, cell, output, ...rest]) {
      const time = given.shape[0];
      const made = rest.slice(0, 3 * time);
      const present: Tensor | undefined = rest[3 * time];
      const all = (k: number) => stack(made.filter((_, i) => i % 3 === k));
      const [sigmoids, candidates, cells] = [all(0), all(1), all(2)];
      const before = (first: Tensor, states: Tensor) => {
        const ends = [first.unsqueeze(0), reverse ? states.sliceAxis(0, 1) : states.sliceAxis(0, 0, time - 1)];
        return concat(reverse ? ends.reverse() : ends);
      };
      const [input, forget, out] = ([0, 1, 3] as const).map((k) => gate(sigmoids, k));
      const squashed = tanh(cells);
      // What a change of the hidden state, or of the cell, at each step does to its cell and its gates.
      const toCell = mul(out, sub(1, square(squashed)));
      const fromCell = concat(
        [
          mul(candidates, mul(input, sub(1, input))),
          mul(before(cell, cells), mul(forget, sub(1, forget))),
          mul(input, sub(1, square(candidates))),
        ],
        2,
      );
      const fromHidden = mul(squashed, mul(out, sub(1, out)));
      const [batch, size] = cell.shape;
      const gates = new Array<Tensor>(time);
      let dh: Tensor | undefined;
      let dc: Tensor = last;
      for (const t of order(time).reverse()) {
        const own = given.select(0, t);
        const arriving: Tensor = dh ? add(own, dh) : own;
        const here = present?.select(0, t);
        const dHidden = here ? where(here, arriving, 0) : arriving;
        const dCell: Tensor = add(here ? where(here, dc, 0) : dc, mul(dHidden, toCell.select(0, t)));
        const three = mul(fromCell.select(0, t).reshape([batch, 3, size]), dCell.unsqueeze(1));
        gates[t] = concat([three.reshape([batch, 3 * size]), mul(fromHidden.select(0, t), dHidden)], 1);
        const [toHidden, kept] = [matmul(gates[t], weight), mul(dCell, forget.select(0, t))];
        [dh, dc] = here ? [where(here, toHidden, arriving), where(here, kept, dc)] : [toHidden, kept];
      }
      const dProjected = stack(gates);
      const dWeight = matmul(transpose(asRows(dProjected)), asRows(before(hidden, output)));
      return [dProjected, dWeight, dh, dc, ...(present ? [undefined] : [])];
    },
  });
}

/** Options of an LSTM. */
export interface LSTMOptions {
  numLayers?: number;
  bias?: boolean;
  /** Whether input and output are [batch, time, features] instead of [time, batch, features]. */
  batchFirst?: boolean;
  /** Of the output of every layer but the last, while keys are given. */
  dropout?: number;
  /** Whether each layer reads the sequence from the end as well, by parameters of its own. */
  bidirectional?: boolean;
}

/** Hidden state and cell of every layer and direction, [numLayers * directions, batch, hiddenSize]. */
export interface LSTMState {
  hidden: Tensor;
  cell: Tensor;
}

/**
 * A long short-term memory (Hochreiter and Schmidhuber, 1997; with forget gates, Gers et al., 2000), as in PyTorch: i, f and
 * o are sigmoids and g a tanh of weightIh x + biasIh + weightHh h + biasHh, c = f c + i g, h = o tanh(c). Parameters are
 * named `weightIhL0`, `weightHhL0`, `biasIhL0`, `biasHhL0`, with `Reverse` behind for the other direction, each with the
 * gates i, f, g, o one after another. Everything the input adds to the gates is one product over all steps.
 */
export class LSTM extends Module {
  [weight: `weight${'Ih' | 'Hh'}L${string}`]: Tensor;
  [bias: `bias${'Ih' | 'Hh'}L${string}`]: Tensor | undefined;
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly numLayers: number;
  readonly batchFirst: boolean;
  readonly bidirectional: boolean;
  readonly dropout: Dropout;

  constructor(inputSize: number, hiddenSize: number, keys: KeySequence, options: LSTMOptions = {}) {
    super();
    checkKeys('LSTM', keys);
    checkOptions('LSTM', options, ['numLayers', 'bias', 'batchFirst', 'dropout', 'bidirectional']);
    const { numLayers = 1, bias = true, batchFirst = false, dropout = 0, bidirectional = false } = options;
    checkSizes('LSTM', { inputSize, hiddenSize, numLayers });
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.numLayers = numLayers;
    this.batchFirst = batchFirst;
    this.bidirectional = bidirectional;
    this.dropout = new Dropout(dropout);
    const gates = 4 * hiddenSize;
    const shapes = (layer: number): Record<string, number[]> => ({
      weightIh: [gates, layer === 0 ? inputSize : hiddenSize * this.directions.length],
      weightHh: [gates, hiddenSize],
      ...(bias ? { biasIh: [gates], biasHh: [gates] } : {}),
    });
    const own: Record<string, Tensor> = {};
    for (let layer = 0; layer < numLayers; layer++) {
      for (const direction of this.directions) {
        for (const [kind, shape] of Object.entries(shapes(layer))) {
          own[`${kind}L${layer}${direction}`] = initDefault(shape, hiddenSize, keys);
        }
      }
    }
    Object.assign(this, own);
  }

  /** What the names of the parameters of each direction end in. */
  private get directions(): readonly string[] {
    return this.bidirectional ? ['', 'Reverse'] : [''];
  }

  /**
   * @param x f32 or f16 [time, batch, inputSize], or [batch, time, inputSize] with `batchFirst`; or [time, inputSize].
   * @param options `hidden` and `cell`: the state to begin with, zeros by default, or what the call before returned; `keys`
   *   for dropout while training; `lengths`, i32 or u32 [batch]: how many steps each sequence has, where shorter ones were
   *   padded at their ends, as PyTorch's packed sequences have it. What stands in the padding counts nothing, the other
   *   direction begins at the last step that there is, and one of length 0 keeps its state.
   * @returns the hidden states of the last layer [time, batch, directions * hiddenSize], laid out as x, and the state after
   *   the last step. Without a batch, none of them has that axis. With `lengths` the output is 0 at steps that there are not.
   * @throws RangeError when shapes do not fit or there is no step, TypeError for lengths that are no whole numbers.
   */
  forward(
    x: Tensor,
    options: Partial<LSTMState> & { keys?: KeySequence; lengths?: Tensor } = {},
  ): LSTMState & { output: Tensor } {
    // What the call before returned is a state as it is, though its output counts for nothing here.
    checkOptions('LSTM.forward', options, ['hidden', 'cell', 'keys', 'lengths', 'output']);
    const { hidden, cell, keys, lengths } = options;
    const batched = x.rank === 3;
    this.checkInput(x, batched, hidden, cell);
    if (lengths !== undefined) this.checkLengths(x, batched, lengths);
    return scope(() => {
      const sequence = !batched ? x.unsqueeze(1) : this.batchFirst ? x.transpose(0, 1) : x;
      const present = lengths && arange(sequence.shape[0], { device: x.device }).unsqueeze(1).lt(lengths).unsqueeze(2);
      const ends: LSTMState[] = [];
      // A NaN in the padding would reach the gradient of the weight, as 0 times NaN.
      let output: Tensor = present ? where(present, sequence, 0) : sequence;
      for (let layer = 0; layer < this.numLayers; layer++) {
        const read = layer === 0 ? output : this.dropout.forward(output, keys);
        const passes = this.directions.map((direction, i) => {
          const at = layer * this.directions.length + i;
          const start = (states?: Tensor) => states?.select(0, at).reshape([-1, this.hiddenSize]);
          return this.pass(read, `L${layer}${direction}`, { hidden: start(hidden), cell: start(cell) }, present);
        });
        const outputs = passes.map((own) => own.output);
        output = outputs.length === 1 ? outputs[0] : concat(outputs, 2);
        ends.push(...passes);
      }
      const end = (kind: 'hidden' | 'cell') => {
        const all = stack(ends.map((own) => own[kind]));
        return batched ? all : all.squeeze(1);
      };
      if (present) output = where(present, output, 0);
      const out = !batched ? output.squeeze(1) : this.batchFirst ? output.transpose(0, 1) : output;
      return { output: out, hidden: end('hidden'), cell: end('cell') };
    });
  }

  /** One layer in one direction over x [time, batch, features]. */
  private pass(
    x: Tensor,
    suffix: `L${string}`,
    { hidden, cell }: Partial<LSTMState>,
    present?: Tensor,
  ): LSTMState & { output: Tensor } {
    const [time, batch] = x.shape;
    const [weightIh, weightHh] = [this[`weightIh${suffix}`], this[`weightHh${suffix}`]];
    const [biasIh, biasHh] = [this[`biasIh${suffix}`], this[`biasHh${suffix}`]];
    const product = matmul(asRows(x), transpose(weightIh));
    const rows = biasIh && biasHh ? add(product, add(biasIh, biasHh)) : product;
    const dtype = rows.dtype === 'f16' && weightHh.dtype === 'f16' ? 'f16' : 'f32';
    const projected = cast(rows.reshape([time, batch, 4 * this.hiddenSize]), dtype);
    const start = (state?: Tensor) =>
      state ? cast(state, dtype) : zeros([batch, this.hiddenSize], { dtype, device: x.device });
    const reverse = suffix.endsWith('Reverse');
    const inputs = [projected, weightHh, start(hidden), start(cell), ...(present ? [present] : [])];
    const [output, last] = recurrence(reverse)(...inputs);
    return { output, hidden: output.select(0, reverse ? 0 : time - 1), cell: last };
  }

  private checkLengths({ shape }: Tensor, batched: boolean, lengths: Tensor): void {
    const batch = shape[this.batchFirst ? 0 : 1];
    if (!isTensor(lengths) || !batched || lengths.rank !== 1 || lengths.shape[0] !== batch) {
      const expected = batched ? `i32 or u32 [${batch}], a number for each sequence` : 'none without a batch';
      throw new RangeError(`LSTM: lengths is ${valueText(lengths)}; expected ${expected}`);
    }
    if (lengths.dtype === 'i32' || lengths.dtype === 'u32') return;
    throw new TypeError(`LSTM: lengths is ${lengths.dtype}; expected i32 or u32`);
  }

  private checkInput(x: Tensor, batched: boolean, hidden?: Tensor, cell?: Tensor): void {
    const { inputSize, hiddenSize, numLayers, batchFirst } = this;
    const layout = batchFirst ? `[batch, time, ${inputSize}]` : `[time, batch, ${inputSize}]`;
    if ((x.rank !== 2 && !batched) || x.shape[x.rank - 1] !== inputSize || !isFloat(x.dtype)) {
      throw new RangeError(`LSTM: the input is ${x}; expected floats ${layout} or [time, ${inputSize}]`);
    }
    const [batch, time] = batchFirst && batched ? x.shape : [x.shape[1], x.shape[0]];
    if (time === 0) throw new RangeError(`LSTM: the input is ${formatShape(x.shape)}; expected one step at least`);
    if (!hidden !== !cell) throw new TypeError('LSTM: the state is hidden and cell; give both or neither');
    const expected = [numLayers * this.directions.length, ...(batched ? [batch] : []), hiddenSize];
    for (const [role, state] of Object.entries({ hidden, cell })) {
      if (state && !sameShape(state.shape, expected)) {
        throw new RangeError(
          `LSTM: ${role} is ${formatShape(state.shape)}; expected ${formatShape(expected)}: layers times directions` +
            `${batched ? ', batch' : ''}, hiddenSize`,
        );
      }
    }
  }
}
