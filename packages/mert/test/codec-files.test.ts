/** Checkpoints of codecs in every layout, what is wrong with broken ones, and `mert codec encode` and `decode`. */
import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nn } from '@dawnchorus/autograd';
import { encodeWav, readAudio } from '@dawnchorus/dsp';
import { readNpy, readSafetensors, type SafetensorsTensor, writeNpy, writeSafetensors } from '@dawnchorus/formats';
import { type Tensor, tensor } from '@dawnchorus/tensor';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Codec } from '../src/codec/codec.ts';
import { codecConfig, codecToHuggingFace } from '../src/codec/config.ts';
import { loadCodec, saveCodec } from '../src/codec/load.ts';
import { canonicalName } from '../src/codec/names.ts';
import { decodeTrack, encodePieces, encodeTrack } from '../src/codec/stream.ts';
import { expectedTensors } from '../src/codec/weights.ts';
import { goldenWeights, hashNoise, wrongCodes } from './codec-support.ts';
import {
  goldenArrays,
  goldenPath,
  messageOf,
  openTestDevice,
  relativeError,
  runner,
  temporaryFolder,
  tone,
  writeFile,
} from './support.ts';

const device = await openTestDevice();
const folder = temporaryFolder();
const floats = async (x: Tensor) => (await x.data()) as Float32Array;
const tinyGolden = await goldenArrays('encodec_tiny.safetensors');
const tinyWeights = await goldenWeights('encodec_tiny.safetensors', 'weight/');
const tinyConfig = codecConfig({ numFilters: 4, hiddenSize: 16, codebookSize: 64, numCodebooks: 4 });

/** A folder with some files. */
function modelFolder(name: string): string {
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  return path;
}

async function writeWeights(path: string, weights: ReadonlyMap<string, SafetensorsTensor>): Promise<void> {
  await writeSafetensors(path, [...weights] as Parameters<typeof writeSafetensors>[1]);
}

/** The small model in Hugging Face's layout, changed by `edit`. */
async function huggingFaceFolder(
  name: string,
  edit: (weights: Map<string, SafetensorsTensor>, config: Record<string, unknown>) => void = () => {},
): Promise<string> {
  const path = modelFolder(name);
  const weights = new Map([...tinyWeights].map(([key, value]) => [canonicalName(key), value]));
  const { config } = codecToHuggingFace(tinyConfig);
  edit(weights, config);
  await writeWeights(join(path, 'model.safetensors'), weights);
  writeFileSync(join(path, 'config.json'), JSON.stringify(config));
  return path;
}

const loading = suite('loading codecs');

/** The golden codes, from whatever was loaded. */
async function assertTinyCodes(path: string): Promise<void> {
  const codec = await loadCodec(path);
  const x = tinyGolden('x');
  const codes = (await codec.encode(tensor(x, { shape: [1, x.length] })).data()) as Int32Array;
  const found = wrongCodes(codes, tinyGolden('codes'), tinyGolden('code_gap'), { frames: 7, least: 1e-3 });
  assert.is(found.wrong, 0);
  codec.dispose();
}

loading('Hugging Face’s layout, with and without config.json', async () => {
  const path = await huggingFaceFolder('hf');
  await assertTinyCodes(path);
  await assertTinyCodes(join(path, 'model.safetensors'));
});

loading('encodec’s names in safetensors', async () => {
  const path = modelFolder('encodec');
  await writeWeights(join(path, 'weights.safetensors'), tinyWeights);
  await assertTinyCodes(path);
});

loading('files of PyTorch: encodec’s own .th, and parametrised weight norm', async () => {
  const names = new Set<string>();
  for (const [file, target] of [
    ['codec_encodec.th', 'encodec_24khz-d7cc33bc.th'],
    ['codec_parametrized.bin', 'pytorch_model.bin'],
  ]) {
    const path = modelFolder(`torch-${file}`);
    copyFileSync(goldenPath(file), join(path, target));
    const codec = await loadCodec(path);
    assert.equal(codec.config, codecConfig({ numFilters: 2, hiddenSize: 4, codebookSize: 8, numCodebooks: 3 }));
    for (const { name, tensor: own } of expectedTensors(codec)) {
      names.add(name);
      if (own) assert.equal(await floats(own), hashNoise(`w/${name}`, own.size), name);
    }
    codec.dispose();
  }
  assert.is(names.size, 136);
});

