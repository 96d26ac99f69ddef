/**
 * An ONNX model as plain data, and its encoding. Field and type numbers are those of onnx.proto
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */
import { type DType, float16FromNumbers, type Shape } from '@dawnchorus/tensor';
import { Message } from './protobuf.ts';

/** Element types of a graph: the engine's, and the 64-bit integers that ONNX indexes with. */
export type OnnxDType = DType | 'i64' | 'u64';

/** TensorProto.DataType. */
export const elementTypes: Record<OnnxDType, number> = { f32: 1, i32: 6, i64: 7, bool: 9, f16: 10, u32: 12, u64: 13 };

export const bytesPerElement: Record<OnnxDType, number> = { f32: 4, i32: 4, i64: 8, bool: 1, f16: 2, u32: 4, u64: 8 };

/** A number is an integer attribute; `{ float }` one of 32-bit floats. */
export type OnnxAttribute = number | { readonly float: number } | string | readonly number[];

/** A node of an ONNX graph. */
export interface OnnxNode {
  readonly name: string;
  /** Of the default domain. */
  readonly type: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

/** What flows in or out. */
export interface OnnxPort {
  readonly name: string;
  readonly dtype: OnnxDType;
  readonly shape: Shape;
}

/** A constant tensor; `data` is row-major and little-endian, a byte a boolean. */
export interface OnnxInitializer extends OnnxPort {
  readonly data: Uint8Array;
}

export interface OnnxModel {
  readonly name: string;
  readonly opset: number;
  readonly nodes: readonly OnnxNode[];
  readonly inputs: readonly OnnxPort[];
  readonly outputs: readonly OnnxPort[];
  readonly initializers: readonly OnnxInitializer[];
}

/** Protocol Buffers' limit for one message, and so for an ONNX file. */
export const MAX_BYTES = 2 ** 31 - 1;

/** @throws RangeError when a model of so many bytes cannot be one file. */
export function checkBytes(bytes: number, limit = MAX_BYTES): void {
  if (bytes <= limit) return;
  throw new RangeError(
    `exportOnnx: the model takes ${bytes} bytes, and an ONNX file holds at most ${limit}; store parameters as f16, or ` +
      'export the function in parts',
  );
}

/** The oldest format version (IR_VERSION) that goes with an opset. */
function formatVersion(opset: number): number {
  if (opset < 19) return 8;
  if (opset < 21) return 9;
  return 10;
}

const arrays = {
  f32: (values: ArrayLike<number>) => Float32Array.from(values),
  f16: (values: ArrayLike<number>) => float16FromNumbers(values),
  i32: (values: ArrayLike<number>) => Int32Array.from(values),
  u32: (values: ArrayLike<number>) => Uint32Array.from(values),
  bool: (values: ArrayLike<number>) => Uint8Array.from(values, (value) => (value ? 1 : 0)),
  i64: (values: ArrayLike<number>) => BigInt64Array.from(Array.from(values, BigInt)),
  u64: (values: ArrayLike<number>) => BigUint64Array.from(Array.from(values, BigInt)),
};

/** Numbers as they lie in a file; floats are rounded for f16. The order of bytes is the host's: WebGPU has little-endian ones only. */
export function bytesOf(values: ArrayLike<number>, dtype: OnnxDType): Uint8Array {
  const { buffer, byteOffset, byteLength } =
    dtype === 'f32' && values instanceof Float32Array ? values : arrays[dtype](values);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The encoded model, in parts. @throws RangeError when it is longer than `limit`. */
export function encodeModel(model: OnnxModel, limit = MAX_BYTES): readonly Uint8Array[] {
  const graph = new Message();
  for (const node of model.nodes) graph.message(1, encodeNode(node)); // node
  graph.string(2, model.name); // name
  for (const tensor of model.initializers) graph.message(5, encodeTensor(tensor)); // initializer
  for (const port of model.inputs) graph.message(11, encodePort(port)); // input
  for (const port of model.outputs) graph.message(12, encodePort(port)); // output

  const message = new Message() // ModelProto
    .int(1, formatVersion(model.opset)) // ir_version
    .string(2, 'dawnchorus') // producer_name
    .message(7, graph) // graph
    .message(8, new Message().string(1, '').int(2, model.opset)); // opset_import: OperatorSetIdProto domain, version
  checkBytes(message.length, limit);
  return message.chunks;
}

function encodeNode({ name, type, inputs, outputs, attributes }: OnnxNode): Message {
  const message = new Message(); // NodeProto
  for (const input of inputs) message.string(1, input); // input
  for (const output of outputs) message.string(2, output); // output
  message.string(3, name).string(4, type); // name, op_type
  for (const [key, value] of Object.entries(attributes)) message.message(5, encodeAttribute(key, value)); // attribute
  return message;
}

function encodeAttribute(name: string, value: OnnxAttribute): Message {
  const message = new Message().string(1, name); // AttributeProto, name
  // Each kind has a field of its own; `type` (20) is that of AttributeType.
  if (typeof value === 'number') return message.int(3, value).int(20, 2); // i, INT
  if (typeof value === 'string') return message.string(4, value).int(20, 3); // s, STRING
  if ('float' in value) return message.float(2, value.float).int(20, 1); // f, FLOAT
  for (const item of value) message.int(8, item); // ints
  return message.int(20, 7); // INTS
}

function encodeTensor({ name, dtype, shape, data }: OnnxInitializer): Message {
  const message = new Message(); // TensorProto
  for (const extent of shape) message.int(1, extent); // dims
  return message.int(2, elementTypes[dtype]).string(8, name).bytes(9, data); // data_type, name, raw_data
}

function encodePort({ name, dtype, shape }: OnnxPort): Message {
  const dims = new Message(); // TensorShapeProto
  for (const extent of shape) dims.message(1, new Message().int(1, extent)); // dim: Dimension dim_value
  const tensor = new Message().int(1, elementTypes[dtype]).message(2, dims); // TypeProto.Tensor elem_type, shape
  return new Message().string(1, name).message(2, new Message().message(1, tensor)); // ValueInfoProto name, type: TypeProto tensor_type
}
