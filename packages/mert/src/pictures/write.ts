import { extname } from 'node:path';
import { writeAtomically } from '@dawnchorus/formats';
import { encodePng, renderScene } from './png.ts';
import type { Scene } from './scene.ts';
import { toSvg } from './svg.ts';

/** Checks that a picture can be written under a name. @throws Error for names that end in neither .png nor .svg. */
export function checkPicturePath(path: string): void {
  if (!['.png', '.svg'].includes(extname(path).toLowerCase())) {
    throw new Error(`${path}: pictures are written as .png or .svg; choose a name that ends so`);
  }
}

/** Writes a picture as PNG or SVG, by the ending of its name. */
export async function writePicture(path: string, scene: Scene): Promise<void> {
  checkPicturePath(path);
  const png = extname(path).toLowerCase() === '.png';
  const bytes = png ? encodePng(renderScene(scene)) : new TextEncoder().encode(toSvg(scene));
  await writeAtomically(path, [bytes], { what: 'picture', bytes: bytes.length });
}
