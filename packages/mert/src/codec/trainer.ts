import { nn, optim, stopGradient, valueAndGrad } from '@dawnchorus/autograd';
import { compile, concat, div, log2, mul, ones, scope, segmentSum, type Tensor, tensor } from '@dawnchorus/tensor';
import { type HostRandom, hostRandom, purpose } from '../random.ts';
import { type Codebook, startQuantizer } from '../rvq/quantizer.ts';
import { type BalancerState, balance, startBalancer } from './balancer.ts';
import { Codec, latentsOfRows, rowsOfLatents } from './codec.ts';
import { adversarialLoss, Discriminator, featureLoss, hingeLoss } from './discriminator.ts';
import { type MelLossOptions, multiScaleMelLoss } from './mel-loss.ts';
import { movedCodebooks, quantizeRows } from './quantize.ts';
import { CODEC_RATE, type CodecTrainConfig, codecCropSamples, isAdversarial } from './train-config.ts';

/** The losses of the waveform, in the order in which the balancer knows them. */
export const lossNames = ['l1', 'mel', 'adversarial', 'feature'] as const;
export type LossName = (typeof lossNames)[number];

/** What one step measured. */
export interface CodecMetrics {
  /** Of the losses in use, before weighting. */
  losses: Partial<Record<LossName, number>>;
  commitment: number;
  /** The discriminator's own, in steps in which it learnt. */
  discriminator: number | undefined;
  gradNorm: number;
  /** Codebooks in use. */
  codebooks: number;
  /** Bits that each codebook's use in this step has, at most log2 of its size. Empty before the codebooks start. */
  entropies: number[];
}

/** A codec in training. */
export interface CodecTrainer {
  config: CodecTrainConfig;
  codec: Codec;
  /** False until k-means has started the codebooks. */
  started: boolean;
  parameters: Map<string, Tensor>;
  optimizer: optim.AdamW;
  discriminator: Discriminator | undefined;
  discriminatorOptimizer: optim.AdamW | undefined;
  /** Running norms, for each of `lossNames`. */
  balancer: BalancerState;
  schedule(step: number): number;
  step: { (input: StepInput): StepOutput; dispose?(): void };
}

/** What a compiled step takes. Numbers and flags of it lead to traces of their own. */
interface StepInput extends Record<string, unknown> {
  /** f32 [batch, samples] */
  waveform: Tensor;
  learningRate: Tensor;
  /** None before k-means. */
  codebooks: Record<keyof Codebook, Tensor>[];
  /** 1 for each stage in use, else 0: scalars. */
  used: Tensor[];
  /** Rows for dead codes, i32 [stages, codes]. */
  picks: Tensor | undefined;
  balancer: Record<keyof BalancerState, Tensor>;
  /** Whether the discriminator has joined, and whether it learns in this step. */
  adversarial: boolean;
  discriminating: boolean;
}

interface StepOutput {
  /** losses, commitment, discriminator, squared norm of the gradient, entropies: f32 [numbers]. */
  measured: Tensor;
  codebooks: Codebook[];
  balancer: BalancerState;
}

/** The learning rate of each step: warm-up, then constant, or falling to a tenth. */
function scheduleOf({ optimizer, training }: CodecTrainConfig): (step: number) => number {
  const { learningRate, warmupSteps, decay } = optimizer;
  if (!decay) return (step) => learningRate * Math.min(1, step / Math.max(1, warmupSteps));
  return optim.polynomialDecay({
    peak: learningRate,
    warmupSteps,
    totalSteps: training.steps,
    end: learningRate / 10,
  });
}

/**
 * Codec, discriminator and optimisers of a configuration, with fresh parameters. Compiled, a step takes longer the first
 * time, and less after that.
 */
export function createCodecTrainer(config: CodecTrainConfig, { compiled = true } = {}): CodecTrainer {
  const { model, quantizer, training } = config;
  const { numCodebooks, codebookSize } = quantizer;
  const keys = nn.keySequence(training.seed);
  const codec = new Codec({ ...model, sampleRate: CODEC_RATE, numCodebooks, codebookSize }, keys);
  const parameters = codec.namedParameters();
  const { betas, eps, clipNorm } = config.optimizer;
  const adam = { betas, eps, weightDecay: 0 };
  const discriminator = isAdversarial(config) ? new Discriminator(config.discriminator, keys) : undefined;
  const trainer: CodecTrainer = {
    config,
    codec,
    started: false,
    parameters,
    optimizer: new optim.AdamW(parameters, { ...adam, clipNorm }),
    discriminator,
    discriminatorOptimizer: discriminator && new optim.AdamW(discriminator.namedParameters(), adam),
    balancer: startBalancer(lossNames.length),
    schedule: scheduleOf(config),
    step: compiled ? compile((input: StepInput) => learn(trainer, input)) : (input) => learn(trainer, input),
  };
  return trainer;
}

