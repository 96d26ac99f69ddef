import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Pass, Values, Work } from '../work.ts';
import type { Engine } from './engine.ts';
import { MissingPeer, peersFolder } from './install.ts';

interface Answer {
  error?: string;
  supported?: boolean;
  milliseconds?: number;
  adapter?: string;
  version?: string;
}

/** PyTorch in a Python of its own: `DAWNCHORUS_PYTHON`, else `python3`. */
export async function torchEngine(): Promise<Engine> {
  const python = process.env.DAWNCHORUS_PYTHON ?? 'python3';
  const child = spawn(python, [join(peersFolder, 'torch_peer.py')], { stdio: ['pipe', 'pipe', 'pipe'] });
  const waiting: ((answer: Answer) => void)[] = [];
  let complaint = '';
  let ended = false;
  const end = (reason: string) => {
    ended = true;
    for (const resolve of waiting.splice(0)) resolve({ error: reason });
  };
  child.stderr.on('data', (text) => {
    complaint = `${complaint}${text}`.slice(-2000);
  });
  child.stdin.on('error', () => {});
  child.on('error', (error) => end(error.message));
  child.on('close', () => end(complaint.trim().split('\n').at(-1) || 'it ended'));
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));
  const next = () =>
    new Promise<Answer>((resolve) => {
      if (ended) resolve({ error: complaint || 'it ended' });
      else waiting.push(resolve);
    });
  const hello = await next();
  if (hello.error) {
    throw new MissingPeer(
      `${python} has no torch and numpy (${hello.error}); to compare with it: pip install torch numpy, ` +
        'or name a Python that has them in DAWNCHORUS_PYTHON',
    );
  }
  const ask = async (request: object): Promise<Answer> => {
    const answer = next();
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { error, ...rest } = await answer;
    if (error) throw new Error(error);
    return rest;
  };
  const folder = mkdtempSync(join(tmpdir(), 'dawnchorus-bench-'));
  const place = ({ data, shape, dtype }: Values, name: string) => {
    const file = join(folder, name);
    writeFileSync(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return { file, shape, dtype };
  };
  return {
    name: 'torch',
    adapter: hello.adapter ?? '',
    async prepare(work: Work, pass: Pass) {
      const { supported } = await ask({
        do: 'prepare',
        operation: work.operation,
        settings: work.settings,
        inputs: work.inputs.map((input, i) => place(input, `input-${i}`)),
        gradient: pass === 'gradient' ? place(work.outputGradient!, 'gradient') : null,
      });
      if (!supported) return undefined;
      const differentiated = work.inputs.filter(({ data }) => data instanceof Float32Array);
      const results = pass === 'gradient' ? 1 + differentiated.length : 1;
      const files = Array.from({ length: results }, (_, i) => join(folder, `result-${i}`));
      return {
        run: async () => (await ask({ do: 'run' })).milliseconds!,
        async read() {
          await ask({ do: 'read', files });
          return files.map((file) => new Float32Array(new Uint8Array(readFileSync(file)).buffer));
        },
        dispose: () => void ask({ do: 'forget' }).catch(() => {}),
      };
    },
    close() {
      child.kill();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
