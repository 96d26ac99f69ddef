/**
 * Fails where the reference shows a parameter without a name, or a type of ours that has no page. Typedoc's own validation
 * passes over types of packages that are installed, which in this workspace all of ours are.
 */
import { readFileSync } from 'node:fs';

const project = JSON.parse(readFileSync(new URL('reference/reference.json', import.meta.url), 'utf8'));
const problems = new Set();
/** What computes types of shapes, which nobody writes, and the methods of Tensor, which stand on its page. */
const helpers = ['src/shape-types.ts', 'src/methods.ts'];

function visit(value, path) {
  if (Array.isArray(value)) for (const item of value) visit(item, path);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  const here = 'variant' in value && value.name ? [...path, value.name] : path;
  const place = path.slice(1).join('.');
  if (value.variant === 'param' && value.name === '__namedParameters') {
    problems.add(
      `${place} takes a parameter without a name; name it by @param, or do not destructure it in the signature`,
    );
  }
  // A number is a page's; what has none is told by where it is declared.
  const { type, target } = value;
  const ours = type === 'reference' && target?.packageName?.startsWith('@dawnchorus/');
  // One letter is the parameter of a type.
  if (ours && value.name.length > 1 && !helpers.includes(target.packagePath)) {
    problems.add(
      `${value.name} (${target.packageName}/${target.packagePath}) has no page, used by ${place}; export it`,
    );
  }
  for (const [key, item] of Object.entries(value)) if (key !== 'symbolIdMap' && key !== 'files') visit(item, here);
}

visit(project, []);
for (const problem of problems) console.error(problem);
if (problems.size > 0) {
  console.error(`${problems.size} problems in the reference`);
  process.exit(1);
}
