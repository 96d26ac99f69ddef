import { formatShape, sameShape } from '../shape.ts';
import { type Graph, type GraphNode, type GraphValue, Output } from './graph.ts';
import { isPlain } from './tree.ts';

/** Thrown when a compiled function does something else than when it was traced. */
export class StaleTraceError extends Error {
  override name = 'StaleTraceError';
}

function stale(what: string): never {
  throw new StaleTraceError(
    `compile: since the function was traced, ${what}. A compiled function replays what it recorded: pass what changes ` +
      'as an argument (numbers as arguments lead to another trace, tensors do not)',
  );
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** Data in attributes is equal in all its parts; devices are equal when they are the same. */
export function sameData(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => sameData(item, b[i]));
  if (!isPlain(a) || !isPlain(b)) return false;
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => key in b && sameData(a[key], b[key]));
}

/**
 * Compares an operation with the one that stood in its place, `at` in a graph.
 *
 * @throws StaleTraceError when it is another.
 */
export function compareNodes(before: GraphNode | undefined, now: GraphNode, at: number): void {
  const where = `operation ${at + 1}`;
  if (!before) stale(`it does more: ${where} is ${now.name}, where the trace had ended`);
  if (before.name !== now.name) stale(`${where} became ${now.name}, which was ${before.name}`);
  const reader = `${now.name} (${where})`;
  compareAttributes(before.attributes, now.attributes, reader);
  before.inputs.forEach((input, i) => {
    compareOperands(input, now.inputs[i], `operand ${i + 1} of ${reader}`, reader);
  });
}

function compareAttributes(before: GraphNode['attributes'], now: GraphNode['attributes'], reader: string): void {
  for (const key of new Set([...Object.keys(before), ...Object.keys(now)])) {
    const [was, is] = [before[key], now[key]];
    if (!sameData(was, is)) stale(`\`${key}\` of ${reader} changed from ${show(was)} to ${show(is)}`);
  }
}

function compareOperands(before: GraphValue, now: GraphValue | undefined, which: string, reader: string): void {
  const kindOf = ({ source, dtype, shape }: GraphValue) => `${source} ${dtype}${formatShape(shape)}`;
  if (!now || !sameKind(before, now)) {
    stale(`${which} changed from ${kindOf(before)} to ${now ? kindOf(now) : 'nothing'}`);
  }
  if (before.source === 'scalar' && !Object.is(before.value, now.value)) {
    stale(`the number that ${reader} takes changed from ${before.value} to ${now.value}`);
  }
  // A tensor made of numbers is made anew in each call: what counts is what they are.
  if (before.numbers && now.numbers) compareNumbers(before.numbers, now.numbers, reader);
  else compareIdentities(before, now, which);
}

const sameKind = (a: GraphValue, b: GraphValue): boolean =>
  a.source === b.source && a.dtype === b.dtype && sameShape(a.shape, b.shape);

function compareNumbers(before: ArrayLike<number>, now: ArrayLike<number>, reader: string): void {
  if (before === now) return;
  const at = Array.from(before).findIndex((value, i) => !Object.is(value, now[i]));
  if (at < 0) return;
  stale(`element ${at} of a tensor made of numbers, which ${reader} takes, changed from ${before[at]} to ${now[at]}`);
}

function compareIdentities(before: GraphValue, now: GraphValue, which: string): void {
  const { source, storage, offset, dtype, shape } = before;
  const moved = source === 'captured' && (storage !== now.storage || offset !== now.offset);
  if (!moved && before.id === now.id) return;
  stale(`${which}, ${dtype}${formatShape(shape)}, became another tensor${moved ? ' from outside' : ''}`);
}

/**
 * Compares how a function ended with how it ended before, once all its operations were the same.
 *
 * @throws StaleTraceError when it ended earlier, or returns other tensors.
 */
export function compareEnds(before: Graph, now: Graph): void {
  if (before.nodes.length > now.nodes.length) {
    const missing = before.nodes[now.nodes.length];
    stale(`it does less: it ended before operation ${now.nodes.length + 1}, ${missing.name}`);
  }
  const same =
    before.outputs.length === now.outputs.length && before.outputs.every((o, i) => o.id === now.outputs[i].id);
  if (!same) stale('it returns other tensors');
}

/**
 * Compares what a function returned beside tensors with what it returns now: plain data, as deep as they are nested.
 *
 * @throws StaleTraceError when they differ.
 */
export function compareResults(before: unknown, now: unknown, where = 'what it returns'): void {
  const entriesOf = (value: unknown): [unknown, unknown][] | undefined => {
    if (value instanceof Map) return [...value];
    return Array.isArray(value) || isPlain(value) ? Object.entries(value) : undefined;
  };
  if (before instanceof Output && now instanceof Output && before.index === now.index) return;
  const [was, is] = [entriesOf(before), entriesOf(now)];
  if (was && is && was.length === is.length) {
    was.forEach(([key, value], i) => {
      if (!Object.is(key, is[i][0])) stale(`a key in ${where} changed from ${show(key)} to ${show(is[i][0])}`);
      compareResults(value, is[i][1], `${show(key)} in ${where}`);
    });
    return;
  }
  const isData = (value: unknown) => (typeof value !== 'object' && typeof value !== 'function') || value === null;
  // Objects of other kinds may be made anew each time.
  if (Object.is(before, now) || (!isData(before) && !isData(now) && !was && !is)) return;
  stale(`${where} changed from ${show(before)} to ${show(now)}`);
}
