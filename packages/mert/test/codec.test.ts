/** EnCodec's model against encodec itself: every layer of a small one (golden/encodec_tiny), the real one (encodec_full). */
import { readFileSync } from 'node:fs';
import { nn } from '@dawnchorus/autograd';
import { scope, stack, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Codec } from '../src/codec/codec.ts';
import { codebooksFor, codecConfig } from '../src/codec/config.ts';
import { inferConfig } from '../src/codec/infer.ts';
import { canonicalName, spelledName } from '../src/codec/names.ts';
import { pieceByPiece } from '../src/codec/pass.ts';
import { expectedTensors, fillCodec, transposedLayers } from '../src/codec/weights.ts';
import { type CodecKey, fullWeights, goldenWeights, wrongCodes } from './codec-support.ts';
import { goldenArrays, goldenPath, openTestDevice, relativeError, tone } from './support.ts';

const device = await openTestDevice();
const { keys, params } = JSON.parse(readFileSync(goldenPath('encodec_keys.json'), 'utf8')) as {
  keys: CodecKey[];
  params: Record<string, number>;
};
const floats = async (x: Tensor) => (await x.data()) as Float32Array;

const tinyConfig = codecConfig({ numFilters: 4, hiddenSize: 16, codebookSize: 64, numCodebooks: 4 });
const tinyGolden = await goldenArrays('encodec_tiny.safetensors');
const tinyWeights = await goldenWeights('encodec_tiny.safetensors', 'weight/');
const tiny = new Codec(tinyConfig, nn.keySequence(1));
fillCodec(tiny, tinyWeights, 'encodec_tiny');

const wave = (samples: Float32Array) => tensor(samples, { shape: [1, samples.length] });

const names = suite('names of tensors');

names('all 252 keys in every spelling, and the shapes', () => {
  assert.is(keys.length, 252);
  const codec = scope(() => new Codec(codecConfig(), nn.keySequence(1)));
  const isTransposed = transposedLayers(codec.config);
  const expected = new Map(expectedTensors(codec).map(({ name, shape }) => [name, shape]));
  assert.is(expected.size, 252);
  for (const { fb, hf, hf_parametrized, shape } of keys) {
    for (const name of [fb, hf, hf_parametrized]) assert.is(canonicalName(name), hf);
    assert.equal([...(expected.get(hf) ?? [])], shape, hf);
    const spelled = (layout: 'encodec' | 'huggingface', parametrized: boolean) =>
      spelledName(hf, { layout, parametrized }, isTransposed);
    assert.is(spelled('encodec', false), fb);
    assert.is(spelled('huggingface', false), hf);
    assert.is(spelled('huggingface', true), hf_parametrized);
    assert.is(canonicalName(spelled('encodec', true)), hf);
  }
  assert.is(codec.encoder.parameterCount(), params.encoder);
  assert.is(codec.decoder.parameterCount(), params.decoder);
  codec.dispose();
});

names('shapes tell the architecture', () => {
  const shapes = new Map(keys.map(({ hf, shape }) => [hf, shape]));
  assert.equal(inferConfig(shapes), codecConfig());
  assert.equal(
    inferConfig(new Map([...tinyWeights].map(([name, { shape }]) => [canonicalName(name), shape]))),
    tinyConfig,
  );
  for (const config of [
    codecConfig({ numFilters: 8, upsamplingRatios: [5, 3, 2], numLstmLayers: 0, numCodebooks: 3, hiddenSize: 24 }),
    codecConfig({ numFilters: 6, numResidualLayers: 2, compress: 3, useConvShortcut: false, numLstmLayers: 1 }),
  ]) {
    const codec = scope(() => new Codec(config, nn.keySequence(1)));
    const shapes = new Map(expectedTensors(codec).map(({ name, shape }) => [name, shape]));
    assert.equal(inferConfig(shapes), config);
    codec.dispose();
  }
});

names('bandwidths', () => {
  const config = codecConfig();
  assert.equal(
    [1.5, 3, 6, 12, 24, 0.1].map((bandwidth) => codebooksFor(config, bandwidth)),
    [2, 4, 8, 16, 32, 1],
  );
  assert.throws(() => codebooksFor(config, 0), /expected a positive number/);
});

const small = suite('a small EnCodec');

