import { deflateSync } from 'node:zlib';
import { drawText } from './font.ts';
import { CHARACTER, type Pixels, type Scene } from './scene.ts';

const table = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = table[(crc ^ byte) & 0xff] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(name: string, data: Uint8Array): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(name, 4, 'latin1');
  bytes.set(data, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}

/** A PNG file of pixels, 8 bits a channel (W3C PNG specification, second edition). */
export function encodePng({ width, height, rgb }: Pixels): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  // 8 bits, three channels, no interlacing.
  header.set([8, 2, 0, 0, 0], 8);
  const rows = Buffer.alloc(height * (1 + 3 * width));
  for (let y = 0; y < height; y++) {
    rows.set(rgb.subarray(3 * y * width, 3 * (y + 1) * width), y * (1 + 3 * width) + 1);
  }
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  const data = deflateSync(rows, { level: 9 });
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', data), chunk('IEND', Buffer.alloc(0))]);
}

const colorOf = (text: string): number[] => [1, 3, 5].map((at) => Number.parseInt(text.slice(at, at + 2), 16));

/** A scene in pixels. */
export function renderScene({ width, height, items }: Scene): Pixels {
  const rgb = new Uint8Array(3 * width * height).fill(255);
  const fill = (left: number, top: number, right: number, bottom: number, color: number[]) => {
    for (let y = Math.max(0, top); y < Math.min(height, bottom); y++) {
      for (let x = Math.max(0, left); x < Math.min(width, right); x++) rgb.set(color, 3 * (y * width + x));
    }
  };
  for (const item of items) {
    const [x, y] = [Math.round(item.x), Math.round(item.y)];
    if (item.kind === 'rect') {
      // What is thinner than a pixel is drawn all the same.
      const [right, bottom] = [Math.round(item.x + item.width), Math.round(item.y + item.height)];
      fill(x, y, Math.max(x + 1, right), Math.max(y + 1, bottom), colorOf(item.color));
    } else if (item.kind === 'image') {
      const { image } = item;
      for (let row = 0; row < image.height && y + row < height; row++) {
        const columns = Math.min(image.width, width - x);
        rgb.set(
          image.rgb.subarray(3 * row * image.width, 3 * (row * image.width + columns)),
          3 * ((y + row) * width + x),
        );
      }
    } else {
      const length = [...item.text].length * CHARACTER;
      const left = x - (item.anchor === 'end' ? length : item.anchor === 'middle' ? Math.round(length / 2) : 0);
      const color = colorOf(item.color ?? '#222222');
      drawText(item.text, (column, row) =>
        fill(left + 2 * column, y - 7 + 2 * row, left + 2 * column + 2, y - 5 + 2 * row, color),
      );
    }
  }
  return { width, height, rgb };
}