/** Gives a trainer's memory back, but for the codec's. */
export function disposeTrainingState(trainer: CodecTrainer): void {
  trainer.step.dispose?.();
  for (const part of [trainer.optimizer, trainer.discriminator, trainer.discriminatorOptimizer]) part?.dispose();
  for (const tensor of Object.values<Tensor>({ ...trainer.balancer })) tensor.dispose();
}

/** What a checkpoint holds besides the codec. */
export function codecTrainingTensors(trainer: CodecTrainer): Map<string, Tensor> {
  const named = new Map<string, Tensor>();
  const moments = (prefix: string, optimizer: optim.AdamW | undefined) =>
    optimizer?.moments.forEach(({ first, second }, i) => {
      named.set(`${prefix}.${i}.firstMoment`, first);
      named.set(`${prefix}.${i}.secondMoment`, second);
    });
  moments('optimizer', trainer.optimizer);
  for (const [name, tensor] of trainer.discriminator?.stateDict('discriminator.') ?? []) named.set(name, tensor);
  moments('discriminatorOptimizer', trainer.discriminatorOptimizer);
  for (const [name, tensor] of Object.entries(trainer.balancer)) named.set(`balancer.${name}`, tensor);
  return named;
}

/** Losses of an output that are in use, with their weights. */
function lossesOf(
  { config, discriminator }: CodecTrainer,
  target: Tensor,
  adversarial: boolean,
): { name: LossName; weight: number; of(output: Tensor): Tensor }[] {
  const { loss } = config;
  const mel: MelLossOptions = {
    sampleRate: CODEC_RATE,
    scales: loss.melScales,
    nMels: loss.melBins,
    fMin: 64,
    alphas: loss.melAlphas,
    normalized: true,
  };
  // A compiled function judges each waveform once, however often this says it.
  const judge = (waveform: Tensor) => discriminator!.forward(waveform);
  const all = {
    l1: (output: Tensor) => output.sub(target).abs().mean(),
    mel: (output: Tensor) => multiScaleMelLoss(output, target, mel),
    adversarial: (output: Tensor) => adversarialLoss(judge(output), loss.adversarialForm),
    feature: (output: Tensor) => featureLoss(judge(target), judge(output), loss.relativeFeatures),
  };
  return lossNames
    .filter((name) => loss[name] > 0 && (adversarial || name === 'l1' || name === 'mel'))
    .map((name) => ({ name, weight: loss[name], of: all[name] }));
}

/** Bits of how often codes [rows] occur. */
function entropyOf(codes: Tensor, size: number): Tensor {
  const rows = codes.shape[0];
  const shares = div(segmentSum(ones([rows], { device: codes.device }), codes, { count: size }), rows);
  return mul(shares, log2(shares.maximum(1e-20)))
    .sum()
    .neg();
}

/** A scalar of each loss's place; what is not in use is 0. */
function placed(values: Partial<Record<LossName, Tensor>>): Tensor {
  return concat(lossNames.map((name) => (values[name] ?? tensor(0)).reshape([1])));
}

/** One step of the discriminator on real and decoded clips [batch, samples]; its loss. */
function teachDiscriminator(
  { discriminator, discriminatorOptimizer }: CodecTrainer,
  real: Tensor,
  decoded: Tensor,
  learningRate: Tensor,
): Tensor | undefined {
  if (!discriminator || !discriminatorOptimizer) return undefined;
  const { value, gradients } = valueAndGrad(
    () => hingeLoss(discriminator.forward(real), discriminator.forward(decoded)),
    discriminator.namedParameters(),
  );
  discriminatorOptimizer.step(gradients, learningRate);
  return value;
}

/**
 * One step: the gradients of all losses with respect to the output, balanced into one, which goes back through the codec
 * together with the commitment; then the codebooks' averages. Where the discriminator learns, it does so first. Nothing but
 * operations.
 */
