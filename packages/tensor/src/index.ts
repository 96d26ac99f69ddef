/**
 * Tensors on WebGPU: devices, memory, operations, compilation. Shapes are written [batch, time, features]; dtypes f32, f16, i32, u32 and bool.
 *
 * @module @dawnchorus/tensor
 */
export { type Application, apply, isObserving, type Observer, observe, unobserved } from './apply.ts';
export type { AdapterDescription } from './device/adapters.ts';
export { callStack } from './device/call-site.ts';
export type { LeakGroup, LeakReport } from './device/debug.ts';
export { Device, type DeviceStatistics, getDefaultDevice, profile } from './device/device.ts';
export { type BufferHolder, DeviceLostError, type HeldMemory, OutOfMemoryError } from './device/errors.ts';
export { type OpenDeviceOptions, openDevice } from './device/open.ts';
export { type DType, isFloat, promote, type TypedArrayOf } from './dtype.ts';
export * from './functions/images.ts';
export * from './functions/index.ts';
export { type Compiled, type CompileOptions, compile } from './graph/compile.ts';
export type { Graph, GraphNode, GraphValue } from './graph/graph.ts';
export { StaleTraceError, sameData } from './graph/stale.ts';
export { trace } from './graph/trace.ts';
export { noteDifferentiated, observeNumbers, repeating } from './graph/tracing.ts';
export { flattenTree } from './graph/tree.ts';
export { float16FromNumbers, float16ToFloat32 } from './half.ts';
export { type Grid, gridFor, linearGrid } from './kernel/grid.ts';
export { type DevicePeak, type Profile, type ProfileRow, peakText } from './kernel/profile.ts';
export type { Cost, ProfileEvent, ProfileTiming } from './kernel/profiler.ts';
export type { Dispatch } from './kernel/recorder.ts';
export { type TunedClass, type TuneOptions, tune } from './kernel/tune.ts';
export type { AdamWAttributes } from './ops/adamw.ts';
export {
  type AxisOptions,
  checkBoolean,
  checkEps,
  checkNumber,
  checkOptions,
  checkProbability,
  checkStream,
  checkTensors,
  checkWhole,
  type Operand,
  scalarValue,
} from './ops/arguments.ts';
export type { ConvAttributes } from './ops/conv.ts';
export type { CrossEntropyAttributes } from './ops/cross-entropy.ts';
export { withDense, withScratch } from './ops/dense.ts';
export { fftRoots, fftTables, recordFft, rfftTables, unitRoots } from './ops/fft.ts';
export { type DefinedOp, defineOp, type KernelOp, kernelOp, type Op, type TensorSpec } from './ops/op.ts';
export type { RandomKey } from './ops/random.ts';
export { type AttributesOf, type DifferentiableOpName, differentiableOps, type OpName, opTable } from './ops/table.ts';
export { cachedTable, type TableValues, uploadTable } from './ops/tables.ts';
export { scope } from './scope.ts';
export {
  broadcastShapes,
  contiguousStrides,
  formatShape,
  normaliseAxis,
  type Shape,
  sameShape,
  sizeOf,
  valueText,
} from './shape.ts';
export type * from './shape-types.ts';
export {
  assertShape,
  full,
  isTensor,
  type NestedNumbers,
  type NumberArray,
  ones,
  Tensor,
  tensor,
  zeros,
} from './tensor.ts';
export type * from './types.ts';
