import {
  callStack,
  flattenTree,
  formatShape,
  type Graph,
  type GraphNode,
  type GraphValue,
  isTensor,
  type OpName,
  observe,
  opTable,
  type Shape,
  sizeOf,
  type Tensor,
  trace,
} from '@dawnchorus/tensor';
import { writeAtomically } from '#atomic';
import { type Lowering, OnnxBuilder, type OnnxTensor } from './builder.ts';
import { lowerings } from './lowerings/index.ts';
import { bytesPerElement, checkBytes, encodeModel, type OnnxModel, type OnnxPort } from './model.ts';

/** The opsets of ONNX that are written and tested. */
const OPSETS = { from: 17, to: 22 } as const;

/** What an ONNX model is called and made of. */
export interface OnnxOptions {
  /** Version of ONNX's operators: 17, which most runtimes know, up to 22. */
  opset?: number;
  /** Names of the inputs; `input0`, … by default. */
  inputNames?: readonly string[];
  /**
   * Names of the outputs, in the order in which they stand in what the function returns; by default `output`, or the keys
   * and places that lead there: `logits`, `hidden.0`.
   */
  outputNames?: readonly string[];
  /** Names of tensors that the function uses from outside, e.g. `module.stateDict()`; `parameter0`, … for others. */
  parameters?: ReadonlyMap<string, Tensor>;
  /** Name of the graph. */
  name?: string;
  /** For operations made by `defineOp`, by name. */
  lowerings?: Readonly<Record<string, Lowering<never>>>;
}

/**
 * A function as an ONNX model (https://onnx.ai), to run where dawnchorus does not. The function is traced: it runs once on
 * paper with tensors like the examples, and every operation that its results need becomes nodes of ONNX's default domain.
 * Tensors from outside (parameters) become constants of the model.
 *
 * Shapes, the batch included, are those of the examples; export once for each shape that is needed. Inputs and outputs
 * keep their dtypes (bool is a byte). Values agree with the engine's within rounding; only what becomes of NaN where
 * numbers are compared (max, sort, pools, relu) is the runtime's affair.
 *
 * @param fn returns a tensor, or tensors in arrays, maps and plain objects. It may not read elements back.
 * @param inputs examples; their elements are not read.
 * @returns the bytes of the file.
 * @throws Error that names the operation and its place in the code where something has no ONNX form: random numbers,
 * changes in place, gradients, kernels of one's own without a lowering, tensors without elements.
 * @throws RangeError when names or the opset do not fit, or the model is over 2 GiB.
 */
