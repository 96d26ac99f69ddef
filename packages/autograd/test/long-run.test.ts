import { compile, normal, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import { nn, optim, valueAndGrad } from '../src/index.ts';

const STEPS = Number(process.env.LONG_RUN_STEPS ?? 2000);

for (const [what, compiled, steps] of [
  ['eager', false, Math.ceil(STEPS / 10)],
  ['compiled', true, STEPS],
] as const) {
  test(`${steps} training steps, ${what}, leave live memory where it was`, async () => {
    const hidden = new nn.Linear(8, 16, nn.keySequence(1));
    const out = new nn.Linear(16, 4, nn.keySequence(2));
    const named = new Map([...hidden.namedParameters('hidden.'), ...out.namedParameters('out.')]);
    const optimizer = new optim.AdamW(named);
    const [names, parameters] = [[...named.keys()], [...named.values()]];
    const step = (x: Tensor, y: Tensor, number: Tensor) => {
      const dropout = new nn.Dropout(0.1);
      const keys = nn.keySequence(3, number);
      const { value, gradients } = valueAndGrad(
        () =>
          out
            .forward(dropout.forward(hidden.forward(x).gelu(), keys))
            .sub(y)
            .square()
            .mean(),
        parameters,
      );
      optimizer.step(new Map(names.map((name, i) => [name, gradients[i]])), 1e-3).dispose();
      return value;
    };
    const run = compiled ? compile(step) : step;
    const x = normal([32, 8], { seed: 1, stream: 1 });
    const y = normal([32, 4], { seed: 1, stream: 2 });
    const losses: number[] = [];
    const live: number[] = [];
    const every = Math.ceil(steps / 10);
    for (let k = 1; k <= steps; k++) {
      const loss = scope(() => run(x, y, tensor(Uint32Array.of(k))));
      if (k % every === 0) {
        losses.push(await loss.item());
        loss.dispose();
        const { liveBytes, liveBuffers, cachedBytes } = device.statistics();
        live.push(liveBytes, liveBuffers, cachedBytes);
      } else {
        loss.dispose();
        if (k % 100 === 0) await device.synchronize();
      }
    }
    for (let i = 3; i < live.length; i++) assert.is(live[i], live[i % 3], `after ${(i / 3) | 0} tenths: ${live}`);
    assert.ok((losses.at(-1) as number) < losses[0], `losses ${losses}`);
    if (compiled) (run as ReturnType<typeof compile>).dispose();
    for (const tensor of [x, y]) tensor.dispose();
    optimizer.dispose();
    hidden.dispose();
    out.dispose();
  });
}

test.run();