loading('what is saved is loaded again, weight for weight', async () => {
  const codec = new Codec(
    codecConfig({ numFilters: 2, hiddenSize: 4, codebookSize: 8, numCodebooks: 3 }),
    nn.keySequence(4),
  );
  const path = join(folder, 'saved');
  await saveCodec(path, codec);
  const again = await loadCodec(path);
  assert.equal(again.config, codec.config);
  const [before, after] = [codec.named(), again.named()];
  assert.equal([...after.keys()], [...before.keys()]);
  for (const [name, value] of before) assert.equal(await floats(after.get(name)!), await floats(value), name);
  const stored = await readSafetensors(join(path, 'model.safetensors'));
  assert.equal(stored.get('quantizer.layers.2.codebook.inited')!.data, Float32Array.of(1));
  codec.dispose();
  again.dispose();
});

loading('missing, extra, misshapen, doubled, integer and NaN tensors are listed at once', async () => {
  const expected = [
    'encoder.layers.0.conv.weight_g: missing',
    'quantizer.layers.3.codebook.inited: missing',
    'decoder.layers.15.conv.bias: shape [2] in the file, [1] in the model',
    'encoder.layers.13.lstm.weight_ih_l0: shape [256, 63] in the file, [256, 64] in the model',
    'encoder.layers.3.conv.bias: dtype I32 in the file, expected F32, F64, F16 or BF16',
    'encoder.layers.6.conv.bias: holds numbers that are NaN or infinite',
    'encoder.layers.99.conv.bias: not in the model',
    'ema.decay: not in the model',
    'encoder.model.1.block.1.conv.conv.bias: the same tensor as encoder.layers.1.block.1.conv.bias, by another spelling',
  ];
  const zeros = (...shape: number[]): SafetensorsTensor => ({
    dtype: 'F32',
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
  });
  const path = await huggingFaceFolder('broken', (weights) => {
    weights.delete('encoder.layers.0.conv.weight_g');
    weights.delete('quantizer.layers.3.codebook.inited');
    weights.set('decoder.layers.15.conv.bias', zeros(2));
    weights.set('encoder.layers.13.lstm.weight_ih_l0', zeros(256, 63));
    weights.set('encoder.layers.3.conv.bias', { dtype: 'I32', shape: [8], data: new Int32Array(8) });
    weights.set('encoder.layers.6.conv.bias', {
      dtype: 'F32',
      shape: [16],
      data: new Float32Array(16).fill(Number.NaN),
    });
    weights.set('encoder.layers.99.conv.bias', zeros(4));
    weights.set('ema.decay', zeros(1));
    weights.set('encoder.model.1.block.1.conv.conv.bias', zeros(2));
  });
  // With the configuration or without, what is broken is the same.
  for (const model of [path, join(path, 'model.safetensors')]) {
    const message = await messageOf(() => loadCodec(model));
    assert.match(message, /model\.safetensors: the checkpoint does not fit the model in 9 tensors:/);
    for (const line of expected) assert.ok(message.includes(`\n  ${line}`), `${line}\n${message}`);
  }
});

loading('problems have the names of the file’s own spelling', async () => {
  const path = modelFolder('broken-encodec');
  const weights = new Map(tinyWeights);
  weights.delete('decoder.model.3.convtr.convtr.weight_v');
  weights.delete('quantizer.vq.layers.1._codebook.embed');
  weights.delete('encoder.model.0.conv.conv.bias');
  await writeWeights(join(path, 'weights.safetensors'), weights);
  const message = await messageOf(() => loadCodec(path));
  assert.match(message, / in 3 tensors:/);
  for (const name of [
    'decoder.model.3.convtr.convtr.weight_v',
    'quantizer.vq.layers.1._codebook.embed',
    'encoder.model.0.conv.conv.bias',
  ]) {
    assert.ok(message.includes(`${name}: missing`), message);
  }
});

loading('configurations that are not supported say everything that is not', async () => {
  const path = await huggingFaceFolder('stereo', (_, config) => {
    config.audio_channels = 2;
    config.norm_type = 'time_group_norm';
    config.num_filters = 'many';
  });
  const message = await messageOf(() => loadCodec(path));
  assert.match(message, /config\.json: not a codec that is supported here:/);
  for (const text of ['audio_channels is 2', 'norm_type is "time_group_norm"', 'num_filters: ']) {
    assert.ok(message.includes(text), message);
  }
});

loading('folders without weights, with several, and no folder', async () => {
  assert.match(await messageOf(() => loadCodec(modelFolder('empty'))), /empty: has no model\.safetensors/);
  const two = modelFolder('two');
  for (const name of ['a.th', 'b.th']) copyFileSync(goldenPath('codec_encodec.th'), join(two, name));
  assert.match(await messageOf(() => loadCodec(two)), /has 2 files \.th \(a\.th, b\.th\)/);
  assert.match(await messageOf(() => loadCodec(join(folder, 'nowhere'))), /there is no such file or folder/);
});

const streaming = suite('streams');

