/**
 * Libraries of WGSL functions stand in front of kernels that use a few of them. Compilers read what nobody calls as carefully as
 * the rest, which took 5 ms of the 8 to 13 that a small kernel takes to compile; so only what is used goes along.
 */

interface Declaration {
  /** Of a function or a structure; what else there is (constants, aliases) is always taken. */
  readonly name: string | undefined;
  readonly text: string;
  /** Every word in it; those that are no names of declarations do not matter. */
  readonly words: readonly string[];
}

/** Declarations begin at the start of a line, as do comments between them. */
const DECLARATION = /^(?:fn|struct) (\w+)/;

const wordsOf = (text: string): readonly string[] => text.match(/\w+/g) ?? [];

const known = new Map<string, readonly Declaration[]>();

function declarationsOf(library: string): readonly Declaration[] {
  let declarations = known.get(library);
  if (!declarations) {
    declarations = library
      .split(/\n(?=[^\s})])/)
      .filter((text) => text.trim() !== '' && !text.startsWith('//'))
      .map((text) => ({ name: DECLARATION.exec(text)?.[1], text, words: wordsOf(text) }));
    known.set(library, declarations);
  }
  return declarations;
}

/** What `text` uses of a library, itself or by what it uses of it, in the library's order. */
export function usedOf(library: string, text: string): string {
  const declarations = declarationsOf(library);
  const byName = new Map(declarations.map((declaration) => [declaration.name, declaration]));
  const used = new Set<Declaration>();
  const use = (words: readonly string[]): void => {
    for (const word of words) {
      const declaration = byName.get(word);
      if (!declaration || used.has(declaration)) continue;
      used.add(declaration);
      use(declaration.words);
    }
  };
  use(wordsOf(text));
  for (const declaration of declarations) {
    if (declaration.name !== undefined) continue;
    used.add(declaration);
    use(declaration.words);
  }
  return declarations
    .filter((declaration) => used.has(declaration))
    .map((declaration) => declaration.text)
    .join('\n');
}
