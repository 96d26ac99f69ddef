import { closeSync, existsSync, openSync, unlinkSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Timing } from './engines/engine.ts';
import { type Case, keyOf } from './work.ts';

/** A mistake of whoever typed the command: told without a stack. */
export class UsageError extends Error {}

const commands = ['kernels', 'engine', 'dsp', 'step', 'tune'] as const;
type Command = (typeof commands)[number];

/** What `npm run bench` was asked for. */
export interface Options {
  command: Command;
  /** A case runs when its name with its dtype has one of these words; all of them without any. */
  filter: string[];
  json?: string;
  html?: string;
  /** Part of an adapter's name, or `software`. */
  adapter?: string;
  peers: boolean;
  /** By the GPU's timestamps or by the wall clock; the GPU's where it has them, unless peers run, which all can be asked by the wall. */
  timing?: Timing;
  save: boolean;
  /** Whether a software adapter gets the models' large shapes, too. */
  large: boolean;
  /** Of `step` and `tune`: a preset's name or a YAML file, clips, changed settings, and how often each is timed. */
  config?: string;
  batch?: number;
  set: string[];
  runs?: number;
  /** Of `step` and `tune`: what the student computes in. */
  dtype?: 'f32' | 'f16';
  help: boolean;
}

export const usage = `npm run bench                     every kernel, checked and timed
npm run bench -- engine           host cost of a call and a replayed dispatch; a training step eager and compiled
npm run bench -- dsp              constant-Q and Fourier transforms, resampling, the search for codes and EnCodec, as shares of
                                  the time of dense products and of PyTorch
npm run bench -- step             a whole pretraining step, eager and compiled, with the time of each kernel
npm run bench -- tune             times every kernel variant on the cases' shapes, or with --config on those of a step,
                                  and keeps the winners for this adapter and driver

  --filter WORDS   only cases whose name has one of the words (separated by commas or spaces): matmul_512, mert95m, _f16
  --adapter NAME   the adapter with this in its name, or: software
  --peers          other engines beside ours: TensorFlow.js and jax-js on the same adapter, PyTorch
  --timing CLOCK   gpu: timestamps, without what the host does (of the peers PyTorch on CUDA has them); wall: with the wait
  --json FILE      one line of JSON for each case, pass and engine
  --html FILE      a page with bars and a roofline
  --save           also writes bench/results/<what>-<adapter>.json, with machine, driver, versions and date; figures of
                   kernels that --filter leaves out stay there, each with its own date
  --large          the models' larger batches, halves and long products on a software adapter, too

of step and tune:
  --config NAME    small, mert-95m-rvq, mert-330m-rvq, or a YAML file (default: small)
  --batch N        clips in a step (default: the configuration's)
  --set KEY=VALUE  one setting, as in mert pretrain; may be given more than once
  --dtype TYPE     f32 or f16: what the student computes in (default: the configuration's training.precision)
  --runs N         how often each is timed (default: 20, fewer where that takes over a minute)
  --peers          also the same student in PyTorch (or --compare): f32, and on CUDA bf16 with fused attention; with
                   --dtype f16 bf16 alone`;

/** Options that some commands do not have. */
const owners: Readonly<Record<string, readonly Command[]>> = {
  filter: ['kernels', 'tune'],
  json: ['kernels', 'dsp', 'step'],
  html: ['kernels'],
  peers: ['kernels', 'step'],
  timing: ['kernels', 'dsp'],
  large: ['kernels', 'tune'],
  config: ['step', 'tune'],
  batch: ['step', 'tune'],
  set: ['step', 'tune'],
  dtype: ['step', 'tune'],
  save: ['kernels', 'engine', 'dsp', 'step'],
  runs: ['step'],
  compare: ['step'],
};

function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    throw new UsageError(`bench: --${name} is ${text || 'empty'}; expected a whole number from 1`);
  }
  return value;
}

function dtypeOf(text: string | undefined): Options['dtype'] {
  if (text === undefined || text === 'f32' || text === 'f16') return text;
  throw new UsageError(`bench: --dtype is ${text || 'empty'}; expected f32 or f16`);
}

