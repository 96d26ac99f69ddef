import {
  type Application,
  add,
  apply,
  cast,
  isObserving,
  type Observer,
  observe,
  scope,
  type Tensor,
  zeros,
} from '@dawnchorus/tensor';
import { carriesGradient, checkGradient, checkGradients, isTableOp, type Rule, ruleOf } from './rules/rule.ts';
import { currentWatch } from './watch.ts';

export type Gradients = readonly (Tensor | undefined)[];

/** Something that happened between tracked tensors. Tensors that nothing saved are disposed handles, for their shapes. */
export interface Entry {
  readonly name: string;
  readonly inputs: readonly Tensor[];
  readonly outputs: readonly Tensor[];
  /** Handles that the entry owns, until it has been used. */
  readonly saved: readonly Tensor[];
  /** From the gradients of the outputs, of which at least one is there, to those of the inputs. */
  vjp?(gradients: Gradients, needs: readonly boolean[]): Gradients;
  /** In place of vjp: does it all again while the tape listens, and returns the outputs anew. */
  recompute?(): readonly Tensor[];
}

/** What depends on some tensors, in the order in which it happened. */
export interface Tape {
  /** Ids of the tensors that depend on what is being differentiated, and of that itself. */
  readonly tracked: Set<number>;
  readonly entries: Entry[];
  readonly observer: Observer;
  /** Above 0 while the tape is not to hear what happens. */
  paused: number;
}

/** Tapes that listen, innermost last. */
const listening: Tape[] = [];

export const tracks = (tape: Tape, tensors: readonly Tensor[]): boolean =>
  tensors.some((tensor) => tape.tracked.has(tensor.id) && carriesGradient(tensor));

/** The tapes that hear what happens now. */
export const hearingTapes = (): Tape[] => listening.filter((tape) => tape.paused === 0 && isObserving(tape.observer));

/** Runs `body` out of hearing of the tapes that listen now. Tapes that start within hear it, and so do other observers. */
export function withoutTapes<T>(body: () => T): T {
  const tapes = [...listening];
  for (const tape of tapes) tape.paused++;
  try {
    return body();
  } finally {
    for (const tape of tapes) tape.paused--;
  }
}

let asides = 0;

/** Whether what happens now is no step of the function that is running: see `aside`. */
export const isAside = (): boolean => asides > 0;

/** Runs what a function does at one time and not at another, and which its results do not depend on. */
export function aside<T>(body: () => T): T {
  asides++;
  try {
    return body();
  } finally {
    asides--;
  }
}

/** The same elements by another name, unknown to every tape. */
export const aliasOf = (x: Tensor): Tensor => withoutTapes(() => apply('expand', [x], { shape: x.shape })[0]);

/** Adds an entry and tracks what it made. Nothing is added where nothing that carries a gradient came out. */
export function addEntry(tape: Tape, entry: Entry): void {
  tape.entries.push(entry);
  for (const output of entry.outputs) if (carriesGradient(output)) tape.tracked.add(output.id);
  currentWatch()?.forward(entry);
}

/** Handles that no scope disposes, for an entry to own. */
export const retainAll = (tensors: readonly Tensor[]): Tensor[] => tensors.map((tensor) => tensor.retain());

/** Refuses what changes its inputs, or was made by somebody who gave it no rule; what else has none passes no gradient on. */
function refuseWithoutRule({ name, op, outputs }: Application): void {
  if (op.kind === 'kernel' && op.mutates && op.mutates.length > 0) {
    throw new Error(
      `grad: ${name} changes its inputs in place and has no gradient; call it outside the function that is differentiated`,
    );
  }
  if (!isTableOp(op) && outputs.some(carriesGradient)) {
    throw new Error(
      `grad: ${name} has no gradient; give it one by defineRule or customVjp, or call it on stopGradient(x)`,
    );
  }
}