function learn(trainer: CodecTrainer, input: StepInput): StepOutput {
  const { codec, config, parameters, optimizer } = trainer;
  const { waveform, learningRate, codebooks, used, picks, adversarial, discriminating } = input;
  const losses = lossesOf(trainer, waveform, adversarial);
  const { gradients, auxiliary } = valueAndGrad(() => {
    const rows = rowsOfLatents(codec.latents(waveform));
    const quantized = codebooks.length > 0 ? quantizeRows(rows, codebooks, used) : undefined;
    const output = codec.synthesize(latentsOfRows(quantized?.quantized ?? rows, waveform.shape[0]));
    const fixed = stopGradient(output);
    // As in audiocraft: the discriminator learns from this output first, and its newer self judges it.
    const judged = discriminating ? teachDiscriminator(trainer, waveform, fixed, learningRate) : undefined;
    const found = losses.map(({ of }) => valueAndGrad(() => of(fixed), [fixed]));
    const joined = joinGradients(
      trainer,
      input,
      losses,
      found.map(({ gradients: [own] }) => own),
    );
    const fromOutput = output.mul(stopGradient(joined.gradient)).sum();
    const { commitment: weight } = config.loss;
    const loss = quantized && weight > 0 ? fromOutput.add(quantized.commitment.mul(weight)) : fromOutput;
    const values = Object.fromEntries(losses.map(({ name }, i) => [name, found[i].value]));
    return { loss, auxiliary: { judged, quantized, values, balancer: joined.balancer } };
  }, parameters);
  const { judged, quantized, values, balancer } = auxiliary;
  const squaredNorm = optimizer.step(gradients, learningRate);
  const entropies = quantized?.codes.map((codes) => entropyOf(codes, config.quantizer.codebookSize).reshape([1])) ?? [];
  const numbers = [quantized?.commitment ?? tensor(0), judged ?? tensor(0), squaredNorm].map((value) =>
    value.reshape([1]),
  );
  return {
    measured: concat([placed(values), ...numbers, ...entropies]),
    codebooks: quantized ? movedCodebooks(codebooks, quantized, picks!, config.quantizer, used) : [],
    balancer,
  };
}

/** One gradient of all, by the balancer or by plain weights. */
function joinGradients(
  { config }: CodecTrainer,
  { balancer }: StepInput,
  losses: readonly { name: LossName; weight: number }[],
  gradients: readonly Tensor[],
): { gradient: Tensor; balancer: BalancerState } {
  if (!config.loss.balancer) {
    const parts = gradients.map((gradient, i) => gradient.mul(losses[i].weight));
    return { gradient: parts.reduce((sum, part) => sum.add(part)), balancer };
  }
  // Losses that are not in use keep their place, so that a discriminator may join later.
  const places = losses.map(({ name }) => lossNames.indexOf(name));
  const own = {
    sums: concat(places.map((at) => balancer.sums.sliceAxis(0, at, at + 1))),
    counts: concat(places.map((at) => balancer.counts.sliceAxis(0, at, at + 1))),
  };
  const weights = losses.map(({ weight }) => weight);
  const result = balance(gradients, own, { weights, decay: config.loss.balancerDecay });
  const scattered = (kind: 'sums' | 'counts') =>
    concat(
      lossNames.map((_, place) => {
        const i = places.indexOf(place);
        return i >= 0 ? result.state[kind].sliceAxis(0, i, i + 1) : balancer[kind].sliceAxis(0, place, place + 1);
      }),
    );
  return { gradient: result.gradient, balancer: { sums: scattered('sums'), counts: scattered('counts') } };
}

/** Draws of one step on the host: they depend on the seed and the step alone. */
function drawStep({ config }: CodecTrainer, random: HostRandom, rows: number) {
  const { numCodebooks, codebookSize, dropout } = config.quantizer;
  const codebooks = dropout ? random.integer(1, numCodebooks) : numCodebooks;
  const learns = random.uniform() < config.discriminator.updateProbability;
  const picks = Int32Array.from({ length: numCodebooks * codebookSize }, () => random.integer(0, rows - 1));
  return { codebooks, learns, picks };
}

