/**
 * What each figure of bench/results reaches of its mark: npx tsx scripts/performance-picture.ts [FILE] writes
 * docs/performance.svg, or a .svg or .png elsewhere, and prints the same as a table.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Item, type Scene, writePicture } from '../packages/mert/src/pictures/index.ts';

type Row = Record<string, number | string | undefined>;

interface Machine {
  title: string;
  rows: readonly Figure[];
}

interface Figure {
  label: string;
  /** Forward, or alone; then with gradients. */
  bars: readonly { value: number; reached: number }[];
  /** As people read it. */
  asked: string;
}

function open(name: string) {
  const { date, rows, peak } = JSON.parse(
    readFileSync(fileURLToPath(new URL(`../bench/results/${name}.json`, import.meta.url)), 'utf8'),
  );
  const find = (wanted: Row): Row => {
    const row = (rows as Row[]).find((each) => Object.entries(wanted).every(([key, value]) => each[key] === value));
    if (!row) throw new Error(`bench/results/${name}.json has no row with ${JSON.stringify(wanted)}`);
    return row;
  };
  return { date: date as string, find, peak };
}

const ours = { engine: 'dawnchorus' };
const [llvmpipe, h200] = ['llvmpipe-llvm-15-0-6-256-bits', 'nvidia-h200'];
const onCpu = open(`kernels-${llvmpipe}`);
const onGpu = open(`kernels-${h200}`);
const [f32Step, f16Step] = ['', '_f16'].map((dtype) => open(`step-mert-95m-rvq_b8${dtype}-${h200}`));
const smallStep = open(`step-small_b8-${llvmpipe}`);
const engine = open(`engine-${llvmpipe}`);
const dsp = open(`dsp-${llvmpipe}`);

const milliseconds = (row: Row) => Number(row.medianMs);
const passes = ['forward', 'gradient'];

/** Speed beside the fastest of the peers, at least `marks`, forward and with gradients. */
function beside(
  file: ReturnType<typeof open>,
  label: string,
  of: Row,
  peers: readonly string[],
  ...marks: number[]
): Figure {
  const bars = passes.map((pass, i) => {
    const own = milliseconds(file.find({ ...of, ...ours, pass }));
    const best = Math.min(...peers.map((peer) => milliseconds(file.find({ ...of, engine: peer, pass }))));
    const mark = marks[i] ?? marks[0];
    return { value: best / own, reached: best / own / mark };
  });
  return { label, bars, asked: `at least ${marks.join(' and ')}` };
}

const most = (label: string, value: number, mark: number): Figure => ({
  label,
  bars: [{ value, reached: mark / value }],
  asked: `at most ${mark}`,
});

const least = (label: string, value: number, mark: number): Figure => ({
  label,
  bars: [{ value, reached: value / mark }],
  asked: `at least ${mark}`,
});

const kernel = (name: string, dtype = 'f32') => ({ case: name, dtype });
const besideTorch = (label: string, of: Row, mark: number) => beside(onGpu, label, of, ['torch'], mark);
const besideScripts = (label: string, name: string, ...marks: number[]) =>
  beside(onCpu, label, kernel(name), ['tfjs-webgpu', 'jax-js-webgpu'], ...marks);
const ofCopying = (label: string, name: string) => {
  const { gbps } = onGpu.find({ ...kernel(name), ...ours, pass: 'forward' });
  return least(`${label}, of copying`, (Number(gbps) * 1e9) / onGpu.peak.bytesPerSecond, 0.75);
};
const stepMs = (file: ReturnType<typeof open>, name: string, by = 'dawnchorus') =>
  milliseconds(file.find({ case: `step_${name}`, engine: by }));
const overEager = (label: string, file: ReturnType<typeof open>, name: string) =>
  most(label, stepMs(file, name) / stepMs(file, `${name}_eager`), 0.5);
const ofEngine = (name: string) => {
  const { value, target } = engine.find({ name });
  return [Number(value), Number(target)] as const;
};

