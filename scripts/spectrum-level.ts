/**
 * How much of a student's constant-Q error is the level of clips, which it does not hear (its input is brought to unit
 * variance, the target is not): npx tsx scripts/spectrum-level.ts RUN [BATCHES] scores the held-out music of a run of `mert
 * pretrain`, as it is and with the best gain for each clip, beside guesses.
 */
import { join } from 'node:path';
import { createCqt } from '../packages/dsp/src/index.ts';
import { cropSamples, frameCount } from '../packages/mert/src/config/index.ts';
import { prepareBatch, readCrops, stackClips } from '../packages/mert/src/data/batch.ts';
import { openDataset } from '../packages/mert/src/data/dataset.ts';
import { normaliseWaveform } from '../packages/mert/src/model/normalise.ts';
import { latestCheckpoint } from '../packages/mert/src/training/checkpoints.ts';
import { loadCheckpoint, loadTrainerState } from '../packages/mert/src/training/state.ts';
import { cqtSettings, createTrainer, trainingTensors } from '../packages/mert/src/training/step.ts';
import { openDevice, scope, type Tensor, tensor } from '../packages/tensor/src/index.ts';

const [run, batches = '8'] = process.argv.slice(2);
const { folder } = await latestCheckpoint(run);
if (!folder) throw new Error(`${run}: holds no whole checkpoint`);
const { config, data } = await loadTrainerState(folder);
const device = await openDevice();
const trainer = createTrainer(config);
await loadCheckpoint(folder, { student: trainer.student.stateDict(), training: trainingTensors(trainer) });
const cqt = createCqt(device, cqtSettings);
const samples = cropSamples(config.audio);
const frames = frameCount(samples, config.model);
const { seed, batchSize } = config.training;
const { sampleRate } = config.audio;
const dataset = await openDataset({ folder: join(data, 'valid'), sampleRate, cropSamples: samples, seed });

const numbers = async (make: () => Tensor): Promise<Float32Array> => {
  const value = scope(make);
  const array = (await value.data()) as Float32Array;
  value.dispose();
  return array;
};
const [bins, seen] = [cqt.frequencies.length, await trainer.statistics.frames.item()];
const dataMean = await numbers(() => trainer.statistics.cqtSums.select(0, 0).div(seen));
const sums = { heard: 0, scaled: 0, clip: 0, mean: 0, scaledMean: 0, values: 0 };
for (let i = 0; i < Number(batches); i++) {
  const { clean } = await readCrops(dataset, i * batchSize, batchSize);
  const { masks } = prepareBatch(clean, config, i, frames, { seed, mixture: false });
  const asked = config.targets.cqtNormalize ? clean.map(normaliseWaveform) : clean;
  const target = await numbers(() => cqt.transform(stackClips(asked)).permute([0, 2, 1]).add(0));
  const predicted = await numbers(() => {
    const all = Int32Array.from(masks.flatMap((own) => [...own]));
    const mask = tensor(all, { shape: [batchSize, frames] }).ne(0);
    const { hiddenStates } = trainer.student.forward(stackClips(clean.map(normaliseWaveform)), { mask });
    return trainer.heads.encoderCqtModel.fc.forward(hiddenStates[hiddenStates.length - 1]);
  });
  const targetFrames = target.length / batchSize / bins;
  for (let b = 0; b < batchSize; b++) {
    const own = (t: number, k: number) => target[(b * targetFrames + t) * bins + k];
    const told = (t: number, k: number) => predicted[(b * frames + t) * bins + k];
    const masked = [...masks[b].keys()].filter((t) => masks[b][t] === 1);
    /** Squared error of a guess, as it is and times the gain that fits best. */
    const errors = (guess: (t: number, k: number) => number) => {
      let [gg, gt, tt] = [0, 0, 0];
      for (const t of masked) {
        for (let k = 0; k < bins; k++) {
          gg += guess(t, k) ** 2;
          gt += guess(t, k) * own(t, k);
          tt += own(t, k) ** 2;
        }
      }
      return { plain: gg - 2 * gt + tt, scaled: gg > 0 ? tt - gt ** 2 / gg : tt };
    };
    const clipMean = Float64Array.from({ length: bins }, (_, k) => {
      let sum = 0;
      for (let t = 0; t < targetFrames; t++) sum += own(t, k);
      return sum / targetFrames;
    });
    const [student, mean] = [errors(told), errors((_, k) => dataMean[k])];
    sums.heard += student.plain;
    sums.scaled += student.scaled;
    sums.mean += mean.plain;
    sums.scaledMean += mean.scaled;
    sums.clip += errors((_, k) => clipMean[k]).plain;
    sums.values += masked.length * bins;
  }
}
const per = (sum: number) => (sum / sums.values).toFixed(4);
console.log(`student ${per(sums.heard)}, with the best gain for each clip ${per(sums.scaled)}`);
console.log(
  `mean of each bin ${per(sums.mean)}, with the best gain ${per(sums.scaledMean)}; mean of each clip ${per(sums.clip)}`,
);
cqt.dispose();
device.close();
