/**
 * Writes out the loops of a kernel that are marked with `// unroll` behind their opening brace. WGSL cannot ask for it, and
 * drivers that are not asked keep arrays indexed by a loop's variable in memory instead of in registers: products by matrix
 * units ran at a twelfth of their speed so. What remains is WGSL: `{ const i = 0u; … } { const i = 1u; … }`.
 */

const MARKED = /for \(var (\w+) = ([^;]+); \1 < ([^;]+); \1(\+\+| \+= [^)]+)\) \{ \/\/ unroll\n/;

/** A constant of the module: `const NAME = expression;`. */
const CONSTANT = /\bconst (\w+)(?:: \w+)? = ([^;]+);/g;

/** @throws Error where a bound is no constant, or a loop has no end. */
export function unrollLoops(source: string, front = ''): string {
  if (!MARKED.test(source)) return source;
  const constants = new Map<string, string>();
  for (const [, name, expression] of `${front}\n${source}`.matchAll(CONSTANT)) {
    if (!constants.has(name)) constants.set(name, expression);
  }
  return expand(source, constants);
}

function expand(text: string, constants: ReadonlyMap<string, string>): string {
  const found = MARKED.exec(text);
  if (!found) return text;
  const [line, name, first, bound, step] = found;
  const start = found.index + line.length;
  const end = closingBrace(text, start);
  const value = (expression: string) => evaluate(expression, constants);
  const stride = step === '++' ? 1 : value(step.slice(' += '.length));
  if (stride < 1) throw new Error(`unroll: the loop over ${name} has no end`);
  const body = text.slice(start, end);
  const copies: string[] = [];
  for (let i = value(first); i < value(bound); i += stride) {
    // Loops in it may have this one's variable in their bounds.
    const inside = new Map(constants).set(name, `${i}u`);
    copies.push(`{ const ${name} = ${i}u;\n${expand(body, inside)}}`);
  }
  return `${text.slice(0, found.index)}${copies.join('\n')}${expand(text.slice(end + 1), constants)}`;
}

function closingBrace(text: string, start: number): number {
  let depth = 1;
  for (let at = start; at < text.length; at++) {
    if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  throw new Error('unroll: a loop has no closing brace');
}

const FUNCTIONS: Readonly<Record<string, (...values: number[]) => number>> = {
  min: Math.min,
  max: Math.max,
  select: (no, yes, which) => (which ? yes : no),
};

/** The value of an expression of whole numbers, constants, `+ - * / %`, `min`, `max` and `select`. */
function evaluate(expression: string, constants: ReadonlyMap<string, string>): number {
  const tokens = expression.match(/\w+|[-+*/%(),]|\S/g) ?? [];
  let at = 0;
  const fail = (): never => {
    throw new Error(`unroll: ${expression} is no constant`);
  };
  function atom(): number {
    const token = tokens[at++];
    if (token === '(') {
      const inner = sum();
      return tokens[at++] === ')' ? inner : fail();
    }
    if (token === undefined) return fail();
    if (/^\d+u?$/.test(token)) return Number.parseInt(token, 10);
    if (token === 'true' || token === 'false') return Number(token === 'true');
    if (tokens[at] === '(') {
      const values: number[] = [];
      do {
        at++;
        values.push(sum());
      } while (tokens[at] === ',');
      return tokens[at++] === ')' && token in FUNCTIONS ? FUNCTIONS[token](...values) : fail();
    }
    const known = constants.get(token);
    return known === undefined ? fail() : evaluate(known, constants);
  }
  function product(): number {
    let value = atom();
    while (tokens[at] === '*' || tokens[at] === '/' || tokens[at] === '%') {
      const operator = tokens[at++];
      const other = atom();
      if (operator === '*') value *= other;
      else value = operator === '/' ? Math.floor(value / other) : value % other;
    }
    return value;
  }
  function sum(): number {
    let value = product();
    while (tokens[at] === '+' || tokens[at] === '-') value += tokens[at++] === '+' ? product() : -product();
    return value;
  }
  const value = sum();
  return at === tokens.length && Number.isFinite(value) ? value : fail();
}
