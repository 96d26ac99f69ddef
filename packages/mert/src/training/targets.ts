/** What the student is to predict: batches on the GPU, the teachers' view of them, and what trivial guesses would score. */
import { type Cqt, logMel } from '@dawnchorus/dsp';
import { add, apply, cast, concat, gather, gt, indexSelect, log, type Tensor, tensor } from '@dawnchorus/tensor';
import { frameLength, type PretrainConfig } from '../config/index.ts';
import { type HostBatch, stackClips } from '../data/batch.ts';
import type { CropTeacher } from '../labels/teacher.ts';
import { mostMasked } from '../model/masking.ts';
import { mixOnDevice, type UploadedMixture, uploadMixture } from '../model/mixture.ts';
import { normaliseOnDevice } from '../model/normalise.ts';
import type { Batch } from '../model/objective.ts';

/** The views that the student predicts. */
export interface Teachers {
  /** Labels each batch as it comes; not needed for batches that come with labels. */
  acoustic?: Pick<CropTeacher, 'encode' | 'dispose'>;
  cqt: Cqt;
}

/** A batch on the GPU that no teacher has heard yet. */
export interface UploadedBatch extends Pick<Batch, 'mask' | 'replacements' | 'rows' | 'rowWeights'> {
  /** f32 [batch, samples]: the clean clips. */
  heard: Tensor;
  /** What is mixed into them. */
  mixture?: UploadedMixture;
  /** i32 [rows]: the predicted frames' places in [batch * spectra]. */
  spectrumRows: Tensor;
  /** i32 [codebooks, batch * frames], where they were made before. */
  given?: Tensor;
}

/**
 * Brings a batch onto the GPU. Every clip has room for as many predicted frames as there can be, so that all batches are alike
 * and one compiled step does for all; what is not filled weighs nothing.
 */
export function uploadBatch(host: HostBatch, config: Pick<PretrainConfig, 'masking' | 'mixture'>): UploadedBatch {
  const { clean, draws, masks, masked, labels } = host;
  const [samples, frames] = [clean[0].length, masks[0].length];
  const predicted = masks.map((mask) => [...mask.keys()].filter((t) => mask[t]));
  const count = predicted.reduce((sum, own) => sum + own.length, 0);
  const room = Math.max(mostMasked(config.masking, frames), ...predicted.map((own) => own.length));
  // The same frame of each clip lies at another place in rows of frames and of spectra, which differ in length.
  const places = (length: number) =>
    tensor(
      Int32Array.from(
        predicted.flatMap((own, b) => Array.from({ length: room }, (_, i) => b * length + (own[i] ?? 0))),
      ),
    );
  const weights = predicted.flatMap((own) => Array.from({ length: room }, (_, i) => (i < own.length ? 1 / count : 0)));
  const rowsOfBits = (rows: readonly Uint8Array[]) =>
    tensor(Uint32Array.from(rows.flatMap((row) => [...row])), { shape: [rows.length, frames], dtype: 'bool' });
  return {
    heard: stackClips(clean),
    mask: rowsOfBits(masked?.hidden ?? masks),
    ...(masked && { replacements: tensor(masked.from) }),
    ...(config.mixture.probability > 0 && { mixture: uploadMixture(draws, config.mixture) }),
    rows: places(frames),
    rowWeights: tensor(Float32Array.from(weights)),
    spectrumRows: places(Math.floor(samples / frameLength) + 1),
    ...(labels && { given: joinLabels(labels, frames) }),
  };
}

/** Labels of clips, [codebooks, frames] each, side by side: [codebooks, batch * frames]. */
function joinLabels(labels: readonly Int32Array[], frames: number): Tensor {
  const codebooks = labels[0].length / frames;
  const all = new Int32Array(codebooks * labels.length * frames);
  for (const [b, own] of labels.entries()) {
    for (let k = 0; k < codebooks; k++) {
      all.set(own.subarray(k * frames, (k + 1) * frames), (k * labels.length + b) * frames);
    }
  }
  return tensor(all, { shape: [codebooks, labels.length * frames] });
}

/** The acoustic teacher's labels at the predicted frames: [codebooks, rows]. */
function labelsAt({ heard, mask, rows, given }: UploadedBatch, acoustic: Teachers['acoustic']): Tensor {
  if (given) return indexSelect(given, 1, rows);
  if (!acoustic) throw new Error('a batch without labels needs an acoustic teacher');
  // Teachers that look beyond a crop's end have a frame more than the student.
  const codes = acoustic.encode(heard).sliceAxis(2, 0, mask.shape[1]);
  return indexSelect(codes.reshape([codes.shape[0], -1]), 1, rows);
}

/** The optional mel target: log-mel energies, brought to zero mean and unit variance over the batch. [batch, bands, frames] */
function melTarget(heard: Tensor, sampleRate: number, nMels: number): Tensor {
  const mel = logMel(heard, {
    ...{ sampleRate, hopLength: frameLength, nFft: 2048, nMels, fMin: 32.7, scale: 'htk', norm: null, offset: 1e-5 },
    ...{ window: 'hann', center: true, padMode: 'reflect', normalized: 'window' },
  });
  const centred = mel.sub(mel.mean());
  return centred.div(centred.square().mean().sqrt().add(1e-5));
}

