import { nn } from '@dawnchorus/autograd';
import {
  apply,
  argmax,
  cast,
  eq,
  indexSelect,
  matmul,
  maximum,
  rsqrt,
  scope,
  sumSquares,
  type Tensor,
  tensor,
  transpose,
  where,
} from '@dawnchorus/tensor';

/** A head that predicts a spectrum. */
export class SpectrumHead extends nn.Module {
  fc: nn.Linear;

  constructor(hiddenSize: number, bins: number, keys: nn.KeySequence) {
    super();
    this.fc = new nn.Linear(hiddenSize, bins, keys);
  }
}

/** Sizes of the heads. */
export interface HeadsConfig {
  hiddenSize: number;
  numCodebooks: number;
  /** Classes of each codebook, or of the largest. */
  codebookSize: number;
  /** Classes of each set of labels, where they differ; by default `numCodebooks` of `codebookSize`. */
  classes?: readonly number[];
  /** Classes in front of the codes that never occur, as fairseq's dictionaries have them; none by default. */
  specialClasses?: number;
  finalDim: number;
  cqtBins: number;
  /** Bands of the mel spectrum; without it there is no such head. */
  melBins?: number;
  logitTemperature: number;
}

/** What the heads are to predict, at rows of masked frames. */
export interface HeadsTargets {
  /** i32 [numCodebooks, rows] */
  labels: Tensor;
  /** [rows, cqtBins] */
  cqt: Tensor;
  /** [rows, melBins], where there is a mel head. */
  mel?: Tensor;
  /** f32 [rows]: what each row counts, together 1; all alike without it. */
  rowWeights?: Tensor;
}

/** The losses of the heads. */
export interface HeadsOutput {
  /** Mean cross-entropy of each codebook over the masked frames, [numCodebooks], nats. */
  lossCodes: Tensor;
  /** Mean squared error of the constant-Q spectrum over masked frames and bins, a scalar. */
  lossCqt: Tensor;
  /** The same of the mel spectrum, where there is such a head. */
  lossMel?: Tensor;
  /** Share of masked frames whose code is the most likely one, [numCodebooks]. */
  accuracy: Tensor;
}

/** Divides the last axis by its length, as cosine similarity does. */
function normalise(x: Tensor): Tensor {
  return x.mul(rsqrt(maximum(sumSquares(x, { dim: -1, keepdim: true }), 1e-16)));
}

/** The mean over rows, the last axis: weighted where there are weights. */
const overRows = (x: Tensor, weights: Tensor | undefined): Tensor =>
  weights ? x.mul(weights).sum({ dim: -1 }) : x.mean({ dim: -1 });

const squaredError = (made: Tensor, wanted: Tensor, weights: Tensor | undefined): Tensor =>
  weights ? overRows(made.sub(wanted).square().mean({ dim: 1 }), weights) : nn.mseLoss(made, wanted);

/** Where the embeddings of sets of different sizes lie when all are filled up to the largest. */
interface Filled {
  /** i32 [sets * largest]: rows of the embeddings. */
  rows: Tensor;
  /** bool [sets, 1, largest]: the classes that there are. */
  real: Tensor;
}

function fillUp(sizes: readonly number[]): Filled | undefined {
  const largest = Math.max(...sizes);
  if (sizes.every((size) => size === largest)) return undefined;
  const rows = new Int32Array(sizes.length * largest);
  const real = new Uint32Array(rows.length);
  let first = 0;
  for (const [k, size] of sizes.entries()) {
    for (let i = 0; i < size; i++) {
      rows[k * largest + i] = first + i;
      real[k * largest + i] = 1;
    }
    first += size;
  }
  return scope(() => ({
    rows: tensor(rows).retain(),
    real: tensor(real, { shape: [sizes.length, 1, largest], dtype: 'bool' }).retain(),
  }));
}

/** The pretraining heads: cosine logits over every codebook at once, and linear maps to spectra. */
export class Heads extends nn.Module {
  finalProj: nn.Linear;
  /** [all classes of all codebooks, finalDim] */
  labelEmbsConcat: Tensor;
  encoderCqtModel: SpectrumHead;
  encoderMelModel: SpectrumHead | undefined;
  readonly config: HeadsConfig;
  /** Classes of each codebook, those that never occur included. */
  readonly sizes: readonly number[];
  readonly #filled: Filled | undefined;

  constructor(config: HeadsConfig, keys: nn.KeySequence) {
    super();
    const { hiddenSize, numCodebooks, codebookSize, classes, specialClasses = 0, finalDim, melBins } = config;
    this.config = config;
    this.sizes = (classes ?? Array<number>(numCodebooks).fill(codebookSize)).map((size) => size + specialClasses);
    const rows = this.sizes.reduce((sum, size) => sum + size, 0);
    this.finalProj = new nn.Linear(hiddenSize, this.sizes.length * finalDim, keys);
    this.labelEmbsConcat = nn.initUniform([rows, finalDim], 0, 1, keys);
    this.encoderCqtModel = new SpectrumHead(hiddenSize, config.cqtBins, keys);
    if (melBins !== undefined) this.encoderMelModel = new SpectrumHead(hiddenSize, melBins, keys);
    this.#filled = fillUp(this.sizes);
  }

  /** Logits of frames [rows, hiddenSize]: [numCodebooks, rows, largest number of classes]. */
  logits(frames: Tensor): Tensor {
    const { finalDim, logitTemperature } = this.config;
    const [sets, largest] = [this.sizes.length, Math.max(...this.sizes)];
    const projected = normalise(this.finalProj.forward(frames).reshape([-1, sets, finalDim])).permute([1, 0, 2]);
    const filled = this.#filled;
    const rows = filled ? indexSelect(this.labelEmbsConcat, 0, filled.rows) : this.labelEmbsConcat;
    const classes = normalise(rows.reshape([sets, largest, finalDim]));
    // The codes are fewer than the logits.
    const logits = matmul(projected, transpose(classes.mul(1 / logitTemperature)));
    return filled ? where(filled.real, logits, -1e30) : logits;
  }

  /**
   * The losses of all targets.
   *
   * @param frames the student's last hidden state at the masked frames, f32 [rows, hiddenSize].
   */
  forward(frames: Tensor, { labels, cqt, mel, rowWeights }: HeadsTargets): HeadsOutput {
    const { specialClasses = 0 } = this.config;
    const logits = this.logits(frames);
    const codes = specialClasses > 0 ? labels.add(specialClasses) : labels;
    const [losses] = apply('crossEntropy', [logits, codes], { ignoreIndex: -100, labelSmoothing: 0 });
    const correct = cast(eq(argmax(logits, { dim: 2 }), codes), 'f32');
    return {
      lossCodes: overRows(losses, rowWeights),
      lossCqt: squaredError(this.encoderCqtModel.fc.forward(frames), cqt, rowWeights),
      ...(this.encoderMelModel &&
        mel && { lossMel: squaredError(this.encoderMelModel.fc.forward(frames), mel, rowWeights) }),
      accuracy: overRows(correct, rowWeights),
    };
  }

  override dispose(): void {
    for (const table of this.#filled ? [this.#filled.rows, this.#filled.real] : []) table.dispose();
    super.dispose();
  }
}