small('every layer of encoder and decoder', async () => {
  const outputs = new Map<string, Tensor>();
  const x = wave(tinyGolden('x')).reshape([1, 1, 2000]);
  const latents = tiny.encoder.forward(x, undefined, (y, i) => outputs.set(`enc/layer${i}_`, y));
  const codes = tiny.quantize(latents, { codebooks: 4 });
  tiny.decoder.forward(tiny.dequantize(codes), undefined, (y, i) => outputs.set(`dec/layer${i}_`, y));
  assert.is(outputs.size, 32);
  const all = await goldenWeights('encodec_tiny.safetensors', '');
  for (const [prefix, y] of outputs) {
    const [name, expected] = [...all].find(([key]) => key.startsWith(prefix))!;
    assert.equal([...y.shape.slice(1)], [...expected.shape], name);
    const error = relativeError(await floats(y), expected.data as Float32Array);
    assert.ok(error < 1e-4, `${name}: ${error}`);
  }
});

small('codes, quantised latents, residual and decoded waveform', async () => {
  const codes = tiny.encode(wave(tinyGolden('x')), { bandwidth: 6 });
  assert.equal([...codes.shape], [1, 4, 7]);
  assert.is(codes.dtype, 'i32');
  const own = (await codes.data()) as Int32Array;
  const found = wrongCodes(own, tinyGolden('codes'), tinyGolden('code_gap'), { frames: 7, least: 1e-3 });
  assert.is(found.wrong, 0);
  assert.ok(found.compared > 20, `${found.compared}`);
  const golden = tensor(Int32Array.from(tinyGolden('codes')), { shape: [1, 4, 7] });
  const quantised = tiny.dequantize(golden);
  assert.ok(relativeError(await floats(quantised), tinyGolden('quantized')) < 1e-5);
  const residual = tiny.latents(wave(tinyGolden('x'))).sub(quantised);
  assert.ok(relativeError(await floats(residual), tinyGolden('final_residual')) < 1e-4);
  assert.ok(relativeError(await floats(tiny.decode(golden)), tinyGolden('decoded')) < 1e-4);
  // Codebooks in another order would be noticed.
  const swapped = stack([1, 0, 2, 3].map((stage) => golden.select(1, stage))).permute([1, 0, 2]);
  assert.ok(relativeError(await floats(tiny.decode(swapped)), tinyGolden('decoded')) > 1e-2);
});

small('clips of 1, 3 and 5 samples, and lengths in frames', async () => {
  for (const samples of [1, 3, 5]) {
    const latents = tiny.latents(wave(tinyGolden(`short${samples}/x`)));
    const error = relativeError(await floats(latents), tinyGolden(`short${samples}/enc`));
    assert.ok(error < 1e-4, `${samples}: ${error}`);
  }
  for (const [samples, frames] of [
    [1, 1],
    [7, 1],
    [319, 1],
    [320, 1],
    [321, 2],
    [640, 2],
    [641, 3],
  ]) {
    assert.is(tiny.latents(wave(tone(samples, 1))).shape[2], frames);
  }
  assert.throws(() => tiny.encode(wave(new Float32Array(0))), /one sample at least/);
});

small('several clips at once are as each alone', async () => {
  const clips = [tone(1500, 1), tone(1500, 2)];
  const both = tensor(Float32Array.from([...clips[0], ...clips[1]]), { shape: [2, 1500] });
  const latents = await floats(tiny.latents(both));
  for (const [i, clip] of clips.entries()) {
    const alone = await floats(tiny.latents(wave(clip)));
    assert.ok(relativeError(latents.subarray(i * alone.length, (i + 1) * alone.length), alone) < 1e-5);
  }
});

small('fewer codebooks give the first codes', async () => {
  const x = wave(tinyGolden('x'));
  const all = (await tiny.encode(x, { codebooks: 4 }).data()) as Int32Array;
  const two = (await tiny.encode(x, { codebooks: 2 }).data()) as Int32Array;
  assert.equal(two, all.subarray(0, 14));
  assert.throws(() => tiny.encode(x, { codebooks: 5 }), /5 codebooks; this model has 1 to 4/);
});

small('what comes later changes nothing but the last frame', async () => {
  const x = tone(4000, 3);
  const all = await floats(tiny.latents(wave(x)));
  const frames = 13;
  for (const samples of [3200, 3300]) {
    const part = await floats(tiny.latents(wave(x.subarray(0, samples))));
    const own = Math.ceil(samples / 320);
    const same = samples % 320 === 0 ? own : own - 1;
    const difference = (t: number) =>
      Math.max(...Array.from({ length: 16 }, (_, d) => Math.abs(part[d * own + t] - all[d * frames + t])));
    for (let t = 0; t < same; t++) assert.ok(difference(t) < 3e-6, `${samples}, ${t}: ${difference(t)}`);
    if (same < own) assert.ok(difference(same) > 1e-3);
  }
});