/** Asks the teachers for a batch's targets at the predicted frames, and mixes what the student hears. */
export function askTeachers(
  batch: UploadedBatch,
  { acoustic, cqt }: Teachers,
  { audio, mixture, loss, targets }: Pick<PretrainConfig, 'audio' | 'mixture' | 'loss' | 'targets'>,
): Batch {
  const { heard, mask, replacements, rows, rowWeights, spectrumRows } = batch;
  const spectrum = cqt.transform(targets.cqtNormalize ? normaliseOnDevice(heard) : heard).permute([0, 2, 1]);
  const at = (frames: Tensor) => indexSelect(frames.reshape([-1, frames.shape[2]]), 0, spectrumRows);
  return {
    waveform: normaliseOnDevice(batch.mixture ? mixOnDevice(heard, batch.mixture, mixture) : heard),
    mask,
    ...(replacements && { replacements }),
    rows,
    ...(rowWeights && { rowWeights }),
    labels: labelsAt(batch, acoustic),
    cqt: at(spectrum),
    cqtMeans: spectrum.mean({ dim: 1 }),
    ...(loss.melWeight > 0 && { mel: at(melTarget(heard, audio.sampleRate, targets.melBins).permute([0, 2, 1])) }),
  };
}

/** Uploads a batch and asks the teachers for its targets at the predicted frames. */
export function labelBatch(
  host: HostBatch,
  teachers: Teachers,
  config: Pick<PretrainConfig, 'audio' | 'masking' | 'mixture' | 'loss' | 'targets'>,
): Batch {
  return askTeachers(uploadBatch(host, config), teachers, config);
}

/** Sums over what the student was asked to predict, from which the trivial guesses are scored. */
export interface TargetStatistics {
  /** Occurrences of each code, [numCodebooks, codebookSize]. */
  labelCounts: Tensor;
  /** Sum and sum of squares of each CQT bin, [2, bins]. */
  cqtSums: Tensor;
  /** Frames seen, [1]. */
  frames: Tensor;
}

/** 1 for each row that is there, 0 for what only fills up. */
const present = ({ rowWeights, labels }: Batch): Tensor | undefined =>
  rowWeights && cast(gt(rowWeights, 0), 'f32').reshape([1, labels.shape[1]]);

/** The sums with a batch's targets added: new tensors. */
export function countTargets(statistics: TargetStatistics, batch: Batch): TargetStatistics {
  const { labels, cqt } = batch;
  const [codebooks, size] = statistics.labelCounts.shape;
  const rows = labels.shape[1];
  const there = present(batch);
  const one = (there ?? tensor([[1]])).expand([codebooks, rows]).add(0);
  const counts = apply('scatterAdd', [one, labels], { axis: 1, extent: size })[0];
  const seen = there ? cqt.mul(there.reshape([rows, 1])) : cqt;
  const sums = concat([seen.sum({ dim: 0, keepdim: true }), seen.mul(cqt).sum({ dim: 0, keepdim: true })]);
  return {
    labelCounts: add(statistics.labelCounts, counts),
    cqtSums: add(statistics.cqtSums, sums),
    frames: there ? add(statistics.frames, there.sum().reshape([1])) : add(statistics.frames, rows),
  };
}

/** What trivial guesses score on a batch, scalars: yardsticks for the losses beside them. */
export interface GuessedLosses {
  /** Mean cross-entropy of predicting how often each code has occurred so far, nats a codebook. */
  guessCodes: Tensor;
  /** Mean squared errors of the constant-Q spectrum: of silence, of the mean spectrum so far, of each clip's own mean. */
  guessCqtZero: Tensor;
  guessCqtMean: Tensor;
  guessCqtClip: Tensor;
}

/** Scores the guesses by the sums of all that was seen, this batch included. */
export function guess({ labelCounts, cqtSums, frames }: TargetStatistics, batch: Batch): GuessedLosses {
  const { labels, cqt, cqtMeans, rowWeights } = batch;
  const [rows, bins] = cqt.shape;
  const overRows = (x: Tensor) => (rowWeights ? x.mul(rowWeights).sum({ dim: -1 }) : x.mean({ dim: -1 }));
  const squares = (difference: Tensor) => overRows(difference.square().mean({ dim: 1 }));
  const logFrequencies = log(labelCounts.div(labelCounts.sum({ dim: 1, keepdim: true })).add(1e-20));
  const clips = cqtMeans?.shape[0] ?? 1;
  const ofClip = (cqtMeans ?? cqt.mean({ dim: 0, keepdim: true })).reshape([clips, 1, bins]);
  return {
    guessCodes: overRows(gather(logFrequencies, 1, labels))
      .mean()
      .neg(),
    guessCqtZero: squares(cqt),
    guessCqtMean: squares(cqt.sub(cqtSums.select(0, 0).div(frames))),
    guessCqtClip: squares(
      cqt
        .reshape([clips, rows / clips, bins])
        .sub(ofClip)
        .reshape([rows, bins]),
    ),
  };
}
