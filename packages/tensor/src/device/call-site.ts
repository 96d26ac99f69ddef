/** The folder of packages whose frames are the engine's, not the user's; undefined in a bundle, where nothing tells. */
const packages = /^(?:file:\/\/)?(.*\/)tensor\/src\/device\/call-site\.[jt]s$/.exec(import.meta.url ?? '')?.[1];
const engine = ['tensor', 'autograd', 'dsp', 'formats'].map((name) => `${packages}${name}/src/`);

/** Deep enough to reach past modules and optimisers to whoever called them. */
const FRAMES = 64;

/**
 * The lines of the user's code that called into the engine, innermost first: `train (/home/me/train.ts:12:9)`. The
 * engine's own frames and the runtime's are passed over.
 */
export function callStack(): string[] {
  const before = Error.stackTraceLimit;
  Error.stackTraceLimit = FRAMES;
  const stack = new Error().stack ?? '';
  Error.stackTraceLimit = before;
  const frames = stack
    .split('\n')
    .slice(1)
    .map((line) => line.replace(/^\s*at (async )?/, '').replaceAll('file://', ''))
    .filter((frame) => /:\d+:\d+\)?$/.test(frame) && !frame.includes('node:'));
  const users =
    packages === undefined ? frames : frames.filter((frame) => !engine.some((root) => frame.includes(root)));
  return users.length > 0 ? users : frames.slice(-1);
}

/** The first of them. */
export function callSite(): string {
  return callStack()[0] ?? 'an unknown place';
}
