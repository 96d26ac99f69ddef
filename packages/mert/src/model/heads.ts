import { nn } from '@dawnchorus/autograd';
import {
  apply,
  argmax,
  cast,
  eq,
  matmul,
  maximum,
  rsqrt,
  sumSquares,
  type Tensor,
  transpose,
} from '@dawnchorus/tensor';

/** The head that predicts the constant-Q spectrum. */
export class CqtModel extends nn.Module {
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
  /** Classes of each codebook. */
  codebookSize: number;
  finalDim: number;
  cqtBins: number;
  logitTemperature: number;
}

/** The losses of the heads. */
export interface HeadsOutput {
  /** Mean cross-entropy of each codebook over the masked frames, [numCodebooks], nats. */
  lossCodes: Tensor;
  /** Mean squared error of the constant-Q spectrum over masked frames and bins, a scalar. */
  lossCqt: Tensor;
  /** Share of masked frames whose code is the most likely one, [numCodebooks]. */
  accuracy: Tensor;
}

/** Divides the last axis by its length, as cosine similarity does. */
function normalise(x: Tensor): Tensor {
  return x.mul(rsqrt(maximum(sumSquares(x, { dim: -1, keepdim: true }), 1e-16)));
}

/** The pretraining heads: cosine logits over every codebook at once, and a linear map to the constant-Q spectrum. */
export class Heads extends nn.Module {
  finalProj: nn.Linear;
  /** [numCodebooks * codebookSize, finalDim] */
  labelEmbsConcat: Tensor;
  encoderCqtModel: CqtModel;
  readonly config: HeadsConfig;

  constructor(config: HeadsConfig, keys: nn.KeySequence) {
    super();
    const { hiddenSize, numCodebooks, codebookSize, finalDim } = config;
    this.config = config;
    this.finalProj = new nn.Linear(hiddenSize, numCodebooks * finalDim, keys);
    this.labelEmbsConcat = nn.initUniform([numCodebooks * codebookSize, finalDim], 0, 1, keys);
    this.encoderCqtModel = new CqtModel(hiddenSize, config.cqtBins, keys);
  }

  /** Logits of frames [rows, hiddenSize]: [numCodebooks, rows, codebookSize]. */
  logits(frames: Tensor): Tensor {
    const { numCodebooks, codebookSize, finalDim, logitTemperature } = this.config;
    const projected = normalise(this.finalProj.forward(frames).reshape([-1, numCodebooks, finalDim])).permute([
      1, 0, 2,
    ]);
    const classes = normalise(this.labelEmbsConcat.reshape([numCodebooks, codebookSize, finalDim]));
    // The codes are fewer than the logits.
    return matmul(projected, transpose(classes.mul(1 / logitTemperature)));
  }

  /**
   * The losses of both teachers' targets.
   *
   * @param frames the student's last hidden state at the masked frames, [rows, hiddenSize].
   * @param labels i32 [numCodebooks, rows].
   * @param cqt [rows, cqtBins].
   */
  forward(frames: Tensor, labels: Tensor, cqt: Tensor): HeadsOutput {
    const logits = this.logits(frames);
    const [losses] = apply('crossEntropy', [logits, labels], { ignoreIndex: -100, labelSmoothing: 0 });
    const correct = cast(eq(argmax(logits, { dim: 2 }), labels), 'f32');
    return {
      lossCodes: losses.mean({ dim: 1 }),
      lossCqt: nn.mseLoss(this.encoderCqtModel.fc.forward(frames), cqt),
      accuracy: correct.mean({ dim: 1 }),
    };
  }
}