const step = 'mert-95m-rvq_b8';
const machines: readonly Machine[] = [
  {
    title: `NVIDIA H200: speed of PyTorch's (kernels of ${onGpu.date}, steps of ${f32Step.date})`,
    rows: [
      ...[4096, 2048, 1024, 512].map((n) => besideTorch(`product f32, ${n}`, kernel(`matmul_${n}`), 0.9)),
      besideTorch('product f16, 4096', kernel('matmul_4096', 'f16'), 0.4),
      besideTorch('convolution f32', kernel('conv1d'), 0.8),
      besideTorch('convolution f16', kernel('conv1d', 'f16'), 0.5),
      besideTorch('attention f32', kernel('attention'), 0.7),
      ofCopying('layer norm', 'layernorm'),
      ofCopying('softmax', 'softmax'),
      ofCopying('cross-entropy', 'cross_entropy'),
      most(
        'constant-Q, of a step',
        milliseconds(onGpu.find({ ...kernel('cqt'), ...ours })) / stepMs(f32Step, step),
        0.02,
      ),
      least(
        'MERT-95M step, f32',
        stepMs(f32Step, `${step}_student`, 'torch') / stepMs(f32Step, `${step}_student`),
        0.7,
      ),
      least(
        'MERT-95M step, f16 (PyTorch: bf16)',
        stepMs(f16Step, `${step}_f16_student`, 'torch') / stepMs(f16Step, `${step}_f16_student`),
        0.4,
      ),
      overEager('compiled over eager step, f32', f32Step, step),
      overEager('compiled over eager step, f16', f16Step, `${step}_f16`),
    ],
  },
  {
    title: `Two CPU cores, llvmpipe: speed of the faster of TensorFlow.js and jax-js (until ${onCpu.date})`,
    rows: [
      besideScripts('product, 512', 'matmul_512', 2),
      besideScripts('attention', 'attention', 2),
      besideScripts('convolution', 'conv1d', 2, 3),
      besideScripts('positional convolution', 'posconv', 2),
      besideScripts('layer norm', 'layernorm', 1.5),
      besideScripts('softmax', 'softmax', 1.5),
      besideScripts('cross-entropy', 'cross_entropy', 1.5),
      besideScripts('group norm over time', 'mert_groupnorm_b1', 1.5),
      besideScripts('100 dependent additions', 'chain_100', 1),
      least('constant-Q, of dense products', 1 / Number(dsp.find({ case: 'cqt' }).ofDense), 50),
      least('residual codes, of dense products', 1 / Number(dsp.find({ case: 'rvq' }).ofDense), 2),
      most('replayed dispatch, µs of the host', ...ofEngine('replayed dispatch, null backend')),
      most('compiled over eager memory', ...ofEngine('compiled / eager peak memory')),
      overEager('compiled over eager step, small', smallStep, 'small_b8'),
    ],
  },
];

const short = (value: number) => String(Number(value.toPrecision(3)));

/** Where labels end, the mark is and words begin; pixels that e times as much takes. */
const [LABELS, MARK, WORDS, SCALE] = [300, 650, 830, 100];
const BAR = 11;
/** Bars end at so much of the mark. */
const [LEAST, MOST] = [0.04, 5];

function draw(): Scene {
  const lines = [
    `What each figure reaches of its mark; bars end at ${MOST} times. Blue: met. Orange: missed.`,
    'Upper bar: forward, or the whole. Lower, paler bar: with gradients.',
  ];
  const items: Item[] = lines.map((text, i) => ({ kind: 'text', x: 20, y: 22 + i * 20, text }));
  const at = (reached: number) => MARK + SCALE * Math.log(Math.min(Math.max(reached, LEAST), MOST));
  let y = 76;
  for (const { title, rows } of machines) {
    items.push({ kind: 'text', x: 20, y, text: title });
    y += 24;
    const top = y;
    const bars: Item[] = [];
    for (const { label, bars: values, asked } of rows) {
      const height = values.length * BAR;
      const room = Math.max(height, 18);
      const middle = y + room / 2;
      bars.push({ kind: 'text', x: LABELS, y: middle, text: label, anchor: 'end' });
      let from = middle - height / 2;
      for (const [i, { reached }] of values.entries()) {
        const [begin, end] = [Math.min(at(reached), MARK), Math.max(at(reached), MARK)];
        const [met, pale] = [reached >= 1, i === 1];
        const color = met ? (pale ? '#8fbbe0' : '#1f6fb2') : pale ? '#f4b183' : '#d9601a';
        bars.push({ kind: 'rect', x: begin, y: from, width: Math.max(end - begin, 1), height: BAR - 1, color });
        from += BAR;
      }
      const text = `${values.map(({ value }) => short(value)).join(' / ')}, ${asked}`;
      bars.push({ kind: 'text', x: WORDS, y: middle, text });
      y += room + 5;
    }
    for (const tick of [0.05, 0.1, 0.2, 0.5, 1, 2, 5]) {
      const x = at(tick);
      items.push(
        { kind: 'rect', x, y: top, width: 1, height: y - top, color: '#dddddd' },
        { kind: 'text', x, y: y + 10, text: tick === 1 ? 'mark' : String(tick), anchor: 'middle' },
      );
    }
    items.push(...bars, { kind: 'rect', x: MARK - 0.5, y: top, width: 2, height: y - top, color: '#222222' });
    y += 48;
  }
  return { title: 'What each figure reaches of its mark', width: 1080, height: y - 18, items };
}

for (const { title, rows } of machines) {
  console.log(`\n${title}`);
  for (const { label, bars, asked } of rows) {
    const [values, reached] = (['value', 'reached'] as const).map((key) =>
      bars.map((bar) => short(bar[key])).join(' / '),
    );
    console.log(`  ${label.padEnd(42)}${values.padEnd(14)}${asked.padEnd(22)}${reached} of the mark`);
  }
}
const path = process.argv[2] ?? fileURLToPath(new URL('../docs/performance.svg', import.meta.url));
await writePicture(path, draw());
console.log(`\n${path}`);
