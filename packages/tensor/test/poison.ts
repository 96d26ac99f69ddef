import { fillWorkgroup } from '../src/kernel/workgroup.ts';
import { device } from './device.ts';

let poisoned = false;

/**
 * Fills all memory that tensors get, and the rest of its buffer, with ones: NaN to floats, the largest index to whole
 * numbers; and the memory of workgroups likewise. A kernel that reads what nobody wrote, reads past the end, or leaves an
 * output unwritten then gives a wrong result, where fresh memory is zero and hides it.
 */
export function poisonMemory(): void {
  if (poisoned) return;
  poisoned = true;
  const { pool, gpu } = device;
  const { acquire } = pool;
  pool.acquire = (bytes, label) => {
    const buffer = acquire(bytes, label);
    // A recycled buffer may still be read by recorded work.
    device.flush();
    device.gpu.queue.writeBuffer(buffer.gpu, 0, new Uint8Array(buffer.size).fill(0xff));
    return buffer;
  };
  // Browsers zero the memory of workgroups, and compile for longer what is filled twice.
  if (typeof process === 'undefined') return;
  const createShaderModule = gpu.createShaderModule.bind(gpu);
  gpu.createShaderModule = (descriptor) =>
    createShaderModule({ ...descriptor, code: poisonWorkgroup(descriptor.code) });
}

/** A value of ones, by the name of its type. */
function onesOf(type: string, code: string): string {
  const vector = /^vec[234]<(\w+)>$/.exec(type);
  if (vector) return `${type}(${onesOf(vector[1], code)})`;
  switch (type) {
    case 'u32':
      return 'poison';
    case 'i32':
      return 'bitcast<i32>(poison)';
    case 'f32':
      return 'bitcast<f32>(poison)';
    case 'f16':
      return 'f16(bitcast<f32>(poison))';
  }
  const alias = new RegExp(`^alias ${type} = (.+?);`, 'm').exec(code);
  if (!alias) throw new Error(`poison: the memory of a workgroup is of ${type}`);
  return onesOf(alias[1], code);
}

/** A kernel that fills the memory of its workgroup with ones before it does anything else. */
export const poisonWorkgroup = (code: string): string => {
  const filled = fillWorkgroup(code, 'to poison', (type) => onesOf(type, code));
  return filled === code ? code : `${filled}\nvar<private> poison = 0xffffffffu;\n`;
};
