/** The pattern of docs/devices.md: train, lose the device, open another, restore, go on with the same bits. */
import { type Device, DeviceLostError, openDevice, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { nn, optim, valueAndGrad } from '../src/index.ts';

const STEPS = 12;
const quiet = { log: () => {} };

function createTraining() {
  const layer = new nn.Linear(3, 2, nn.keySequence(1));
  const parameters = layer.namedParameters();
  const optimizer = new optim.AdamW(parameters);
  /** Everything that the next step depends on. */
  const state: Tensor[] = [...parameters.values()];
  for (const { first, second } of optimizer.moments) state.push(first, second);
  return { layer, parameters, optimizer, state };
}

type Training = ReturnType<typeof createTraining>;

function step({ layer, parameters, optimizer }: Training, number: number): Tensor {
  return scope(() => {
    const x = tensor(Array.from({ length: 4 }, (_, i) => [Math.sin(number + i), Math.cos(number * i), i / 4]));
    const { value, gradients } = valueAndGrad(() => layer.forward(x).square().mean(), parameters);
    optimizer.step(gradients, 0.05);
    return value;
  });
}

interface Checkpoint {
  step: number;
  values: Awaited<ReturnType<Tensor['data']>>[];
}

async function save(training: Training, step: number): Promise<Checkpoint> {
  return { step, values: await Promise.all(training.state.map((each) => each.data())) };
}

async function restore(training: Training, checkpoint: Checkpoint): Promise<void> {
  training.state.forEach((each, i) => {
    each.device.write(each.storage, each.offset * 4, checkpoint.values[i]);
  });
  training.optimizer.setSteps(checkpoint.step);
}

/** Trains to the end; a lost device costs the steps since the last checkpoint. */
async function train(onStep: (device: Device, step: number) => void): Promise<{ losses: number[]; lost: number }> {
  const losses: number[] = [];
  let checkpoint: Checkpoint | undefined;
  for (let lost = 0; ; lost++) {
    const device = await openDevice(quiet);
    try {
      const training = createTraining();
      if (checkpoint) await restore(training, checkpoint);
      for (let number = checkpoint?.step ?? 0; number < STEPS; number++) {
        const loss = step(training, number);
        onStep(device, number);
        losses[number] = await loss.item();
        loss.dispose();
        if (number % 3 === 2) checkpoint = await save(training, number + 1);
      }
      return { losses, lost };
    } catch (error) {
      if (!(error instanceof DeviceLostError) || lost === 3) throw error;
    } finally {
      device.close();
    }
  }
}

test('training goes on with the same bits after the device was lost twice', async () => {
  const whole = await train(() => {});
  assert.is(whole.lost, 0);
  assert.is(whole.losses.length, STEPS);
  assert.ok(whole.losses[STEPS - 1] < whole.losses[0]);
  const due = new Set([4, 10]);
  const broken = await train((device, number) => {
    if (due.delete(number)) device.gpu.destroy();
  });
  assert.is(broken.lost, 2);
  assert.equal(broken.losses, whole.losses);
});

test.run();
