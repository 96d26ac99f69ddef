import { nn, valueAndGrad } from '@dawnchorus/autograd';
import { createCqt, stft, stftConventions } from '@dawnchorus/dsp';
import {
  Autoencoder,
  cqtSettings,
  createTrainer,
  cropSamples,
  emptyQuantizer,
  frameCount,
  loadConfig,
  prepareBatch,
  RvqTeacher,
  type Teachers,
  trainStep,
} from '@dawnchorus/mert';
import {
  conv1d,
  type Device,
  groupNorm,
  layerNorm,
  matmul,
  nearestCode,
  normal,
  ones,
  scope,
  softmax,
  type Tensor,
  zeros,
} from '@dawnchorus/tensor';

/** One thing to time. */
export interface ShapeCase {
  name: string;
  /** Floating-point operations of one call; a multiply-add counts as two. */
  flops?: number;
  /** Bytes that must move at least once: inputs and outputs. */
  bytes?: number;
  /** Makes the inputs, and returns what one call runs. */
  prepare(device: Device): () => unknown;
}

let stream = 0;
const random = (...shape: number[]): Tensor => normal(shape, { seed: 1, stream: stream++ }).retain();
const floats = (...counts: number[]) => 4 * counts.reduce((sum, count) => sum + count, 0);

function matmulCase(name: string, m: number, k: number, n: number, batch = 1, transposed = false): ShapeCase {
  return {
    name: `matmul ${name} ${batch > 1 ? `${batch} x ` : ''}${m} x ${k} x ${n}${transposed ? ' (B transposed)' : ''}`,
    flops: 2 * batch * m * k * n,
    bytes: floats(batch * m * k, batch * k * n, batch * m * n),
    prepare() {
      const a = random(batch, m, k);
      const b = transposed ? random(batch, n, k).transpose() : random(batch, k, n);
      return () => matmul(a, b);
    },
  };
}

interface ConvCase {
  batch: number;
  inChannels: number;
  outChannels: number;
  length: number;
  kernel: number;
  stride?: number;
  padding?: number;
  groups?: number;
}

function convCases(name: string, c: ConvCase): ShapeCase[] {
  const { stride = 1, padding = 0, groups = 1 } = c;
  const steps = Math.floor((c.length + 2 * padding - c.kernel) / stride) + 1;
  const flops = (2 * c.batch * steps * c.outChannels * c.inChannels * c.kernel) / groups;
  const bytes = floats(
    c.batch * c.inChannels * c.length,
    (c.outChannels * c.inChannels * c.kernel) / groups,
    c.batch * c.outChannels * steps,
  );
  const inputs = () => [
    random(c.batch, c.inChannels, c.length),
    random(c.outChannels, c.inChannels / groups, c.kernel),
  ];
  return [
    {
      name: `conv1d ${name} forward`,
      flops,
      bytes,
      prepare() {
        const [x, weight] = inputs();
        return () => conv1d(x, weight, { stride, padding, groups });
      },
    },
    {
      name: `conv1d ${name} forward + gradients`,
      flops: 3 * flops,
      bytes: 3 * bytes,
      prepare() {
        const [x, weight] = inputs();
        return () => valueAndGrad(() => conv1d(x, weight, { stride, padding, groups }).sum(), [x, weight]);
      },
    },
  ];
}

/** A random teacher: its speed does not depend on what it learnt. */
function randomTeachers(device: Device, config: ReturnType<typeof loadConfig>): Teachers {
  const { channels, dimension, numCodebooks, codebookSize } = config.rvq;
  const autoencoder = new Autoencoder(channels, dimension, nn.keySequence(1));
  return {
    rvq: new RvqTeacher(autoencoder, emptyQuantizer(numCodebooks, codebookSize, dimension)),
    cqt: createCqt(device, cqtSettings),
  };
}

function stepCase(preset: string, set: string[]): ShapeCase {
  return {
    name: `pretraining step, ${[preset, ...set].join(' ')}`,
    prepare(device) {
      const config = loadConfig({ preset, set });
      const trainer = createTrainer(config);
      const teachers = randomTeachers(device, config);
      const samples = cropSamples(config.audio);
      const frames = frameCount(samples, config.model);
      const clips = Array.from({ length: config.training.batchSize }, (_, i) =>
        Float32Array.from(
          { length: samples },
          (_, t) => 0.3 * Math.sin(t * 0.01 * (i + 1)) + 0.1 * Math.sin(t * t * 1e-6),
        ),
      );
      let step = 1;
      return () => {
        const host = prepareBatch(clips, config, step, frames, { seed: 1, mixture: true });
        return trainStep(trainer, teachers, host, config, step++);
      };
    },
  };
}