/** One step on clips [batch, samples]: forward, backward, updates. */
export async function trainCodecStep(trainer: CodecTrainer, waveform: Tensor, step: number): Promise<CodecMetrics> {
  const { config, codec, started } = trainer;
  const { numCodebooks, codebookSize } = config.quantizer;
  const rows = waveform.shape[0] * Math.ceil(waveform.shape[1] / codec.hopLength);
  const drawn = drawStep(trainer, hostRandom(config.training.seed, purpose.rvq, step, 1), rows);
  const adversarial = isAdversarial(config) && step > config.discriminator.startStep;
  const discriminating = adversarial && drawn.learns;
  const output = scope(() =>
    trainer.step({
      waveform,
      learningRate: tensor([trainer.schedule(step)]),
      codebooks: started ? codec.quantizer.codebooks.map((codebook) => ({ ...codebook })) : [],
      used: started ? Array.from({ length: numCodebooks }, (_, i) => tensor(i < drawn.codebooks ? 1 : 0)) : [],
      picks: started ? tensor(drawn.picks, { shape: [numCodebooks, codebookSize] }) : undefined,
      balancer: { ...trainer.balancer },
      adversarial,
      discriminating,
    }),
  );
  const { measured } = output;
  if (started) replaceCodebooks(trainer, output.codebooks);
  replaceBalancer(trainer, output.balancer);
  const numbers = [...((await measured.data()) as Float32Array)];
  measured.dispose();
  const losses: CodecMetrics['losses'] = {};
  for (const [i, name] of lossNames.entries()) {
    if (config.loss[name] > 0 && (adversarial || i < 2)) losses[name] = numbers[i];
  }
  const [commitment, discriminator, squaredNorm, ...entropies] = numbers.slice(lossNames.length);
  return {
    losses,
    commitment,
    discriminator: discriminating ? discriminator : undefined,
    gradNorm: Math.sqrt(squaredNorm),
    codebooks: started ? drawn.codebooks : 0,
    entropies: entropies.slice(0, started ? drawn.codebooks : 0),
  };
}

/** Disposes what was replaced. A step that is not compiled may return what it was given. */
function disposeOld<T extends Record<keyof T, Tensor>>(old: T, next: T): void {
  for (const key of Object.keys(old) as (keyof T)[]) if (old[key] !== next[key]) old[key].dispose();
}

function replaceCodebooks({ codec }: CodecTrainer, next: readonly Codebook[]): void {
  codec.quantizer.codebooks.forEach((old, i) => {
    codec.quantizer.codebooks[i] = next[i];
    disposeOld<Record<keyof Codebook, Tensor>>({ ...old }, { ...next[i] });
  });
}

function replaceBalancer(trainer: CodecTrainer, next: BalancerState): void {
  const old = trainer.balancer;
  trainer.balancer = next;
  disposeOld<Record<keyof BalancerState, Tensor>>({ ...old }, { ...next });
}

/**
 * Starts the codebooks by k-means, stage by stage, on the latents of clips.
 *
 * @param batches clips [batch, samples] each, as many as give the rows that the configuration asks for.
 */
export async function startCodebooks(
  trainer: CodecTrainer,
  batches: AsyncIterable<Tensor>,
  step: number,
): Promise<void> {
  const { codec, config } = trainer;
  const { numCodebooks, codebookSize, kmeansRows, kmeansIterations } = config.quantizer;
  const parts: Tensor[] = [];
  let rows = 0;
  for await (const waveform of batches) {
    parts.push(scope(() => rowsOfLatents(codec.latents(waveform))));
    waveform.dispose();
    rows += parts[parts.length - 1].shape[0];
    if (rows >= kmeansRows * codebookSize) break;
  }
  const { batchSize } = config.training;
  const framesOfBatch = (codecCropSamples(config) / codec.hopLength) * batchSize;
  const started = scope(() => {
    const random = hostRandom(config.training.seed, purpose.rvq, step, 2);
    const { codebooks } = startQuantizer(concat(parts), numCodebooks, codebookSize, random, kmeansIterations);
    // Counts as of one batch, where they end up: entries that no longer fit die in time.
    return codebooks.map(({ embed, embedAvg, clusterSize }) => {
      const scaled = {
        embed,
        embedAvg: mul(embedAvg, framesOfBatch / rows).retain(),
        clusterSize: mul(clusterSize, framesOfBatch / rows).retain(),
      };
      embedAvg.dispose();
      clusterSize.dispose();
      return scaled;
    });
  });
  for (const part of parts) part.dispose();
  replaceCodebooks(trainer, started);
  trainer.started = true;
}
