/** What stands in a kernel's memory of workgroups when it begins: devices are opened so that nobody zeroes it (`dawn.ts`). */

const VARIABLE = /\bvar\s*<\s*workgroup\s*>\s*(\w+)\s*:\s*([^;]+);/g;
const MAIN = /@workgroup_size\(([^\n{]*)\)\s*fn\s+main\s*\(([^{]*)\)\s*\{/;
const LANE = /@builtin\(\s*local_invocation_index\s*\)\s*(\w+)/;

/**
 * The same kernel, whose threads set each element of the memory of their workgroup before anything else. `value`: an element's
 * in WGSL, by its type. `name` is the kernel's in errors.
 */
export function fillWorkgroup(code: string, name: string, value: (type: string) => string): string {
  const variables = [...code.matchAll(VARIABLE)];
  if (variables.length === 0) return code;
  const main = MAIN.exec(code);
  const lane = main && LANE.exec(main[2])?.[1];
  if (!main || (!lane && code.includes('local_invocation_index'))) {
    throw new Error(
      `kernel ${name}: the memory of its workgroups cannot be zeroed; write fn main right behind @workgroup_size(…), with ` +
        'local_invocation_index, if it is used, among its parameters, or zero it yourself and say `initialises: true`',
    );
  }
  const threads = main[1].split(',').map((extent) => `u32(${extent.trim()})`);
  const index = lane ?? 'workgroup_lane';
  const each = (extent: string, step: string, first: string, i: string, body: string) =>
    `for (var ${i} = ${first}; ${i} < u32(${extent}); ${i} += ${step}) { ${body} }`;
  const set = (place: string, type: string, depth: number): string => {
    const list = /^array<(.+),\s*([^,>]+)>$/.exec(type);
    if (list) {
      const i = `workgroup_i${depth}`;
      const [first, step] = depth === 0 ? [index, threads.join(' * ')] : ['0u', '1u'];
      return each(list[2], step, first, i, set(`${place}[${i}]`, list[1].trim(), depth + 1));
    }
    const atomic = /^atomic<(\w+)>$/.exec(type);
    const store = atomic ? `atomicStore(&${place}, ${value(atomic[1])});` : `${place} = ${value(type)};`;
    return depth === 0 ? `if (${index} == 0u) { ${store} }` : store;
  };
  const fills = variables.map(([, variable, type]) => set(variable, type.trim(), 0));
  const [text, , parameters] = main;
  const own = lane ? parameters : `@builtin(local_invocation_index) ${index}: u32, ${parameters}`;
  const head = text.replace(/fn\s+main\s*\([^{]*\)\s*\{/, () => `fn main(${own}) {`);
  const start = `${head}\n  ${fills.join('\n  ')}\n  workgroupBarrier();\n`;
  return code.slice(0, main.index) + start + code.slice(main.index + text.length);
}

/** The same kernel, with zeros in the memory of its workgroups. */
export const zeroWorkgroup = (code: string, name: string): string => fillWorkgroup(code, name, (type) => `${type}()`);