streaming('tracks in pieces of any length have the codes of the whole, in bounded memory', async () => {
  const codec = await loadCodec(await huggingFaceFolder('streamed'));
  const samples = Float32Array.from([...tone(12000, 1), ...tone(9000, 4), ...tone(11111, 2)]);
  const whole = (await codec.encode(tensor(samples, { shape: [1, samples.length] })).data()) as Int32Array;
  async function* pieces(length: number) {
    for (let at = 0; at < samples.length; at += length) yield samples.subarray(at, at + length);
  }
  for (const [length, pieceFrames] of [
    [1000, 16],
    [33, 40],
    [100000, 17],
    [5120, 16],
  ]) {
    const { codes, codebooks, frames } = await encodeTrack(codec, pieces(length), { pieceFrames });
    assert.equal([codebooks, frames], [4, Math.ceil(samples.length / 320)]);
    assert.equal(codes, whole);
    const decoded = await decodeTrack(codec, codes, 4, { pieceFrames, samples: samples.length });
    const all = await floats(codec.decode(tensor(codes, { shape: [1, 4, frames] })));
    assert.ok(relativeError(decoded, all.subarray(0, samples.length)) < 2e-6);
  }
  // A track three times as long takes no more memory.
  const peaks: number[] = [];
  for (const seconds of [4, 12]) {
    async function* noise() {
      for (let i = 0; i < seconds; i++) yield hashNoise(`noise/${i}`, 24000);
    }
    let most = 0;
    for await (const _ of encodePieces(codec, noise(), { pieceFrames: 75 })) {
      most = Math.max(most, device.statistics().liveBytes);
    }
    peaks.push(most);
  }
  assert.ok(peaks[1] <= peaks[0], `${peaks}`);
  codec.dispose();
});

streaming('pieces are as long as kernels reach', async () => {
  // Dilations 1 to 27 at half a frame a step: 54 samples, 27 frames, are mirrored in front.
  const wide = { upsamplingRatios: [2], numResidualLayers: 4, dilationGrowthRate: 3, numLstmLayers: 0 };
  const small = { numFilters: 4, hiddenSize: 4, codebookSize: 8, numCodebooks: 2 };
  const codec = new Codec(codecConfig({ ...wide, ...small }), nn.keySequence(1));
  const samples = tone(500, 1);
  const codes = (await codec.encode(tensor(samples, { shape: [1, 500] }), { codebooks: 2 }).data()) as Int32Array;
  const whole = await floats(codec.decode(tensor(codes, { shape: [1, 2, 250] })));
  for (const pieceFrames of [28, 100]) {
    const options = { pieceFrames, codebooks: 2 };
    assert.equal((await encodeTrack(codec, [samples], options)).codes, codes);
    assert.ok(relativeError(await decodeTrack(codec, codes, 2, options), whole) < 2e-6, `${pieceFrames}`);
  }
  const short = { pieceFrames: 16, codebooks: 2 };
  const expected = /pieces of 16 frames; expected a whole number from 28/;
  assert.match(await messageOf(() => encodeTrack(codec, [samples], short)), expected);
  assert.match(await messageOf(() => decodeTrack(codec, codes, 2, short)), expected);
  codec.dispose();
});

streaming('what cannot be encoded or decoded', async () => {
  const codec = await loadCodec(await huggingFaceFolder('refusing'));
  const nan = tone(400, 1);
  nan[321] = Number.NaN;
  const before = device.statistics().liveBytes;
  assert.match(
    await messageOf(() => encodeTrack(codec, [tone(100, 1), nan])),
    /sample 421 is NaN; every sample must be finite/,
  );
  assert.match(await messageOf(() => encodeTrack(codec, [])), /there are no samples/);
  assert.match(await messageOf(() => encodeTrack(codec, [nan], { pieceFrames: 3 })), /expected a whole number from 16/);
  assert.match(
    await messageOf(() => decodeTrack(codec, [1, 2, 3, 64], 2)),
    /the code of codebook 1, frame 1 is 64; expected 0 to 63/,
  );
  assert.match(await messageOf(() => decodeTrack(codec, [1, 2, 3], 2)), /no whole number of frames of 2 codebooks/);
  assert.match(await messageOf(() => decodeTrack(codec, [1], 5)), /5 codebooks; this model has 1 to 4/);
  assert.ok(device.statistics().liveBytes <= before);
  codec.dispose();
});

const main = fileURLToPath(new URL('../src/cli/main.ts', import.meta.url));

function mert(...options: string[]): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [runner, main, ...options]);
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.on('close', (code) => resolve({ code, stderr }));
  });
}

const command = suite('mert codec');
const out = join(folder, 'codes.npy');