export async function exportOnnx(
  fn: (...inputs: Tensor[]) => unknown,
  inputs: readonly Tensor[],
  options: OnnxOptions = {},
): Promise<Uint8Array> {
  const chunks = await exportChunks(fn, inputs, options);
  const bytes = new Uint8Array(chunks.reduce((sum, chunk) => sum + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Writes what `exportOnnx` makes into a file, atomically. */
export async function writeOnnx(
  path: string,
  fn: (...inputs: Tensor[]) => unknown,
  inputs: readonly Tensor[],
  options: OnnxOptions = {},
): Promise<void> {
  const chunks = await exportChunks(fn, inputs, options);
  await writeAtomically(path, chunks, {
    what: 'ONNX model',
    bytes: chunks.reduce((sum, { length }) => sum + length, 0),
  });
}

async function exportChunks(
  fn: (...inputs: Tensor[]) => unknown,
  inputs: readonly Tensor[],
  options: OnnxOptions,
): Promise<readonly Uint8Array[]> {
  const { opset = OPSETS.from } = options;
  if (!Number.isInteger(opset) || opset < OPSETS.from || opset > OPSETS.to) {
    throw new RangeError(`exportOnnx: opset ${opset}; expected a whole number from ${OPSETS.from} to ${OPSETS.to}`);
  }
  const traced = traceNamed(fn, inputs);
  try {
    return encodeModel(await modelOf(traced, options, opset));
  } finally {
    traced.graph.dispose();
  }
}

interface NamedTrace {
  readonly graph: Graph;
  /** Names of the outputs by where they stand in what the function returned. */
  readonly outputPaths: readonly string[];
  /** The line of code that called an operation, by the attributes it was given: a trace holds on to those. */
  readonly sites: WeakMap<object, string>;
}

function traceNamed(fn: (...inputs: Tensor[]) => unknown, inputs: readonly Tensor[]): NamedTrace {
  if (inputs.length === 0) throw new RangeError('exportOnnx: at least one input is needed');
  const sites = new WeakMap<object, string>();
  let outputPaths: readonly string[] = [];
  const stop = observe(({ attributes }) => sites.set(attributes as object, callStack()[0]));
  try {
    const graph = trace((...args) => {
      const result = fn(...args);
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new TypeError('exportOnnx: the function is async; it cannot wait or read elements back');
      }
      outputPaths = pathsOf(result).map((path) => (/^\d*$/.test(path) ? `output${path}` : path));
      if (outputPaths.length === 0) throw new TypeError('exportOnnx: the function returns no tensor');
      return result;
    }, inputs);
    return { graph, outputPaths, sites };
  } finally {
    stop();
  }
}

/** Keys and places that lead to the tensors of a result, in the order of `flattenTree`. */
function pathsOf(value: unknown): string[] {
  if (isTensor(value)) return [''];
  if (flattenTree(value).length === 0) return [];
  const entries = value instanceof Map ? [...value] : Object.entries(value as object);
  return entries.flatMap(([key, item]) => pathsOf(item).map((rest) => (rest === '' ? `${key}` : `${key}.${rest}`)));
}

/** Nodes that the outputs need, in order. In-place operations are needed by whoever called them. */
function liveNodes({ nodes, outputs }: Graph): GraphNode[] {
  const needed = new Set<GraphValue>(outputs);
  const live = [...nodes].reverse().filter(({ op, inputs, outputs }) => {
    const changes = op.kind === 'kernel' && (op.mutates?.length ?? 0) > 0;
    if (!changes && !outputs.some((output) => needed.has(output))) return false;
    for (const input of inputs) needed.add(input);
    return true;
  });
  return live.reverse();
}

function checkNames(what: string, names: readonly string[], count: number): void {
  if (names.length === count) return;
  throw new RangeError(`exportOnnx: ${names.length} names for ${count} ${what}; give one for each`);
}

function checkDistinct(names: readonly string[]): void {
  const bad = names.find((name, i) => name === '' || names.indexOf(name) !== i);
  if (bad !== undefined) throw new RangeError(`exportOnnx: "${bad}" does not name one input or output alone`);
}

async function modelOf(
  { graph, outputPaths, sites }: NamedTrace,
  options: OnnxOptions,
  opset: number,
): Promise<OnnxModel> {
  const { inputNames = graph.inputs.map((_, i) => `input${i}`), outputNames = outputPaths } = options;
  checkNames('inputs', inputNames, graph.inputs.length);
  checkNames('outputs', outputNames, graph.outputs.length);
  checkDistinct([...(options.inputNames ?? []), ...(options.outputNames ?? [])]);

  const onnx = new OnnxBuilder(opset);
  const port = (names: readonly string[]) => (value: GraphValue, i: number) => {
    return { name: onnx.unique(names[i]), dtype: value.dtype, shape: value.shape };
  };
  const inputs = graph.inputs.map(port(inputNames));
  const outputs = graph.outputs.map(port(outputNames));
  for (const { name, shape } of inputs) checkElements(name, shape);

  const nodes = liveNodes(graph);
  const values = new Map<GraphValue, OnnxTensor>(graph.inputs.map((value, i) => [value, inputs[i]]));
  await addConstants(onnx, [...nodes.flatMap((node) => node.inputs), ...graph.outputs], options.parameters, values);
  for (const node of nodes) {
    onnx.current = { operation: node.name, site: sites.get(node.attributes) ?? 'an unknown place' };
    lowerNode(onnx, node, options.lowerings ?? {}, values);
  }
  graph.outputs.forEach((value, i) => {
    const [from, to] = [values.get(value) as OnnxTensor, outputs[i]];
    onnx.nodes.push({ name: to.name, type: 'Identity', inputs: [from.name], outputs: [to.name], attributes: {} });
  });
  return { name: options.name ?? 'graph', opset, inputs, outputs, ...neededBy(outputs, onnx) };
}

function checkElements(what: string, shape: Shape): void {
  if (sizeOf(shape) > 0) return;
  throw new RangeError(
    `exportOnnx: ${what} is ${formatShape(shape)}, without elements, which runtimes treat each in its own way; export the function with other shapes`,
  );
}

/** Makes constants of what the nodes read from outside the function. */
async function addConstants(
  onnx: OnnxBuilder,
  read: readonly GraphValue[],
  parameters: ReadonlyMap<string, Tensor> = new Map(),
  values: Map<GraphValue, OnnxTensor>,
): Promise<void> {
  const constants = [...new Set(read)].filter(({ source }) => source === 'captured' || source === 'scalar');
  // Before anything is read back.
  checkBytes(constants.reduce((sum, { shape, dtype }) => sum + sizeOf(shape) * bytesPerElement[dtype], 0));
  const names = new Map([...parameters].map(([name, tensor]) => [placeOf(tensor), name]));
  const known = new Map<string, OnnxTensor>();
  let unnamed = 0;
  for (const value of constants) {
    const { dtype, shape } = value;
    if (value.value !== undefined) {
      values.set(value, onnx.constant([value.value], dtype, shape));
      continue;
    }
    // Two handles on the same elements are one constant.
    const place = placeOf(value);
    let constant = known.get(place);
    if (!constant) {
      const name = names.get(place) ?? (value.numbers ? 'constant' : `parameter${unnamed++}`);
      checkElements(name, shape);
      constant = onnx.initializer(name, await (value.tensor as Tensor).data(), dtype, shape);
      known.set(place, constant);
    }
    values.set(value, constant);
  }
}

const storages = new WeakMap<object, number>();
let storageCount = 0;

/** Equal for handles on the same elements. */
function placeOf({ storage, dtype, shape, strides, offset }: GraphValue | Tensor): string {
  if (!storages.has(storage)) storages.set(storage, storageCount++);
  return `${storages.get(storage)}: ${dtype}[${shape}] by [${strides}] from ${offset}`;
}

function lowerNode(
  onnx: OnnxBuilder,
  { name, op, inputs, outputs, attributes }: GraphNode,
  own: Readonly<Record<string, Lowering<never>>>,
  values: Map<GraphValue, OnnxTensor>,
): void {
  const builtIn = (opTable as Record<string, unknown>)[name] === op ? lowerings[name as OpName] : undefined;
  const lowering = (own[name] as Lowering<never> | undefined) ?? builtIn;
  if (!lowering) {
    onnx.refuse(`it is no operation of the engine; say it in ONNX nodes by { lowerings: { ${name}: … } }`);
  }
  if (typeof lowering !== 'function') onnx.refuse(lowering.unsupported);
  for (const { shape } of outputs) checkElements(`the result of ${name}, called at ${onnx.current.site},`, shape);
  const operands = inputs.map((input) => values.get(input) as OnnxTensor);
  const results = lowering(onnx, operands, attributes as never, outputs);
  outputs.forEach(({ dtype, shape }, i) => {
    const { name, within = op.kind === 'view' ? operands[0].within : undefined } = onnx.cast(results[i], dtype);
    values.set(outputs[i], { name, dtype, shape, within });
  });
}

/** Lowerings may say more than is asked for: nodes, and outputs at the end of nodes. */
function neededBy(outputs: readonly OnnxPort[], onnx: OnnxBuilder): Pick<OnnxModel, 'nodes' | 'initializers'> {
  const needed = new Set(outputs.map(({ name }) => name));
  const nodes = [...onnx.nodes].reverse().flatMap((node) => {
    const last = node.outputs.findLastIndex((output) => needed.has(output));
    if (last < 0) return [];
    for (const input of node.inputs) needed.add(input);
    return [{ ...node, outputs: node.outputs.slice(0, last + 1) }];
  });
  return { nodes: nodes.reverse(), initializers: onnx.initializers.filter(({ name }) => needed.has(name)) };
}
