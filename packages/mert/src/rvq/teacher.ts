import { nn, optim, stopGradient, valueAndGrad } from '@dawnchorus/autograd';
import { concat, scope, type Tensor } from '@dawnchorus/tensor';
import type { PretrainConfig } from '../config/index.ts';
import { stackClips } from '../data/batch.ts';
import { entropyOf } from '../entropy.ts';
import { normaliseOnDevice } from '../model/normalise.ts';
import { hostRandom, purpose } from '../random.ts';
import { Autoencoder } from './autoencoder.ts';
import { emptyQuantizer, type ResidualQuantizer, startQuantizer } from './quantizer.ts';
import { reconstructionLoss } from './reconstruction.ts';

type RvqConfig = PretrainConfig['rvq'];

/** Samples of audio behind each code. */
export const SAMPLES_PER_CODE = 320;

/** Share of the steps that train the autoencoder alone, before k-means starts the codebooks on its latents. */
const WARMUP_SHARE = 0.35;
/** Latent vectors for k-means, for each entry of a codebook. */
const KMEANS_ROWS_PER_CODE = 24;

/** Ten times what is added for the student: the labels of teachers that there are depend on it. */
const EPSILON = 1e-6;

/** Clips as the student hears them: codes that told how loud a clip is could not be predicted. */
const normalise = (waveform: Tensor): Tensor => normaliseOnDevice(waveform, EPSILON);

/** Latents [batch, dimension, frames] as rows [batch * frames, dimension]. */
function asRows(latent: Tensor): Tensor {
  return latent.permute([0, 2, 1]).reshape([-1, latent.shape[1]]);
}

function fromRows(rows: Tensor, batch: number): Tensor {
  return rows.reshape([batch, -1, rows.shape[1]]).permute([0, 2, 1]);
}

/** The acoustic teacher: an RVQ-VAE whose codes the student predicts. */
export class RvqTeacher {
  readonly autoencoder: Autoencoder;
  quantizer: ResidualQuantizer;

  constructor(autoencoder: Autoencoder, quantizer: ResidualQuantizer) {
    this.autoencoder = autoencoder;
    this.quantizer = quantizer;
  }

  /**
   * Codes of clips [batch, samples] in [-1, 1] at the rate it was trained at: i32 [codebooks, batch, frames], where
   * frames = floor(samples / 320).
   */
  encode(waveform: Tensor): Tensor {
    const [batch, samples] = waveform.shape;
    const frames = Math.floor(samples / SAMPLES_PER_CODE);
    const whole = waveform.sliceAxis(1, 0, frames * SAMPLES_PER_CODE);
    const codes = this.quantizer.search(asRows(this.autoencoder.encode(normalise(whole))));
    return codes.reshape([codes.shape[0], batch, frames]);
  }

  /** Waveforms [batch, frames * 320] of unit variance from codes [codebooks, batch, frames]. */
  decode(codes: Tensor): Tensor {
    const [codebooks, batch] = codes.shape;
    const rows = this.quantizer.decode(Array.from({ length: codebooks }, (_, i) => codes.select(0, i).reshape([-1])));
    return this.autoencoder.decode(fromRows(rows, batch));
  }

  /** Everything that a checkpoint of the teacher holds. */
  named(): Map<string, Tensor> {
    return new Map([...this.autoencoder.stateDict(), ...this.quantizer.named()]);
  }

  /** Gives the parameters and codebooks back. */
  dispose(): void {
    this.autoencoder.dispose();
    this.quantizer.dispose();
  }
}

/** A teacher with random weights, to be filled from a checkpoint. */
export function emptyTeacher(config: RvqConfig, seed: number): RvqTeacher {
  const autoencoder = new Autoencoder(config.channels, config.dimension, nn.keySequence(seed));
  return new RvqTeacher(autoencoder, emptyQuantizer(config.numCodebooks, config.codebookSize, config.dimension));
}

/** How a step of the teacher's training went. */
export interface TeacherStep {
  step: number;
  loss: number;
  /** Mean absolute error of the waveform over its mean absolute value. */
  error: number;
  /** exp(entropy) of each codebook's use in this step; empty before k-means. */
  perplexity: number[];
}

/** exp of the entropy of how often each code occurs. */
export function perplexity(codes: ArrayLike<number>, size: number): number {
  const counts = new Float64Array(size);
  for (let i = 0; i < codes.length; i++) counts[codes[i]]++;
  return Math.exp(entropyOf(counts));
}

/** How the acoustic teacher is trained. */
export interface TeacherTraining {
  config: RvqConfig;
  seed: number;
  /** Clips of one step, clean, all of one length, a multiple of 320 samples; `count` of them from number `first` on. */
  readClips(first: number, count: number): Promise<Float32Array[]>;
  /** Told of each step when it is done. */
  onStep?(step: TeacherStep): void;
  /** Asked before each step; true ends the training without a teacher. */
  stopped?(): boolean;
}

/** @throws RangeError for clips that a code for every 320 samples does not fill. */
function checkClips(clips: readonly Float32Array[]): Float32Array[] {
  const odd = clips.find(({ length }) => length !== clips[0].length || length === 0 || length % SAMPLES_PER_CODE !== 0);
  if (odd) {
    throw new RangeError(
      `trainTeacher: readClips gave ${clips.map(({ length }) => length).join(', ')} samples; expected clips of one ` +
        `length, a multiple of ${SAMPLES_PER_CODE}`,
    );
  }
  return [...clips];
}

