import { encodePng } from './png.ts';
import type { Scene } from './scene.ts';

const escape = (text: string) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/"/g, '&quot;');
const number = (value: number) => String(Number(value.toFixed(2)));

/** A scene as SVG; images in it are PNG, so that the file stands alone. */
export function toSvg({ title, width, height, items }: Scene): string {
  const parts = items.map((item) => {
    const at = `x="${number(item.x)}" y="${number(item.y)}"`;
    if (item.kind === 'rect') {
      return `<rect ${at} width="${number(item.width)}" height="${number(item.height)}" fill="${item.color}"/>`;
    }
    if (item.kind === 'image') {
      const { image } = item;
      const data = Buffer.from(encodePng(image)).toString('base64');
      return `<image ${at} width="${image.width}" height="${image.height}" style="image-rendering:pixelated" href="data:image/png;base64,${data}"/>`;
    }
    const anchor = item.anchor ? ` text-anchor="${item.anchor}"` : '';
    return `<text ${at} dominant-baseline="central"${anchor} fill="${item.color ?? '#222222'}">${escape(item.text)}</text>`;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="15">`,
    ...(title ? [`<title>${escape(title)}</title>`] : []),
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>',
    '',
  ].join('\n');
}