/** An entry that keeps what the rule needs. */
function entryOf({ name, op, inputs, outputs, attributes }: Application, rule: Rule<unknown>): Entry {
  const { saves } = rule;
  const saved: Tensor[] = [];
  const keep = (tensor: Tensor): Tensor => {
    const own = tensor.retain();
    saved.push(own);
    return own;
  };
  const savesInput = (i: number) =>
    saves === 'inputs' || saves === 'both' || (typeof saves === 'object' && saves.includes(i));
  const savesOutputs = saves === 'outputs' || saves === 'both';
  const entry = {
    name,
    inputs: inputs.map((input, i) => (savesInput(i) ? keep(input) : input)),
    outputs: outputs.map((output) => (savesOutputs ? keep(output) : output)),
    saved,
    vjp(gradients: Gradients, needs: readonly boolean[]): Gradients {
      const [{ shape, dtype }] = entry.outputs;
      const gradient = gradients[0] ?? zeros(shape, { dtype, device: gradients.find(Boolean)!.device });
      const parts = rule.vjp(gradient, { inputs: entry.inputs, outputs: entry.outputs, attributes, needs, gradients });
      // Rules of the table leave out what has none at the end.
      if (!isTableOp(op)) checkGradients(`${name}: its rule`, parts, inputs.length);
      return parts;
    },
  };
  return entry;
}

function recordApplication(tape: Tape, application: Application): void {
  const { op, inputs, outputs } = application;
  if (tape.paused > 0 || !inputs.some((input) => tape.tracked.has(input.id))) return;
  const rule = ruleOf(op);
  if (!rule) refuseWithoutRule(application);
  else if (outputs.some(carriesGradient)) addEntry(tape, entryOf(application, rule));
}

export function createTape(parameters: readonly Tensor[]): Tape {
  const tape: Tape = {
    tracked: new Set(parameters.map((parameter) => parameter.id)),
    entries: [],
    observer: (application) => recordApplication(tape, application),
    paused: 0,
  };
  return tape;
}

/** Runs `body` while the tape takes down what depends on what it tracks. */
export function listen<T>(tape: Tape, body: () => T): T {
  const stop = observe(tape.observer);
  listening.push(tape);
  try {
    return body();
  } finally {
    listening.splice(listening.lastIndexOf(tape), 1);
    stop();
  }
}

/** Gives back what the entries saved. */
export function releaseTape({ entries }: Tape): void {
  for (const { saved } of entries.splice(0)) for (const tensor of saved) tensor.dispose();
}

/**
 * Walks the tape backwards from the gradients of some outputs, freeing what each entry saved as soon as it has been used.
 * Returns the gradients by id, which the caller disposes: of `wanted`, and of whatever else was left.
 */
export function backward(
  tape: Tape,
  seeds: readonly (readonly [output: Tensor, gradient: Tensor])[],
  wanted: ReadonlySet<number>,
): Map<number, Tensor> {
  const { entries, tracked } = tape;
  const gradients = new Map<number, Tensor>();
  // In the dtype of what it is the gradient of, whatever a rule made: f32 masters of f16 copies get f32.
  const accumulate = ({ id, dtype }: Tensor, made: Tensor) => {
    const gradient = cast(made, dtype);
    const previous = gradients.get(id);
    gradients.set(id, (previous ? add(previous, gradient) : gradient).retain());
    previous?.dispose();
  };

  const use = (entry: Entry, given: Gradients) => {
    if (entry.recompute) {
      // The outputs are the same numbers by another name; what follows walks the entries that were made again.
      listen(tape, entry.recompute.bind(entry)).forEach((output, i) => {
        const gradient = given[i];
        if (gradient && tracked.has(output.id)) accumulate(output, gradient);
      });
      return;
    }
    const needs = entry.inputs.map((input) => tracked.has(input.id) && carriesGradient(input));
    const parts = entry.vjp!(given, needs);
    parts.forEach((part, i) => {
      if (!part || !needs[i]) return;
      checkGradient(`the rule of ${entry.name}`, part, entry.inputs[i]);
      accumulate(entry.inputs[i], part);
    });
    currentWatch()?.backward(
      entry,
      given,
      parts.map((part, i) => (needs[i] ? part : undefined)),
    );
  };

  try {
    scope(() => {
      for (const [output, gradient] of seeds) accumulate(output, gradient);
    });
    for (let entry = entries.pop(); entry; entry = entries.pop()) {
      const { outputs, saved } = entry;
      try {
        const given = outputs.map(({ id }) => gradients.get(id));
        if (given.some(Boolean)) scope(() => use(entry, given));
        for (const { id } of outputs) {
          if (wanted.has(id)) continue;
          gradients.get(id)?.dispose();
          gradients.delete(id);
        }
      } finally {
        for (const tensor of saved) tensor.dispose();
      }
    }
    return gradients;
  } catch (error) {
    for (const gradient of gradients.values()) gradient.dispose();
    releaseTape(tape);
    throw error;
  }
}
