import { conv as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { runVariants } from '../kernel/variants.ts';
import { Tensor } from '../tensor.ts';
import type { Geometry, Kind } from './conv-geometry.ts';
import { slides } from './conv-window.ts';
import { withScratch } from './dense.ts';
import { matmulFamily } from './matmul-variants.ts';
import { uploadTable } from './tables.ts';

/** What the circle is a multiple of, so that signals of similar lengths share a table. */
const STEP = 64;
/** Longer signals would take a table of more than 8 MiB, and their transforms most of the time. */
const LONGEST_CIRCLE = 1024;
/** Rows and columns of products that a thread makes. */
const BLOCK = 4;

/** Places on a circle on which no tap meets a sample from the other end, and which holds every step of the output. */
const circleOf = ({ inSize, outSize, padding }: Geometry): number =>
  Math.ceil(Math.max(inSize[1] + padding[1], outSize[1]) / STEP) * STEP;

/** Floating-point operations by way of the spectra: a transform of each of the three, and the product between. */
export function spectrumFlops(g: Geometry): number {
  const circle = circleOf(g);
  const [x, y, weight] = [
    g.batch * g.groups * g.inPerGroup,
    g.batch * g.groups * g.outPerGroup,
    g.groups * g.outPerGroup * g.inPerGroup,
  ];
  const transforms = x * g.inSize[1] + y * g.outSize[1] + weight * g.kernel[1];
  return 2 * circle * (transforms + 2 * g.batch * weight);
}

/** Whether it is a long convolution along one axis, of step one, whose spectra can be bound. */
export function hasSpectrum(device: Device, g: Geometry): boolean {
  const circle = circleOf(g);
  const rows = g.groups * Math.max(g.batch * Math.max(g.inPerGroup, g.outPerGroup), g.inPerGroup * g.outPerGroup);
  return slides(g) && circle <= LONGEST_CIRCLE && 4 * circle * rows <= device.limits.maxStorageBufferBindingSize;
}

const tables = new WeakMap<Device, Map<number, Tensor>>();

/**
 * exp(-i pi (2 f + 1) (n - circle) / circle) for n below 2 circle and f below circle / 2, (re, im): [2 circle, circle].
 * Frequencies lie halfway between those of a Fourier transform, so that none is real. There are few circles, and compiled
 * functions may hold their tables: each is kept as long as the device.
 */
function wavesOf(device: Device, circle: number): Tensor {
  let known = tables.get(device);
  if (!known) tables.set(device, (known = new Map()));
  let table = known.get(circle);
  if (table && !table.storage.buffer.broken) return table;
  const turns = Float32Array.from({ length: 2 * circle }, (_, i) => Math.cos((Math.PI * i) / circle));
  const values = new Float32Array(2 * circle * circle);
  const turn = 2 * circle;
  for (let n = 0; n < turn; n++) {
    for (let f = 0; 2 * f < circle; f++) {
      const angle = ((2 * f + 1) * (n + circle)) % turn;
      values[n * circle + 2 * f] = turns[angle];
      // cos(x + pi / 2) = -sin(x)
      values[n * circle + 2 * f + 1] = turns[(angle + circle / 2) % turn];
    }
  }
  table = uploadTable(device, values, `waves on a circle of ${circle}`);
  known.set(circle, table);
  return table;
}

const product = runVariants(matmulFamily);

/**
 * A convolution of step one, its input's gradient or its weight's, as a product of spectra: the transforms are products with
 * a table of waves, on a circle that need not be a power of two. Operands are dense, in the operation's order.
 */
export function recordSpectrum(
  device: Device,
  operands: readonly Tensor[],
  out: Tensor,
  g: Geometry,
  kind: Kind,
): void {
  const { batch, groups, inPerGroup, outPerGroup } = g;
  const circle = circleOf(g);
  const waves = wavesOf(device, circle);
  const padding = g.padding[1];
  const view = (x: Tensor, shape: number[], strides: number[], offset: number) =>
    new Tensor(x.storage, x.dtype, shape, strides, offset, false);
  const lengthOf = ({ shape }: Tensor) => shape[shape.length - 1];
  /** Calls `body` with [rows, length] and the waves of places from `first` on. */
  const withWaves = (x: Tensor, first: number, body: (rows: Tensor, waves: Tensor) => void) => {
    const length = lengthOf(x);
    const views = [
      view(x, [x.size / length, length], [length, 1], x.offset),
      view(waves, [length, circle], [circle, 1], (first + circle) * circle),
    ];
    try {
      body(views[0], views[1]);
    } finally {
      for (const each of views) each.dispose();
    }
  };
  const analyse = (x: Tensor, first: number, spectrum: Tensor) =>
    withWaves(x, first, (rows, own) => product.run(device, [rows, own], [spectrum], {}));
  const synthesise = (spectrum: Tensor, first: number) =>
    withWaves(out, first, (rows, own) => {
      const transposed = view(own, [circle, lengthOf(out)], [1, circle], own.offset);
      try {
        product.run(device, [spectrum, transposed], [rows], {});
      } finally {
        transposed.dispose();
      }
    });

  const pairs = circle / 4;
  const [xRow, xGroup] = [groups * inPerGroup * pairs, inPerGroup * pairs];
  const [yRow, yGroup] = [groups * outPerGroup * pairs, outPerGroup * pairs];
  const weight = { in: pairs, out: inPerGroup * pairs, group: outPerGroup * inPerGroup * pairs };
  const work = {
    forward: {
      ...{ terms: inPerGroup, rows: batch, columns: outPerGroup },
      ...{ aTerm: pairs, aRow: xRow, aGroup: xGroup },
      ...{ bTerm: weight.in, bColumn: weight.out, bGroup: weight.group },
      ...{ outRow: yRow, outColumn: pairs, outGroup: yGroup },
    },
    transpose: {
      ...{ terms: outPerGroup, rows: batch, columns: inPerGroup },
      ...{ aTerm: pairs, aRow: yRow, aGroup: yGroup },
      ...{ bTerm: weight.out, bColumn: weight.in, bGroup: weight.group },
      ...{ outRow: xRow, outColumn: pairs, outGroup: xGroup },
    },
    weightGradient: {
      ...{ terms: batch, rows: inPerGroup, columns: outPerGroup },
      ...{ aTerm: xRow, aRow: pairs, aGroup: xGroup },
      ...{ bTerm: yRow, bColumn: pairs, bGroup: yGroup },
      ...{ outRow: weight.in, outColumn: weight.out, outGroup: weight.group },
    },
  }[kind];
  // Of a weight the first place lies before the first of the output's by the padding.
  const firsts = kind === 'weightGradient' ? [0, 0, -padding] : [0, -padding, 0];
  const spectrum = (name: string, x: Tensor) => ({ name, shape: [x.size / lengthOf(x), circle] });
  withScratch(
    device,
    [
      spectrum('spectra of the signal', operands[0]),
      spectrum('spectra of the taps', operands[1]),
      spectrum('spectra of the result', out),
    ],
    (a, b, c) => {
      analyse(operands[0], firsts[0], a);
      analyse(operands[1], firsts[1], b);
      device.recorder.dispatch({
        kernel: kernels.convSpectrumProduct,
        constants: {
          ROWS: `const ROWS = ${BLOCK}u;`,
          COLUMNS: `const COLUMNS = ${BLOCK}u;`,
          CONJUGATE: `const CONJUGATE = ${kind !== 'transpose'};`,
        },
        buffers: [a, b, c].map(({ storage }) => storage.buffer),
        parameters: { ...work, pairs, scale: 2 / circle },
        grid: [Math.ceil(pairs / 32), Math.ceil(work.rows / BLOCK) * Math.ceil(work.columns / BLOCK), groups],
      });
      synthesise(c, firsts[2]);
    },
  );
}