function timingOf(text: string | undefined): Timing | undefined {
  if (text === undefined || text === 'gpu' || text === 'wall') return text;
  throw new UsageError(`bench: --timing is ${text || 'empty'}; expected gpu or wall`);
}

/** @throws UsageError that says which option is wrong and which there are. */
export function parseOptions(words: readonly string[]): Options {
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(words);
  } catch (error) {
    throw new UsageError(`bench: ${(error as Error).message.split('. ')[0]}\n\n${usage}`);
  }
  const { values, positionals } = parsed;
  const [first = 'kernels', ...rest] = positionals;
  const command = commands.find((name) => name === first);
  if (!command || rest.length > 0) {
    const extra = command ? rest[0] : first;
    throw new UsageError(
      `bench: '${extra}' is no command; there are ${commands.join(', ')}. To choose cases: --filter ${extra}`,
    );
  }
  for (const [name, value] of Object.entries(values)) {
    const own = owners[name];
    if (value !== undefined && own && !own.includes(command)) {
      throw new UsageError(`bench: --${name} does not go with ${command}; it goes with ${own.join(' and ')}`);
    }
  }
  for (const name of ['json', 'html', 'adapter', 'config'] as const) {
    if (values[name] === '') throw new UsageError(`bench: --${name} is empty`);
  }
  const filter = (values.filter ?? []).flatMap((text) => text.split(/[\s,]+/)).filter(Boolean);
  if (values.filter && filter.length === 0) throw new UsageError('bench: --filter is empty');
  return {
    command,
    filter,
    json: values.json,
    html: values.html,
    adapter: values.adapter,
    timing: timingOf(values.timing),
    peers: values.peers ?? values.compare ?? false,
    save: values.save ?? false,
    large: values.large ?? false,
    config: values.config,
    batch: wholeNumber('batch', values.batch),
    set: values.set ?? [],
    runs: wholeNumber('runs', values.runs),
    dtype: dtypeOf(values.dtype),
    help: values.help ?? false,
  };
}

function parse(words: readonly string[]) {
  return parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      filter: { type: 'string', multiple: true },
      json: { type: 'string' },
      html: { type: 'string' },
      adapter: { type: 'string' },
      peers: { type: 'boolean' },
      timing: { type: 'string' },
      save: { type: 'boolean' },
      large: { type: 'boolean' },
      config: { type: 'string' },
      batch: { type: 'string' },
      set: { type: 'string', multiple: true },
      runs: { type: 'string' },
      dtype: { type: 'string' },
      compare: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

/** Names for people to choose from, with the batches of one shape in one line. */
function listed(cases: readonly Case[]): string {
  const batches = new Map<string, string[]>();
  for (const { name } of cases) {
    const [, shape, batch] = name.match(/^(.*?)(_b\d+)?$/)!;
    const own = batches.get(shape) ?? [];
    if (batch && !own.includes(batch)) own.push(batch);
    batches.set(shape, own);
  }
  return [...batches].map(([shape, own]) => `  ${shape}${own.join(', ')}`).join('\n');
}

/** The cases that a filter leaves. @throws UsageError when a word of it matches none. */
export function filterCases(cases: readonly Case[], filter: readonly string[]): Case[] {
  for (const word of filter) {
    if (!cases.some((each) => keyOf(each).includes(word))) {
      throw new UsageError(
        `bench: --filter ${word} matches no case; there are, each with its dtype (_f32, _f16):\n${listed(cases)}`,
      );
    }
  }
  return cases.filter((each) => filter.length === 0 || filter.some((word) => keyOf(each).includes(word)));
}

/** @throws UsageError when the file cannot be written. Leaves what is there as it is. */
export function checkWritable(option: string, file: string): void {
  const existed = existsSync(file);
  try {
    closeSync(openSync(file, 'a'));
  } catch (error) {
    throw new UsageError(`bench: ${option} ${file} cannot be written: ${(error as Error).message}`);
  }
  if (!existed) unlinkSync(file);
}
