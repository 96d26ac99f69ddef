/** Signal-to-distortion ratios of separated sounds, in dB. */

/** Ratios of one estimate. */
export interface SdrScores {
  /** Scale-invariant (Le Roux et al., 2019): the reference is scaled to fit best. */
  sisdr_db: number;
  /** Plain: 10 log10 of the energy of the reference over that of the difference. */
  sdr_plain_db: number;
}

/** MARBLE's and the Sound Demixing Challenge's guard against silence. */
const GUARD = 1e-7;
const decibels = (ratio: number) => 10 * Math.log10(ratio);

function checkLengths(ref: ArrayLike<number>, est: ArrayLike<number>): void {
  if (ref.length !== est.length || ref.length === 0) {
    throw new RangeError(
      `sdr: ${ref.length} samples of the reference and ${est.length} of the estimate; expected as many, and one at least`,
    );
  }
}

/** Plain and scale-invariant ratio of an estimate. @throws RangeError when the lengths differ or are 0. */
export function sdr(ref: ArrayLike<number>, est: ArrayLike<number>): SdrScores {
  checkLengths(ref, est);
  let [energy, product] = [0, 0];
  for (let i = 0; i < ref.length; i++) {
    energy += ref[i] ** 2;
    product += ref[i] * est[i];
  }
  const scale = product / energy;
  let [error, scaledError] = [0, 0];
  for (let i = 0; i < ref.length; i++) {
    error += (ref[i] - est[i]) ** 2;
    scaledError += (scale * ref[i] - est[i]) ** 2;
  }
  return { sisdr_db: decibels((scale ** 2 * energy) / scaledError), sdr_plain_db: decibels(energy / error) };
}

/**
 * The ratio over a whole track, with a guard against silence, as in MARBLE and the Sound Demixing Challenge:
 * 10 log10((|s|^2 + 1e-7) / (|s - e|^2 + 1e-7)). Channels, where there are several, lie one after another.
 */
export function globalSdr(ref: ArrayLike<number>, est: ArrayLike<number>): number {
  checkLengths(ref, est);
  let [energy, error] = [GUARD, GUARD];
  for (let i = 0; i < ref.length; i++) {
    energy += ref[i] ** 2;
    error += (ref[i] - est[i]) ** 2;
  }
  return decibels(energy / error);
}