/** `small` sizes suit a software adapter; the others are those of MERT-95M. */
export function shapeCases(small: boolean): ShapeCase[] {
  const batch = small ? 1 : 16;
  const width = small ? 128 : 768;
  const frames = small ? 149 : 374;
  const channels = small ? 64 : 512;
  const rows = batch * frames;
  const heads = small ? 4 : 12;
  return [
    matmulCase('square', ...((small ? [256, 256, 256] : [2048, 2048, 2048]) as [number, number, number])),
    matmulCase('feed-forward', rows, width, 4 * width, 1, true),
    matmulCase('attention scores', frames, width / heads, frames, batch * heads, true),
    ...convCases('extractor layer 0', {
      batch,
      inChannels: 1,
      outChannels: channels,
      length: small ? 24000 : 120000,
      kernel: 10,
      stride: 5,
    }),
    ...convCases('extractor layer 1', {
      batch,
      inChannels: channels,
      outChannels: channels,
      length: small ? 4799 : 23999,
      kernel: 3,
      stride: 2,
    }),
    ...convCases('positional', {
      batch,
      inChannels: width,
      outChannels: width,
      length: frames,
      kernel: 128,
      padding: 64,
      groups: 16,
    }),
    {
      name: `softmax ${batch * heads * frames} x ${frames}`,
      bytes: floats(2 * batch * heads * frames * frames),
      prepare() {
        const x = random(batch * heads, frames, frames);
        return () => softmax(x);
      },
    },
    {
      name: `layer norm ${rows} x ${width}`,
      bytes: floats(2 * rows * width),
      prepare() {
        const [x, weight, bias] = [random(rows, width), ones([width]).retain(), zeros([width]).retain()];
        return () => layerNorm(x, weight, bias);
      },
    },
    {
      name: `group norm ${batch} x ${channels} x ${small ? 4799 : 23999}`,
      bytes: floats(2 * batch * channels * (small ? 4799 : 23999)),
      prepare() {
        const x = random(batch, channels, small ? 4799 : 23999);
        const [weight, bias] = [ones([channels]).retain(), zeros([channels]).retain()];
        return () => groupNorm(x, channels, weight, bias);
      },
    },
    {
      name: `GELU ${rows} x ${4 * width}`,
      bytes: floats(2 * rows * 4 * width),
      prepare() {
        const x = random(rows, 4 * width);
        return () => x.gelu();
      },
    },
    {
      name: `nearest code ${rows} of 1024 x 128`,
      flops: 3 * rows * 1024 * 128,
      prepare() {
        const [x, codebook] = [random(rows, 128), random(1024, 128)];
        return () => nearestCode(x, codebook);
      },
    },
    {
      name: `Fourier transform ${batch * 256} x 1024 real numbers`,
      flops: 2.5 * batch * 256 * 1024 * 10,
      bytes: floats(batch * 256 * 1024, batch * 256 * 1026),
      prepare() {
        const x = random(batch * 256, 1024);
        return () => x.rfft();
      },
    },
    {
      name: `short-time Fourier transform ${batch} x 5 s`,
      bytes: floats(batch * 120000, batch * 469 * 1026),
      prepare() {
        const x = random(batch, 120000);
        return () => stft(x, { nFft: 1024, hopLength: 256, ...stftConventions.torchaudio });
      },
    },
    {
      name: `constant-Q transform ${batch} x 5 s`,
      bytes: floats(batch * 120000, batch * 336 * 376),
      prepare(device) {
        const cqt = createCqt(device, cqtSettings);
        const x = random(batch, 120000);
        return () => cqt.transform(x);
      },
    },
    {
      name: 'one tiny add (host cost)',
      prepare() {
        const x = random(16);
        return () => scope(() => x.add(1).size);
      },
    },
    small ? stepCase('small', []) : stepCase('mert-95m-rvq', []),
  ];
}
