/**
 * Where settings come from: YAML files and `--set key=value` options. Each is a layer that covers the ones below it and
 * can say where each of its keys stands.
 */
import { type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { readSettings } from '#files';
import type { Path } from './checks.ts';

/** `text` names the place to a reader; `order` sorts places within a layer. */
export type Place = { text: string; order: number };

export type Problem = { place: Place; message: string };

export type Layer = {
  /** Sections of fields, not yet checked. */
  value: unknown;
  /** What could not be read at all. */
  problems: Problem[];
  /** The place of the key or the value at `path`, or of the innermost section around it that exists. */
  locate(path: Path, part: 'key' | 'value'): Place;
};

/** Errors of syntax that can be said more plainly than the parser does. */
const syntaxProblems: Partial<Record<string, string>> = {
  DUPLICATE_KEY: 'this key occurs twice; remove one',
  MULTIPLE_DOCS: 'a second document begins here, after ---; a configuration is one: join them, or remove one',
};

/** @throws if the file cannot be read; what is wrong inside it is in `problems`. */
export function fileLayer(path: string): Layer {
  const text = readSettings(path);
  const counter = new LineCounter();
  const document = parseDocument(text, { lineCounter: counter, prettyErrors: false });
  const placeAt = (offset: number, key = ''): Place => {
    const { line, col } = counter.linePos(offset);
    return { text: `${path}:${line}:${col}${key === '' ? '' : ` ${key}`}`, order: offset };
  };
  const locate = (keys: Path, part: 'key' | 'value'): Place => placeAt(offsetOf(document, keys, part), keys.join('.'));
  const problems = document.errors.map(({ code, pos, message }) => ({
    place: placeAt(pos[0]),
    message: syntaxProblems[code] ?? message,
  }));
  // A key given twice leaves the rest readable; after any other error of syntax one cannot tell what was meant.
  if (document.errors.some(({ code }) => code !== 'DUPLICATE_KEY')) {
    return { value: {}, problems, locate };
  }
  try {
    return { value: withoutEmptySections(document.toJS()), problems, locate };
  } catch (error) {
    return { value: {}, problems: [...problems, { place: placeAt(0), message: (error as Error).message }], locate };
  }
}

/** A `--set key=value` option: the key with dots, the value in YAML. */
export function optionLayer(option: string): Layer {
  const place = { text: `--set ${option}`, order: 0 };
  const locate = (): Place => place;
  const broken = (message: string): Layer => ({ value: {}, problems: [{ place, message }], locate });
  const [, name, text] = option.match(/^([^=]+)=(.*)$/s) ?? [];
  if (name === undefined || text === undefined) {
    return broken('expected key=value, e.g. --set training.steps=1000');
  }
  const document = parseDocument(text, { prettyErrors: false });
  if (document.errors.length > 0) {
    return broken(`the value is not YAML: ${document.errors[0]!.message}`);
  }
  const value = name
    .trim()
    .split('.')
    .reduceRight<unknown>((inside, key) => ({ [key]: inside }), document.toJS());
  return { value, problems: [], locate };
}

/** A section whose fields are all commented out reads as null, and so does an empty file; both set nothing. */
function withoutEmptySections(value: unknown): unknown {
  if (typeof value !== 'object' || Array.isArray(value)) {
    return value;
  }
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, section]) => section !== null));
}

function offsetOf(document: Document, path: Path, part: 'key' | 'value'): number {
  let node = document.contents as Node | null;
  let offset = node?.range?.[0] ?? 0;
  for (const [depth, key] of path.entries()) {
    const inside = isAlias(node) ? node.resolve(document) : node;
    if (isSeq(inside)) {
      node = inside.items[Number(key)] as Node;
    } else {
      const pair = isMap(inside)
        ? inside.items.find((item) => isScalar(item.key) && String(item.key.value) === key)
        : undefined;
      if (pair === undefined) {
        return offset;
      }
      node = pair.value as Node | null;
      if (node === null || (part === 'key' && depth === path.length - 1)) {
        node = pair.key as Node;
      }
    }
    offset = node?.range?.[0] ?? offset;
  }
  return offset;
}
