import { nn, vjp } from '@dawnchorus/autograd';
import { createCqt, resample, stft } from '@dawnchorus/dsp';
import { Codec, codecConfig, cqtSettings } from '@dawnchorus/mert';
import {
  compile,
  conv1d,
  convNormGelu,
  type Device,
  groupNorm,
  layerNorm,
  matmul,
  residualCodes,
  scaledDotProductAttention,
  scope,
  softmax,
  type Tensor,
  tensor,
} from '@dawnchorus/tensor';
import { referenceLatents, wrongCodes } from '../cases/encodec-reference.ts';
import { cqtMethods } from '../cases/teachers.ts';
import { isVariable, noise, type Operation, type Work } from '../work.ts';
import { type Engine, type Timing, wallTime } from './engine.ts';

type Run = (...inputs: Tensor[]) => Tensor;

/** Frames of the first clip that are held against f64. */
const CHECKED_FRAMES = 8;

/** Holds codes i32 [clips, 8, frames] of the case against an encoder in f64. @throws Error when they are others. */
async function checkEncodec(codec: Codec, { inputs: [x] }: Work, codes: ArrayLike<number>): Promise<void> {
  const latents = await referenceLatents(codec, Float32Array.from(x.data.slice(0, CHECKED_FRAMES * codec.hopLength)));
  const stages = codec.codebooks();
  const frames = x.shape[1] / codec.hopLength;
  const own = Array.from({ length: stages }, (_, k) =>
    Array.from({ length: CHECKED_FRAMES }, (_, t) => codes[k * frames + t]),
  );
  const books = await Promise.all(codec.quantizer.codebooks.slice(0, stages).map(({ embed }) => embed.data()));
  const wrong = wrongCodes(latents, books, own, 1e-4);
  if (wrong > 0) throw new Error(`${wrong} of ${CHECKED_FRAMES} frames have other codes than in f64`);
}

function operationOf(
  device: Device,
  work: Work,
): { run: Run; check?: (result: ArrayLike<number>) => Promise<void>; dispose?: () => void } {
  const { settings } = work;
  const operations: Record<Exclude<Operation, 'cqt' | 'encodec'>, Run> = {
    matmul(a, b) {
      return matmul(settings.transposeA ? a.transpose() : a, settings.transposeB ? b.transpose() : b);
    },
    conv1d: (x, w) => conv1d(x, w, settings),
    attention: (q, k, v) => scaledDotProductAttention(q, k, v),
    layernorm: (x, w, b) => layerNorm(x, w, b, settings),
    first_stage: (w, a, b, x) => convNormGelu(x, w, a, b, settings),
    groupnorm: (x, w, b) => groupNorm(x, w.size, w, b, settings),
    elementwise: (x, w, b) => x.mul(w).add(b).tanh().mul(x.sigmoid()),
    chain: (x, c) => Array.from({ length: settings.length }).reduce<Tensor>((sum) => sum.add(c), x),
    gelu: (x) => x.gelu(),
    softmax: (x) => softmax(x),
    rfft: (x) => x.rfft(),
    cross_entropy: (x, target) => nn.crossEntropy(x, target),
    resample: (x) => resample(x, settings.from, settings.to),
    rvq: (x, ...books) => residualCodes(x, books).residual,
    stft: (x) =>
      stft(x, {
        nFft: settings.nFft,
        hopLength: settings.hopLength,
        window: 'hann',
        center: true,
        padMode: 'constant',
        normalized: false,
      }),
  };
  if (work.operation === 'encodec') {
    const codec = new Codec(codecConfig(), nn.keySequence(1));
    // Codebooks of about the latents' size.
    for (const { embed } of codec.quantizer.codebooks)
      embed.device.write(embed.storage, 0, noise(2, embed.shape, 'f32').data as Float32Array<ArrayBuffer>);
    return {
      run: (x) => codec.encode(x),
      check: (codes) => checkEncodec(codec, work, codes),
      dispose: () => codec.dispose(),
    };
  }
  if (work.operation !== 'cqt') return { run: operations[work.operation] };
  const cqt = createCqt(device, { ...cqtSettings, method: cqtMethods[settings.method] });
  return { run: (x) => cqt.transform(x), dispose: () => cqt.dispose() };
}

/**
 * This engine, compiled. `timing`: by the GPU's timestamps, which leave out what the host does, or by the wall clock. A
 * chain of small operations costs the host, so it is always timed by the wall.
 */
export function dawnchorusEngine(device: Device, timing: Timing): Engine {
  return {
    name: 'dawnchorus',
    adapter: device.adapter.name,
    async prepare(work, pass) {
      const { run, check, dispose } = operationOf(device, work);
      const place = ({ data, shape, dtype }: Work['inputs'][number]) => tensor(data, { shape, dtype, device });
      const inputs = work.inputs.map(place);
      const seed = work.outputGradient && place(work.outputGradient);
      const wanted = work.inputs.filter(isVariable);
      const body = (...all: Tensor[]): Tensor[] => {
        if (pass === 'forward') return [run(...all)];
        const gradient = all[inputs.length];
        const variables = all.slice(0, wanted.length);
        const rest = all.slice(wanted.length, inputs.length);
        const { output, gradients } = vjp((...own: Tensor[]) => run(...own, ...rest), variables, gradient);
        return [output, ...gradients];
      };
      const compiled = compile(body, { verify: 'never' });
      const call = () => compiled(...inputs, ...(seed && pass === 'gradient' ? [seed] : []));
      const once = async () => {
        scope(() => {
          call();
        });
        await device.synchronize();
      };
      const byGpu = timing === 'gpu' && work.operation !== 'chain';
      return {
        run: async () => (byGpu ? (await device.profile(once)).milliseconds : wallTime(once)),
        async read() {
          const results = scope(call);
          const values = await Promise.all(results.map((result) => result.data() as Promise<Float32Array>));
          for (const result of results) result.dispose();
          await check?.(values[0]);
          return values;
        },
        dispose() {
          compiled.dispose();
          for (const each of [...inputs, ...(seed ? [seed] : [])]) each.dispose();
          dispose?.();
        },
      };
    },
    close: () => device.close(),
  };
}
