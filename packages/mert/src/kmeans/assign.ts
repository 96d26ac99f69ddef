import {
  argmin,
  concat,
  formatShape,
  indexSelect,
  matmul,
  maximum,
  mul,
  ones,
  scope,
  segmentSum,
  sub,
  type Tensor,
} from '@dawnchorus/tensor';

/** Rows whose distances to all centres are held at once: [rows, clusters]. */
const BLOCK_ROWS = 8192;

/** Checks x [rows, dimension] and what is to become of it. @throws RangeError, TypeError */
export function checkRows(what: string, x: Tensor, clusters: number): void {
  if (x.dtype !== 'f32') throw new TypeError(`${what}: x is ${x.dtype}; expected f32; use .cast('f32')`);
  if (x.rank !== 2 || x.shape[1] === 0) {
    throw new RangeError(`${what}: x is ${formatShape(x.shape)}; expected [rows, dimension] with a dimension from 1`);
  }
  if (!Number.isInteger(clusters) || clusters < 1) {
    throw new RangeError(`${what}: ${clusters} clusters; expected a whole number from 1`);
  }
  if (x.shape[0] < clusters) {
    throw new RangeError(
      `${what}: ${x.shape[0]} rows are too few for ${clusters} clusters; give at least as many rows, or ask for fewer clusters`,
    );
  }
}

/**
 * Squared Euclidean distances of rows [rows, dimension] to centres [clusters, dimension]: [rows, clusters], by the product
 * |x|^2 - 2 x c + |c|^2, never under 0. Exact to some 1e-6 of |x|^2 + |c|^2: bring data that lie far from zero to zero mean.
 */
export function squaredDistances(x: Tensor, centres: Tensor): Tensor {
  const norms = x.square().sum({ dim: 1, keepdim: true });
  const products = mul(matmul(x, centres.transpose()), -2);
  return maximum(products.add(norms).add(centres.square().sum({ dim: 1 })), 0);
}

/** What rows are nearest to. */
export interface Assignment {
  /** i32 [rows]: the nearest centre, the first on ties. */
  labels: Tensor;
  /** f32 [rows, dimension]: what the centre leaves over. */
  residuals: Tensor;
  /** f32 [rows]: its squared length. */
  distances: Tensor;
}

/** The nearest centre of each row, a block of rows at a time. */
export function assign(x: Tensor, centres: Tensor): Assignment {
  return scope(() => {
    const norms = centres.square().sum({ dim: 1 });
    const parts: Tensor[] = [];
    for (let at = 0; at < x.shape[0]; at += BLOCK_ROWS) {
      parts.push(
        scope(() => {
          const rows = x.sliceAxis(0, at, Math.min(x.shape[0], at + BLOCK_ROWS));
          // |x|^2 is the same for every centre.
          return argmin(sub(norms, mul(matmul(rows, centres.transpose()), 2)), { dim: 1 });
        }),
      );
    }
    const labels = parts.length === 1 ? parts[0] : concat(parts);
    const residuals = sub(x, indexSelect(centres, 0, labels));
    return { labels, residuals, distances: residuals.square().sum({ dim: 1 }) };
  });
}

/** How many rows chose each centre [clusters], and the sums of what it left over of them [clusters, dimension]. */
export function sumByCluster({ labels, residuals }: Assignment, clusters: number): { counts: Tensor; sums: Tensor } {
  const counts = segmentSum(ones([labels.shape[0]], { device: labels.device }), labels, { count: clusters });
  return { counts, sums: segmentSum(residuals, labels, { count: clusters }) };
}