/** Latent rows of enough clips for k-means. */
async function latentsForKMeans(
  autoencoder: Autoencoder,
  { config, readClips }: TeacherTraining,
  first: number,
): Promise<Tensor> {
  const parts: Tensor[] = [];
  const wanted = KMEANS_ROWS_PER_CODE * config.codebookSize;
  for (let rows = 0, at = first; rows < wanted; at += config.batchSize) {
    const clips = await readClips(at, config.batchSize);
    const part = scope(() => asRows(autoencoder.encode(normalise(stackClips(clips)))));
    parts.push(part);
    rows += part.shape[0];
  }
  const rows = concat(parts);
  for (const part of parts) part.dispose();
  return rows;
}

/**
 * Trains a teacher: first the autoencoder alone, then k-means on its latents, then both together with a straight-through
 * estimator and a commitment loss against every stage. Returns undefined when it was stopped.
 *
 * @throws RangeError for clips of other lengths than `readClips` says.
 */
export async function trainTeacher(training: TeacherTraining): Promise<RvqTeacher | undefined> {
  const { config, seed, onStep, stopped } = training;
  const readClips = async (first: number, count: number) => checkClips(await training.readClips(first, count));
  const autoencoder = new Autoencoder(config.channels, config.dimension, nn.keySequence(seed));
  const parameters = autoencoder.namedParameters();
  const optimizer = new optim.AdamW(parameters, { betas: [0.9, 0.99], weightDecay: 0, clipNorm: 1 });
  const schedule = optim.polynomialDecay({
    peak: config.learningRate,
    warmupSteps: Math.ceil(config.steps / 20),
    totalSteps: config.steps * 1.1,
  });
  const random = hostRandom(seed, purpose.rvq);
  const warmup = Math.floor(config.steps * WARMUP_SHARE);
  let quantizer: ResidualQuantizer | undefined;
  // Whoever awaits them gets the error; nobody may come to.
  const prefetch = (first: number) => {
    const clips = readClips(first, config.batchSize);
    clips.catch(() => {});
    return clips;
  };
  let next = prefetch(0);
  for (let step = 1; step <= config.steps; step++) {
    if (stopped?.()) {
      optimizer.dispose();
      autoencoder.dispose();
      quantizer?.dispose();
      return undefined;
    }
    if (step === warmup + 1) {
      const latents = await latentsForKMeans(autoencoder, training, step * config.batchSize);
      quantizer = startQuantizer(latents, config.numCodebooks, config.codebookSize, random);
      latents.dispose();
    }
    const clips = await next;
    if (step < config.steps) next = prefetch(step * config.batchSize);
    const result = scope(() =>
      trainStep(autoencoder, quantizer, normalise(stackClips(clips)), config.commitmentWeight, parameters),
    );
    // Braces: a scope keeps what it returns, and nobody wants the gradient's norm.
    scope(() => {
      optimizer.step(result.gradients, schedule(step));
    });
    const { codes, inputs, error } = result.auxiliary;
    quantizer?.update(codes, inputs, config, random);
    for (const tensor of [...result.gradients.values(), ...inputs]) tensor.dispose();
    const perplexities: number[] = [];
    const read = [await result.value.item(), await error.item()];
    for (const code of codes) {
      perplexities.push(perplexity(await code.data(), config.codebookSize));
      code.dispose();
    }
    result.value.dispose();
    error.dispose();
    if (!Number.isFinite(read[0]))
      throw new Error(`the acoustic teacher's loss became ${read[0]} at step ${step}; lower rvq.learningRate`);
    onStep?.({ step, loss: read[0], error: read[1], perplexity: perplexities });
  }
  // The parameters keep the optimiser's arena alive as views of it.
  optimizer.dispose();
  if (!quantizer) throw new Error('rvq.steps must leave steps for the codebooks; use 2 or more');
  return new RvqTeacher(autoencoder, quantizer);
}

function trainStep(
  autoencoder: Autoencoder,
  quantizer: ResidualQuantizer | undefined,
  waveform: Tensor,
  commitmentWeight: number,
  parameters: ReadonlyMap<string, Tensor>,
) {
  return valueAndGrad(() => {
    const latent = autoencoder.encode(waveform);
    const rows = asRows(latent);
    let quantised = rows;
    let commitment: Tensor | undefined;
    let codes: Tensor[] = [];
    let inputs: Tensor[] = [];
    if (quantizer) {
      const fixed = stopGradient(rows);
      const encoded = quantizer.encode(fixed);
      codes = encoded.codes;
      inputs = encoded.inputs;
      // Straight through: forward the quantised vector, backward the identity.
      quantised = rows.sub(encoded.residual);
      // Each stage pulls the latent towards what the stages so far can say, detached stage by stage.
      const left = [...inputs.slice(1), encoded.residual];
      const parts = left.map((residual) => rows.sub(fixed.sub(residual)).square().mean());
      commitment = parts.reduce((sum, part) => sum.add(part)).mul(commitmentWeight / parts.length);
    }
    const decoded = autoencoder.decode(fromRows(quantised, waveform.shape[0]));
    const { loss, error } = reconstructionLoss(decoded, waveform);
    return { loss: commitment ? loss.add(commitment) : loss, auxiliary: { codes, inputs, error } };
  }, parameters);
}