command('encode writes int32 [codebooks, frames], decode a WAV file', async () => {
  const model = await huggingFaceFolder('cli');
  const input = writeFile(join(folder, 'x.wav'), encodeWav(tinyGolden('x'), 24000, { format: 'float32' }));
  const { code, stderr } = await mert(
    'codec',
    'encode',
    '--model',
    model,
    '--input',
    input,
    '--out',
    out,
    '--bandwidth',
    '6',
  );
  assert.is(code, 0, stderr);
  assert.match(stderr, /wrote .*codes\.npy: int32 \[4, 7\]/);
  const codes = await readNpy(out);
  assert.is(codes.dtype, '<i4');
  assert.equal(codes.shape, [4, 7]);
  const found = wrongCodes(codes.data as Int32Array, tinyGolden('codes'), tinyGolden('code_gap'), {
    frames: 7,
    least: 1e-3,
  });
  assert.is(found.wrong, 0);
  await writeNpy(join(folder, 'golden.npy'), Int32Array.from(tinyGolden('codes')), [4, 7]);
  const wav = join(folder, 'decoded.wav');
  const decode = ['codec', 'decode', '--model', model, '--input', join(folder, 'golden.npy'), '--out', wav];
  const more = await mert(...decode, '--samples', '2241');
  assert.is(more.code, 1);
  assert.match(more.stderr, /--samples 2241: the codes of .*golden\.npy are 2240; give as many at most/);
  assert.not.ok(existsSync(wav));
  const decoded = await mert(...decode, '--samples', '2000');
  assert.is(decoded.code, 0, decoded.stderr);
  const { samples, sampleRate } = await readAudio(wav);
  assert.is(sampleRate, 24000);
  assert.ok(relativeError(samples, tinyGolden('decoded').subarray(0, 2000)) < 1e-4);
});

command('odd files: one sample, silence, six channels at another rate', async () => {
  const model = await huggingFaceFolder('cli-odd');
  const six = Array.from({ length: 6 }, (_, i) => tone(8000, i, 44100));
  const cases: [string, Uint8Array, number][] = [
    ['one', encodeWav(Float32Array.of(0.5), 24000), 1],
    ['silent', encodeWav(new Float32Array(4000), 24000), 13],
    ['six', encodeWav(six, 44100), Math.ceil(Math.ceil((8000 * 24000) / 44100) / 320)],
  ];
  for (const [name, bytes, frames] of cases) {
    const input = writeFile(join(folder, `${name}.wav`), bytes);
    const { code, stderr } = await mert('codec', 'encode', '--model', model, '--input', input, '--out', out);
    assert.is(code, 0, stderr);
    const { shape, data } = await readNpy(out);
    assert.equal(shape, [4, frames], name);
    assert.ok([...(data as Int32Array)].every((value) => value >= 0 && value < 64));
  }
});

command('broken files and models end with status 1 and a reason', async () => {
  const model = await huggingFaceFolder('cli-broken');
  const never = join(folder, 'never.npy');
  const good = encodeWav(tone(2400, 1), 24000, { format: 'float32' });
  const view = (bytes: Uint8Array) => new DataView(bytes.buffer);
  const nan = good.slice();
  view(nan).setFloat32(58 + 4 * 100, Number.NaN, true);
  const absurd = good.slice();
  view(absurd).setUint32(24, 4_000_000_000, true);
  const cases: [string, Uint8Array | string, RegExp][] = [
    ['nan', nan, /nan\.wav: sample 100 is NaN/],
    ['absurd', absurd, /absurd\.wav: its header says 4000000000 Hz/],
    ['cut', good.subarray(0, 3000), /cut\.wav: .*(promises|truncated|ends)/],
    ['words', 'words', /words\.wav: the file is no WAV/],
    ['none', encodeWav(new Float32Array(0), 24000), /none\.wav: .*(no samples|empty)/],
  ];
  for (const [name, bytes, message] of cases) {
    const input = writeFile(join(folder, `${name}.wav`), bytes);
    const { code, stderr } = await mert('codec', 'encode', '--model', model, '--input', input, '--out', never);
    assert.match(stderr, message);
    assert.is(code, 1, name);
    assert.not.match(stderr, / at .*\.ts:/, 'no stack trace');
  }
  const input = writeFile(join(folder, 'good.wav'), good);
  const wrong = await mert('codec', 'encode', '--model', join(folder, 'broken'), '--input', input, '--out', never);
  assert.is(wrong.code, 1);
  assert.match(wrong.stderr, /does not fit the model in 9 tensors/);
  const zero = await mert('codec', 'encode', '--model', model, '--input', input, '--out', never, '--bandwidth', '0');
  assert.match(zero.stderr, /expected a number above 0/);
  assert.is(existsSync(never), false);
});

loading.run();
streaming.run();
command.after(() => device.close());
command.run();
