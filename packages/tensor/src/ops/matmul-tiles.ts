import type { matmul as kernels } from '@dawnchorus/kernels';
import type { MatrixUnit } from '../device/adapters.ts';
import type { Device } from '../device/device.ts';

/**
 * The tiles of threads that products and convolutions are cut into: small ones, and large ones where these are many. Larger
 * tiles than these leave a core too few workgroups to hide each other's barriers: measured on an H200.
 */
export const tiles64: kernels.Tiling = { m: 64, n: 64, rows: 8, columns: 8, step: 16 };
export const tiles64x128: kernels.Tiling = { m: 64, n: 128, rows: 8, columns: 8, step: 16 };
/** Those of matrix units. */
export const units64: kernels.MatrixTiling = { m: 64, n: 64, partM: 32, partN: 32, step: 32 };
export const units128x64: kernels.MatrixTiling = { m: 128, n: 64, partM: 64, partN: 32, step: 32 };
export const units128: kernels.MatrixTiling = { m: 128, n: 128, partM: 64, partN: 64, step: 32 };

/** Whether the adapter can make such tiles. */
export function tileFits({ limits }: Device, { m, n, rows, columns, step }: kernels.Tiling): boolean {
  const threads = (m / rows) * (n / columns);
  const bytes = 16 * step * (m / 4 + n / 4 + 2);
  return limits.maxComputeInvocationsPerWorkgroup >= threads && limits.maxComputeWorkgroupStorageSize >= bytes;
}

/** The product that this adapter's matrix units do in f16 with sums in f32; undefined where there is none for `part`. */
export function halfUnit({ adapter }: Device, part: number): MatrixUnit | undefined {
  const [least, most] = adapter.subgroupSizes ?? [0, 1];
  // The kernels count on subgroups of one size.
  if (least !== most) return undefined;
  return adapter.matrixUnits
    .filter(({ component, result, M, N, K }) => {
      return component === 'f16' && result === 'f32' && part % M === 0 && part % N === 0 && 16 % K === 0;
    })
    .reduce<MatrixUnit | undefined>((a, b) => (a && a.M * a.N * a.K >= b.M * b.N * b.K ? a : b), undefined);
}

/** The unit by which the adapter makes such tiles, where it can. `parts`: halves that an operand is split into. */
export function matrixFits(
  device: Device,
  { m, n, partM, partN, step }: kernels.MatrixTiling,
  parts: number,
): MatrixUnit | undefined {
  const unit = halfUnit(device, Math.min(partM, partN));
  if (!unit) return undefined;
  const subgroups = (m / partM) * (n / partN);
  // Whichever way the operands lie.
  const vectors = (extent: number) => Math.max(extent * (step / 8 + 1), step * (extent / 8 + 1));
  const bytes = 16 * parts * Math.max(vectors(m) + vectors(n), subgroups * unit.M * (unit.N / 4 + 1));
  const threads = subgroups * (device.adapter.subgroupSizes?.[0] ?? 0);
  const fetched = (extent: number) => (extent * step) / 8 / threads;
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = device.limits;
  return bytes <= maxComputeWorkgroupStorageSize &&
    threads <= maxComputeInvocationsPerWorkgroup &&
    Number.isInteger(fetched(m)) &&
    Number.isInteger(fetched(n))
    ? unit
    : undefined;
}

/** What matrix units a kernel counts on. */
export const unitConstants = ({ adapter }: Device, { M, N, K }: MatrixUnit) => ({
  UNIT: `const UNIT_M = ${M}u; const UNIT_N = ${N}u; const UNIT_K = ${K}u;`,
  SUBGROUP: `const SUBGROUP = ${adapter.subgroupSizes?.[0]}u;`,
});

/** The size of all subgroups, where it is one that kernels are made for. */
export function subgroupSize({ adapter }: Device): number | undefined {
  const [least, most] = adapter.subgroupSizes ?? [0, 1];
  return least === most && [4, 8, 16, 32].includes(least) ? least : undefined;
}

/**
 * The ways to hand columns round: `broadcast` as many as the largest work is the fastest with, `broadcast16` no more than what
 * compiles soon, in a tenth of the time of 64 and a third of that of 32 (llvmpipe and SwiftShader).
 */
export type BroadcastVariant = 'broadcast' | 'broadcast16';

/** Whether the adapter has subgroups for it. */
export function canBroadcast(device: Device, variant: BroadcastVariant): boolean {
  const subgroup = subgroupSize(device);
  return subgroup !== undefined && (variant === 'broadcast' || subgroup <= 16);
}

/**
 * How the threads of a subgroup hand round so many `columns`. More of them are more products a load: 64 are up to 1.2 times as fast
 * as 32 with subgroups of 8 (llvmpipe), and half as fast with those of 4 (SwiftShader). Two terms at a time are up to 1.35 times as
 * fast with subgroups of 8, and 0.65 with those of 4.
 */
export function broadcastLayout(device: Device, variant: BroadcastVariant, columns: number): kernels.BroadcastLayout {
  const subgroup = subgroupSize(device) as number;
  if (variant === 'broadcast16') return { subgroup, columns: 16, terms: 1 };
  const terms = subgroup === 8 ? 2 : 1;
  if (columns <= 16 && subgroup <= 16) return { subgroup, columns: 16, terms };
  return { subgroup, columns: columns % 64 === 0 && subgroup === 8 ? 64 : 32, terms };
}

/** Multiply-adds from which handing columns round saves more time than it takes to compile. */
const FEWEST_PRODUCTS = 2 ** 20;
/** The same of as many columns as can be. */
const MANY_PRODUCTS = 2 ** 26;

/** The way that is worth its while for so many multiply-adds, if any is; `fewest` of them must there be. */
export function broadcastFor(device: Device, products: number, fewest = FEWEST_PRODUCTS): BroadcastVariant | undefined {
  if (products < fewest || subgroupSize(device) === undefined) return undefined;
  return products < MANY_PRODUCTS && canBroadcast(device, 'broadcast16') ? 'broadcast16' : 'broadcast';
}
