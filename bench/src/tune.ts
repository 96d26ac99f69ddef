/** Times every kernel variant on the shapes of cases, or of a whole pretraining step, and keeps the winners. */
import { type Device, scope, tensor, tune } from '@dawnchorus/tensor';
import { dawnchorusEngine } from './engines/dawnchorus.ts';
import { createStepModel } from './step/model.ts';
import { type StepSetting, stepConfig } from './step/setting.ts';
import type { Case } from './work.ts';

type Log = (line: string) => void;

/** Of every kernel that the cases need, forward and backward. */
export async function tuneCases(device: Device, cases: readonly Case[], log: Log): Promise<void> {
  const engine = dawnchorusEngine(device, 'wall');
  let classes = 0;
  for (const { passes, make } of cases) {
    const work = make();
    for (const pass of passes) {
      const results = await tune(
        async () => {
          const prepared = await engine.prepare(work, pass);
          await prepared?.run();
          prepared?.dispose();
        },
        { device, log },
      );
      classes += results.length;
    }
  }
  log(`${classes} classes of problems measured`);
}

/** Of every kernel of a whole pretraining step: teachers, student, losses, gradients and AdamW. */
export async function tuneStep(device: Device, setting: StepSetting, log: Log): Promise<void> {
  const model = createStepModel(device, stepConfig(setting).config);
  try {
    const number = tensor(Uint32Array.of(1), { device });
    // At rate 0 no parameter changes.
    const rate = tensor(0, { device });
    const results = await tune(() => scope(() => model.whole(model.uploaded, number, rate)).packed.dispose(), {
      device,
      log,
    });
    number.dispose();
    rate.dispose();
    log(`${results.length} classes of problems measured`);
  } finally {
    model.dispose();
  }
}
