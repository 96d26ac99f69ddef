/** Operations and gradients against what PyTorch and NumPy computed (golden/generate.py), to 1e-5 of each output's peak. */
import { type DType, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import { valueAndGrad } from '../src/index.ts';
import { golden } from './golden/cases.ts';
import file from './golden/golden.json' with { type: 'json' };

const TOLERANCE = 1e-5;

/** ONLY=matmul,softmax runs the cases whose names start with these words alone. */
const only = globalThis.process?.env.ONLY?.split(',');

interface Stored {
  dtype: string;
  shape: number[];
  offset: number;
}

interface Case {
  inputs: Stored[];
  outputs: Stored[];
  cotangents?: (Stored | null)[];
  gradients?: { input: number; value: Stored }[];
}

const cases = file.cases as Record<string, Case>;
const bytes = Uint8Array.from(atob(file.data), (character) => character.charCodeAt(0)).buffer;

function read({ dtype, shape, offset }: Stored): Float32Array | Int32Array | Uint8Array {
  const size = shape.reduce((product, extent) => product * extent, 1);
  if (dtype === 'f32') return new Float32Array(bytes, offset, size);
  if (dtype === 'i32') return new Int32Array(bytes, offset, size);
  return new Uint8Array(bytes, offset, size);
}

function upload(stored: Stored): Tensor {
  return tensor(Array.from(read(stored)), { dtype: stored.dtype as DType, shape: stored.shape });
}

async function check(what: string, actual: Tensor, expected: Stored): Promise<void> {
  assert.equal([...actual.shape], expected.shape, `${what}: shape`);
  assert.is(actual.dtype, expected.dtype, `${what}: dtype`);
  const [got, want] = [await actual.data(), Array.from(read(expected))];
  const peak = want.reduce(
    (top: number, value: number) => Math.max(top, Number.isFinite(value) ? Math.abs(value) : 0),
    0,
  );
  const allowed = expected.dtype === 'f32' ? TOLERANCE * peak : 0;
  for (let i = 0; i < want.length; i++) {
    if (Object.is(got[i], want[i]) || got[i] === want[i] || Math.abs(got[i] - want[i]) <= allowed) continue;
    assert.unreachable(
      `${what}: element ${i} of ${want.length} is ${got[i]}, expected ${want[i]} to within ${allowed}`,
    );
  }
}

async function run(name: string, { inputs, outputs, cotangents, gradients }: Case): Promise<void> {
  const results = scope(() => {
    const tensors = inputs.map(upload);
    const forward = () => {
      const out = golden[name](...tensors);
      return Array.isArray(out) ? out : [out];
    };
    if (!gradients) return { outputs: forward(), gradients: [] };
    const parts = valueAndGrad(
      () => {
        const made = forward();
        const terms = made.flatMap((out, i) => {
          const cotangent = cotangents?.[i];
          return cotangent ? [out.mul(upload(cotangent)).sum()] : [];
        });
        return { loss: terms.reduce((a, b) => a.add(b)), auxiliary: made };
      },
      gradients.map(({ input }) => tensors[input]),
    );
    return { outputs: parts.auxiliary, gradients: parts.gradients };
  });
  assert.is(results.outputs.length, outputs.length, `${name}: outputs`);
  for (const [i, expected] of outputs.entries()) await check(`${name}: output ${i}`, results.outputs[i], expected);
  for (const [i, { input, value }] of (gradients ?? []).entries()) {
    await check(`${name}: gradient of input ${input}`, results.gradients[i], value);
  }
  for (const made of [...results.outputs, ...results.gradients]) made.dispose();
}

test('every golden case is run, and nothing else', () => {
  assert.equal(Object.keys(golden).sort(), Object.keys(cases).sort());
});

for (const [name, stored] of Object.entries(cases)) {
  if (!only || only.some((word) => name.startsWith(word))) test(name, () => run(name, stored));
}

test.run();
