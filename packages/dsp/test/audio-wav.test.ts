import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { AudioError, decodeAudio, encodeWav, memorySource } from '../src/audio/index.ts';
import { openAudio } from '../src/audio/open.ts';
import '../../tensor/test/seed.ts';

type Header = { tag: number; bits: number; channels?: number; extensible?: boolean; before?: Uint8Array };

/** A WAV file made by hand, so that the reader is not tested with the writer's own idea of the format. */
function wav(data: Uint8Array, { tag, bits, channels = 1, extensible = false, before }: Header): Uint8Array {
  const format = Buffer.alloc(extensible ? 40 : 16);
  format.writeUInt16LE(extensible ? 0xfffe : tag, 0);
  format.writeUInt16LE(channels, 2);
  format.writeUInt32LE(8000, 4);
  format.writeUInt32LE((8000 * channels * bits) / 8, 8);
  format.writeUInt16LE((channels * bits) / 8, 12);
  format.writeUInt16LE(bits, 14);
  if (extensible) {
    format.writeUInt16LE(22, 16);
    format.writeUInt16LE(bits, 18);
    format.set(Buffer.from([tag, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71]), 24);
  }
  const chunk = (name: string, body: Uint8Array) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(body.length);
    return Buffer.concat([Buffer.from(name), size, body, Buffer.alloc(body.length % 2)]);
  };
  const chunks = [chunk('fmt ', format), ...(before ? [chunk('LIST', before)] : []), chunk('data', data)];
  return Buffer.concat([Buffer.from('RIFF\0\0\0\0WAVE'), ...chunks]);
}

const decode = async (bytes: Uint8Array) => (await decodeAudio(memorySource(bytes, 'x.wav'))).samples;
const finite = fc.float({ noNaN: true, noDefaultInfinity: true, min: -4, max: 4 });

/** The channels as they are stored, before they are mixed. */
async function channelsOf(bytes: Uint8Array): Promise<Float32Array[]> {
  const stream = await openAudio(memorySource(bytes));
  for await (const { channels } of stream.blocks(0, stream.frames)) return channels;
  return [];
}

test('integers of every width and floats decode to fractions of full scale', async () => {
  const cases: [Header, number[], number[]][] = [
    [{ tag: 1, bits: 8 }, [0, 128, 192, 255], [-1, 0, 0.5, 127 / 128]],
    [{ tag: 1, bits: 16 }, [0, 0x80, 0, 0, 0, 0x40, 0xff, 0x7f], [-1, 0, 0.5, 32767 / 32768]],
    [{ tag: 1, bits: 24 }, [0, 0, 0x80, 1, 0, 0, 0, 0, 0x40, 0xff, 0xff, 0xff], [-1, 2 ** -23, 0.5, -(2 ** -23)]],
    [{ tag: 1, bits: 32 }, [0, 0, 0, 0x80, 0, 0, 0, 0x40], [-1, 0.5]],
    [{ tag: 3, bits: 32 }, [...new Uint8Array(Float32Array.of(-1.5, 0.25).buffer)], [-1.5, 0.25]],
    [{ tag: 3, bits: 64 }, [...new Uint8Array(Float64Array.of(-1.5, 0.25).buffer)], [-1.5, 0.25]],
  ];
  for (const [header, bytes, expected] of cases) {
    for (const extensible of [false, true]) {
      const file = wav(Uint8Array.from(bytes), { ...header, extensible, before: Uint8Array.of(1, 2, 3) });
      assert.equal(await decode(file), Float32Array.from(expected), `${header.bits} bits`);
    }
  }
});

test('mono is the mean of the channels', async () => {
  const file = wav(Uint8Array.from([0, 0x40, 0, 0, 0, 0xc0, 0, 0xc0]), { tag: 1, bits: 16, channels: 2 });
  assert.equal(await decode(file), Float32Array.of(0.25, -0.5));
});

test('float32 comes back exactly, of any length and number of channels', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(finite, { minLength: 4, maxLength: 60 }),
      async (count, values) => {
        const frames = Math.floor(values.length / count);
        const channels = Array.from({ length: count }, (_, c) =>
          Float32Array.from(values.slice(c * frames, (c + 1) * frames)),
        );
        assert.equal(await channelsOf(encodeWav(channels, 22050, { format: 'float32' })), channels);
      },
    ),
  );
});

