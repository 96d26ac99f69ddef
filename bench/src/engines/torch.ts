import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isVariable, type Pass, type Values, type Work } from '../work.ts';
import type { Engine, Timing } from './engine.ts';
import { MissingPeer } from './install.ts';
import { scratchFolder, startScript } from './python.ts';

/** PyTorch in a Python of its own. @throws MissingPeer without one, and for `gpu` without CUDA, which has timestamps. */
export async function torchEngine(timing: Timing): Promise<Engine> {
  const { hello, ask, close } = await startScript<{ adapter: string; cuda: boolean }>('torch_peer.py');
  if (timing === 'gpu' && !hello.cuda) {
    close();
    throw new MissingPeer('it has no CUDA here, and with it no timestamps; --timing wall times it');
  }
  const folder = scratchFolder();
  const place = ({ data, shape, dtype, constant }: Values, name: string) => {
    const file = join(folder.path, name);
    writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { file, shape, dtype, constant };
  };
  return {
    name: 'torch',
    adapter: hello.adapter,
    async prepare(work: Work, pass: Pass) {
      const { supported } = await ask<{ supported: boolean }>({
        do: 'prepare',
        operation: work.operation,
        settings: work.settings,
        inputs: work.inputs.map((input, i) => place(input, `input-${i}`)),
        gradient: pass === 'gradient' ? place(work.outputGradient!, 'gradient') : null,
      });
      if (!supported) return undefined;
      const differentiated = work.inputs.filter(isVariable);
      const results = pass === 'gradient' ? 1 + differentiated.length : 1;
      const files = Array.from({ length: results }, (_, i) => join(folder.path, `result-${i}`));
      return {
        run: async () => (await ask<{ milliseconds: number }>({ do: 'run', timing })).milliseconds,
        async read() {
          await ask({ do: 'read', files });
          return files.map((file) => new Float32Array(new Uint8Array(readFileSync(file)).buffer));
        },
        dispose: () => void ask({ do: 'forget' }).catch(() => {}),
      };
    },
    close() {
      close();
      folder.remove();
    },
  };
}
