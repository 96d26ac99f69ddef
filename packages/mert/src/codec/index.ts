export { type BalancerOptions, type BalancerState, balance, startBalancer } from './balancer.ts';
export { type CodebookChoice, Codec } from './codec.ts';
export {
  bitsPerCodebook,
  type CodecConfig,
  codebooksFor,
  codecConfig,
  codecFromHuggingFace,
  codecSchema,
  codecToHuggingFace,
  frameRate,
  framesOf,
  hopLength,
} from './config.ts';
export {
  adversarialLoss,
  Discriminator,
  type DiscriminatorOptions,
  discriminatorDefaults,
  featureLoss,
  hingeLoss,
  type Judgement,
  type ScaleJudge,
} from './discriminator.ts';
export {
  type CodecEvaluation,
  type CodecReport,
  codecReportText,
  evaluateCodec,
  type QualityAt,
} from './evaluate.ts';
export { loadCodec, saveCodec } from './load.ts';
export { type CodeUse, codeUse, melDistance, siSdr } from './measures.ts';
export { type MelLossOptions, melLossDefaults, multiScaleMelLoss } from './mel-loss.ts';
export { type Pass, type PieceByPiece, pieceByPiece } from './pass.ts';
export { movedCodebooks, type QuantizedRows, quantizeRows } from './quantize.ts';
export type { CodecDecoder, CodecEncoder, CodecLayer, CodecNetwork } from './seanet.ts';
export {
  decodePieces,
  decodeTrack,
  encodePieces,
  encodeTrack,
  type SamplePieces,
  type StreamOptions,
} from './stream.ts';
export { type CodecTraining, type CodecTrainingResult, trainCodec } from './train.ts';
export { type CodecTrainConfig, codecPresets, codecTrainSchema, loadCodecTrainConfig } from './train-config.ts';
