import { nn, optim, valueAndGrad } from '@dawnchorus/autograd';
import { openDevice, scope, tensor } from '@dawnchorus/tensor';

const device = await openDevice(); // a GPU, else a software adapter; prints which

// Fit y = sin(3x) with one hidden layer.
const x = tensor(Array.from({ length: 256 }, (_, i) => [i / 128 - 1]));
const y = tensor(Array.from({ length: 256 }, (_, i) => [Math.sin(3 * (i / 128 - 1))]));

class Net extends nn.Module {
  hidden = new nn.Linear(1, 32, nn.keySequence(1));
  out = new nn.Linear(32, 1, nn.keySequence(2));
  forward(input: typeof x) {
    return this.out.forward(this.hidden.forward(input).gelu());
  }
}
const net = new Net();
const parameters = net.namedParameters();
const optimizer = new optim.AdamW(parameters);

for (let step = 1; step <= 200; step++) {
  // A scope gives back every tensor made in it but those it returns.
  const loss = scope(() => {
    const { value, gradients } = valueAndGrad(() => net.forward(x).sub(y).square().mean(), parameters);
    optimizer.step(gradients, 1e-2);
    return value;
  });
  if (step % 50 === 0) console.log(step, await loss.item());
  loss.dispose();
}
console.log(await net.forward(x).sliceAxis(0, 0, 4).print());
device.close();
