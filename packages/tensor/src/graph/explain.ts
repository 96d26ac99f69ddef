import type { Cost } from '../kernel/profiler.ts';
import type { Graph } from './graph.ts';
import type { Plan } from './plan.ts';

function quantity(value: number, unit: string): string {
  for (const [scale, prefix] of [
    [1e9, 'G'],
    [1e6, 'M'],
    [1e3, 'k'],
  ] as const) {
    if (value >= scale) return `${(value / scale).toFixed(1)} ${prefix}${unit}`;
  }
  return `${value} ${unit}`;
}

/** Equal operations in a row are counted. */
function listed(operations: readonly string[]): string {
  const runs: [string, number][] = [];
  for (const name of operations) {
    const last = runs.at(-1);
    if (last?.[0] === name) last[1]++;
    else runs.push([name, 1]);
  }
  return runs.map(([name, count]) => (count > 1 ? `${name} x${count}` : name)).join(' ');
}

/** A table of a plan's kernels. */
export function explainPlan(plan: Plan, graph: Graph): string {
  const { dispatches, program, sizes, unsharedBytes, inPlace } = plan;
  const computing = graph.nodes.filter(({ op }) => op.kind === 'kernel').length;
  const total = sizes.reduce((sum, size) => sum + size, 0);
  const joined = dispatches.filter(({ operations }) => operations.length > 1);
  const lines = [
    `${graph.nodes.length} operations, ${graph.nodes.length - computing} of them views; ${program.removed.repeated} repeated and ` +
      `${program.removed.dead} dead ones removed, ${program.remade} made again to save memory; ${dispatches.length} dispatches, ${joined.length} of them of several operations`,
    `memory: ${sizes.length} buffers of ${quantity(total, 'B')} together, where the values alone are ${quantity(unsharedBytes, 'B')}; ` +
      `${inPlace} written in place`,
    '',
    `${'kernel'.padEnd(28)} ${'grid'.padEnd(16)} ${'FLOPs'.padStart(12)} ${'bytes'.padStart(10)}  operations`,
  ];
  const costs = new Set<Cost>();
  for (const { kernel, grid, cost, operations } of dispatches) {
    // What an operation of several kernels costs stands by its first.
    const [flops, bytes] = costs.has(cost) ? ['"', '"'] : [quantity(cost.flops, 'FLOP'), quantity(cost.bytes, 'B')];
    costs.add(cost);
    lines.push(
      `${kernel.name.padEnd(28)} ${grid.join(' x ').padEnd(16)} ${flops.padStart(12)} ${bytes.padStart(10)}  ${listed(operations)}`,
    );
  }
  const flops = [...costs].reduce((sum, cost) => sum + cost.flops, 0);
  const bytes = [...costs].reduce((sum, cost) => sum + cost.bytes, 0);
  lines.push(`${'total'.padEnd(45)} ${quantity(flops, 'FLOP').padStart(12)} ${quantity(bytes, 'B').padStart(10)}`);
  return lines.join('\n');
}
