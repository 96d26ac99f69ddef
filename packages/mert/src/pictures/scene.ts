/** What a picture is made of, in pixels from its upper left corner; later items lie on earlier ones. */
export type Item =
  | { kind: 'rect'; x: number; y: number; width: number; height: number; color: string }
  | { kind: 'text'; x: number; y: number; text: string; anchor?: 'start' | 'middle' | 'end'; color?: string }
  | { kind: 'image'; x: number; y: number; image: Pixels };

/** Colours of pixels, row by row: three bytes each. */
export interface Pixels {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** A picture on white ground. Colours are written #rrggbb; `y` of a text is the middle of its line. */
export interface Scene {
  /** Of an SVG, for readers that hear it. */
  readonly title?: string;
  readonly width: number;
  readonly height: number;
  readonly items: readonly Item[];
}

/** Pixels that a character takes in PNG; layouts count on it. */
export const CHARACTER = 12;
export const LINE = 18;