/** The network over a signal that comes in pieces of these lengths. */
async function inPieces(
  network: { forward(x: Tensor, pass: ReturnType<ReturnType<typeof pieceByPiece>['next']>): Tensor },
  x: Tensor,
  lengths: readonly number[],
): Promise<Float32Array[]> {
  const pieces = pieceByPiece();
  const made: Float32Array[] = [];
  let start = 0;
  for (const [i, length] of lengths.entries()) {
    const y = scope(() =>
      network.forward(x.sliceAxis(2, start, start + length), pieces.next(i === lengths.length - 1)),
    );
    made.push(await floats(y));
    y.dispose();
    start += length;
  }
  pieces.dispose();
  return made;
}

/** Pieces [rows, own] as one array [rows, sum of own]. */
function joined(pieces: readonly Float32Array[], rows: number): Float32Array {
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const all = new Float32Array(length);
  let at = 0;
  for (let row = 0; row < rows; row++) {
    for (const piece of pieces) {
      const own = piece.length / rows;
      all.set(piece.subarray(row * own, (row + 1) * own), at);
      at += own;
    }
  }
  return all;
}

small('in pieces, encoder and decoder make what they make at once', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 9, max: 14 }),
      fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 3 }),
      fc.integer({ min: 1, max: 640 }),
      async (first, more, rest) => {
        const lengths = [first * 320, ...more.map((frames) => frames * 320), rest];
        const samples = lengths.reduce((a, b) => a + b);
        const x = wave(tone(samples, 5)).reshape([1, 1, samples]);
        const before = device.statistics().liveBytes;
        const latents = joined(await inPieces(tiny.encoder, x, lengths), 16);
        // Less where garbage of others was collected meanwhile.
        assert.ok(device.statistics().liveBytes <= before);
        assert.ok(relativeError(latents, await floats(tiny.encoder.forward(x))) < 2e-6);
        const frames = latents.length / 16;
        const z = tensor(latents, { shape: [1, 16, frames] });
        const steps = [first, ...more, frames - first - more.reduce((a, b) => a + b, 0)];
        const decoded = joined(await inPieces(tiny.decoder, z, steps), 1);
        assert.ok(relativeError(decoded, await floats(tiny.decoder.forward(z))) < 2e-6);
      },
    ),
    { numRuns: 6, includeErrorInReport: true },
  );
});

const full = suite('the 24 kHz architecture');

full('latents, codes at 6 and 24 kbit/s and decoded waveforms of encodec', async () => {
  const golden = await goldenArrays('encodec_full.safetensors');
  const codec = new Codec(codecConfig(), nn.keySequence(1));
  fillCodec(codec, fullWeights(keys), 'encodec_full');
  for (const name of ['mix', 'chirp']) {
    const x = wave(golden(`${name}/x`));
    const samples = x.shape[1];
    const latents = codec.latents(x);
    const frames = latents.shape[2];
    const error = relativeError(await floats(latents), golden(`${name}/z`));
    assert.ok(error < 1e-3, `${name}: z ${error}`);
    const codes = codec.encode(x);
    assert.equal([...codes.shape], [1, 8, frames]);
    const own = (await codes.data()) as Int32Array;
    const options = { frames, least: 1e-2 };
    const found = wrongCodes(own, golden(`${name}/codes_6kbps`), golden(`${name}/code_gap`), options);
    assert.is(found.wrong, 0, name);
    assert.ok(found.compared > frames, `${name}: ${found.compared} codes compared`);
    if (name === 'chirp') {
      const most = (await codec.encode(x, { bandwidth: 24 }).data()) as Int32Array;
      assert.equal(most.subarray(0, own.length), own);
    }
    const given = tensor(Int32Array.from(golden(`${name}/codes_6kbps`)), { shape: [1, 8, frames] });
    const decoded = (await floats(codec.decode(given))).subarray(0, samples);
    const decodedError = relativeError(decoded, golden(`${name}/y`));
    assert.ok(decodedError < 1e-3, `${name}: y ${decodedError}`);
  }
  codec.dispose();
});

full.after(() => device.close());

names.run();
small.run();
full.run();
