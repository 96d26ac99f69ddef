/**
 * Who wrote it? A small network tells five composers apart by a second of sound, and is scored on pieces that it never
 * heard: npx tsx examples/classify-audio.ts
 */

import { basename } from 'node:path';
import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import { audioFiles, logMel, readAudio, stftConventions } from '@dawnchorus/dsp';
import { concat, openDevice, scope, stack, type Tensor, tensor, variance } from '@dawnchorus/tensor';

const COMPOSERS = ['whallon', 'marino', 'reeves', 'golgotha', 'duarte'];
const SECOND = 24_000;
const device = await openDevice({ log: console.log });

// 1. Sound: seconds of each piece, with the composer as label. Each composer's last piece is held out.
interface Piece {
  seconds: Float32Array[];
  label: number;
}
const pieces: Piece[][] = COMPOSERS.map(() => []);
for (const path of await audioFiles('data/music/train')) {
  const label = COMPOSERS.findIndex((composer) => basename(path).startsWith(composer));
  if (label < 0) continue;
  const { samples } = await readAudio(path, { sampleRate: SECOND });
  const count = Math.floor(samples.length / SECOND);
  const seconds = Array.from({ length: count }, (_, i) => samples.slice(i * SECOND, (i + 1) * SECOND));
  pieces[label].push({ seconds, label });
}
const training = pieces.flatMap((own) => own.slice(0, -1));
const heldOut = pieces.flatMap((own) => own.slice(-1));

// 2. Features: the log-mel spectrum's mean and spread over time, and nothing of its loudness.
function features(part: readonly Piece[]): { x: Tensor; labels: Tensor } {
  const labels = part.flatMap(({ seconds, label }) => seconds.map(() => label));
  const rows = part.map(({ seconds }) =>
    scope(() => {
      const waves = stack(seconds.map((samples) => tensor(samples)));
      const mel = logMel(waves, {
        ...{ ...stftConventions.librosa, nFft: 1024, hopLength: 512, sampleRate: SECOND, nMels: 40 },
        ...{ scale: 'slaney', norm: 'slaney', offset: 1e-5 },
      });
      const shape = mel.sub(mel.mean({ dim: [1, 2], keepdim: true }));
      return concat([shape.mean({ dim: 2 }), variance(mel, { dim: 2 }).sqrt()], 1);
    }),
  );
  const x = concat(rows, 0);
  for (const row of rows) row.dispose();
  return { x, labels: tensor(labels, { dtype: 'i32' }) };
}
const train = features(training);
const test = features(heldOut);
// Both are scaled by what the training set looks like.
const mean = train.x.mean({ dim: 0 });
const scale = variance(train.x, { dim: 0 }).sqrt().add(1e-3);
const normalise = (x: Tensor) => x.sub(mean).div(scale);
const inputs = normalise(train.x);
console.log(`training: ${training.length} pieces, ${inputs.shape[0]} seconds of sound, ${inputs.shape[1]} features`);
console.log(`held out: ${heldOut.length} pieces, ${test.x.shape[0]} seconds`);

// 3. The network. Classes count alike, however many seconds there are of each.
class Net extends nn.Module {
  hidden = new nn.Linear(80, 32, nn.keySequence(1));
  dropout = new nn.Dropout(0.3);
  out = new nn.Linear(32, COMPOSERS.length, nn.keySequence(2));
  forward(x: Tensor, keys?: ReturnType<typeof nn.keySequence>) {
    return this.out.forward(this.dropout.forward(this.hidden.forward(x).gelu(), keys));
  }
}
const net = new Net();
const parameters = net.namedParameters();
const optimizer = new optim.AdamW(parameters, { weightDecay: 0.1 });

/** The mean over composers of the share of their seconds that are recognised: 20 % by chance. */
async function accuracy(x: Tensor, labels: Tensor): Promise<{ balanced: number; each: number[] }> {
  const guesses = scope(() => net.forward(x).argmax({ dim: 1 }));
  const [guessed, right] = [await guesses.data(), await labels.data()];
  const each = COMPOSERS.map((_, label) => {
    const own = Array.from(right.keys()).filter((i) => right[i] === label);
    return own.filter((i) => guessed[i] === label).length / own.length;
  });
  return { balanced: each.reduce((a, b) => a + b) / each.length, each };
}

// 4. Training.
const counts = COMPOSERS.map((_, label) => training.flatMap((p) => (p.label === label ? p.seconds : [])).length);
const weights = tensor(training.flatMap(({ seconds, label }) => seconds.map(() => 1 / counts[label])));
const hot = tensor(
  training.flatMap(({ seconds, label }) => seconds.map(() => COMPOSERS.map((_, c) => +(c === label)))),
);
for (let step = 1; step <= 100; step++) {
  const loss = scope(() => {
    const keys = nn.keySequence(1000 + step);
    const { value, gradients } = valueAndGrad(() => {
      const logProbability = net.forward(inputs, keys).logSoftmax().mul(hot).sum({ dim: 1 });
      return logProbability.mul(weights).sum().div(-COMPOSERS.length);
    }, parameters);
    optimizer.step(gradients, 3e-3);
    return value;
  });
  if (step % 25 === 0) console.log(`step ${step}: loss ${(await loss.item()).toFixed(3)} nats`);
  loss.dispose();
}

// 5. The score. A second from a piece that was trained on is easy; one from a new piece is what counts.
const percent = (value: number) => `${(100 * value).toFixed(0)} %`;
const seen = await accuracy(inputs, train.labels);
const unseen = await accuracy(normalise(test.x), test.labels);
console.log(`pieces trained on: ${percent(seen.balanced)}`);
console.log(`held-out pieces: ${percent(unseen.balanced)}, chance ${percent(1 / COMPOSERS.length)}`);
console.log(COMPOSERS.map((name, label) => `  ${name} ${percent(unseen.each[label])}`).join('\n'));
console.log(
  '(one held-out piece a composer: the number tells that something is learnt, not how well it would do elsewhere)',
);
device.close();
