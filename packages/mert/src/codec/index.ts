export { openTrack, type Track } from './audio.ts';
export { type CodebookChoice, Codec } from './codec.ts';
export {
  bitsPerCodebook,
  type CodecConfig,
  codebooksFor,
  codecConfig,
  codecFromHuggingFace,
  codecToHuggingFace,
  frameRate,
  framesOf,
  hopLength,
} from './config.ts';
export { loadCodec, saveCodec } from './load.ts';
export { type Pass, type PieceByPiece, pieceByPiece } from './pass.ts';
export { decodePieces, decodeTrack, encodePieces, encodeTrack, type StreamOptions } from './stream.ts';