test('pcm16 comes back within half a step, clips beyond full scale, and is exact a second time', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(finite, { minLength: 1, maxLength: 60 }), async (values) => {
      const once = await decode(encodeWav(Float32Array.from(values), 16000));
      for (const [i, value] of values.entries()) {
        const clipped = Math.max(-1, Math.min(32767 / 32768, value));
        assert.ok(Math.abs(once[i] - clipped) <= 0.5 / 32768 + 1e-9);
      }
      assert.equal(await decode(encodeWav(once, 16000)), once);
    }),
  );
});

test('a length that the writer could not know is taken from the file', async () => {
  const file = Buffer.from(wav(Uint8Array.of(0, 0x40, 0, 0x20), { tag: 1, bits: 16 }));
  file.writeUInt32LE(0xffffffff, 40);
  assert.equal(await decode(file), Float32Array.of(0.5, 0.25));
});

test('RF64 says its length in a chunk of its own', async () => {
  const file = wav(Uint8Array.of(0, 0x40, 0, 0x20, 9, 9), { tag: 1, bits: 16 });
  const sizes = Buffer.alloc(36);
  sizes.write('ds64');
  sizes.writeUInt32LE(28, 4);
  sizes.writeBigUInt64LE(4n, 16);
  const long = Buffer.concat([Buffer.from('RF64\xff\xff\xff\xffWAVE', 'latin1'), sizes, file.subarray(12)]);
  long.writeUInt32LE(0xffffffff, 36 + 40);
  assert.equal(await decode(long), Float32Array.of(0.5, 0.25));
});

test('NaN and infinity in the part that is read are an error that says where', async () => {
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
    const data = new Uint8Array(Float32Array.of(0, 0.5, bad, 0).buffer);
    const file = memorySource(wav(data, { tag: 3, bits: 32 }), 'x.wav');
    const error = await decodeAudio(file).then(
      () => null,
      (reason) => reason,
    );
    assert.instance(error, AudioError);
    assert.is(error.reason, 'not-finite');
    assert.match(error.message, /x\.wav: sample 2 is (NaN|Infinity)/);
    assert.equal((await decodeAudio(file, { duration: 2 / 8000 })).samples, Float32Array.of(0, 0.5));
  }
});

test('formats that are not read say so', async () => {
  for (const header of [
    { tag: 6, bits: 8 },
    { tag: 1, bits: 64 },
    { tag: 0x55, bits: 8 },
  ]) {
    const error = await decode(wav(new Uint8Array(64), header)).then(
      () => null,
      (reason) => reason,
    );
    assert.is(error.reason, 'unsupported');
  }
});

test('headers that contradict themselves, and foreign sub-formats, are refused', async () => {
  const reason = (file: Uint8Array) =>
    decode(file).then(String, (error: AudioError) => `${error.reason}: ${error.message}`);
  const stereo = Buffer.from(wav(new Uint8Array(64), { tag: 1, bits: 16, channels: 2 }));
  for (const [at, value] of [
    [32, 2],
    [34, 24],
    [22, 1],
  ]) {
    const wrong = Buffer.from(stereo);
    wrong.writeUInt16LE(value, at);
    assert.match(
      await reason(wrong),
      /unreadable: x\.wav: the WAV header says \d bytes a frame, and \d channels of \d+ bits/,
    );
  }
  const foreign = Buffer.from(wav(new Uint8Array(64), { tag: 1, bits: 16, extensible: true }));
  foreign[59] ^= 1;
  assert.match(
    await reason(foreign),
    /unsupported: x\.wav: WAV sub-format 0100000000001000800000aa00389b70 is not read/,
  );
  // 20 bits in 3 bytes are no contradiction.
  const packed = Buffer.from(wav(Uint8Array.of(0, 0, 0x40), { tag: 1, bits: 24 }));
  packed.writeUInt16LE(20, 34);
  assert.equal(await decode(packed), Float32Array.of(0.5));
});

test('encodeWav refuses what WAV cannot hold', () => {
  assert.throws(() => encodeWav([], 8000), /1 to 65535 channels, got 0/);
  assert.throws(() => encodeWav([new Float32Array(2), new Float32Array(3)], 8000), /channel 1 has 3 samples/);
  assert.throws(() => encodeWav(new Float32Array(2), 0), /sample rate/);
  assert.throws(() => encodeWav(Float32Array.of(0, Number.NaN), 8000), /sample 1 of channel 0 is NaN/);
});

test.run();
