import { type CodecConfig, codecConfig } from './config.ts';

type Shapes = ReadonlyMap<string, readonly number[]>;

/** The value that most of the votes are for; the first of equals. */
function mostFrequent(votes: readonly (number | undefined)[]): number | undefined {
  const counts = new Map<number, number>();
  for (const vote of votes) if (vote !== undefined) counts.set(vote, (counts.get(vote) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0];
}

/**
 * Numbers of the layers of `part` that hold tensors whose names go on so. One tensor alone, where there should be several,
 * is a stray.
 */
function layersWith(shapes: Shapes, part: string, start: string): number[] {
  const counts = new Map<number, number>();
  for (const name of shapes.keys()) {
    const match = /^(\w+)\.layers\.(\d+)\.(.*)$/.exec(name);
    if (match?.[1] !== part || !match[3].startsWith(start)) continue;
    counts.set(Number(match[2]), (counts.get(Number(match[2])) ?? 0) + 1);
  }
  return [...counts].flatMap(([layer, count]) => (count > 1 ? [layer] : [])).sort((a, b) => a - b);
}

/**
 * The architecture that the shapes of a checkpoint (by canonical name) speak of, for files without a config.json. Several
 * tensors tell of each number and the majority decides, so that a few broken ones are found to be broken. What nothing
 * tells is as in the published model.
 */
export function inferConfig(shapes: Shapes): CodecConfig {
  const defaults = codecConfig();
  const at = (name: string, axis: number) => shapes.get(name)?.[axis];
  const conv = (part: string, layer: number, axis: number) => at(`${part}.layers.${layer}.conv.weight_v`, axis);

  // Convolutions of the encoder: the first, one for each stage, the last.
  const convs = layersWith(shapes, 'encoder', 'conv.');
  const stages = convs.slice(1, -1);
  const units = layersWith(shapes, 'encoder', 'block.');
  const transposed = layersWith(shapes, 'decoder', 'conv.').slice(1, -1);
  const lastConv = convs[convs.length - 1] ?? 0;

  const numFilters = mostFrequent([
    at('encoder.layers.0.conv.bias', 0),
    conv('encoder', 0, 0),
    ...stages.flatMap((layer, i) =>
      [conv('encoder', layer, 1), at(`encoder.layers.${layer}.conv.bias`, 0)].map((channels, k) =>
        channels === undefined ? undefined : channels / 2 ** (i + k),
      ),
    ),
  ]);
  const fromEncoder = stages.map((layer) => conv('encoder', layer, 2)).map((kernel) => kernel && kernel / 2);
  const fromDecoder = transposed.map((layer) => conv('decoder', layer, 2)).map((kernel) => kernel && kernel / 2);
  const ratios = Array.from({ length: Math.max(stages.length, transposed.length) }, (_, i) =>
    mostFrequent([fromDecoder[i], fromEncoder[stages.length - 1 - i]]),
  );
  const stage = numFilters ?? defaults.numFilters;
  const unit = units[0] ?? 1;

  const codebooks = [...shapes.keys()].flatMap((name) => {
    const match = /^quantizer\.layers\.(\d+)\.codebook\./.exec(name);
    return match ? [Number(match[1])] : [];
  });
  const embeds = [...shapes].filter(([name]) => /^quantizer\..*\.embed(_avg)?$/.test(name)).map(([, shape]) => shape);
  const sizes = [...shapes].filter(([name]) => /^quantizer\..*\.cluster_size$/.test(name)).map(([, shape]) => shape[0]);
  const lstmLayers = [...shapes.keys()].flatMap((name) => {
    const match = /\.lstm\.\w+_l(\d+)$/.exec(name);
    return match ? [Number(match[1]) + 1] : [];
  });
  const inner = at(`encoder.layers.${unit}.block.1.conv.bias`, 0);

  const given: Partial<CodecConfig> = {
    numFilters,
    hiddenSize: mostFrequent([
      at(`encoder.layers.${lastConv}.conv.bias`, 0),
      conv('encoder', lastConv, 0),
      conv('decoder', 0, 1),
      ...embeds.map((shape) => shape[1]),
    ]),
    upsamplingRatios:
      ratios.every((ratio) => ratio !== undefined) && ratios.length > 0 ? (ratios as number[]) : undefined,
    numResidualLayers: stages.length > 0 ? Math.max(1, Math.round(units.length / stages.length)) : undefined,
    kernelSize: mostFrequent([conv('encoder', 0, 2), conv('decoder', 0, 2)]),
    lastKernelSize: mostFrequent([conv('encoder', lastConv, 2)]),
    residualKernelSize: mostFrequent(units.map((layer) => at(`encoder.layers.${layer}.block.1.conv.weight_v`, 2))),
    compress: inner !== undefined && inner > 0 && stage % inner === 0 ? stage / inner : undefined,
    numLstmLayers: lstmLayers.length > 0 ? Math.max(...lstmLayers) : convs.length > 0 ? 0 : undefined,
    useConvShortcut: units.length > 0 ? layersWith(shapes, 'encoder', 'shortcut.').length > 0 : undefined,
    codebookSize: mostFrequent([...embeds.map((shape) => shape[0]), ...sizes]),
    numCodebooks: codebooks.length > 0 ? Math.max(...codebooks) + 1 : undefined,
  };
  const known = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  try {
    return codecConfig(known);
  } catch {
    return defaults;
  }
}
