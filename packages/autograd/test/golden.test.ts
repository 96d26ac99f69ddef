/** Operations and gradients against what PyTorch and NumPy computed (golden/*.py), to 1e-5 of each output's peak. */
import { type DType, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import { valueAndGrad } from '../src/index.ts';
import { families, type Golden, type GoldenCase, type Stored } from './golden/index.ts';

const TOLERANCE = 1e-5;

/** ONLY=matmul,softmax runs the cases whose names start with these words alone. */
const only = globalThis.process?.env.ONLY?.split(',');

type Read = (stored: Stored) => Float32Array | Int32Array | Uint32Array | Uint8Array;

function reader(data: string): Read {
  const bytes = Uint8Array.from(atob(data), (character) => character.charCodeAt(0)).buffer;
  return ({ dtype, shape, offset }) => {
    const size = shape.reduce((product, extent) => product * extent, 1);
    if (dtype === 'f32') return new Float32Array(bytes, offset, size);
    if (dtype === 'i32') return new Int32Array(bytes, offset, size);
    if (dtype === 'u32') return new Uint32Array(bytes, offset, size);
    return new Uint8Array(bytes, offset, size);
  };
}

function upload(stored: Stored, read: Read): Tensor {
  return tensor(Array.from(read(stored)), { dtype: stored.dtype as DType, shape: stored.shape });
}

async function check(what: string, actual: Tensor, expected: Stored, read: Read): Promise<void> {
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

async function run(name: string, fn: Golden, stored: GoldenCase, read: Read): Promise<void> {
  const { inputs, outputs, cotangents, gradients } = stored;
  const results = scope(() => {
    const tensors = inputs.map((input) => upload(input, read));
    if (!gradients) return { made: fn(...tensors), gradients: [] };
    const parts = valueAndGrad(
      () => {
        const made = [fn(...tensors) as Tensor | Tensor[]].flat();
        const terms = made.flatMap((out, i) => {
          const cotangent = cotangents?.[i];
          return cotangent ? [out.mul(upload(cotangent, read)).sum()] : [];
        });
        return { loss: terms.reduce((a, b) => a.add(b)), auxiliary: made };
      },
      gradients.map(({ input }) => tensors[input]),
    );
    return { made: parts.auxiliary, gradients: parts.gradients };
  });
  const made = [await results.made].flat();
  assert.is(made.length, outputs.length, `${name}: outputs`);
  for (const [i, expected] of outputs.entries()) await check(`${name}: output ${i}`, made[i], expected, read);
  for (const [i, { input, value }] of (gradients ?? []).entries()) {
    await check(`${name}: gradient of input ${input}`, results.gradients[i], value, read);
  }
  for (const tensor of [...made, ...results.gradients]) tensor.dispose();
}

for (const [name, { golden, file }] of Object.entries(families)) {
  test(`every golden case of ${name} is run, and nothing else`, () => {
    assert.equal(Object.keys(golden).sort(), Object.keys(file.cases).sort());
  });
  const read = reader(file.data);
  for (const [title, stored] of Object.entries(file.cases)) {
    if (only && !only.some((word) => title.startsWith(word))) continue;
    test(title, () => run(title, golden[title], stored, read));
  }
}

test.run();
